//! A receiver of notifications that takes whatever it is told, and counts.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Router, extract::State, http::StatusCode, routing::post};

use super::error::BenchError;
use crate::sandbox::serve::bind_loopback;

/// It serves until it is dropped.
pub struct Receiver {
    url: String,
    taken: Arc<AtomicUsize>,
    serving: tokio::task::JoinHandle<()>,
}

impl Receiver {
    /// Starts it on loopback.
    pub async fn start() -> Result<Self, BenchError> {
        let failed = || BenchError::machine("take notices on loopback");
        let listener = bind_loopback().await.map_err(failed())?;
        let url = format!("http://{}/notices", listener.local_addr().map_err(failed())?);
        let taken = Arc::<AtomicUsize>::default();
        let router = Router::new().route("/notices", post(take)).with_state(Arc::clone(&taken));
        let serving = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "notices are no longer taken");
            }
        });
        Ok(Self { url, taken, serving })
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How many notices it has taken.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn take(State(taken): State<Arc<AtomicUsize>>) -> StatusCode {
    taken.fetch_add(1, Ordering::Relaxed);
    StatusCode::NO_CONTENT
}
