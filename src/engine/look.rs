//! A look: what the engine asks of the metric providers at one moment, and what they answer. Plain data.
//!
//! Counters travel as cumulative snapshots, one value a series; the analysis takes the differences itself,
//! because a rate computed elsewhere reports nothing for an error series that is born at 1, which is the first
//! error of a canary.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::api::{Analysis, PlainMetric, RolloutSpec, Series};

/// A cumulative counter as a provider shows it: series (its labels, or the gateway it came from) to value.
pub type Snapshot = BTreeMap<String, f64>;

/// What is asked in one look. All of it is evaluated at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct LookRequest {
    /// The Rollout's namespace; fills `{{namespace}}`.
    pub namespace: String,
    /// The Rollout's name; fills `{{rollout}}`.
    pub rollout: String,
    /// The canary as routes name it; fills `{{canary}}`, and `{{target}}` when its arm is asked for.
    pub canary: String,
    /// The stable target as routes name it; fills `{{stable}}`, and `{{target}}` when its arm is asked for.
    pub stable: String,
    /// What the Rollout gave the template of its analysis, by name; fills `{{args.NAME}}`.
    pub args: BTreeMap<String, String>,
    /// The counters of both arms, where a sequential metric needs them.
    pub arms: Option<ArmsRequest>,
    /// Plain numbers, in the order of the metrics.
    pub numbers: Vec<NumberRequest>,
}

impl LookRequest {
    /// All that a run of the spec would ask for, judged by this analysis and by what its steps judge besides.
    pub fn of_run(
        spec: &RolloutSpec,
        analysis: &Analysis,
        (namespace, rollout): (&str, &str),
        (canary, stable): (&str, &str),
    ) -> Self {
        let steps = spec.strategy.canary.iter().flat_map(|canary| &canary.steps);
        let steps: Vec<_> = steps.filter_map(|step| step.analysis.as_ref()).collect();
        let latency = analysis.latency.iter().chain(steps.iter().flat_map(|step| &step.latency));
        let latency: Vec<f64> = latency.map(|latency| latency.under.span().as_secs_f64()).collect();
        let judged = !latency.is_empty()
            || analysis.error_rate.is_some()
            || steps.iter().any(|step| step.error_rate.is_some());
        let arms = analysis.series.as_ref().filter(|_| judged).map(|series| ArmsRequest {
            provider: analysis.provider.clone(),
            series: series.clone(),
            latency,
            past: None,
        });
        let mut numbers: Vec<NumberRequest> = Vec::new();
        for metric in analysis.metrics.iter().chain(steps.iter().flat_map(|step| &step.metrics)) {
            let number = NumberRequest::of(metric, analysis);
            if !numbers.contains(&number) {
                numbers.push(number);
            }
        }
        Self {
            namespace: namespace.to_owned(),
            rollout: rollout.to_owned(),
            canary: canary.to_owned(),
            stable: stable.to_owned(),
            args: analysis.args.clone(),
            arms,
            numbers,
        }
    }
}

/// The counters of both arms, read from one provider.
#[derive(Clone, Debug, PartialEq)]
pub struct ArmsRequest {
    /// The provider's name in the controller's configuration; `None` is the configured default.
    pub provider: Option<String>,
    /// How an arm's counters are found.
    pub series: Series,
    /// The latency bounds that are judged, in seconds; empty where latency is not. A provider with a histogram answers
    /// with all its buckets, one that counts by bound with these.
    pub latency: Vec<f64>,
    /// Ask also for stable's past: snapshots from this long ago until now. Providers without a memory answer
    /// with none.
    pub past: Option<std::time::Duration>,
}

/// One plain number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NumberRequest {
    /// The metric's name.
    pub name: String,
    /// The provider's name in the controller's configuration; `None` is the configured default.
    pub provider: Option<String>,
    /// The query as the user wrote it, placeholders included.
    pub query: String,
}

impl NumberRequest {
    /// What a metric asks for, of its own provider or that of the analysis.
    pub fn of(metric: &PlainMetric, analysis: &Analysis) -> Self {
        Self {
            name: metric.name.clone(),
            provider: metric.provider.clone().or_else(|| analysis.provider.clone()),
            query: metric.query.clone(),
        }
    }
}

