//! What is asked and told outside of the API server: gates, which may be silent, and receivers, which may not take what they
//! are told.

use std::collections::BTreeSet;

use tidegate::{
    api::{GateAnswer, GateTime, Gates, RolloutSpec},
    engine::{
        gate::{Answered, AskDone, AskRequest},
        observed::Observed,
    },
};

use crate::{chance::Chance, concern::Concern, event::Event, kept::Actor, mutants::Mutant, world::World};

/// Which worlds have gates, and which have a receiver: one in eight each. Under these numbers no seed that once found something
/// is one of them.
const GATED: u64 = 0x6761_7482;
const TOLD: u64 = 0x746f_6c66;

/// The gate of all Rollouts, and who is told of them.
const GATE: &str = "window";
pub const RECEIVER: &str = "team";

/// What stands outside, in one world.
pub struct Outside {
    /// Somebody wants to know.
    pub told: bool,
    /// From when on the gate says no, if it ever does.
    no_from: Option<u64>,
}

/// What a process has asked and sent of one Rollout.
#[derive(Default)]
pub struct Errands {
    /// Answers that have come back.
    pub done: Option<AskDone>,
    /// Gates are being asked.
    pub asking: bool,
    /// The notices that are on their way.
    sending: BTreeSet<String>,
    /// Those that were taken.
    taken: BTreeSet<String>,
}

impl Errands {
    /// The notices of a status that were taken, as the engine is told.
    pub fn taken_by(&self) -> Vec<(String, String)> {
        self.taken.iter().map(|id| (id.clone(), RECEIVER.to_owned())).collect()
    }
}

impl Outside {
    pub fn of_seed(seed: u64) -> Self {
        let mut chance = Chance::new(seed ^ GATED);
        let no_from = (is_gated(&mut chance) && chance.below(6) == 0).then(|| chance.up_to(60_000));
        Self { told: Chance::new(seed ^ TOLD).below(8) == 0, no_from }
    }
}

fn is_gated(chance: &mut Chance) -> bool {
    chance.below(8) == 0
}

/// Puts the gate somewhere in the way of a Rollout, in those worlds.
pub fn gate(seed: u64, spec: &mut RolloutSpec) -> bool {
    let mut chance = Chance::new(seed ^ GATED ^ 1);
    if !is_gated(&mut Chance::new(seed ^ GATED)) {
        return false;
    }
    let mut gates = Gates::default();
    for when in [&mut gates.before, &mut gates.during, &mut gates.after] {
        if chance.below(2) == 0 {
            when.push(GATE.to_owned());
        }
    }
    let gates = (gates != Gates::default()).then_some(gates);
    if let Some(canary) = &mut spec.strategy.canary {
        let at = chance.below(canary.steps.len());
        canary.steps[at].gates = gates;
    } else if let Some(blue_green) = &mut spec.strategy.blue_green {
        blue_green.after.gates = gates;
    }
    true
}

impl World {
    /// Asks the gate; the answer comes later.
    pub fn ask_gates(&mut self, by: Actor, step: i32, request: &AskRequest) {
        if std::mem::replace(&mut self.kept(by).errands.asking, true) {
            return;
        }
        let refuses = self.outside.no_from.is_some_and(|from| from <= self.now);
        let answer = match self.chance.below(5) {
            _ if refuses => GateAnswer::No,
            0 if !self.quiet => GateAnswer::Wait,
            1 if !self.quiet => GateAnswer::Down,
            _ => GateAnswer::Yes,
        };
        let answer =
            |question: &_| Answered { question: Clone::clone(question), answer, sentence: "so".into() };
        let answers: Vec<Answered> = request.questions.iter().map(answer).collect();
        for answered in &answers {
            self.oracle.answered(by.rollout, request.run, answered);
        }
        let done = AskDone { run: request.run, step, answers };
        let (life, delay) = (self.processes[by.process].life, 5 + self.chance.up_to(3_000));
        self.later(delay, Event::Answered { by, life, done: Box::new(done) });
    }

    pub fn gates_answered(&mut self, by: Actor, done: AskDone) {
        let errands = &mut self.kept(by).errands;
        errands.asking = false;
        errands.done = Some(done);
        self.wake(by);
    }

    /// Sends what the status, as it is stored, keeps for the receiver.
    pub fn send_notices(&mut self, by: Actor) {
        if !self.outside.told || !self.leads(by) {
            return;
        }
        let stored = self.kept(by).newest();
        let life = self.processes[by.process].life;
        for notice in &stored.status.notices {
            let errands = &mut self.kept(by).errands;
            if !errands.taken.contains(&notice.id) && errands.sending.insert(notice.id.clone()) {
                let delay = 10 + self.chance.up_to(2_000);
                self.later(delay, Event::Sent { by, life, id: notice.id.clone() });
            }
        }
    }

    /// A notice has arrived, or nobody took it and it is sent again.
    pub fn sent(&mut self, by: Actor, life: u32, id: String) {
        if !self.quiet && self.chance.per_mille(300) {
            let delay = 1_000 + self.chance.up_to(10_000);
            return self.later(delay, Event::Sent { by, life, id });
        }
        self.oracle.delivered(by.rollout, &id);
        let errands = &mut self.kept(by).errands;
        errands.sending.remove(&id);
        errands.taken.insert(id);
        self.wake(by);
    }

    /// What a gate says is trouble: who waits for it is not on the schedule of a world without.
    pub fn gates_concern(&mut self) {
        for rollout in 0..self.server.rollouts.len() {
            self.oracle.befallen(Concern::One(rollout));
        }
    }
}

/// What a faulty process makes of answers, and of what it has sent.
pub fn tamper(mutant: Option<Mutant>, seen: &mut Observed) {
    let silence = match mutant {
        Some(Mutant::SilenceIsYes) => GateAnswer::Yes,
        Some(Mutant::SilenceIsNo) => GateAnswer::No,
        Some(Mutant::NoticeUnsent) => {
            let ids = seen.stored.notices.iter().map(|notice| notice.id.clone());
            seen.taken_by = ids.map(|id| (id, RECEIVER.to_owned())).collect();
            return;
        }
        _ => return,
    };
    for answered in seen.answered.iter_mut().flat_map(|done| &mut done.answers) {
        if answered.answer == GateAnswer::Down {
            answered.answer = silence;
        }
    }
}

/// When a gate is asked that a step is left by.
pub const LEAVING: [GateTime; 2] = [GateTime::During, GateTime::After];
