//! gRPC calls: what chooses their route, what is tried again, and where a client finds how they ended.

use serde_json::{Value, json};
use tidegate::dataplane::ObjectKind;

use super::{
    both::{Both, Node},
    sent::{Headers, Sent, to},
};
use crate::gateway::object;

/// What clients of gRPC say.
const CALL: Headers = &[("content-type", "application/grpc"), ("te", "trailers")];
const GET: &str = "/paint.Colors/Get";

/// A call that is to go wrong.
macro_rules! call {
    ($path:expr $(, $name:literal: $value:literal)*) => {
        Sent::call($path, &[("content-type", "application/grpc"), ("te", "trailers") $(, ($name, $value))*])
    };
}

/// A route of the dialect with more beside its match.
fn calls(matcher: Value, more: Value) -> Vec<Value> {
    let mut block = json!({"match": matcher, "action": {"target": to("v1")}});
    for (field, value) in more.as_object().into_iter().flatten() {
        block[field] = value.clone();
    }
    vec![object("r", json!({"routeSpec": {"grpcRoute": block}}))]
}

/// The same in AWS's shape.
fn flat(matcher: Value) -> Vec<Value> {
    let block = json!({"match": matcher, "action": {"target": to("v1")}});
    vec![object("r", json!({"grpcRoute": block}))]
}

