//! Objects in, table out, through the public surface.
#![expect(clippy::needless_pass_by_value, reason = "the cases are JSON literals")]

use std::time::Duration;

use http::{HeaderMap, Method};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::dataplane::*;

fn gateway() -> GatewayRef {
    GatewayRef { name: "gw".into(), namespace: "default".into(), takes_unclaimed: true }
}

fn object(name: &str, spec: Value) -> Value {
    json!({"metadata": {"name": name, "namespace": "default"}, "spec": spec})
}

fn compiled<'a>(routes: impl IntoIterator<Item = &'a Value>) -> Compiled {
    compile(&gateway(), routes.into_iter().map(|route| (ObjectKind::GatewayRoute, route)))
}

fn one(spec: Value) -> Route {
    let compiled = compiled([&object("r", spec)]);
    assert!(compiled.rejected.is_empty(), "{:?}", compiled.rejected);
    compiled.table.routes[0].clone()
}

fn takes(matcher: &Match, path: &str, query: &str, headers: &[(&'static str, &str)], host: &str) -> bool {
    let headers: HeaderMap = headers.iter().map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())).collect();
    matcher.matches(&RequestParts { method: &Method::GET, host, path, query, headers: &headers, port: 8080 })
}

#[test]
fn a_bad_object_is_left_out_alone_with_its_reason() {
    let target = json!({"target": {"virtualServiceRef": {"name": "a"}}});
    let with = |matcher: Value, action: &Value| json!({"httpRoute": {"match": matcher, "action": action}});
    let prefix = json!({"prefix": "/"});
    let cases = [
        (json!({}), "one of httpRoute"),
        (with(json!({}), &target), "a match by path"),
        (with(json!({"prefix": "x"}), &target), "must start with /"),
        (with(json!({"prefix": "/", "path": {"exact": "/"}}), &target), "exclude each other"),
        (with(json!({"path": {"regex": "("}}), &target), "no regular expression"),
        (with(json!({"path": {"regex": "a{1001}"}}), &target), "more than 1000 repetitions"),
        (with(json!({"prefix": "/", "hostname": {"exact": "*"}}), &target), "and no *"),
        (with(json!({"prefix": "/", "hostname": {"suffix": "*.example"}}), &target), "and no *"),
        (with(json!({"prefix": "/", "cookies": []}), &target), "unknown field `cookies`"),
        (with(prefix.clone(), &json!({})), "action.target or"),
        (with(prefix.clone(), &json!({"targets": []})), "0 weighted targets"),
        (
            with(prefix.clone(), &json!({"targets": [{"virtualServiceRef": {"name": "a"}, "weight": -1}]})),
            "-1",
        ),
        (with(prefix.clone(), &json!({"target": {"virtualService": {"virtualServiceARN": "arn:x"}}})), "ARN"),
        (json!({"priority": 1001, "httpRoute": {"match": prefix, "action": target}}), "0 to 1000"),
    ];
    for (spec, want) in cases {
        let good = object("good", json!({"httpRoute": {"match": {"prefix": "/"}, "action": target}}));
        let compiled = compiled([&object("bad", spec), &good]);
        assert_eq!(compiled.table.routes.len(), 1, "{want}");
        assert_eq!(compiled.rejected[0].object.name, "bad");
        let reason = compiled.rejected[0].reason.to_string();
        assert!(reason.contains(want), "{reason:?} should name {want:?}");
    }
}

#[test]
fn both_shapes_compile_with_their_own_defaults() {
    let block = json!({
        "match": {"prefix": "/app"},
        "action": {"targets": [
            {"virtualServiceRef": {"name": "v1.default"}, "weight": 90},
            {"virtualServiceRef": {"name": "v2"}, "weight": 10, "port": 9090},
        ]},
        "retryPolicy": {"httpRetryEvents": ["server-error", "gateway-error"], "maxRetries": 3,
                        "perTryTimeout": {"unit": "MILLIS", "value": 1000}},
        "timeout": {"idle": {"unit": "s", "value": 0}, "perRequest": {"unit": "ms", "value": 500}},
    });
    let dialect = one(json!({"routeSpec": {"priority": 200, "httpRoute": block}}));
    assert_eq!(dialect.priority, 200);
    assert_eq!(dialect.rewrite, Rewrite { path: PathRewrite::Keep, host: HostRewrite::Keep });
    let flat = one(json!({"httpRoute": block}));
    assert_eq!(flat.priority, 1000);
    let to_root = PathRewrite::Prefix { from: "/app".into(), to: "/".into() };
    assert_eq!(flat.rewrite, Rewrite { path: to_root, host: HostRewrite::Target });
    for route in [dialect, flat] {
        assert_eq!(route.destinations[0].service(), "v1.default");
        assert_eq!(route.destinations[1].service(), "v2.default");
        assert_eq!((route.destinations[1].port, route.destinations[1].weight), (Some(9090), 10));
        assert_eq!(route.timeout, Timeout { per_request: Some(Duration::from_millis(500)), idle: None });
        let retry = route.retry.unwrap();
        assert_eq!((retry.max, retry.per_try_timeout), (3, Some(Duration::from_secs(1))));
    }
}

