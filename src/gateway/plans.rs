//! The plan of each fleet, made anew when something changes that concerns it, and what became of the objects in it. A gateway has one
//! as long as its object is there, a node as long as Envoys stand beside its pods.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use serde_json::Value;

use super::{
    endpoints::{self, Service},
    evidence::{Claim, Served, is_told, told_envoys},
    quarantine::{Quarantine, Voter, generation},
    world::{Touched, World},
};
use crate::{
    dataplane::{self, Endpoints, GatewayRef, ObjectKind, ObjectRef, Planned, Reason, Rejected},
    xds::{Connected, Fleet, Hub, Role, Snapshot},
};

/// So long it is waited for Envoys that were there a moment ago: they try again every half a minute at least. Not so long that
/// those that never come make a condition flap: it waits 40 s before it is said not to hold any more.
const RETURNING: Duration = Duration::from_secs(35);
/// So long it is waited for an Envoy's answer before the others' is acted on.
const TOO_LONG: Duration = Duration::from_secs(2);

/// The plans of all fleets.
pub struct Plans {
    hub: Hub,
    fleets: BTreeMap<Fleet, Planning>,
    envoys: BTreeMap<Fleet, Vec<Connected>>,
    expected: BTreeMap<Fleet, Expected>,
}

/// Envoys that were there a moment ago, under another leader or with this one, and may be on their way back.
struct Expected {
    count: usize,
    until: Duration,
}

/// One fleet's.
#[derive(Default)]
struct Planning {
    planned: Planned,
    /// What Envoy cannot be given.
    left_out: Vec<Rejected>,
    /// Why there is no plan; Envoys keep the one before.
    failure: Option<String>,
    /// Routes whose targets have no endpoint.
    idle: Vec<(ObjectRef, String)>,
    services: BTreeSet<Service>,
    /// The number of the publication, and since when there is that.
    number: u64,
    since: Duration,
    quarantine: Quarantine,
}

/// Where a fleet's plan is made, and of what.
struct Place<'a> {
    hub: &'a Hub,
    fleet: &'a Fleet,
    world: &'a World,
    now: Duration,
}

impl Plans {
    /// None yet. What is made is published there.
    pub fn new(hub: Hub) -> Self {
        Self { hub, fleets: BTreeMap::new(), envoys: BTreeMap::new(), expected: BTreeMap::new() }
    }

    /// From now on this process leads: the Envoys of the one before come to it, each in its own time.
    pub fn lead(&mut self, world: &World, now: Duration) {
        let had = world.objects().filter_map(|(own, object)| {
            let fleet = Fleet::of(own)?;
            let count = told_envoys(&fleet, &object["status"]);
            (count > 0).then_some((fleet, Expected { count, until: now + RETURNING }))
        });
        self.expected = had.collect();
    }

    /// Takes in what may have changed: fleets that it concerns are published anew.
    pub fn follow(&mut self, world: &World, touched: &Touched, now: Duration) {
        let new = self.meet(world, now);
        for (fleet, planning) in &mut self.fleets {
            if new.contains(fleet) {
                continue;
            }
            let at = Place { hub: &self.hub, fleet, world, now };
            let concerned = (touched.namespaces && fleet.role == Role::Gateway)
                || touched.objects.iter().any(|named| planning.concerns(fleet, named, world.get(named)));
            if concerned {
                planning.publish(&at, &touched.objects);
            } else if touched.all_services || !planning.services.is_disjoint(&touched.services) {
                planning.send(&at);
            }
        }
    }

    /// The nodes that have Envoys: every one could, and few do.
    fn sidecars(&self) -> impl Iterator<Item = &Fleet> {
        let all = self.envoys.keys().chain(self.expected.keys());
        all.filter(|fleet| fleet.role == Role::Sidecar)
    }

    /// Whether the nodes that have Envoys are others than before.
    fn has_to_meet(&self) -> bool {
        let stays = |fleet: &Fleet| match fleet.role {
            Role::Gateway => true,
            Role::Sidecar => self.envoys.contains_key(fleet) || self.expected.contains_key(fleet),
        };
        !self.fleets.keys().all(stays) || self.sidecars().any(|fleet| !self.fleets.contains_key(fleet))
    }