/// What came back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Look {
    /// The counters of both arms, where they were asked for.
    pub arms: Option<Result<Arms, ReadError>>,
    /// The plain numbers by metric name.
    pub numbers: BTreeMap<String, Result<Sample, ReadError>>,
}

/// A number and the time it was evaluated at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// The evaluation time.
    pub at: Timestamp,
    /// Always finite.
    pub value: f64,
}

/// Both arms at one evaluation time.
#[derive(Clone, Debug, PartialEq)]
pub struct Arms {
    /// The evaluation time: the counters are those of this moment, not of the moment of the answer.
    pub at: Timestamp,
    /// The canary's counters.
    pub canary: Counters,
    /// Stable's counters.
    pub stable: Counters,
    /// Stable's earlier snapshots, oldest first, where the past was asked for and the provider has one.
    pub past: Vec<(Timestamp, Counters)>,
}

/// Cumulative counters of one arm. An absent total means no traffic was ever seen; absent errors beside a
/// present total mean none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counters {
    /// Failed requests.
    pub errors: Snapshot,
    /// All requests, from the same family as the errors.
    pub total: Snapshot,
    /// Cumulative latency buckets: upper bound in seconds (`f64::INFINITY` for the last) and requests at most
    /// that slow; ascending by bound; empty where latency was not asked for.
    pub buckets: Vec<(f64, Snapshot)>,
}

/// Why a read gave no evidence. None of these is a value, and none is ever blamed on the canary.
///
/// The texts carry no byte of a response: a provider's answer could hold a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// No provider of that name is configured.
    #[error("no provider named {0:?} is configured; providers are listed in the controller's configuration")]
    UnknownProvider(String),
    /// The provider can't serve such a request.
    #[error("{0}")]
    Unsupported(String),
    /// No answer within the deadline.
    #[error("no answer within {0}")]
    Timeout(String),
    /// No connection, or it broke.
    #[error("the provider can't be reached")]
    Unreachable,
    /// Its name leads to the pod itself, to the machine's link, or to metadata.
    #[error("{0}")]
    Misled(String),
    /// An HTTP status that is no success.
    #[error("the provider answered HTTP {0}")]
    Status(u16),
    /// Too many questions: nobody asks it for so long.
    #[error("the provider throttles; no Rollout asks it again for {0}, longer if that repeats")]
    Throttled(String),
    /// A part of the data is missing, and what is there could mislead.
    #[error(
        "the answer to the query {query} is incomplete, which is no evidence; if it lasts, narrow the query"
    )]
    Incomplete {
        /// Which query, by role or metric name.
        query: String,
    },
    /// The credentials or certificates named in the configuration can't be used.
    #[error("{0}")]
    Credentials(String),
    /// The query is refused as malformed.
    #[error("the provider refuses the query {query} as malformed; check its syntax")]
    BadQuery {
        /// Which query, by role (`errors`, `total`, `latency`) or metric name.
        query: String,
    },
    /// A redirect, which is never followed.
    #[error("the provider answered with a redirect, which is not followed; configure the final address")]
    Redirect,
    /// More than 1 MiB.
    #[error("the answer is larger than 1 MiB")]
    TooLarge,
    /// The controller itself failed.
    #[error("the controller failed to read the answer, which is a defect of it; its log says where")]
    Defect,
    /// Not the format that the provider should speak.
    #[error("the answer is not what such a provider sends")]
    Malformed,
    /// Nothing came back where a value is needed.
    #[error("the query {query} returned nothing")]
    Empty {
        /// Which query, by role or metric name.
        query: String,
    },
    /// NaN or infinite.
    #[error("the query {query} returned no finite number")]
    NotFinite {
        /// Which query, by role or metric name.
        query: String,
    },
    /// Several series where one number is needed.
    #[error("the query {query} returned {count} series where one is needed; aggregate it")]
    ManySeries {
        /// Which query, by role or metric name.
        query: String,
        /// How many came back.
        count: usize,
    },
}
