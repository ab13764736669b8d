//! Health over HTTP, and which Envoys there are: `/livez`, `/readyz`, `/envoys`. Nothing secret.

use std::net::SocketAddr;

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;

use crate::{api::ListedEnvoy, xds::Hub};

#[derive(Clone)]
struct Served {
    hub: Hub,
    lacks: watch::Receiver<Vec<String>>,
    /// Whether this replica has the Envoys.
    leads: watch::Receiver<bool>,
}

/// Serves until `stop`.
pub async fn serve(
    listener: TcpListener,
    hub: Hub,
    lacks: watch::Receiver<Vec<String>>,
    leads: watch::Receiver<bool>,
    stop: CancellationToken,
) {
    let router = Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/envoys", get(envoys))
        .with_state(Served { hub, lacks, leads });
    let serving = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
    if let Err(error) = serving.await {
        tracing::error!(%error, "health is no longer served");
    }
}

/// Ready once everything that plans need has been seen; until then it says what is missing. Who waits to lead is ready too: an
/// Envoy finds the one that serves by trying.
async fn ready(State(served): State<Served>) -> Response {
    let lacks = served.lacks.borrow().join(", ");
    if lacks.is_empty() {
        return "ok\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: not listed yet: {lacks}\n")).into_response()
}

/// The Envoys, where this replica has them; who asks another one is told so, and asks the next.
async fn envoys(State(served): State<Served>) -> Response {
    if !*served.leads.borrow() {
        return (StatusCode::SERVICE_UNAVAILABLE, "another replica leads\n").into_response();
    }
    let listed = served.hub.all_envoys().into_iter().map(|envoy| {
        let stats = envoy.from.zip(envoy.stats).map(|(from, port)| SocketAddr::new(from.ip(), port));
        ListedEnvoy { gateway: envoy.gateway.to_string(), stats }
    });
    Json(listed.collect::<Vec<_>>()).into_response()
}
