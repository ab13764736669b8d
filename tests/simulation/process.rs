//! A controller as the model knows it: what one process has in memory, and what it sees from there.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tidegate::{
    api::{RolloutStatus, RouteRef},
    engine::{
        decision::{Decision, RouteWrite},
        observed::{Allowed, LookDone, Memory, Observed, RouteSeen, RouteState, Subject, WorkloadKey},
        routes, select,
    },
};

use tidegate::lease::Election;

use crate::{
    server::{LeaseNow, RolloutNow, RouteNow, Server, WorkloadNow},
    sharing::{Sharing, TERMS},
};

/// The Rollout of the model.
pub const NAMESPACE: &str = "ns";
pub const ROLLOUT: &str = "color";
pub const UID: &str = "uid";

/// Where every clock begins.
const EPOCH_MS: i64 = 1_767_225_600_000;

/// One controller process, from its start to its end, and then the next in its place.
pub struct Process {
    pub id: usize,
    /// Grows with every start; what belongs to an earlier one is dropped.
    pub life: u32,
    pub up: bool,
    /// It is stopped until then, and neither hears nor does anything.
    pub paused_until: u64,
    /// Its watches say nothing until then.
    pub frozen_until: u64,
    pub clock: Clock,
    pub lease: Election,
    pub known_lease: Rc<LeaseNow>,
    pub sharing: Sharing,
    pub rollout: Rc<RolloutNow>,
    pub routes: Vec<Rc<RouteNow>>,
    pub workloads: Vec<(&'static str, Rc<WorkloadNow>)>,
    pub working: Working,
    pub look: LookSlot,
    /// The Rollout is being read before the next decision.
    pub reading: bool,
    pub turn: Option<Turn>,
    /// Something happened during the turn.
    pub again: bool,
    /// The number of the newest timer; older ones are void.
    pub timer: u64,
    pub failed_turns: u32,
}

/// A process' wall clock: anchored when it starts, and going on at its own rate.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    pub started: u64,
    pub offset_ms: i64,
    pub rate: f64,
}

impl Clock {
    pub fn at(&self, now: u64) -> Timestamp {
        let gone = now.saturating_sub(self.started) as f64 * self.rate;
        let ms = EPOCH_MS + self.started as i64 + self.offset_ms + gone as i64;
        Timestamp::from_millisecond(ms).unwrap()
    }

    /// How long the process takes to see a span of its own clock pass.
    pub fn real(&self, span: Duration) -> u64 {
        (span.as_millis() as f64 / self.rate).ceil() as u64
    }
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
}

/// A turn under way.
pub struct Turn {
    pub decision: Decision,
    pub rollout: Rc<RolloutNow>,
    pub look: Option<LookDone>,
    /// The Rollout should have been read first and could not be.
    pub unread: bool,
    pub lowering: Vec<Lowering>,
    /// Everything but lowering is done, or failed.
    pub rest_over: bool,
    /// What is not lowering failed, and is tried again after so long at least.
    pub failed: Option<u64>,
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

impl Process {
    /// A process that has just started and listed everything.
    pub fn start(id: usize, life: u32, server: &Server, clock: Clock) -> Self {
        Self {
            id,
            life,
            up: true,
            paused_until: 0,
            frozen_until: 0,
            clock,
            lease: Election::new(format!("{id}-{life}"), TERMS),
            known_lease: server.leases[0].clone(),
            sharing: Sharing::new(format!("{id}-{life}")),
            rollout: server.rollout().clone(),
            routes: (0..server.routes.len()).map(|index| server.route(index).clone()).collect(),
            workloads: (0..server.workloads.len())
                .map(|index| (server.workloads[index].0, server.workload(index).clone()))
                .collect(),
            working: Working::default(),
            look: LookSlot::default(),
            reading: false,
            turn: None,
            again: false,
            timer: 0,
            failed_turns: 0,
        }
    }

    /// The newest Rollout known: our own write or read, unless the watch is ahead of it.
    pub fn newest(&mut self) -> Rc<RolloutNow> {
        self.working.own.take_if(|own| own.version < self.rollout.version);
        let newest = self.working.own.get_or_insert_with(|| self.rollout.clone()).clone();
        if self.working.base.as_ref() != Some(&newest.status) {
            self.working.base = Some(Arc::clone(&newest.status));
            self.working.status = Some(Arc::clone(&newest.status));
        }
        newest
    }

    pub fn status(&self) -> Arc<RolloutStatus> {
        self.working.status.clone().unwrap_or_default()
    }

    /// What a write or read of its own returned about a route.
    pub fn learn(&mut self, index: usize, route: &Rc<RouteNow>) {
        if self.routes[index].version < route.version {
            self.routes[index] = route.clone();
        }
    }

    pub fn observed(&mut self, rollout: &RolloutNow, status: &RolloutStatus, fresh: bool) -> Observed {
        let refs = routes(&rollout.spec, status);
        let state = |route: &RouteRef| {
            let index = rollout.spec.routes.iter().position(|known| known.same(route));
            let found = index.map_or(RouteState::Missing, |index| self.routes[index].state.clone());
            select(&rollout.spec, status, route, found)
        };
        let routes = refs.iter().map(|route| RouteSeen { route: route.clone(), state: state(route) });
        Observed {
            subject: Subject {
                namespace: NAMESPACE.into(),
                name: ROLLOUT.into(),
                uid: UID.into(),
                generation: rollout.generation,
                deleting: false,
                finalizer: rollout.finalizer,
                abort: rollout.abort.clone(),
                request: rollout.request.clone(),
            },
            stored: Arc::clone(&rollout.status),
            fresh,
            routes: routes.collect(),
            workloads: self
                .workloads
                .iter()
                .map(|(name, now)| (WorkloadKey::deployment(*name), now.seen.clone()))
                .collect(),
            allowed: Allowed::default(),
            in_use: None,
            previews: Vec::new(),
            others: BTreeMap::new(),
            look: self.look.done.take(),
            looking: self.look.under_way,
            settle: Duration::from_secs(1),
            unknown_providers: Vec::new(),
        }
    }
}
