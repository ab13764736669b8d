//! One handle on a cluster: objects in, the controller running, conditions awaited.

use std::{collections::BTreeMap, fmt::Debug, future::Future, thread, time::Duration};

use k8s_openapi::api::{apps::v1::Deployment, core::v1::Event};
use kube::{
    Api, Client,
    api::{ListParams, Patch, PatchParams, PostParams},
    core::{DynamicObject, GroupVersionKind},
};
use serde_json::{Value, json};
use tidegate::{
    api::{Phase, Rollout, gateway_route_crd::gateway_route_crd},
    clock::Clock,
    config::Config,
    dataplane::GatewayRef,
    sandbox::{
        apiserver::{ApiServer, Options, RequestRecord},
        gateway::{Endpoints, Gateway as SandboxGateway, GatewayConfig},
        programmer::Programmer,
    },
};
use tokio_util::sync::CancellationToken;

use crate::metrics::Gateway;

/// How long anything may take here before a test gives up on it.
const PATIENCE: Duration = Duration::from_secs(40);

pub const ROLLOUT: &str = r#"
apiVersion: tidegate.dev/v1alpha1
kind: Rollout
metadata: {name: color, namespace: default}
spec:
  routes: [{group: appmesh.k8s.aws, kind: GatewayRoute, name: color}]
  target: {name: v2, workloadRef: {apiVersion: apps/v1, kind: Deployment, name: v2}}
  strategy: {canary: {hold: 1s, steps: [{weight: 10}, {weight: 50}]}}
  analysis:
    interval: 1s
    settle: 100ms
    series: {preset: tidegate-gateway, params: {mesh: mesh, port: "8080"}}
    errorRate: {}
"#;

pub struct Cluster {
    pub server: ApiServer,
    pub client: Client,
    pub gateway: Gateway,
    controller: Option<Running>,
    programmer: CancellationToken,
    _data_plane: SandboxGateway,
}

/// A controller in a runtime of its own, so that ending that ends everything it does, at once and unasked.
struct Running {
    runtime: tokio::runtime::Runtime,
    stop: CancellationToken,
    done: tokio::task::JoinHandle<()>,
}

impl Cluster {
    /// A cluster with routes, workloads and metrics, and the controller running.
    pub async fn start() -> Self {
        let mut cluster = Self::without_controller().await;
        cluster.run_controller();
        cluster
    }

    pub async fn without_controller() -> Self {
        let cluster = Self::with_route_crd(gateway_route_crd().unwrap()).await;
        cluster.create(route("color", &json!([entry("v1", 100), entry("v2", 0)]))).await;
        cluster
    }

