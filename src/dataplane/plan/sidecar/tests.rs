//! A mesh's objects in, the plan of a node's own Envoys out.
#![expect(clippy::needless_pass_by_value, reason = "the cases are JSON literals")]

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};

use crate::dataplane::*;

fn object(name: &str, spec: Value) -> Value {
    json!({"metadata": {"namespace": "shop", "name": name}, "spec": spec})
}

/// A node that listens for HTTP and calls `color`.
fn front(more: Value) -> Value {
    let mut spec = json!({
        "listeners": [{"portMapping": {"port": 8080, "protocol": "http"}}],
        "backends": [backend("color")],
    });
    for (field, value) in more.as_object().unwrap() {
        spec[field] = value.clone();
    }
    object("front", spec)
}

fn backend(name: &str) -> Value {
    json!({"virtualService": {"virtualServiceRef": {"name": name}}})
}

fn service(name: &str, provider: Value) -> (ObjectKind, Value) {
    (ObjectKind::VirtualService, object(name, json!({ "provider": provider })))
}

fn node(name: &str, protocol: &str) -> (ObjectKind, Value) {
    let listeners = json!([{"portMapping": {"port": 80, "protocol": protocol}}]);
    (ObjectKind::VirtualNode, object(name, json!({ "listeners": listeners })))
}

/// `color` behind a router with two versions, and `paint` that a node provides.
fn mesh() -> Vec<(ObjectKind, Value)> {
    let target = |name: &str, weight: u32| json!({"virtualNodeRef": {"name": name}, "weight": weight});
    let split = json!({"weightedTargets": [target("v1", 90), target("v2", 10)]});
    let routes = json!([
        {"name": "admin", "priority": 1, "httpRoute": {"match": {"prefix": "/admin"},
            "action": {"weightedTargets": [target("v1", 1)]}}},
        {"name": "all", "httpRoute": {"match": {"prefix": "/"}, "action": split,
            "timeout": {"perRequest": {"unit": "s", "value": 60}}}},
    ]);
    let listeners = json!([{"portMapping": {"port": 80, "protocol": "http"}}]);
    let spec = json!({"listeners": listeners, "routes": routes});
    vec![
        service("color", json!({"virtualRouter": {"virtualRouterRef": {"name": "color"}}})),
        (ObjectKind::VirtualRouter, object("color", spec)),
        service("paint", json!({"virtualNode": {"virtualNodeRef": {"name": "paint"}}})),
        node("v1", "http"),
        node("v2", "http"),
        node("paint", "grpc"),
        node("front", "http"),
    ]
}

fn planned(node: Value, objects: &[(ObjectKind, Value)]) -> Planned {
    sidecar(&node, objects.iter().map(|(kind, object)| (*kind, object))).unwrap()
}

fn told(of: &[Rejected]) -> Vec<(String, String)> {
    of.iter().map(|told| (told.object.path(), told.sentence())).collect()
}

fn inbound(planned: &Planned) -> &[Inbound] {
    let Entrance::Sidecar(inbound) = &planned.plan.entrance else { panic!("it is a sidecar's") };
    inbound
}

