//! Prometheus, and what speaks its HTTP API.
//!
//! Everything of a look is evaluated at one time, now less one scrape interval (or the configured lag): each target has
//! been scraped since, so that both arms and all series are of the same age. It is a whole second, so that Rollouts that
//! look at about the same time ask the same. Counters are read raw; `rate()` and `increase()` report nothing for an error
//! series that is born at 1.

mod asking;
mod recorded;
mod reply;
mod series;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::future::OptionFuture;
use jiff::{SignedDuration, Timestamp};

use super::presets::{self, ArmQueries, ArmScope, Errors};
use crate::{
    config::PrometheusConfig,
    engine::look::{Arms, ArmsRequest, Counters, LookRequest, NumberRequest, ReadError, Sample, Snapshot},
};
use asking::{Asking, When};
pub use recorded::Span;
use reply::{Data, Point};
pub(super) use series::{Buckets, canonical};

/// The distance of two snapshots of the past.
const PAST_STEP: Duration = Duration::from_mins(5);

/// One Prometheus.
#[derive(Debug)]
pub(super) struct Prometheus {
    asking: Asking,
    scrape_interval: Duration,
    lag: Duration,
}

impl Prometheus {
    pub(super) fn new(config: &PrometheusConfig) -> Result<Self, ReadError> {
        Ok(Self { asking: Asking::new(config)?, scrape_interval: config.scrape_interval, lag: config.lag })
    }

    pub(super) fn settle(&self) -> Duration {
        settle(self.scrape_interval)
    }

    pub(super) fn timeout(&self) -> Duration {
        self.asking.timeout()
    }

    /// The counters of both arms.
    pub(super) async fn arms(
        &self,
        request: &LookRequest,
        arms: &ArmsRequest,
        now: Timestamp,
    ) -> Result<Arms, ReadError> {
        let (canary, stable) = queries(request, arms)?;
        let at = self.evaluated(now)?;
        let namespace = &request.namespace;
        let past = OptionFuture::from(arms.past.map(|past| self.past(namespace, &stable, past, at)));
        let (canary, stable, past) = futures::try_join!(
            self.counters(namespace, &canary, at),
            self.counters(namespace, &stable, at),
            async { past.await.transpose() }
        )?;
        if canary.total.is_empty() && stable.total.is_empty() {
            return Err(empty("total"));
        }
        Ok(Arms { at, canary, stable, past: past.unwrap_or_default() })
    }

    /// One plain number.
    pub(super) async fn number(
        &self,
        request: &LookRequest,
        number: &NumberRequest,
        now: Timestamp,
    ) -> Result<Sample, ReadError> {
        let query = presets::number(number, request)?;
        let at = self.evaluated(now)?;
        let answer = self.asking.ask(&request.namespace, &number.name, &query, When::At(at)).await?;
        let value = match &*answer {
            Data::Scalar(point) => point.finite(&number.name)?,
            Data::Vector(series) => match series.as_slice() {
                [one] => one.value.finite(&number.name)?,
                [] => return Err(empty(&number.name)),
                many => {
                    return Err(ReadError::ManySeries { query: number.name.clone(), count: many.len() });
                }
            },
            Data::Matrix(_) => return Err(ReadError::Malformed),
        };
        Ok(Sample { at, value })
    }

    fn evaluated(&self, now: Timestamp) -> Result<Timestamp, ReadError> {
        let at = before(now, self.lag)?;
        Ok(Timestamp::from_second(at.as_millisecond().div_euclid(1000)).unwrap_or(at))
    }

    async fn counters(
        &self,
        namespace: &str,
        queries: &ArmQueries,
        at: Timestamp,
    ) -> Result<Counters, ReadError> {
        let mut counters = self.gather(namespace, queries, When::At(at)).await?;
        Ok(counters.pop_last().map(|(_, counters)| counters).unwrap_or_default())
    }

    /// Stable's snapshots back to `past` ago. Times without a total are left out: a gap in what was scraped
    /// must not look like counters that began anew.
    async fn past(
        &self,
        namespace: &str,
        queries: &ArmQueries,
        past: Duration,
        end: Timestamp,
    ) -> Result<Vec<(Timestamp, Counters)>, ReadError> {
        let steps = u32::try_from(past.as_secs() / PAST_STEP.as_secs()).unwrap_or(u32::MAX);
        let start = before(end, PAST_STEP.saturating_mul(steps))?;
        let counters = self.gather(namespace, queries, When::Range { start, end, step: PAST_STEP }).await?;
        Ok(counters.into_iter().filter(|(_, counters)| !counters.total.is_empty()).collect())
    }

