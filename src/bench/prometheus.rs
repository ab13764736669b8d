//! A Prometheus that answers as told: the counters grow as traffic by the weights makes them, and one plain number is good
//! until it is flipped.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    extract::{Query, State},
    http::{StatusCode, Uri},
    response::{IntoResponse, Response},
    routing::post,
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{error::BenchError, eyes::Seen, objects::Pair, traffic};
use crate::{clock::Clock, sandbox::serve::bind_loopback};

/// The query of the plain number.
pub const BAD: &str = r#"bench_bad{rollout="{{rollout}}"}"#;
/// The query of an arm's failed requests.
pub const ERRORS: &str = r#"bench_errors_total{rollout="{{rollout}}",target="{{target}}"}"#;
/// The query of an arm's requests.
pub const TOTAL: &str = r#"bench_requests_total{rollout="{{rollout}}",target="{{target}}"}"#;

/// What the plain number is, and what it becomes.
const GOOD_VALUE: f64 = 0.0;
const BAD_VALUE: f64 = 1.0;
/// The share of the requests that fails.
const FAILING: f64 = 0.001;
/// The counters have been growing for so long.
const PAST: SignedDuration = SignedDuration::from_hours(24);

/// It serves until it is dropped.
pub struct Prometheus {
    address: SocketAddr,
    shared: Shared,
    serving: tokio::task::JoinHandle<()>,
}

#[derive(Clone)]
struct Shared {
    clock: Clock,
    since: Timestamp,
    seen: Arc<Mutex<Seen>>,
    flipped: Arc<Mutex<HashMap<String, Flip>>>,
}

/// A plain number that has become bad.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flip {
    /// When.
    pub at: Timestamp,
    /// When that was answered for the first time.
    pub answered: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Asked {
    query: String,
    time: Option<f64>,
    start: Option<f64>,
    end: Option<f64>,
    step: Option<f64>,
}

impl Prometheus {
    /// Starts it on loopback; `seen` tells which weights the routes have had.
    pub async fn start(clock: Clock, seen: Arc<Mutex<Seen>>) -> Result<Self, BenchError> {
        let failed = || BenchError::machine("serve metrics on loopback");
        let listener = bind_loopback().await.map_err(failed())?;
        let address = listener.local_addr().map_err(failed())?;
        let since = clock.now().saturating_sub(PAST).unwrap_or(Timestamp::MIN);
        let shared = Shared { clock, since, seen, flipped: Arc::default() };
        let router = Router::new()
            .route("/api/v1/query", post(answer))
            .route("/api/v1/query_range", post(answer))
            .with_state(shared.clone());
        let serving = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "metrics are no longer served");
            }
        });
        Ok(Self { address, shared, serving })
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on the plain number of these Rollouts is bad.
    pub fn flip(&self, rollouts: &[String]) {
        let flip = Flip { at: self.shared.clock.now(), answered: None };
        self.shared.flipped().extend(rollouts.iter().map(|rollout| (rollout.clone(), flip)));
    }

    /// All is good again.
    pub fn heal(&self) {
        self.shared.flipped().clear();
    }

    /// What became of a Rollout's flip.
    pub fn flipped(&self, rollout: &str) -> Option<Flip> {
        self.shared.flipped().get(rollout).copied()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Shared {
    fn flipped(&self) -> MutexGuard<'_, HashMap<String, Flip>> {
        self.flipped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many requests the version that a query names has had by then.
    fn requests(&self, query: &str, at: f64) -> Option<f64> {
        let (rollout, target) = (label(query, "rollout")?, label(query, "target")?);
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let shares = seen.routes.get(rollout).map(|route| route.shares.as_slice()).unwrap_or_default();
        let (first, second) = traffic::requests(shares, self.since.as_duration().as_secs_f64(), at);
        Some(if Pair::is_second(target) { second } else { first })
    }

    /// The value of a query at a time.
    fn value(&self, query: &str, at: f64) -> Option<f64> {
        let name = query.split('{').next()?;
        match name {
            "bench_requests_total" => Some(self.requests(query, at)?.floor()),
            "bench_errors_total" => Some((self.requests(query, at)? * FAILING).floor()),
            "bench_bad" => {
                let rollout = label(query, "rollout")?;
                let mut flipped = self.flipped();
                let Some(flip) = flipped.get_mut(rollout) else {
                    return Some(GOOD_VALUE);
                };
                flip.answered.get_or_insert_with(|| self.clock.now());
                Some(BAD_VALUE)
            }
            _ => None,
        }
    }
}

async fn answer(State(shared): State<Shared>, body: String) -> Response {
    let asked = format!("/?{body}").parse::<Uri>().ok().and_then(|uri| Query::try_from_uri(&uri).ok());
    let Some(Query(asked)) = asked else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let answer = Answer { status: "success", data: result(&shared, &asked) };
    axum::Json(answer).into_response()
}

/// An answer with its fields in the order in which Prometheus writes them: whoever reads the type first need not keep the
/// result until then.
#[derive(Serialize)]
struct Answer {
    status: &'static str,
    data: Data,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: &'static str,
    result: Value,
}

fn result(shared: &Shared, asked: &Asked) -> Data {
    let point = |at: f64| shared.value(&asked.query, at).map(|value| json!([at, value.to_string()]));
    match asked {
        Asked { start: Some(start), end: Some(end), step: Some(step), .. } if *step > 0.0 => {
            let times = std::iter::successors(Some(*start), |at| Some(at + step)).take_while(|at| at <= end);
            let values: Vec<Value> = times.filter_map(point).collect();
            Data { result_type: "matrix", result: json!([{"metric": {}, "values": values}]) }
        }
        _ => {
            let now = || shared.clock.now().as_duration().as_secs_f64();
            let value = point(asked.time.unwrap_or_else(now));
            let series = value.map(|value| json!({"metric": {}, "value": value}));
            Data { result_type: "vector", result: series.into_iter().collect() }
        }
    }
}

/// The value of a label in a query.
fn label<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = query.split_once(&format!("{name}=\""))?;
    rest.split_once('"').map(|(value, _)| value)
}

