//! What the gateways' control plane costs, and how soon a weight is traffic.
//!
//! `cargo bench --bench gateway`, on the sandbox's API server; on another one with `TIDEGATE_TEST_KUBECONFIG`, where it makes a
//! namespace of its own and deletes it at the end. `TIDEGATE_PROGRAM` names another program than the one that is built with it.
//!
//! | part | measured |
//! |---|---|
//! | scale | 1,000 routes on 20 gateways, and on one, with 50 Envoys that are simulated as far as discovery goes: from the PATCH of one weight to the last Envoy that has it, what it was sent, memory |
//! | mesh | 200 services that call 10 others each through VirtualRouters, with 600 simulated Envoys beside their pods: the same |
//! | weight | one stock Envoy, where `TIDEGATE_ENVOY` (or PATH) has one: from the PATCH to the acknowledgement on the route's status, and to the first request by the new split |

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "it is a measurement")]

#[path = "../tests/support/ports.rs"]
mod ports;

use std::{
    net::{Ipv4Addr, SocketAddr},
    process::{Child, Command, Stdio},
    time::Duration,
};

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client, Config,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use ports::free_address;
use serde_json::{Value, json};
use tidegate::{
    client,
    clock::Clock,
    dataplane::ObjectKind,
    demo::world::start_server,
    objects,
    sandbox::{
        apiserver::ApiServer,
        backends::{Backend, VERSION_HEADER},
        envoys::{Had, Manner, SimulatedEnvoy},
    },
    xds::{Bootstrap, Fleet},
};
use tonic::transport::Endpoint;

const NAMESPACE: &str = "tidegate-bench-gateway";
const ROUTES: usize = 1_000;
const ENVOYS: usize = 50;
const SERVICES: usize = 200;
/// Pods of each.
const PODS: usize = 3;
/// How many others each calls.
const CALLS: usize = 10;
/// Weights that are changed, one after the other.
const CHANGES: usize = 100;
/// Changes before those that count.
const WARM: usize = 5;
const PATIENCE: Duration = Duration::from_mins(1);

/// PATCH to acknowledgement and to the first request, in milliseconds.
const ACKNOWLEDGED: (f64, f64) = (10.0, 30.0);
const FIRST_REQUEST: f64 = 35.0;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let missed = runtime.block_on(async {
        let cluster = Cluster::start(folder.path()).await;
        let mut missed = cluster.weight(folder.path()).await;
        for gateways in [20, 1] {
            missed |= cluster.scale(gateways).await;
        }
        missed |= cluster.mesh().await;
        cluster.end().await;
        missed
    });
    assert!(!missed, "a goal is missed");
}

struct Cluster {
    client: Client,
    kubeconfig: std::path::PathBuf,
    server: Option<ApiServer>,
}

