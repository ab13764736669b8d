//! The objects that tests put into a cluster, as manifests without a namespace.

use std::{collections::BTreeMap, time::Duration};

use kube::core::DynamicObject;
use serde_json::{Value, json};
use tidegate::api::RouteKind;

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
        "spec": {
            "priority": 500,
            "httpRoute": { "match": { "prefix": format!("/{name}") }, "action": { "weightedTargets": entries } },
        },
    })
}

/// A route of a kind as a Rollout names it.
pub fn reference(kind: RouteKind, name: &str) -> String {
    format!("{{group: {}, kind: {}, name: {name}}}", kind.group().word(), kind.word())
}

/// The Rollout over a route of a kind.
pub fn rollout_of(kind: RouteKind) -> String {
    ROLLOUT.replace(&reference(RouteKind::GatewayRoute, "color"), &reference(kind, "color"))
}

/// A route of a kind that gives two versions these weights, and, where the kind has rules, another one behind it that is
/// nobody's to step.
pub fn route_of(kind: RouteKind, name: &str, weights: &[(&str, i64)]) -> Value {
    let entries = |reference: &str| -> Value {
        weights
            .iter()
            .map(|(name, weight)| json!({ reference: { "name": name }, "weight": weight }))
            .collect()
    };
    let backends: Value = weights
        .iter()
        .map(|(name, weight)| json!({ "name": name, "port": 8080, "weight": weight }))
        .collect();
    let spec = match kind {
        RouteKind::GatewayRoute => return route(name, &entries("virtualServiceRef")),
        RouteKind::VirtualRouter => json!({
            "listeners": [{ "portMapping": { "port": 8080, "protocol": "http" } }],
            "routes": [
                { "name": "main", "httpRoute": {
                    "match": { "prefix": "/" }, "action": { "weightedTargets": entries("virtualNodeRef") },
                    "timeout": { "perRequest": { "unit": "s", "value": 5 } },
                } },
                { "name": "other", "priority": 1, "httpRoute": {
                    "match": { "prefix": "/other" },
                    "action": { "weightedTargets": [{ "virtualNodeRef": { "name": "other" }, "weight": 1 }] },
                } },
            ],
        }),
        RouteKind::HttpRoute => json!({ "parentRefs": [{ "name": "gw" }], "rules": [
            { "matches": [{ "path": { "type": "PathPrefix", "value": "/" } }], "backendRefs": backends },
            { "name": "other", "matches": [{ "path": { "type": "Exact", "value": "/other" } }],
              "filters": [{ "type": "RequestHeaderModifier", "requestHeaderModifier": { "remove": ["x-a"] } }],
              "backendRefs": [{ "name": "other", "port": 80 }] },
        ] }),
        RouteKind::GrpcRoute => json!({ "parentRefs": [{ "name": "gw" }], "rules": [
            { "matches": [{ "method": { "service": "color.Color" } }], "backendRefs": backends },
            { "name": "other", "matches": [{ "method": { "service": "other.Other" } }],
              "backendRefs": [{ "name": "other", "port": 80 }] },
        ] }),
    };
    let resource = format!("{}/{}", kind.group().word(), version(kind));
    json!({ "apiVersion": resource, "kind": kind.word(), "metadata": { "name": name }, "spec": spec })
}

/// What a gateway needs to come to a VirtualRouter: the service that it routes for, and a way there.
pub fn way_to(router: &str) -> [Value; 2] {
    let api = "appmesh.k8s.aws/v1beta2";
    let provider = json!({ "virtualRouter": { "virtualRouterRef": { "name": router } } });
    let target = json!({ "virtualService": { "virtualServiceRef": { "name": router } } });
    [
        json!({ "apiVersion": api, "kind": "VirtualService", "metadata": { "name": router },
                "spec": { "provider": provider } }),
        json!({ "apiVersion": api, "kind": "GatewayRoute", "metadata": { "name": "front" },
                "spec": { "httpRoute": { "match": { "prefix": "/" }, "action": { "target": target } } } }),
    ]
}

const fn version(kind: RouteKind) -> &'static str {
    match kind {
        RouteKind::GatewayRoute | RouteKind::VirtualRouter => "v1beta2",
        RouteKind::HttpRoute | RouteKind::GrpcRoute => "v1",
    }
}

/// Where the list stands that is stepped.
pub const fn list_of(kind: RouteKind) -> &'static str {
    match kind {
        RouteKind::GatewayRoute => "/spec/httpRoute/action/weightedTargets",
        RouteKind::VirtualRouter => "/spec/routes/0/httpRoute/action/weightedTargets",
        RouteKind::HttpRoute | RouteKind::GrpcRoute => "/spec/rules/0/backendRefs",
    }
}

pub fn weights_of(kind: RouteKind, route: &DynamicObject) -> BTreeMap<String, i64> {
    let name = match kind {
        RouteKind::GatewayRoute => "/virtualServiceRef/name",
        RouteKind::VirtualRouter => "/virtualNodeRef/name",
        RouteKind::HttpRoute | RouteKind::GrpcRoute => "/name",
    };
    let entries = route.data.pointer(list_of(kind)).and_then(Value::as_array).cloned();
    let one = |entry: &Value| {
        let name = entry.pointer(name).and_then(Value::as_str).unwrap().to_owned();
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
