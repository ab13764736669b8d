//! Custom resources: pruning, defaults, validation, CEL rules.

use serde_json::{Value, json};

use super::variants;
use crate::compare::{Script, script};
use crate::objects::{
    gateway_route, grpc_route, http_route, rollout, virtual_router, widget, with, wrapped_route,
};
use crate::step::{
    GATEWAY_ROUTES, GRPC_ROUTES, HTTP_ROUTES, ROLLOUTS, Step, VIRTUAL_ROUTERS, WIDGETS, merge, post,
};

pub fn scripts() -> Vec<Script> {
    let widgets = widget_values().into_iter().map(|spec| json!({"spec": spec})).collect();
    vec![
        script("widget values", variants(WIDGETS, &widget("a"), widgets)),
        script("widget transitions", transitions()),
        script("rollout values", variants(ROLLOUTS, &rollout("a"), rollout_values())),
        script("gateway route values", variants(GATEWAY_ROUTES, &gateway_route("a"), gateway_route_values())),
        script("wrapped route values", variants(GATEWAY_ROUTES, &wrapped_route("a"), wrapped_route_values())),
        script(
            "virtual router values",
            variants(VIRTUAL_ROUTERS, &virtual_router("a"), virtual_router_values()),
        ),
        script("http route values", variants(HTTP_ROUTES, &http_route("a"), http_route_values())),
        script("grpc route values", variants(GRPC_ROUTES, &grpc_route("a"), grpc_route_values())),
    ]
}

fn widget_values() -> Vec<Value> {
    let mut values: Vec<Value> = Vec::new();
    for (field, options) in [
        ("color", json!(["pink", "", null, 3, ["red"], {}])),
        (
            "replicas",
            json!([-1, 0, 100, 101, 1.5, 2.0, "3", 2_147_483_648_i64, -5_000_000_000_i64, null, true]),
        ),
        ("name", json!(["a", "ab", "abcdefgh", "abcdefghi", "AB", "a1", "éé", null, 3])),
        ("share", json!([0, 0.5, 0.25, 1, -0.5, 2.0, "1", 1e3])),
        ("port", json!([80, "http", 1.5, true, null, {}, []])),
        ("raw", json!([{}, {"a": {"b": [1, null, {"c": null}]}}, "text", null, {"apiVersion": 3}])),
        (
            "labels",
            json!([{}, {"a": "b"}, {"a": "longer"}, {"a": 3}, {"a": null}, {"a": "1", "b": "2", "c": "3", "d": "4"}, []]),
        ),
        ("maybe", json!([null, "x", 3])),
        (
            "since",
            json!([
                "2020-01-01T00:00:00Z",
                "2020-01-01",
                "yesterday",
                "2020-01-01T00:00:00.123456789+02:00",
                "2020-01-01t00:00:00z",
                "",
                3
            ]),
        ),
        ("uri", json!(["https://example.com/a", "nonsense", "/path", "", "a b", "http://[::1]"])),
        ("mode", json!(["Auto", "Manual", "auto", null, ""])),
        (
            "nested",
            json!([{}, {"depth": 5}, {"flag": true}, {"depth": null}, {"flag": null}, {"flag": "yes"}, null, {"more": 1}, []]),
        ),
        (
            "items",
            json!([
                [], [{"name": "x"}], [{"name": "x"}, {"name": "x"}], [{}], [{"name": null}], [{"name": "x", "weight": null}],
                [{"name": "x", "weight": "1"}], [{"name": "elevenchars"}], ["text"], [null], null, {},
                [{"name": "a"}, {"name": "b"}, {"name": "c"}, {"name": "d"}, {"name": "e"}],
                [{"name": "a", "more": 1}, {"name": "b", "more": 2}],
            ]),
        ),
        ("tags", json!([[], ["a"], ["a", "a"], ["a", 3], [null], ["a", "b", "c", "d", "e", "f"]])),
        ("numbers", json!([[1, 1], [1.0], [1.5], ["1"], [1, 2, 3, 4, 5, 6], [null]])),
        ("choice", json!([{}, {"a": "x"}, {"b": "x"}, {"a": "x", "b": "y"}, {"a": 3}])),
        ("either", json!([{}, {"a": 1}, {"a": 5}, {"b": 1}, {"a": 5, "b": 1}, {"a": 1, "b": 1}])),
        ("fixed", json!(["x", "longer than ten", 3])),
        (
            "range",
            json!([{}, {"low": 1, "high": 2}, {"low": 2, "high": 1}, {"low": 2}, {"high": 1}, {"low": "x", "high": 1}]),
        ),
    ] {
        values.extend(options.as_array().unwrap().iter().map(|value| json!({field: value})));
    }
    values.extend([
        json!({"color": "blue"}),
        json!({"color": "blue", "replicas": 2}),
        json!({"color": "pink", "replicas": -1, "name": "A"}),
        json!({"color": "pink", "range": {"low": 2, "high": 1}}),
        json!({"color": "blue", "range": {"low": 2, "high": 1}, "name": "toolongname"}),
        json!({"color": "blue", "items": [{}]}),
        json!({"nonsense": {"deep": [1]}, "nested": {"odd": 1}}),
    ]);
    values
}

