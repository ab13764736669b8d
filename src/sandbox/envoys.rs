//! Envoys as far as discovery goes: each connects, asks for what Envoy asks for in Envoy's order, takes what it is sent or
//! refuses it, and counts. What it is given it does not obey.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use envoy_types::pb::{
    envoy::{
        config::{
            cluster::v3::{
                Cluster,
                cluster::{ClusterDiscoveryType, DiscoveryType},
            },
            core::v3::Node,
            listener::v3::{Filter, Listener, filter},
        },
        extensions::filters::network::http_connection_manager::v3::{
            HttpConnectionManager, http_connection_manager::RouteSpecifier,
        },
        service::discovery::v3::{
            DiscoveryRequest, DiscoveryResponse,
            aggregated_discovery_service_client::AggregatedDiscoveryServiceClient,
        },
    },
    google::{protobuf::Any, rpc::Status as Refusal},
};
use prost::Message;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{codegen::tokio_stream::wrappers::ReceiverStream, transport::Endpoint};

use crate::xds::{Fleet, Kind};

/// How long it waits before it connects again.
const AGAIN: Duration = Duration::from_millis(50);
/// INVALID_ARGUMENT, as Envoy says it.
const REFUSED: i32 = 3;

/// What an Envoy does with what it is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Manner {
    /// Takes it.
    #[default]
    Takes,
    /// Takes it after a while.
    Slowly(Duration),
    /// Says nothing to it.
    Silent,
    /// Refuses whatever has this text in it.
    Refuses(String),
    /// Refuses everything.
    Lies,
}

/// What an Envoy has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Had {
    /// The versions that it has taken.
    pub versions: BTreeMap<&'static str, String>,
    /// How many responses it was sent, by type.
    pub responses: BTreeMap<&'static str, u64>,
    /// How many bytes those were.
    pub bytes: u64,
    /// Its routes, as they were sent.
    pub routes: Vec<u8>,
    /// How often it has connected.
    pub connections: u64,
}

/// An Envoy; it is gone once this is dropped.
pub struct SimulatedEnvoy {
    had: watch::Receiver<Had>,
    manner: watch::Sender<Manner>,
    _stop: DropGuard,
}

impl SimulatedEnvoy {
    /// Connects an Envoy of a fleet, and again whenever the connection ends.
    pub fn start(control_plane: Endpoint, fleet: &Fleet, manner: Manner) -> Self {
        Self::start_as(control_plane, fleet.node("mesh"), manner)
    }

    /// The same with whatever node id.
    pub fn start_as(control_plane: Endpoint, node: String, manner: Manner) -> Self {
        let (manner, behaves) = watch::channel(manner);
        let (tells, had) = watch::channel(Had::default());
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        tokio::spawn(async move {
            let mut envoy = Envoy { node, behaves, tells, has: BTreeMap::new() };
            let lives = async {
                loop {
                    if let Err(error) = envoy.connect(&control_plane).await {
                        tracing::debug!(%error, "a simulated Envoy is not connected");
                    }
                    tokio::time::sleep(AGAIN).await;
                }
            };
            stopped.run_until_cancelled(lives).await;
        });
        Self { had, manner, _stop: stop.drop_guard() }
    }

    /// What it has, now and later.
    pub fn had(&self) -> watch::Receiver<Had> {
        self.had.clone()
    }

    /// What it does from now on.
    pub fn behave(&self, manner: Manner) {
        self.manner.send_replace(manner);
    }
}

/// What was asked for of a type on this connection, and the last response to it.
#[derive(Clone, Default)]
struct Asked {
    names: BTreeSet<String>,
    nonce: String,
}

struct Envoy {
    node: String,
    behaves: watch::Receiver<Manner>,
    tells: watch::Sender<Had>,
    /// Version and names of what it has, by type.
    has: BTreeMap<Kind, (String, BTreeSet<String>)>,
}

