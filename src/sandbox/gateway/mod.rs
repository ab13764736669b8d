//! An HTTP gateway on loopback that obeys a [`Table`] and counts as Envoy does.

mod body;
mod endpoints;
mod forward;
mod http2;
mod local;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeSet, VecDeque},
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed},
};

use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use self::endpoints::{Endpoints, NotLoopback};
use super::{
    serve::{self, Body, full},
    stats::{ClusterStats, Stats},
};
use crate::{
    clock::Clock,
    dataplane::{Destination, Protocol, Route, Table},
};

/// Scrapes remembered; older ones are forgotten.
const SCRAPES: usize = 1000;

/// How a gateway names what it counts, and how it rolls.
#[derive(Clone, Debug)]
pub struct GatewayConfig {
    /// First part of a cluster's name; App Mesh's is `cds_egress`.
    pub cluster_prefix: String,
    /// The mesh's name, second part of a cluster's name.
    pub mesh: String,
    /// The listener's port as routes name it, and the port of destinations that name none.
    pub port: u16,
    /// Value of `envoy_http_conn_manager_prefix`.
    pub stat_prefix: String,
    /// Seed of the weighted choice: the same requests in the same order go to the same destinations.
    pub seed: u64,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            cluster_prefix: "cds_egress".to_owned(),
            mesh: "color-mesh".to_owned(),
            port: 8080,
            stat_prefix: "ingress".to_owned(),
            seed: 1,
        }
    }
}

impl GatewayConfig {
    /// The cluster's name in App Mesh's manner, `<prefix>_<mesh>_<name>_<namespace>_<protocol>_<port>`: the service's
    /// full name with its dots turned into underscores. It cannot be parsed back; build it on both sides.
    pub fn cluster_name(&self, destination: &Destination, protocol: Protocol) -> String {
        let service = destination.service().replace('.', "_");
        let port = destination.port.unwrap_or(self.port);
        format!("{}_{}_{service}_{}_{port}", self.cluster_prefix, self.mesh, protocol.label())
    }
}

/// Swaps the table of a running gateway; clones act on the same gateway.
#[derive(Clone)]
pub struct TableHandle(Arc<Shared>);

/// A running gateway; dropping it closes its ports and connections.
pub struct Gateway {
    address: SocketAddr,
    admin: SocketAddr,
    shared: Arc<Shared>,
    _stop: DropGuard,
}

struct Shared {
    config: GatewayConfig,
    clock: Clock,
    endpoints: Endpoints,
    stats: Stats,
    active: watch::Sender<Arc<Active>>,
    rng: Mutex<fastrand::Rng>,
    scrapes: Mutex<VecDeque<Timestamp>>,
    http1: Client<HttpConnector, Body>,
    http2: http2::Clients,
}

/// A table with its counters, route by route.
#[derive(Default)]
struct Active {
    table: Table,
    clusters: Vec<Clusters>,
}

/// The counters of a route's destinations and of its mirrors, in their order.
struct Clusters {
    destinations: Vec<Arc<ClusterStats>>,
    mirrors: Vec<Arc<ClusterStats>>,
}

impl Gateway {
    /// Starts a gateway with an empty table: every request is answered 404 until one is published.
    pub async fn start(config: GatewayConfig, endpoints: Endpoints, clock: Clock) -> io::Result<Self> {
        let (listener, admin) = (serve::bind_loopback().await?, serve::bind_loopback().await?);
        let (address, admin_address) = (listener.local_addr()?, admin.local_addr()?);
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let mut client = Client::builder(TokioExecutor::new());
        // The table alone says what is sent again.
        client.retry_canceled_requests(false);
        let rng = Mutex::new(fastrand::Rng::with_seed(config.seed));
        let shared = Arc::new(Shared {
            config,
            clock,
            endpoints,
            stats: Stats::default(),
            active: watch::Sender::new(Arc::default()),
            rng,
            scrapes: Mutex::default(),
            http1: client.build(connector),
            http2: http2::Clients::default(),
        });
        let stop = CancellationToken::new();
        let gateway = shared.clone();
        tokio::spawn(serve::serve(listener, stop.clone(), move |request| {
            forward::answer(gateway.clone(), request)
        }));
        let stats = shared.clone();
        tokio::spawn(serve::serve(admin, stop.clone(), move |request| {
            std::future::ready(stats.administer(&request))
        }));
        Ok(Self { address, admin: admin_address, shared, _stop: stop.drop_guard() })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where `GET /stats/prometheus` and `GET /ready` are answered.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// The handle that swaps its table.
    pub fn table(&self) -> TableHandle {
        TableHandle(self.shared.clone())
    }

    /// When `GET /stats/prometheus` was answered, oldest first; the latest 1,000 are kept.
    pub fn scrapes(&self) -> Vec<Timestamp> {
        let scrapes = self.shared.scrapes.lock().unwrap_or_else(PoisonError::into_inner);
        scrapes.iter().copied().collect()
    }

    /// The statistics as `GET /stats/prometheus` shows them.
    pub fn stats(&self) -> String {
        self.shared.render()
    }
}

impl TableHandle {
    /// Puts a table into effect for every request that arrives from now on.
    pub fn publish(&self, table: Table) {
        let Shared { config, stats, active, endpoints, .. } = self.0.as_ref();
        let mut names = BTreeSet::new();
        let mut counted = |to: &Destination, protocol| {
            let name = config.cluster_name(to, endpoints.spoken(to, protocol));
            let found = stats.cluster(&name);
            names.insert(name);
            found
        };
        let mut clusters = |route: &Route| Clusters {
            destinations: route.destinations.iter().map(|to| counted(to, route.protocol)).collect(),
            mirrors: route.mirrors.iter().map(|mirror| counted(&mirror.to, route.protocol)).collect(),
        };
        let clusters = table.routes.iter().map(&mut clusters).collect();
        active.send_replace(Arc::new(Active { table, clusters }));
        stats.retain(|name| names.contains(name));
    }

    /// Whether this table is in effect.
    pub fn serves(&self, table: &Table) -> bool {
        self.0.active.borrow().table == *table
    }
}

impl Shared {
    fn roll(&self) -> u64 {
        self.rng.lock().unwrap_or_else(PoisonError::into_inner).u64(..)
    }

    fn render(&self) -> String {
        let active = self.active.borrow().clone();
        for (route, clusters) in active.table.routes.iter().zip(&active.clusters) {
            let copied = route.mirrors.iter().map(|mirror| &mirror.to).zip(&clusters.mirrors);
            for (entry, stats) in route.destinations.iter().zip(&clusters.destinations).chain(copied) {
                stats.healthy.store(self.endpoints.of(entry).len() as u64, Relaxed);
            }
        }
        self.stats.render(&self.config.stat_prefix)
    }

    fn note_scrape(&self) {
        let mut scrapes = self.scrapes.lock().unwrap_or_else(PoisonError::into_inner);
        if scrapes.len() == SCRAPES {
            scrapes.pop_front();
        }
        scrapes.push_back(self.clock.now());
    }

    fn administer(&self, request: &Request<Incoming>) -> Response<Body> {
        let (status, text) = match (request.method(), request.uri().path()) {
            (&Method::GET, "/stats/prometheus") => {
                self.note_scrape();
                (StatusCode::OK, self.render())
            }
            (&Method::GET, "/ready") => (StatusCode::OK, "LIVE\n".to_owned()),
            _ => (StatusCode::NOT_FOUND, "only GET /stats/prometheus and /ready are served\n".to_owned()),
        };
        let mut response = Response::new(full(text));
        *response.status_mut() = status;
        let kind = http::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
        response
    }
}
