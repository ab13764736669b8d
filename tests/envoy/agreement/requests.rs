//! What chooses a route, and what becomes of path and host.

use serde_json::{Value, json};

use super::{
    both::{Both, Node},
    sent::{Plain, flat, kept, prioritized},
};

/// What is shown, the routes, and what is sent to them.
type Case = (&'static str, Vec<Value>, Vec<Plain>);

/// What becomes of path and host.
fn rewrites() -> Vec<Case> {
    let none = Value::Null;
    let prefixes: Vec<Plain> = vec![
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_chosen_and_rewritten_alike() {
    let Some(mut both) = Both::start(&["http"], &[Node("v1", &[(8080, "http")])]).await else { return };
    for (what, routes, requests) in [rewrites(), choices(), values()].concat() {
        both.compare(what, routes, requests).await;
    }
    both.agreed(40);
}
