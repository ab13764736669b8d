//! Gates: what a step waits for that others know. A gate says yes, no or wait; one that says nothing is asked again and
//! holds the run, and nothing else.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use super::{
    decision::Effect,
    gate::{Answered, AskRequest, Question},
    turn::{Turn, later},
};
use crate::api::{GateAnswer, GateStatus, GateTime, Gates, Phase, PlannedStep, units::Weight};

/// The reason of a run that waits for a gate.
const GATE: &str = "Gate";
/// How soon a gate is asked again of which the configuration tells nothing.
const INTERVAL: Duration = Duration::from_secs(10);

/// What gates have said to this process, of what the run stands in or before.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gatekeeping {
    /// The run, and the step that it is at.
    of: (i64, i32),
    /// What each said last, and when.
    said: BTreeMap<(GateTime, String), (GateAnswer, Timestamp)>,
    /// When each is to be asked next.
    due: BTreeMap<(GateTime, String), Timestamp>,
    /// The step that the last decision was kept from, or kept in, by gates alone.
    pub held: Option<i32>,
}

impl Turn<'_> {
    /// Takes in what gates have answered.
    pub fn take_answers(&mut self) {
        let Some(run) = self.run() else { return };
        let here = (run.number, self.step_index());
        if self.memory.gates.of != here {
            self.memory.gates = Gatekeeping { of: here, ..Gatekeeping::default() };
        }
        let seen = self.seen;
        let Some(done) = seen.answered.as_ref().filter(|done| (done.run, done.step) == here) else { return };
        for Answered { question, answer, sentence } in &done.answers {
            let key = (question.when, question.gate.clone());
            self.memory.gates.said.insert(key, (*answer, self.now));
            self.note_answer(question, *answer, sentence);
        }
    }

    /// What a gate says that refuses the run.
    pub fn refused(&self) -> Option<String> {
        let said = self.memory.gates.said.iter();
        let mut refused =
            said.filter(|((when, _), (answer, _))| *answer == GateAnswer::No && !self.passed_over(*when));
        let ((when, name), (answer, _)) = refused.next()?;
        let told = self.status.gates.iter().find(|gate| (gate.when, &gate.name) == (*when, name));
        Some(says(name, *answer, told.map_or("", |gate| gate.sentence.as_str())))
    }

    fn note_answer(&mut self, question: &Question, answer: GateAnswer, sentence: &str) {
        let Question { gate, when, step, .. } = question;
        let (now, gates) = (self.now, &mut self.status.gates);
        let known =
            gates.iter_mut().find(|known| (&known.name, known.when, known.step) == (gate, *when, *step));
        if let Some(known) = known {
            if known.answer != answer {
                known.since = now;
            }
            known.answer = answer;
            sentence.clone_into(&mut known.sentence);
            return;
        }
        gates.push(GateStatus {
            name: gate.clone(),
            when: *when,
            step: *step,
            answer,
            sentence: sentence.to_owned(),
            since: now,
        });
    }

    /// Nothing is known of the gates of the step that begins now, nor of those after it.
    pub fn forget_gates(&mut self) {
        self.memory.gates = Gatekeeping::default();
        self.status.gates.clear();
    }

    /// Asks the gates of the step in progress that are due.
    pub fn ask_during(&mut self) {
        let step = self.step_index();
        if !self.passed_over(GateTime::During) {
            self.ask(GateTime::During, step);
        }
    }

    /// Whether the gates of the step that ends allow that; those that have to be asked are asked.
    pub fn may_leave(&mut self) -> bool {
        let step = self.step_index();
        let during = self.open(GateTime::During, step);
        let after = self.open(GateTime::After, step);
        during && after
    }

    /// Whether the gates before a step allow it.
    pub fn may_enter(&mut self, step: i32) -> bool {
        self.open(GateTime::Before, step)
    }

    /// Whether all gates of a time say yes. A yes to what comes after a step is kept; one to what comes before a step is good
    /// until the gate would be asked again, for something else may keep the step much longer.
    fn open(&mut self, when: GateTime, step: i32) -> bool {
        let names = self.gates_of(when, step);
        let open = self.passed_over(when) || names.iter().all(|name| self.agrees(when, name));
        if !open {
            self.ask(when, step);
        }
        open
    }

    /// Whether a gate has said yes, and that still counts.
    fn agrees(&self, when: GateTime, name: &str) -> bool {
        match self.memory.gates.said.get(&(when, name.to_owned())) {
            Some((GateAnswer::Yes, at)) => {
                when != GateTime::Before || self.now < later(*at, self.interval(name))
            }
            Some((GateAnswer::No | GateAnswer::Wait | GateAnswer::Down, _)) | None => false,
        }
    }

    /// Asks the gates of a time that are due; during a step those that agree too. All questions of a decision go out together.
    fn ask(&mut self, when: GateTime, step: i32) {
        let weight = self.planned(step);
        let planned = self.run().and_then(|run| run.step(step));
        let mirror = planned.and_then(|step| step.mirror).map(Weight::percent);
        let mut new = Vec::new();
        for gate in self.gates_of(when, step) {
            if when != GateTime::During && self.agrees(when, &gate) {
                continue;
            }
            let key = (when, gate.clone());
            match self.memory.gates.due.get(&key).copied() {
                Some(at) if at > self.now => self.wake_at(at),
                // The answers give a turn.
                Some(_) | None if self.seen.asking => {}
                Some(_) | None => {
                    let next = later(self.now, self.interval(&gate));
                    self.memory.gates.due.insert(key, next);
                    self.wake_at(next);
                    new.push(Question { gate, when, step, weight, mirror });
                }
            }
        }
        if new.is_empty() {
            return;
        }
        let asked = self.effects.iter_mut().find_map(|effect| match effect {
            Effect::Ask { request, .. } => Some(&mut request.questions),
            Effect::Write(_)
            | Effect::Preview(_)
            | Effect::Scale(_)
            | Effect::Look { .. }
            | Effect::Tell(_)
            | Effect::Hold
            | Effect::Release
            | Effect::Reread => None,
        });
        if let Some(questions) = asked {
            questions.extend(new);
            return;
        }
        let (Some((stable, canary)), Some(run)) = (self.arms(), self.run()) else { return };
        let request = AskRequest {
            namespace: self.seen.subject.namespace.clone(),
            rollout: self.seen.subject.name.clone(),
            uid: self.seen.subject.uid.clone(),
            run: run.number,
            steps: i32::try_from(run.plan.len()).unwrap_or(i32::MAX),
            stable: stable.name,
            canary: canary.name,
            questions: new,
        };
        self.effects.push(Effect::Ask { step: self.step_index(), request });
    }

    fn interval(&self, gate: &str) -> Duration {
        self.seen.gates.get(gate).copied().unwrap_or(INTERVAL)
    }

    fn gates_of(&self, when: GateTime, step: i32) -> Vec<String> {
        let planned = self.run().and_then(|run| run.step(step));
        let gates = planned.and_then(|planned| planned.gates.as_ref());
        gates.map(|gates| gates.at(when).to_vec()).unwrap_or_default()
    }

    /// Whether a person has said that the run goes on whatever these gates say.
    fn passed_over(&self, when: GateTime) -> bool {
        let full = self.run().is_some_and(|run| run.promote_full);
        let step = self.status.step.as_ref();
        full || match when {
            GateTime::Before => step.is_some_and(|step| step.gates_passed),
            GateTime::During | GateTime::After => step.is_some_and(|step| step.promoted),
        }
    }

    /// Whether a gate before a step was what the run waited for when this was last decided.
    pub fn waits_before(&self, step: i32) -> bool {
        self.held_by_gates == Some(step) && step > self.step_index()
    }

    /// Says which gate holds the run, before or in a step.
    pub fn say_gates(&mut self, step: i32) {
        self.memory.gates.held = Some(step);
        let at = self.step_index();
        let mut sentences = Vec::new();
        let times: &[GateTime] =
            if step > at { &[GateTime::Before] } else { &[GateTime::During, GateTime::After] };
        for &when in times {
            for name in self.gates_of(when, step) {
                let last = self.memory.gates.said.get(&(when, name.clone())).map(|(answer, _)| *answer);
                let told = self.status.gates.iter().find(|gate| {
                    (&gate.name, gate.when, gate.step) == (&name, when, step) && Some(gate.answer) == last
                });
                match told {
                    Some(_) if self.agrees(when, &name) => {}
                    Some(gate) if gate.answer == GateAnswer::Yes => {
                        sentences.push(format!("{name} is asked again"));
                    }
                    Some(gate) => sentences.push(says(&name, gate.answer, &gate.sentence)),
                    None => sentences.push(format!("{name} is asked")),
                }
            }
        }
        let place =
            if at == 0 { "Before the first step".to_owned() } else { format!("At {}", self.traffic(at)) };
        let goal =
            if step == at { "to go on".to_owned() } else { format!("to go to {}", self.traffic(step)) };
        let message = format!("{place}, waiting for gates {goal}: {}", sentences.join("; "));
        self.say(Phase::Progressing, GATE, message);
    }
}

/// Whether others than the metrics decide on a step: a person, or, of a stage of blue/green, a gate in it or after it.
pub(super) fn is_decided_by_others(planned: &PlannedStep) -> bool {
    let gated = |gates: &Gates| planned.stage.is_some() && gates.decide();
    planned.approval.is_some() || planned.gates.as_ref().is_some_and(gated)
}

/// What a gate says, in a sentence.
fn says(gate: &str, answer: GateAnswer, sentence: &str) -> String {
    let colon = if sentence.is_empty() { "" } else { ": " };
    format!("gate {gate} {}{colon}{sentence}", answer.says())
}
