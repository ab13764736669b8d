//! What the Envoys beside the pods of a virtual node are given: its listeners for what comes to a pod, and the routes of its backends
//! for what the pod sends.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use super::{
    Entrance, Planned,
    cluster::{Cluster, Endpoints, Limits},
    each_listener,
    listener::{limits, spoken},
    mesh,
    nodes::{Nodes, counted},
    raw, spec,
    tls::{self, ClientPolicy, ServerTls},
};
use crate::dataplane::{
    compile::{Backend, ObjectKind, ObjectRef, Reason, Rejected, compile_backends, destination},
    settings,
    table::{Destination, Protocol, Timeout},
};

/// The ports of the Envoy itself: it would connect to itself.
const RESERVED: [u16; 2] = [15000, 15001];

/// A port of a pod.
#[derive(Clone, Debug, PartialEq)]
pub struct Inbound {
    /// The port.
    pub port: u16,
    /// What is spoken there; absent: bytes, of which nothing is known.
    pub protocol: Option<Protocol>,
    /// How it is encrypted on the way to the pod; absent: not at all.
    pub tls: Option<ServerTls>,
    /// How long a request may take; of bytes only the idle time counts.
    pub timeout: Timeout,
    /// The name of the cluster that the pod is.
    pub cluster: String,
}

/// Makes the plan of a node's own Envoys. An error says why they can be given nothing at all.
pub fn sidecar<'a>(
    node: &Value,
    objects: impl IntoIterator<Item = (ObjectKind, &'a Value)>,
) -> Result<Planned, Reason> {
    let own = ObjectRef::of(ObjectKind::VirtualNode, node);
    let raw: raw::Sidecar = spec(node)?;
    let mesh = mesh(raw.mesh);
    let policy = ClientPolicy::default_of(raw.backend_defaults)?;
    let mut nodes = Nodes::new(&mesh, policy, Limits::default());
    let mut behind = Vec::new();
    for (kind, object) in objects {
        match kind {
            ObjectKind::VirtualNode => nodes.add(object),
            ObjectKind::VirtualService | ObjectKind::VirtualRouter => behind.push((kind, object)),
            ObjectKind::VirtualGateway
            | ObjectKind::GatewayRoute
            | ObjectKind::HttpRoute
            | ObjectKind::GrpcRoute => {}
        }
    }
    let listener = |value: &Value| read(value, &mesh, &own);
    let (ports, rejected) = each_listener(&own, &raw.listeners, listener, |(port, _)| port.port);
    let Calls { backends, policies, refused } = calls(&raw.backends, &own.namespace);
    nodes.demand(policies);

    let mut planned = Planned { mesh: mesh.clone(), rejected, ..Planned::default() };
    if !raw.backend_groups.is_empty() {
        let reason = Reason::Unsupported("a group of backends, in place of each in spec.backends,");
        let part = Some("backendGroups".to_owned());
        planned.rejected.push(Rejected { object: own.clone(), part, reason });
    }
    let refused = refused.into_iter().map(|(place, reason)| {
        let part = Some(format!("backend {place}"));
        Rejected { object: own.clone(), part, reason }
    });
    planned.rejected.extend(refused);
    planned.lead(compile_backends(&own, backends, behind), &nodes, ObjectKind::VirtualNode);
    let destinations = planned.plan.routes.iter().flat_map(|planned| &planned.route.destinations);
    // Whether they are there or not: they may come.
    planned.served.extend(destinations.map(behind_route));
    let (inbound, local): (Vec<Inbound>, Vec<Cluster>) = ports.into_iter().unzip();
    let names = inbound.iter().map(|port| port.cluster.clone());
    planned.plan.clusters.extend(names.zip(local));
    planned.plan.entrance = Entrance::Sidecar(inbound);
    planned.served.insert(own);
    Ok(planned)
}

