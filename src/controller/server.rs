//! Health and metrics over HTTP: `/livez`, `/readyz`, `/metrics`. Nothing else, and nothing secret.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{context::Context, meters::Scrape};

#[derive(Clone)]
struct Served {
    contexts: Arc<Vec<Arc<Context>>>,
    scrape: Arc<Scrape>,
}

/// Serves until `stop`.
pub async fn serve(
    listener: TcpListener,
    contexts: Vec<Arc<Context>>,
    scrape: Scrape,
    stop: CancellationToken,
) {
    let served = Served { contexts: Arc::new(contexts), scrape: Arc::new(scrape) };
    let router = Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(served);
    let serving = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
    if let Err(error) = serving.await {
        tracing::error!(%error, "health and metrics are no longer served");
    }
}

/// Ready once everything that decisions need has been seen; until then it says what is missing.
async fn ready(State(served): State<Served>) -> Response {
    let mut lacks: Vec<String> = served.contexts.iter().flat_map(|context| context.lacks()).collect();
    lacks.dedup();
    if lacks.is_empty() {
        return "ok\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {}\n", lacks.join("; "))).into_response()
}

async fn metrics(State(served): State<Served>) -> Response {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match served.scrape.text() {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "the metrics can't be written\n").into_response(),
    }
}
