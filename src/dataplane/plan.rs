//! All that the Envoys of one virtual gateway, or those beside the pods of one virtual node, are given, out of the mesh's objects.
//!
//! [`compile`](super::compile()) makes the routes; here come the ports that they are reached by and the nodes that they lead to.
//! A part that cannot be made is left out alone and told with its reason. A destination that leads nowhere is a
//! cluster without endpoints, not a route that is gone: the others keep their shares, and one of weight 0 harms nobody.

mod cluster;
mod listener;
mod membership;
mod nodes;
mod raw;
mod sidecar;
mod tls;
mod twins;

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;
use serde_json::Value;

pub use self::{
    cluster::{Cluster, Endpoints, HealthCheck, Limits, Outliers, Probe},
    listener::Listener,
    sidecar::{Inbound, called, sidecar},
    tls::{Authorities, Certificate, ClientTls, ServerTls, Trust},
};
use self::{membership::Membership, nodes::Nodes, tls::ClientPolicy};
use super::{
    compile::{Compiled, GatewayRef, ObjectKind, ObjectRef, Reason, Rejected, compile},
    table::{Destination, Route},
};

/// Labels of an object.
pub type Labels = BTreeMap<String, String>;

/// What the Envoys of a gateway, or of a node, are given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// What takes requests.
    pub entrance: Entrance,
    /// The routes, in the order in which they are tried; every port has all of them.
    pub routes: Vec<PlannedRoute>,
    /// What the routes lead to, by name. Of a gateway the other nodes of their namespaces too: one of those may be the next version,
    /// and an Envoy takes a moment to find the endpoints of a cluster that it has just heard of, and to see that they are well.
    pub clusters: BTreeMap<String, Cluster>,
}

/// What takes requests.
#[derive(Clone, Debug, PartialEq)]
pub enum Entrance {
    /// A gateway's ports, each another; their requests go by the routes.
    Gateway(Vec<Listener>),
    /// An Envoy beside a pod takes what the pod sends, which goes by the routes or else where it was going, and what comes to these
    /// ports of the pod, each another.
    Sidecar(Vec<Inbound>),
}

/// A route and its clusters.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedRoute {
    /// The object that it is of.
    pub object: ObjectRef,
    /// The route.
    pub route: Route,
    /// The name of the cluster of each of its destinations, in their order.
    pub clusters: Vec<String>,
    /// The same of its mirrors.
    pub mirrors: Vec<String>,
}

/// A plan, and what became of the objects.
#[derive(Debug, Default)]
pub struct Planned {
    /// The mesh's name.
    pub mesh: String,
    /// The plan.
    pub plan: Plan,
    /// The objects that it serves, whole or in part. Of the services and nodes behind routes a node's own plan has those that it leads
    /// to, and a gateway's none: it has the nodes of whole namespaces.
    pub served: BTreeSet<ObjectRef>,
    /// Others behind its routes that would change it if they changed.
    pub watched: BTreeSet<ObjectRef>,
    /// What was left out.
    pub rejected: Vec<Rejected>,
    /// What is served and does not do what its writer will have meant: a target that leads nowhere, a route that another one
    /// hides.
    pub remarks: Vec<Rejected>,
}

/// Where a gateway names no mesh: AWS's webhook writes the name of the one that its namespace is of.
const NO_MESH: &str = "mesh";

/// Makes the plan of a gateway. `namespaces` are the labels of each namespace, which the gateway's selector reads. Objects that
/// are not for it are passed over in silence. An error says why it can be given nothing at all.
pub fn plan<'a>(
    gateway: &Value,
    namespaces: &BTreeMap<String, Labels>,
    objects: impl IntoIterator<Item = (ObjectKind, &'a Value)>,
) -> Result<Planned, Reason> {
    let own = ObjectRef::of(ObjectKind::VirtualGateway, gateway);
    let raw: raw::Gateway = spec(gateway)?;
    let reference =
        GatewayRef { name: own.name.clone(), namespace: own.namespace.clone(), takes_unclaimed: true };
    let members = Membership::read(&reference, raw.namespace_selector, raw.route_selector)?;
    let policy = ClientPolicy::default_of(raw.backend_defaults)?;
    let mesh = mesh(raw.mesh);
    let Ports { open, limits, rejected } = ports(&own, &raw.listeners);

    let mut nodes = Nodes::new(&mesh, policy, limits);
    let mut routed = Vec::new();
    for (kind, object) in objects {
        match kind {
            ObjectKind::VirtualNode => nodes.add(object),
            ObjectKind::GatewayRoute if members.takes(object, namespaces) => routed.push((kind, object)),
            ObjectKind::VirtualService | ObjectKind::VirtualRouter => routed.push((kind, object)),
            ObjectKind::GatewayRoute
            | ObjectKind::VirtualGateway
            | ObjectKind::HttpRoute
            | ObjectKind::GrpcRoute => {}
        }
    }
    let compiled = compile(&reference, routed);
    let mut planned = Planned { mesh, rejected, ..Planned::default() };
    planned.plan.entrance = Entrance::Gateway(open);
    planned.lead(compiled, &nodes, ObjectKind::GatewayRoute);
    let namespaces = planned.plan.routes.iter().map(|planned| planned.route.namespace.clone()).collect();
    planned.plan.clusters.extend(nodes.of_namespaces(&namespaces));
    planned.tell_twins();
    planned.served.insert(own);
    Ok(planned)
}