    /// A cluster with this GatewayRoute CRD and no route yet.
    pub async fn with_route_crd(crd: Value) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let ours = serde_json::to_value(<Rollout as kube::CustomResourceExt>::crd()).unwrap();
        let crds = vec![ours, crd];
        let server = ApiServer::start(Options { crds, ..Options::default() }).await.unwrap();
        let client = server.client().unwrap();
        let clock = Clock::start();
        let data_plane =
            SandboxGateway::start(GatewayConfig::default(), Endpoints::default(), clock).await.unwrap();
        let gateway_ref =
            GatewayRef { name: "gw".into(), namespace: "default".into(), takes_unclaimed: true };
        let programmer = CancellationToken::new();
        let table = vec![data_plane.table()];
        tokio::spawn(Programmer::new(client.clone(), clock, gateway_ref, table).run(programmer.clone()));
        let gateway = Gateway::start().await;
        let cluster = Self { server, client, gateway, controller: None, programmer, _data_plane: data_plane };
        for version in ["v1", "v2", "v3"] {
            cluster.create(deployment(version)).await;
        }
        cluster
    }

    pub fn config(&self) -> Config {
        let text = format!(
            "providers: {{default: {{envoy: {{urls: [\"{}\"], scrapeInterval: 100ms, timeout: 2s}}}}}}\nlisten: 127.0.0.1:0\n",
            self.gateway.url()
        );
        Config::parse(&text, "test").unwrap()
    }

    pub fn run_controller(&mut self) {
        self.run_controller_with(self.config());
    }

    pub fn run_controller_with(&mut self, config: Config) {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let url = self.server.url();
        let done = runtime.spawn(async move {
            let mut kube = kube::Config::new(url.parse().unwrap());
            kube.default_retry = false;
            let client = Client::try_from(kube).unwrap();
            let stop = async move { stopped.cancelled().await };
            if let Err(error) = tidegate::controller::run(config, client, stop).await {
                eprintln!("the controller ended: {error}");
            }
        });
        self.controller = Some(Running { runtime, stop, done });
    }

    /// The controller is gone from one moment to the next.
    pub fn kill_controller(&mut self) {
        if let Some(running) = self.controller.take() {
            running.runtime.shutdown_background();
        }
    }

    /// The controller is asked to end, and does.
    pub async fn stop_controller(&mut self) {
        if let Some(running) = self.controller.take() {
            running.stop.cancel();
            tokio::time::timeout(Duration::from_secs(10), running.done).await.expect("ends in time").unwrap();
            running.runtime.shutdown_background();
        }
    }

    pub async fn create(&self, object: Value) {
        let api = self.api_of(&object);
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        api.create(&PostParams::default(), &object).await.unwrap();
    }

    pub fn api_of(&self, object: &Value) -> Api<DynamicObject> {
        let version = object["apiVersion"].as_str().unwrap();
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        let gvk = GroupVersionKind::gvk(group, version, object["kind"].as_str().unwrap());
        Api::namespaced_with(self.client.clone(), "default", &kube::core::ApiResource::from_gvk(&gvk))
    }

    pub fn rollouts(&self) -> Api<Rollout> {
        Api::namespaced(self.client.clone(), "default")
    }

    pub fn routes(&self) -> Api<DynamicObject> {
        self.api_of(&route("any", &json!([])))
    }

    /// Creates a Rollout from its YAML.
    pub async fn roll(&self, yaml: &str) {
        self.create(serde_saphyr::from_str(yaml).unwrap()).await;
    }

    /// Changes a Rollout as a person would.
    pub async fn patch(&self, name: &str, patch: Value) {
        let params = PatchParams { field_manager: Some("kubectl".into()), ..PatchParams::default() };
        self.rollouts().patch(name, &params, &Patch::Merge(patch)).await.unwrap();
    }

    /// Annotates the Rollout with a request for the run and step as they are now.
    pub async fn ask(&self, action: &str) {
        let rollout = self.rollouts().get("color").await.unwrap();
        let status = rollout.status.unwrap_or_default();
        let (run, step) = (status.run.map_or(0, |r| r.number), status.step.map_or(0, |s| s.index));
        let at = Clock::start().now();
        let id = format!("{action}-{at}");
        let request = json!({ "action": action, "run": run, "step": step, "by": "ann", "at": at, "id": id });
        let annotations = json!({ "tidegate.dev/request": request.to_string() });
        self.patch("color", json!({ "metadata": { "annotations": annotations } })).await;
    }

    pub async fn abort(&self, reason: &str) {
        let rollout = self.rollouts().get("color").await.unwrap();
        let run = rollout.status.and_then(|s| s.run).map_or(0, |r| r.number);
        let abort = json!({ "run": run, "by": "ann", "at": Clock::start().now(), "reason": reason });
        let annotations = json!({ "tidegate.dev/abort": abort.to_string() });
        self.patch("color", json!({ "metadata": { "annotations": annotations } })).await;
    }

    /// Somebody else sets a route's weights.
    pub async fn set_weights(&self, route: &str, manager: &str, weights: &[(usize, i64)]) {
        let ops: Vec<Value> = weights
            .iter()
            .map(|(index, weight)| {
                let path = format!("/spec/httpRoute/action/weightedTargets/{index}/weight");
                json!({ "op": "replace", "path": path, "value": weight })
            })
            .collect();
        let patch = Patch::Json::<()>(serde_json::from_value(json!(ops)).unwrap());
        let params = PatchParams { field_manager: Some(manager.into()), ..PatchParams::default() };
        self.routes().patch(route, &params, &patch).await.unwrap();
    }

    /// The weights on a route.
    pub async fn weights(&self, name: &str) -> BTreeMap<String, i64> {
        weights_of(&self.routes().get(name).await.unwrap())
    }

    pub async fn share(&self, target: &str) -> i64 {
        self.weights("color").await.get(target).copied().unwrap_or(0)
    }

    /// Waits until the Rollout is as wanted; panics with what it was last.
    pub async fn until(&self, name: &str, what: &str, wanted: impl Fn(&Rollout) -> bool) -> Rollout {
        let api = self.rollouts();
        let look = || async { api.get(name).await.map(Told) };
        let found = eventually(what, look, |found| found.as_ref().is_ok_and(|told| wanted(&told.0))).await;
        found.unwrap().0
    }

    pub async fn phase(&self, phase: Phase) -> Rollout {
        let is = |rollout: &Rollout| rollout.status.as_ref().and_then(|s| s.phase) == Some(phase);
        self.until("color", &format!("{phase:?}"), is).await
    }

    /// Waits until the canary has this share and that is known to be in effect.
    pub async fn at(&self, share: i32) -> Rollout {
        let is = |rollout: &Rollout| {
            let step = rollout.status.as_ref().and_then(|s| s.step.as_ref());
            step.is_some_and(|step| step.weight.percent() == share && step.since.is_some())
        };
        self.until("color", &format!("{share}% in effect"), is).await
    }

    /// Waits until a route's weight is this.
    pub async fn until_share(&self, target: &str, share: i64) {
        eventually(
            &format!("{target} at {share}"),
            || self.weights("color"),
            |found| found.get(target).copied().unwrap_or(0) == share,
        )
        .await;
    }

    /// Waits for an Event with this reason.
    pub async fn event(&self, reason: &str) -> Event {
        let api: Api<Event> = Api::namespaced(self.client.clone(), "default");
        let list = || async { api.list(&ListParams::default()).await.unwrap().items };
        let events = eventually(&format!("an Event {reason}"), list, |events| {
            events.iter().any(|event| event.reason.as_deref() == Some(reason))
        })
        .await;
        events.into_iter().find(|event| event.reason.as_deref() == Some(reason)).unwrap()
    }

    /// How many writes the controller has made.
    pub fn writes(&self) -> usize {
        self.calls().iter().filter(|call| !matches!(call.verb.as_str(), "get" | "list" | "watch")).count()
    }

    /// What the controller asked of the API server besides watches and lists.
    pub fn calls(&self) -> Vec<RequestRecord> {
        let ours = |r: &RequestRecord| r.field_manager == "tidegate" || r.resource == "events";
        self.server.requests().into_iter().filter(ours).collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.programmer.cancel();
        self.kill_controller();
    }
}