    /// Begins with the fleets that are there now, and ends with those that are gone. Those that are new.
    fn meet(&mut self, world: &World, now: Duration) -> BTreeSet<Fleet> {
        let gateways = world.of_kind(ObjectKind::VirtualGateway).filter_map(|(own, _)| Fleet::of(own));
        // One whose object was deleted serves on by what it has.
        let is_there =
            |fleet: &&Fleet| self.fleets.contains_key(*fleet) || world.get(&fleet.object()).is_some();
        let nodes = self.sidecars().filter(is_there).cloned();
        let present: BTreeSet<Fleet> = gateways.chain(nodes).collect();
        self.fleets.retain(|known, _| {
            let stays = present.contains(known);
            if !stays {
                tracing::info!(fleet = %known, "it is gone: its Envoys, if there are any, keep what they have");
                self.hub.forget(known);
            }
            stays
        });
        let new: BTreeSet<Fleet> =
            present.into_iter().filter(|fleet| !self.fleets.contains_key(fleet)).collect();
        for fleet in &new {
            let at = Place { hub: &self.hub, fleet, world, now };
            let all = match fleet.role {
                Role::Gateway => world.objects().map(|(named, _)| named.clone()).collect(),
                // What it leads to is enough.
                Role::Sidecar => BTreeSet::new(),
            };
            self.fleets.entry(fleet.clone()).or_default().publish(&at, &all);
        }
        new
    }

    /// Hears what the Envoys say: an object that they refuse is taken out of the plan, or back. Whether somebody is no longer waited
    /// for, which no news tells of.
    pub fn hear(&mut self, world: &World, now: Duration) -> bool {
        let mut envoys: BTreeMap<Fleet, Vec<Connected>> = BTreeMap::new();
        for envoy in self.hub.envoys() {
            envoys.entry(envoy.fleet.clone()).or_default().push(envoy);
        }
        let before = std::mem::replace(&mut self.envoys, envoys);
        let waited_for = self.expected.len();
        self.expected.retain(|_, expected| now < expected.until);
        let is_over = self.expected.len() < waited_for;
        // A gateway without Envoys is told by itself. Of a node nobody would know that they serve by the weights of before.
        for (fleet, had) in before {
            if fleet.role == Role::Sidecar && !self.envoys.contains_key(&fleet) {
                self.expected.insert(fleet, Expected { count: had.len(), until: now + RETURNING });
            }
        }
        if self.has_to_meet() {
            self.meet(world, now);
        }
        for (fleet, planning) in &mut self.fleets {
            let envoys = self.envoys.get(fleet).map(Vec::as_slice).unwrap_or_default();
            let number = planning.number;
            let voters: Vec<Voter> = envoys.iter().map(|envoy| voter(envoy, number)).collect();
            let too_long = now.saturating_sub(planning.since) >= TOO_LONG;
            let changed = planning.quarantine.hear(&voters, number, too_long);
            if changed.is_empty() {
                continue;
            }
            let names: Vec<String> = changed.iter().map(ObjectRef::path).collect();
            tracing::warn!(%fleet, objects = names.join(", "), "Envoy refuses something: these are served otherwise now");
            planning.publish(&Place { hub: &self.hub, fleet, world, now }, &changed);
        }
        is_over
    }

    /// The objects of which something is to be said.
    pub fn named(&self, world: &World) -> BTreeSet<ObjectRef> {
        world.objects().map(|(named, _)| named).filter(|named| self.tells_of(world, named)).cloned().collect()
    }

    /// Whether something is to be said of an object: of routes and gateways always, of routers that are led to, of nodes that have
    /// Envoys, of others only where Envoy refuses them; and of all as long as what was said last is ours.
    pub fn tells_of(&self, world: &World, named: &ObjectRef) -> bool {
        let mut plans = self.fleets.values();
        let was_told = || world.get(named).is_some_and(|object| is_told(named.kind, &object["status"]));
        match named.kind {
            ObjectKind::GatewayRoute | ObjectKind::VirtualGateway => true,
            ObjectKind::VirtualRouter => was_told() || plans.any(|planning| planning.knows(named)),
            ObjectKind::VirtualNode | ObjectKind::VirtualService => {
                was_told()
                    || Fleet::of(named).is_some_and(|own| self.envoys.contains_key(&own))
                    || plans.any(|planning| planning.quarantine.holds_any() && planning.holds(world, named))
            }
            ObjectKind::HttpRoute | ObjectKind::GrpcRoute => false,
        }
    }

