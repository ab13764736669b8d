//! Health over HTTP (`/livez`, `/readyz`), and, where this replica has the Envoys, which there are (`/envoys`). Nothing secret.

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

use crate::{
    api::{EnvoyOf, ListedEnvoy},
    xds::{Fleet, Hub, Role},
};

/// Serves health until `stop`.
pub async fn health(listener: TcpListener, lacks: watch::Receiver<Vec<String>>, stop: CancellationToken) {
    let router =
        Router::new().route("/livez", get(async || "ok\n")).route("/readyz", get(ready)).with_state(lacks);
    serve("health", listener, router, stop).await;
}

/// Serves the list of Envoys until `stop`.
pub async fn registry(listener: TcpListener, hub: Hub, stop: CancellationToken) {
    serve("the list of Envoys", listener, Router::new().route("/envoys", get(envoys)).with_state(hub), stop)
        .await;
}

async fn serve(what: &str, listener: TcpListener, router: Router, stop: CancellationToken) {
    let serving = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
    if let Err(error) = serving.await {
        tracing::error!(%error, "{what} is no longer served");
    }
}

/// Ready once everything that plans need has been seen; until then it says what is missing. Who waits to lead is ready too: an
/// Envoy finds the one that serves by trying.
async fn ready(State(lacks): State<watch::Receiver<Vec<String>>>) -> Response {
    let lacks = lacks.borrow().join(", ");
    if lacks.is_empty() {
        return "ok\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: not listed yet: {lacks}\n")).into_response()
}

async fn envoys(State(hub): State<Hub>) -> Json<Vec<ListedEnvoy>> {
    let listed = hub.envoys().into_iter().map(|envoy| {
        let stats = envoy.from.zip(envoy.stats).map(|(from, port)| SocketAddr::new(from.ip(), port));
        ListedEnvoy { of: listed(&envoy.fleet), stats }
    });
    Json(listed.collect())
}

fn listed(fleet: &Fleet) -> EnvoyOf {
    let name = fleet.object().path();
    match fleet.role {
        Role::Gateway => EnvoyOf::Gateway(name),
        Role::Sidecar => EnvoyOf::VirtualNode(name),
    }
}
