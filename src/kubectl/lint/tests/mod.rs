//! Manifests as people write them, and what is found in them.

mod command;
mod holds;
mod queries;
mod references;
mod schemas;

use std::sync::LazyLock;

use super::{schemas::Schemas, *};
use crate::kubectl::out::Look;

/// They take a while to compile.
static SCHEMAS: LazyLock<Schemas> = LazyLock::new(|| Schemas::new().unwrap());

const PLAIN: Look = Look { colour: false, live: false, width: None, height: None };

/// A Rollout `shop` on the HTTPRoute `shop`, with parts that a case may replace.
const GOOD: &str = r#"
apiVersion: tidegate.dev/v1alpha1
kind: Rollout
metadata: {name: shop, namespace: web}
spec:
  routes: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: shop}]
  target: {name: v2}
  strategy: {canary: {hold: 1m, steps: [{weight: 5}, {weight: 50}]}}
  analysis:
    interval: 10s
    series: {preset: istio}
    errorRate: {}
    metrics: [{name: lag, query: 'lag{app="{{canary}}"}', max: "5"}]
"#;
const ROUTE: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop, namespace: web}
spec:
  rules:
    - {name: main, backendRefs: [{name: v1, port: 80, weight: 100}]}
    - {name: other, backendRefs: [{name: x, port: 80}]}
";
const BLUE_GREEN: &str = r#"
apiVersion: tidegate.dev/v1alpha1
kind: Rollout
metadata: {name: shop, namespace: web}
spec:
  routes: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: shop, rule: main}]
  target: {name: v1}
  strategy: {blueGreen: {preview: {headers: [{name: x-preview, exact: "true"}]}, before: {}}}
  analysis: {series: {preset: istio}, errorRate: {max: "5%"}}
"#;
const TEMPLATE: &str = r#"
apiVersion: tidegate.dev/v1alpha1
kind: AnalysisTemplate
metadata: {name: judged, namespace: web}
spec:
  args: [{name: app}, {name: tier, default: web}]
  analysis: {metrics: [{name: lag, query: 'lag{app="{{args.app}}",tier="{{args.tier}}"}', max: "5"}]}
"#;
const NAMES_IT: &str = r"
apiVersion: tidegate.dev/v1alpha1
kind: Rollout
metadata: {name: shop, namespace: web}
spec:
  routes: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: shop, rule: main}]
  target: {name: v2}
  strategy: {canary: {steps: [{weight: 5}]}}
  analysis: {templateRef: {name: judged}, args: {app: shop}}
";

/// What is found in the files `a.yaml`, `b.yaml` and so on.
fn found_with(texts: &[&str], config: Option<&str>, rate: Option<f64>) -> Vec<String> {
    let config = config.map(|text| Config::parse(text, "config.yaml").unwrap());
    let mut report = Report::default();
    let mut documents = vec![];
    for (name, text) in ('a'..).zip(texts) {
        report.files += 1;
        documents.extend(input::parse(&format!("{name}.yaml"), text, &mut report));
    }
    check::all(documents, &SCHEMAS, Wanted { config: config.as_ref(), rate }, &mut report);
    report.sort();
    report.lines(PLAIN)
}

fn found(texts: &[&str]) -> Vec<String> {
    found_with(texts, None, None)
}

/// Each case is the text, a part of it, what stands in its place, and what is found: a part of a line, or nothing but notes.
fn cases(beside: &[&str], cases: &[(&str, &str, &str, &str)]) {
    for (text, part, instead, want) in cases {
        assert!(text.contains(part), "{part}");
        let changed = text.replacen(part, instead, 1);
        let texts: Vec<&str> = [changed.as_str()].into_iter().chain(beside.iter().copied()).collect();
        judge(&found(&texts), want, instead);
    }
}

fn judge(lines: &[String], want: &str, case: &str) {
    if want.is_empty() {
        assert!(lines.last().unwrap().ends_with(": 0 errors, 0 warnings"), "{case}: {lines:#?}");
    } else {
        assert!(lines.iter().any(|line| line.contains(want)), "{case}: {want}: {lines:#?}");
    }
}
