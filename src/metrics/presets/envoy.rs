//! What an Envoy counts of its clusters, read from it or from a Prometheus.
//!
//! Totals are the sum over `upstream_rq_xx`, never `upstream_rq_total`: Envoy counts there only requests that
//! it sent to an endpoint, so a canary without endpoints, or one that refuses connections, would have none and
//! look healthy for lack of traffic. In `rq_xx` each of its answers is a 503.
//!
//! A cluster is named `<prefix>_egress_<mesh>_<node>_<protocol>_<port>`. The node of a target `<name>.<ns>` (or
//! `<name>.<ns>.svc…`) is `<name>_<ns>`, that of a bare `<name>` is `<name>_<the Rollout's namespace>`; the
//! param `node` overrides it.
//!
//! What Envoy tried again is not among `rq_xx`, and nobody but the canary's pods knows of it. `upstream_rq_retry` counts each
//! such try, whether it had an answer or none (`retry_upstream_rq_xx` knows only those that had one). They count as requests
//! and as errors: a canary that fails each second request must not look healthy for the retries of its mesh.

use std::collections::BTreeMap;

use super::{
    ArmQueries, ArmScope, Errors, Failed,
    params::{Params, Source, app_mesh_name},
    select,
};
use crate::{
    api::{Preset, Series},
    engine::look::ReadError,
};

const REQUESTS: &str = "envoy_cluster_upstream_rq_xx";
const RETRIED: &str = "envoy_cluster_upstream_rq_retry";
const LATENCY: &str = "envoy_cluster_upstream_rq_time_bucket";
/// The label that tells tries that were tried again from those that were not.
pub(in crate::metrics) const RETRIED_LABEL: &str = "retried";

/// Series of an exposition: a metric and the labels it must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// The metric's name.
    pub metric: &'static str,
    /// Labels and their values.
    pub labels: BTreeMap<&'static str, String>,
}

/// What to select of an Envoy's own statistics for one arm.
#[derive(Clone, Debug, PartialEq)]
pub struct ArmSelectors {
    /// All requests; those of class 5 failed.
    pub total: Selector,
    /// What was tried again and so is not among the total, where it counts. All of it failed.
    pub retried: Option<Selector>,
    /// Latency buckets.
    pub latency: Selector,
    /// How many of the bounds' units make a second.
    pub per_second: f64,
}

/// The queries of one arm.
pub(super) fn queries(
    preset: Preset,
    params: &Params<'_>,
    scope: ArmScope<'_>,
) -> Result<ArmQueries, ReadError> {
    let mut labels = BTreeMap::from([("envoy_cluster_name", params.cluster(scope)?)]);
    // Tidegate's own gateway has no such label, and is told by what Prometheus scrapes.
    if preset == Preset::AppmeshEnvoy {
        let gateway = app_mesh_name("gateway", params.get("gateway"), scope.namespace)?;
        labels.insert("appmesh_virtual_gateway", gateway);
    }
    let selectors = ArmSelectors::of(&labels, params.counts_retries()?);
    let total = selectors.total.promql();
    Ok(ArmQueries {
        errors: Errors::AmongTotal(Failed::Envoy),
        total: match &selectors.retried {
            Some(retried) => {
                format!(
                    "{total} or label_replace({},\"{RETRIED_LABEL}\",\"true\",\"\",\"\")",
                    retried.promql()
                )
            }
            None => total,
        },
        latency: Some(selectors.latency.promql()),
        per_second: selectors.per_second,
    })
}

/// An arm's counters in an Envoy's own statistics. The gateway is not among the labels: the provider's addresses
/// are those of the gateway, and its label is there only under `ENABLE_ENVOY_STATS_TAGS`.
pub fn selectors(series: &Series, scope: ArmScope<'_>) -> Result<ArmSelectors, ReadError> {
    let Some(preset) = series.preset else {
        return Err(ReadError::Unsupported(
            "own queries in series need a provider of kind prometheus, cloudWatch or web; with an envoy provider name \
             a preset"
                .to_owned(),
        ));
    };
    let params = Params::new(preset, &series.params, Source::Envoy)?;
    let labels = BTreeMap::from([("envoy_cluster_name", params.cluster(scope)?)]);
    Ok(ArmSelectors::of(&labels, params.counts_retries()?))
}

pub(super) fn failed(labels: &BTreeMap<String, String>) -> bool {
    labels.get("envoy_response_code_class").is_some_and(|class| class == "5")
        || labels.contains_key(RETRIED_LABEL)
}

impl ArmSelectors {
    fn of(labels: &BTreeMap<&'static str, String>, retries: bool) -> Self {
        let select = |metric| Selector { metric, labels: labels.clone() };
        Self {
            total: select(REQUESTS),
            retried: retries.then(|| select(RETRIED)),
            latency: select(LATENCY),
            per_second: 1000.0,
        }
    }
}

impl Selector {
    fn promql(&self) -> String {
        select(self.metric, self.labels.iter().map(|(label, value)| (*label, value.as_str())))
    }
}
