use serde_json::{Value, json};

use super::*;
use crate::api::{HeaderMatch, RequestMatch, Stamp};

fn content(lists: Vec<(Option<&str>, Value)>) -> PreviewContent {
    let stamp = Stamp { uid: "u".into(), epoch: 3, run: 2, step: 1, aborted: false, added: vec![] };
    PreviewContent {
        lists: lists.into_iter().map(|(rule, entry)| (rule.map(str::to_owned), entry.into())).collect(),
        name: "v2".into(),
        port: None,
        matching: RequestMatch {
            headers: vec![HeaderMatch { name: "X-Preview".into(), exact: "true".into() }],
        },
        owner: ("color".into(), "u".into()),
        stamp,
    }
}

fn gateway_route(spec: &Value) -> Value {
    json!({
        "metadata": {
            "name": "r", "namespace": "n", "uid": "r-uid", "resourceVersion": "7", "generation": 3,
            "labels": {
                "gateway": "a", "app.kubernetes.io/instance": "shop",
                "kustomize.toolkit.fluxcd.io/name": "shop", "argocd.argoproj.io/instance": "shop",
            },
            "annotations": {"argocd.argoproj.io/tracking-id": "shop:r", "state.tidegate.dev/other": "{}"},
        },
        "spec": spec,
    })
}

fn entry(name: &str, weight: i64) -> Value {
    json!({"virtualServiceRef": {"name": name}, "port": 8080, "weight": weight})
}

#[test]
fn it_is_known_for_ours_and_for_nobody_else_s() {
    let route = gateway_route(&json!({"priority": 9, "httpRoute": {
        "match": {"prefix": "/"}, "action": {"weightedTargets": [entry("v1", 100), entry("v2", 0)]},
    }}));
    let content = content(vec![(None, entry("v1", 100))]);
    let made = preview(RouteKind::GatewayRoute, &route, "r-preview-color", &content).unwrap();
    let labels = json!({"gateway": "a", "app.kubernetes.io/managed-by": "tidegate"});
    assert_eq!(made["metadata"]["labels"], labels);
    let annotations = json!({"state.tidegate.dev/color": content.stamp.spelled()});
    assert_eq!(made["metadata"]["annotations"], annotations);
    assert_eq!(made["metadata"]["name"], "r-preview-color");
    assert!(made["metadata"].get("uid").is_none() && made["metadata"].get("resourceVersion").is_none());
    let owner = &made["metadata"]["ownerReferences"][0];
    assert_eq!((&owner["kind"], &owner["uid"]), (&json!("Rollout"), &json!("u")));
    assert_eq!(made["apiVersion"], "appmesh.k8s.aws/v1beta2");
}

#[test]
fn of_a_gateway_route_it_goes_before_and_asks_for_more() {
    let weighted = json!({
        "awsName": "r", "priority": 200, "virtualGatewayRef": {"name": "g"},
        "httpRoute": {
            "match": {"prefix": "/app", "headers": [{"name": "x-team", "match": {"exact": "a"}}]},
            "action": {
                "weightedTargets": [entry("v1", 90), entry("v2", 10)], "rewrite": {"prefix": {"value": "/"}},
            },
            "timeout": {"perRequest": {"unit": "s", "value": 15}},
        },
    });
    let wrapped = json!({
        "gatewayRouteName": "r",
        "routeSpec": {"priority": 1000, "grpcRoute": {
            "match": {"serviceName": "s"}, "action": {"targets": [entry("v1", 100)]},
        }},
    });
    let lone = json!({"priority": 1000, "http2Route": {
        "match": {"prefix": "/"},
        "action": {"target": {"port": 8080, "virtualService": {"virtualServiceRef": {"name": "v1"}}}},
    }});
    let test = json!({"name": "X-Preview", "match": {"exact": "true"}});
    let target = lone["http2Route"]["action"]["target"].clone();
    let cases = [
        (
            &weighted,
            entry("v1", 90),
            json!({
                "priority": 199, "virtualGatewayRef": {"name": "g"},
                "httpRoute": {
                    "match": {"prefix": "/app", "headers": [{"name": "x-team", "match": {"exact": "a"}}, test]},
                    "action": {
                        "weightedTargets": [entry("v2", 100)], "rewrite": {"prefix": {"value": "/"}},
                    },
                    "timeout": {"perRequest": {"unit": "s", "value": 15}},
                },
            }),
        ),
        (
            &wrapped,
            entry("v1", 100),
            json!({
                "gatewayRouteName": "p",
                "routeSpec": {
                    "priority": 999,
                    "grpcRoute": {
                        "match": {"serviceName": "s", "metadata": [test]},
                        "action": {"targets": [entry("v2", 100)]},
                    },
                },
            }),
        ),
        (
            &lone,
            target,
            json!({
                "priority": 999,
                "http2Route": {
                    "match": {"prefix": "/", "headers": [test]},
                    "action": {"target": {"port": 8080, "virtualService": {"virtualServiceRef": {"name": "v2"}}}},
                },
            }),
        ),
    ];
    for (spec, stable, want) in cases {
        let made =
            preview(RouteKind::GatewayRoute, &gateway_route(spec), "p", &content(vec![(None, stable)]));
        assert_eq!(made.unwrap()["spec"], want);
    }
}

