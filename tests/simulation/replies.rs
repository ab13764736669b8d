//! What a turn makes of what came back to its calls.

use std::rc::Rc;

use tidegate::{engine::decision::Effect, routes::patch::patch};

use crate::{
    kept::{Actor, Problem},
    mutants::{self, Mutant},
    network::{Reply, Role},
    server::{Answer, Code, Request},
    world::World,
};

/// A route that refuses a write is left alone for so long; one that refuses a lowering is tried again sooner.
const SLOW: u64 = 30_000;
const FORBIDDEN: u64 = 3_000;

impl World {
    /// What came back to a call.
    pub fn answered(&mut self, by: Actor, role: Role, request: &Request, reply: Reply, sent: u64) {
        match role {
            Role::Lease => self.lease_answered(by.process, reply, sent),
            Role::Reading => self.was_read(by, reply),
            Role::Before => self.before_answered(by, reply),
            Role::Effect(index) => self.effect_answered(by, index, request, reply),
            Role::Copying(index) => self.copied(by, index, &reply),
            Role::Measuring(index) => self.measured(by, index, &reply),
            Role::ReadingBack(index) => {
                self.read_back(by, request, &reply);
                self.effects_from(by, index + 1);
            }
            Role::After => self.after_answered(by, reply),
            Role::Lowering(index) => self.lowering_answered(by, index, request, &reply),
            Role::ReadingLoweringBack(index) => {
                self.read_back(by, request, &reply);
                self.lowering_over(by, index);
            }
        }
    }

    fn was_read(&mut self, by: Actor, reply: Reply) {
        let (clock, now) = (self.processes[by.process].clock, self.now);
        let kept = self.kept(by);
        if let Some(sent) = kept.reading.take() {
            kept.working.memory.not_watched(clock.at(sent), clock.at(now));
        }
        let fresh = if let Reply::Answer(Answer::Rollout(rollout)) = reply {
            kept.working.own = Some(rollout);
            kept.working.refresh = false;
            true
        } else if matches!(reply, Reply::Answer(Answer::Refused(Code::NotFound))) {
            return;
        } else {
            false
        };
        if kept.is_decidable() && self.leads(by) {
            self.decide(by, fresh, !fresh);
        }
    }

    pub fn before_answered(&mut self, by: Actor, reply: Reply) {
        let kept = self.kept(by);
        if let Reply::Answer(Answer::Rollout(stored)) = reply {
            kept.stand_on(&stored);
            self.turn(by).rollout = stored;
            return self.begin_effects(by);
        }
        // Nothing that was decided on it counts; the look is kept for the next decision.
        let sent = !matches!(reply, Reply::Withheld);
        kept.working.refresh |= sent;
        let turn = kept.turn.as_mut().unwrap();
        let raises =
            turn.decision.before.as_ref().is_some_and(|before| before.epoch > turn.rollout.status.epoch);
        if sent && (raises || reply.is_unknown()) {
            kept.working.memory.held = None;
        }
        if kept.look.done.is_none() && !kept.look.under_way {
            kept.look.done = turn.look.take();
        }
        turn.failed = Some(reply.retry_after());
        turn.rest_over = true;
        self.end_turn(by);
    }

    fn effect_answered(&mut self, by: Actor, index: usize, request: &Request, reply: Reply) {
        match (request, reply) {
            (_, Reply::Answer(Answer::Route(route, now))) => {
                self.processes[by.process].learn(route, &now);
                self.effects_from(by, index + 1);
            }
            (_, Reply::Answer(Answer::Rollout(stored))) => {
                self.kept(by).working.own = Some(stored.clone());
                self.turn(by).rollout = stored;
                self.effects_from(by, index + 1);
            }
            (_, Reply::Answer(Answer::Deleted(route))) => {
                self.processes[by.process].forget(route);
                self.effects_from(by, index + 1);
            }
            (_, Reply::Answer(Answer::Workload(_))) => self.effects_from(by, index + 1),
            (Request::Scale { .. }, reply) => self.not_scaled(by, index, &reply),
            (Request::WriteRoute { route, .. }, reply)
                if self.mutant == Some(Mutant::Forced) && reply.has_changed() =>
            {
                let decision = Rc::clone(&self.turn(by).decision);
                let Effect::Write(write) = &decision.effects[index] else {
                    return self.write_failed(by, index, *route, &reply);
                };
                let Ok(patch) = patch(write) else { return };
                self.send_patch(by, Role::Effect(index), write, mutants::forced(patch));
            }
            (
                Request::WriteRoute { route, .. }
                | Request::CreateRoute { route, .. }
                | Request::DeleteRoute { route, .. },
                reply,
            ) => self.write_failed(by, index, *route, &reply),
            (_, reply) => {
                self.kept(by).working.refresh = true;
                self.turn(by).failed = Some(reply.retry_after());
                self.effects_from(by, index + 1);
            }
        }
    }

    /// Draws the consequence of a write to a route that did not land, or not for sure.
    pub fn write_failed(&mut self, by: Actor, index: usize, route: usize, reply: &Reply) {
        self.turn(by).failed = Some(reply.retry_after());
        if reply.is_forbidden() {
            let decision = Rc::clone(&self.turn(by).decision);
            match &decision.effects[index] {
                Effect::Write(write) => {
                    self.leave_alone(by, &write.route.to_string(), write.purpose.lowers());
                }
                Effect::Preview(write) => self.leave_alone(by, &write.route.to_string(), false),
                _ => {}
            }
        }
        if reply.is_busy() || reply.is_forbidden() {
            return self.effects_from(by, index + 1);
        }
        self.send(by, Role::ReadingBack(index), Request::ReadRoute { route });
    }

    pub fn after_answered(&mut self, by: Actor, reply: Reply) {
        let kept = self.kept(by);
        if let Reply::Answer(Answer::Rollout(stored)) = reply {
            kept.stand_on(&stored);
        } else {
            let turn = kept.turn.as_mut().unwrap();
            kept.working.memory.stored_at = turn.last_stored_at;
            kept.working.refresh = true;
            turn.failed = turn.failed.or(Some(reply.retry_after()));
        }
        self.turn(by).rest_over = true;
        self.end_turn(by);
    }

    fn read_back(&mut self, by: Actor, request: &Request, reply: &Reply) {
        match (request, reply) {
            (_, Reply::Answer(Answer::Route(route, now))) => self.processes[by.process].learn(*route, now),
            (Request::ReadRoute { route }, Reply::Answer(Answer::Refused(Code::NotFound))) => {
                self.processes[by.process].forget(*route);
            }
            _ => {}
        }
    }

    /// What refuses a write is not asked again for a while.
    pub fn leave_alone(&mut self, by: Actor, name: &str, lowering: bool) {
        let until = self.now + if lowering { FORBIDDEN } else { SLOW };
        let mutant = self.mutant;
        for (rollout, kept) in self.processes[by.process].kept.iter_mut().enumerate() {
            if rollout == by.rollout || mutant == Some(Mutant::RefusalForAll) {
                kept.working.problems.insert(name.to_owned(), Problem { until, lowering });
            }
        }
    }
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

    /// Whether the API server does not let it be done.
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::Answer(Answer::Refused(Code::Forbidden)))
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
