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
    mutants::{self, Mutant},
    network::{Reply, Role},
    process::{Lowering, Turn, Working},
    server::{Answer, Code, Request, RolloutNow},
    story,
    world::{Event, World},
};

/// A lowering is sent again for so long before the turn ends and decides anew.
const PERSISTENCE: u64 = 10_000;

impl World {
    /// Gives a process a turn now, or right after the one that it is in.
    pub fn wake(&mut self, id: usize) {
        let process = &mut self.processes[id];
        if process.reading || process.turn.is_some() {
            process.again = true;
            return;
        }
        if !self.leads(id) {
            return;
        }
        if std::mem::take(&mut self.processes[id].sharing.anew) {
            self.processes[id].working = Working { refresh: true, ..Working::default() };
        }
        if self.processes[id].working.refresh {
            self.processes[id].reading = true;
            self.send(id, Role::Reading, Request::ReadRollout);
            return;
        }
        self.decide(id, false, false);
    }

    fn decide(&mut self, id: usize, fresh: bool, unread: bool) {
        let now = self.processes[id].clock.at(self.now);
        let mutant = self.mutant;
        let process = &mut self.processes[id];
        let rollout = process.newest();
        let mut status = process.status();
        if mutant == Some(Mutant::NewerIgnored) {
            Arc::make_mut(&mut status).format = 0;
        }
        let holds = process.working.memory.held.is_some();
        let takes = match mutant {
            Some(Mutant::EpochIgnored) => holds,
            Some(Mutant::EpochTakenOver) => !holds && status.run.is_some(),
            _ => false,
        };
        if takes {
            process.working.memory.held = Some(status.epoch);
        }
        if mutant == Some(Mutant::HoldFromMemory) && process.working.memory.observing_since.is_none() {
            process.working.memory.observing_since = status.step.as_ref().and_then(|step| step.since);
        }
        let mut seen = process.observed(&rollout, &status, fresh);
        mutants::tamper_sight(mutant, &mut seen);
        let mut decision = engine::decide(&rollout.spec, &status, &seen, &process.working.memory, now);
        mutants::tamper(mutant, &mut decision);
        self.oracle.decided(&self.processes[id], &seen, &decision);
        self.tell(|_| story::decision(id, &decision));
        self.carry_out(id, rollout, seen.look, decision, unread);
    }

    fn carry_out(
        &mut self,
        id: usize,
        rollout: Rc<RolloutNow>,
        look: Option<LookDone>,
        decision: Decision,
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
        let last_stored_at = self.processes[id].working.memory.stored_at;
        self.processes[id].turn = Some(Turn {
            decision,
            rollout,
            look,
            unread,
            lowering,
            rest_over: false,
            failed: None,
            last_stored_at,
            awaited: BTreeSet::new(),
        });
        let together = match self.mutant {
            Some(Mutant::LowersOneAfterAnother) => 1,
            Some(Mutant::LoweringWaitsForStatus) => 0,
            _ => count,
        };
        for index in 0..together.min(count) {
            self.send_lowering(id, index);
        }
        self.publish(id);
    }

    pub fn turn(&mut self, id: usize) -> &mut Turn {
        self.processes[id].turn.as_mut().unwrap()
    }

    fn publish(&mut self, id: usize) {
        let before = self.turn(id).decision.before.clone();
        match before {
            Some(_) if self.mutant == Some(Mutant::IntentAfterRoute) => self.begin_effects(id),
            Some(_) if !self.leads(id) => self.before_answered(id, Reply::Withheld),
            Some(status) => {
                let version = self.turn(id).rollout.version;
                self.send(id, Role::Before, Request::StoreStatus { version, status });
            }
            None => self.begin_effects(id),
        }
    }

    fn begin_effects(&mut self, id: usize) {
        let process = &mut self.processes[id];
        let turn = process.turn.as_ref().unwrap();
        process.working.status = Some(Arc::clone(&turn.decision.after));
        process.working.memory = turn.decision.memory.clone();
        self.effects_from(id, 0);
    }

