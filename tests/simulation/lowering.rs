//! Lowerings: sent until each is stored or known to be outdated, whatever else the turn does.

use crate::{
    event::Event,
    kept::Actor,
    mutants::Mutant,
    network::{Reply, Role},
    server::{Answer, Request},
    world::World,
};

impl World {
    pub fn send_lowering(&mut self, by: Actor, index: usize) {
        if !self.leads(by) {
            return self.lowering_withheld(by, index);
        }
        let write = self.turn(by).lowering[index].write.clone();
        self.send_write(by, Role::Lowering(index), &write);
    }

    pub fn lowering_answered(&mut self, by: Actor, index: usize, request: &Request, reply: &Reply) {
        let Request::WriteRoute { route, .. } = request else { return };
        if let Reply::Answer(Answer::Route(route, now)) = reply {
            self.processes[by.process].learn(*route, now);
            return self.lowering_over(by, index);
        }
        if (reply.is_busy() || reply.is_unknown()) && self.lowers_again(by, index, reply.retry_after()) {
            return;
        }
        self.turn(by).failed = Some(reply.retry_after());
        if reply.is_forbidden() {
            let route = self.turn(by).lowering[index].write.route.to_string();
            self.leave_alone(by, &route, true);
        }
        if reply.is_busy() || reply.is_forbidden() {
            return self.lowering_over(by, index);
        }
        self.send(by, Role::ReadingLoweringBack(index), Request::ReadRoute { route: *route });
    }

    /// Sees to it that a lowering is sent again, unless it has been for long enough.
    fn lowers_again(&mut self, by: Actor, index: usize, retry_after: u64) -> bool {
        let now = self.now;
        let lowering = &mut self.turn(by).lowering[index];
        let wait = (50 << lowering.attempt.min(5)).min(1_000) + retry_after;
        let again = now + wait < lowering.give_up_at;
        if again {
            lowering.attempt += 1;
            let life = self.processes[by.process].life;
            self.later(wait, Event::SendAgain { by, life, lowering: index });
        }
        again
    }

    /// Whoever may not act now may later on, and until then sends nothing.
    fn lowering_withheld(&mut self, by: Actor, index: usize) {
        if !self.lowers_again(by, index, 0) {
            self.turn(by).failed = Some(0);
            self.lowering_over(by, index);
        }
    }

    pub fn lowering_over(&mut self, by: Actor, index: usize) {
        self.turn(by).lowering[index].over = true;
        if self.mutant == Some(Mutant::LowersOneAfterAnother) && index + 1 < self.turn(by).lowering.len() {
            return self.send_lowering(by, index + 1);
        }
        self.end_turn(by);
    }
}
