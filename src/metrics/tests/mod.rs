//! Providers against fakes on loopback that answer well and badly, and against a real Prometheus where one is
//! on PATH.

#[cfg(feature = "cloudwatch")]
mod cloudwatch;
mod envoy;
mod prometheus;
mod real;
mod shared;
mod tls;
mod web;

use std::{collections::BTreeMap, time::Duration};

use super::*;
use crate::{
    api::Series,
    config::{EnvoyConfig, EnvoySource, HttpConfig, PrometheusConfig, WebConfig},
    outbound::fake::{self, SECRET},
};

fn http(timeout: Duration) -> HttpConfig {
    HttpConfig { timeout, tls: None, auth: None, headers: Vec::new() }
}

/// A Prometheus that scrapes every 15 s, and an answer of one series from it.
pub(super) fn prometheus_at(url: reqwest::Url, timeout: Duration) -> PrometheusConfig {
    let scrape_interval = Duration::from_secs(15);
    PrometheusConfig {
        url,
        scrape_interval,
        lag: scrape_interval,
        max_concurrent: 16,
        tenant: None,
        http: http(timeout),
    }
}

const ONE: &str =
    r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"1"]}]}}"#;

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
        args: BTreeMap::new(),
        arms: Some(ArmsRequest {
            provider: None,
            series: Series {
                errors: Some("errors{arm=\"{{target}}\"}".to_owned()),
                total: Some("total{arm=\"{{target}}\"}".to_owned()),
                latency: Some("latency{arm=\"{{target}}\"}".to_owned()),
                ..Series::default()
            },
            latency: Vec::new(),
            past: None,
        }),
        numbers: Vec::new(),
    }
}

fn look_at_number(query: &str) -> LookRequest {
    LookRequest {
        arms: None,
        numbers: vec![NumberRequest { name: "queue".to_owned(), provider: None, query: query.to_owned() }],
        ..look_at_arms()
    }
}

fn one_of_each() -> Providers {
    let url = || reqwest::Url::parse("http://127.0.0.1:9/").unwrap();
    let timeout = Duration::from_secs(1);
    let envoy = EnvoyConfig {
        source: EnvoySource::Urls(vec![url()]),
        scrape_interval: Duration::from_secs(1),
        http: http(timeout),
    };
    let mut entries = BTreeMap::from([
        ("prometheus".to_owned(), ProviderConfig::Prometheus(prometheus_at(url(), timeout))),
        ("envoy".to_owned(), ProviderConfig::Envoy(envoy)),
        ("web".to_owned(), ProviderConfig::Web(WebConfig { url: url(), http: http(timeout) })),
    ]);
    if cfg!(feature = "cloudwatch") {
        let config = crate::config::CloudWatchConfig {
            region: None,
            role_arn: None,
            endpoint: None,
            period: Duration::from_mins(1),
            timeout,
        };
        entries.insert("cloudWatch".to_owned(), ProviderConfig::CloudWatch(config));
    }
    Providers::from_config(&ProvidersConfig { default: None, entries }).unwrap()
}

#[test]
fn what_could_never_be_asked_is_told_without_asking() {
    let providers = one_of_each();
    let arms = |provider: &str, latency: Vec<f64>, series: Series| {
        let arms = ArmsRequest { provider: Some(provider.to_owned()), series, latency, past: None };
        LookRequest { arms: Some(arms), ..look_at_arms() }
    };
    let own = |errors: &str| Series {
        errors: Some(errors.to_owned()),
        total: Some("total | $.{{target}}".to_owned()),
        ..Series::default()
    };
    let quoted = || Series {
        total: Some("total{arm=\"{{target}}\"}".to_owned()),
        ..own("errors{arm=\"{{target}}\", pod=\"{{pod}}\"}")
    };
    let preset = || Series { preset: Some(crate::api::Preset::Istio), ..Series::default() };
    let number = |provider: &str, query: &str| {
        let mut request = look_at_number(query);
        request.numbers[0].provider = Some(provider.to_owned());
        request
    };
    let mut cases = vec![
        (arms("prometheus", vec![], quoted()), "the query errors has the unknown placeholder {{pod}}"),
        (number("prometheus", "q{a=\"{{target}}\"}"), "the unknown placeholder {{target}}"),
        (number("prometheus", "q * {{canary}}"), "outside quotes"),
        (arms("envoy", vec![], quoted()), "provider"),
        (arms("envoy", vec![], preset()), "provider"),
        (number("envoy", "q"), "another kind than envoy"),
        (arms("web", vec![0.5], own("errors | $['{{target}}']")), "no latency buckets"),
        (arms("web", vec![], preset()), "another kind than web"),
        (number("web", "{{foo}} | $.x"), "the unknown placeholder {{foo}}"),
    ];
    if cfg!(feature = "cloudwatch") {
        cases.push((number("cloudWatch", "SUM({{foo}})"), "the unknown placeholder {{foo}}"));
        cases.push((arms("cloudWatch", vec![0.5], quoted()), "name a preset"));
    }
    for (request, part) in cases {
        let refused = providers.refused(&request).unwrap_or_default();
        assert!(refused.contains(part), "{request:?}: {refused:?}");
    }

    let fine = [look_at_arms(), number("prometheus", "q{a=\"{{canary}}\"}"), number("nowhere", "{{foo}}")];
    for mut request in fine {
        if let Some(arms) = &mut request.arms {
            arms.provider = Some("prometheus".to_owned());
        }
        assert_eq!(providers.refused(&request), None, "{request:?}");
    }
}

#[cfg(not(feature = "cloudwatch"))]
#[test]
fn without_cloud_watch_its_provider_stops_the_start() {
    let config = crate::config::CloudWatchConfig {
        region: None,
        role_arn: None,
        endpoint: None,
        period: Duration::from_mins(1),
        timeout: Duration::from_secs(10),
    };
    let entries = BTreeMap::from([("aws".to_owned(), ProviderConfig::CloudWatch(config))]);
    let error = Providers::from_config(&ProvidersConfig { default: None, entries }).unwrap_err().to_string();
    assert_eq!(
        error,
        "cannot set up the provider aws: this program was built without CloudWatch; use one that was built with the \
         cargo feature cloudwatch, or remove the provider"
    );
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
