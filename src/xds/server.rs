//! Discovery for Envoys (ADS): each stream gets what the Envoys of its fleet are to have.

use std::{collections::BTreeSet, net::SocketAddr, pin::Pin, time::Duration};

use envoy_types::pb::{
    envoy::{
        config::core::v3::{ControlPlane, Node},
        service::discovery::v3::{
            DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
            aggregated_discovery_service_server::{
                AggregatedDiscoveryService, AggregatedDiscoveryServiceServer,
            },
        },
    },
    google::protobuf::value,
};
use futures::{Stream, stream};
use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::{
    bootstrap::STATS_PORT,
    fleet::Fleet,
    hub::{Arrival, Hub},
    session::{Answer, Ask, Session},
    snapshot::Kind,
};

/// One response of each type may be under way, and no more: see [`Session`].
const UNDER_WAY: usize = Kind::ALL.len();
/// What Envoy calls who serves it.
const NAME: &str = "tidegate";
/// By then there is something for an Envoy whose object is there.
const SOON: Duration = Duration::from_secs(2);

/// The service.
pub struct Discovery {
    hub: Hub,
    stop: CancellationToken,
}

type Responses<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Discovery {
    /// Serves what the hub has, until `stop`: then each stream ends, and its Envoy keeps what it has and asks another replica.
    pub fn service(hub: Hub, stop: CancellationToken) -> AggregatedDiscoveryServiceServer<Self> {
        AggregatedDiscoveryServiceServer::new(Self { hub, stop })
    }
}

#[tonic::async_trait]
impl AggregatedDiscoveryService for Discovery {
    type StreamAggregatedResourcesStream = Responses<DiscoveryResponse>;
    type DeltaAggregatedResourcesStream = Responses<DeltaDiscoveryResponse>;

    async fn stream_aggregated_resources(
        &self,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        let from = request.remote_addr();
        let (sender, receiver) = mpsc::channel(UNDER_WAY);
        let (hub, stop, requests) = (self.hub.clone(), self.stop.clone(), request.into_inner());
        tokio::spawn(async move {
            let served = stop.run_until_cancelled(serve(&hub, requests, from, &sender)).await;
            if let Some(Err(status)) = served {
                // Nobody listens any more where the stream is at its end.
                drop(sender.send(Err(status)).await);
            }
        });
        let next = |mut receiver: mpsc::Receiver<_>| async move {
            let response = receiver.recv().await?;
            Some((response, receiver))
        };
        Ok(Response::new(Box::pin(stream::unfold(receiver, next))))
    }

    async fn delta_aggregated_resources(
        &self,
        _: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        Err(Status::unimplemented("only the state of the world is served: api_type GRPC, not DELTA_GRPC"))
    }
}

/// Serves one stream until it ends.
async fn serve(
    hub: &Hub,
    mut requests: Streaming<DiscoveryRequest>,
    address: Option<SocketAddr>,
    responses: &mpsc::Sender<Result<DiscoveryResponse, Status>>,
) -> Result<(), Status> {
    let from = address.map(|address| address.to_string()).unwrap_or_default();
    let Some(first) = requests.message().await? else { return Ok(()) };
    let node = first.node.clone().unwrap_or_default();
    let fleet = Fleet::of_node(&node.id).map_err(|error| {
        tracing::warn!(from, %error, "an Envoy was sent away");
        Status::invalid_argument(error.to_string())
    })?;
    tracing::info!(%fleet, from, "an Envoy has connected");
    let is_new = first.version_info.is_empty();
    let place = hub.connect(Arrival { fleet: fleet.clone(), from: address, stats: stats(&node), is_new });
    let mut target = hub.target(&fleet);
    let has_come = async {
        // The plan of a node is made for the first of its Envoys.
        if timeout(SOON, target.wait_for(Option::is_some)).await.is_err() {
            tracing::warn!(%fleet, from, "the object of an Envoy is not known: it waits, and keeps what it has");
        }
        target.wait_for(Option::is_some).await.map(|known| known.clone())
    };
    let known = tokio::select! {
        () = responses.closed() => return Ok(()),
        known = has_come => known,
    };
    let Ok(Some(known)) = known else { return Ok(()) };
    let mut session = Session::new(known);
    if let Some((kind, ask)) = read(first, &fleet, &from) {
        session.take(kind, ask);
    }
    loop {
        while let Some(answer) = session.answer() {
            if responses.send(Ok(written(answer))).await.is_err() {
                return Ok(());
            }
        }
        place.note(&session);
        tokio::select! {
            request = requests.message() => match request? {
                Some(request) => {
                    let Some((kind, ask)) = read(request, &fleet, &from) else { continue };
                    if let Some(words) = &ask.refusal {
                        tracing::warn!(%fleet, from, ?kind, words, "an Envoy refuses what it was sent, and keeps what it had");
                    }
                    session.take(kind, ask);
                }
                None => return Ok(()),
            },
            changed = target.changed() => match changed {
                Ok(()) => {
                    if let Some(snapshot) = target.borrow_and_update().clone() {
                        session.aim(snapshot);
                    }
                }
                Err(_) => return Ok(()),
            },
        }
    }
}

/// What is asked for; none of a type that is not served, such as one of another version of Envoy's interface: whoever asks goes
/// without it, and has the rest.
fn read(request: DiscoveryRequest, fleet: &Fleet, from: &str) -> Option<(Kind, Ask)> {
    let Some(kind) = Kind::of(&request.type_url) else {
        let kind = request.type_url;
        tracing::warn!(%fleet, from, kind, "an Envoy asks for what is not served; version 3 of its interface is");
        return None;
    };
    let ask = Ask {
        names: request.resource_names.into_iter().collect::<BTreeSet<_>>(),
        nonce: request.response_nonce,
        version: request.version_info,
        refusal: request.error_detail.map(|status| status.message),
    };
    Some((kind, ask))
}

/// Where an Envoy's bootstrap says that its statistics are to be had.
fn stats(node: &Node) -> Option<u16> {
    let value = node.metadata.as_ref()?.fields.get(STATS_PORT)?.kind.as_ref()?;
    match value {
        // Numbers of JSON are floating; a port is small enough to be exact.
        value::Kind::NumberValue(port) => format!("{port}").parse().ok(),
        value::Kind::NullValue(_)
        | value::Kind::StringValue(_)
        | value::Kind::BoolValue(_)
        | value::Kind::StructValue(_)
        | value::Kind::ListValue(_) => None,
    }
}

fn written(answer: Answer) -> DiscoveryResponse {
    DiscoveryResponse {
        version_info: answer.content.version,
        resources: answer.content.resources.values().cloned().collect(),
        type_url: answer.kind.url().to_owned(),
        nonce: answer.nonce,
        control_plane: Some(ControlPlane { identifier: NAME.to_owned() }),
        ..DiscoveryResponse::default()
    }
}