/// A control plane, as a process of its own; it ends with this.
struct ControlPlane {
    child: Child,
    listen: SocketAddr,
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn app_mesh(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "appmesh.k8s.aws/v1beta2", "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec})
}

fn route(name: &str, gateway: &str, prefix: &str, weights: [u32; 2]) -> Value {
    let targets = targets(weights);
    let block = json!({"match": {"prefix": prefix}, "action": {"weightedTargets": targets}});
    app_mesh(name, &json!({"virtualGatewayRef": {"name": gateway}, "routeSpec": {"httpRoute": block}}))
}

fn targets([v1, v2]: [u32; 2]) -> Value {
    let target = |name: &str, weight| json!({"virtualServiceRef": {"name": name}, "weight": weight});
    json!([target("v1", v1), target("v2", v2)])
}

/// Envoys that are connected to it.
struct Connected {
    what: String,
    control_plane: ControlPlane,
    envoys: Vec<SimulatedEnvoy>,
}

/// A router of two versions of a service.
fn router(service: &str, [v1, v2]: [u32; 2]) -> Value {
    let target = |version: &str, weight| json!({"virtualNodeRef": {"name": format!("{service}-{version}")}, "weight": weight});
    let action = json!({"weightedTargets": [target("v1", v1), target("v2", v2)]});
    let route = json!({"name": "all", "httpRoute": {"match": {"prefix": "/"}, "action": action}});
    json!({"listeners": [{"portMapping": {"port": 8080, "protocol": "http"}}], "routes": [route]})
}

impl Cluster {
    async fn start(folder: &std::path::Path) -> Self {
        if let Some(file) = std::env::var_os("TIDEGATE_TEST_KUBECONFIG") {
            let read = Kubeconfig::read_from(&file).unwrap();
            let mut config =
                Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await.unwrap();
            config.read_timeout = None;
            let cluster =
                Self { client: client::connect(config).unwrap(), kubeconfig: file.into(), server: None };
            cluster.make_namespace().await;
            return cluster;
        }
        let server = start_server(None, None).await.unwrap();
        let kubeconfig = folder.join("kubeconfig");
        std::fs::write(&kubeconfig, server.kubeconfig()).unwrap();
        let cluster = Self { client: server.client().unwrap(), kubeconfig, server: Some(server) };
        cluster.make_namespace().await;
        cluster
    }

    async fn make_namespace(&self) {
        let namespace = serde_json::from_value(json!({"metadata": {"name": NAMESPACE}})).unwrap();
        Api::<Namespace>::all(self.client.clone()).create(&PostParams::default(), &namespace).await.unwrap();
    }

    async fn end(self) {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        namespaces.delete(NAMESPACE, &DeleteParams::default()).await.unwrap();
        if let Some(server) = self.server {
            server.shutdown().await;
        }
    }