fn transitions() -> Vec<Step> {
    let one = format!("{WIDGETS}/a");
    let full =
        json!({"spec": {"fixed": "x", "items": [{"name": "a", "weight": 5}, {"name": "b"}], "tags": ["t"]}});
    let mut steps = vec![post(WIDGETS, &with(widget("a"), &full))];
    steps.extend(
        [
            json!({"fixed": "y"}),
            json!({"fixed": "x"}),
            json!({"items": [{"name": "b"}, {"name": "a", "weight": 4}]}),
            json!({"items": [{"name": "b", "weight": 11}, {"name": "a", "weight": 6}]}),
            json!({"items": [{"name": "c", "weight": 1}]}),
            json!({"fixed": "much too long for it"}),
            json!({"fixed": null}),
            json!({"fixed": "z"}),
            json!({"color": "blue"}),
            json!({"tags": ["t", "t"]}),
        ]
        .map(|spec| merge(&one, &json!({"spec": spec}))),
    );
    steps
}

fn rollout_values() -> Vec<Value> {
    let route = json!({"group": "appmesh.k8s.aws", "kind": "GatewayRoute", "name": "shop"});
    let mut values: Vec<Value> = [
        json!({"routes": [route, route]}), json!({"routes": []}), json!({"routes": null}),
        json!({"routes": [{"group": "nonsense", "kind": "GatewayRoute", "name": "a"}]}),
        json!({"routes": [{"kind": "GatewayRoute", "name": "a"}]}),
        json!({"routes": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "a"}]}),
        json!({"routes": [{"group": "gateway.networking.k8s.io", "kind": "GatewayRoute", "name": "a"}]}),
        json!({"target": {}}), json!({"target": null}), json!({"target": {"name": "Upper"}}), json!({"target": {"name": ""}}),
        json!({"suspend": true}), json!({"suspend": "yes"}), json!({"suspend": null}),
        json!({"progressDeadline": "20m"}), json!({"progressDeadline": "1d"}), json!({"progressDeadline": null}),
        json!({"analysis": null}), json!({"analysis": {}}), json!({"analysis": {"interval": "500ms"}}),
        json!({"analysis": {"interval": "6m"}}), json!({"analysis": {"interval": "1s1s"}}), json!({"analysis": {"series": {}}}),
        json!({"analysis": {"series": {"preset": "tidegate-gateway", "total": "t"}}}),
        json!({"analysis": {"series": {"preset": null, "total": "t", "errors": "e", "latency": "l"}}}),
        json!({"analysis": {"series": {"preset": null, "total": "t", "errors": "e"}}}),
        json!({"analysis": {"series": {"params": {"mesh": "m", "port": 3}}}}),
        json!({"analysis": {"errorRate": {"max": "101%"}}}), json!({"analysis": {"errorRate": {"max": "5%", "mode": "Observe"}}}),
        json!({"analysis": {"errorRate": {"catch": {"ratio": "2", "plus": "1%"}, "tolerate": {"ratio": "x"}}}}),
        json!({"analysis": {"latency": []}}), json!({"analysis": {"latency": [{"under": "300"}]}}),
        json!({"analysis": {"latency": [{"under": "1s"}, {"under": "2s"}, {"under": "3s"}, {"under": "4s"}, {"under": "5s"}]}}),
        json!({"analysis": {"metrics": [{"name": "a", "query": "q"}]}}),
        json!({"analysis": {"metrics": [{"name": "a", "query": "q", "max": "1"}, {"name": "a", "query": "q", "min": "1"}]}}),
        json!({"analysis": {"metrics": [{"name": "a", "query": "q", "max": "1", "failures": 0}]}}),
        json!({"analysis": {"proveFrom": 101}}), json!({"analysis": {"onInconclusive": "Wait"}}), json!({"analysis": {"nonsense": 1}}),
        json!({"onDeadline": "Nothing"}), json!({"rollbackWindow": {}}), json!({"rollbackWindow": {"within": "1h"}}),
        json!({"nonsense": 1}), json!({"strategy": {}}), json!({"strategy": null}), json!({"strategy": {"canary": {"steps": null}}}),
    ].into_iter().map(|spec| json!({"spec": spec})).collect();
    for steps in [
        json!([]),
        json!([{"weight": 20}, {"weight": 20}]),
        json!([{"weight": 20}, {"weight": 5}]),
        json!([{"weight": 101}]),
        json!([{"weight": 0}]),
        json!([{"weight": -1}]),
        json!([{"weight": 5.5}]),
        json!([{}]),
        json!([{"weight": 5, "hold": "9m", "maxHold": "8m"}]),
        json!([{"weight": 5, "hold": "5 minutes"}]),
        json!([{"weight": 5, "odd": 1}]),
        json!(["x"]),
        json!([null]),
    ] {
        values.push(json!({"spec": {"strategy": {"canary": {"steps": steps}}}}));
    }
    values.push(json!({"metadata": {"name": "a".repeat(63)}}));
    values.push(json!({"metadata": {"name": "a".repeat(64)}}));
    values.push(json!({"spec": null}));
    values.push(json!({"spec": {}}));
    values.push(json!({"spec": "text"}));
    values
}

