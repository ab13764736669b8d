//! Prometheus, and what speaks its HTTP API.
//!
//! Everything of a look is evaluated at one time, now less one scrape interval: each target has been scraped
//! since, so that both arms and all series are of the same age. Counters are read raw; `rate()` and
//! `increase()` report nothing for an error series that is born at 1.

mod recorded;
mod reply;
mod series;

use std::{collections::BTreeMap, time::Duration};

use futures::future::OptionFuture;
use jiff::{SignedDuration, Timestamp};
use reqwest::Url;

use super::{
    http::Http,
    presets::{self, ArmQueries, ArmScope},
};
use crate::{
    config::PrometheusConfig,
    engine::look::{Arms, ArmsRequest, Counters, LookRequest, NumberRequest, ReadError, Sample, Snapshot},
};
pub use recorded::Span;
use reply::Data;
pub(super) use series::{Buckets, canonical};

/// The distance of two snapshots of the past.
const PAST_STEP: Duration = Duration::from_mins(5);

/// One Prometheus.
#[derive(Debug)]
pub(super) struct Prometheus {
    http: Http,
    query: Url,
    query_range: Url,
    scrape_interval: Duration,
}

/// When a query is evaluated.
#[derive(Clone, Copy)]
enum When {
    At(Timestamp),
    Range { start: Timestamp, end: Timestamp, step: Duration },
}

/// A series' labels and its points.
type Rows = Vec<(BTreeMap<String, String>, Vec<reply::Point>)>;

impl Prometheus {
    pub(super) fn new(config: &PrometheusConfig) -> Result<Self, ReadError> {
        Ok(Self {
            http: Http::new(&config.http, config.url.scheme() == "https")?,
            query: endpoint(&config.url, "query"),
            query_range: endpoint(&config.url, "query_range"),
            scrape_interval: config.scrape_interval,
        })
    }

    /// Two scrapes, and at least half a minute.
    pub(super) fn settle(&self) -> Duration {
        (self.scrape_interval * 2).max(Duration::from_secs(30))
    }

    pub(super) const fn timeout(&self) -> Duration {
        self.http.timeout()
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
        let past = OptionFuture::from(arms.past.map(|past| self.past(&stable, past, at)));
        let (canary, stable, past) =
            futures::try_join!(self.counters(&canary, at), self.counters(&stable, at), async {
                past.await.transpose()
            })?;
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
        let scope = (request.namespace.as_str(), request.rollout.as_str());
        let query = presets::number(&number.name, &number.query, &request.canary, &request.stable, scope)?;
        let at = self.evaluated(now)?;
        let value = match self.ask(&number.name, &query, When::At(at)).await? {
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
        before(now, self.scrape_interval)
    }

    async fn counters(&self, queries: &ArmQueries, at: Timestamp) -> Result<Counters, ReadError> {
        let mut counters = self.gather(queries, When::At(at)).await?;
        Ok(counters.pop_last().map(|(_, counters)| counters).unwrap_or_default())
    }

    /// Stable's snapshots back to `past` ago. Times without a total are left out: a gap in what was scraped
    /// must not look like counters that began anew.
    async fn past(
        &self,
        queries: &ArmQueries,
        past: Duration,
        end: Timestamp,
    ) -> Result<Vec<(Timestamp, Counters)>, ReadError> {
        let steps = u32::try_from(past.as_secs() / PAST_STEP.as_secs()).unwrap_or(u32::MAX);
        let start = before(end, PAST_STEP.saturating_mul(steps))?;
        let counters = self.gather(queries, When::Range { start, end, step: PAST_STEP }).await?;
        Ok(counters.into_iter().filter(|(_, counters)| !counters.total.is_empty()).collect())
    }

    /// All queries of an arm at once, by evaluation time.
    async fn gather(
        &self,
        queries: &ArmQueries,
        when: When,
    ) -> Result<BTreeMap<Timestamp, Counters>, ReadError> {
        let rows = |role: &'static str, query: Option<&String>| {
            let query = query.cloned();
            // Boxed: a look asks up to nine of these at once.
            Box::pin(async move {
                match query {
                    Some(query) => self.rows(role, &query, when).await,
                    None => Ok(Rows::new()),
                }
            })
        };
        let (errors, total, latency) = futures::try_join!(
            rows("errors", queries.errors.as_ref()),
            rows("total", Some(&queries.total)),
            rows("latency", queries.latency.as_ref()),
        )?;
        let mut counters = BTreeMap::<Timestamp, Counters>::new();
        each(errors, "errors", when, |at, labels, value| {
            add(&mut counters.entry(at).or_default().errors, "errors", labels, value)
        })?;
        each(total, "total", when, |at, labels, value| {
            add(&mut counters.entry(at).or_default().total, "total", labels, value)
        })?;
        let mut buckets = BTreeMap::<Timestamp, Buckets>::new();
        each(latency, "latency", when, |at, labels, value| {
            let mut labels = labels.clone();
            let bound = series::bound(&mut labels, queries.per_second)?;
            buckets.entry(at).or_default().insert(bound, canonical(&labels), value);
            Ok(())
        })?;
        for (at, buckets) in buckets {
            counters.entry(at).or_default().buckets = buckets.ascending();
        }
        Ok(counters)
    }

