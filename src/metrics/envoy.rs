//! Gateway Envoys' own statistics: no Prometheus needed, fresh to the second.
//!
//! Every Envoy must answer, whether the configuration lists it or the gateway's control plane does: a part of the requests is no
//! evidence.

use std::{collections::BTreeMap, time::Duration};

use futures::future::try_join_all;
use jiff::Timestamp;
use reqwest::Url;
use tokio::sync::Mutex;

use super::{
    exposition::{self, Sample},
    presets::{self, ArmScope, ArmSelectors, Failed, RETRIED_LABEL, Selector},
    registry::{Registry, Scraped},
};
use crate::{
    config::{EnvoyConfig, EnvoySource},
    engine::look::{Arms, ArmsRequest, Counters, LookRequest, NumberRequest, ReadError, Snapshot},
    outbound::Http,
};

/// A weight change shows at once in what Envoy counts; this is for requests still under way.
pub(super) const SETTLE: Duration = Duration::from_secs(2);

/// All gateways of one provider.
#[derive(Debug)]
pub(super) struct Envoy {
    timeout: Duration,
    scrape_interval: Duration,
    state: Mutex<State>,
}

/// Where they are, and what they said last.
#[derive(Debug)]
struct State {
    source: Source,
    last: Option<Scrape>,
}

#[derive(Debug)]
enum Source {
    Listed(Box<Http>, Vec<Url>),
    Found(Box<Registry>),
}

/// All Envoys' samples, each with what tells it from the others, and when they were asked for.
#[derive(Debug)]
struct Scrape {
    at: Timestamp,
    outcome: Result<Scraped, ReadError>,
}

impl Envoy {
    pub(super) fn new(config: &EnvoyConfig) -> Result<Self, ReadError> {
        let source = match &config.source {
            EnvoySource::Urls(urls) => {
                let over_tls = urls.iter().any(|url| url.scheme() == "https");
                Source::Listed(Box::new(Http::new(&config.http, over_tls)?), urls.clone())
            }
            EnvoySource::Registry { url, gateway, nodes } => {
                Source::Found(Box::new(Registry::new(config, url, gateway.as_deref(), nodes)?))
            }
        };
        Ok(Self {
            timeout: config.http.timeout,
            scrape_interval: config.scrape_interval,
            state: Mutex::new(State { source, last: None }),
        })
    }

    pub(super) const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The counters of both arms. There is no past: an Envoy knows only the present.
    pub(super) async fn arms(
        &self,
        request: &LookRequest,
        arms: &ArmsRequest,
        now: Timestamp,
    ) -> Result<Arms, ReadError> {
        let (canary, stable) = both(request, arms)?;
        let mut state = self.state.lock().await;
        let State { source, last } = &mut *state;
        let scrape = match last.take() {
            Some(scrape) if self.is_fresh(scrape.at, now) => last.insert(scrape),
            Some(_) | None => last.insert(Scrape { at: now, outcome: source.scrape(now).await }),
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
}

impl Source {
    async fn scrape(&mut self, now: Timestamp) -> Result<Scraped, ReadError> {
        match self {
            Self::Listed(http, urls) => {
                let samples = try_join_all(urls.iter().map(|url| gateway(http, url))).await?;
                Ok(samples.into_iter().enumerate().map(|(at, samples)| (at.to_string(), samples)).collect())
            }
            Self::Found(registry) => registry.scrape(now).await,
        }
    }
}

async fn gateway(http: &Http, url: &Url) -> Result<Vec<Sample>, ReadError> {
    exposition::read(http.send(|client| client.get(url.clone())).await?)
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

fn counters(
    gateways: &[(String, Vec<Sample>)],
    arm: &ArmSelectors,
    latency: bool,
) -> Result<Counters, ReadError> {
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
    gateways: &[(String, Vec<Sample>)],
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
    gateways: &'a [(String, Vec<Sample>)],
    selector: &'a Selector,
) -> impl Iterator<Item = (&'a str, &'a Sample)> {
    let wanted = |sample: &Sample| {
        sample.name == selector.metric
            && selector.labels.iter().all(|(label, value)| sample.labels.get(*label) == Some(value))
    };
    gateways
        .iter()
        .flat_map(|(gateway, samples)| samples.iter().map(move |sample| (gateway.as_str(), sample)))
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

fn key(gateway: &str, labels: &BTreeMap<String, String>) -> String {
    format!("{gateway} {}", super::prometheus::canonical(labels))
}