fn gateway_route_values() -> Vec<Value> {
    let targets = |targets: Value| json!({"spec": {"httpRoute": {"action": {"weightedTargets": targets}}}});
    vec![
        targets(json!([])),
        targets(json!([{}])),
        targets(json!([{"weight": 1}])),
        targets(json!([{"virtualServiceRef": {"name": "x"}}])),
        targets(json!([{"virtualServiceRef": {"name": "x"}, "weight": -1}])),
        targets(json!([{"virtualServiceRef": {"name": "x"}, "weight": 1_000_001}])),
        targets(json!([{"virtualServiceRef": {"name": "x"}, "weight": "1"}])),
        targets(json!(null)),
        targets(json!("x")),
        targets(json!(vec![json!({"virtualServiceRef": {"name": "x"}, "weight": 1}); 11])),
        json!({"spec": {"httpRoute": null}}),
        json!({"spec": {"httpRoute": {"match": null}}}),
        json!({"spec": {"httpRoute": {"action": null}}}),
        json!({"spec": {"httpRoute": {"action": {"target": {"virtualService": {"virtualServiceRef": {"name": "x"}}}}}}}),
        json!({"spec": {"httpRoute": {"action": {"target": {}, "weightedTargets": null}}}}),
        json!({"spec": {"httpRoute": {"match": {"prefix": 3}}}}),
        json!({"spec": {"httpRoute": {"match": {"method": "NONSENSE"}}}}),
        json!({"spec": {"httpRoute": {"match": {"port": 0}}}}),
        json!({"spec": {"httpRoute": {"match": {"hostname": {"exact": "a", "suffix": "b"}}}}}),
        json!({"spec": {"httpRoute": {"match": {"headers": [{"name": "a", "match": {"exact": "b"}}]}}}}),
        json!({"spec": {"httpRoute": {"match": {"headers": [{"match": {"exact": "b"}}]}}}}),
        json!({"spec": {"httpRoute": {"match": {"headers": []}}}}),
        json!({"spec": {"httpRoute": {"retryPolicy": {"httpRetryEvents": ["server-error"], "maxRetries": 3, "perRetryTimeout": {"unit": "ms", "value": 1}}}}}),
        json!({"spec": {"httpRoute": {"retryPolicy": {"maxRetries": -1}}}}),
        json!({"spec": {"httpRoute": {"nonsense": 1}}}),
        json!({"spec": {"http2Route": {"match": {"prefix": "/"}, "action": {"weightedTargets": []}}}}),
        json!({"spec": {"grpcRoute": {"match": {"serviceName": "s"}, "action": {"target": {"virtualService": {"virtualServiceRef": {"name": "x"}}}}}}}),
        json!({"spec": {"priority": 1001}}),
        json!({"spec": {"priority": -1}}),
        json!({"spec": {"meshRef": {"name": "m"}}}),
        json!({"spec": {"virtualGatewayRef": {}}}),
        json!({"spec": {"awsName": 3}}),
        json!({"spec": null}),
        json!({"spec": {"nonsense": {}}}),
        json!({"status": {"conditions": []}}),
    ]
}