    /// All queries of an arm at once, by evaluation time.
    async fn gather(
        &self,
        namespace: &str,
        queries: &ArmQueries,
        when: When,
    ) -> Result<BTreeMap<Timestamp, Counters>, ReadError> {
        let rows = |role: &'static str, query: Option<&String>| {
            let query = query.cloned();
            // Boxed: a look asks up to nine of these at once.
            Box::pin(async move {
                match query {
                    Some(query) => self.rows(namespace, role, &query, when).await.map(Some),
                    None => Ok(None),
                }
            })
        };
        let (errors, total, latency) = futures::try_join!(
            rows("errors", queries.errors.query()),
            rows("total", Some(&queries.total)),
            rows("latency", queries.latency.as_ref()),
        )?;
        let mut counters = BTreeMap::<Timestamp, Counters>::new();
        each(errors.as_deref(), "errors", when, |at, labels, value| {
            add(&mut counters.entry(at).or_default().errors, "errors", labels, value)
        })?;
        each(total.as_deref(), "total", when, |at, labels, value| {
            let counters = counters.entry(at).or_default();
            if let Errors::AmongTotal(failed) = queries.errors
                && failed.holds(labels)
            {
                add(&mut counters.errors, "total", labels, value)?;
            }
            add(&mut counters.total, "total", labels, value)
        })?;
        let mut buckets = BTreeMap::<Timestamp, Buckets>::new();
        each(latency.as_deref(), "latency", when, |at, labels, value| {
            let mut labels = labels.clone();
            let bound = series::bound(&mut labels, queries.per_second)?;
            let is_new = buckets.entry(at).or_default().insert(bound, canonical(&labels), value);
            if is_new { Ok(()) } else { Err(series::doubled("latency", "are of one bound")) }
        })?;
        for (at, buckets) in buckets {
            counters.entry(at).or_default().buckets = buckets.ascending();
        }
        Ok(counters)
    }

    /// An answer that has series, and not too many.
    async fn rows(
        &self,
        namespace: &str,
        role: &str,
        query: &str,
        when: When,
    ) -> Result<Arc<Data>, ReadError> {
        let answer = self.asking.ask(namespace, role, query, when).await?;
        let count = match (&*answer, when) {
            (Data::Vector(series), When::At(_)) => series.len(),
            (Data::Matrix(series), When::Range { .. }) => series.len(),
            (Data::Vector(_) | Data::Matrix(_) | Data::Scalar(_), When::At(_) | When::Range { .. }) => {
                return Err(ReadError::Malformed);
            }
        };
        series::few(role, count)?;
        Ok(answer)
    }
}

/// Two scrapes, and at least half a minute. How late samples come does not count: they bear the time of their scrape.
pub(super) fn settle(scrape_interval: Duration) -> Duration {
    (scrape_interval * 2).max(Duration::from_secs(30))
}

/// Whether what is asked of both arms can be.
pub(super) fn check(request: &LookRequest, arms: &ArmsRequest) -> Result<(), ReadError> {
    queries(request, arms).map(drop)
}

/// The queries of canary and stable.
fn queries(request: &LookRequest, arms: &ArmsRequest) -> Result<(ArmQueries, ArmQueries), ReadError> {
    let queries = |target| {
        presets::prometheus(&arms.series, ArmScope::of(request, target)).map(|queries| ArmQueries {
            latency: queries.latency.filter(|_| !arms.latency.is_empty()),
            ..queries
        })
    };
    Ok((queries(&request.canary)?, queries(&request.stable)?))
}

/// Takes each series' labels and value at each time.
fn each(
    answer: Option<&Data>,
    role: &str,
    when: When,
    mut take: impl FnMut(Timestamp, &BTreeMap<String, String>, f64) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    let mut all = |labels: &BTreeMap<String, String>, points: &[Point]| {
        for point in points {
            // One evaluation time holds for all, however a server stamps what it found at that time.
            let at = match when {
                When::At(at) => at,
                When::Range { .. } => point.at()?,
            };
            match (point.finite(role), when) {
                (Ok(value), _) => take(at, labels, series::count(role, value)?)?,
                // What was no number at one time of many is no look then.
                (Err(ReadError::NotFinite { .. }), When::Range { .. }) => {}
                (Err(error), When::At(_) | When::Range { .. }) => return Err(error),
            }
        }
        Ok(())
    };
    match answer {
        Some(Data::Vector(series)) => {
            series.iter().try_for_each(|one| all(&one.metric, std::slice::from_ref(&one.value)))
        }
        Some(Data::Matrix(series)) => series.iter().try_for_each(|one| all(&one.metric, &one.values)),
        Some(Data::Scalar(_)) | None => Ok(()),
    }
}

fn add(
    snapshot: &mut Snapshot,
    role: &str,
    labels: &BTreeMap<String, String>,
    value: f64,
) -> Result<(), ReadError> {
    let is_new = snapshot.insert(canonical(labels), value).is_none();
    if is_new { Ok(()) } else { Err(series::doubled(role, "differ in their name alone")) }
}

fn before(time: Timestamp, span: Duration) -> Result<Timestamp, ReadError> {
    SignedDuration::try_from(span).and_then(|span| time.checked_sub(span)).map_err(|_| {
        ReadError::Unsupported("the configured scrapeInterval or lag is too long; shorten it".to_owned())
    })
}

fn empty(query: &str) -> ReadError {
    ReadError::Empty { query: query.to_owned() }
}
