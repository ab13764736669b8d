//! Lowerings: sent until each is stored or known to be outdated, whatever else the turn does.

use crate::{
    mutants::Mutant,
    network::{Reply, Role},
    server::{Answer, Request},
    world::{Event, World},
};

impl World {
    pub fn send_lowering(&mut self, id: usize, index: usize) {
        if !self.leads(id) {
            return self.lowering_withheld(id, index);
        }
        let write = self.turn(id).lowering[index].write.clone();
        self.send_write(id, Role::Lowering(index), &write);
    }

    pub fn lowering_answered(&mut self, id: usize, index: usize, request: &Request, reply: &Reply) {
        let Request::WriteRoute { route, .. } = request else { return };
        if let Reply::Answer(Answer::Route(route, now)) = reply {
            self.processes[id].learn(*route, now);
            return self.lowering_over(id, index);
        }
        if (reply.is_busy() || reply.is_unknown()) && self.lowers_again(id, index, reply.retry_after()) {
            return;
        }
        self.turn(id).failed = Some(reply.retry_after());
        if reply.is_busy() {
            return self.lowering_over(id, index);
        }
        self.send(id, Role::ReadingLoweringBack(index), Request::ReadRoute { route: *route });
    }

    /// Sees to it that a lowering is sent again, unless it has been for long enough.
    fn lowers_again(&mut self, id: usize, index: usize, retry_after: u64) -> bool {
        let now = self.now;
        let lowering = &mut self.turn(id).lowering[index];
        let wait = (50 << lowering.attempt.min(5)).min(1_000) + retry_after;
        let again = now + wait < lowering.give_up_at;
        if again {
            lowering.attempt += 1;
            let life = self.processes[id].life;
            self.later(wait, Event::SendAgain { process: id, life, lowering: index });
        }
        again
    }

    /// Whoever may not act now may later on, and until then sends nothing.
    fn lowering_withheld(&mut self, id: usize, index: usize) {
        if !self.lowers_again(id, index, 0) {
            self.turn(id).failed = Some(0);
            self.lowering_over(id, index);
        }
    }

    pub fn lowering_over(&mut self, id: usize, index: usize) {
        self.turn(id).lowering[index].over = true;
        if self.mutant == Some(Mutant::LowersOneAfterAnother) && index + 1 < self.turn(id).lowering.len() {
            return self.send_lowering(id, index + 1);
        }
        self.end_turn(id);
    }
}