    /// Everything but lowering, in order; a write that fails stops the writes after it.
    fn effects_from(&mut self, id: usize, first: usize) {
        let effects = self.turn(id).decision.effects.len();
        for index in first..effects {
            let failed = self.turn(id).failed.is_some();
            let effect = self.turn(id).decision.effects[index].clone();
            match effect {
                _ if effect.lowers() => {}
                Effect::Look { run, step, request } => self.look(id, run, step, &request),
                Effect::Preview(_) | Effect::Scale(_) => {}
                Effect::Tell(_) => self.oracle.told(),
                Effect::Reread => self.processes[id].working.refresh = true,
                Effect::Write(_) | Effect::Hold | Effect::Release if failed => {}
                Effect::Write(_) | Effect::Hold | Effect::Release if !self.leads(id) => {
                    self.turn(id).failed = Some(0);
                }
                Effect::Write(write) => {
                    self.send_write(id, Role::Effect(index), &write);
                    return;
                }
                Effect::Hold | Effect::Release => {
                    let version = self.turn(id).rollout.version;
                    let hold = effect == Effect::Hold;
                    self.send(id, Role::Effect(index), Request::SetFinalizer { version, hold });
                    return;
                }
            }
        }
        self.record(id);
    }

    fn record(&mut self, id: usize) {
        let after_all = self.mutant == Some(Mutant::IntentAfterRoute);
        let turn = self.turn(id);
        let stores = turn.decision.store || (after_all && turn.decision.before.is_some());
        if stores && !self.leads(id) {
            return self.after_answered(id, Reply::Withheld);
        }
        let turn = self.turn(id);
        if stores {
            let (version, status) = (turn.rollout.version, Arc::clone(&turn.decision.after));
            self.send(id, Role::After, Request::StoreStatus { version, status });
            return;
        }
        turn.rest_over = true;
        self.end_turn(id);
    }

    pub fn send_write(&mut self, id: usize, role: Role, write: &RouteWrite) {
        match patch(write) {
            Ok(patch) => {
                let patch = mutants::tamper_patch(self.mutant, write, patch);
                self.send_patch(id, role, write, patch);
            }
            Err(error) => self.oracle.violated("S4", format!("a write that contradicts itself: {error}")),
        }
    }

    fn send_patch(&mut self, id: usize, role: Role, write: &RouteWrite, patch: Patch) {
        let spec = &self.server.rollout().spec;
        let Some(route) = spec.routes.iter().position(|known| known.same(&write.route)) else {
            self.oracle.violated("S6", format!("a write to {}, which is no route of ours", write.route));
            return;
        };
        self.oracle.sends(&self.server, &self.processes[id], write);
        let request = Request::WriteRoute { route, patch: Rc::new(patch) };
        self.send_for(id, role, request, Some(Rc::new(write.clone())));
    }

    /// What came back to a call of this process.
    pub fn answered(&mut self, id: usize, role: Role, request: &Request, reply: Reply, sent: u64) {
        match role {
            Role::Lease => self.lease_answered(id, reply, sent),
            Role::Reading => self.was_read(id, reply),
            Role::Before => self.before_answered(id, reply),
            Role::Effect(index) => self.effect_answered(id, index, request, reply),
            Role::ReadingBack(index) => {
                self.read_back(id, &reply);
                self.effects_from(id, index + 1);
            }
            Role::After => self.after_answered(id, reply),
            Role::Lowering(index) => self.lowering_answered(id, index, request, &reply),
            Role::ReadingLoweringBack(index) => {
                self.read_back(id, &reply);
                self.lowering_over(id, index);
            }
        }
    }

    fn was_read(&mut self, id: usize, reply: Reply) {
        self.processes[id].reading = false;
        let fresh = if let Reply::Answer(Answer::Rollout(rollout)) = reply {
            let process = &mut self.processes[id];
            process.working.own = Some(rollout);
            process.working.refresh = false;
            true
        } else {
            false
        };
        if self.leads(id) {
            self.decide(id, fresh, !fresh);
        }
    }

    fn before_answered(&mut self, id: usize, reply: Reply) {
        let process = &mut self.processes[id];
        if let Reply::Answer(Answer::Rollout(stored)) = reply {
            stand_on(process, &stored);
            self.turn(id).rollout = stored;
            return self.begin_effects(id);
        }
        // Nothing that was decided on it counts; the look is kept for the next decision.
        let sent = !matches!(reply, Reply::Withheld);
        process.working.refresh |= sent;
        let turn = process.turn.as_mut().unwrap();
        let raises =
            turn.decision.before.as_ref().is_some_and(|before| before.epoch > turn.rollout.status.epoch);
        if sent && (raises || reply.is_unknown()) {
            process.working.memory.held = None;
        }
        if process.look.done.is_none() && !process.look.under_way {
            process.look.done = turn.look.take();
        }
        turn.failed = Some(reply.retry_after());
        turn.rest_over = true;
        self.end_turn(id);
    }