/// The routers and services behind the backends of a node, however it wants to speak to them.
pub fn called<'a>(
    node: &Value,
    objects: impl IntoIterator<Item = (ObjectKind, &'a Value)>,
) -> BTreeSet<ObjectRef> {
    let own = ObjectRef::of(ObjectKind::VirtualNode, node);
    let listed = node["spec"]["backends"].as_array().map(Vec::as_slice).unwrap_or_default();
    compile_backends(&own, calls(listed, &own.namespace).backends, objects).served
}

fn behind_route(to: &Destination) -> ObjectRef {
    ObjectRef { kind: ObjectKind::VirtualNode, namespace: to.namespace.clone(), name: to.target.clone() }
}

/// What a node calls.
struct Calls {
    backends: Vec<Backend>,
    /// What is demanded of the connections to one alone, by the full name of its service.
    policies: BTreeMap<String, ClientPolicy>,
    /// Those that name no service, by their places.
    refused: Vec<(usize, Reason)>,
}

fn calls(listed: &[Value], namespace: &str) -> Calls {
    let (mut backends, mut policies, mut refused) = (Vec::<Backend>::new(), BTreeMap::new(), Vec::new());
    for (place, value) in listed.iter().enumerate() {
        let (service, policy) = match backend(value, namespace) {
            Ok(read) => read,
            Err(reason) => {
                refused.push((place, reason));
                continue;
            }
        };
        if backends.iter().any(|other| other.service == service) {
            refused.push((place, Reason::Conflict("the virtual service is listed before")));
            continue;
        }
        let closed = match ClientPolicy::of(policy) {
            Ok(policy) => {
                policies.extend(policy.map(|policy| (service.service(), policy)));
                None
            }
            // What is demanded cannot be had, and to do without it is not for us to decide.
            Err(reason) => Some(reason),
        };
        backends.push(Backend { service, closed });
    }
    Calls { backends, policies, refused }
}

fn backend(value: &Value, namespace: &str) -> Result<(Destination, Option<raw::ClientPolicy>), Reason> {
    let raw = raw::Backend::deserialize(value)
        .map_err(|source| Reason::Malformed { field: "backends[]".to_owned(), source })?;
    let raw::BackendService { reference, arn, client_policy } = raw.virtual_service;
    match (reference, arn) {
        (Some(reference), None) => Ok((destination(reference, namespace, None, 1), client_policy)),
        (None, Some(_)) => Err(Reason::Arn { arn: "virtualServiceARN", instead: "virtualServiceRef" }),
        (None, None) | (Some(_), Some(_)) => {
            Err(Reason::Conflict("virtualService of a backend takes exactly one virtualServiceRef"))
        }
    }
}

/// A listener, and the pod's own port behind it. Whether the pod is well, those ask that call it.
fn read(value: &Value, mesh: &str, node: &ObjectRef) -> Result<(Inbound, Cluster), Reason> {
    let raw = raw::Listener::deserialize(value)
        .map_err(|source| Reason::Malformed { field: "listeners[]".to_owned(), source })?;
    let raw::PortMapping { port, protocol: named } = raw.port_mapping;
    if RESERVED.contains(&port) {
        return Err(Reason::Reserved(port));
    }
    let protocol = spoken(named);
    let timeouts = raw.timeout.and_then(|timeout| match named {
        raw::Spoken::Http => timeout.http,
        raw::Spoken::Http2 => timeout.http2,
        raw::Spoken::Grpc => timeout.grpc,
        raw::Spoken::Tcp => timeout.tcp,
    });
    let label = protocol.map_or("tcp", Protocol::label);
    let full = counted(&node.name, &node.namespace);
    let inbound = Inbound {
        port,
        protocol,
        tls: raw.tls.map(tls::server).transpose()?.flatten(),
        timeout: timeouts.as_ref().map(settings::timeout).unwrap_or_default(),
        cluster: format!("cds_ingress_{mesh}_{full}_{label}_{port}"),
    };
    let cluster = Cluster {
        protocol: protocol.unwrap_or(Protocol::Http),
        endpoints: Endpoints::Local { port },
        tls: None,
        health: None,
        limits: limits(raw.connection_pool),
        outliers: None,
    };
    Ok((inbound, cluster))
}

#[cfg(test)]
mod tests;