    fn api(&self, kind: ObjectKind) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), NAMESPACE, &objects::resource(kind))
    }

    async fn create(&self, kind: ObjectKind, mut object: Value) {
        object["kind"] = json!(objects::resource(kind).kind);
        let object = serde_json::from_value(object).unwrap();
        self.api(kind).create(&PostParams::default(), &object).await.unwrap();
    }

    async fn clear(&self) {
        for kind in [
            ObjectKind::GatewayRoute,
            ObjectKind::VirtualGateway,
            ObjectKind::VirtualService,
            ObjectKind::VirtualRouter,
            ObjectKind::VirtualNode,
        ] {
            self.api(kind).delete_collection(&DeleteParams::default(), &ListParams::default()).await.unwrap();
        }
    }

    async fn version(&self, name: &str, address: SocketAddr) {
        let provider = json!({"provider": {"virtualNode": {"virtualNodeRef": {"name": name}}}});
        self.create(ObjectKind::VirtualService, app_mesh(name, &provider)).await;
        let listeners = json!([{"portMapping": {"port": address.port(), "protocol": "http"}}]);
        let dns = json!({"dns": {"hostname": address.ip().to_string()}});
        let node = json!({"listeners": listeners, "serviceDiscovery": dns});
        self.create(ObjectKind::VirtualNode, app_mesh(name, &node)).await;
    }

    async fn gateway(&self, name: &str, port: u16) {
        let listeners = json!([{"portMapping": {"port": port, "protocol": "http"}}]);
        self.create(ObjectKind::VirtualGateway, app_mesh(name, &json!({ "listeners": listeners }))).await;
    }

    async fn weigh(&self, route: &str, weights: [u32; 2]) -> i64 {
        let targets = targets(weights);
        let patch = json!({"spec": {"routeSpec": {"httpRoute": {"action": {"weightedTargets": targets}}}}});
        let api = self.api(ObjectKind::GatewayRoute);
        let stored = api.patch(route, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
        stored.metadata.generation.unwrap()
    }

    fn control_plane(&self) -> ControlPlane {
        let program = std::env::var("TIDEGATE_PROGRAM").unwrap_or(env!("CARGO_BIN_EXE_tidegate").to_owned());
        let [listen, registry, health] = [(); 3].map(|()| free_address().to_string());
        let child = Command::new(program)
            .args(["gateway", "--plaintext", "--namespace", NAMESPACE, "--log", "warn"])
            .args(["--listen", &listen, "--registry", &registry, "--health", &health])
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        ControlPlane { child, listen: listen.parse().unwrap() }
    }

    /// Many routes and many Envoys. Whether a goal is missed.
    async fn scale(&self, gateways: usize) -> bool {
        self.clear().await;
        for version in ["v1", "v2"] {
            self.version(version, (Ipv4Addr::LOCALHOST, 9).into()).await;
        }
        for number in 0..gateways {
            self.gateway(&format!("gw-{number}"), 8080).await;
        }
        let make = |number: usize| {
            let name = format!("route-{number}");
            let route = route(&name, &format!("gw-{}", number % gateways), &format!("/{name}"), [100, 0]);
            self.create(ObjectKind::GatewayRoute, route)
        };
        stream::iter(0..ROUTES).map(make).buffer_unordered(16).collect::<Vec<_>>().await;

        let fleets = (0..ENVOYS).map(|number| Fleet::gateway(NAMESPACE, format!("gw-{}", number % gateways)));
        let what = format!("{ROUTES} routes, {gateways} gateways, {ENVOYS} Envoys");
        let connected = self.connected(&what, fleets.collect()).await;
        // The statuses of all routes are written meanwhile.
        self.in_effect(ObjectKind::GatewayRoute, "route-999", 1).await;
        let concerned = (0..ENVOYS).step_by(gateways).collect();
        let weigh = async |weight| {
            self.weigh("route-0", [100, weight]).await;
        };
        connected.follow(concerned, weigh).await
    }

    /// Many nodes that call each other through routers, and Envoys beside their pods. Whether a goal is missed.
    async fn mesh(&self) -> bool {
        self.clear().await;
        let name = |number: usize| format!("service-{}", number % SERVICES);
        let make = async |number: usize| {
            let name = name(number);
            self.create(ObjectKind::VirtualRouter, app_mesh(&name, &router(&name, [100, 0]))).await;
            let provider = json!({"provider": {"virtualRouter": {"virtualRouterRef": {"name": name}}}});
            self.create(ObjectKind::VirtualService, app_mesh(&name, &provider)).await;
            let called = (1..=CALLS).map(|next| format!("service-{}", (number + next) % SERVICES));
            let backends: Vec<Value> =
                called.map(|name| json!({"virtualService": {"virtualServiceRef": {"name": name}}})).collect();
            let listeners = json!([{"portMapping": {"port": 8080, "protocol": "http"}}]);
            for version in ["v1", "v2"] {
                let node = json!({"listeners": listeners, "backends": backends});
                self.create(ObjectKind::VirtualNode, app_mesh(&format!("{name}-{version}"), &node)).await;
            }
        };
        stream::iter(0..SERVICES).map(make).buffer_unordered(16).collect::<Vec<_>>().await;
        let beside = |number: usize| Fleet::sidecars(NAMESPACE, format!("{}-v1", name(number)));
        let fleets: Vec<Fleet> = (0..SERVICES * PODS).map(beside).collect();
        let what = format!("{SERVICES} services that call {CALLS} each, {} Envoys beside pods", fleets.len());
        let connected = self.connected(&what, fleets).await;
        self.in_effect(ObjectKind::VirtualRouter, "service-0", 1).await;
        let calls_it = |number: &usize| (1..=CALLS).any(|next| (number + next).is_multiple_of(SERVICES));
        let concerned = (0..SERVICES * PODS).filter(calls_it).collect();
        let weigh = async |weight| {
            let patch = Patch::Merge(json!({"spec": router("service-0", [100, weight])}));
            let api = self.api(ObjectKind::VirtualRouter);
            api.patch("service-0", &PatchParams::default(), &patch).await.unwrap();
        };
        connected.follow(concerned, weigh).await
    }

    /// A control plane, and simulated Envoys of these fleets that have all that they are to have.
    async fn connected(&self, what: &str, fleets: Vec<Fleet>) -> Connected {
        let control_plane = self.control_plane();
        let endpoint = Endpoint::from_shared(format!("http://{}", control_plane.listen)).unwrap();
        let began = Clock::start();
        let start = |fleet: &Fleet| SimulatedEnvoy::start(endpoint.clone(), fleet, Manner::Takes);
        let envoys: Vec<SimulatedEnvoy> = fleets.iter().map(start).collect();
        for envoy in &envoys {
            wait(envoy, |had| !had.routes.is_empty()).await;
        }
        println!("{what}: all connected after {:.0} ms", millis(began));
        Connected { what: what.to_owned(), control_plane, envoys }
    }

    /// One stock Envoy. Whether a goal is missed.
    async fn weight(&self, folder: &std::path::Path) -> bool {
        let envoy = std::env::var("TIDEGATE_ENVOY").unwrap_or_else(|_| "envoy".to_owned());
        if Command::new(&envoy).arg("--version").stdout(Stdio::null()).status().is_err() {
            println!("weight: skipped, for there is no Envoy: TIDEGATE_ENVOY may name one");
            return false;
        }
        let (one, two) =
            (Backend::start("v1", "v1", 1).await.unwrap(), Backend::start("v2", "v2", 1).await.unwrap());
        self.version("v1", one.address()).await;
        self.version("v2", two.address()).await;
        let ingress = free_address();
        self.gateway("gw", ingress.port()).await;
        self.create(ObjectKind::GatewayRoute, route("color", "gw", "/", [1, 0])).await;
        let control_plane = self.control_plane();
        let bootstrap = Bootstrap {
            fleet: Fleet::gateway(NAMESPACE, "gw"),
            mesh: "mesh".into(),
            host: control_plane.listen.ip().to_string(),
            port: control_plane.listen.port(),
            tls: None,
            admin: ("127.0.0.1".into(), 0),
            stats: None,
            secrets: None,
        };
        let file = folder.join("envoy.json");
        std::fs::write(&file, bootstrap.config().to_string()).unwrap();
        let mut running = Command::new(envoy)
            .arg("-c")
            .arg(&file)
            .args(["--disable-hot-restart", "--concurrency", "1", "-l", "error"])
            .spawn()
            .unwrap();
        self.in_effect(ObjectKind::GatewayRoute, "color", 1).await;
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let (mut acknowledged, mut first) = (Vec::new(), Vec::new());
        for change in 0..CHANGES + WARM {
            let to_second = change % 2 == 0;
            let wanted = if to_second { "v2" } else { "v1" };
            let began = Clock::start();
            let requests = async {
                loop {
                    let answer = http.get(format!("http://{ingress}/")).send().await.unwrap();
                    if answer.headers()[VERSION_HEADER] == wanted {
                        return millis(began);
                    }
                }
            };
            let patched = async {
                let generation = self.weigh("color", if to_second { [0, 1] } else { [1, 0] }).await;
                self.in_effect(ObjectKind::GatewayRoute, "color", generation).await;
                millis(began)
            };
            let (by_request, by_status) = tokio::join!(requests, patched);
            if change >= WARM {
                first.push(by_request);
                acknowledged.push(by_status);
            }
        }
        let _ = running.kill();
        let _ = running.wait();
        println!(
            "weight: PATCH → status says so, ms (goal p50 {}, p99 {}): {}",
            ACKNOWLEDGED.0,
            ACKNOWLEDGED.1,
            summary(&mut acknowledged)
        );
        println!(
            "weight: PATCH → first request by it, ms (goal p99 {FIRST_REQUEST}): {}",
            summary(&mut first)
        );
        quantile(&acknowledged, 50) > ACKNOWLEDGED.0
            || quantile(&acknowledged, 99) > ACKNOWLEDGED.1
            || quantile(&first, 99) > FIRST_REQUEST
    }

    /// Waits until the status of a route or a router says that a generation is in effect.
    async fn in_effect(&self, kind: ObjectKind, name: &str, generation: i64) {
        let says = |object: Option<&DynamicObject>| {
            let Some(status) = object.map(|object| &object.data["status"]) else { return false };
            let conditions = status["conditions"].as_array();
            status["observedGeneration"] == generation
                && conditions.into_iter().flatten().any(|condition| {
                    ["Programmed", "VirtualRouterActive"].iter().any(|own| condition["type"] == *own)
                        && condition["status"] == "True"
                })
        };
        let shown = kube::runtime::wait::await_condition(self.api(kind), name, says);
        tokio::time::timeout(PATIENCE, shown).await.unwrap().unwrap();
    }
}

