//! Where the controller has its metrics from: JSON over HTTP, for who has the token.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    routing::get,
};
use serde_json::{Value, json};
use tidegate::clock::Clock;

/// Requests a millisecond that each version has.
const RATE: u128 = 200;

/// A service whose counters grow with time. Of v3's requests a tenth fail.
pub struct Backend {
    pub address: SocketAddr,
    state: Arc<Served>,
}

struct Served {
    clock: Clock,
    authorization: String,
    asked_without: AtomicBool,
}

impl Backend {
    pub async fn start(token: &str) -> Self {
        let state = Arc::new(Served {
            clock: Clock::start(),
            authorization: format!("Bearer {token}"),
            asked_without: AtomicBool::new(false),
        });
        let router = Router::new().route("/arms/{version}", get(arm)).with_state(Arc::clone(&state));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, state }
    }

    /// Whether anybody asked without the token.
    pub fn was_asked_without(&self) -> bool {
        self.state.asked_without.load(Ordering::Relaxed)
    }
}

async fn arm(
    State(served): State<Arc<Served>>,
    Path(version): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, StatusCode> {
    if headers.get("authorization").is_none_or(|told| *told != served.authorization) {
        served.asked_without.store(true, Ordering::Relaxed);
        return Err(StatusCode::UNAUTHORIZED);
    }
    let all = u64::try_from(served.clock.elapsed().as_millis() * RATE).unwrap();
    let failed = if version == "v3" { all / 10 } else { 0 };
    Ok(Json(json!({ "all": all, "failed": failed })))
}
