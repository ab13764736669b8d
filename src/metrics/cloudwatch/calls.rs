//! Calls of `GetMetricData`. What Rollouts ask for the same hour at about the same moment goes in one call, up to what
//! CloudWatch takes in one; expressions go alone, for one that is wrong fails the whole call.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_sdk_cloudwatch::{
    primitives::DateTime,
    types::{Dimension, Metric, MetricDataQuery, MetricStat, ScanBy},
};
use futures::future::join_all;
use jiff::Timestamp;
use tokio::sync::oneshot;

use super::{
    breaker::Breaker,
    client::{Found, LazyClient},
    failure::{Call, Failure},
    queries::{Query, Stat},
    reply::{Collected, Rows, id},
    window::Window,
};
use crate::{api::units::spell, config::CloudWatchConfig, engine::look::ReadError};

/// The most queries that a call may have.
const MAX_QUERIES: usize = 500;
/// How long a call waits for others to join it.
const GATHERING: Duration = Duration::from_millis(50);
/// Datapoints of one page, at most: few enough to stay below 1 MiB.
const MAX_DATAPOINTS: i32 = 30_000;
/// Pages of one answer, at most; a server that always has another must end somewhere.
const MAX_PAGES: usize = 20;

/// How CloudWatch is called. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Calls(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    client: LazyClient,
    breaker: Breaker,
    timeout: Duration,
    assumes: bool,
    waiting: Mutex<BTreeMap<Window, Waiting>>,
}

/// What is asked for the same hour, and not yet under way.
#[derive(Debug)]
struct Waiting {
    now: Timestamp,
    askers: Vec<Asker>,
}

/// One arm or two of a Rollout: its queries stay together, so that one moment's sums answer them all.
#[derive(Debug)]
struct Asker {
    queries: Vec<Query>,
    answer: oneshot::Sender<Result<Vec<Rows>, ReadError>>,
}

impl Calls {
    pub(super) fn new(config: &CloudWatchConfig, found: Found) -> Self {
        Self(Arc::new(Inner {
            client: LazyClient::new(config, found),
            breaker: Breaker::new(config.timeout),
            timeout: config.timeout,
            assumes: config.role_arn.is_some(),
            waiting: Mutex::default(),
        }))
    }

    /// Asks, and returns each query's series in the order of the queries.
    pub(super) async fn ask(
        &self,
        queries: Vec<Query>,
        window: Window,
        now: Timestamp,
    ) -> Result<Vec<Rows>, ReadError> {
        let alone = queries.iter().any(|query| match query {
            Query::Expression { .. } => true,
            Query::Stat(_) => false,
        });
        if alone {
            return self.0.call(&queries, window, now).await;
        }
        let (answer, answered) = oneshot::channel();
        if self.0.join(Asker { queries, answer }, window, now) {
            let inner = Arc::clone(&self.0);
            tokio::spawn(async move {
                tokio::time::sleep(GATHERING).await;
                inner.carry_out(window).await;
            });
        }
        answered.await.unwrap_or(Err(ReadError::Defect))
    }
}

impl Inner {
    /// Joins those that wait for the same hour; true for the first of them.
    fn join(&self, asker: Asker, window: Window, now: Timestamp) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let all = waiting.entry(window).or_insert_with(|| Waiting { now, askers: Vec::new() });
        all.now = all.now.max(now);
        all.askers.push(asker);
        all.askers.len() == 1
    }

    async fn carry_out(&self, window: Window) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&window);
        let Some(Waiting { now, askers }) = waiting else { return };
        join_all(packed(askers).into_iter().map(|askers| self.together(askers, window, now))).await;
    }

    /// One call for all of these.
    async fn together(&self, askers: Vec<Asker>, window: Window, now: Timestamp) {
        let mut queries = Vec::new();
        let mut waiting = Vec::new();
        for Asker { queries: asked, answer } in askers {
            waiting.push((asked.len(), answer));
            queries.extend(asked);
        }
        let answer = tokio::time::timeout(self.timeout, self.call(&queries, window, now)).await;
        match answer.unwrap_or_else(|_| Err(ReadError::Timeout(spell(self.timeout)))) {
            Ok(rows) => {
                let mut rows = rows.into_iter();
                for (count, answer) in waiting {
                    // Who no longer waits needs no answer.
                    let _ = answer.send(Ok(rows.by_ref().take(count).collect()));
                }
            }
            Err(error) => {
                for (_, answer) in waiting {
                    let _ = answer.send(Err(error.clone()));
                }
            }
        }
    }

    async fn call(&self, queries: &[Query], window: Window, now: Timestamp) -> Result<Vec<Rows>, ReadError> {
        let client = self.client.get().await?;
        let leave = self.breaker.admit(now)?;
        let call = Call { queries, assumes: self.assumes, timeout: self.timeout };
        let asked: Vec<MetricDataQuery> =
            queries.iter().enumerate().map(|(index, query)| asked(index, query, window)).collect();
        let mut collected = Collected::new(queries, window);
        let mut token = None;
        for _ in 0..MAX_PAGES {
            let page = client
                .get_metric_data()
                .set_metric_data_queries(Some(asked.clone()))
                .start_time(DateTime::from_secs(window.start))
                .end_time(DateTime::from_secs(window.end))
                .scan_by(ScanBy::TimestampAscending)
                .max_datapoints(MAX_DATAPOINTS)
                .set_next_token(token.take())
                .send();
            // Boxed: the SDK's future is large, and a look holds several.
            let page = match Box::pin(page).await {
                Ok(page) => page,
                Err(error) => {
                    return Err(match call.failure(&error) {
                        Failure::Throttled => self.breaker.throttled(leave, now),
                        Failure::Read(error) => {
                            // A refusal is an answer too.
                            if !matches!(error, ReadError::Unreachable | ReadError::Timeout(_)) {
                                self.breaker.answered(leave);
                            }
                            error
                        }
                    });
                }
            };
            self.breaker.answered(leave);
            collected.take(&page)?;
            token = page.next_token;
            if token.as_ref().is_none_or(String::is_empty) {
                return collected.finish();
            }
        }
        Err(ReadError::TooLarge)
    }
}

/// Packs askers into calls.
fn packed(askers: Vec<Asker>) -> Vec<Vec<Asker>> {
    let mut calls: Vec<Vec<Asker>> = Vec::new();
    let mut count = 0;
    for asker in askers {
        count += asker.queries.len();
        match calls.last_mut() {
            Some(call) if count <= MAX_QUERIES => call.push(asker),
            Some(_) | None => {
                count = asker.queries.len();
                calls.push(vec![asker]);
            }
        }
    }
    calls
}

fn asked(index: usize, query: &Query, window: Window) -> MetricDataQuery {
    let asked = MetricDataQuery::builder().id(id(index)).return_data(true);
    let period = i32::try_from(window.period).unwrap_or(i32::MAX);
    match query {
        Query::Stat(stat) => asked.metric_stat(metric(stat, period)).build(),
        Query::Expression { text, .. } => asked.expression(text).period(period).build(),
    }
}

fn metric(stat: &Stat, period: i32) -> MetricStat {
    let dimensions = stat
        .dimensions
        .iter()
        .map(|(name, value)| Dimension::builder().name(*name).value(value).build())
        .collect();
    let metric = Metric::builder()
        .namespace(&stat.namespace)
        .metric_name(&stat.metric)
        .set_dimensions(Some(dimensions))
        .build();
    MetricStat::builder().metric(metric).period(period).stat(&stat.statistic).build()
}