#[test]
fn a_backend_is_taken_by_its_hosts_and_goes_by_its_router() {
    let mut objects = mesh();
    objects[0].1["spec"]["awsName"] = json!("color.shop.svc.cluster.local");
    let planned = planned(front(json!({"backends": [backend("color"), backend("paint")]})), &objects);
    assert!(planned.rejected.is_empty() && planned.remarks.is_empty(), "{planned:?}");
    let routes: Vec<_> = planned
        .plan
        .routes
        .iter()
        .map(|planned| {
            let Some(HostMatch::Exact(host)) = &planned.route.matcher.hostname else { panic!("{planned:?}") };
            let weights: Vec<u32> = planned.route.destinations.iter().map(|to| to.weight).collect();
            (host.as_str(), planned.route.onward.len(), weights, planned.clusters.clone())
        })
        .collect();
    let cluster = |name: &str, protocol: &str| format!("cds_egress_mesh_{name}_shop_{protocol}_80");
    let [v1, v2] = ["v1", "v2"].map(|name| cluster(name, "http"));
    let both = vec![v1.clone(), v2.clone()];
    let mut expected = Vec::new();
    // Where routes are for other hosts, which of them comes first makes no difference.
    for host in ["color.shop.svc.cluster.local", "color.shop"] {
        expected.push((host, 1, vec![1], vec![v1.clone()]));
        expected.push((host, 1, vec![90, 10], both.clone()));
    }
    expected.push(("paint.shop", 0, vec![1], vec![cluster("paint", "grpc")]));
    assert_eq!(routes, expected);
    // As the router says, not as a gateway would.
    let split = &planned.plan.routes[1].route;
    assert_eq!(split.timeout.per_request, Some(Duration::from_mins(1)));
    assert_eq!(split.rewrite, Rewrite { path: PathRewrite::Keep, host: HostRewrite::Keep });
    assert!(planned.served.iter().any(|served| served.kind == ObjectKind::VirtualRouter));
    // Nobody else's nodes, and the pod itself.
    let local = "cds_ingress_mesh_front_shop_http_8080".to_owned();
    let clusters: Vec<&String> = planned.plan.clusters.keys().collect();
    assert_eq!(clusters, [&cluster("paint", "grpc"), &v1, &v2, &local]);
    assert_eq!(planned.plan.clusters[&local].endpoints, Endpoints::Local { port: 8080 });
}

#[test]
fn listeners_are_what_comes_to_the_pod() {
    let port = |port: u16, protocol: &str, more: Value| {
        let mut listener = json!({"portMapping": {"port": port, "protocol": protocol}});
        for (field, value) in more.as_object().unwrap() {
            listener[field] = value.clone();
        }
        listener
    };
    let second = json!({"unit": "s", "value": 1});
    let files = json!({"file": {"certificateChain": "/c.pem", "privateKey": "/k.pem"}});
    let listeners = json!([
        port(
            8080,
            "http",
            json!({"timeout": {"http": {"perRequest": second}},
            "connectionPool": {"http": {"maxConnections": 7}}})
        ),
        port(9000, "grpc", json!({"tls": {"mode": "STRICT", "certificate": files}})),
        port(5432, "tcp", json!({"timeout": {"tcp": {"idle": second}}})),
        port(8080, "http2", json!({})),
        port(
            8443,
            "http",
            json!({"tls": {"mode": "STRICT", "certificate": {"acm": {"certificateARN": "arn:x"}}}})
        ),
    ]);
    let planned = planned(front(json!({ "listeners": listeners })), &mesh());
    let refused = told(&planned.rejected);
    assert_eq!(refused.len(), 2, "{refused:?}");
    assert!(refused.iter().all(|(object, _)| object == "shop/front"));
    assert_eq!(refused[0].1, "listener 8080: another listener has the same port");
    assert!(refused[1].1.starts_with("listener 8443: acm names"), "{refused:?}");

    let [http, grpc, tcp] = inbound(&planned) else { panic!("{planned:?}") };
    assert_eq!((http.port, http.protocol), (8080, Some(Protocol::Http)));
    assert_eq!(http.timeout.per_request, Some(Duration::from_secs(1)));
    assert_eq!(planned.plan.clusters[&http.cluster].limits.connections, Some(7));
    assert_eq!((grpc.port, grpc.protocol, grpc.timeout), (9000, Some(Protocol::Grpc), Timeout::default()));
    assert!(grpc.tls.as_ref().is_some_and(|tls| tls.required));
    assert_eq!((tcp.port, tcp.protocol, tcp.timeout.idle), (5432, None, Some(Duration::from_secs(1))));
    assert_eq!(tcp.cluster, "cds_ingress_mesh_front_shop_tcp_5432");
}