#[test]
fn of_rules_only_those_of_the_run_are_copied_and_each_match_asks_for_more() {
    let backend = |name: &str, weight: i64| json!({"name": name, "port": 80, "weight": weight});
    let filters = json!([{"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "a", "value": "b"}]}}]);
    let route = json!({
        "metadata": {"name": "r", "namespace": "n", "uid": "r-uid", "resourceVersion": "7", "generation": 3},
        "spec": {
            "parentRefs": [{"name": "g"}], "hostnames": ["a.example"],
            "rules": [
                {"name": "other", "backendRefs": [backend("x", 1)]},
                {
                    "name": "a", "filters": filters, "backendRefs": [backend("v1", 100), backend("v2", 0)],
                    "matches": [
                        {"path": {"type": "PathPrefix", "value": "/a"}},
                        {"method": "GET", "headers": [{"type": "Exact", "name": "x-team", "value": "a"}]},
                    ],
                },
                {"name": "b", "backendRefs": [backend("v1", 100)]},
            ],
        },
    });
    let test = json!({"type": "Exact", "name": "X-Preview", "value": "true"});
    let rules = json!([
        {
            "name": "a", "filters": filters, "backendRefs": [backend("v2", 100)],
            "matches": [
                {"path": {"type": "PathPrefix", "value": "/a"}, "headers": [test]},
                {
                    "method": "GET",
                    "headers": [{"type": "Exact", "name": "x-team", "value": "a"}, test],
                },
            ],
        },
        {"name": "b", "backendRefs": [backend("v2", 100)], "matches": [{"headers": [test]}]},
    ]);
    for kind in [RouteKind::HttpRoute, RouteKind::GrpcRoute] {
        let content = content(vec![(Some("a"), backend("v1", 100)), (Some("b"), backend("v1", 100))]);
        let made = preview(kind, &route, "p", &content).unwrap();
        let want = json!({"parentRefs": [{"name": "g"}], "hostnames": ["a.example"], "rules": rules});
        assert_eq!(made["spec"], want, "{kind:?}");
    }
    let gone = preview(RouteKind::HttpRoute, &route, "p", &content(vec![(Some("z"), backend("v1", 100))]));
    assert_eq!(gone.unwrap_err().reason, "RuleNotFound");
}

#[test]
fn another_port_is_the_canary_s() {
    let route = gateway_route(&json!({"priority": 9, "httpRoute": {
        "match": {"prefix": "/"}, "action": {"weightedTargets": [entry("v1", 100)]},
    }}));
    let content = PreviewContent { port: Some(9090), ..content(vec![(None, entry("v1", 100))]) };
    let made = preview(RouteKind::GatewayRoute, &route, "p", &content).unwrap();
    assert_eq!(made["spec"]["httpRoute"]["action"]["weightedTargets"][0]["port"], 9090);
}

#[test]
fn where_nothing_can_go_before_it_there_is_none() {
    let mut route = gateway_route(&json!({"priority": 0, "httpRoute": {
        "match": {"prefix": "/"}, "action": {"weightedTargets": [entry("v1", 100)]},
    }}));
    let content = content(vec![(None, entry("v1", 100))]);
    let refused = preview(RouteKind::GatewayRoute, &route, "p", &content).unwrap_err();
    assert!(refused.message.contains("priority is 0"), "{refused}");
    route["spec"]["priority"] = json!(1);
    assert!(preview(RouteKind::GatewayRoute, &route, "p", &content).is_ok());
    route["spec"].as_object_mut().unwrap().remove("priority");
    let refused = preview(RouteKind::GatewayRoute, &route, "p", &content).unwrap_err();
    assert!(refused.message.contains("it has no priority"), "{refused}");
    let router = json!({"spec": {"routes": [{"name": "a", "httpRoute": {"action": {"weightedTargets": [
        {"virtualNodeRef": {"name": "v1"}, "weight": 1},
    ]}}}]}});
    let refused = preview(RouteKind::VirtualRouter, &router, "p", &content).unwrap_err();
    assert!(refused.message.contains("one VirtualRouter"), "{refused}");
}
