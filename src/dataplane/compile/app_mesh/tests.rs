//! Gateway routes whose targets lead through virtual routers.
#![expect(clippy::needless_pass_by_value, reason = "the cases are JSON literals")]

use http::{HeaderMap, Method};
use serde_json::{Value, json};

use crate::dataplane::*;

fn object(name: &str, spec: Value) -> Value {
    json!({"metadata": {"name": name, "namespace": "default"}, "spec": spec})
}

/// A gateway route in AWS's shape, which takes `/shop`.
fn gateway_route(action: Value) -> (ObjectKind, Value) {
    let spec = json!({"httpRoute": {"match": {"prefix": "/shop"}, "action": action}});
    (ObjectKind::GatewayRoute, object("entry", spec))
}

fn to(service: &str) -> (ObjectKind, Value) {
    gateway_route(json!({"target": {"virtualService": {"virtualServiceRef": {"name": service}}}}))
}

fn split(targets: &[(&str, u32)]) -> (ObjectKind, Value) {
    let entry = |(name, weight): &(&str, u32)| json!({"virtualServiceRef": {"name": name}, "weight": weight});
    gateway_route(json!({"weightedTargets": targets.iter().map(entry).collect::<Vec<_>>()}))
}

fn service(name: &str, provider: Value) -> (ObjectKind, Value) {
    (ObjectKind::VirtualService, object(name, json!({"provider": provider})))
}

fn routed(name: &str) -> (ObjectKind, Value) {
    service(name, json!({"virtualRouter": {"virtualRouterRef": {"name": name}}}))
}

fn router(name: &str, routes: Value) -> (ObjectKind, Value) {
    (ObjectKind::VirtualRouter, object(name, json!({"routes": routes})))
}

fn targets(nodes: &[(&str, u32)]) -> Value {
    let entry = |(name, weight): &(&str, u32)| json!({"virtualNodeRef": {"name": name}, "weight": weight});
    json!({"weightedTargets": nodes.iter().map(entry).collect::<Vec<_>>()})
}

fn route(name: &str, matcher: Value, nodes: &[(&str, u32)]) -> Value {
    json!({"name": name, "httpRoute": {"match": matcher, "action": targets(nodes)}})
}

fn all(nodes: &[(&str, u32)]) -> Value {
    route("all", json!({"prefix": "/"}), nodes)
}

fn compile_all(objects: &[(ObjectKind, Value)]) -> Compiled {
    let gateway = GatewayRef { name: "gw".into(), namespace: "default".into(), takes_unclaimed: true };
    compile(&gateway, objects.iter().map(|(kind, object)| (*kind, object)))
}

fn destinations(route: &Route) -> Vec<(&str, u32)> {
    route.destinations.iter().map(|entry| (entry.target.as_str(), entry.weight)).collect()
}

/// Where the table sends a path: its destinations, none where no route takes it.
fn sent(table: &Table, path: &str) -> Vec<(String, u32)> {
    let (headers, method) = (HeaderMap::new(), Method::GET);
    let request = RequestParts { method: &method, host: "h", path, query: "", headers: &headers, port: 8080 };
    let route = table.route(&request);
    route.map(destinations).into_iter().flatten().map(|(name, weight)| (name.to_owned(), weight)).collect()
}

#[test]
fn what_cannot_be_reached_is_left_out_with_its_reason() {
    let tcp = json!({"name": "raw", "tcpRoute": {"action": targets(&[("a", 1)])}});
    let arn = json!({"name": "arn", "httpRoute": {"match": {"prefix": "/"}, "action": {"weightedTargets": [
        {"virtualNodeARN": "arn:x", "weight": 1}]}}});
    let many: Vec<Value> =
        (0..40).map(|n| route("r", json!({"prefix": format!("/{n}")}), &[("a", 1)])).collect();
    let grpc = json!({"name": "g", "grpcRoute": {"match": {}, "action": targets(&[("a", 1)])}});
    let huge = |n: u32| all(&[("a", u32::MAX - n)]);
    let cases = [
        (vec![to("s"), routed("s")], "router default/s, which does not exist"),
        (
            vec![to("s"), routed("s"), router("s", json!([]))],
            "router default/s has no route that can be served",
        ),
        (vec![to("s"), routed("s"), router("s", json!([tcp]))], "route raw: a tcpRoute takes connections"),
        (vec![to("s"), routed("s"), router("s", json!([arn]))], "route arn: a virtualNodeARN names nothing"),
        (vec![to("s"), routed("s"), router("s", json!([{"name": "x"}]))], "route x: the route needs one of"),
        (
            vec![to("s"), routed("s"), router("s", json!([route("m", json!({"prefix": "x"}), &[("a", 1)])]))],
            "route m: match.prefix must start with /",
        ),
        (
            vec![to("s"), routed("s"), router("s", json!([route("e", json!({"prefix": "/"}), &[])]))],
            "route e: the route lists 0 weighted targets",
        ),
        (
            vec![to("s"), service("s", json!({"virtualRouter": {"virtualRouterARN": "arn:x"}}))],
            "a virtualRouterARN names nothing",
        ),
        (vec![to("s"), service("s", json!({"virtualNode": {}}))], "a name in the provider"),
        (
            vec![
                to("s"),
                service("s", json!({"virtualNode": {"virtualNodeRef": {"name": "a"}}, "virtualRouter": {}})),
            ],
            "not by both",
        ),
        (
            vec![
                split(&[("s", 1), ("t", 1)]),
                routed("s"),
                routed("t"),
                router("s", json!(many)),
                router("t", json!(many)),
            ],
            "more than 1000 combinations",
        ),
        (
            vec![split(&[("s", 1), ("plain", 1)]), routed("s"), router("s", json!([grpc]))],
            "must speak one protocol",
        ),
        (
            vec![
                split(&[("s", 9), ("t", 1)]),
                routed("s"),
                routed("t"),
                router("s", json!([huge(0)])),
                router("t", json!([huge(1)])),
            ],
            "too great to be multiplied",
        ),
    ];
    for (objects, want) in cases {
        let compiled = compile_all(&objects);
        assert_eq!(compiled.table.routes, [], "{want}");
        let told: Vec<String> = compiled.rejected.iter().map(Rejected::sentence).collect();
        assert!(told.iter().any(|sentence| sentence.contains(want)), "{told:?} should say {want:?}");
        // The gateway route says it too: nothing of it is in effect.
        assert!(compiled.rejected.iter().any(|rejected| rejected.object.kind == ObjectKind::GatewayRoute));
    }
}