fn wrapped_route_values() -> Vec<Value> {
    let route = |change: Value| json!({"spec": {"routeSpec": change}});
    let targets =
        |targets: Value| json!({"spec": {"routeSpec": {"httpRoute": {"action": {"targets": targets}}}}});
    vec![
        json!({}),
        route(json!(null)),
        route(json!({"nonsense": 1})),
        route(json!({"httpRoute": {"nonsense": 1}})),
        route(json!({"httpRoute": null})),
        route(json!({"priority": 5000})),
        route(json!({"priority": "x"})),
        targets(json!([])),
        targets(json!([{}])),
        targets(json!([{"virtualServiceRef": {"name": "x"}, "weight": "heavy"}])),
        targets(json!([{"virtualServiceRef": {"name": "x"}, "weight": -1}])),
        targets(json!([{"virtualServiceRef": "x", "weight": 1}])),
        targets(json!([{"virtualServiceRef": {}, "weight": 1}])),
        targets(json!("x")),
        route(
            json!({"httpRoute": {"match": {"headers": [{"name": "x-version", "match": {"exact": "v2"}}]}}}),
        ),
        route(json!({"httpRoute": {"match": {"prefix": 3}}})),
        route(json!({"httpRoute": {"action": {"rewrite": {"prefix": "/app", "targetPrefix": "/"}}}})),
        route(json!({"httpRoute": {"action": {"rewrite": {"prefix": {"value": "/"}}}}})),
        route(json!({"httpRoute": {"action": {"rewrite": true}}})),
        route(
            json!({"httpRoute": {"action": {"target": {"virtualServiceRef": {"name": "x"}}, "targets": null}}}),
        ),
        route(
            json!({"httpRoute": {"timeout": {"idle": {"unit": "MILLIS", "value": 60000}, "perRequest": {"unit": "MILLIS", "value": 1}}}}),
        ),
        route(json!({"httpRoute": {"timeout": {"idle": {"unit": "NONSENSE", "value": -1}}}})),
        route(json!({"httpRoute": {"retryPolicy": {"maxRetries": "x"}}})),
        json!({"spec": {"gatewayRouteName": 3}}),
        json!({"spec": {"virtualGatewayRef": {"name": null}}}),
        route(json!({"httpRoute": true})),
        route(json!({"grpcRoute": {"match": {}, "action": {}}})),
        route(json!({"http2Route": {"action": {"targets": [{"weight": 1.5}]}}})),
    ]
}