#[test]
fn only_routes_of_the_gateway_are_taken() {
    let route = |reference: Value| {
        let mut route = object("r", json!({"httpRoute": {}}));
        route["spec"]["virtualGatewayRef"] = reference;
        route
    };
    let cases = [
        (json!({"name": "gw"}), true),
        (json!({"name": "gw", "namespace": "default"}), true),
        (json!({"name": "gw", "namespace": "other"}), false),
        (json!({"name": "other"}), false),
        (Value::Null, true),
    ];
    for (reference, want) in cases {
        assert_eq!(gateway().takes(ObjectKind::GatewayRoute, &route(reference.clone())), want, "{reference}");
    }
    let strict = GatewayRef { takes_unclaimed: false, ..gateway() };
    assert!(!strict.takes(ObjectKind::GatewayRoute, &route(Value::Null)));
}

#[test]
fn matching_means_what_envoy_means() {
    let matcher = |matcher: Value| {
        let target = json!({"target": {"virtualServiceRef": {"name": "a"}}});
        one(json!({"httpRoute": {"match": matcher, "action": target}})).matcher
    };
    let header = |test: Value| matcher(json!({"prefix": "/", "headers": [test]}));
    let h = |value: &'static str| [("x", value)];
    let cases = [
        (header(json!({"name": "x", "match": {"exact": "a"}})), h("a"), true),
        (header(json!({"name": "x", "match": {"prefix": "ab"}})), h("a"), false),
        (header(json!({"name": "x", "match": {"suffix": "b"}})), h("ab"), true),
        (header(json!({"name": "x", "match": {"regex": "a|bb"}})), h("abb"), false),
        (header(json!({"name": "x", "match": {"range": {"start": 1, "end": 5}}})), h("5"), false),
        (header(json!({"name": "x", "invert": true, "match": {"exact": "a"}})), h("b"), true),
        (header(json!({"name": "y", "invert": true, "match": {"exact": "a"}})), h("b"), false),
        (header(json!({"name": "y", "invert": true})), h("b"), true),
        (header(json!({"name": "x"})), h(""), true),
    ];
    for (matcher, headers, want) in cases {
        assert_eq!(takes(&matcher, "/", "", &headers, "h"), want, "{:?}", matcher.headers);
    }
    let host = matcher(json!({"hostname": {"suffix": ".example.com"}}));
    assert!(takes(&host, "/", "", &[], "API.example.com:80"));
    assert!(!takes(&host, "/", "", &[], ".example.com"));
    let query = matcher(json!({"prefix": "/", "queryParameters": [{"name": "r", "match": {"exact": "eu"}}]}));
    assert!(takes(&query, "/", "a=b&r=eu&r=us", &[], "h") && !takes(&query, "/", "r=us&r=eu", &[], "h"));
    let grpc =
        json!({"match": {"serviceName": "a.B"}, "action": {"target": {"virtualServiceRef": {"name": "a"}}}});
    let grpc = one(json!({"grpcRoute": grpc})).matcher;
    assert!(takes(&grpc, "/a.B/Call", "", &[("content-type", "application/grpc+proto")], "h"));
    assert!(!takes(&grpc, "/a.B/Call", "", &[], "h") && !takes(&grpc, "/a.Bc/Call", "", &[], "h"));
}

#[test]
fn the_more_specific_match_comes_first() {
    let target = json!({"target": {"virtualServiceRef": {"name": "a"}}});
    let header = json!([{"name": "x"}]);
    let objects: Vec<Value> = [
        ("e", json!({"prefix": "/"})),
        ("d", json!({"prefix": "/app"})),
        ("c", json!({"prefix": "/app", "headers": header})),
        ("b", json!({"path": {"exact": "/a"}})),
        ("a", json!({"prefix": "/", "hostname": {"exact": "h"}})),
        ("f", json!({"prefix": "/"})),
    ]
    .into_iter()
    .map(|(name, matcher)| object(name, json!({"httpRoute": {"match": matcher, "action": target}})))
    .collect();
    let names = |objects: Vec<&Value>| -> Vec<String> {
        compiled(objects).table.routes.into_iter().map(|route| route.name).collect()
    };
    assert_eq!(names(objects.iter().collect()), ["a", "b", "c", "d", "e", "f"]);
    assert_eq!(names(objects.iter().rev().collect()), ["a", "b", "c", "d", "e", "f"]);
}

proptest! {
    #[test]
    fn priorities_weights_and_targets_are_kept(
        routes in prop::collection::vec((0u16..=1000, prop::collection::vec((0u32..200, 0u8..5), 1..10)), 0..8),
        roll: u64,
    ) {
        let objects: Vec<Value> = routes.iter().enumerate().map(|(index, (priority, entries))| {
            let targets: Vec<Value> = entries.iter().map(|(weight, target)| {
                json!({"virtualServiceRef": {"name": format!("t{target}")}, "weight": weight})
            }).collect();
            let block = json!({"match": {"prefix": "/"}, "action": {"weightedTargets": targets}});
            object(&index.to_string(), json!({"priority": priority, "httpRoute": block}))
        }).collect();
        let table = compiled(&objects).table;
        prop_assert!(table.routes.is_sorted_by_key(|route| route.priority));
        prop_assert_eq!(table.routes.len(), routes.len());
        for route in &table.routes {
            let (_, entries) = &routes[route.name.parse::<usize>().unwrap()];
            let total: u32 = entries.iter().map(|(weight, _)| weight).sum();
            prop_assert_eq!(route.destinations.iter().map(|entry| entry.weight).sum::<u32>(), total);
            for entry in &route.destinations {
                let named = entries.iter().any(|(_, target)| format!("t{target}") == entry.target);
                prop_assert!(named, "{} is in no object", entry.target);
            }
            let picked = route.pick(roll);
            prop_assert_eq!(picked.is_some(), total > 0);
            prop_assert!(picked.is_none_or(|entry| entry.weight > 0));
        }
    }
}