/// Looks again and again until it is as wanted.
pub async fn eventually<T: Debug, F: Future<Output = T>>(
    what: &str,
    look: impl Fn() -> F,
    wanted: impl Fn(&T) -> bool,
) -> T {
    let look = &look;
    let waiting = async {
        loop {
            let found = look().await;
            if wanted(&found) {
                return Ok(found);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            if thread::panicking() {
                return Err(found);
            }
        }
    };
    let outcome = tokio::time::timeout(PATIENCE, waiting).await.ok();
    match outcome {
        Some(Ok(found)) => found,
        Some(Err(found)) => panic!("never {what}: {found:#?}"),
        None => panic!("never {what}: {:#?}", look().await),
    }
}

pub fn weights_of(route: &DynamicObject) -> BTreeMap<String, i64> {
    let entries = route.data["spec"]["httpRoute"]["action"]["weightedTargets"].as_array().cloned();
    let one = |entry: &Value| {
        let name = entry["virtualServiceRef"]["name"].as_str().unwrap().to_owned();
        (name, entry["weight"].as_i64().unwrap())
    };
    entries.unwrap_or_default().iter().map(one).collect()
}

pub fn entry(name: &str, weight: i64) -> Value {
    json!({ "virtualServiceRef": { "name": name }, "weight": weight })
}

pub fn route(name: &str, entries: &Value) -> Value {
    json!({
        "apiVersion": "appmesh.k8s.aws/v1beta2",
        "kind": "GatewayRoute",
        "metadata": { "name": name, "namespace": "default" },
        "spec": { "httpRoute": { "match": { "prefix": format!("/{name}") }, "action": { "weightedTargets": entries } } },
    })
}

pub fn deployment(name: &str) -> Value {
    let labels = json!({ "app": name });
    let container = json!({ "name": "app", "image": format!("example.com/color:{name}") });
    let template = json!({ "metadata": { "labels": labels }, "spec": { "containers": [container] } });
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": name, "namespace": "default" },
        "spec": { "replicas": 2, "selector": { "matchLabels": labels }, "template": template },
    })
}

/// A workload's readiness, as the sandbox is told to show it.
pub async fn ready(cluster: &Cluster, name: &str, pods: Option<&str>) {
    let api: Api<Deployment> = Api::namespaced(cluster.client.clone(), "default");
    let annotations = json!({ tidegate::sandbox::apiserver::READY_ANNOTATION: pods });
    let patch = Patch::Merge(json!({ "metadata": { "annotations": annotations } }));
    api.patch(name, &PatchParams::default(), &patch).await.unwrap();
}

/// A Rollout that shows in a panic what matters.
struct Told(Rollout);

impl Debug for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let status = self.0.status.clone().unwrap_or_default();
        writeln!(f, "{:?}: {:?}", status.phase, status.message)?;
        writeln!(f, "step {:?}", status.step)?;
        let run = status.run.as_ref();
        writeln!(
            f,
            "corrections {:?}, pause {:?}",
            run.map(|r| r.corrections),
            run.map(|r| r.pause.clone())
        )?;
        writeln!(f, "weights {:?}", status.weights)?;
        writeln!(f, "last request {:?}", status.last_request)?;
        writeln!(
            f,
            "finalizers {:?}, deleted {:?}",
            self.0.metadata.finalizers, self.0.metadata.deletion_timestamp
        )?;
        for metric in &status.analysis {
            writeln!(f, "{:?}: {}", metric.verdict, metric.sentence)?;
        }
        for condition in &status.conditions {
            writeln!(
                f,
                "{} {} {}: {}",
                condition.type_, condition.status, condition.reason, condition.message
            )?;
        }
        Ok(())
    }
}