#[test]
fn what_cannot_be_made_is_left_out_alone_and_told_on_the_node() {
    let mut objects = mesh();
    objects.push(service("bare", json!(null)));
    objects.push(service("lost", json!({"virtualRouter": {"virtualRouterRef": {"name": "absent"}}})));
    objects.push(service("gone", json!({"virtualNode": {"virtualNodeRef": {"name": "gone"}}})));
    let spec = json!({
        "backends": [
            backend("absent"), backend("bare"), backend("lost"), backend("gone"),
            {"virtualService": {"virtualServiceARN": "arn:x"}}, {"virtualService": {}}, backend("color"),
        ],
        "backendGroups": [{"name": "all"}],
    });
    let planned = planned(front(spec), &objects);
    let says = |of: &[Rejected], what: &str| told(of).iter().any(|(_, told)| told.contains(what));
    for what in [
        "backend absent.shop: its target absent.shop leads nowhere",
        "backend bare.shop: its target bare.shop leads nowhere",
        "backend lost.shop: the virtual service lost.shop is provided by the virtual router shop/absent, which",
        "backend 4: a virtualServiceARN names nothing",
        "backend 5: virtualService of a backend takes exactly one virtualServiceRef",
        "backendGroups: a group of backends, in place of each in spec.backends, is not supported",
    ] {
        assert!(says(&planned.rejected, what), "{what}: {:?}", told(&planned.rejected));
    }
    assert_eq!(planned.rejected.len(), 6, "{:?}", told(&planned.rejected));
    assert!(says(&planned.remarks, "the virtual node shop/gone does not exist"), "{planned:?}");
    // As at a gateway: what cannot be made is answered 503, and does not pass by its weights.
    let leads = planned.plan.routes.iter().map(|planned| {
        let Some(HostMatch::Exact(host)) = &planned.route.matcher.hostname else { panic!("{planned:?}") };
        (host.as_str(), planned.route.destinations.len())
    });
    let leads: BTreeMap<&str, usize> = leads.collect();
    let expected =
        [("absent.shop", 0), ("bare.shop", 0), ("lost.shop", 0), ("gone.shop", 1), ("color.shop", 2)];
    assert_eq!(leads, expected.into());
    // Whoever may come is waited for.
    let gone = ObjectRef { kind: ObjectKind::VirtualNode, namespace: "shop".into(), name: "gone".into() };
    assert!(planned.served.contains(&gone));
}

#[test]
fn connections_that_a_router_has_pass_as_they_are() {
    let mut objects = mesh();
    let target = json!({"weightedTargets": [{"virtualNodeRef": {"name": "v1"}, "weight": 1}]});
    let routes = json!([{"name": "all", "tcpRoute": {"action": target}}]);
    objects.push((ObjectKind::VirtualRouter, object("db", json!({ "routes": routes }))));
    objects.push(service("db", json!({"virtualRouter": {"virtualRouterRef": {"name": "db"}}})));
    let planned = planned(front(json!({"backends": [backend("db"), backend("paint")]})), &objects);
    assert!(planned.rejected.is_empty() && planned.remarks.is_empty(), "{planned:?}");
    assert_eq!(planned.plan.routes.len(), 1, "paint's");
    let db = ObjectRef { kind: ObjectKind::VirtualRouter, namespace: "shop".into(), name: "db".into() };
    assert!(planned.watched.contains(&db) && !planned.served.contains(&db), "it may have routes of requests");
}

#[test]
fn nobody_takes_the_requests_of_another_host_by_a_name_of_his_own() {
    for (given, is_taken) in [
        ("paint.example", true),
        ("color.shop", false),
        ("*", false),
        ("*.svc.cluster.local", false),
        ("brush.example", false),
    ] {
        let mut objects = mesh();
        objects[2].1["spec"]["awsName"] = json!(given);
        let mut brush = service("brush", json!({"virtualNode": {"virtualNodeRef": {"name": "v1"}}}));
        brush.1["spec"]["awsName"] = json!("brush.example");
        objects.push(brush);
        let planned = planned(front(json!({"backends": [backend("color"), backend("paint")]})), &objects);
        let by_it = |route: &&PlannedRoute| {
            route.route.matcher.hostname == Some(HostMatch::Exact(given.to_owned()))
                && route.clusters == ["cds_egress_mesh_paint_shop_grpc_80"]
        };
        assert_eq!(planned.plan.routes.iter().any(|route| by_it(&route)), is_taken, "{given}");
        let told = told(&planned.rejected);
        assert_eq!(told.is_empty(), is_taken, "{given}: {told:?}");
        assert!(told.iter().all(|(_, told)| told.starts_with("backend paint.shop: awsName")), "{told:?}");
    }
}