async fn both() -> Option<Both> {
    Both::start(&["grpc", "http"], &[Node("v1", &[(50051, "grpc")])]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_are_chosen_alike() {
    let Some(mut both) = both().await else { return };
    let none = json!({});
    let named = [
        call!(GET),
        call!("/paint.Colors/Put"),
        call!("/paint.Colorsand/Get"),
        call!("/paint/Get"),
        call!("/paint.Colors"),
        call!("/"),
        Sent::call(GET, &[("content-type", "application/grpc+proto")]),
        Sent::call(GET, &[("content-type", "application/grpc-web")]),
        Sent::call(GET, &[("content-type", "application/grpc;charset=utf-8")]),
        Sent::call(GET, &[("content-type", "application/json")]),
        Sent::call(GET, &[]),
        Sent::call(GET, CALL).at(1),
    ];
    both.compare("a service", calls(json!({"serviceName": "paint.Colors"}), none.clone()), named).await;
    both.compare("AWS's shape", flat(json!({"serviceName": "paint.Colors"})), named).await;
    let method = json!({"serviceName": "paint.Colors", "methodName": "Get"});
    both.compare("a method", calls(method, none.clone()), named).await;
    let metadata =
        |test: Value| calls(json!({"serviceName": "paint.Colors", "metadata": [test]}), none.clone());
    let told = [
        call!(GET),
        call!(GET, "x-a": "one"),
        call!(GET, "x-a": "7"),
        call!(GET, "x-a": "7", "x-a": "one"),
        call!(GET, "x-a": ""),
    ];
    for test in [
        json!({"name": "x-a"}),
        json!({"name": "x-a", "invert": true}),
        json!({"name": "x-a", "match": {"exact": "one"}}),
        json!({"name": "x-a", "match": {"exact": "one"}, "invert": true}),
        json!({"name": "x-a", "match": {"prefix": "o"}}),
        json!({"name": "x-a", "match": {"suffix": "e"}}),
        json!({"name": "x-a", "match": {"regex": "[0-9]"}}),
        json!({"name": "x-a", "match": {"range": {"start": 5, "end": 8}}}),
    ] {
        both.compare(&test.to_string(), metadata(test.clone()), told).await;
    }
    let hosts = [
        call!(GET, "host": "a.example"),
        call!(GET, "host": "A.example:50051"),
        call!(GET, "host": "b.example"),
        call!(GET, "host": "other"),
    ];
    for host in [json!({"exact": "a.example"}), json!({"suffix": ".example"})] {
        both.compare("a host that is kept", calls(json!({"hostname": host}), none.clone()), hosts).await;
        both.compare("a host that is rewritten", flat(json!({"hostname": host})), hosts).await;
    }
    both.agreed(30);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_fail_are_tried_again_and_told_alike() {
    let Some(mut both) = both().await else { return };
    let service = json!({"serviceName": "paint.Colors"});
    let failing = [
        call!(GET),
        call!(GET, "x-fails": "1", "x-with": "1"),
        call!(GET, "x-fails": "1", "x-with": "4"),
        call!(GET, "x-fails": "1", "x-with": "8"),
        call!(GET, "x-fails": "1", "x-with": "13"),
        call!(GET, "x-fails": "2", "x-with": "14"),
        call!(GET, "x-fails": "3", "x-with": "14"),
        call!(GET, "x-fails": "1", "x-with": "5"),
        // What comes after an answer comes too late to be tried again.
        call!(GET, "x-fails": "1", "x-with": "14", "x-late": ""),
    ];
    let on = |events: &[&str]| {
        let retry = json!({"retryPolicy": {"maxRetries": 2, "grpcRetryEvents": events}});
        calls(service.clone(), retry)
    };
    for event in ["cancelled", "deadline-exceeded", "resource-exhausted", "internal", "unavailable"] {
        both.compare(&format!("{event} is tried again"), on(&[event]), failing).await;
    }
    both.compare("two are", on(&["cancelled", "unavailable"]), failing).await;
    both.compare("nothing is", calls(service.clone(), json!({})), failing).await;
    let retry = json!({"retryPolicy": {
        "maxRetries": 2, "httpRetryEvents": ["server-error"], "grpcRetryEvents": ["unavailable"],
    }});
    both.compare("server errors are, and calls", calls(service.clone(), retry), failing).await;
    both.agreed(15);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_gateway_says_of_a_call_by_itself_is_in_grpcs_words_alike() {
    let Some(mut both) = both().await else { return };
    let service = json!({"serviceName": "paint.Colors"});
    let limit = |value: u64| json!({"unit": "ms", "value": value});
    let all =
        [call!(GET), call!(GET, "x-stalls": "1"), call!(GET, "x-breaks": ""), call!("/other.Service/Get")];
    let per_request = json!({"timeout": {"perRequest": limit(1000)}});
    both.compare("a limit of the request", calls(service.clone(), per_request), all).await;
    both.compare(
        "a limit of silence",
        calls(service.clone(), json!({"timeout": {"idle": limit(1000)}})),
        all,
    )
    .await;
    let tried = |events: Value| {
        let mut retry = json!({"maxRetries": 2, "perRetryTimeout": limit(1000)});
        retry.as_object_mut().unwrap().extend(events.as_object().unwrap().clone());
        calls(service.clone(), json!({"retryPolicy": retry, "timeout": {"perRequest": limit(60_000)}}))
    };
    let all = [call!(GET, "x-stalls": "1"), call!(GET, "x-stalls": "100")];
    let events = json!({"grpcRetryEvents": ["deadline-exceeded", "unavailable"]});
    both.compare("a limit of an attempt that nothing tries again", tried(events), all).await;
    let events = json!({"httpRetryEvents": ["gateway-error"]});
    both.compare("a limit of an attempt that is tried again", tried(events), all).await;
    let nowhere = |action: Value| {
        vec![object("r", json!({"routeSpec": {"grpcRoute": {"match": service, "action": action}}}))]
    };
    both.compare("a target that leads nowhere", nowhere(json!({"target": to("absent")})), [call!(GET)]).await;
    let nobody = json!({"weightedTargets": [{"virtualServiceRef": {"name": "v1"}, "weight": 0}]});
    both.compare("a route without weights", nowhere(nobody), [call!(GET)]).await;
    // Whoever does not call is told so in plain words.
    let page = [Sent::get(GET, &[]).http2(), Sent::get(GET, &[]).at(1)];
    both.compare("a page instead of a call", calls(service.clone(), json!({})), page).await;
    both.agreed(4);
}

/// A router whose routes are of calls.
fn router() -> Vec<(ObjectKind, Value)> {
    let route = |name: &str, priority: u16, matcher: Value, more: Value| {
        let target = json!({"virtualNodeRef": {"name": "v1"}, "weight": 1});
        let mut block = json!({"match": matcher, "action": {"weightedTargets": [target]}});
        for (field, value) in more.as_object().into_iter().flatten() {
            block[field] = value.clone();
        }
        json!({"name": name, "priority": priority, "grpcRoute": block})
    };
    let retry = json!({"retryPolicy": {"maxRetries": 2, "grpcRetryEvents": ["unavailable"],
        "perRetryTimeout": {"unit": "s", "value": 5}}});
    let metadata = json!([{"name": "x-a", "match": {"exact": "one"}}]);
    let routes = [
        route("told", 1, json!({"serviceName": "paint.Colors", "metadata": metadata}), retry),
        route("put", 2, json!({"serviceName": "paint.Colors", "methodName": "Put"}), json!({})),
    ];
    let listeners = json!([{"portMapping": {"port": 50051, "protocol": "grpc"}}]);
    let provider = json!({"provider": {"virtualRouter": {"virtualRouterRef": {"name": "router"}}}});
    vec![
        (ObjectKind::VirtualRouter, object("router", json!({"listeners": listeners, "routes": routes}))),
        (ObjectKind::VirtualService, object("routed", provider)),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_behind_a_router_are_chosen_alike() {
    let Some(mut both) = both().await else { return };
    both.add(router());
    let requests = [
        call!(GET),
        call!(GET, "x-a": "one"),
        call!(GET, "x-a": "one", "x-fails": "2", "x-with": "14"),
        call!("/paint.Colors/Put"),
        call!("/paint.Colors/Put", "x-fails": "1", "x-with": "14"),
        call!("/other.Service/Put"),
        Sent::call("/paint.Colors/Put", &[("content-type", "application/json")]),
    ];
    for block in ["grpcRoute", "httpRoute"] {
        let matcher = if block == "grpcRoute" {
            json!({"serviceName": "paint.Colors"})
        } else {
            json!({"prefix": "/"})
        };
        let routes = json!({block: {"match": matcher, "action": {"target": to("routed")}}});
        both.compare(block, vec![object("r", json!({"routeSpec": routes}))], requests).await;
    }
    both.agreed(4);
}
