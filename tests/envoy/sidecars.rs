//! Envoys beside a node's pods: what a pod sends goes by the routes of its backends, and what comes to it comes through.

use std::{collections::BTreeMap, net::SocketAddr, path::Path};

use serde_json::{Value, json};
use tidegate::{
    dataplane::{ObjectKind, Plan, sidecar},
    sandbox::backends::Backend,
    xds::Fleet,
};
use tokio::sync::Mutex;

use crate::{
    beside::beside_a_pod,
    certificates::{authority, write},
    gateway::{NAMESPACE, answered, client, object},
    served::Served,
    skip::skip,
    waiting::eventually,
};

/// Where such an Envoy listens is not for a test to choose, so one at a time is on a machine.
static ONLY: Mutex<()> = Mutex::const_new(());
const VERSIONS: [&str; 2] = ["v1", "v2"];

/// A pod of the node `front`, which calls `color`: a router with the weights of `v1` and `v2`.
struct Pod {
    served: Served,
    ingress: SocketAddr,
    egress: SocketAddr,
    /// The pod's own program.
    program: Backend,
    versions: [Backend; 2],
    http: reqwest::Client,
}

impl Pod {
    async fn start() -> Option<Self> {
        let Some([ingress, egress]) = beside_a_pod() else {
            skip("somebody listens on 15000 or 15001");
            return None;
        };
        let served = Served::start(Fleet::sidecars(NAMESPACE, "front"))?;
        let start = async |version: &str| Backend::start(version, version, 1).await.unwrap();
        let (program, versions) = (start("front").await, [start("v1").await, start("v2").await]);
        let mut pod = Self { served, ingress, egress, program, versions, http: client() };
        pod.weigh("http", [1, 0]).await;
        Some(pod)
    }

    /// Gives the versions these weights, while the pod speaks `protocol`.
    async fn weigh(&mut self, protocol: &str, weights: [u32; 2]) {
        self.listen(json!([port(self.program.address().port(), protocol)]), weights).await;
    }

    /// The same with these listeners.
    async fn listen(&mut self, listeners: Value, weights: [u32; 2]) {
        self.served.publish(&planned(listeners, weights), &found(&self.versions));
        self.served.settled().await;
    }

    /// What the pod gets from a host.
    async fn calls(&self, host: &str) -> String {
        answered(self.http.get(format!("http://{}/color", self.egress)).header("host", host)).await
    }
}

/// A listener of a node.
pub fn port(port: u16, protocol: &str) -> Value {
    json!({"portMapping": {"port": port, "protocol": protocol}})
}

/// The same with TLS, by the certificate in a folder.
pub fn encrypted(mut listener: Value, mode: &str, folder: &Path) -> Value {
    let file = |name: &str| folder.join(name).display().to_string();
    let files = json!({"certificateChain": file("tls.crt"), "privateKey": file("tls.key")});
    listener["tls"] = json!({"mode": mode, "certificate": {"file": files}});
    listener
}

/// The plan of a node `front` with these listeners, which calls `color` by these weights of its versions.
pub fn planned(listeners: Value, weights: [u32; 2]) -> Plan {
    let backend = json!({"virtualService": {"virtualServiceRef": {"name": "color"}}});
    let front = object("front", json!({"listeners": listeners, "backends": [backend]}));
    let mut objects = behind(weights);
    for version in VERSIONS {
        let node = json!({"listeners": [port(80, "http")]});
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
    let listeners = json!([port(80, "http")]);
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
    let proxied =
        reqwest::Client::builder().proxy(reqwest::Proxy::http(format!("http://{}", pod.egress)).unwrap());
    let proxied = proxied.build().unwrap().get("http://color.shop/color");
    assert!(["v1", "v2"].contains(&answered(proxied).await.as_str()));
    // It was sent to Envoy itself: there is nowhere that it was going.
    assert_eq!(pod.calls("elsewhere.example").await, "503");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_to_a_pod_comes_through_as_requests_or_as_bytes() {
    let _only = ONLY.lock().await;
    let Some(mut pod) = Pod::start().await else { return };
    let ingress = pod.ingress;
    let get = async || {
        // Each on a connection of its own: one that was made before goes on as it was.
        let answer = client().get(format!("http://{ingress}/color")).send().await;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_to_a_pod_may_be_encrypted() {
    let _only = ONLY.lock().await;
    let Some(mut pod) = Pod::start().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let authority = authority();
    write(folder.path(), &authority, "front.shop");
    let encrypted = |listener: Value, mode: &str| encrypted(listener, mode, folder.path());
    let (own, ingress) = (pod.program.address().port(), pod.ingress);
    let root = reqwest::Certificate::from_pem(authority.pem().as_bytes()).unwrap();
    let http = || {
        let client = reqwest::Client::builder().no_proxy().add_root_certificate(root.clone());
        client.resolve("front.shop", ingress).build().unwrap()
    };
    let get = async |scheme: &str| {
        let answer =
            http().get(format!("{scheme}://front.shop:{}/color", ingress.port())).send().await.ok()?;
        Some(answer.headers()["x-app-version"].to_str().unwrap().to_owned())
    };
    for (mode, in_the_clear) in [("PERMISSIVE", Some("front")), ("STRICT", None)] {
        pod.listen(json!([encrypted(port(own, "http"), mode)]), [1, 0]).await;
        let both = || async { [get("https").await, get("http").await] };
        let as_told =
            |got: &[Option<String>; 2]| got.each_ref().map(Option::as_deref) == [Some("front"), in_the_clear];
        eventually(mode, both, as_told).await;
    }
    // Every kind beside the others: Envoy takes them all.
    let all = json!([
        encrypted(port(own, "http"), "PERMISSIVE"),
        encrypted(port(9000, "grpc"), "STRICT"),
        encrypted(port(9001, "tcp"), "PERMISSIVE"),
        port(5432, "tcp"),
        port(8080, "http2"),
    ]);
    pod.listen(all, [1, 0]).await;
}
