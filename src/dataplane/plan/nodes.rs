//! The virtual nodes that routes lead to.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::Deserialize;
use serde_json::Value;

use super::{
    cluster::{Cluster, Endpoints, HealthCheck, Limits, Outliers, Probe},
    listener::{limits, spoken},
    raw,
    tls::ClientPolicy,
};
use crate::dataplane::{
    compile::{ObjectKind, ObjectRef, Reason},
    lazy::Lazy,
    settings,
    table::{Destination, Protocol},
};

/// What nodes there are, and how they are spoken to.
pub(super) struct Nodes<'a> {
    /// By namespace and name.
    known: BTreeMap<(String, String), Lazy<'a, Result<raw::Node, serde_json::Error>>>,
    mesh: String,
    policy: Option<ClientPolicy>,
    /// Instead of that one, by the full name of the virtual service that a node is reached by.
    policies: BTreeMap<String, ClientPolicy>,
    limits: Limits,
}

/// What a destination leads to.
pub(super) struct Resolved {
    pub(super) name: String,
    pub(super) cluster: Cluster,
    /// Why it leads nowhere, if it does.
    pub(super) nowhere: Option<Reason>,
}

impl<'a> Nodes<'a> {
    pub(super) fn new(mesh: &str, policy: Option<ClientPolicy>, limits: Limits) -> Self {
        let (known, policies) = (BTreeMap::new(), BTreeMap::new());
        Self { known, mesh: mesh.to_owned(), policy, policies, limits }
    }

    /// Nodes behind these virtual services are spoken to otherwise.
    pub(super) fn demand(&mut self, policies: BTreeMap<String, ClientPolicy>) {
        self.policies = policies;
    }

    pub(super) fn add(&mut self, object: &'a Value) {
        let ObjectRef { namespace, name, .. } = ObjectRef::of(ObjectKind::VirtualNode, object);
        self.known.insert((namespace, name), Lazy::new(object));
    }

    /// What stands behind a destination of a route that speaks `protocol`. Where nothing does, it is a cluster without
    /// endpoints: the route's other destinations keep their share.
    pub(super) fn resolve(&self, destination: &Destination, protocol: Protocol) -> Resolved {
        match self.listener(destination) {
            Ok((node, listener)) => {
                let cluster = self.cluster(destination, node, listener, protocol);
                let name = self.name(destination, cluster.protocol, listener.port_mapping.port);
                Resolved { name, cluster, nowhere: None }
            }
            Err(reason) => Resolved {
                name: self.nowhere(destination),
                cluster: Cluster {
                    protocol,
                    endpoints: Endpoints::Nowhere,
                    tls: None,
                    health: None,
                    limits: self.limits,
                    outliers: None,
                },
                nowhere: Some(reason),
            },
        }
    }

    /// The clusters of all nodes of these namespaces, at each port where they speak HTTP.
    pub(super) fn of_namespaces(&self, namespaces: &BTreeSet<String>) -> BTreeMap<String, Cluster> {
        let here = self.known.iter().filter(|((namespace, _), _)| namespaces.contains(namespace));
        let readable = here.filter_map(|(key, node)| Some((key, node.get(read).as_ref().ok()?)));
        let ports =
            readable.flat_map(|(key, node)| node.listeners.iter().map(move |listener| (key, node, listener)));
        let usable = ports.filter(|(_, node, listener)| unusable(node, listener).is_none());
        let clusters = usable.filter_map(|((namespace, name), node, listener)| {
            let raw::PortMapping { port, protocol } = listener.port_mapping;
            let protocol = spoken(protocol)?;
            let destination = Destination {
                target: name.clone(),
                namespace: namespace.clone(),
                virtual_service: None,
                port: Some(port),
                weight: 0,
            };
            let cluster = self.cluster(&destination, node, listener, protocol);
            Some((self.name(&destination, protocol, port), cluster))
        });
        clusters.collect()
    }

    fn listener(&self, destination: &Destination) -> Result<(&raw::Node, &raw::Listener), Reason> {
        if destination.virtual_service.is_none() {
            return Err(Reason::NoService(destination.service()));
        }
        let key = (destination.namespace.clone(), destination.target.clone());
        let named = || format!("{}/{}", key.0, key.1);
        let wrong = |why: &str| Reason::Node { node: named(), why: why.to_owned() };
        let node = match self.known.get(&key).map(|node| node.get(read)) {
            Some(Ok(node)) => node,
            Some(Err(error)) => return Err(Reason::Node { node: named(), why: error.to_string() }),
            None => return Err(Reason::NoNode(named())),
        };
        let at = |port| node.listeners.iter().find(|listener| listener.port_mapping.port == port);
        let listener = match (destination.port, node.listeners.as_slice()) {
            (Some(port), _) => at(port).ok_or_else(|| Reason::Node {
                node: named(),
                why: format!("it does not listen on port {port}"),
            })?,
            (None, [listener]) => listener,
            (None, []) => return Err(wrong("it has no listener")),
            (None, _) => {
                return Err(wrong("it listens on several ports: the target has to name one of them"));
            }
        };
        match unusable(node, listener) {
            Some(why) => Err(wrong(why)),
            None => Ok((node, listener)),
        }
    }

