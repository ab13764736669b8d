//! What the Envoys of a fleet are to have, as resources with versions.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

use envoy_types::{pb::google::protobuf::Any, util::pack_any};

use super::{
    cluster, listener, route,
    sidecar::{self, EGRESS, EGRESS_PORT, PASSTHROUGH},
    tls::Files,
};
use crate::{
    api::fnv1a,
    dataplane::{Endpoints, Entrance, Plan, Reason, Rejected},
};

/// A type of resources, in the order in which changes are sent: nothing is named before it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Certificates and authorities, by the files they are in.
    Secret,
    /// What routes lead to.
    Cluster,
    /// The endpoints of clusters.
    Endpoints,
    /// Ports.
    Listener,
    /// Routes of ports.
    Routes,
}

/// The resources of one type, and a name for all of them together that changes whenever they do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resources {
    /// By name. Many streams share them: those of a big gateway are big.
    pub resources: Arc<BTreeMap<String, Any>>,
    /// Made of the content alone, so that whoever serves it says the same: an Envoy that comes back from another
    /// replica, or to one that was started anew, has nothing to change.
    pub version: String,
}

/// All resources of a fleet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    secrets: Resources,
    clusters: Resources,
    endpoints: Resources,
    listeners: Resources,
    routes: Resources,
}

impl Kind {
    /// All of them, in the order in which they are sent.
    pub const ALL: [Self; 5] = [Self::Secret, Self::Cluster, Self::Endpoints, Self::Listener, Self::Routes];

    /// What Envoy calls it.
    pub fn url(self) -> &'static str {
        match self {
            Self::Secret => "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
            Self::Cluster => "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            Self::Endpoints => "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            Self::Listener => "type.googleapis.com/envoy.config.listener.v3.Listener",
            Self::Routes => "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
        }
    }

    /// Whether Envoy asks for each by its name; of the others it takes all there are.
    pub(super) fn is_named(self) -> bool {
        match self {
            Self::Secret | Self::Endpoints | Self::Routes => true,
            Self::Cluster | Self::Listener => false,
        }
    }

    /// The type of that name; none of another type, or of another version of Envoy's interface.
    pub fn of(url: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.url() == url)
    }
}

impl Resources {
    /// Names them by their content.
    pub(super) fn new(resources: BTreeMap<String, Any>) -> Self {
        let mut content = Vec::new();
        for part in resources.iter().flat_map(|(name, any)| [name.as_bytes(), any.value.as_slice()]) {
            content.extend(part.len().to_le_bytes());
            content.extend(part);
        }
        Self { resources: Arc::new(resources), version: format!("{:016x}", fnv1a(&content)) }
    }
}

impl Snapshot {
    /// The resources of a plan. `found` are the endpoints, by cluster, of those that do not ask DNS. What Envoy can't be given
    /// is left out and told.
    pub fn of(plan: &Plan, found: &BTreeMap<String, Vec<SocketAddr>>) -> (Self, Vec<Rejected>) {
        let (possible, left_out): (Vec<_>, Vec<_>) =
            plan.routes.iter().cloned().partition(route::is_possible);
        let mut told = BTreeSet::new();
        let rejected = left_out.iter().filter_map(|planned| {
            let object = planned.object.clone();
            let reason = Reason::Unsupported(route::NO_ONWARD);
            told.insert(object.clone()).then_some(Rejected { object, part: None, reason })
        });
        let rejected = rejected.collect();

        let mut files = Files::default();
        let (mut clusters, mut endpoints) = (BTreeMap::new(), BTreeMap::new());
        for (name, made) in &plan.clusters {
            clusters.insert(name.clone(), pack_any(cluster::cluster(name, made, &mut files)));
            match made.endpoints {
                Endpoints::Dns { .. } | Endpoints::Local { .. } => {}
                Endpoints::Service { .. } | Endpoints::Nowhere => {
                    let found = found.get(name).map(Vec::as_slice).unwrap_or_default();
                    endpoints.insert(name.clone(), pack_any(cluster::endpoints(name, found)));
                }
            }
        }
        let (mut listeners, mut routes) = (BTreeMap::new(), BTreeMap::new());
        match &plan.entrance {
            Entrance::Gateway(ports) => {
                for made in ports {
                    let name = format!("port-{}", made.port);
                    listeners
                        .insert(name.clone(), pack_any(listener::listener(&name, made, &name, &mut files)));
                    routes.insert(name.clone(), pack_any(route::routes(&name, made.port, &possible)));
                }
            }
            Entrance::Sidecar(inbound) => {
                let backends = route::routes(EGRESS, EGRESS_PORT, &possible);
                let sent = sidecar::sent(&backends).map(|made| (made.name.clone(), pack_any(made)));
                let opened = [Some(sidecar::egress()), sidecar::ingress(inbound, &mut files)];
                let opened = opened.into_iter().flatten();
                listeners.extend(opened.map(|listener| (listener.name.clone(), pack_any(listener))));
                routes.extend(sent);
                clusters.insert(PASSTHROUGH.to_owned(), pack_any(sidecar::passthrough()));
            }
        }
        let snapshot = Self {
            secrets: Resources::new(files.secrets()),
            clusters: Resources::new(clusters),
            endpoints: Resources::new(endpoints),
            listeners: Resources::new(listeners),
            routes: Resources::new(routes),
        };
        (snapshot, rejected)
    }

    /// Whether it is the same, by the versions.
    pub(super) fn is(&self, other: &Self) -> bool {
        Kind::ALL.into_iter().all(|kind| self.resources(kind).version == other.resources(kind).version)
    }

    /// Those of one type.
    pub fn resources(&self, kind: Kind) -> &Resources {
        match kind {
            Kind::Secret => &self.secrets,
            Kind::Cluster => &self.clusters,
            Kind::Endpoints => &self.endpoints,
            Kind::Listener => &self.listeners,
            Kind::Routes => &self.routes,
        }
    }
}
