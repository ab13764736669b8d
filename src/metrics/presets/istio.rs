//! Istio's standard metrics, as the proxies before the service report them.
//!
//! The reporter is the source: what is refused, finds no endpoint or times out never reaches the destination's own proxy,
//! and a dead canary would have no errors there. Its `destination_workload` is then `unknown` too, so an arm is told by
//! its Service alone, which the proxy knows from its configuration.

use std::collections::BTreeMap;

use super::{
    ArmQueries, ArmScope, Errors, Failed,
    params::{Params, service, unsupported},
    select,
};
use crate::engine::look::ReadError;

/// The codes of gRPC that are the server's fault: UNKNOWN, DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE, DATA_LOSS. Their
/// HTTP status is 200.
const GRPC: [&str; 5] = ["2", "4", "13", "14", "15"];

/// The queries of one arm, a Service of the Rollout's namespace or `<name>.<namespace>`.
pub(super) fn queries(params: &Params<'_>, scope: ArmScope<'_>) -> Result<ArmQueries, ReadError> {
    let (service, namespace) = service(scope)?;
    let mut labels = vec![
        ("destination_service_name", service),
        ("destination_service_namespace", namespace),
        ("reporter", reporter(params)?),
    ];
    let source = params.get("source");
    if !source.is_empty() {
        labels.push(("source_workload", source));
    }
    let of = |metric| select(metric, labels.iter().copied());
    Ok(ArmQueries {
        errors: Errors::AmongTotal(Failed::Istio),
        total: of("istio_requests_total"),
        latency: Some(of("istio_request_duration_milliseconds_bucket")),
        per_second: 1000.0,
    })
}

fn reporter<'a>(params: &Params<'a>) -> Result<&'a str, ReadError> {
    match params.or("reporter", "source") {
        "destination" => Err(unsupported(
            "the param \"reporter\" must not be destination: a canary that refuses requests never reports them; leave it \
             out, or give waypoint in an ambient mesh",
        )),
        reporter => Ok(reporter),
    }
}

pub(super) fn failed(labels: &BTreeMap<String, String>) -> bool {
    let is = |label: &str, holds: fn(&str) -> bool| labels.get(label).is_some_and(|value| holds(value));
    is("response_code", |code| code.starts_with('5'))
        || is("grpc_response_status", |code| GRPC.contains(&code))
}
