//! What stands behind a virtual router.

use serde_json::{Value, json};
use tidegate::dataplane::ObjectKind;

use super::{
    both::{Both, Node},
    sent::Plain,
};
use crate::gateway::object;

/// A virtual service `routed` behind which a router stands.
fn router() -> Vec<(ObjectKind, Value)> {
    let route = |name: &str, priority: u16, matcher: Value, more: Value| {
        let action = json!({"weightedTargets": [{"virtualNodeRef": {"name": "v1"}, "weight": 1}]});
        let mut block = json!({"match": matcher, "action": action});
        for (field, value) in more.as_object().into_iter().flatten() {
            block[field] = value.clone();
        }
        json!({"name": name, "priority": priority, "httpRoute": block})
    };
    let soon = json!({"timeout": {"perRequest": {"unit": "s", "value": 2}}});
    let again = json!({"retryPolicy": {
        "maxRetries": 2, "perRetryTimeout": {"unit": "s", "value": 5}, "httpRetryEvents": ["server-error"],
    }});
    let header = json!([{"name": "x-a", "match": {"exact": "one"}}]);
    let query = json!([{"name": "q", "match": {"exact": "1"}}]);
    let routes = json!([
        route("by-header", 1, json!({"prefix": "/", "headers": header}), again),
        route("soon", 2, json!({"prefix": "/soon"}), soon),
        route("exact", 3, json!({"path": {"exact": "/exact"}}), Value::Null),
        route("query", 4, json!({"prefix": "/query", "queryParameters": query}), Value::Null),
        route("post", 5, json!({"prefix": "/post", "method": "POST"}), Value::Null),
    ]);
    let listeners = json!([{"portMapping": {"port": 8080, "protocol": "http"}}]);
    let spec = json!({"listeners": listeners, "routes": routes});
    let provider = json!({"provider": {"virtualRouter": {"virtualRouterRef": {"name": "router"}}}});
    vec![
        (ObjectKind::VirtualRouter, object("router", spec)),
        (ObjectKind::VirtualService, object("routed", provider)),
    ]
}

/// Seen after the gateway route has rewritten the path, or has not.
fn routed() -> Vec<(&'static str, Vec<Value>, Vec<Plain>)> {
    let target = json!({"virtualServiceRef": {"name": "routed"}});
    let to = |matcher: Value| json!({"match": matcher, "action": {"target": target}});
    let requests: Vec<Plain> = vec![
        ("GET", "/exact", &[]),
        ("GET", "/exact/not", &[]),
        ("GET", "/app/exact", &[]),
        ("GET", "/query?q=1", &[]),
        ("GET", "/query?q=2", &[]),
        ("GET", "/app/query/x?q=1", &[]),
        ("POST", "/post", &[]),
        ("GET", "/post", &[]),
        ("GET", "/anything", &[("x-a", "one")]),
        ("GET", "/app/anything", &[("x-a", "one")]),
        ("GET", "/anything", &[("x-a", "two")]),
        ("GET", "/soon/slow", &[("x-stalls", "1")]),
        ("GET", "/soon/fast", &[]),
        ("GET", "/flaky", &[("x-a", "one"), ("x-fails", "2"), ("x-with", "503")]),
        ("POST", "/post/flaky", &[("x-fails", "1"), ("x-with", "503")]),
    ];
    vec![
        (
            "a router behind a prefix that is taken off",
            vec![object("r", json!({"httpRoute": to(json!({"prefix": "/app/"}))}))],
            requests.clone(),
        ),
        (
            "a router behind /",
            vec![object("r", json!({"httpRoute": to(json!({"prefix": "/"}))}))],
            requests.clone(),
        ),
        (
            "a router behind a path that is kept",
            vec![object("r", json!({"routeSpec": {"httpRoute": to(json!({"prefix": "/"}))}}))],
            requests,
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn routers_are_obeyed_alike() {
    let Some(mut both) = Both::start(&["http"], &[Node("v1", &[(8080, "http")])]).await else { return };
    both.add(router());
    for (what, routes, requests) in routed() {
        both.compare(what, routes, requests).await;
    }
    both.agreed(15);
}