    /// What is known of an object.
    pub fn claim(&self, named: &ObjectRef, object: &Arc<Value>) -> Claim<'_> {
        let mut claim = Claim { generation: generation(object), ..Claim::default() };
        claim.is_behind = named.kind.is_behind_routes() || named.kind == ObjectKind::VirtualRouter;
        let own = Fleet::of(named).filter(|own| self.fleets.contains_key(own));
        for (fleet, planning) in &self.fleets {
            let is_own = own.as_ref() == Some(fleet);
            if is_own {
                claim.own = Some((fleet, self.envoys.get(fleet).map_or(0, Vec::len)));
            }
            let would_serve = planning.failure.is_some() && planning.concerns(fleet, named, Some(object));
            if let Some(failure) = &planning.failure {
                if is_own {
                    claim.faults.push(failure.clone());
                } else if would_serve {
                    claim.remarks.push(format!("{fleet} can be given nothing new: {failure}"));
                }
            }
            add(&mut claim.faults, planning.faults(named));
            add(&mut claim.remarks, planning.remarks(named));
            let held = planning.quarantine.held(named, object);
            let envoys = self.envoys.get(fleet).map(Vec::as_slice).unwrap_or_default();
            let carries = match (&own, named.kind.is_behind_routes()) {
                // A node that has Envoys is told of as what those have.
                (Some(_), true) => is_own,
                // Of others nothing is said but whether they are refused.
                (None, true) => self.has(fleet, planning, named),
                (Some(_) | None, false) => planning.planned.served.contains(named) || would_serve,
            };
            if carries || held.is_some() {
                let since = planning.quarantine.since(named, object);
                let expected = self.expected.get(fleet).map_or(0, |expected| expected.count);
                let number = planning.number;
                claim.fleets.push(Served { fleet, envoys, expected, number, since, held });
            }
        }
        claim
    }

    /// Whether Envoys of a fleet have something that is behind their routes: only they can refuse it.
    fn has(&self, fleet: &Fleet, planning: &Planning, named: &ObjectRef) -> bool {
        self.envoys.contains_key(fleet) && carries(&planning.planned, fleet, named)
    }
}

impl Planning {
    /// Makes the plan anew. `touched` are the objects that have changed.
    fn publish(&mut self, at: &Place<'_>, touched: &BTreeSet<ObjectRef>) {
        let world = at.world;
        let objects = world
            .objects()
            .filter_map(|(named, object)| Some((named.kind, &**self.quarantine.form(named, object)?)));
        let own = at.fleet.object();
        let object = world.get(&own).and_then(|object| self.quarantine.form(&own, object));
        let planned = match (object, at.fleet.role) {
            (Some(object), Role::Gateway) => dataplane::plan(object, world.labels(), objects),
            (Some(object), Role::Sidecar) => dataplane::sidecar(object, objects),
            (None, Role::Gateway | Role::Sidecar) if world.get(&own).is_none() => Err(Reason::Deleted),
            (None, Role::Gateway | Role::Sidecar) => Err(Reason::Refused),
        };
        match planned {
            Ok(planned) => {
                let before = std::mem::replace(&mut self.planned, planned);
                self.failure = None;
                self.send(at);
                let all = touched.iter().filter(|named| may_carry(&self.planned, at.fleet, named));
                for named in all.chain(&before.served).chain(&self.planned.served) {
                    let number = carries(&self.planned, at.fleet, named).then_some(self.number);
                    self.quarantine.publish(named, world.get(named), number);
                }
            }
            Err(reason) => {
                let fleet = at.fleet;
                tracing::warn!(%fleet, %reason, "nothing can be given to it: its Envoys keep what they have");
                self.failure = Some(reason.to_string());
                if let (Some(own), Role::Sidecar) = (world.get(&own), at.fleet.role) {
                    // Its Envoys may serve by the weights of before, whatever that was.
                    let objects = world.objects().map(|(named, object)| (named.kind, &**object));
                    self.planned.served.extend(dataplane::called(own, objects));
                }
                for named in touched.iter().filter(|named| may_carry(&self.planned, at.fleet, named)) {
                    self.quarantine.publish(named, world.get(named), None);
                }
            }
        }
    }

    /// Sends the plan with the endpoints as they are now.
    fn send(&mut self, at: &Place<'_>) {
        let plan = &self.planned.plan;
        let found = at.world.addresses().found(plan);
        let (snapshot, left_out) = Snapshot::of(plan, &found);
        self.left_out = left_out;
        self.services = endpoints::services(plan);
        self.idle.clear();
        for planned in &plan.routes {
            for (destination, cluster) in planned.route.destinations.iter().zip(&planned.clusters) {
                let endpoints = plan.clusters.get(cluster).map(|cluster| &cluster.endpoints);
                let Some(Endpoints::Service { namespace, name, .. }) = endpoints else { continue };
                if destination.weight > 0 && found.get(cluster).is_none_or(Vec::is_empty) {
                    let told = format!(
                        "the Service {namespace}/{name} of its target has no ready endpoint: what goes there is answered 503"
                    );
                    self.idle.push((planned.object.clone(), told));
                }
            }
        }
        let number = at.hub.publish(at.fleet, snapshot);
        if number != self.number {
            (self.number, self.since) = (number, at.now);
        }
    }

