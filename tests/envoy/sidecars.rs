//! Envoys beside a node's pods: what a pod sends goes by the routes of its backends, and what comes to it comes through.

use std::{collections::BTreeMap, net::SocketAddr};

use serde_json::{Value, json};
use tidegate::{
    dataplane::{ObjectKind, Plan, sidecar},
    sandbox::backends::Backend,
    xds::Fleet,
};
use tokio::sync::Mutex;

use crate::{
    gateway::{NAMESPACE, answered, client, object},
    served::Served,
    waiting::eventually,
};

/// Where App Mesh's Envoys were, so that one at a time is on a machine.
static ONLY: Mutex<()> = Mutex::const_new(());
const VERSIONS: [&str; 2] = ["v1", "v2"];
const INGRESS: &str = "127.0.0.1:15000";
const EGRESS: &str = "127.0.0.1:15001";

/// A pod of the node `front`, which calls `color`: a router with the weights of `v1` and `v2`.
struct Pod {
    served: Served,
    /// The pod's own program.
    program: Backend,
    versions: [Backend; 2],
    http: reqwest::Client,
}

impl Pod {
    async fn start() -> Option<Self> {
        let served = Served::start(Fleet::sidecars(NAMESPACE, "front"))?;
        let start = async |version: &str| Backend::start(version, version, 1).await.unwrap();
        let (program, versions) = (start("front").await, [start("v1").await, start("v2").await]);
        let mut pod = Self { served, program, versions, http: client() };
        pod.weigh("http", [1, 0]).await;
        Some(pod)
    }

    /// Gives the versions these weights, while the pod speaks `protocol`.
    async fn weigh(&mut self, protocol: &str, weights: [u32; 2]) {
        let port = self.program.address().port();
        self.served.publish(&planned(&[(port, protocol)], weights), &found(&self.versions));
        self.served.settled().await;
    }

    /// What the pod gets from a host.
    async fn calls(&self, host: &str) -> String {
        answered(self.http.get(format!("http://{EGRESS}/color")).header("host", host)).await
    }
}

/// The plan of a node `front` with these ports, which calls `color` by these weights of its versions.
pub fn planned(ports: &[(u16, &str)], weights: [u32; 2]) -> Plan {
    let listener =
        |(port, protocol): &(u16, &str)| json!({"portMapping": {"port": port, "protocol": protocol}});
    let listeners = |ports: &[(u16, &str)]| ports.iter().map(listener).collect::<Value>();
    let backend = json!({"virtualService": {"virtualServiceRef": {"name": "color"}}});
    let front = object("front", json!({"listeners": listeners(ports), "backends": [backend]}));
    let mut objects = behind(weights);
    for version in VERSIONS {
        let node = json!({"listeners": listeners(&[(80, "http")])});
        objects.push((ObjectKind::VirtualNode, object(version, node)));
    }
    let planned = sidecar(&front, objects.iter().map(|(kind, object)| (*kind, object))).unwrap();
    assert!(planned.rejected.is_empty() && planned.remarks.is_empty(), "{planned:?}");
    planned.plan
}

/// Where the versions are, by cluster.
pub fn found(versions: &[Backend; 2]) -> BTreeMap<String, Vec<SocketAddr>> {
    let cluster = |version: &str| format!("cds_egress_mesh_{version}_{NAMESPACE}_http_80");
    let each = VERSIONS.into_iter().zip(versions);
    each.map(|(version, backend)| (cluster(version), vec![backend.address()])).collect()
}

/// The service `color`, and its router.
fn behind(weights: [u32; 2]) -> Vec<(ObjectKind, Value)> {
    let targets = VERSIONS.into_iter().zip(weights);
    let targets: Vec<Value> =
        targets.map(|(name, weight)| json!({"virtualNodeRef": {"name": name}, "weight": weight})).collect();
    let route = json!({"name": "all", "httpRoute": {"match": {"prefix": "/"}, "action": {"weightedTargets": targets}}});
    let listeners = json!([{"portMapping": {"port": 80, "protocol": "http"}}]);
    let provider = json!({"virtualRouter": {"virtualRouterRef": {"name": "color"}}});
    let service = json!({"awsName": "color.example", "provider": provider});
    vec![
        (ObjectKind::VirtualService, object("color", service)),
        (ObjectKind::VirtualRouter, object("color", json!({"listeners": listeners, "routes": [route]}))),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_pod_sends_goes_by_the_weights_of_the_router() {
    let _only = ONLY.lock().await;
    let Some(mut pod) = Pod::start().await else { return };
    for host in ["color.shop", "color.shop:8080", "COLOR.example"] {
        assert_eq!(pod.calls(host).await, "v1", "{host}");
    }
    pod.weigh("http", [0, 1]).await;
    assert_eq!(pod.calls("color.shop").await, "v2");
    pod.weigh("http", [80, 20]).await;
    let mut canary = 0;
    for _ in 0..10_000 {
        canary += usize::from(pod.calls("color.shop").await == "v2");
    }
    // Two points of the weight are five standard deviations of so many.
    assert!((1800..=2200).contains(&canary), "{canary}");
    // It takes what comes to a proxy.
    let proxied = reqwest::Client::builder().proxy(reqwest::Proxy::http(format!("http://{EGRESS}")).unwrap());
    let proxied = proxied.build().unwrap().get("http://color.shop/color");
    assert!(["v1", "v2"].contains(&answered(proxied).await.as_str()));
    // It was sent to Envoy itself: there is nowhere that it was going.
    assert_eq!(pod.calls("elsewhere.example").await, "503");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_to_a_pod_comes_through_as_requests_or_as_bytes() {
    let _only = ONLY.lock().await;
    let Some(mut pod) = Pod::start().await else { return };
    let get = async || {
        // Each on a connection of its own: one that was made before goes on as it was.
        let answer = client().get(format!("http://{INGRESS}/color")).send().await;
        answer.ok().map(|answer| {
            let header =
                |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
            (header("x-app-version"), header("server"))
        })
    };
    let from = |server: Option<&str>| Some((Some("front".to_owned()), server.map(str::to_owned)));
    eventually("requests come through", get, |got| *got == from(Some("envoy"))).await;
    // Of bytes nothing is known, and nothing is added to them.
    pod.weigh("tcp", [1, 0]).await;
    eventually("bytes come through", get, |got| *got == from(None)).await;
}
