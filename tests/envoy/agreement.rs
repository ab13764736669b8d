//! Each field of a route does in Envoy what it does in the sandbox's gateway: the same requests through both, and what the backend got.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};
use tidegate::{
    clock::Clock,
    dataplane::{GatewayRef, ObjectKind, compile},
    sandbox::gateway::{Endpoints, Gateway, GatewayConfig},
};

use crate::gateway::{Bed, client, object};

/// A request: method, path with query, headers.
type Sent = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

/// What came of it: the status, and how the backend saw it.
#[derive(Debug, PartialEq, Eq)]
struct Came {
    status: u16,
    seen: String,
}

/// A backend that says what it got. `/flaky` fails as its header `x-fails` says for the first so many times; `/slow` takes half a
/// second.
async fn echo() -> SocketAddr {
    let router = Router::new().fallback(answer).with_state(Failed::default());
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

/// How often each request was sent.
type Failed = Arc<Mutex<BTreeMap<String, usize>>>;

async fn answer(State(failed): State<Failed>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let header = |name: &str| {
        let value = parts.headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let path = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    if path.contains("/slow") {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let (times, status) = (header("x-fails").parse().unwrap_or(0), header("x-with").parse().unwrap_or(500));
    let attempts = {
        let mut failed = failed.lock().unwrap();
        let attempts = failed.entry(header("x-id")).or_default();
        *attempts += 1;
        *attempts
    };
    if attempts <= times {
        return StatusCode::from_u16(status).unwrap().into_response();
    }
    let attempts = if times > 0 { format!(" attempt {attempts}") } else { String::new() };
    format!("{} {path} for {}{attempts}", parts.method, header("host")).into_response()
}

async fn send(to: SocketAddr, (method, path, headers): Sent, id: &str) -> Came {
    let mut sent = HeaderMap::new();
    sent.insert("x-id", id.parse().unwrap());
    for (name, value) in headers {
        sent.append(*name, value.parse().unwrap());
    }
    let http = client();
    let method: Method = method.parse().unwrap();
    let answer = http.request(method, format!("http://{to}{path}")).headers(sent).send().await.unwrap();
    let status = answer.status().as_u16();
    // What a gateway says by itself is its own affair.
    let seen = if status == 200 { answer.text().await.unwrap() } else { String::new() };
    Came { status, seen }
}

fn to_v1() -> Value {
    json!({"virtualServiceRef": {"name": "v1"}})
}

/// In AWS's shape, with AWS's defaults.
fn flat(name: &str, matcher: Value, rewrite: Value, more: Value) -> Value {
    let mut action = json!({"target": to_v1()});
    if !rewrite.is_null() {
        action["rewrite"] = rewrite;
    }
    let mut block = json!({"match": matcher, "action": action});
    for (field, value) in more.as_object().into_iter().flatten() {
        block[field] = value.clone();
    }
    object(name, json!({"httpRoute": block}))
}

/// In the dialect, which keeps path and host.
fn kept(name: &str, matcher: Value) -> Value {
    object(name, json!({"routeSpec": {"httpRoute": {"match": matcher, "action": {"target": to_v1()}}}}))
}

fn prioritized(mut route: Value, priority: u16) -> Value {
    route["spec"]["priority"] = json!(priority);
    route
}

/// What is shown, the routes, and what is sent to them.
type Case = (&'static str, Vec<Value>, Vec<Sent>);

/// What becomes of path and host.
fn rewrites() -> Vec<Case> {
    let none = Value::Null;
    let prefixes: Vec<Sent> = vec![
        ("GET", "/app", &[]),
        ("GET", "/app/", &[]),
        ("GET", "/app/x", &[]),
        ("GET", "/app//x?a=1&b=/app", &[]),
        ("GET", "/application", &[]),
        ("GET", "/other", &[]),
    ];
    let app = json!({"prefix": "/app"});
    let value = |to: &str| json!({"prefix": {"value": to}});
    let dialect = |from: &str, to: &str| json!({"prefix": from, "targetPrefix": to});
    vec![
        (
            "the default of AWS's shape",
            vec![flat("r", app.clone(), none.clone(), none.clone())],
            prefixes.clone(),
        ),
        ("the dialect keeps", vec![kept("r", app.clone())], prefixes.clone()),
        ("a prefix's value", vec![flat("r", app.clone(), value("/v2/"), none.clone())], prefixes.clone()),
        (
            "a prefix's value without a slash",
            vec![flat("r", app.clone(), value("/v2"), none.clone())],
            prefixes.clone(),
        ),
        (
            "a prefix with a slash",
            vec![flat("r", json!({"prefix": "/app/"}), dialect("/app/", "/v2"), none.clone())],
            prefixes.clone(),
        ),
        (
            "a part of the prefix",
            vec![flat("r", json!({"prefix": "/app/x"}), dialect("/app", "/v2"), none.clone())],
            prefixes.clone(),
        ),
        (
            "nothing is rewritten",
            vec![flat(
                "r",
                app.clone(),
                json!({"prefix": {"defaultPrefix": "DISABLED"}, "hostname": {"defaultTargetHostname": "DISABLED"}}),
                none.clone(),
            )],
            prefixes.clone(),
        ),
        (
            "a whole path",
            vec![flat(
                "r",
                json!({"path": {"exact": "/app"}}),
                json!({"path": {"exact": "/v2?"}}),
                none.clone(),
            )],
            prefixes.clone(),
        ),
        ("a pattern", vec![kept("r", json!({"path": {"regex": "/app(/[a-z])?"}}))], prefixes),
    ]
}

/// What chooses a route.
fn choices() -> Vec<Case> {
    vec![
        (
            "a method",
            vec![kept("r", json!({"prefix": "/", "method": "POST"}))],
            vec![("POST", "/", &[]), ("GET", "/", &[])],
        ),
        (
            "hosts",
            vec![
                kept("exact", json!({"prefix": "/", "hostname": {"exact": "A.example"}})),
                kept("suffix", json!({"prefix": "/s", "hostname": {"suffix": ".example"}})),
                kept("longer", json!({"prefix": "/l", "hostname": {"suffix": ".b.example"}})),
            ],
            vec![
                ("GET", "/", &[("host", "a.example")]),
                ("GET", "/", &[("host", "a.example:8080")]),
                ("GET", "/s", &[("host", "c.b.example")]),
                ("GET", "/l", &[("host", "c.b.example")]),
                ("GET", "/l", &[("host", "b.example")]),
                ("GET", "/s", &[("host", ".example")]),
                ("GET", "/s", &[("host", "other")]),
            ],
        ),
        (
            "priorities go over hosts",
            vec![
                prioritized(kept("any", json!({"prefix": "/x", "headers": [{"name": "x-a"}]})), 1),
                prioritized(
                    flat(
                        "host",
                        json!({"prefix": "/x", "hostname": {"exact": "a.example"}}),
                        Value::Null,
                        Value::Null,
                    ),
                    2,
                ),
            ],
            vec![
                ("GET", "/x/y", &[("host", "a.example")]),
                ("GET", "/x/y", &[("host", "a.example"), ("x-a", "1")]),
                ("GET", "/x/y", &[("host", "b.example")]),
            ],
        ),
    ]
}

/// What headers and parameters choose.
fn values() -> Vec<Case> {
    let header = |test: Value| kept("r", json!({"prefix": "/", "headers": [test]}));
    vec![
        (
            "a header is there",
            vec![header(json!({"name": "x-a"}))],
            vec![("GET", "/", &[("x-a", "")]), ("GET", "/", &[("x-a", "1")]), ("GET", "/", &[])],
        ),
        (
            "a header is not there",
            vec![header(json!({"name": "x-a", "invert": true}))],
            vec![("GET", "/", &[("x-a", "1")]), ("GET", "/", &[])],
        ),
        (
            "a header's value",
            vec![header(json!({"name": "x-a", "match": {"exact": "one"}}))],
            vec![
                ("GET", "/", &[("x-a", "one")]),
                ("GET", "/", &[("x-a", "One")]),
                ("GET", "/", &[("x-a", "one"), ("x-a", "two")]),
                ("GET", "/", &[]),
            ],
        ),
        (
            "another value",
            vec![header(json!({"name": "x-a", "invert": true, "match": {"exact": "one"}}))],
            vec![
                ("GET", "/", &[("x-a", "one")]),
                ("GET", "/", &[("x-a", "two")]),
                ("GET", "/", &[("x-a", "one"), ("x-a", "two")]),
                ("GET", "/", &[("x-a", "two"), ("x-a", "three")]),
                ("GET", "/", &[]),
            ],
        ),
        (
            "a value's start",
            vec![header(json!({"name": "x-a", "match": {"prefix": "on"}}))],
            vec![("GET", "/", &[("x-a", "one")]), ("GET", "/", &[("x-a", "no")])],
        ),
        (
            "a value's end",
            vec![header(json!({"name": "x-a", "match": {"suffix": "ne"}}))],
            vec![("GET", "/", &[("x-a", "one")]), ("GET", "/", &[("x-a", "no")])],
        ),
        (
            "a value's pattern",
            vec![header(json!({"name": "x-a", "match": {"regex": "o|one"}}))],
            vec![("GET", "/", &[("x-a", "one")]), ("GET", "/", &[("x-a", "ones")])],
        ),
        (
            "a value's range",
            vec![header(json!({"name": "x-a", "match": {"range": {"start": -5, "end": 10}}}))],
            vec![
                ("GET", "/", &[("x-a", "-5")]),
                ("GET", "/", &[("x-a", "9")]),
                ("GET", "/", &[("x-a", "10")]),
                ("GET", "/", &[("x-a", "nine")]),
            ],
        ),
        (
            "a query parameter",
            vec![kept(
                "r",
                json!({"prefix": "/", "queryParameters": [{"name": "a", "match": {"exact": "1"}}]}),
            )],
            vec![
                ("GET", "/?a=1", &[]),
                ("GET", "/?b=2&a=1", &[]),
                ("GET", "/?a=2&a=1", &[]),
                ("GET", "/?a=1x", &[]),
                ("GET", "/", &[]),
            ],
        ),
        (
            "a query parameter is there",
            vec![kept("r", json!({"prefix": "/", "queryParameters": [{"name": "a"}]}))],
            vec![("GET", "/?a", &[]), ("GET", "/?a=", &[]), ("GET", "/?b=a", &[])],
        ),
    ]
}

/// What becomes of a request that fails, or takes long.
fn failures() -> Vec<Case> {
    let none = Value::Null;
    let on = |events: Value| {
        let retry = json!({"retryPolicy": {"maxRetries": 2, "httpRetryEvents": events}});
        flat("r", json!({"prefix": "/"}), Value::Null, retry)
    };
    let failing: Vec<Sent> = vec![
        ("GET", "/flaky", &[("x-fails", "1"), ("x-with", "500")]),
        ("GET", "/flaky", &[("x-fails", "2"), ("x-with", "503")]),
        ("GET", "/flaky", &[("x-fails", "3"), ("x-with", "503")]),
        ("GET", "/flaky", &[("x-fails", "1"), ("x-with", "409")]),
        ("GET", "/flaky", &[("x-fails", "1"), ("x-with", "404")]),
    ];
    vec![
        ("server errors are tried again", vec![on(json!(["server-error"]))], failing.clone()),
        ("gateway errors are", vec![on(json!(["gateway-error"]))], failing.clone()),
        ("client errors are", vec![on(json!(["client-error"]))], failing.clone()),
        ("nothing is", vec![flat("r", json!({"prefix": "/"}), none.clone(), none.clone())], failing),
        (
            "a limit of time",
            vec![flat(
                "r",
                json!({"prefix": "/"}),
                none,
                json!({"timeout": {"perRequest": {"unit": "ms", "value": 150}}}),
            )],
            vec![("GET", "/slow", &[]), ("GET", "/fast", &[])],
        ),
    ]
}

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
    let soon = json!({"timeout": {"perRequest": {"unit": "ms", "value": 150}}});
    let again = json!({"retryPolicy": {
        "maxRetries": 2, "perRetryTimeout": {"unit": "s", "value": 1}, "httpRetryEvents": ["server-error"],
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

/// What stands behind a router, seen after the gateway route has rewritten the path, or has not.
fn routed() -> Vec<Case> {
    let target = json!({"virtualServiceRef": {"name": "routed"}});
    let to = |matcher: Value| json!({"match": matcher, "action": {"target": target}});
    let requests: Vec<Sent> = vec![
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
        ("GET", "/soon/slow", &[]),
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
async fn envoy_and_the_sandboxs_gateway_agree() {
    let backend = echo().await;
    let Some(mut bed) = Bed::start_with([("v1", backend)].into(), vec![]).await else { return };
    bed.beside = router();
    let endpoints = Endpoints::default();
    endpoints.set("v1.shop", None, vec![backend]).unwrap();
    let sandbox = Gateway::start(GatewayConfig::default(), endpoints, Clock::start()).await.unwrap();
    let reference = GatewayRef { name: "gw".into(), namespace: "shop".into(), takes_unclaimed: true };
    let mut differing = Vec::new();
    let (mut served, mut number) = (0, 0);
    for (what, routes, requests) in [rewrites(), choices(), values(), failures(), routed()].concat() {
        let mut objects: Vec<(ObjectKind, Value)> = bed.behind();
        objects.extend(routes.iter().map(|route| (ObjectKind::GatewayRoute, route.clone())));
        let compiled = compile(&reference, objects.iter().map(|(kind, object)| (*kind, object)));
        assert!(compiled.rejected.is_empty(), "{what}: {:?}", compiled.rejected);
        sandbox.table().publish(compiled.table);
        bed.route(routes);
        bed.settled().await;
        for sent in requests {
            number += 1;
            let ours = send(sandbox.address(), sent, &format!("ours-{number}")).await;
            let envoys = send(bed.ingress, sent, &format!("envoys-{number}")).await;
            served += usize::from(envoys.status == 200);
            let bare = |came: &Came, at: SocketAddr| came.seen.replace(&at.to_string(), "GATEWAY");
            if ours.status != envoys.status || bare(&ours, sandbox.address()) != bare(&envoys, bed.ingress) {
                differing.push(format!("{what}: {sent:?}: ours {ours:?}, Envoy's {envoys:?}"));
            }
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
    assert!(served > 40 && served < number, "{served} of {number} were served");
}
