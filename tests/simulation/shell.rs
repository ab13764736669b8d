//! What a process does with a decision: the same order of sending, waiting and giving up as in the controller
//! (`turn`, `carrying`, `act`), with each call an event of the model's network.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use json_patch::Patch;
use tidegate::{
    engine::{
        self,
        decision::{Decision, Effect, RouteWrite},
        observed::LookDone,
    },
    routes::patch::patch,
};

use crate::{
    event::Event,
    kept::{Actor, Lowering, Turn, Working},
    mutants::{self, Mutant},
    network::{Change, Reply, Role},
    server::Request,
    story,
    versions::RolloutNow,
    world::World,
};

/// A lowering is sent again for so long before the turn ends and decides anew.
const PERSISTENCE: u64 = 10_000;

impl World {
    /// Gives each Rollout a turn of a process.
    pub fn wake_all(&mut self, process: usize) {
        for rollout in 0..self.server.rollouts.len() {
            self.wake(Actor { process, rollout });
        }
    }

    /// Gives a Rollout a turn of a process now, or right after the one that it has.
    pub fn wake(&mut self, by: Actor) {
        let waits = self.mutant == Some(Mutant::TurnsOneByOne) && self.others_have_turns(by);
        let kept = self.kept(by);
        if kept.reading.is_some() || kept.turn.is_some() || waits {
            kept.again = true;
            return;
        }
        if !self.leads(by) {
            return;
        }
        let sent = self.now;
        let kept = self.kept(by);
        if std::mem::take(&mut kept.anew) {
            kept.working = Working { refresh: true, ..Working::default() };
        }
        if !kept.is_decidable() {
            kept.working.memory.stop_clocks();
            return;
        }
        if kept.working.refresh {
            kept.reading = Some(sent);
            self.send(by, Role::Reading, Request::ReadRollout { rollout: by.rollout });
            return;
        }
        self.decide(by, false, false);
    }

    fn others_have_turns(&self, by: Actor) -> bool {
        let mut kept = self.processes[by.process].kept.iter().enumerate();
        kept.any(|(rollout, kept)| rollout != by.rollout && (kept.reading.is_some() || kept.turn.is_some()))
    }

    pub fn decide(&mut self, by: Actor, fresh: bool, unread: bool) {
        let clock = self.processes[by.process].clock;
        let (now, mutant) = (clock.at(self.now), self.mutant);
        let kept = self.kept(by);
        let rollout = kept.newest();
        let mut status = kept.status();
        if mutant == Some(Mutant::NewerIgnored) {
            Arc::make_mut(&mut status).format = 0;
        }
        let under_way = status.run.as_ref().is_some_and(|run| run.ended.is_none());
        if mutant == Some(Mutant::RetiredForgotten) && under_way {
            Arc::make_mut(&mut status).retired.clear();
        }
        let holds = kept.working.memory.held.is_some();
        let takes = match mutant {
            Some(Mutant::EpochIgnored) => holds,
            Some(Mutant::EpochTakenOver) => !holds && status.run.is_some(),
            _ => false,
        };
        if takes {
            kept.working.memory.held = Some(status.epoch);
        }
        if mutant == Some(Mutant::HoldFromMemory) && kept.working.memory.observing_since.is_none() {
            kept.working.memory.observing_since = status.step.as_ref().and_then(|step| step.since);
        }
        let process = &mut self.processes[by.process];
        let mut seen = process.observed(&self.server, by.rollout, &rollout, &status, fresh, now);
        mutants::tamper_sight(mutant, &mut seen);
        let working = &mut process.kept[by.rollout].working;
        working.problems.retain(|_, problem| problem.until > self.now);
        let mut decision = engine::decide(&rollout.spec, &status, &seen, &working.memory, now);
        if let Some(hidden) = working.hide_problems(&seen, &decision) {
            seen = hidden;
            decision = engine::decide(&rollout.spec, &status, &seen, &working.memory, now);
        }
        mutants::tamper(mutant, &mut decision);
        if mutant == Some(Mutant::TemplateFollowed) {
            mutants::follow_template(&rollout.spec, &seen, &mut decision);
        }
        self.oracle.decided(by.rollout, &self.processes[by.process], &seen, &decision);
        self.tell(|world| story::decision(&world.teller(by), &decision));
        self.carry_out(by, rollout, seen.look, decision, unread);
    }