fn virtual_router_values() -> Vec<Value> {
    let routes = |routes: Value| json!({"spec": {"routes": routes}});
    let targets = |targets: Value| json!({"spec": {"routes": [{"name": "r", "httpRoute": {"match": {"prefix": "/"}, "action": {"weightedTargets": targets}}}]}});
    vec![
        routes(json!([])),
        routes(json!([{}])),
        routes(json!([{"name": "r"}, {"name": "r"}])),
        routes(json!(null)),
        targets(json!([])),
        targets(json!([{"virtualNodeRef": {"name": "a"}}])),
        targets(json!([{"virtualNodeRef": {"name": "a"}, "weight": 101}])),
        targets(json!([{"virtualNodeRef": {"name": "a"}, "weight": -1}])),
        targets(json!([{"virtualNodeRef": {}, "weight": 1}])),
        targets(json!([{"virtualNodeRef": {"name": "a"}, "weight": 1, "port": 0}])),
        targets(json!([{"virtualNodeARN": "arn", "weight": 1}])),
        targets(json!(vec![json!({"virtualNodeRef": {"name": "a"}, "weight": 1}); 11])),
        json!({"spec": {"listeners": []}}),
        json!({"spec": {"listeners": [{"portMapping": {"port": 0, "protocol": "x"}}]}}),
        json!({"spec": null}),
        json!({"spec": {"nonsense": 1}}),
        json!({"spec": {"awsName": "x", "meshRef": {"name": "m", "uid": "u"}}}),
    ]
}

