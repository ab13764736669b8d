//! The plan of one fleet: made anew when something changes that concerns it, and published.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use serde_json::Value;

use super::{
    endpoints::{self, Service},
    quarantine::Quarantine,
    world::World,
};
use crate::{
    dataplane::{self, Endpoints, GatewayRef, ObjectKind, ObjectRef, Planned, Reason, Rejected},
    xds::{Fleet, Hub, Role, Snapshot},
};

/// One fleet's plan, and what became of it.
#[derive(Default)]
pub(super) struct Planning {
    pub(super) planned: Planned,
    /// What Envoy cannot be given.
    left_out: Vec<Rejected>,
    /// Why there is no plan; Envoys keep the one before.
    pub(super) failure: Option<String>,
    /// Routes whose targets have no endpoint.
    idle: Vec<(ObjectRef, String)>,
    /// Those that it takes endpoints of.
    pub(super) services: BTreeSet<Service>,
    /// The number of the publication, and since when there is that.
    pub(super) number: u64,
    pub(super) since: Duration,
    pub(super) quarantine: Quarantine,
}

/// Where a fleet's plan is made, and of what.
pub(super) struct Site<'a> {
    pub(super) hub: &'a Hub,
    pub(super) fleet: &'a Fleet,
    pub(super) world: &'a World,
    pub(super) now: Duration,
}

impl Planning {
    /// Makes the plan anew. `touched` are the objects that have changed.
    pub(super) fn publish(&mut self, at: &Site<'_>, touched: &BTreeSet<ObjectRef>) {
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
    pub(super) fn send(&mut self, at: &Site<'_>) {
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
    pub(super) fn concerns(&self, fleet: &Fleet, named: &ObjectRef, object: Option<&Arc<Value>>) -> bool {
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
        let Planned { rejected, served, watched, .. } = &self.planned;
        !rejected.is_empty() || served.contains(named) || watched.contains(named)
    }

    pub(super) fn knows(&self, named: &ObjectRef) -> bool {
        let rejected = &self.planned.rejected;
        self.planned.served.contains(named) || rejected.iter().any(|rejected| rejected.object == *named)
    }

    /// Whether an object is held.
    pub(super) fn holds(&self, world: &World, named: &ObjectRef) -> bool {
        world.get(named).is_some_and(|object| self.quarantine.held(named, object).is_some())
    }

    pub(super) fn faults<'a>(&'a self, named: &'a ObjectRef) -> impl Iterator<Item = String> + 'a {
        let all = self.planned.rejected.iter().chain(&self.left_out);
        // A tcpRoute that no HTTP gateway could serve is no fault of its router.
        let of = all.filter(|rejected| rejected.object == *named && !matches!(rejected.reason, Reason::Tcp));
        of.map(Rejected::sentence)
    }

    pub(super) fn remarks<'a>(&'a self, named: &'a ObjectRef) -> impl Iterator<Item = String> + 'a {
        let planned = self.planned.remarks.iter().filter(|remark| remark.object == *named);
        let idle = self.idle.iter().filter(move |(object, _)| object == named);
        planned.map(Rejected::sentence).chain(idle.map(|(_, told)| told.clone()))
    }
}

/// Whether the plan of a fleet has an object in it. A gateway's has all nodes, whatever its routes lead to.
pub(super) fn carries(planned: &Planned, fleet: &Fleet, named: &ObjectRef) -> bool {
    let is_there_anyway = fleet.role == Role::Gateway && named.kind.is_behind_routes();
    is_there_anyway || planned.served.contains(named)
}

/// Whether it is to be remembered how an object was. Of all those of a mesh few are behind the backends of a node, and there are many
/// nodes.
fn may_carry(planned: &Planned, fleet: &Fleet, named: &ObjectRef) -> bool {
    fleet.role == Role::Gateway || planned.served.contains(named)
}
