//! The plan of each gateway, made anew when something changes that concerns it, and what became of the objects in it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use serde_json::Value;

use super::{
    endpoints::{self, Service},
    evidence::{Claim, FLAPPING, Served, is_told, told_envoys},
    quarantine::{Quarantine, Voter, generation},
    world::{Touched, World},
};
use crate::{
    dataplane::{self, Endpoints, GatewayRef, ObjectKind, ObjectRef, Planned, Reason, Rejected},
    xds::{Connected, Gateway, Hub, Snapshot},
};

/// So long it is waited for an Envoy's answer before the others' is acted on.
const TOO_LONG: Duration = Duration::from_secs(2);

/// The plans of all gateways.
pub struct Plans {
    hub: Hub,
    gateways: BTreeMap<Gateway, Planning>,
    envoys: BTreeMap<Gateway, Vec<Connected>>,
    /// How many Envoys each gateway had before this process led, and until when they may still be on their way.
    expected: BTreeMap<Gateway, usize>,
    expected_until: Duration,
}

/// One gateway's.
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

/// Where a gateway's plan is made, and of what.
struct Place<'a> {
    hub: &'a Hub,
    gateway: &'a Gateway,
    /// The gateway's own object.
    own: &'a ObjectRef,
    world: &'a World,
    now: Duration,
}

impl Plans {
    /// None yet. What is made is published there.
    pub fn new(hub: Hub) -> Self {
        let (expected, expected_until) = (BTreeMap::new(), Duration::ZERO);
        Self { hub, gateways: BTreeMap::new(), envoys: BTreeMap::new(), expected, expected_until }
    }

    /// From now on this process leads: the Envoys of the one before come to it, each in its own time.
    pub fn lead(&mut self, world: &World, now: Duration) {
        let had = world.of_kind(ObjectKind::VirtualGateway).map(|(own, object)| {
            let gateway = gateway(own);
            let count = told_envoys(&gateway, &object["status"]);
            (gateway, count)
        });
        self.expected = had.collect();
        self.expected_until = now + FLAPPING;
    }

    /// Takes in what may have changed: gateways that it concerns are published anew.
    pub fn follow(&mut self, world: &World, touched: &Touched, now: Duration) {
        let present: BTreeMap<Gateway, &ObjectRef> =
            world.of_kind(ObjectKind::VirtualGateway).map(|(own, _)| (gateway(own), own)).collect();
        self.gateways.retain(|known, _| {
            let stays = present.contains_key(known);
            if !stays {
                tracing::info!(gateway = %known, "a gateway is gone: its Envoys keep what they have");
                self.hub.forget(known);
            }
            stays
        });
        for (gateway, own) in present {
            let at = Place { hub: &self.hub, gateway: &gateway, own, world, now };
            if !self.gateways.contains_key(&gateway) {
                let all = world.objects().map(|(named, _)| named.clone()).collect();
                self.gateways.entry(gateway.clone()).or_default().publish(&at, &all);
                continue;
            }
            let Some(planning) = self.gateways.get_mut(&gateway) else { continue };
            let concerned = touched.namespaces
                || touched.objects.iter().any(|named| planning.concerns(&gateway, named, world.get(named)));
            if concerned {
                planning.publish(&at, &touched.objects);
            } else if touched.all_services || !planning.services.is_disjoint(&touched.services) {
                planning.send(&at);
            }
        }
    }

    /// Hears what the Envoys say: an object that they refuse is taken out of the plan, or back.
    pub fn hear(&mut self, world: &World, now: Duration) {
        if now >= self.expected_until {
            self.expected.clear();
        }
        self.envoys.clear();
        for envoy in self.hub.envoys() {
            self.envoys.entry(envoy.gateway.clone()).or_default().push(envoy);
        }
        for (gateway, planning) in &mut self.gateways {
            let envoys = self.envoys.get(gateway).map(Vec::as_slice).unwrap_or_default();
            let number = planning.number;
            let voters: Vec<Voter> = envoys.iter().map(|envoy| voter(envoy, number)).collect();
            let too_long = now.saturating_sub(planning.since) >= TOO_LONG;
            let changed = planning.quarantine.hear(&voters, number, too_long);
            if changed.is_empty() {
                continue;
            }
            let names: Vec<String> = changed.iter().map(ObjectRef::path).collect();
            tracing::warn!(%gateway, objects = names.join(", "), "Envoy refuses something: these are served otherwise now");
            let own = own(gateway);
            planning.publish(&Place { hub: &self.hub, gateway, own: &own, world, now }, &changed);
        }
    }

    /// The objects of which something is to be said.
    pub fn named(&self, world: &World) -> BTreeSet<ObjectRef> {
        world.objects().map(|(named, _)| named).filter(|named| self.tells_of(world, named)).cloned().collect()
    }