impl Envoy {
    async fn connect(
        &mut self,
        control_plane: &Endpoint,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let channel = control_plane.connect().await?;
        let (requests, sent) = mpsc::channel(Kind::ALL.len() * 2);
        let mut stream = AggregatedDiscoveryServiceClient::new(channel)
            .max_decoding_message_size(usize::MAX)
            .stream_aggregated_resources(ReceiverStream::new(sent))
            .await?
            .into_inner();
        self.tells.send_modify(|had| had.connections += 1);
        // What it had before it asks for again.
        let mut asked: BTreeMap<Kind, Asked> = BTreeMap::new();
        for kind in [Kind::Cluster, Kind::Listener, Kind::Endpoints, Kind::Routes] {
            self.watch(kind, &mut asked, &requests).await?;
        }
        while let Some(response) = stream.message().await? {
            let Some(kind) = Kind::of(&response.type_url) else { continue };
            self.count(kind, &response);
            let manner = self.behaves.borrow().clone();
            let refused = match manner {
                Manner::Takes => false,
                Manner::Silent => continue,
                Manner::Slowly(time) => {
                    tokio::time::sleep(time).await;
                    false
                }
                Manner::Refuses(text) => response.resources.iter().any(|any| contains(&any.value, &text)),
                Manner::Lies => true,
            };
            if !refused {
                let named = response.resources.iter().flat_map(|any| names(kind, any)).collect();
                self.has.insert(kind, (response.version_info.clone(), named));
                self.tells.send_modify(|had| {
                    had.versions.insert(kind.url(), response.version_info.clone());
                    if kind == Kind::Routes {
                        had.routes = response.resources.into_iter().flat_map(|any| any.value).collect();
                    }
                });
            }
            let refusal = refused.then(|| Refusal {
                code: REFUSED,
                message: "a simulated Envoy refuses it".to_owned(),
                ..Refusal::default()
            });
            let names = asked.get(&kind).map(|asked| asked.names.clone()).unwrap_or_default();
            let answered = Asked { names, nonce: response.nonce };
            requests.send(self.request(kind, answered.clone(), refusal)).await?;
            asked.insert(kind, answered);
            match kind {
                Kind::Cluster => self.watch(Kind::Endpoints, &mut asked, &requests).await?,
                Kind::Listener => self.watch(Kind::Routes, &mut asked, &requests).await?,
                Kind::Secret | Kind::Endpoints | Kind::Routes => {}
            }
        }
        Ok(())
    }

    /// Asks for what the resources that it has name, if that is not what it asks for already.
    async fn watch(
        &self,
        kind: Kind,
        asked: &mut BTreeMap<Kind, Asked>,
        requests: &mpsc::Sender<DiscoveryRequest>,
    ) -> Result<(), mpsc::error::SendError<DiscoveryRequest>> {
        let of = |kind| self.has.get(&kind).map(|(_, names)| names.clone()).unwrap_or_default();
        let names = match kind {
            Kind::Endpoints => of(Kind::Cluster),
            Kind::Routes => of(Kind::Listener),
            Kind::Secret | Kind::Cluster | Kind::Listener => BTreeSet::new(),
        };
        let is_named = matches!(kind, Kind::Endpoints | Kind::Routes);
        let before = asked.get(&kind);
        if (is_named && names.is_empty()) || before.is_some_and(|before| before.names == names) {
            return Ok(());
        }
        let nonce = before.map(|before| before.nonce.clone()).unwrap_or_default();
        let asks = Asked { names, nonce };
        asked.insert(kind, asks.clone());
        requests.send(self.request(kind, asks, None)).await
    }

    fn request(&self, kind: Kind, asked: Asked, error_detail: Option<Refusal>) -> DiscoveryRequest {
        DiscoveryRequest {
            version_info: self.has.get(&kind).map(|(version, _)| version.clone()).unwrap_or_default(),
            node: Some(Node { id: self.node.clone(), ..Node::default() }),
            resource_names: asked.names.into_iter().collect(),
            type_url: kind.url().to_owned(),
            response_nonce: asked.nonce,
            error_detail,
            ..DiscoveryRequest::default()
        }
    }

    fn count(&self, kind: Kind, response: &DiscoveryResponse) {
        let bytes: usize = response.resources.iter().map(|any| any.value.len()).sum();
        self.tells.send_modify(|had| {
            *had.responses.entry(kind.url()).or_default() += 1;
            had.bytes += bytes as u64;
        });
    }
}

/// What other types are asked for by: clusters whose endpoints are asked for, and the routes of a listener.
fn names(kind: Kind, any: &Any) -> Vec<String> {
    match kind {
        Kind::Cluster => {
            let eds = ClusterDiscoveryType::Type(DiscoveryType::Eds.into());
            let cluster = Cluster::decode(any.value.as_slice()).ok();
            let cluster = cluster.filter(|cluster| cluster.cluster_discovery_type == Some(eds));
            cluster.map(|cluster| cluster.name).into_iter().collect()
        }
        Kind::Listener => {
            let listener = Listener::decode(any.value.as_slice()).unwrap_or_default();
            let filters = listener.filter_chains.into_iter().flat_map(|chain| chain.filters);
            filters.filter_map(routes).collect()
        }
        Kind::Secret | Kind::Endpoints | Kind::Routes => Vec::new(),
    }
}

/// The routes that a filter asks for.
fn routes(filter: Filter) -> Option<String> {
    let Some(filter::ConfigType::TypedConfig(config)) = filter.config_type else { return None };
    if !config.type_url.ends_with(".HttpConnectionManager") {
        return None;
    }
    match HttpConnectionManager::decode(config.value.as_slice()).ok()?.route_specifier? {
        RouteSpecifier::Rds(rds) => Some(rds.route_config_name),
        RouteSpecifier::RouteConfig(_) | RouteSpecifier::ScopedRoutes(_) => None,
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len().max(1)).any(|window| window == text.as_bytes())
}
