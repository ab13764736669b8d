//! The plan of each gateway, made anew when something changes that concerns it, and what became of the objects in it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::Value;

use super::{
    endpoints::{self, Service},
    evidence::{Claim, Served, is_told},
    quarantine::{Quarantine, Voter, generation},
    world::{Touched, World},
};
use crate::{
    dataplane::{self, Endpoints, GatewayRef, ObjectKind, ObjectRef, Planned, Reason, Rejected},
    xds::{Connected, Gateway, Hub, Snapshot},
};

/// The plans of all gateways.
pub struct Plans {
    hub: Hub,
    gateways: BTreeMap<Gateway, Planning>,
    envoys: BTreeMap<Gateway, Vec<Connected>>,
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
    /// The number of the publication.
    number: u64,
    quarantine: Quarantine,
}

impl Plans {
    /// None yet. What is made is published there.
    pub fn new(hub: Hub) -> Self {
        Self { hub, gateways: BTreeMap::new(), envoys: BTreeMap::new() }
    }

    /// Takes in what may have changed: gateways that it concerns are published anew.
    pub fn follow(&mut self, world: &World, touched: &Touched) {
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
            if !self.gateways.contains_key(&gateway) {
                let all = world.objects().map(|(named, _)| named.clone()).collect();
                self.gateways
                    .entry(gateway.clone())
                    .or_default()
                    .publish(&self.hub, &gateway, own, world, &all);
                continue;
            }
            let Some(planning) = self.gateways.get_mut(&gateway) else { continue };
            let concerned = touched.namespaces
                || touched.objects.iter().any(|named| planning.concerns(&gateway, named, world.get(named)));
            if concerned {
                planning.publish(&self.hub, &gateway, own, world, &touched.objects);
            } else if !planning.services.is_disjoint(&touched.services) {
                planning.send(&self.hub, &gateway, world);
            }
        }
    }

    /// Hears what the Envoys say: an object that they refuse is taken out of the plan, or back.
    pub fn hear(&mut self, world: &World) {
        self.envoys.clear();
        for envoy in self.hub.all_envoys() {
            self.envoys.entry(envoy.gateway.clone()).or_default().push(envoy);
        }
        for (gateway, planning) in &mut self.gateways {
            let envoys = self.envoys.get(gateway).map(Vec::as_slice).unwrap_or_default();
            let voters: Vec<Voter> = envoys.iter().map(voter).collect();
            let changed = planning.quarantine.hear(&voters, planning.number);
            if changed.is_empty() {
                continue;
            }
            let names: Vec<String> = changed.iter().map(ObjectRef::path).collect();
            tracing::warn!(%gateway, objects = names.join(", "), "Envoy refuses something: these are served otherwise now");
            let own = own(gateway);
            planning.publish(&self.hub, gateway, &own, world, &changed);
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
                    || plans.any(|planning| planning.quarantine.held(named).is_some())
            }
            ObjectKind::HttpRoute | ObjectKind::GrpcRoute => false,
        }
    }

    /// What is known of an object.
    pub fn claim(&self, named: &ObjectRef, object: &Value) -> Claim<'_> {
        let mut claim = Claim { generation: generation(object), ..Claim::default() };
        for (gateway, planning) in &self.gateways {
            let own = named.kind == ObjectKind::VirtualGateway && gateway == &self::gateway(named);
            claim.faults.extend(planning.failure.iter().filter(|_| own).cloned());
            add(&mut claim.faults, planning.faults(named));
            add(&mut claim.remarks, planning.remarks(named));
            let held = planning.quarantine.held(named);
            let carries = match named.kind {
                ObjectKind::VirtualNode | ObjectKind::VirtualService => true,
                ObjectKind::VirtualGateway
                | ObjectKind::GatewayRoute
                | ObjectKind::VirtualRouter
                | ObjectKind::HttpRoute
                | ObjectKind::GrpcRoute => planning.planned.served.contains(named),
            };
            if carries || held.is_some() {
                let envoys = self.envoys.get(gateway).map(Vec::as_slice).unwrap_or_default();
                let since = planning.quarantine.carried(named).and_then(|carried| carried.since);
                let is_of_now = |since: &u64| *since <= planning.number;
                claim.gateways.push(Served { gateway, envoys, since: since.filter(is_of_now), held });
            }
        }
        claim
    }
}

impl Planning {
    /// Makes the plan anew. `touched` are the objects that have changed.
    fn publish(
        &mut self,
        hub: &Hub,
        gateway: &Gateway,
        own: &ObjectRef,
        world: &World,
        touched: &BTreeSet<ObjectRef>,
    ) {
        let objects = world
            .objects()
            .filter_map(|(named, object)| Some((named.kind, &**self.quarantine.form(named, object)?)));
        let Some(object) = world.get(own).and_then(|object| self.quarantine.form(own, object)) else {
            return;
        };
        match dataplane::plan(object, world.labels(), objects) {
            Ok(planned) => {
                (self.planned, self.failure) = (planned, None);
                self.send(hub, gateway, world);
                for named in touched.iter().chain(&self.planned.served) {
                    self.quarantine.publish(named, world.get(named), self.number);
                }
            }
            Err(reason) => {
                let told = reason.to_string();
                tracing::warn!(%gateway, reason = told, "a gateway can be given nothing: its Envoys keep what they have");
                self.failure = Some(told);
            }
        }
    }

    /// Sends the plan with the endpoints as they are now.
    fn send(&mut self, hub: &Hub, gateway: &Gateway, world: &World) {
        let plan = &self.planned.plan;
        let found = world.addresses().found(plan);
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
        self.number = hub.publish(gateway, snapshot);
    }

    /// Whether a change of an object may change the plan.
    fn concerns(&self, gateway: &Gateway, named: &ObjectRef, object: Option<&Arc<Value>>) -> bool {
        match named.kind {
            ObjectKind::VirtualGateway => self::gateway(named) == *gateway,
            ObjectKind::GatewayRoute => {
                let reference = GatewayRef {
                    name: gateway.name.clone(),
                    namespace: gateway.namespace.clone(),
                    takes_unclaimed: true,
                };
                self.knows(named) || object.is_some_and(|object| reference.takes(named.kind, object))
            }
            ObjectKind::VirtualService | ObjectKind::VirtualRouter | ObjectKind::VirtualNode => true,
            ObjectKind::HttpRoute | ObjectKind::GrpcRoute => false,
        }
    }

    fn knows(&self, named: &ObjectRef) -> bool {
        let rejected = &self.planned.rejected;
        self.planned.served.contains(named)
            || rejected.iter().any(|rejected| rejected.object == *named)
            || self.quarantine.held(named).is_some()
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

fn voter(envoy: &Connected) -> Voter {
    Voter { number: envoy.number, has: envoy.has, refusal: envoy.refusals.values().next().cloned() }
}
