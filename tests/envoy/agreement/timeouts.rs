//! What becomes of a request that takes long. Where a limit is to be passed, the backend takes many times as long; where it is not,
//! the limit is many times what the backend takes.

use serde_json::{Value, json};

use super::{
    both::{Both, Node},
    sent::{Plain, Sent, kept_with},
};

fn limited(more: Value) -> Vec<Value> {
    vec![kept_with("r", json!({"prefix": "/"}), more)]
}

fn ms(value: u64) -> Value {
    json!({"unit": "ms", "value": value})
}

/// A limit of an attempt, of `retries` retries, and of the request.
fn tried(events: Value, retries: u32, per_try: u64, per_request: u64) -> Vec<Value> {
    limited(json!({
        "retryPolicy": {"maxRetries": retries, "perRetryTimeout": ms(per_try), "httpRetryEvents": events},
        "timeout": {"perRequest": ms(per_request)},
    }))
}

const PROMPT: Plain = ("GET", "/", &[]);
const STALLS_ONCE: Plain = ("GET", "/", &[("x-stalls", "1")]);
const STALLS: Plain = ("GET", "/", &[("x-stalls", "100")]);
const BREAKS: Plain = ("GET", "/", &[("x-breaks", "")]);
/// A second and a half in all.
const TRICKLES: Plain = ("GET", "/", &[("x-pieces", "30")]);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_of_a_request_hold_alike() {
    let Some(mut both) = Both::start(&["http"], &[Node("v1", &[(8080, "http")])]).await else { return };
    let all = [PROMPT, STALLS_ONCE, BREAKS, ("POST", "/", &[("x-stalls", "1")])];
    let per_request = limited(json!({"timeout": {"perRequest": ms(1000)}}));
    both.compare("a limit of the request", per_request.clone(), all).await;
    both.compare("the same by HTTP/2", per_request, all.map(|plain| Sent::from(plain).http2())).await;
    let idle = limited(json!({"timeout": {"idle": ms(1000)}}));
    both.compare("a limit of silence", idle.clone(), all).await;
    both.compare("a limit of silence and an answer in pieces", idle.clone(), [TRICKLES]).await;
    both.compare("the same by HTTP/2", idle, all.map(|plain| Sent::from(plain).http2())).await;
    let shorter = limited(json!({"timeout": {"perRequest": ms(1000), "idle": ms(60_000)}}));
    both.compare("the shorter of two, the request's", shorter, all).await;
    let shorter = limited(json!({"timeout": {"perRequest": ms(60_000), "idle": ms(1000)}}));
    both.compare("the shorter of two, that of silence", shorter, all).await;
    let none = limited(json!({"timeout": {"perRequest": ms(0), "idle": ms(0)}}));
    both.compare("no limit", none, [PROMPT, TRICKLES]).await;
    both.agreed(10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_of_an_attempt_hold_alike() {
    let Some(mut both) = Both::start(&["http"], &[Node("v1", &[(8080, "http")])]).await else { return };
    let all = [PROMPT, STALLS_ONCE, STALLS];
    for events in ["server-error", "gateway-error", "client-error", "stream-error"] {
        let what = format!("a limit of an attempt, tried again on {events}");
        both.compare(&what, tried(json!([events]), 2, 1000, 60_000), all).await;
    }
    let again = json!(["server-error"]);
    both.compare(
        "a limit of an attempt above that of the request",
        tried(again.clone(), 2, 60_000, 1000),
        all,
    )
    .await;
    both.compare("attempts until the request's time is up", tried(again.clone(), 100, 500, 6000), [STALLS])
        .await;
    both.compare("an answer that has begun is no attempt any more", tried(again, 2, 500, 60_000), [TRICKLES])
        .await;
    let mut silent = tried(json!(["server-error"]), 100, 500, 60_000);
    silent[0]["spec"]["routeSpec"]["httpRoute"]["timeout"]["idle"] = ms(6000);
    both.compare("attempts until there was silence for too long", silent, [STALLS]).await;
    both.agreed(8);
}
