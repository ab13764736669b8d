//! What must hold, held against what happened: S1–S8 and L4 after every action, L1–L3 at the end. It knows the truth — what
//! is stored, what is in effect, which version is bad — and nothing of what the controllers have in mind.

mod decided;
mod landed;
mod mirrors;
mod outside;
mod previews;
mod reading;
mod schedule;
mod standing;
mod stored;
mod workloads;

use std::collections::{BTreeMap, BTreeSet};

pub use landed::Landed;
pub use mirrors::mirrors;
pub use previews::previews_standing;
pub use reading::{index, share};

use outside::Outside;
use schedule::Schedule;
use standing::{Standing, Step};

use crate::{concern::Concern, process::Process, server::Server, setup::Neighbours, traffic::Traffic};

/// What was violated, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub rule: &'static str,
    pub sentence: String,
}

/// A process in one of its lives.
pub type Sender = (usize, u32);

pub struct Oracle {
    pub violation: Option<Violation>,
    pub quiet_at: Option<u64>,
    /// Writes of the controllers that were stored.
    pub writes: u64,
    neighbours: Neighbours,
    /// What is known of each Rollout.
    of: Vec<Known>,
}

/// What is known of one Rollout.
#[derive(Default)]
struct Known {
    /// Who raised each epoch.
    epochs: BTreeMap<i64, Sender>,
    standing: Standing,
    schedule: Schedule,
    /// From when on its version is bad.
    bad_from: Option<u64>,
    /// What people allowed.
    promoted: BTreeSet<(i64, i32)>,
    promoted_full: BTreeSet<i64>,
    /// Runs that people ended.
    aborted: BTreeSet<i64>,
    outside: Outside,
    /// Lowerings that were decided and have not been sent.
    owed: Vec<String>,
    writes: u64,
    notes: u64,
}

/// Clocks differ by a tenth, and calls take their time.
const OF_A_HOLD: f64 = 0.88;
/// A version that turned bad so long ago has been seen to be.
const SEEN_BY_NOW: u64 = 60_000;

impl Oracle {
    pub fn of(traffic: &[Traffic], neighbours: Neighbours) -> Self {
        let known = |traffic: &Traffic| Known { bad_from: traffic.bad_from, ..Known::default() };
        let of = traffic.iter().map(known).collect();
        let mut oracle = Self { violation: None, quiet_at: None, writes: 0, neighbours, of };
        if neighbours == Neighbours::Rivals {
            // The other is in the way of one of them.
            oracle.befallen(Concern::All);
        }
        oracle
    }

    pub fn is_content(&self) -> bool {
        self.violation.is_none()
    }

    pub fn violated(&mut self, rule: &'static str, sentence: String) {
        self.violation.get_or_insert(Violation { rule, sentence });
    }

    fn demand(&mut self, holds: bool, rule: &'static str, sentence: impl FnOnce() -> String) {
        if !holds {
            self.violated(rule, sentence());
        }
    }

    pub fn promoted(&mut self, rollout: usize, run: i64, step: i32) {
        self.of[rollout].promoted.insert((run, step));
    }

    pub fn promoted_full(&mut self, rollout: usize, run: i64) {
        self.of[rollout].promoted_full.insert(run);
    }

    pub fn aborted(&mut self, rollout: usize, run: i64) {
        self.of[rollout].aborted.insert(run);
    }

    pub fn told(&mut self, rollout: usize) {
        let known = &mut self.of[rollout];
        known.notes += 1;
        let few = known.notes < 2_000;
        self.demand(few, "S7", || "more than 2,000 Events of one Rollout".to_owned());
    }

    /// Trouble concerns somebody.
    pub fn befallen(&mut self, concern: Concern) {
        for (rollout, known) in self.of.iter_mut().enumerate() {
            if concern == Concern::All || concern == Concern::One(rollout) {
                known.schedule.leave();
            }
        }
    }

    /// A look that tells something was asked for.
    pub fn looked(&mut self, server: &Server, process: &Process, rollout: usize, step: Step) {
        self.of[rollout].standing.looked(server, process, rollout, step);
    }

    /// A Rollout's status or the weights on one of its routes have changed.
    pub fn weights_changed(&mut self, server: &Server, rollout: usize, now: u64) {
        let known = &mut self.of[rollout];
        known.standing.weights_changed(server, rollout);
        known.schedule.moved(server, rollout, known.bad_from, now);
    }

    /// A write of a controller was stored.
    fn wrote(&mut self, rollout: usize) {
        self.writes += 1;
        let known = &mut self.of[rollout];
        known.writes += 1;
        let few = known.writes < 1_500;
        self.demand(few, "S7", || "more than 1,500 writes of one Rollout".to_owned());
    }

    /// Time goes on: what was decided at once must have been sent by now.
    pub fn pass(&mut self, from: u64, to: u64, server: &Server, processes: &[Process]) {
        if to == from {
            return;
        }
        for rollout in 0..self.of.len() {
            let known = &mut self.of[rollout];
            let owner = known.epochs.get(&server.rollout(rollout).status.epoch).copied();
            let owner = owner.map(|(id, life)| (&processes[id], life));
            let alive = owner.filter(|(process, life)| process.up && process.life == *life);
            known.standing.pass(to - from, server, rollout, alive.map(|(process, _)| process));
            let (owed, late) = (known.owed.pop(), known.schedule.late(to));
            if let Some(owed) = owed {
                self.violated("L1", format!("a lowering waits for something else: {owed}"));
            }
            if let Some(late) = late {
                let name = server.identities[rollout].name;
                self.violated("L4", format!("no trouble concerns {name}, and {late}"));
            }
        }
    }
}
