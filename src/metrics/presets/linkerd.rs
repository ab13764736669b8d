//! Linkerd's metrics of a route's backends, as the proxies before the service count them (2.16 and later).
//!
//! They count what a proxy could send to no endpoint as well, by the label `error`. `response_total` knows only what a
//! pod answered, so a dead canary would have no traffic there.

use std::collections::BTreeMap;

use super::{
    ArmQueries, ArmScope, Errors, Failed,
    params::{Params, service},
    select,
};
use crate::engine::look::ReadError;

/// The queries of one arm, a Service of the Rollout's namespace or `<name>.<namespace>`.
pub(super) fn queries(params: &Params<'_>, scope: ArmScope<'_>) -> Result<ArmQueries, ReadError> {
    let (service, namespace) = service(scope)?;
    let mut labels = vec![("backend_name", service), ("backend_namespace", namespace)];
    let source = params.get("source");
    if !source.is_empty() {
        labels.push(("deployment", source));
    }
    let of = |metric| select(metric, labels.iter().copied());
    Ok(ArmQueries {
        errors: Errors::AmongTotal(Failed::Linkerd),
        total: of("outbound_http_route_backend_response_statuses_total"),
        latency: Some(of("outbound_http_route_backend_response_duration_seconds_bucket")),
        per_second: 1.0,
    })
}

pub(super) fn failed(labels: &BTreeMap<String, String>) -> bool {
    labels.get("http_status").is_some_and(|status| status.starts_with('5'))
        || labels.get("error").is_some_and(|error| !error.is_empty())
}