/// How often the counters are said to be scraped: answers are of the present, but for that.
pub const SCRAPE_INTERVAL: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_flip_is_answered_once_it_is_asked_for() {
        let prometheus = Prometheus::start(Clock::start(), Arc::default()).await.unwrap();
        let shared = &prometheus.shared;
        let now = shared.clock.now().as_duration().as_secs_f64();
        let bad = |rollout: &str| shared.value(&BAD.replace("{{rollout}}", rollout), now);
        assert_eq!(bad("a"), Some(GOOD_VALUE));
        prometheus.flip(&["a".to_owned()]);
        assert_eq!(prometheus.flipped("a").unwrap().answered, None);
        assert_eq!((bad("a"), bad("b")), (Some(BAD_VALUE), Some(GOOD_VALUE)));
        let flip = prometheus.flipped("a").unwrap();
        assert!(flip.answered.unwrap() >= flip.at);
        bad("a");
        assert_eq!(prometheus.flipped("a"), Some(flip), "only the first answer counts");
        prometheus.heal();
        assert_eq!(bad("a"), Some(GOOD_VALUE));
        assert_eq!(shared.value("other{}", now), None);
    }

    #[tokio::test]
    async fn counters_grow_with_the_time_asked_for() {
        let prometheus = Prometheus::start(Clock::start(), Arc::default()).await.unwrap();
        let now = prometheus.shared.clock.now().as_duration().as_secs_f64();
        let query = TOTAL.replace("{{rollout}}", "a").replace("{{target}}", &Pair(0).version(1));
        let asked = |time| Asked { query: query.clone(), time, start: None, end: None, step: None };
        let value = |at: f64| {
            let result = result(&prometheus.shared, &asked(Some(at)));
            result.result[0]["value"][1].as_str().unwrap().parse::<f64>().unwrap()
        };
        let (wanted, none) = traffic::requests(&[], now - 10.0, now);
        let grown = value(now) - value(now - 10.0);
        assert!((grown - wanted).abs() <= 1.0 && none == 0.0, "{grown}");
        let range = Asked { start: Some(now - 600.0), end: Some(now), step: Some(300.0), ..asked(None) };
        let range = result(&prometheus.shared, &range);
        assert_eq!(range.result[0]["values"].as_array().unwrap().len(), 3);
    }
}
