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
    envoy::{GATEWAY, RETRIED},
    ports::free_address,
};
use crate::{
    cluster::Cluster,
    objects::{entry, route, weights_of},
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
    /// Makes a gateway over versions that listen there, with a route `color` of these weights, and serves it.
    pub async fn start(cluster: &Cluster, versions: &[(&str, SocketAddr, i64)]) -> Self {
        let [listen, registry, health, ingress] = [(); 4].map(|()| free_address());
        let listeners = json!([{"portMapping": {"port": ingress.port(), "protocol": "http"}}]);
        let gateway = json!({"listeners": listeners, "namespaceSelector": {}});
        cluster.create(app_mesh("VirtualGateway", GATEWAY, &gateway)).await;
        for (version, address, _) in versions {
            let provider = json!({"provider": {"virtualNode": {"virtualNodeRef": {"name": version}}}});
            cluster.create(app_mesh("VirtualService", version, &provider)).await;
            let listeners = json!([{"portMapping": {"port": address.port(), "protocol": "http"}}]);
            let dns = json!({"dns": {"hostname": address.ip().to_string()}});
            let node = json!({"listeners": listeners, "serviceDiscovery": dns});
            cluster.create(app_mesh("VirtualNode", version, &node)).await;
        }
        let entries: Value = versions.iter().map(|(version, _, weight)| entry(version, *weight)).collect();
        cluster.create(route("color", &entries)).await;
        // As App Mesh's default has it, for those who ask for it.
        let mut retried = route("retried", &entries);
        retried["spec"]["priority"] = json!(1);
        let block = &mut retried["spec"]["httpRoute"];
        block["match"] =
            json!({"prefix": "/color", "headers": [{"name": RETRIED, "match": {"exact": "yes"}}]});
        let events = json!(["server-error"]);
        block["retryPolicy"] = json!({
            "maxRetries": 2, "perRetryTimeout": {"unit": "s", "value": 15}, "httpRetryEvents": events,
            "tcpRetryEvents": ["connection-error"],
        });
        cluster.create(retried).await;
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

/// Waits until Envoy goes by this weight, as the route's status says.
pub async fn until_taken(cluster: &Cluster, version: &str, weight: i64) {
    let look = || async {
        let route = cluster.routes().get("color").await.unwrap();
        let conditions = route.data["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let of_now = |condition: &Value| {
            condition["type"] == "Programmed"
                && condition["status"] == "True"
                && condition["observedGeneration"] == json!(route.metadata.generation)
        };
        let weights = weights_of(RouteKind::GatewayRoute, &route);
        (conditions.iter().any(of_now), weights.get(version).copied(), route.resource_version())
    };
    let taken = |seen: &(bool, Option<i64>, _)| (seen.0, seen.1) == (true, Some(weight));
    eventually(&format!("Envoy gives {version} {weight}"), look, taken).await;
}
