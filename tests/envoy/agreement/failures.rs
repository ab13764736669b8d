//! What becomes of a request that fails.

use serde_json::{Value, json};

use super::{
    both::{Both, Node},
    sent::{Plain, flat, kept_with},
};
use crate::gateway::object;

/// A route that tries again on these events.
fn on(events: Value) -> Value {
    let retry = json!({"retryPolicy": {"maxRetries": 2, "httpRetryEvents": events}});
    flat("r", json!({"prefix": "/"}), Value::Null, retry)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_is_tried_again_alike() {
    let Some(mut both) = Both::start(&["http"], &[Node("v1", &[(8080, "http")])]).await else { return };
    let failing: Vec<Plain> = vec![
        ("GET", "/flaky", &[("x-fails", "1"), ("x-with", "500")]),
        ("POST", "/flaky", &[("x-fails", "1"), ("x-with", "502")]),
        ("GET", "/flaky", &[("x-fails", "2"), ("x-with", "503")]),
        ("GET", "/flaky", &[("x-fails", "3"), ("x-with", "503")]),
        ("GET", "/flaky", &[("x-fails", "1"), ("x-with", "409")]),
        ("GET", "/flaky", &[("x-fails", "1"), ("x-with", "404")]),
    ];
    for (what, route) in [
        ("server errors are tried again", on(json!(["server-error"]))),
        ("gateway errors are", on(json!(["gateway-error"]))),
        ("client errors are", on(json!(["client-error"]))),
        ("gateway errors and client errors are", on(json!(["gateway-error", "client-error"]))),
        ("connections are, and nothing else", on(json!(["stream-error"]))),
        ("nothing is", flat("r", json!({"prefix": "/"}), Value::Null, Value::Null)),
    ] {
        both.compare(what, vec![route], failing.clone()).await;
    }
    let wish: Plain = (
        "GET",
        "/flaky",
        &[
            ("x-fails", "1"),
            ("x-with", "503"),
            ("x-envoy-retry-on", "5xx"),
            ("x-envoy-max-retries", "3"),
            ("x-envoy-upstream-rq-timeout-ms", "1"),
        ],
    );
    both.compare("a client's own wishes", vec![kept_with("r", json!({"prefix": "/"}), json!({}))], [wish])
        .await;
    let target = json!({"target": {"virtualServiceRef": {"name": "absent"}}});
    let nowhere = object("r", json!({"httpRoute": {"match": {"prefix": "/"}, "action": target}}));
    both.compare("a target that leads nowhere", vec![nowhere], [("GET", "/", &[] as &[_])]).await;
    both.agreed(8);
}