impl Connected {
    /// Changes a weight again and again, which concerns these Envoys alone. Whether a goal is missed.
    async fn follow(self, concerned: Vec<usize>, weigh: impl AsyncFn(u32)) -> bool {
        let Self { what, control_plane, envoys } = self;
        tokio::time::sleep(Duration::from_secs(5)).await;
        let mut times = Vec::new();
        let sent = |envoys: &[SimulatedEnvoy]| -> (u64, u64) {
            let had = envoys.iter().map(|envoy| {
                let had = envoy.had();
                let had = had.borrow();
                (had.responses.values().sum::<u64>(), had.bytes)
            });
            had.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
        };
        let before = sent(&envoys);
        let concerned: Vec<&SimulatedEnvoy> = concerned.into_iter().map(|number| &envoys[number]).collect();
        for change in 0..CHANGES {
            let versions: Vec<String> = concerned.iter().map(|envoy| routes_version(envoy)).collect();
            let began = Clock::start();
            weigh(u32::try_from(change).unwrap() + 1).await;
            for (envoy, version) in concerned.iter().zip(&versions) {
                wait(envoy, |had| had.versions[ROUTES_TYPE] != *version).await;
            }
            times.push(millis(began));
        }
        let after = sent(&envoys);
        let concerned = concerned.len();
        let (responses, bytes) = (after.0 - before.0, after.1 - before.1);
        let memory = memory(&control_plane.child);
        println!("{what}: PATCH → last of {concerned} Envoys has it, ms: {}", summary(&mut times));
        println!(
            "{what}: a change is {:.2} responses of {:.0} bytes to each Envoy that it concerns, and none to others",
            responses as f64 / (CHANGES * concerned) as f64,
            bytes as f64 / responses as f64,
        );
        println!("{what}: memory {memory:.1} MiB");
        // Whoever is not concerned gets nothing, and who is gets its routes and nothing else.
        responses != (CHANGES * concerned) as u64
    }
}

const ROUTES_TYPE: &str = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";

fn routes_version(envoy: &SimulatedEnvoy) -> String {
    envoy.had().borrow().versions[ROUTES_TYPE].clone()
}

async fn wait(envoy: &SimulatedEnvoy, wanted: impl FnMut(&Had) -> bool) {
    let mut had = envoy.had();
    tokio::time::timeout(PATIENCE, had.wait_for(wanted)).await.unwrap().unwrap();
}

fn millis(began: Clock) -> f64 {
    began.elapsed().as_secs_f64() * 1e3
}

/// The value that so many percent are not above.
fn quantile(sorted: &[f64], percent: usize) -> f64 {
    sorted[(sorted.len() * percent).div_ceil(100).saturating_sub(1)]
}

fn summary(times: &mut [f64]) -> String {
    times.sort_by(f64::total_cmp);
    let of = |part| quantile(times, part);
    format!("p50 {:.1}, p99 {:.1}, greatest {:.1} of {}", of(50), of(99), of(100), times.len())
}

/// The memory of a process in RAM, in MiB; 0 where /proc does not tell.
fn memory(child: &Child) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok()).unwrap_or_default() / 1024.0
}
