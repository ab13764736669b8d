//! One handle on a cluster: objects in, the controller running, conditions awaited.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Event, Pod},
};
use kube::{
    Api, Client,
    api::{ListParams, Patch, PatchParams},
    core::{DynamicObject, GroupVersionKind},
};
use serde_json::{Value, json};
use tidegate::{
    api::{Phase, Rollout},
    cli::rbac,
    clock::Clock,
    config::Config,
    dataplane::GatewayRef,
    sandbox::{
        gateway::{Endpoints, Gateway as DataPlane, GatewayConfig},
        programmer::Programmer,
    },
};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    crds::Crds,
    metrics::Gateway,
    objects::{deployment, entry, route, weights_of},
    proxy::{Call, Proxy},
    server::{Server, create, unique},
    waiting::{Told, ToldEvent, eventually},
};

pub struct Cluster {
    pub namespace: String,
    /// Acts as people and tools do: it may do everything.
    pub client: Client,
    pub gateway: Gateway,
    /// All that the controller asks of the API server goes through here.
    pub proxy: Proxy,
    pub server: Server,
    folder: tempfile::TempDir,
    /// What the configuration says of the namespaces that are served.
    scope: String,
    controller: Option<Running>,
    /// Plays App Mesh's controller for the routes here.
    _programmer: DropGuard,
    _data_plane: DataPlane,
}

enum Running {
    /// In a runtime of its own, so that ending that ends everything it does, at once and unasked.
    Here { runtime: tokio::runtime::Runtime, stop: CancellationToken, done: tokio::task::JoinHandle<()> },
    /// The program itself.
    Program(Child),
}

impl Cluster {
    /// A cluster with routes, workloads and metrics, and the controller running.
    pub async fn start() -> Self {
        let mut cluster = Self::without_controller().await;
        cluster.run_controller();
        cluster
    }

    /// The same, where pods come and go as a test wants them to; `None`, said aloud, elsewhere.
    pub async fn with_pods_to_order() -> Option<Self> {
        let cluster = Self::start().await;
        let there = cluster.server.has_pods_to_order();
        if !there {
            crate::skip::skip("it makes pods unready, which only a control plane of tests/cluster can");
        }
        there.then_some(cluster)
    }

    pub async fn without_controller() -> Self {
        let cluster = Self::empty().await;
        cluster.create(route("color", &json!([entry("v1", 100), entry("v2", 0)]))).await;
        cluster
    }

    /// A cluster without routes, and without the controller.
    pub async fn empty() -> Self {
        Box::pin(Self::on(Server::start().await, rbac::NAME, |_| {})).await
    }

    /// A cluster with other CRDs and no route yet; `None` where that would disturb others.
    pub async fn with_crds(crds: Crds) -> Option<Self> {
        let server = Box::pin(Server::with_crds(crds)).await?;
        Some(Box::pin(Self::on(server, rbac::NAME, |_| {})).await)
    }

    /// A cluster whose controller serves all namespaces, with what is granted for that. There are no routes yet.
    pub async fn for_all_namespaces(server: Server) -> Self {
        let mut cluster = Box::pin(Self::on(server, rbac::NAME, |_| {})).await;
        cluster.server.grant_everywhere(&cluster.namespace).await;
        cluster.scope = String::new();
        cluster
    }