#[test]
fn a_bad_route_of_a_router_is_left_out_alone() {
    let tcp = json!({"name": "raw", "tcpRoute": {"action": targets(&[("a", 1)])}});
    let objects = [to("s"), routed("s"), router("s", json!([tcp, all(&[("v1", 90), ("v2", 10)])]))];
    let compiled = compile_all(&objects);
    let [route] = compiled.table.routes.as_slice() else { panic!("{:?}", compiled.table) };
    // A lone router's weights are as they are written.
    assert_eq!(destinations(route), [("v1", 90), ("v2", 10)]);
    assert_eq!((route.name.as_str(), route.destinations[0].service()), ("entry", "v1.default".to_owned()));
    assert_eq!(route.destinations[0].host(), "s.default");
    let told: Vec<(ObjectKind, String)> =
        compiled.rejected.iter().map(|rejected| (rejected.object.kind, rejected.sentence())).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].0, ObjectKind::VirtualRouter);
    let served: Vec<ObjectKind> = compiled.served.iter().map(|object| object.kind).collect();
    assert_eq!(served, [ObjectKind::GatewayRoute, ObjectKind::VirtualRouter]);
}

#[test]
fn a_service_leads_to_its_node_and_an_unknown_one_to_itself() {
    let node = |name: &str| json!({"virtualNode": {"virtualNodeRef": {"name": name}}});
    let mut named = service("s", node("other"));
    named.1["spec"]["awsName"] = json!("shop.example");
    let cases = [
        (vec![to("s")], "s", "s.default"),
        (vec![to("s"), service("s", Value::Null)], "s", "s.default"),
        (vec![to("s"), service("s", node("n"))], "n", "s.default"),
        (vec![to("s.default"), service("s", node("n"))], "n", "s.default"),
        (vec![to("s.default"), service("s.default", node("n"))], "n", "s.default"),
        (vec![to("s.elsewhere"), service("s", node("n"))], "s.elsewhere", "s.elsewhere"),
        (vec![to("shop.example"), named], "other", "shop.example"),
    ];
    for (objects, target, host) in cases {
        let compiled = compile_all(&objects);
        let entry = &compiled.table.routes[0].destinations[0];
        assert_eq!((entry.target.as_str(), entry.host().as_str()), (target, host));
    }
    // Nobody asks for a router that no route leads to.
    let compiled = compile_all(&[to("s"), router("s", json!([{"name": "bad"}]))]);
    assert_eq!((compiled.rejected.len(), compiled.served.len()), (0, 1));
}

#[test]
fn a_routers_matches_see_the_path_that_the_gateway_has_rewritten() {
    let routes = json!([
        route("cart", json!({"prefix": "/cart"}), &[("cart", 1)]),
        route("exact", json!({"path": {"exact": "/cart/x"}}), &[("exact", 1)]),
        {"name": "first", "priority": 5,
         "httpRoute": {"match": {"prefix": "/cart/x/y"}, "action": targets(&[("first", 1)])}},
    ]);
    let compiled = compile_all(&[to("s"), routed("s"), router("s", routes)]);
    assert_eq!(compiled.rejected.len(), 0);
    for (path, want) in [
        ("/shop/cart", Some("cart")),
        ("/shop/cart/x", Some("exact")),
        ("/shop/cart/x/y", Some("first")),
        ("/shop/other", None),
        ("/cart", None),
    ] {
        let sent = sent(&compiled.table, path);
        assert_eq!(sent.first().map(|(name, _)| name.as_str()), want, "{path}");
    }
}

