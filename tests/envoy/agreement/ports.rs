//! Ports of gateways, of routers and of nodes, and what is spoken there.

use serde_json::{Value, json};
use tidegate::dataplane::ObjectKind;

use super::{
    both::{Both, Node},
    sent::{Sent, prioritized, to},
};
use crate::gateway::{client, object};

/// A node of three ports, and one of one.
const NODES: [Node; 2] =
    [Node("many", &[(9001, "http"), (9002, "http2"), (9003, "grpc")]), Node("v1", &[(8080, "http2")])];

/// A route in a block of this name.
fn route(block: &str, name: &str, matcher: Value, target: Value) -> Value {
    object(name, json!({"routeSpec": {block: {"match": matcher, "action": {"target": target}}}}))
}

fn at(service: &str, port: u16) -> Value {
    json!({"virtualServiceRef": {"name": service}, "port": port})
}

/// The same request at each of three ports, by HTTP/1.1 where it is spoken, and by HTTP/2.
fn everywhere(path: &'static str) -> Vec<Sent> {
    let sent = Sent::get(path, &[]);
    vec![sent, sent.http2(), sent.http2().at(1), sent.http2().at(2)]
}

/// The host may name any port.
const HOSTS: [&[(&str, &str)]; 2] = [&[("host", "a.example:1")], &[("host", "a.example")]];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ports_of_the_gateway_are_told_apart_alike() {
    let Some(mut both) = Both::start(&["http", "http2", "grpc"], &NODES).await else { return };
    let [first, second] = [0, 1].map(|port| both.port(port));
    let on = |name: &str, prefix: &str, port: u16, target: Value| {
        route("httpRoute", name, json!({"prefix": prefix, "port": port}), target)
    };
    both.compare(
        "a route of every port",
        vec![route("httpRoute", "r", json!({"prefix": "/"}), to("v1"))],
        everywhere("/"),
    )
    .await;
    both.compare("a route of one port", vec![on("r", "/", second, to("v1"))], everywhere("/")).await;
    let routes = vec![
        on("first", "/", first, at("many", 9001)),
        on("second", "/", second, at("many", 9002)),
        on("longer", "/x", second, to("v1")),
    ];
    both.compare("a route of each port", routes.clone(), everywhere("/x/y")).await;
    both.compare("a route of each port", routes, everywhere("/y")).await;
    let routes = vec![
        prioritized(route("httpRoute", "any", json!({"prefix": "/"}), to("v1")), 2),
        prioritized(on("one", "/", first, at("many", 9001)), 1),
    ];
    both.compare("a route of one port before one of all", routes, everywhere("/")).await;
    let matcher = json!({"prefix": "/", "port": first, "hostname": {"exact": "a.example"}});
    let hosts = HOSTS.map(|headers| [0, 1].map(|port| Sent::get("/", headers).http2().at(port)));
    let routes = vec![route("httpRoute", "r", matcher, to("v1"))];
    both.compare("a port is the listener's, not the host's", routes, hosts.concat()).await;
    let plain = client().get(format!("http://{}/", both.bed.ports[1].0)).send().await;
    assert!(plain.is_err(), "Envoy speaks HTTP/2 alone there: {plain:?}");
    both.agreed(14);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ports_of_nodes_are_found_and_spoken_to_alike() {
    let Some(mut both) = Both::start(&["http", "http2", "grpc"], &NODES).await else { return };
    for block in ["httpRoute", "http2Route"] {
        for target in [at("many", 9001), at("many", 9002), at("many", 9003), at("v1", 8080), to("v1")] {
            let what = format!("{block} to {target}");
            both.compare(&what, vec![route(block, "r", json!({"prefix": "/"}), target)], everywhere("/x?y"))
                .await;
        }
    }
    for target in [to("many"), at("many", 9999)] {
        let what = format!("nowhere: {target}");
        both.compare(&what, vec![route("httpRoute", "r", json!({"prefix": "/"}), target)], everywhere("/"))
            .await;
    }
    let weighted = |first: u32, second: u32| {
        let target = |port: u16, weight: u32| {
            let mut target = at("many", port);
            target["weight"] = json!(weight);
            target
        };
        let action = json!({"weightedTargets": [target(9001, first), target(9002, second)]});
        vec![object("r", json!({"routeSpec": {"httpRoute": {"match": {"prefix": "/"}, "action": action}}}))]
    };
    both.compare("weights of two ports", weighted(1, 0), everywhere("/")).await;
    both.compare("weights of two ports", weighted(0, 1), everywhere("/")).await;
    both.agreed(40);
}

/// A router of two ports, whose routes are each of one, or of both.
fn router() -> Vec<(ObjectKind, Value)> {
    let route = |name: &str, priority: u16, matcher: Value, port: u16| {
        let target = json!({"virtualNodeRef": {"name": "many"}, "port": port, "weight": 1});
        let block = json!({"match": matcher, "action": {"weightedTargets": [target]}});
        json!({"name": name, "priority": priority, "httpRoute": block})
    };
    let routes = [
        route("first", 1, json!({"prefix": "/", "port": 8001}), 9001),
        route("second", 2, json!({"prefix": "/x", "port": 8002}), 9002),
        route("both", 3, json!({"prefix": "/"}), 9003),
    ];
    let listeners = [8001, 8002].map(|port| json!({"portMapping": {"port": port, "protocol": "http"}}));
    let provider = json!({"provider": {"virtualRouter": {"virtualRouterRef": {"name": "router"}}}});
    vec![
        (ObjectKind::VirtualRouter, object("router", json!({"listeners": listeners, "routes": routes}))),
        (ObjectKind::VirtualService, object("routed", provider)),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ports_of_routers_are_told_apart_alike() {
    let Some(mut both) = Both::start(&["http", "http2"], &NODES).await else { return };
    both.add(router());
    let requests = |path| [Sent::get(path, &[]), Sent::get(path, &[]).http2().at(1)];
    for target in [to("routed"), at("routed", 8001), at("routed", 8002)] {
        let what = target.to_string();
        let routes = vec![route("httpRoute", "r", json!({"prefix": "/"}), target)];
        both.compare(&what, routes.clone(), requests("/x")).await;
        both.compare(&what, routes, requests("/y")).await;
    }
    let port = both.port(0);
    let routes = vec![route("httpRoute", "r", json!({"prefix": "/", "port": port}), at("routed", 8001))];
    both.compare("a port of the gateway, and one of the router", routes, requests("/x")).await;
    both.agreed(12);
}
