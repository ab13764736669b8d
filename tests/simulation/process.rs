//! A controller as the model knows it: what one process has in memory, and what it sees from there.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tidegate::{
    api::{RolloutStatus, RouteRef},
    engine::{
        self,
        observed::{Allowed, Observed, Other, PreviewSeen, RouteSeen, RouteState, Subject, WorkloadKey},
        routes, select,
    },
    lease::Election,
};

use crate::{
    kept::Kept,
    server::Server,
    setup::{Identity, NAMESPACE},
    sharing::{Sharing, TERMS},
    versions::{LeaseNow, Life, RolloutNow, RouteNow, WorkloadNow},
};

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
    pub routes: Vec<Rc<RouteNow>>,
    pub workloads: Vec<(&'static str, Rc<WorkloadNow>)>,
    /// Which version of the template it knows.
    pub template: usize,
    /// What it keeps of each Rollout.
    pub kept: Vec<Kept>,
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
            routes: (0..server.routes.len()).map(|index| server.route(index).clone()).collect(),
            workloads: (0..server.workloads.len())
                .map(|index| (server.workloads[index].0, server.workload(index).clone()))
                .collect(),
            template: server.templates.len().saturating_sub(1),
            kept: (0..server.rollouts.len()).map(|at| Kept::new(server.rollout(at).clone())).collect(),
        }
    }

    /// What a write or read of its own returned about a route.
    pub fn learn(&mut self, index: usize, route: &Rc<RouteNow>) {
        if self.routes[index].version < route.version {
            self.routes[index] = route.clone();
        }
    }

    /// A call of its own was answered that a route is not there.
    pub fn forget(&mut self, index: usize) {
        if self.routes[index].state != RouteState::Missing {
            self.routes[index] = Rc::new(RouteNow::gone(self.routes[index].version));
        }
    }

    /// What it sees of the routes of a Rollout.
    pub fn views(&self, identity: &Identity) -> impl Iterator<Item = &Rc<RouteNow>> {
        identity.places.iter().map(|place| &self.routes[place.object])
    }

    pub fn observed(
        &mut self,
        server: &Server,
        at: usize,
        rollout: &RolloutNow,
        status: &RolloutStatus,
        fresh: bool,
        now: Timestamp,
    ) -> Observed {
        let identity = &server.identities[at];
        let state = |route: &RouteRef| {
            let index = rollout.spec.routes.iter().position(|known| known.same(route));
            let object = index.map(|index| identity.places[index].object);
            let found = object.map_or(RouteState::Missing, |object| self.routes[object].state.clone());
            select(&rollout.spec, status, route, found)
        };
        let routes = routes(&rollout.spec, status);
        let routes: Vec<RouteSeen> =
            routes.into_iter().map(|route| RouteSeen { state: state(&route), route }).collect();
        let alone = server.identities.len() == 1;
        let others = if alone { BTreeMap::new() } else { self.others(server, at, &routes, fresh) };
        let previews = if identity.previews.is_empty() {
            Vec::new()
        } else {
            engine::previews(&rollout.spec, status, identity.name)
                .into_iter()
                .map(|(of, route)| {
                    let made = identity.preview(&route.name);
                    let state =
                        made.map_or(RouteState::Missing, |made| self.routes[made.object].state.clone());
                    PreviewSeen { of, seen: RouteSeen { route, state } }
                })
                .collect()
        };
        let due = rollout.spec.retire.is_some() && engine::retires(&rollout.spec, status, NAMESPACE, now);
        let in_use = if due { self.in_use(at) } else { None };
        let Kept { look, errands, .. } = &mut self.kept[at];
        Observed {
            subject: Subject {
                namespace: NAMESPACE.into(),
                name: identity.name.into(),
                uid: identity.uid.into(),
                generation: rollout.generation,
                deleting: rollout.life == Life::Ends,
                finalizer: rollout.finalizer,
                abort: rollout.abort.clone(),
                request: rollout.request.clone(),
            },
            stored: Arc::clone(&rollout.status),
            fresh,
            routes,
            workloads: self
                .workloads
                .iter()
                .filter(|(name, _)| identity.versions.contains(name))
                .map(|(name, now)| (WorkloadKey::deployment(*name), now.seen.clone()))
                .collect(),
            allowed: Allowed { previews: true, scaling: true },
            in_use,
            previews,
            others,
            look: look.done.take(),
            looking: look.under_way,
            answered: errands.done.take(),
            asking: errands.asking,
            gates: BTreeMap::new(),
            unknown_gates: Vec::new(),
            receivers: server.receivers(),
            taken_by: errands.taken_by(),
            settle: Duration::from_secs(1),
            template: server.templates.get(self.template).filter(|_| at == 0).cloned().unwrap_or_default(),
            unknown_providers: Vec::new(),
            unaskable: None,
        }
    }

    /// The workloads that the other Rollouts use; none where one of them can't be read.
    fn in_use(&self, at: usize) -> Option<BTreeSet<WorkloadKey>> {
        let others = self.kept.iter().enumerate().filter(|(other, _)| *other != at);
        others.map(|(_, kept)| kept.shown.uses()).try_fold(BTreeSet::new(), |mut all, used| {
            all.extend(used?);
            Some(all)
        })
    }

    /// The other living Rollouts, of those that left stamps on these routes; where ours was read just now, so were those
    /// that no list has.
    fn others(
        &self,
        server: &Server,
        at: usize,
        routes: &[RouteSeen],
        fresh: bool,
    ) -> BTreeMap<String, Other> {
        let left =
            |name: &str| routes.iter().filter_map(RouteSeen::view).any(|view| view.stamps.contains_key(name));
        let others = server.identities.iter().zip(&self.kept).enumerate().filter(|(other, _)| *other != at);
        others
            .filter(|(_, (known, _))| left(known.name))
            .filter_map(|(other, (known, kept))| {
                let routes = if !kept.shown.is_gone() && !kept.shown.unreadable {
                    let named = kept.shown.spec.routes.iter().cloned();
                    let noted = kept.shown.status.routes.iter().map(|noted| noted.route.clone());
                    named.chain(noted).collect()
                } else if !kept.shown.is_gone() || fresh && !server.rollout(other).is_gone() {
                    vec![]
                } else {
                    return None;
                };
                Some((known.name.to_owned(), Other { uid: known.uid.to_owned(), routes }))
            })
            .collect()
    }
}
