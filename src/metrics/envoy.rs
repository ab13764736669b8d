//! Gateway Envoys' own statistics: no Prometheus needed, fresh to the second.
//!
//! Every configured gateway must answer. A partial sum would be worse than none: the series of the missing one
//! would vanish and come back, and counting on from where they were looks like a burst of requests.

use std::{collections::BTreeMap, time::Duration};

use futures::future::try_join_all;
use jiff::Timestamp;
use reqwest::Url;
use tokio::sync::Mutex;

use super::{
    exposition::{self, Sample},
    presets::{self, ArmScope, ArmSelectors, Failed, RETRIED_LABEL, Selector},
};
use crate::{
    config::EnvoyConfig,
    engine::look::{Arms, ArmsRequest, Counters, LookRequest, NumberRequest, ReadError, Snapshot},
    outbound::Http,
};

/// A weight change shows at once in what Envoy counts; this is for requests still under way.
pub(super) const SETTLE: Duration = Duration::from_secs(2);

/// All gateways of one provider.
#[derive(Debug)]
pub(super) struct Envoy {
    http: Http,
    urls: Vec<Url>,
    scrape_interval: Duration,
    last: Mutex<Option<Scrape>>,
}

/// All gateways' samples, in the order of the addresses, and when they were asked for.
#[derive(Debug)]
struct Scrape {
    at: Timestamp,
    outcome: Result<Vec<Vec<Sample>>, ReadError>,
}

impl Envoy {
    pub(super) fn new(config: &EnvoyConfig) -> Result<Self, ReadError> {
        let over_tls = config.urls.iter().any(|url| url.scheme() == "https");
        Ok(Self {
            http: Http::new(&config.http, over_tls)?,
            urls: config.urls.clone(),
            scrape_interval: config.scrape_interval,
            last: Mutex::new(None),
        })
    }

    pub(super) const fn timeout(&self) -> Duration {
        self.http.timeout()
    }

    /// The counters of both arms. There is no past: an Envoy knows only the present.
    pub(super) async fn arms(
        &self,
        request: &LookRequest,
        arms: &ArmsRequest,
        now: Timestamp,
    ) -> Result<Arms, ReadError> {
        let (canary, stable) = both(request, arms)?;
        let mut last = self.last.lock().await;
        let scrape = match last.take() {
            Some(scrape) if self.is_fresh(scrape.at, now) => last.insert(scrape),
            Some(_) | None => last.insert(self.scrape(now).await),
        };
        let gateways = scrape.outcome.as_ref().map_err(Clone::clone)?;
        let arms = Arms {
            at: scrape.at,
            canary: counters(gateways, &canary, !arms.latency.is_empty())?,
            stable: counters(gateways, &stable, !arms.latency.is_empty())?,
            past: Vec::new(),
        };
        if arms.canary.total.is_empty() && arms.stable.total.is_empty() {
            return Err(ReadError::Empty { query: "total".to_owned() });
        }
        Ok(arms)
    }

    /// Rollouts that look in the same interval share a scrape, a failed one too.
    fn is_fresh(&self, at: Timestamp, now: Timestamp) -> bool {
        now.duration_since(at).unsigned_abs() < self.scrape_interval
    }

    async fn scrape(&self, now: Timestamp) -> Scrape {
        let outcome = try_join_all(self.urls.iter().map(|url| self.gateway(url))).await;
        Scrape { at: now, outcome }
    }

    async fn gateway(&self, url: &Url) -> Result<Vec<Sample>, ReadError> {
        let body = self.http.send(|client| client.get(url.clone())).await?.success()?;
        let text = std::str::from_utf8(&body).map_err(|_| ReadError::Malformed)?;
        exposition::parse(text)
    }
}

/// Which counters are canary's and which stable's.
fn both(request: &LookRequest, arms: &ArmsRequest) -> Result<(ArmSelectors, ArmSelectors), ReadError> {
    let selectors = |target| presets::selectors(&arms.series, ArmScope::of(request, target));
    Ok((selectors(&request.canary)?, selectors(&request.stable)?))
}

/// Whether what is asked of both arms can be.
pub(super) fn check(request: &LookRequest, arms: &ArmsRequest) -> Result<(), ReadError> {
    both(request, arms).map(drop)
}

/// That no plain number is to be had here.
pub(super) fn has_no_number(number: &NumberRequest) -> ReadError {
    ReadError::Unsupported(format!(
        "the metric {} needs a provider of another kind than envoy, which has only the counters of both arms; name one \
         as its provider",
        number.name
    ))
}

fn counters(gateways: &[Vec<Sample>], arm: &ArmSelectors, latency: bool) -> Result<Counters, ReadError> {
    let buckets = if latency { buckets(gateways, &arm.latency, arm.per_second)? } else { Vec::new() };
    let (mut errors, mut total) = (Snapshot::new(), Snapshot::new());
    let first = selected(gateways, &arm.total).map(|found| (found, false));
    let retried =
        arm.retried.iter().flat_map(|retried| selected(gateways, retried)).map(|found| (found, true));
    for ((gateway, sample), retried) in first.chain(retried) {
        let value = count(sample, "total")?;
        let mut labels = sample.labels.clone();
        if retried {
            labels.insert(RETRIED_LABEL.to_owned(), "true".to_owned());
        }
        let key = key(gateway, &labels);
        if Failed::Envoy.holds(&labels) {
            errors.insert(key.clone(), value);
        }
        once(total.insert(key, value).is_none())?;
    }
    Ok(Counters { errors, total, buckets })
}

fn buckets(
    gateways: &[Vec<Sample>],
    selector: &Selector,
    per_second: f64,
) -> Result<Vec<(f64, Snapshot)>, ReadError> {
    let mut buckets = super::prometheus::Buckets::default();
    for (gateway, sample) in selected(gateways, selector) {
        let mut labels = sample.labels.clone();
        let bound = labels.remove("le").ok_or(ReadError::Malformed)?;
        let bound: f64 = bound.parse().map_err(|_| ReadError::Malformed)?;
        if bound.is_nan() {
            return Err(ReadError::Malformed);
        }
        once(buckets.insert(bound / per_second, key(gateway, &labels), count(sample, "latency")?))?;
    }
    Ok(buckets.ascending())
}

fn selected<'a>(
    gateways: &'a [Vec<Sample>],
    selector: &'a Selector,
) -> impl Iterator<Item = (usize, &'a Sample)> {
    let wanted = |sample: &Sample| {
        sample.name == selector.metric
            && selector.labels.iter().all(|(label, value)| sample.labels.get(*label) == Some(value))
    };
    gateways
        .iter()
        .enumerate()
        .flat_map(|(gateway, samples)| samples.iter().map(move |sample| (gateway, sample)))
        .filter(move |(_, sample)| wanted(sample))
}

/// A counter's value, which is never negative.
fn count(sample: &Sample, role: &str) -> Result<f64, ReadError> {
    if !sample.value.is_finite() {
        return Err(ReadError::NotFinite { query: role.to_owned() });
    }
    if sample.value < 0.0 { Err(ReadError::Malformed) } else { Ok(sample.value) }
}

/// Which of two samples of one series is true, nobody can tell.
const fn once(is_new: bool) -> Result<(), ReadError> {
    if is_new { Ok(()) } else { Err(ReadError::Malformed) }
}

fn key(gateway: usize, labels: &BTreeMap<String, String>) -> String {
    format!("{gateway} {}", super::prometheus::canonical(labels))
}