    /// A cluster on this server, with workloads and metrics, and with the account that the controller acts as; `granted`
    /// may change what is granted to it.
    pub async fn on(server: Server, account: &str, granted: impl Fn(&mut Value)) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        if let Ok(filter) = std::env::var("RUST_LOG") {
            let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
        }
        let namespace = unique();
        let token = server.account(&namespace, account, granted).await;
        let client = server.client().await;
        let proxy = Proxy::start(server.anonymous().await).await;
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{ "name": "test", "cluster": { "server": proxy.url() } }],
            "users": [{ "name": "test", "user": token.map_or(json!({}), |token| json!({ "token": token })) }],
            "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test" } }],
        });
        std::fs::write(folder.path().join("kubeconfig"), kubeconfig.to_string()).unwrap();
        let gateway = Gateway::start(&namespace).await;
        let scope = format!("namespaces: [{namespace}]\n");
        let clock = Clock::start();
        let data_plane =
            DataPlane::start(GatewayConfig::default(), Endpoints::default(), clock).await.unwrap();
        let programmer = CancellationToken::new();
        let gateway_ref =
            GatewayRef { name: "gw".into(), namespace: namespace.clone(), takes_unclaimed: true };
        let programming = Programmer::new(client.clone(), clock, gateway_ref, vec![data_plane.table()]);
        tokio::spawn(programming.within(&namespace).run(programmer.clone()));
        let cluster = Self {
            namespace,
            client,
            gateway,
            proxy,
            server,
            folder,
            scope,
            controller: None,
            _programmer: programmer.drop_guard(),
            _data_plane: data_plane,
        };
        let controller = tidegate::controller::client(Some(&cluster.kubeconfig())).await.unwrap();
        cluster.server.knows(&controller, &cluster.namespace).await;
        for version in ["v1", "v2", "v3"] {
            cluster.create(deployment(version)).await;
        }
        cluster
    }

    /// The controller's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    /// A file for a program that a test runs.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    pub fn config_text(&self) -> String {
        format!(
            "providers: {{default: {{envoy: {{urls: [\"{}\"], scrapeInterval: 100ms, timeout: 2s}}}}}}\n\
             listen: 127.0.0.1:0\n{}",
            self.gateway.url(),
            self.scope
        )
    }

    pub fn run_controller(&mut self) {
        let config = Config::parse(&self.config_text(), "test").unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let kubeconfig = self.kubeconfig();
        let done = runtime.spawn(async move {
            let client = tidegate::controller::client(Some(&kubeconfig)).await.unwrap();
            let stop = async move { stopped.cancelled().await };
            if let Err(error) = tidegate::controller::run(config, client, stop).await {
                eprintln!("the controller ended: {error}");
            }
        });
        self.controller = Some(Running::Here { runtime, stop, done });
    }

    /// Runs the controller as a process of its own.
    pub fn run_program(&mut self) {
        let child = self.program().spawn().unwrap();
        self.controller = Some(Running::Program(child));
    }

    /// The program, about to run as the controller; what it logs is appended to a file.
    pub fn program(&self) -> Command {
        let config = self.file("tidegate.yaml", &self.config_text());
        let log = std::fs::File::options().create(true).append(true).open(self.log()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command.arg("run").arg("--config").arg(config).arg("--kubeconfig").arg(self.kubeconfig());
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        command
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// What the program has logged.
    pub fn logged(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// The controller is gone from one moment to the next.
    pub fn kill_controller(&mut self) {
        match self.controller.take() {
            Some(Running::Here { runtime, .. }) => runtime.shutdown_background(),
            Some(Running::Program(mut child)) => {
                child.kill().unwrap();
                child.wait().unwrap();
            }
            None => {}
        }
    }

    /// The controller is asked to end, and does.
    pub async fn stop_controller(&mut self) {
        let Some(Running::Here { runtime, stop, done }) = self.controller.take() else {
            panic!("no controller runs here")
        };
        stop.cancel();
        tokio::time::timeout(Duration::from_secs(10), done).await.expect("ends in time").unwrap();
        runtime.shutdown_background();
    }

    pub async fn create(&self, object: Value) {
        create(&self.client, &self.namespace, object).await;
    }

    pub fn api_of(&self, object: &Value) -> Api<DynamicObject> {
        api_of(&self.client, &self.namespace, object)
    }

    pub fn rollouts(&self) -> Api<Rollout> {
        Api::namespaced(self.client.clone(), &self.namespace)
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
        let api: Api<Event> = Api::namespaced(self.client.clone(), &self.namespace);
        let list = || async {
            let events = api.list(&ListParams::default()).await.unwrap().items;
            events.into_iter().map(ToldEvent).collect::<Vec<_>>()
        };
        let is = |event: &ToldEvent| event.0.reason.as_deref() == Some(reason);
        let events = eventually(&format!("an Event {reason}"), list, |events| events.iter().any(is)).await;
        events.into_iter().find(is).unwrap().0
    }

    /// What the controller has asked of the API server besides lists and watches, and besides what it asks once at
    /// its start.
    pub fn calls(&self) -> Vec<Call> {
        let plain = |call: &Call| !call.resource.is_empty() && call.group != "authorization.k8s.io";
        let calls = self.proxy.calls().into_iter();
        calls.filter(|call| plain(call) && !matches!(call.verb, "list" | "watch")).collect()
    }

    /// The writes among them, Events included.
    pub fn writes(&self) -> Vec<Call> {
        self.calls().into_iter().filter(Call::is_write).collect()
    }

    /// How many pods of a workload may be ready: all, or none.
    pub async fn ready(&self, name: &str, ready: bool) {
        let deployments: Api<Deployment> = Api::namespaced(self.client.clone(), &self.namespace);
        let count = || async {
            let deployment = deployments.get(name).await.unwrap();
            deployment.status.and_then(|status| status.ready_replicas).unwrap_or_default()
        };
        if !ready {
            // Pods that are about to become ready would do so after this has been taken for done.
            eventually(&format!("{name} is up"), count, |count| *count == 2).await;
        }
        let params = PatchParams::default();
        if let Server::Sandbox(_) = self.server {
            let pods = (!ready).then_some("0");
            let annotations = json!({ tidegate::sandbox::apiserver::READY_ANNOTATION: pods });
            let patch = Patch::Merge(json!({ "metadata": { "annotations": annotations } }));
            deployments.patch(name, &params, &patch).await.unwrap();
        } else {
            let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
            let of = ListParams::default().labels(&format!("app={name}"));
            let made = || async { pods.list(&of).await.unwrap().items };
            let made = eventually("the pods are there", made, |pods| pods.len() == 2).await;
            // What plays the kubelet takes this for a probe that fails.
            let unready = (!ready).then_some("true");
            let annotations = json!({ "tidegate.dev/test-unready": unready });
            let patch = Patch::Merge(json!({ "metadata": { "annotations": annotations } }));
            for pod in made {
                pods.patch(&pod.metadata.name.unwrap(), &params, &patch).await.unwrap();
            }
        }
        eventually(&format!("{name} ready: {ready}"), count, |count| (*count > 0) == ready).await;
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.kill_controller();
        if thread::panicking() {
            eprintln!("{}", self.logged());
        }
    }
}

/// Where objects like this one live.
pub fn api_of(client: &Client, namespace: &str, object: &Value) -> Api<DynamicObject> {
    let resource = kube::core::ApiResource::from_gvk(&gvk(object));
    Api::namespaced_with(client.clone(), namespace, &resource)
}

/// What kind of object it is.
pub fn gvk(object: &Value) -> GroupVersionKind {
    let version = object["apiVersion"].as_str().unwrap();
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    GroupVersionKind::gvk(group, version, object["kind"].as_str().unwrap())
}
