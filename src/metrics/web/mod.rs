//! JSON over HTTP: what a configured address answers below it, and a JSONPath into the answer.
//!
//! A query is `path?query | $.json.path`. It can't leave the configured address: the path is appended to it, has no
//! dot segments, and placeholders are put in percent-escaped.

mod json;
mod query;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures::future::try_join_all;
use jiff::Timestamp;
use reqwest::{Client, Url, header::ACCEPT};
use serde_json::Value;

use super::{
    presets::{self, ArmScope, unsupported},
    template::Values,
};
use crate::{
    config::WebConfig,
    engine::look::{Arms, ArmsRequest, Counters, LookRequest, NumberRequest, ReadError, Sample, Snapshot},
    outbound::Http,
};
use query::Query;

/// Nothing is known of how such a service counts; this is what most take to tell.
pub(super) const SETTLE: Duration = Duration::from_secs(30);

/// One address.
#[derive(Debug)]
pub(super) struct Web {
    http: Http,
    base: Url,
}

/// The queries of one arm.
struct ArmQueries {
    errors: Option<Query>,
    total: Query,
}

/// Answers by their address.
type Answers = BTreeMap<Url, Value>;

impl Web {
    pub(super) fn new(config: &WebConfig) -> Result<Self, ReadError> {
        Ok(Self { http: Http::new(&config.http, config.url.scheme() == "https")?, base: config.url.clone() })
    }

    pub(super) const fn timeout(&self) -> Duration {
        self.http.timeout()
    }

    /// The counters of both arms. There is no past: such a service tells the present.
    pub(super) async fn arms(
        &self,
        request: &LookRequest,
        arms: &ArmsRequest,
        now: Timestamp,
    ) -> Result<Arms, ReadError> {
        let (canary, stable) = queries(&self.base, request, arms)?;
        let answers = self.answers([&canary, &stable].into_iter().flat_map(ArmQueries::all)).await?;
        Ok(Arms {
            at: now,
            canary: canary.counters(&answers)?,
            stable: stable.counters(&answers)?,
            past: Vec::new(),
        })
    }

    /// One plain number.
    pub(super) async fn number(
        &self,
        request: &LookRequest,
        number: &NumberRequest,
        now: Timestamp,
    ) -> Result<Sample, ReadError> {
        let query = query(&self.base, request, number)?;
        let answers = self.answers([&query]).await?;
        Ok(Sample { at: now, value: query.value(&answers)? })
    }

    /// Whether what is asked of both arms can be.
    pub(super) fn check(&self, request: &LookRequest, arms: &ArmsRequest) -> Result<(), ReadError> {
        check(&self.base, request, arms)
    }

    /// Whether what is asked as one plain number can be.
    pub(super) fn check_number(
        &self,
        request: &LookRequest,
        number: &NumberRequest,
    ) -> Result<(), ReadError> {
        check_number(&self.base, request, number)
    }

    /// Each address is asked once, however many queries read of its answer: they are then of one moment.
    async fn answers<'a>(&self, queries: impl IntoIterator<Item = &'a Query>) -> Result<Answers, ReadError> {
        let urls: BTreeSet<&Url> = queries.into_iter().map(|query| &query.url).collect();
        let answers = try_join_all(urls.into_iter().map(|url| async move {
            let ask = |client: &Client| client.get(url.clone()).header(ACCEPT, "application/json");
            let answer = self.http.send(ask).await?;
            let value = serde_json::from_slice(&answer.success()?).map_err(|_| ReadError::Malformed)?;
            Ok::<_, ReadError>((url.clone(), value))
        }));
        Ok(answers.await?.into_iter().collect())
    }
}

/// Whether what is asked of both arms can be, below any address.
pub(super) fn check(base: &Url, request: &LookRequest, arms: &ArmsRequest) -> Result<(), ReadError> {
    queries(base, request, arms).map(drop)
}

/// Whether what is asked as one plain number can be, below any address.
pub(super) fn check_number(
    base: &Url,
    request: &LookRequest,
    number: &NumberRequest,
) -> Result<(), ReadError> {
    query(base, request, number).map(drop)
}

/// The query of one plain number.
fn query(base: &Url, request: &LookRequest, number: &NumberRequest) -> Result<Query, ReadError> {
    Query::parse(&number.name, &number.query, &Values::of_both(request), base)
}

/// The queries of canary and stable.
fn queries(
    base: &Url,
    request: &LookRequest,
    arms: &ArmsRequest,
) -> Result<(ArmQueries, ArmQueries), ReadError> {
    if !arms.latency.is_empty() {
        return Err(unsupported(
            "a web provider has no latency buckets; judge latency as one of the metrics, with max",
        ));
    }
    Ok((arm(base, request, arms, &request.canary)?, arm(base, request, arms, &request.stable)?))
}

fn arm(base: &Url, request: &LookRequest, arms: &ArmsRequest, target: &str) -> Result<ArmQueries, ReadError> {
    if arms.series.preset.is_some() {
        return Err(unsupported(
            "a preset needs a provider of another kind than web; with a web provider give series.total and \
             series.errors",
        ));
    }
    let values = Values::of_arm(ArmScope::of(request, target));
    let query = |role: &str, text: &str| {
        presets::tells_arms_apart(role, text)?;
        Query::parse(role, text, &values, base)
    };
    let errors = arms.series.errors.as_ref().map(|text| query("errors", text)).transpose()?;
    Ok(ArmQueries { errors, total: query("total", presets::own_total(&arms.series)?)? })
}

impl ArmQueries {
    fn all(&self) -> impl Iterator<Item = &Query> {
        self.errors.iter().chain([&self.total])
    }

    fn counters(&self, answers: &Answers) -> Result<Counters, ReadError> {
        let one =
            |query: &Query| Ok::<_, ReadError>(Snapshot::from([(String::new(), query.count(answers)?)]));
        Ok(Counters {
            errors: self.errors.as_ref().map(one).transpose()?.unwrap_or_default(),
            total: one(&self.total)?,
            buckets: Vec::new(),
        })
    }
}
