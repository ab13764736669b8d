//! A Lease for each of several controllers that share: the rules are the product's own. It is the Rollouts that change
//! hands, each by itself.

use std::{collections::BTreeMap, time::Duration};

use tidegate::{
    lease::Terms,
    shards::{Move, Shards, Share, Slot, Stored},
};

use crate::{
    event::Event,
    kept::Actor,
    network::{Reply, Role},
    server::{Answer, Request},
    world::World,
};

/// The product's, at half the pace: what counts is how they stand to each other, and each renewal is work here.
pub const TERMS: Terms = Terms {
    duration: Duration::from_secs(24),
    renew_deadline: Duration::from_secs(16),
    retry: Duration::from_secs(4),
};

/// A process' part in the sharing.
pub struct Sharing {
    pub shards: Shards,
    /// A write of a slot is on its way.
    writes: bool,
    /// What was its own last.
    share: Option<Share>,
    /// The newest versions of the slots that it knows.
    versions: BTreeMap<usize, u64>,
}

impl Sharing {
    pub fn new(me: String) -> Self {
        let shards = Shards::new(me, "s".to_owned(), TERMS);
        Self { shards, writes: false, share: None, versions: BTreeMap::new() }
    }
}

fn name(lease: usize) -> String {
    format!("s-{lease}")
}

fn number(name: &str) -> usize {
    name.trim_start_matches("s-").parse().unwrap()
}

impl World {
    pub fn look_at_slots(&mut self, id: usize) {
        let (now, life) = (self.processes[id].elapsed(self.now), self.processes[id].life);
        let rollouts = 0..self.server.rollouts.len();
        let acted: Vec<bool> = rollouts.map(|rollout| self.leads(Actor { process: id, rollout })).collect();
        if self.processes[id].frozen_until <= self.now {
            self.show_slots(id, now);
        }
        let next = self.processes[id].sharing.shards.next(now);
        self.take_share(id, now, &acted);
        let name = match next {
            Move::End => return self.crash(id),
            Move::Wait => None,
            Move::Take(name) | Move::Make(name) | Move::Renew(name) => Some(name),
        };
        let sharing = &mut self.processes[id].sharing;
        if let Some(name) = name
            && !std::mem::replace(&mut sharing.writes, true)
        {
            let lease = number(&name);
            let version = sharing.versions.get(&lease).copied().unwrap_or(0);
            let (holder, knows) = (Some(sharing.shards.me().to_owned()), sharing.shards.living(now));
            let request = Request::StoreLease { lease, version, holder, knows };
            self.send(Actor { process: id, rollout: 0 }, Role::Lease, request);
        }
        // A watch tells at once; here it is looked at so often.
        let delay = self.processes[id].clock.real(TERMS.retry);
        self.later(delay, Event::LooksAtLease { process: id, life });
    }

    /// Shows a process all slots as they stand, its own last.
    fn show_slots(&mut self, id: usize, now: Duration) {
        let Sharing { shards, versions, .. } = &mut self.processes[id].sharing;
        let mut shown: Vec<usize> = (0..self.server.leases.len()).collect();
        shown.sort_by_key(|lease| shards.slot() == Some(&name(*lease)));
        for lease in shown {
            let stands = &self.server.leases[lease];
            versions.insert(lease, stands.version);
            let slot = Slot {
                version: stands.version,
                holder: stands.holder.clone(),
                duration: TERMS.duration,
                knows: stands.knows.clone(),
            };
            shards.show(&name(lease), Some(slot), now);
        }
    }

    /// Takes the Rollouts up that have become this process' own.
    fn take_share(&mut self, id: usize, now: Duration, acted: &[bool]) {
        let sharing = &mut self.processes[id].sharing;
        let Some((share, _)) = sharing.shards.share(now) else { return };
        let before = sharing.share.replace(share.clone());
        for (rollout, acted) in acted.iter().enumerate() {
            let uid = self.server.identities[rollout].uid;
            let had = before.as_ref().is_some_and(|share| share.owns(uid));
            if share.owns(uid) && !(had && *acted) {
                let by = Actor { process: id, rollout };
                self.kept(by).anew = true;
                self.tell(|world| format!("controller {id} has {} in its share", world.named(rollout)));
                self.wake(by);
            }
        }
    }

    pub fn slot_answered(&mut self, id: usize, reply: Reply, sent: u64) {
        let process = &mut self.processes[id];
        process.sharing.writes = false;
        let Reply::Answer(Answer::Lease(lease, stored)) = reply else { return };
        process.sharing.versions.insert(lease, stored.version);
        let (now, sent) = (process.elapsed(self.now), process.elapsed(sent));
        let write = Stored { name: name(lease), version: stored.version, sent, told: stored.knows.clone() };
        process.sharing.shards.stored(write, now);
    }
}