    /// Whether something is to be said of an object: of routes and gateways always, of routers that are led to, and of others only
    /// where Envoy refuses them.
    pub fn tells_of(&self, world: &World, named: &ObjectRef) -> bool {
        let mut plans = self.gateways.values();
        match named.kind {
            ObjectKind::GatewayRoute | ObjectKind::VirtualGateway => true,
            ObjectKind::VirtualRouter => plans.any(|planning| planning.knows(named)),
            ObjectKind::VirtualNode | ObjectKind::VirtualService => {
                world.get(named).is_some_and(|object| is_told(named.kind, &object["status"]))
                    || plans.any(|planning| planning.holds(world, named))
            }
            ObjectKind::HttpRoute | ObjectKind::GrpcRoute => false,
        }
    }

    /// What is known of an object.
    pub fn claim(&self, named: &ObjectRef, object: &Arc<Value>) -> Claim<'_> {
        let mut claim = Claim { generation: generation(object), ..Claim::default() };
        for (gateway, planning) in &self.gateways {
            let own = named.kind == ObjectKind::VirtualGateway && gateway == &self::gateway(named);
            let would_serve = planning.failure.is_some() && planning.concerns(gateway, named, Some(object));
            if let Some(failure) = &planning.failure {
                if own {
                    claim.faults.push(failure.clone());
                } else if would_serve {
                    claim.remarks.push(format!("{gateway} can be given nothing new: {failure}"));
                }
            }
            add(&mut claim.faults, planning.faults(named));
            add(&mut claim.remarks, planning.remarks(named));
            let held = planning.quarantine.held(named, object);
            let envoys = self.envoys.get(gateway).map(Vec::as_slice).unwrap_or_default();
            let carries = if named.kind.is_behind_routes() {
                // Of these nothing is said but whether they are refused, and only an Envoy can.
                !envoys.is_empty()
            } else {
                planning.planned.served.contains(named) || would_serve
            };
            if carries || held.is_some() {
                let since = planning.quarantine.since(named, object);
                let expected = self.expected.get(gateway).copied().unwrap_or_default();
                claim.gateways.push(Served {
                    gateway,
                    envoys,
                    expected,
                    number: planning.number,
                    since,
                    held,
                });
            }
        }
        claim
    }
}

impl Planning {
    /// Makes the plan anew. `touched` are the objects that have changed.
    fn publish(&mut self, at: &Place<'_>, touched: &BTreeSet<ObjectRef>) {
        let world = at.world;
        let objects = world
            .objects()
            .filter_map(|(named, object)| Some((named.kind, &**self.quarantine.form(named, object)?)));
        let object = world.get(at.own).and_then(|object| self.quarantine.form(at.own, object));
        let planned = match object {
            Some(object) => {
                dataplane::plan(object, world.labels(), objects).map_err(|reason| reason.to_string())
            }
            None => Err("Envoy refuses it, and has had nothing else before".to_owned()),
        };
        match planned {
            Ok(planned) => {
                let before = std::mem::replace(&mut self.planned, planned);
                self.failure = None;
                self.send(at);
                let served = &self.planned.served;
                for named in touched.iter().chain(&before.served).chain(served) {
                    let is_served = named.kind.is_behind_routes() || served.contains(named);
                    self.quarantine.publish(named, world.get(named), is_served.then_some(self.number));
                }
            }
            Err(told) => {
                let gateway = at.gateway;
                tracing::warn!(%gateway, reason = told, "a gateway can be given nothing: its Envoys keep what they have");
                self.failure = Some(told);
                for named in touched {
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
                    self.idle.push((planned.object(), told));
                }
            }
        }
        let number = at.hub.publish(at.gateway, snapshot);
        if number != self.number {
            (self.number, self.since) = (number, at.now);
        }
    }

    /// Whether a change of an object may change the plan.
    fn concerns(&self, gateway: &Gateway, named: &ObjectRef, object: Option<&Arc<Value>>) -> bool {
        match named.kind {
            ObjectKind::VirtualGateway => self::gateway(named) == *gateway,
            ObjectKind::GatewayRoute => {
                let is_held = |object: &Arc<Value>| self.quarantine.held(named, object).is_some();
                if self.knows(named) || object.is_some_and(is_held) {
                    return true;
                }
                let reference = GatewayRef {
                    name: gateway.name.clone(),
                    namespace: gateway.namespace.clone(),
                    takes_unclaimed: true,
                };
                object.is_some_and(|object| reference.takes(named.kind, object))
            }
            ObjectKind::VirtualService | ObjectKind::VirtualRouter | ObjectKind::VirtualNode => true,
            ObjectKind::HttpRoute | ObjectKind::GrpcRoute => false,
        }
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

/// Adds what is not there yet.
fn add(sentences: &mut Vec<String>, more: impl Iterator<Item = String>) {
    for sentence in more {
        if !sentences.contains(&sentence) {
            sentences.push(sentence);
        }
    }
}

fn gateway(own: &ObjectRef) -> Gateway {
    Gateway { namespace: own.namespace.clone(), name: own.name.clone() }
}

fn own(gateway: &Gateway) -> ObjectRef {
    let Gateway { namespace, name } = gateway.clone();
    ObjectRef { kind: ObjectKind::VirtualGateway, namespace, name }
}

fn voter(envoy: &Connected, number: u64) -> Voter {
    Voter { number: envoy.number, has: envoy.has, refusal: envoy.refusal_of(number).map(str::to_owned) }
}
