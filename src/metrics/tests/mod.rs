//! Providers against fakes on loopback that answer well and badly, and against a real Prometheus where one is
//! on PATH.

mod envoy;
mod fake;
mod prometheus;
mod real;

use std::{collections::BTreeMap, time::Duration};

use super::*;
use crate::{api::Series, config::HttpConfig};

/// Stands in the body of every bad answer, and must stand in no error.
const SECRET: &str = "hunter2-from-the-body";

fn http(timeout: Duration) -> HttpConfig {
    HttpConfig {
        timeout,
        tls: None,
        auth: None,
    }
}

fn providers(provider: ProviderConfig) -> Providers {
    Providers::from_config(&ProvidersConfig {
        default: Some("default".to_owned()),
        entries: BTreeMap::from([("default".to_owned(), provider)]),
    })
    .unwrap()
}

/// A look at both arms, by own queries unless other series are put in.
fn look_at_arms() -> LookRequest {
    LookRequest {
        namespace: "shop".to_owned(),
        rollout: "color".to_owned(),
        canary: "v2".to_owned(),
        stable: "v1".to_owned(),
        arms: Some(ArmsRequest {
            provider: None,
            series: Series {
                errors: Some("errors{arm=\"{{target}}\"}".to_owned()),
                total: Some("total{arm=\"{{target}}\"}".to_owned()),
                latency: Some("latency{arm=\"{{target}}\"}".to_owned()),
                ..Series::default()
            },
            latency: false,
            past: None,
        }),
        numbers: Vec::new(),
    }
}

fn look_at_number(query: &str) -> LookRequest {
    LookRequest {
        arms: None,
        numbers: vec![NumberRequest {
            name: "queue".to_owned(),
            provider: None,
            query: query.to_owned(),
        }],
        ..look_at_arms()
    }
}

fn now() -> Timestamp {
    "2026-10-01T12:00:00Z".parse().unwrap()
}

/// No error may repeat the answer, neither as told nor in a log.
fn told(error: &ReadError) -> String {
    let text = error.to_string();
    assert!(!format!("{text} {error:?}").contains(SECRET), "{error:?}");
    text
}