    fn effect_answered(&mut self, id: usize, index: usize, request: &Request, reply: Reply) {
        let process = &mut self.processes[id];
        match (request, reply) {
            (_, Reply::Answer(Answer::Route(route, now))) => {
                process.learn(route, &now);
                self.effects_from(id, index + 1);
            }
            (_, Reply::Answer(Answer::Rollout(stored))) => {
                process.working.own = Some(stored.clone());
                self.turn(id).rollout = stored;
                self.effects_from(id, index + 1);
            }
            (Request::WriteRoute { route, .. }, reply) => {
                let route = *route;
                self.turn(id).failed = Some(reply.retry_after());
                if self.mutant == Some(Mutant::Forced) && reply.has_changed() {
                    self.turn(id).failed = None;
                    let Effect::Write(write) = self.turn(id).decision.effects[index].clone() else { return };
                    let Ok(patch) = patch(&write) else { return };
                    return self.send_patch(id, Role::Effect(index), &write, mutants::forced(patch));
                }
                if reply.is_busy() {
                    return self.effects_from(id, index + 1);
                }
                self.send(id, Role::ReadingBack(index), Request::ReadRoute { route });
            }
            (_, reply) => {
                process.working.refresh = true;
                self.turn(id).failed = Some(reply.retry_after());
                self.effects_from(id, index + 1);
            }
        }
    }

    fn after_answered(&mut self, id: usize, reply: Reply) {
        let process = &mut self.processes[id];
        if let Reply::Answer(Answer::Rollout(stored)) = reply {
            stand_on(process, &stored);
        } else {
            let turn = process.turn.as_mut().unwrap();
            process.working.memory.stored_at = turn.last_stored_at;
            process.working.refresh = true;
            turn.failed = turn.failed.or(Some(reply.retry_after()));
        }
        self.turn(id).rest_over = true;
        self.end_turn(id);
    }

    fn read_back(&mut self, id: usize, reply: &Reply) {
        if let Reply::Answer(Answer::Route(route, now)) = reply {
            self.processes[id].learn(*route, now);
        }
    }

    /// Ends the turn once both of its halves are over, and says when the next one comes.
    pub fn end_turn(&mut self, id: usize) {
        let turn = self.turn(id);
        if !turn.rest_over {
            return;
        }
        if self.mutant == Some(Mutant::LoweringWaitsForStatus)
            && let Some(index) = self.turn(id).lowering.iter().position(|lowering| !lowering.over)
        {
            let sent = self.turn(id).awaited.insert(index);
            if sent {
                self.send_lowering(id, index);
            }
            return;
        }
        if self.turn(id).lowering.iter().any(|lowering| !lowering.over) {
            return;
        }
        let now = self.processes[id].clock.at(self.now);
        let process = &mut self.processes[id];
        let Some(turn) = process.turn.take() else { return };
        let due = turn.decision.wake.map(|wake| {
            let span = Duration::try_from(wake.duration_since(now)).unwrap_or_default();
            process.clock.real(span).max(5)
        });
        let wait = if turn.failed.is_some() || turn.unread {
            let attempt = process.failed_turns;
            process.failed_turns += 1;
            let grown = if attempt == 0 { 0 } else { (100_u64 << attempt.min(16)).min(5_000) };
            let wait = turn.failed.unwrap_or(0) + grown;
            Some(due.map_or(wait, |due| due.min(wait)))
        } else {
            process.failed_turns = 0;
            let goes_on = process.working.refresh || wrote(&turn.decision);
            if goes_on { Some(0) } else { due }
        };
        let wait = if std::mem::take(&mut process.again) { Some(0) } else { wait };
        process.timer += 1;
        if let Some(wait) = wait {
            let (life, timer) = (process.life, process.timer);
            self.later(wait.max(1), Event::Timer { process: id, life, timer });
        }
    }
}

fn stand_on(process: &mut crate::process::Process, stored: &Rc<RolloutNow>) {
    process.working.base = Some(Arc::clone(&stored.status));
    process.working.own = Some(stored.clone());
}

fn wrote(decision: &Decision) -> bool {
    decision.before.is_some() || decision.effects.iter().any(Effect::writes)
}

impl Reply {
    /// Whether it is not known if the write was done.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Nothing | Self::Answer(Answer::Refused(Code::Internal)))
    }

    /// Whether it was not done, and may be tried again as it is.
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Answer(Answer::Refused(Code::TooMany | Code::Unavailable)))
    }

    /// Whether what was seen is no longer so.
    pub fn has_changed(&self) -> bool {
        matches!(self, Self::Answer(Answer::Refused(Code::Conflict | Code::Unprocessable)))
    }

    /// How long the API server asks to wait.
    pub fn retry_after(&self) -> u64 {
        if matches!(self, Self::Answer(Answer::Refused(Code::TooMany))) { 1_000 } else { 0 }
    }
}