    fn carry_out(
        &mut self,
        by: Actor,
        rollout: Rc<RolloutNow>,
        look: Option<LookDone>,
        mut decision: Decision,
        unread: bool,
    ) {
        let writes = decision.effects.iter().filter_map(|effect| match effect {
            Effect::Write(write) if write.purpose.lowers() => Some(write),
            _ => None,
        });
        let lowering: Vec<Lowering> = writes
            .map(|write| Lowering {
                write: Rc::new(write.clone()),
                give_up_at: self.now + PERSISTENCE,
                attempt: 0,
                over: false,
            })
            .collect();
        let count = lowering.len();
        let last_stored_at = self.kept(by).working.memory.stored_at;
        let now = self.now;
        self.kept(by).turn = Some(Turn {
            memory: std::mem::take(&mut decision.memory),
            decision: Rc::new(decision),
            decided_at: now,
            rollout,
            look,
            unread,
            lowering,
            rest_over: false,
            failed: None,
            unscaled: false,
            last_stored_at,
            awaited: BTreeSet::new(),
        });
        let together = match self.mutant {
            Some(Mutant::LowersOneAfterAnother) => 1,
            Some(Mutant::LoweringWaitsForStatus) => 0,
            _ => count,
        };
        for index in 0..together.min(count) {
            self.send_lowering(by, index);
        }
        self.publish(by);
    }

    pub fn turn(&mut self, by: Actor) -> &mut Turn {
        self.kept(by).turn.as_mut().unwrap()
    }

    fn publish(&mut self, by: Actor) {
        let before = self.turn(by).decision.before.clone();
        match before {
            Some(_) if self.mutant == Some(Mutant::IntentAfterRoute) => self.begin_effects(by),
            Some(_) if !self.leads(by) => self.before_answered(by, Reply::Withheld),
            Some(status) => {
                let (rollout, version) = (by.rollout, self.turn(by).rollout.version);
                self.send(by, Role::Before, Request::StoreStatus { rollout, version, status });
            }
            None => self.begin_effects(by),
        }
    }

    pub fn begin_effects(&mut self, by: Actor) {
        let kept = self.kept(by);
        let turn = kept.turn.as_mut().unwrap();
        kept.working.status = Some(Arc::clone(&turn.decision.after));
        kept.working.memory = std::mem::take(&mut turn.memory);
        self.effects_from(by, 0);
    }

    /// Everything but lowering, in order; a write that fails stops the writes after it.
    pub fn effects_from(&mut self, by: Actor, first: usize) {
        let decision = Rc::clone(&self.turn(by).decision);
        for (index, effect) in decision.effects.iter().enumerate().skip(first) {
            let failed = self.turn(by).failed.is_some();
            match effect {
                _ if effect.lowers() => {}
                Effect::Look { run, step, request } => self.look(by, *run, *step, request),
                Effect::Ask { step, request } => self.ask_gates(by, *step, request),
                Effect::Tell(_) => self.oracle.told(by.rollout),
                Effect::Reread => self.kept(by).working.refresh = true,
                Effect::Write(_) | Effect::Preview(_) | Effect::Hold | Effect::Release if failed => {}
                Effect::Write(_) | Effect::Preview(_) | Effect::Hold | Effect::Release if !self.leads(by) => {
                    self.turn(by).failed = Some(0);
                }
                // No route waits for it.
                Effect::Scale(_) if !self.leads(by) => self.turn(by).unscaled = true,
                Effect::Scale(write) => return self.measure(by, index, write),
                Effect::Preview(write) => return self.send_preview(by, index, write),
                Effect::Write(write) => {
                    self.send_write(by, Role::Effect(index), write);
                    return;
                }
                Effect::Hold | Effect::Release => {
                    let (rollout, version) = (by.rollout, self.turn(by).rollout.version);
                    let hold = *effect == Effect::Hold;
                    self.send(by, Role::Effect(index), Request::SetFinalizer { rollout, version, hold });
                    return;
                }
            }
        }
        self.record(by);
    }

