//! The Lease, where several controllers agree on one: the rules are the product's own.

use std::{collections::BTreeSet, time::Duration};

use tidegate::lease::{Move, Seen};

use crate::{
    event::Event,
    kept::Actor,
    network::{Reply, Role},
    process::Process,
    server::{Answer, Request},
    world::{Rivalry, World},
};

impl Process {
    /// The process' own monotonic clock.
    pub fn elapsed(&self, now: u64) -> Duration {
        let gone = now.saturating_sub(self.clock.started) as f64 * self.clock.rate;
        Duration::from_millis(gone as u64)
    }
}

impl World {
    pub fn look_at_lease(&mut self, id: usize) {
        let (now, life) = (self.processes[id].elapsed(self.now), self.processes[id].life);
        if self.processes[id].lease.leads_until().is_some_and(|until| until <= now) {
            // Who can't be sure to lead any more ends, and begins as one that waits.
            return self.crash(id);
        }
        if self.processes[id].frozen_until <= self.now {
            // What a watch shows, looked at as often as a renewal is due.
            self.processes[id].known_lease = self.server.leases[0].clone();
        }
        let lease = self.processes[id].known_lease.clone();
        let by = Actor { process: id, rollout: 0 };
        let led = self.leads(by);
        let election = &mut self.processes[id].lease;
        let seen = Seen {
            version: lease.version.to_string(),
            holder: lease.holder.clone(),
            duration: election.terms().duration,
        };
        match election.look(Some(&seen), now) {
            Move::Take | Move::Renew => {
                let holder = Some(election.me().to_owned());
                let (lease, version, knows) = (0, lease.version, BTreeSet::new());
                self.send(by, Role::Lease, Request::StoreLease { lease, version, holder, knows });
            }
            Move::Wait if led => return self.crash(id),
            Move::Wait => {}
        }
        let retry = self.processes[id].lease.terms().retry;
        let delay = self.processes[id].clock.real(retry);
        self.later(delay, Event::LooksAtLease { process: id, life });
    }

    pub fn lease_answered(&mut self, id: usize, reply: Reply, sent: u64) {
        if self.rivalry == Rivalry::Shared {
            return self.slot_answered(id, reply, sent);
        }
        let Reply::Answer(Answer::Lease(_, lease)) = reply else { return };
        let sent = self.processes[id].elapsed(sent);
        let led = self.leads(Actor { process: id, rollout: 0 });
        self.processes[id].known_lease = lease;
        self.processes[id].lease.stored(sent);
        if !led {
            self.tell(|_| format!("controller {id} leads"));
            self.wake_all(id);
        }
    }
}