    async fn rows(&self, role: &str, query: &str, when: When) -> Result<Rows, ReadError> {
        let rows: Rows = match (self.ask(role, query, when).await?, when) {
            (Data::Vector(series), When::At(_)) => {
                series.into_iter().map(|one| (one.metric, vec![one.value])).collect()
            }
            (Data::Matrix(series), When::Range { .. }) => {
                series.into_iter().map(|one| (one.metric, one.values)).collect()
            }
            (Data::Vector(_) | Data::Matrix(_) | Data::Scalar(_), When::At(_) | When::Range { .. }) => {
                return Err(ReadError::Malformed);
            }
        };
        series::few(role, rows.len())?;
        Ok(rows)
    }

    async fn ask(&self, role: &str, query: &str, when: When) -> Result<Data, ReadError> {
        let mut form = vec![("query", query.to_owned())];
        let url = match when {
            When::At(at) => {
                form.push(("time", seconds(at)));
                &self.query
            }
            When::Range { start, end, step } => {
                form.extend([
                    ("start", seconds(start)),
                    ("end", seconds(end)),
                    ("step", step.as_secs().max(1).to_string()),
                ]);
                &self.query_range
            }
        };
        let answer = self.http.send(|client| client.post(url.clone()).form(&form)).await?;
        reply::data(&answer, role)
    }
}

/// The queries of canary and stable.
fn queries(request: &LookRequest, arms: &ArmsRequest) -> Result<(ArmQueries, ArmQueries), ReadError> {
    let queries = |target| {
        let scope = ArmScope { target, namespace: &request.namespace, rollout: &request.rollout };
        presets::prometheus(&arms.series, scope).map(|queries| ArmQueries {
            latency: queries.latency.filter(|_| !arms.latency.is_empty()),
            ..queries
        })
    };
    Ok((queries(&request.canary)?, queries(&request.stable)?))
}

fn each(
    rows: Rows,
    role: &str,
    when: When,
    mut take: impl FnMut(Timestamp, &BTreeMap<String, String>, f64) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    for (labels, points) in rows {
        for point in points {
            // One evaluation time holds for all, however a server stamps what it found at that time.
            let at = match when {
                When::At(at) => at,
                When::Range { .. } => point.at()?,
            };
            match (point.finite(role), when) {
                (Ok(value), _) => take(at, &labels, value)?,
                // What was no number at one time of many is no look then.
                (Err(ReadError::NotFinite { .. }), When::Range { .. }) => {}
                (Err(error), When::At(_) | When::Range { .. }) => return Err(error),
            }
        }
    }
    Ok(())
}

fn add(
    snapshot: &mut Snapshot,
    role: &str,
    labels: &BTreeMap<String, String>,
    value: f64,
) -> Result<(), ReadError> {
    if snapshot.insert(canonical(labels), value).is_none() {
        return Ok(());
    }
    Err(ReadError::Unsupported(format!(
        "the query {role} returned two series that differ in their name alone; select one metric"
    )))
}

fn endpoint(base: &Url, name: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}/api/v1/{name}", base.path().trim_end_matches('/')));
    url
}

fn before(time: Timestamp, span: Duration) -> Result<Timestamp, ReadError> {
    SignedDuration::try_from(span).and_then(|span| time.checked_sub(span)).map_err(|_| {
        ReadError::Unsupported("the configured scrapeInterval is too long; shorten it".to_owned())
    })
}

/// Unix seconds with milliseconds.
fn seconds(time: Timestamp) -> String {
    let millis = time.as_millisecond();
    format!("{}.{:03}", millis.div_euclid(1000), millis.rem_euclid(1000))
}

fn empty(query: &str) -> ReadError {
    ReadError::Empty { query: query.to_owned() }
}