/// What an object is to be.
fn spec<T: DeserializeOwned>(object: &Value) -> Result<T, Reason> {
    serde_path_to_error::deserialize(&object["spec"])
        .map_err(|error| Reason::Malformed { field: error.path().to_string(), source: error.into_inner() })
}

fn mesh(named: Option<raw::MeshRef>) -> String {
    named.map_or_else(|| NO_MESH.to_owned(), |mesh| mesh.name)
}

/// The listeners of a gateway.
struct Ports {
    open: Vec<Listener>,
    limits: Limits,
    rejected: Vec<Rejected>,
}

fn ports(gateway: &ObjectRef, listeners: &[Value]) -> Ports {
    let (read, rejected) = each_listener(gateway, listeners, listener::read, |read| read.listener.port);
    let limits = read.iter().map(|read| read.limits).find(|limits| *limits != Limits::default());
    let open = read.into_iter().map(|read| read.listener).collect();
    Ports { open, limits: limits.unwrap_or_default(), rejected }
}

/// Reads the listeners of an object, each by itself and each port once.
fn each_listener<T>(
    object: &ObjectRef,
    listeners: &[Value],
    read: impl Fn(&Value) -> Result<T, Reason>,
    port: impl Fn(&T) -> u16,
) -> (Vec<T>, Vec<Rejected>) {
    let (mut open, mut rejected) = (Vec::new(), Vec::new());
    for (place, value) in listeners.iter().enumerate() {
        let read = read(value).and_then(|read| {
            let taken = open.iter().any(|other| port(other) == port(&read));
            if taken { Err(Reason::Conflict("another listener has the same port")) } else { Ok(read) }
        });
        match read {
            Ok(read) => open.push(read),
            Err(reason) => {
                let port = value.pointer("/portMapping/port").and_then(Value::as_u64);
                let named = format!("listener {}", port.unwrap_or(place as u64));
                rejected.push(Rejected { object: object.clone(), part: Some(named), reason });
            }
        }
    }
    (open, rejected)
}

impl Default for Entrance {
    fn default() -> Self {
        Self::Gateway(Vec::new())
    }
}

impl Planned {
    /// Takes the compiled routes, and finds what each of their destinations leads to.
    fn lead(&mut self, compiled: Compiled, nodes: &Nodes<'_>, of: ObjectKind) {
        for route in compiled.table.routes {
            let (namespace, name) = (route.namespace.clone(), route.name.clone());
            let object = ObjectRef { kind: of, namespace, name };
            let (clusters, mirrors) = (Vec::new(), Vec::new());
            let mut planned = PlannedRoute { object: object.clone(), route, clusters, mirrors };
            let mut cluster = |destination: &Destination| {
                let resolved = nodes.resolve(destination, planned.route.protocol);
                let mut name = resolved.name;
                match (resolved.nowhere, self.plan.clusters.get(&name), &destination.virtual_service) {
                    (Some(reason), _, _) => self.remark(&object, reason),
                    // By two services, of whose connections other things are demanded: neither may have the other's.
                    (None, Some(known), Some(service)) if *known != resolved.cluster => {
                        name = format!("{name}_{}", service.replace('.', "_"));
                        self.remark(&object, Reason::Apart { service: service.clone(), name: name.clone() });
                    }
                    (None, Some(_) | None, Some(_) | None) => {}
                }
                self.plan.clusters.insert(name.clone(), resolved.cluster);
                name
            };
            planned.clusters = planned.route.destinations.iter().map(&mut cluster).collect();
            planned.mirrors = planned.route.mirrors.iter().map(|mirror| cluster(&mirror.to)).collect();
            // One without any stands for what cannot be made, and that is told by itself.
            let destinations = &planned.route.destinations;
            if !destinations.is_empty() && destinations.iter().all(|destination| destination.weight == 0) {
                self.remark(&object, Reason::NoWeight);
            }
            self.plan.routes.push(planned);
        }
        self.served.extend(compiled.served);
        self.watched.extend(compiled.watched);
        self.rejected.extend(compiled.rejected);
    }

    fn tell_twins(&mut self) {
        let routes: Vec<&Route> = self.plan.routes.iter().map(|planned| &planned.route).collect();
        let told = twins::twins(&routes).into_iter().filter_map(|(first, hidden)| {
            let (first, hidden) = (self.plan.routes.get(first)?, self.plan.routes.get(hidden)?);
            Some((hidden.object.clone(), Reason::Hidden(first.object.path())))
        });
        let told: Vec<_> = told.collect();
        for (object, reason) in told {
            self.remark(&object, reason);
        }
    }

    /// Notes a remark once: the routes behind a router repeat what is true of all.
    fn remark(&mut self, object: &ObjectRef, reason: Reason) {
        let sentence = reason.to_string();
        let known = |remark: &Rejected| remark.object == *object && remark.reason.to_string() == sentence;
        if !self.remarks.iter().any(known) {
            self.remarks.push(Rejected { object: object.clone(), part: None, reason });
        }
    }
}

#[cfg(test)]
mod tests;