    fn record(&mut self, by: Actor) {
        let after_all = self.mutant == Some(Mutant::IntentAfterRoute);
        let turn = self.turn(by);
        // One that is deleted and that nobody holds any more is gone.
        let gone = turn.rollout.is_gone();
        let stores = turn.decision.store && !gone || (after_all && turn.decision.before.is_some());
        if stores && !self.leads(by) {
            return self.after_answered(by, Reply::Withheld);
        }
        let turn = self.turn(by);
        if stores {
            let (rollout, version) = (by.rollout, turn.rollout.version);
            let status = Arc::clone(&turn.decision.after);
            self.send(by, Role::After, Request::StoreStatus { rollout, version, status });
            return;
        }
        turn.rest_over = true;
        self.end_turn(by);
    }

    pub fn send_write(&mut self, by: Actor, role: Role, write: &RouteWrite) {
        match patch(write) {
            Ok(patch) => {
                let patch = mutants::tamper_patch(self.mutant, write, patch);
                self.send_patch(by, role, write, patch);
            }
            Err(error) => self.oracle.violated("S4", format!("a write that contradicts itself: {error}")),
        }
    }

    pub fn send_patch(&mut self, by: Actor, role: Role, write: &RouteWrite, patch: Patch) {
        let spec = &self.server.rollout(by.rollout).spec;
        let Some(place) = spec.routes.iter().position(|known| known.same(&write.route)) else {
            self.oracle.violated("S6", format!("a write to {}, which is no route of ours", write.route));
            return;
        };
        let route = self.server.identities[by.rollout].places[place].object;
        self.oracle.sends(&self.server, &self.processes[by.process], by.rollout, write);
        let request = Request::WriteRoute { route, patch: Rc::new(patch) };
        self.send_for(by, role, request, Some(Change::Route(Rc::new(write.clone()))));
    }

    /// Ends the turn once both of its halves are over, and says when the next one comes.
    pub fn end_turn(&mut self, by: Actor) {
        let turn = self.turn(by);
        if !turn.rest_over {
            return;
        }
        if self.mutant == Some(Mutant::LoweringWaitsForStatus)
            && let Some(index) = self.turn(by).lowering.iter().position(|lowering| !lowering.over)
        {
            let sent = self.turn(by).awaited.insert(index);
            if sent {
                self.send_lowering(by, index);
            }
            return;
        }
        if self.turn(by).lowering.iter().any(|lowering| !lowering.over) {
            return;
        }
        self.send_notices(by);
        let clock = self.processes[by.process].clock;
        let (now, world_now) = (clock.at(self.now), self.now);
        let kept = self.kept(by);
        let Some(turn) = kept.turn.take() else { return };
        kept.working.memory.not_watched(clock.at(turn.decided_at), now);
        let due = turn.decision.wake.map(|wake| {
            let span = Duration::try_from(wake.duration_since(now)).unwrap_or_default();
            clock.real(span).max(5)
        });
        let asked_again =
            kept.working.problems.values().map(|problem| problem.until.saturating_sub(world_now));
        let due = due.into_iter().chain(asked_again).min();
        let wait = if turn.failed.is_some() || turn.unscaled || turn.unread {
            let attempt = kept.failed_turns;
            kept.failed_turns += 1;
            let grown = if attempt == 0 { 0 } else { (100_u64 << attempt.min(16)).min(5_000) };
            let wait = turn.failed.unwrap_or(0) + grown;
            Some(due.map_or(wait, |due| due.min(wait)))
        } else {
            kept.failed_turns = 0;
            let goes_on = kept.working.refresh || wrote(&turn.decision);
            if goes_on { Some(0) } else { due }
        };
        let wait = if std::mem::take(&mut kept.again) { Some(0) } else { wait };
        kept.timer += 1;
        let timer = kept.timer;
        if let Some(wait) = wait {
            let life = self.processes[by.process].life;
            self.later(wait.max(1), Event::Timer { by, life, timer });
        }
        if self.mutant == Some(Mutant::TurnsOneByOne) {
            self.wake_who_waits(by.process);
        }
    }

    fn wake_who_waits(&mut self, process: usize) {
        for rollout in 0..self.server.rollouts.len() {
            let by = Actor { process, rollout };
            let kept = self.kept(by);
            if kept.turn.is_none() && std::mem::take(&mut kept.again) {
                self.wake(by);
            }
        }
    }
}

fn wrote(decision: &Decision) -> bool {
    decision.before.is_some() || decision.effects.iter().any(Effect::writes)
}