    /// Whether a change of an object may change the plan.
    fn concerns(&self, fleet: &Fleet, named: &ObjectRef, object: Option<&Arc<Value>>) -> bool {
        let is_own = Fleet::of(named).is_some_and(|of| of == *fleet);
        match (named.kind, fleet.role) {
            (ObjectKind::VirtualGateway, Role::Gateway | Role::Sidecar) => is_own,
            (ObjectKind::GatewayRoute, Role::Gateway) => {
                let is_held = |object: &Arc<Value>| self.quarantine.held(named, object).is_some();
                if self.knows(named) || object.is_some_and(is_held) {
                    return true;
                }
                let reference = GatewayRef {
                    name: fleet.name.clone(),
                    namespace: fleet.namespace.clone(),
                    takes_unclaimed: true,
                };
                object.is_some_and(|object| reference.takes(named.kind, object))
            }
            (ObjectKind::VirtualRouter | ObjectKind::VirtualNode, Role::Sidecar) => {
                is_own || self.leads_to(named)
            }
            (ObjectKind::VirtualService, Role::Gateway | Role::Sidecar)
            | (ObjectKind::VirtualRouter | ObjectKind::VirtualNode, Role::Gateway) => true,
            (ObjectKind::GatewayRoute, Role::Sidecar)
            | (ObjectKind::HttpRoute | ObjectKind::GrpcRoute, Role::Gateway | Role::Sidecar) => false,
        }
    }

    /// Whether a router or a node is behind the backends of a node. In a mesh of many nodes most are not, and each change would
    /// be everybody's. What was left out may be for want of any.
    fn leads_to(&self, named: &ObjectRef) -> bool {
        !self.planned.rejected.is_empty() || self.planned.served.contains(named)
    }

    fn knows(&self, named: &ObjectRef) -> bool {
        let rejected = &self.planned.rejected;
        self.planned.served.contains(named) || rejected.iter().any(|rejected| rejected.object == *named)
    }

    /// Whether an object is held.
    fn holds(&self, world: &World, named: &ObjectRef) -> bool {
        world.get(named).is_some_and(|object| self.quarantine.held(named, object).is_some())
    }

    fn faults<'a>(&'a self, named: &'a ObjectRef) -> impl Iterator<Item = String> + 'a {
        let all = self.planned.rejected.iter().chain(&self.left_out);
        // A tcpRoute that no HTTP gateway could serve is no fault of its router.
        let of = all.filter(|rejected| rejected.object == *named && !matches!(rejected.reason, Reason::Tcp));
        of.map(Rejected::sentence)
    }

    fn remarks<'a>(&'a self, named: &'a ObjectRef) -> impl Iterator<Item = String> + 'a {
        let planned = self.planned.remarks.iter().filter(|remark| remark.object == *named);
        let idle = self.idle.iter().filter(move |(object, _)| object == named);
        planned.map(Rejected::sentence).chain(idle.map(|(_, told)| told.clone()))
    }
}

/// Whether the plan of a fleet has an object in it. A gateway's has all nodes, whatever its routes lead to.
fn carries(planned: &Planned, fleet: &Fleet, named: &ObjectRef) -> bool {
    let is_there_anyway = fleet.role == Role::Gateway && named.kind.is_behind_routes();
    is_there_anyway || planned.served.contains(named)
}

/// Whether it is to be remembered how an object was. Of all those of a mesh few are behind the backends of a node, and there are many
/// nodes.
fn may_carry(planned: &Planned, fleet: &Fleet, named: &ObjectRef) -> bool {
    fleet.role == Role::Gateway || planned.served.contains(named)
}

/// Adds what is not there yet.
fn add(sentences: &mut Vec<String>, more: impl Iterator<Item = String>) {
    for sentence in more {
        if !sentences.contains(&sentence) {
            sentences.push(sentence);
        }
    }
}

fn voter(envoy: &Connected, number: u64) -> Voter {
    Voter { number: envoy.number, has: envoy.has, refusal: envoy.refusal_of(number).map(str::to_owned) }
}