    fn cluster(
        &self,
        destination: &Destination,
        node: &raw::Node,
        listener: &raw::Listener,
        protocol: Protocol,
    ) -> Cluster {
        let raw::PortMapping { port, protocol: own } = listener.port_mapping;
        let offered = listener.tls.as_ref().is_some_and(|tls| tls.mode != raw::TlsMode::Disabled);
        let limits = match limits(listener.connection_pool) {
            own if own == Limits::default() => self.limits,
            own => own,
        };
        Cluster {
            protocol: spoken(own).unwrap_or(protocol),
            endpoints: endpoints(destination, node, port),
            tls: ClientPolicy::towards(self.policy_of(destination), port, offered),
            health: listener.health_check.as_ref().map(health),
            limits,
            outliers: listener.outlier_detection.map(outliers),
        }
    }

    fn policy_of(&self, destination: &Destination) -> Option<&ClientPolicy> {
        let own = destination.virtual_service.as_ref().and_then(|service| self.policies.get(service));
        own.or(self.policy.as_ref())
    }

    /// What a target that leads nowhere is called: never as a node is, whose own routes it would take the endpoints from.
    fn nowhere(&self, destination: &Destination) -> String {
        format!("nowhere_{}_{}", self.mesh, destination.service().replace('.', "_"))
    }

    /// A cluster's name in App Mesh's manner, which dashboards and queries know. Envoy's statistics would cut it at a dot. No two
    /// nodes share one: a namespace has no dot, and neither it nor a node's name has an underscore.
    fn name(&self, destination: &Destination, protocol: Protocol, port: u16) -> String {
        let Destination { target, namespace, .. } = destination;
        let node = counted(target, namespace);
        format!("cds_egress_{}_{node}_{}_{port}", self.mesh, protocol.label())
    }
}

fn read(object: &Value) -> Result<raw::Node, serde_json::Error> {
    raw::Node::deserialize(&object["spec"])
}

/// What a node is called in the names of clusters.
pub(super) fn counted(name: &str, namespace: &str) -> String {
    format!("{name}_{namespace}").replace('.', "_")
}

/// What the schema of AWS allows and Envoy refuses, with all clusters of the gateway.
fn unusable(node: &raw::Node, listener: &raw::Listener) -> Option<&'static str> {
    let dns = node.service_discovery.as_ref().and_then(|discovery| discovery.dns.as_ref());
    if dns.is_some_and(|dns| dns.hostname.is_empty()) {
        return Some("serviceDiscovery.dns.hostname is empty");
    }
    let spans =
        listener.outlier_detection.map(|outliers| [outliers.interval, outliers.base_ejection_duration]);
    if spans.into_iter().flatten().any(|span| settings::duration(span).is_none()) {
        return Some("interval and baseEjectionDuration of outlierDetection must be above 0");
    }
    None
}

/// DNS where the node says so; else the Service of the node's name, as for a node that only AWS Cloud Map knew.
fn endpoints(destination: &Destination, node: &raw::Node, port: u16) -> Endpoints {
    match node.service_discovery.as_ref().and_then(|discovery| discovery.dns.as_ref()) {
        Some(dns) => Endpoints::Dns {
            host: dns.hostname.clone(),
            port,
            each: dns.response_type == Some(raw::ResponseType::Endpoints),
        },
        None => Endpoints::Service {
            namespace: destination.namespace.clone(),
            name: destination.target.clone(),
            port,
        },
    }
}

fn health(raw: &raw::HealthCheck) -> HealthCheck {
    let path = || raw.path.clone().filter(|path| !path.is_empty()).unwrap_or_else(|| "/".to_owned());
    HealthCheck {
        probe: match raw.protocol {
            raw::Spoken::Http => Probe::Http { path: path(), http2: false },
            raw::Spoken::Http2 => Probe::Http { path: path(), http2: true },
            raw::Spoken::Grpc => Probe::Grpc,
            raw::Spoken::Tcp => Probe::Tcp,
        },
        port: raw.port,
        interval: Duration::from_millis(raw.interval_millis),
        timeout: Duration::from_millis(raw.timeout_millis),
        healthy: raw.healthy_threshold.unwrap_or(2),
        unhealthy: raw.unhealthy_threshold,
    }
}

fn outliers(raw: raw::OutlierDetection) -> Outliers {
    Outliers {
        errors: raw.max_server_errors,
        interval: settings::duration(raw.interval).unwrap_or_default(),
        ejection: settings::duration(raw.base_ejection_duration).unwrap_or_default(),
        most: raw.max_ejection_percent,
    }
}