#[test]
fn weights_multiply_and_each_router_chooses_by_itself() {
    let a = router(
        "a",
        json!([route("x", json!({"prefix": "/x"}), &[("ax", 1)]), all(&[("a1", 1), ("a2", 2)]),]),
    );
    let b = router("b", json!([all(&[("b1", 50), ("b2", 50)])]));
    let objects = [split(&[("a", 90), ("b", 10), ("plain", 4)]), routed("a"), routed("b"), a, b];
    let compiled = compile_all(&objects);
    assert_eq!(compiled.rejected.len(), 0);
    let owned = |list: &[(&str, u32)]| list.iter().map(|(n, w)| ((*n).to_owned(), *w)).collect::<Vec<_>>();
    // Shares of 90/104, 10/104 and 4/104, each split by its router: over 1 and 100, and over 3 and 100.
    assert_eq!(
        sent(&compiled.table, "/shop/x"),
        owned(&[("ax", 9000), ("b1", 500), ("b2", 500), ("plain", 400)])
    );
    assert_eq!(
        sent(&compiled.table, "/shop"),
        owned(&[("a1", 9000), ("a2", 18000), ("b1", 1500), ("b2", 1500), ("plain", 1200)])
    );
    let zero = [to("a"), routed("a"), router("a", json!([all(&[("a1", 0), ("a2", 0)])]))];
    assert_eq!(sent(&compile_all(&zero).table, "/shop"), owned(&[("a1", 0), ("a2", 0)]));
}

#[test]
fn limits_and_retries_are_the_routers_unless_the_gateway_has_its_own() {
    let limits = |seconds: u64| json!({"perRequest": {"unit": "s", "value": seconds}});
    let mut limited = all(&[("v1", 1)]);
    limited["httpRoute"]["timeout"] = limits(3);
    limited["httpRoute"]["retryPolicy"] = json!({"httpRetryEvents": ["server-error"], "maxRetries": 2,
        "perRetryTimeout": {"unit": "s", "value": 1}});
    let router = router("s", json!([limited]));
    let mut own = to("s");
    own.1["spec"]["httpRoute"]["timeout"] = limits(7);
    for (entry, seconds) in [(to("s"), 3), (own, 7)] {
        let compiled = compile_all(&[entry, routed("s"), router.clone()]);
        let route = &compiled.table.routes[0];
        assert_eq!(route.timeout.per_request, Some(std::time::Duration::from_secs(seconds)));
        assert_eq!(route.retry.as_ref().map(|retry| retry.max), Some(2));
    }
}

#[test]
fn a_port_chooses_among_a_routers_listeners() {
    let at = |port: u16, node: &str| route(node, json!({"prefix": "/", "port": port}), &[(node, 1)]);
    let routes = json!([at(8080, "web"), at(9090, "admin")]);
    let (kind, mut entry) = to("s");
    entry["spec"]["httpRoute"]["action"]["target"]["port"] = json!(9090);
    let compiled = compile_all(&[(kind, entry), routed("s"), router("s", routes)]);
    assert_eq!(sent(&compiled.table, "/shop"), [("admin".to_owned(), 1)]);
}

#[test]
fn copies_go_where_the_mirrors_own_requests_would() {
    let node = |name: &str| {
        service(name, json!({"virtualNode": {"virtualNodeRef": {"name": format!("{name}-node")}}}))
    };
    let mirrored = |targets: &[(&str, u32)], to: &str| {
        let (kind, mut route) = split(targets);
        route["spec"]["httpRoute"]["requestMirrorPolicies"] =
            json!([{"virtualServiceRef": {"name": to}, "percent": 40}]);
        let router = router("r", json!([all(&[("r1", 3), ("r2", 1)])]));
        let objects = [(kind, route), node("v1"), node("v2"), routed("r"), router, routed("gone")];
        let compiled = compile_all(&objects);
        let Some(route) = compiled.table.routes.first() else { panic!("{:?}", compiled.rejected) };
        let copies = route.mirrors.iter();
        let copies: Vec<_> =
            copies.map(|mirror| (mirror.to.target.clone(), mirror.to.host(), mirror.millionths)).collect();
        (copies, compiled.rejected.first().map(Rejected::sentence))
    };
    let to = |name: &str, host: &str, millionths: u32| (name.to_owned(), host.to_owned(), millionths);
    assert_eq!(mirrored(&[("v1", 1), ("v2", 0)], "v2"), (vec![to("v2-node", "v2.default", 400_000)], None));
    assert_eq!(
        mirrored(&[("v1", 1)], "v2"),
        (vec![to("v2-node", "v2.default", 400_000)], None),
        "not listed"
    );
    let by_weights = vec![to("r1", "r.default", 300_000), to("r2", "r.default", 100_000)];
    assert_eq!(mirrored(&[("v1", 1), ("r", 0)], "r"), (by_weights, None));
    for (to, why) in
        [("r", "mirror r: r.default is provided by a virtual router"), ("gone", "which does not exist")]
    {
        let (copies, told) = mirrored(&[("v1", 1)], to);
        assert!(copies.is_empty() && told.as_ref().is_some_and(|told| told.contains(why)), "{to}: {told:?}");
    }
}
