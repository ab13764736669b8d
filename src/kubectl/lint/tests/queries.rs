//! Queries, by what is known of their provider.

use super::*;

const QUERY: &str = "lag{app=\"{{canary}}\"}";
const PROVIDERS: &str = "
providers:
  default: {prometheus: {url: 'http://p', scrapeInterval: 15s, auth: {bearer: {tokenFile: /nowhere}}}}
  web: {web: {url: 'http://w'}}
  aws: {cloudWatch: {region: eu-central-1}}
  gateways: {envoy: {urls: ['http://g']}}
";
const OWN: &str =
    "series: {total: 'requests_total{app=\"{{target}}\"}', errors: 'errors_total{app=\"{{target}}\"}'}";

/// Each case is a part of the good Rollout, what stands in its place, and what is found without a configuration, and with
/// one.
fn by_provider(cases: &[(&str, &str, &str, &str)]) {
    for (part, instead, without, with) in cases {
        assert!(GOOD.contains(part), "{part}");
        let text = GOOD.replacen(part, instead, 1);
        judge(&found(&[&text]), without, instead);
        judge(&found_with(&[&text], Some(PROVIDERS), None), with, instead);
    }
}

#[test]
fn plain_numbers() {
    let max = "max: \"5\"}";
    #[rustfmt::skip]
    by_provider(&[
        (QUERY, QUERY, "", ""),
        (QUERY, "stats/{{canary}} | $.lag", "", "error: Rollout shop: spec.analysis.metrics[0].query: the query lag has {{canary}} outside"),
        (QUERY, "lag{app=\"{{canary}}\"", "warning: Rollout shop: spec.analysis.metrics[0].query: the query lag is no PromQL", "error: Rollout shop: spec.analysis.metrics[0].query"),
        (QUERY, "lag{app=\"{{pod}}\"}", "unknown placeholder {{pod}}", "unknown placeholder {{pod}}"),
        (QUERY, "lag[5m]", "must return one number", "must return one number: put it into a function"),
        (QUERY, "stats | $..a..b", "error: Rollout shop: spec.analysis.metrics[0].query: the JSONPath", "is no PromQL"),
        (max, "max: \"5\", provider: web}", "", "metrics[0].query: the query lag must be a path and a JSONPath"),
        (max, "max: \"5\", provider: aws}", "", ""),
        (max, "max: \"5\", provider: gateways}", "", "metrics[0].query: the metric lag needs a provider of another kind than envoy"),
        (max, "max: \"5\", provider: lost}", "", "metrics[0].provider: the controller's configuration has no provider lost (it has aws, default, gateways, web)"),
        ("{weight: 50}", "{weight: 50, analysis: {metrics: [{name: late, query: 'sum(', max: \"1\"}]}}", "spec.strategy.canary.steps[1].analysis.metrics[0].query: the query late is no PromQL", "error: Rollout shop: spec.strategy.canary.steps[1].analysis"),
    ]);
}

#[test]
fn the_counters_of_both_arms() {
    let preset = "series: {preset: istio}";
    let [unfinished, ranged, alike] = [
        OWN.replace("\"}'}", "\"} +'}"),
        OWN.replace("\"}',", "\"}[5m]',"),
        OWN.replace("requests_total{app=\"{{target}}\"}", "requests_total"),
    ];
    #[rustfmt::skip]
    by_provider(&[
        (preset, OWN, "", ""),
        (preset, &unfinished, "warning: Rollout shop: spec.analysis.series.errors: the query errors is no PromQL", "error: Rollout shop: spec.analysis.series.errors"),
        (preset, &ranged, "spec.analysis.series.total: the query total asks for a range of time", "take the [...] off"),
        (preset, &alike, "warning: Rollout shop: spec.analysis.series: the query total has no {{target}}", "the query total has no {{target}}"),
        ("preset: istio", "preset: istio, params: {gateway: g}", "error: Rollout shop: spec.analysis.series: the preset istio has no param \"gateway\"", "the preset istio has no param"),
        ("preset: istio", "preset: alb", "error: Rollout shop: spec.analysis.series: the preset alb needs the param \"loadBalancer\"", "needs a provider of kind cloudWatch"),
        ("interval: 10s", "interval: 10s\n    provider: lost", "", "error: Rollout shop: spec.analysis.provider: the controller's"),
        ("interval: 10s", "interval: 10s\n    provider: web", "", "spec.analysis.series: a preset needs a provider of another kind than web"),
    ]);
}

#[test]
fn what_the_configuration_lacks() {
    let elsewhere = format!("{PROVIDERS}\nnamespaces: [db]");
    let unserved = "warning: Rollout shop: metadata.namespace: the controller of --config serves db alone";
    judge(&found_with(&[GOOD], Some(&elsewhere), None), unserved, "namespaces");
    let none = "no provider is named, and the controller's configuration has no default (it has none)";
    judge(&found_with(&[GOOD], Some("namespaces: [web]"), None), none, "no default");
}
