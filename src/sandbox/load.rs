//! Open-loop load: requests start at their time whether or not earlier ones were answered, so that a slow version
//! is not spared.

use std::{
    collections::BTreeMap,
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Uri};
use http_body_util::{BodyExt, Empty};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use jiff::Timestamp;
use tokio::{sync::Semaphore, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::backends::VERSION_HEADER;
use crate::clock::Clock;

/// Requests start in batches this far apart: finer timers cost more than they give.
const TICK: Duration = Duration::from_millis(5);

/// What to send, and how fast.
#[derive(Clone, Debug)]
pub struct LoadConfig {
    /// An `http` address on loopback, by number.
    pub url: Uri,
    /// Requests started each second.
    pub rate: NonZeroU32,
    /// Requests open at once at most; those due beyond it are skipped and counted.
    pub in_flight: u16,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Sent with every request.
    pub headers: HeaderMap,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Answers by version (empty: no version header) and status.
    pub answers: BTreeMap<(String, u16), u64>,
    /// Requests without a whole answer.
    pub failed: u64,
    /// Requests that were due while too many were open.
    pub skipped: u64,
}

/// A source of requests.
#[derive(Clone)]
pub struct Load {
    config: LoadConfig,
    client: Client<HttpConnector, Empty<Bytes>>,
    clock: Clock,
    tally: Arc<Mutex<Tally>>,
}

/// An address that the load does not go to.
#[derive(Debug, thiserror::Error)]
#[error("cannot send load to {0}: only http on a loopback address, by number, is allowed")]
pub struct NotLoopback(pub Uri);

impl Tally {
    /// Answers of a version, whatever their status.
    pub fn of(&self, version: &str) -> u64 {
        self.answers.iter().filter(|((seen, _), _)| seen == version).map(|(_, count)| count).sum()
    }

    /// All answers.
    pub fn total(&self) -> u64 {
        self.answers.values().sum()
    }
}

impl Load {
    /// Prepares load; nothing is sent yet.
    pub fn new(config: LoadConfig, clock: Clock) -> Result<Self, NotLoopback> {
        let host = config.url.host().map(|host| host.trim_matches(['[', ']']));
        let loopback =
            host.and_then(|host| host.parse::<std::net::IpAddr>().ok()).is_some_and(|ip| ip.is_loopback());
        if !loopback || config.url.scheme_str() != Some("http") {
            return Err(NotLoopback(config.url));
        }
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { config, client, clock, tally: Arc::default() })
    }

    /// The counts so far; a clone of the load may be asked while it runs.
    pub fn tally(&self) -> Tally {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends until `duration` is over, if one is given, or `stop` is cancelled; then waits for the open requests.
    pub async fn run(&self, duration: Option<Duration>, stop: &CancellationToken) -> Tally {
        let open = Arc::new(Semaphore::new(usize::from(self.config.in_flight)));
        let started = self.clock.now();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut begun = 0;
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = tick.tick() => {}
            }
            let elapsed = since(self.clock, started);
            let over = duration.filter(|duration| elapsed >= *duration);
            let due = (over.unwrap_or(elapsed).as_secs_f64() * f64::from(self.config.rate.get())).floor();
            while f64::from(begun) < due {
                begun += 1_u32;
                match open.clone().try_acquire_owned() {
                    Ok(permit) => {
                        let load = self.clone();
                        tokio::spawn(async move {
                            load.send().await;
                            drop(permit);
                        });
                    }
                    Err(_) => self.count(|tally| tally.skipped += 1),
                }
            }
            if over.is_some() {
                break;
            }
        }
        // All permits together mean that no request is open; the semaphore is never closed, so this cannot fail.
        let _all = open.acquire_many(u32::from(self.config.in_flight)).await;
        self.tally()
    }

    async fn send(&self) {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = self.config.url.clone();
        *request.headers_mut() = self.config.headers.clone();
        let answer = async {
            let response = self.client.request(request).await.ok()?;
            let version = response.headers().get(VERSION_HEADER).and_then(|value| value.to_str().ok());
            let key = (version.unwrap_or_default().to_owned(), response.status().as_u16());
            // Read to the end, or the connection cannot be used again.
            response.into_body().collect().await.ok()?;
            Some(key)
        };
        let answer = tokio::time::timeout(self.config.timeout, answer).await.ok().flatten();
        self.count(|tally| match answer {
            Some(key) => *tally.answers.entry(key).or_default() += 1,
            None => tally.failed += 1,
        });
    }

    fn count(&self, change: impl FnOnce(&mut Tally)) {
        change(&mut self.tally.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

fn since(clock: Clock, started: Timestamp) -> Duration {
    clock.now().duration_since(started).try_into().unwrap_or_default()
}