#[test]
fn connections_are_made_as_the_node_demands() {
    let policy = |file: &str| {
        let trust = json!({"file": {"certificateChain": file}});
        json!({"tls": {"validation": {"trust": trust}}})
    };
    let mut own = backend("paint");
    own["virtualService"]["clientPolicy"] = policy("/paint.pem");
    let spec = |backends: Value| json!({"backendDefaults": {"clientPolicy": policy("/all.pem")}, "backends": backends});
    let authority = |planned: &Planned, cluster: &str| {
        let tls = planned.plan.clusters[cluster].tls.clone().unwrap();
        tls.nodes.unwrap().authorities
    };
    let both = planned(front(spec(json!([backend("color"), own]))), &mesh());
    let file = |path: &str| Authorities::File(path.into());
    assert_eq!(authority(&both, "cds_egress_mesh_v1_shop_http_80"), file("/all.pem"));
    assert_eq!(authority(&both, "cds_egress_mesh_paint_shop_grpc_80"), file("/paint.pem"));

    // One node, spoken to in two ways: both are kept, whichever of the names is the longer.
    for second in ["brush", "brush-of-a-long-name"] {
        let mut objects = mesh();
        objects.push(service(second, json!({"virtualNode": {"virtualNodeRef": {"name": "paint"}}})));
        let torn = planned(front(spec(json!([own, backend(second)]))), &objects);
        let of = |host: &str| {
            let named = Some(HostMatch::Exact(format!("{host}.shop")));
            let route = torn.plan.routes.iter().find(|route| route.route.matcher.hostname == named).unwrap();
            authority(&torn, &route.clusters[0])
        };
        assert_eq!((of("paint"), of(second)), (file("/paint.pem"), file("/all.pem")));
        let told = told(&torn.remarks);
        assert!(
            told.iter().any(|(_, told)| told.contains("is spoken to otherwise than another")),
            "{told:?}"
        );
    }

    // What cannot be demanded is not done without.
    let mut own = backend("paint");
    own["virtualService"]["clientPolicy"] =
        json!({"tls": {"validation": {"trust": {"acm": {"certificateAuthorityARNs": ["arn:x"]}}}}});
    let closed = planned(front(json!({"backends": [own, backend("color"), backend("color")]})), &mesh());
    let refused = told(&closed.rejected);
    assert_eq!(refused.len(), 2, "{refused:?}");
    assert!(refused[0].1.starts_with("backend 2: the virtual service is listed before"), "{refused:?}");
    assert!(refused[1].1.starts_with("backend paint.shop: acm names an authority"), "{refused:?}");
    let paint = Some(HostMatch::Exact("paint.shop".to_owned()));
    let route = closed.plan.routes.iter().find(|route| route.route.matcher.hostname == paint).unwrap();
    assert!(route.route.destinations.is_empty());
}

#[test]
fn the_ports_of_the_envoy_are_its_own() {
    let listener = |port: u16| json!({"portMapping": {"port": port, "protocol": "http"}});
    let listeners = [15000, 15001, 8080].map(listener);
    let planned = planned(front(json!({ "listeners": listeners })), &mesh());
    let refused = told(&planned.rejected);
    assert_eq!(refused.len(), 2, "{refused:?}");
    assert!(refused[0].1.contains("listens on port 15000 itself"), "{refused:?}");
    assert_eq!(inbound(&planned).len(), 1);
}

#[test]
fn a_node_that_cannot_be_read_has_no_plan() {
    let refused = |more: Value| sidecar(&front(more), []).unwrap_err().to_string();
    let told = refused(json!({"backends": "color"}));
    assert!(told.contains("backends"), "{told}");
    let told = refused(json!({"backendDefaults": {"clientPolicy": {"tls": {"validation": {"trust": {}}}}}}));
    assert!(told.contains("tls.validation.trust"), "{told}");
}
