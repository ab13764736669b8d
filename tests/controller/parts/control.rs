//! The gateways' control plane over the objects of a test's namespace.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use kube::ResourceExt;
use serde_json::{Value, json};
use tidegate::{
    api::RouteKind,
    gateway::{self, Settings},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    Place,
    envoy::{GATEWAY, NODE, RETRIED},
    ports::free_address,
};
use crate::{
    cluster::Cluster,
    objects::{entry, route, route_of, weights_of},
    waiting::eventually,
};

pub struct ControlPlane {
    /// Where Envoys connect.
    pub listen: SocketAddr,
    /// Where it lists them.
    pub registry: SocketAddr,
    /// Where the gateway takes requests.
    pub ingress: SocketAddr,
    _until: DropGuard,
}

/// Listeners at one port of as many addresses.
pub fn one_port(hosts: &[Ipv4Addr]) -> Vec<TcpListener> {
    loop {
        let port = free_address().port();
        let bound: Result<Vec<_>, _> = hosts.iter().map(|host| TcpListener::bind((*host, port))).collect();
        if let Ok(listeners) = bound {
            return listeners;
        }
    }
}

fn app_mesh(kind: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "appmesh.k8s.aws/v1beta2", "kind": kind, "metadata": {"name": name}, "spec": spec,
    })
}

impl ControlPlane {
    /// Makes a gateway, or a node that calls, over versions that listen there, with a route `color` of these weights, and
    /// serves it.
    pub async fn start(cluster: &Cluster, place: Place, versions: &[(&str, SocketAddr, i64)]) -> Self {
        let [listen, registry, health] = [(); 3].map(|()| free_address());
        for (version, address, _) in versions {
            let provider = json!({"provider": {"virtualNode": {"virtualNodeRef": {"name": version}}}});
            cluster.create(app_mesh("VirtualService", version, &provider)).await;
            let listeners = json!([{"portMapping": {"port": address.port(), "protocol": "http"}}]);
            let dns = json!({"dns": {"hostname": address.ip().to_string()}});
            let node = json!({"listeners": listeners, "serviceDiscovery": dns});
            cluster.create(app_mesh("VirtualNode", version, &node)).await;
        }
        let ingress = match place {
            Place::Gateway => gateway(cluster, versions).await,
            Place::BesidePod(egress) => {
                node(cluster, versions).await;
                egress
            }
        };
        let settings = Settings {
            listen,
            registry,
            health,
            identity: None,
            namespaces: vec![cluster.namespace.clone()],
            lease: None,
        };
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        tokio::spawn(gateway::run(settings, cluster.client.clone(), stopped));
        Self { listen, registry, ingress, _until: stop.drop_guard() }
    }
}

/// A gateway with its routes; where it takes requests.
async fn gateway(cluster: &Cluster, versions: &[(&str, SocketAddr, i64)]) -> SocketAddr {
    let ingress = free_address();
    let listeners = json!([{"portMapping": {"port": ingress.port(), "protocol": "http"}}]);
    let gateway = json!({"listeners": listeners, "namespaceSelector": {}});
    cluster.create(app_mesh("VirtualGateway", GATEWAY, &gateway)).await;
    let entries: Value = versions.iter().map(|(version, _, weight)| entry(version, *weight)).collect();
    cluster.create(route("color", &entries)).await;
    // As App Mesh's default has it, for those who ask for it.
    let mut retried = route("retried", &entries);
    retried["spec"]["priority"] = json!(1);
    let block = &mut retried["spec"]["httpRoute"];
    block["match"] = json!({"prefix": "/color", "headers": [{"name": RETRIED, "match": {"exact": "yes"}}]});
    let events = json!(["server-error"]);
    block["retryPolicy"] = json!({
        "maxRetries": 2, "perRetryTimeout": {"unit": "s", "value": 15}, "httpRetryEvents": events,
        "tcpRetryEvents": ["connection-error"],
    });
    cluster.create(retried).await;
    ingress
}

/// A node whose pods call `color`, and the router of that.
async fn node(cluster: &Cluster, versions: &[(&str, SocketAddr, i64)]) {
    let weights: Vec<(&str, i64)> = versions.iter().map(|(version, _, weight)| (*version, *weight)).collect();
    cluster.create(route_of(RouteKind::VirtualRouter, "color", &weights)).await;
    let provider = json!({"provider": {"virtualRouter": {"virtualRouterRef": {"name": "color"}}}});
    cluster.create(app_mesh("VirtualService", "color", &provider)).await;
    let backend = json!({"virtualService": {"virtualServiceRef": {"name": "color"}}});
    cluster.create(app_mesh("VirtualNode", NODE, &json!({"backends": [backend]}))).await;
}

/// Waits until Envoy goes by this weight, as the route's status says.
pub async fn until_taken(cluster: &Cluster, version: &str, weight: i64) {
    let look = || async {
        let route = cluster.routes().get("color").await.unwrap();
        let conditions = route.data["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let of_now = |condition: &Value| {
            let (kind, observed) = match cluster.kind {
                // AWS's own, beside which the generation stands.
                RouteKind::VirtualRouter => {
                    ("VirtualRouterActive", &route.data["status"]["observedGeneration"])
                }
                RouteKind::GatewayRoute | RouteKind::HttpRoute | RouteKind::GrpcRoute => {
                    ("Programmed", &condition["observedGeneration"])
                }
            };
            condition["type"] == kind
                && condition["status"] == "True"
                && *observed == json!(route.metadata.generation)
        };
        let weights = weights_of(cluster.kind, &route);
        (conditions.iter().any(of_now), weights.get(version).copied(), route.resource_version())
    };
    let taken = |seen: &(bool, Option<i64>, _)| (seen.0, seen.1) == (true, Some(weight));
    eventually(&format!("Envoy gives {version} {weight}"), look, taken).await;
}