fn http_route_values() -> Vec<Value> {
    let rules = |rules: Value| json!({"spec": {"rules": rules}});
    let filter = |filter: Value| rules(json!([{"filters": [filter]}]));
    let matching = |matching: Value| rules(json!([{"matches": [matching]}]));
    let backend = |backend: Value| rules(json!([{"backendRefs": [backend]}]));
    vec![
        json!({}),
        rules(json!([])),
        rules(json!([{}])),
        rules(json!(null)),
        rules(json!(vec![json!({}); 17])),
        json!({"spec": null}),
        json!({"spec": {}}),
        backend(json!({"name": "a"})),
        backend(json!({"name": "a", "port": 0})),
        backend(json!({"name": "a", "port": 65536})),
        backend(json!({"name": "a", "kind": "Other", "group": "x.y"})),
        backend(json!({"name": "a", "port": 80, "weight": -1})),
        backend(json!({"name": "a", "port": 80, "weight": 1_000_001})),
        backend(json!({"name": "", "port": 80})),
        backend(json!({"port": 80})),
        matching(json!({})),
        matching(json!({"path": {"value": "no slash"}})),
        matching(json!({"path": {"type": "PathPrefix", "value": "/a//b"}})),
        matching(json!({"path": {"type": "Exact", "value": "/a/../b"}})),
        matching(json!({"path": {"type": "RegularExpression", "value": "no slash"}})),
        matching(json!({"path": {"type": "Nonsense", "value": "/"}})),
        matching(json!({"path": {"type": "PathPrefix", "value": "/a#b"}})),
        matching(json!({"method": "get"})),
        matching(json!({"method": "GET"})),
        matching(json!({"headers": [{"name": "a", "value": "b"}, {"name": "a", "value": "c"}]})),
        matching(json!({"headers": [{"name": "bad name", "value": "b"}]})),
        matching(json!({"queryParams": [{"name": "q", "value": ""}]})),
        filter(json!({"type": "RequestRedirect"})),
        filter(json!({"type": "RequestRedirect", "requestRedirect": {"statusCode": 307}})),
        filter(json!({"type": "RequestRedirect", "requestRedirect": {"statusCode": 200}})),
        filter(
            json!({"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "a", "value": "b"}]}}),
        ),
        filter(json!({"type": "RequestHeaderModifier", "urlRewrite": {"hostname": "x"}})),
        filter(
            json!({"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replaceFullPath": "/x"}}}),
        ),
        filter(json!({"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "a", "port": 80}}})),
        filter(json!({"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "a"}}})),
        filter(
            json!({"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "a", "port": 80}, "fraction": {"numerator": 5, "denominator": 2}}}),
        ),
        filter(
            json!({"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "a", "port": 80}, "fraction": {"numerator": 5}, "percent": 3}}),
        ),
        filter(json!({"type": "ExtensionRef", "extensionRef": {"group": "g", "kind": "K", "name": "n"}})),
        rules(
            json!([{"filters": [{"type": "RequestRedirect", "requestRedirect": {}}, {"type": "URLRewrite", "urlRewrite": {}}]}]),
        ),
        rules(
            json!([{"filters": [{"type": "RequestRedirect", "requestRedirect": {}}], "backendRefs": [{"name": "a", "port": 80}]}]),
        ),
        rules(json!([{"timeouts": {"request": "1s", "backendRequest": "2s"}}])),
        rules(json!([{"timeouts": {"request": "1 s"}}])),
        rules(json!([{"timeouts": {"request": "2s", "backendRequest": "1s"}}])),
        rules(json!([{"timeouts": {"request": "0s", "backendRequest": "1s"}}])),
        json!({"spec": {"hostnames": ["*.example.com", "a.b"]}}),
        json!({"spec": {"hostnames": ["Upper.com"]}}),
        json!({"spec": {"hostnames": ["1.2.3.4"]}}),
        json!({"spec": {"hostnames": [""]}}),
        json!({"spec": {"parentRefs": [{"name": "gw"}, {"name": "gw"}]}}),
        json!({"spec": {"parentRefs": [{"name": "gw", "sectionName": "a"}, {"name": "gw", "sectionName": "b"}]}}),
        json!({"spec": {"parentRefs": [{"name": "gw", "sectionName": "a"}, {"name": "gw", "sectionName": "a"}]}}),
        json!({"spec": {"parentRefs": [{"name": "gw", "sectionName": "a"}, {"name": "gw"}]}}),
        json!({"spec": {"parentRefs": [{"name": "gw", "port": 0}]}}),
        json!({"spec": {"parentRefs": [{"name": "gw", "namespace": "Bad"}]}}),
        json!({"spec": {"parentRefs": [{}]}}),
        json!({"status": {"parents": []}}),
        json!({"status": {}}),
        rules(json!([{"name": "Bad Name"}])),
        rules(json!([{"name": "a"}, {"name": "a"}])),
    ]
}

fn grpc_route_values() -> Vec<Value> {
    let rules = |rules: Value| json!({"spec": {"rules": rules}});
    let method = |method: Value| rules(json!([{"matches": [{"method": method}]}]));
    vec![
        json!({}),
        rules(json!([])),
        rules(json!([{}])),
        json!({"spec": {}}),
        method(json!({})),
        method(json!({"service": "a"})),
        method(json!({"method": "M"})),
        method(json!({"service": "bad-service"})),
        method(json!({"type": "RegularExpression", "service": ".*"})),
        method(json!({"service": "a", "method": "1x"})),
        method(json!({"type": "Nonsense", "service": "a"})),
        rules(json!([{"matches": [{"headers": [{"name": "a", "value": "b"}]}]}])),
        rules(json!([{"matches": [{"headers": [{"name": "a"}]}]}])),
        rules(json!([{"backendRefs": [{"name": "a"}]}])),
        rules(json!([{"filters": [{"type": "RequestHeaderModifier"}]}])),
        rules(json!([{"filters": [{"type": "Nonsense"}]}])),
        rules(json!([{"backendRefs": [{"name": "a", "port": 80, "weight": -1}]}])),
        rules(json!([{"name": "a"}, {"name": "a"}])),
        json!({"spec": {"hostnames": ["a..b"]}}),
    ]
}
