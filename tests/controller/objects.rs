//! The objects that tests put into a cluster, as manifests without a namespace.

use std::{collections::BTreeMap, time::Duration};

use kube::core::DynamicObject;
use serde_json::{Value, json};

/// How long the Rollout holds each step.
pub const HOLD: Duration = Duration::from_secs(1);

pub const ROLLOUT: &str = r#"
apiVersion: tidegate.dev/v1alpha1
kind: Rollout
metadata: {name: color}
spec:
  routes: [{group: appmesh.k8s.aws, kind: GatewayRoute, name: color}]
  target: {name: v2, workloadRef: {apiVersion: apps/v1, kind: Deployment, name: v2}}
  strategy: {canary: {hold: 1s, steps: [{weight: 10}, {weight: 50}]}}
  analysis:
    interval: 1s
    settle: 100ms
    series: {preset: tidegate-gateway, params: {mesh: mesh, port: "8080"}}
    errorRate: {}
"#;

pub fn entry(name: &str, weight: i64) -> Value {
    json!({ "virtualServiceRef": { "name": name }, "weight": weight })
}

pub fn route(name: &str, entries: &Value) -> Value {
    json!({
        "apiVersion": "appmesh.k8s.aws/v1beta2",
        "kind": "GatewayRoute",
        "metadata": { "name": name },
        "spec": { "httpRoute": { "match": { "prefix": format!("/{name}") }, "action": { "weightedTargets": entries } } },
    })
}

pub fn weights_of(route: &DynamicObject) -> BTreeMap<String, i64> {
    let entries = route.data["spec"]["httpRoute"]["action"]["weightedTargets"].as_array().cloned();
    let one = |entry: &Value| {
        let name = entry["virtualServiceRef"]["name"].as_str().unwrap().to_owned();
        (name, entry["weight"].as_i64().unwrap())
    };
    entries.unwrap_or_default().iter().map(one).collect()
}

/// A Deployment. On a cluster that runs real containers, `TIDEGATE_TEST_IMAGE` names one that starts there.
pub fn deployment(name: &str) -> Value {
    let labels = json!({ "app": name });
    let image = std::env::var("TIDEGATE_TEST_IMAGE").unwrap_or_else(|_| format!("example.com/color:{name}"));
    let container = json!({ "name": "app", "image": image });
    let template = json!({ "metadata": { "labels": labels }, "spec": { "containers": [container] } });
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": name },
        "spec": { "replicas": 2, "selector": { "matchLabels": labels }, "template": template },
    })
}
