//! What the Envoys beside the pods of a virtual node are given: its listeners for what comes to a pod, and the routes of its backends
//! for what the pod sends.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{
    Entrance, Planned,
    cluster::{Cluster, Endpoints, Limits},
    listener::{limits, spoken},
    mesh,
    nodes::Nodes,
    raw, spec,
    tls::{self, ClientPolicy, ServerTls},
};
use crate::dataplane::{
    compile::{ObjectKind, ObjectRef, Reason, Rejected, compile_backends, destination},
    settings,
    table::{Destination, Protocol, Timeout},
};

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
    let mut planned = Planned { mesh, ..Planned::default() };
    let mut reject = |part: String, reason| {
        planned.rejected.push(Rejected { object: own.clone(), part: Some(part), reason });
    };
    if !raw.backend_groups.is_empty() {
        reject(
            "backendGroups".to_owned(),
            Reason::Unsupported("a group of backends, in place of each in spec.backends,"),
        );
    }
    let (mut backends, mut policies) = (Vec::new(), BTreeMap::new());
    for (place, value) in raw.backends.iter().enumerate() {
        match backend(value, &own.namespace) {
            Ok((service, policy)) => {
                policies.extend(policy.map(|policy| (service.service(), policy)));
                backends.push(service);
            }
            Err(reason) => reject(format!("backend {place}"), reason),
        }
    }
    let (mut inbound, mut local) = (Vec::<Inbound>::new(), Vec::new());
    for (place, value) in raw.listeners.iter().enumerate() {
        let read = read(value, &planned.mesh, &own).and_then(|(port, cluster)| {
            let is_taken = inbound.iter().any(|other| other.port == port.port);
            if is_taken {
                Err(Reason::Conflict("another listener has the same port"))
            } else {
                Ok((port, cluster))
            }
        });
        match read {
            Ok((port, cluster)) => {
                local.push((port.cluster.clone(), cluster));
                inbound.push(port);
            }
            Err(reason) => {
                let port = value.pointer("/portMapping/port").and_then(Value::as_u64);
                reject(format!("listener {}", port.unwrap_or(place as u64)), reason);
            }
        }
    }
    nodes.demand(policies);
    let compiled = compile_backends(&own, backends, behind);
    planned.lead(compiled, &nodes, ObjectKind::VirtualNode);
    let destinations = planned.plan.routes.iter().flat_map(|planned| &planned.route.destinations);
    // Whether they are there or not: they may come.
    planned.served.extend(destinations.map(|to| ObjectRef {
        kind: ObjectKind::VirtualNode,
        namespace: to.namespace.clone(),
        name: to.target.clone(),
    }));
    planned.plan.clusters.extend(local);
    planned.plan.entrance = Entrance::Sidecar(inbound);
    planned.served.insert(own);
    Ok(planned)
}

/// A backend, and what is demanded of the connections to it alone.
fn backend(value: &Value, namespace: &str) -> Result<(Destination, Option<ClientPolicy>), Reason> {
    let raw = raw::Backend::deserialize(value)
        .map_err(|source| Reason::Malformed { field: "backends[]".to_owned(), source })?;
    let raw::BackendService { reference, arn, client_policy } = raw.virtual_service;
    let service = match (reference, arn) {
        (Some(reference), None) => destination(reference, namespace, None, 1),
        (None, Some(_)) => {
            return Err(Reason::Arn { arn: "virtualServiceARN", instead: "virtualServiceRef" });
        }
        (None, None) | (Some(_), Some(_)) => {
            return Err(Reason::Conflict("virtualService of a backend takes exactly one virtualServiceRef"));
        }
    };
    Ok((service, ClientPolicy::of(client_policy)?))
}

/// A listener, and the pod's own port behind it. Whether the pod is well, those ask that call it.
fn read(value: &Value, mesh: &str, node: &ObjectRef) -> Result<(Inbound, Cluster), Reason> {
    let raw = raw::Listener::deserialize(value)
        .map_err(|source| Reason::Malformed { field: "listeners[]".to_owned(), source })?;
    let raw::PortMapping { port, protocol: named } = raw.port_mapping;
    let protocol = spoken(named);
    let timeouts = raw.timeout.and_then(|timeout| match named {
        raw::Spoken::Http => timeout.http,
        raw::Spoken::Http2 => timeout.http2,
        raw::Spoken::Grpc => timeout.grpc,
        raw::Spoken::Tcp => timeout.tcp,
    });
    let label = protocol.map_or("tcp", Protocol::label);
    let full = format!("{}_{}", node.name, node.namespace).replace('.', "_");
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
