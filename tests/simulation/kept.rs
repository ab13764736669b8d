//! What a process keeps of one Rollout: what it sees of it, what its turns work on, and the turn under way.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use jiff::Timestamp;
use tidegate::{
    api::RolloutStatus,
    engine::{
        decision::{Decision, Effect, RouteWrite},
        memory::Memory,
        observed::{LookDone, Observed, RouteState, Scaler, WorkloadSeen},
    },
};

use crate::{outside::Errands, versions::RolloutNow};

/// One process at work on one Rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Actor {
    pub process: usize,
    pub rollout: usize,
}

/// What a process keeps of one Rollout.
pub struct Kept {
    /// What the watch shows.
    pub shown: Rc<RolloutNow>,
    pub working: Working,
    pub look: LookSlot,
    pub errands: Errands,
    /// Since when the Rollout is being read before the next decision.
    pub reading: Option<u64>,
    pub turn: Option<Turn>,
    /// Something happened during the turn.
    pub again: bool,
    /// Another process may have had the Rollout meanwhile.
    pub anew: bool,
    /// The number of the newest timer; older ones are void.
    pub timer: u64,
    pub failed_turns: u32,
}

/// A look: under way, come back, or neither.
#[derive(Default)]
pub struct LookSlot {
    pub done: Option<LookDone>,
    pub under_way: bool,
}

/// What the turns work on; see the controller's own.
#[derive(Default)]
pub struct Working {
    pub own: Option<Rc<RolloutNow>>,
    pub base: Option<Arc<RolloutStatus>>,
    pub status: Option<Arc<RolloutStatus>>,
    pub memory: Memory,
    pub refresh: bool,
    /// Routes and workloads that refuse our writes, by name.
    pub problems: BTreeMap<String, Problem>,
}

/// A route that refuses our writes is left alone for a while.
#[derive(Clone, Copy)]
pub struct Problem {
    pub until: u64,
    /// It refused a lowering too.
    pub lowering: bool,
}

/// A turn under way.
pub struct Turn {
    pub decision: Rc<Decision>,
    pub decided_at: u64,
    /// What the process remembers once it goes through with it.
    pub memory: Memory,
    pub rollout: Rc<RolloutNow>,
    pub look: Option<LookDone>,
    /// The Rollout should have been read first and could not be.
    pub unread: bool,
    pub lowering: Vec<Lowering>,
    /// Everything but lowering is done, or failed.
    pub rest_over: bool,
    /// What is not lowering failed, and is tried again after so long at least.
    pub failed: Option<u64>,
    /// A workload was not scaled.
    pub unscaled: bool,
    pub last_stored_at: Option<Timestamp>,
    /// Lowerings that a planted fault has made wait, once they were sent.
    pub awaited: BTreeSet<usize>,
}

/// A lowering that is sent until it is stored or known to be outdated.
pub struct Lowering {
    pub write: Rc<RouteWrite>,
    pub give_up_at: u64,
    pub attempt: u32,
    pub over: bool,
}

impl Kept {
    pub fn new(shown: Rc<RolloutNow>) -> Self {
        Self {
            shown,
            working: Working::default(),
            look: LookSlot::default(),
            errands: Errands::default(),
            reading: None,
            turn: None,
            again: false,
            anew: false,
            timer: 0,
            failed_turns: 0,
        }
    }

    /// Whether there is anything to decide about: it is not gone, and can be read.
    pub fn is_decidable(&self) -> bool {
        let own = self.working.own.as_ref().filter(|own| own.version >= self.shown.version);
        let newest = own.unwrap_or(&self.shown);
        !newest.is_gone() && !newest.unreadable
    }

    /// The newest Rollout known: our own write or read, unless the watch is ahead of it.
    pub fn newest(&mut self) -> Rc<RolloutNow> {
        self.working.own.take_if(|own| own.version < self.shown.version);
        let newest = self.working.own.get_or_insert_with(|| self.shown.clone()).clone();
        let same = |base: &Arc<RolloutStatus>| Arc::ptr_eq(base, &newest.status) || *base == newest.status;
        if !self.working.base.as_ref().is_some_and(same) {
            self.working.base = Some(Arc::clone(&newest.status));
            self.working.status = Some(Arc::clone(&newest.status));
        }
        newest
    }

    /// What our own write of its status returned.
    pub fn stand_on(&mut self, stored: &Rc<RolloutNow>) {
        self.working.base = Some(Arc::clone(&stored.status));
        self.working.own = Some(stored.clone());
    }

    pub fn status(&self) -> Arc<RolloutStatus> {
        self.working.status.clone().unwrap_or_default()
    }
}

impl Working {
    /// What there is to decide from where the decision would only send a route what it has just refused: that route hidden. A
    /// lowering is hidden only by a lowering that was refused.
    pub fn hide_problems(&self, seen: &Observed, decision: &Decision) -> Option<Observed> {
        if self.problems.is_empty() {
            return None;
        }
        let writes = || {
            decision.effects.iter().filter_map(|effect| match effect {
                Effect::Write(write) => Some((write.route.to_string(), write.purpose.lowers())),
                Effect::Preview(write) => Some((write.route.to_string(), false)),
                Effect::Scale(write) => Some((write.workload.to_string(), false)),
                _ => None,
            })
        };
        let refused = |(name, lowers): &(String, bool)| {
            self.problems.get(name).is_some_and(|problem| problem.lowering || !lowers)
        };
        if !writes().any(|write| refused(&write)) || writes().any(|write| write.1 && !refused(&write)) {
            return None;
        }
        let mut hidden = seen.clone();
        let previews = hidden.previews.iter_mut().map(|preview| &mut preview.seen);
        for route in hidden.routes.iter_mut().chain(previews) {
            if self.problems.contains_key(&route.route.to_string()) {
                route.state = RouteState::Refused(format!("{} refuses our writes", route.route));
            }
        }
        for (key, seen) in &mut hidden.workloads {
            if let WorkloadSeen::Present(pods) = seen
                && self.problems.contains_key(&key.to_string())
            {
                pods.scaler = Scaler::Refused(format!("{key} refuses our writes"));
            }
        }
        Some(hidden)
    }
}
