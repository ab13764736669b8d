//! One handle on a cluster: objects in, the controller running, conditions awaited.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    thread,
};

use k8s_openapi::api::core::v1::Event;
use kube::{Api, Client, api::ListParams, core::DynamicObject};
use serde_json::{Value, json};
use tidegate::{
    api::{Phase, Rollout, RouteKind},
    cli::rbac,
    clock::Clock,
    dataplane::GatewayRef,
    sandbox::{
        gateway::{Endpoints, Gateway as DataPlane, GatewayConfig},
        programmer::Programmer,
    },
};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    access::kubeconfig,
    call::Call,
    crds::Crds,
    metrics::Gateway,
    objects::{deployment, entry, route, route_of, way_to, weights_of},
    proxy::Proxy,
    running::Running,
    server::{Server, api_of, create, unique},
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
    pub folder: tempfile::TempDir,
    /// What the configuration says of the metric providers.
    pub providers: String,
    /// What the configuration says of the namespaces that are served.
    pub scope: String,
    /// Where the next controller serves health and metrics.
    pub listen: SocketAddr,
    /// Controllers may create and delete routes.
    pub previews: bool,
    /// Several controllers are to share the Rollouts.
    pub sharing: bool,
    pub controller: Option<Running>,
    /// The kind of the routes that the test is about.
    pub kind: RouteKind,
    /// Plays App Mesh's controller for the routes here.
    programmer: Option<DropGuard>,
    data_plane: DataPlane,
}

impl Cluster {
    /// A cluster with routes, workloads and metrics, and the controller running.
    pub async fn start() -> Self {
        let mut cluster = Self::without_controller().await;
        cluster.run_controller();
        cluster
    }

    /// The same with a route of a kind.
    pub async fn of_kind(kind: RouteKind) -> Self {
        let mut cluster = Self::empty().await;
        cluster.kind = kind;
        cluster.create(route_of(kind, "color", &[("v1", 100), ("v2", 0)])).await;
        cluster.create_way_to("color").await;
        cluster.run_controller();
        cluster
    }

    /// Creates what a gateway needs to come to a route, where its kind needs anything.
    pub async fn create_way_to(&self, route: &str) {
        if self.kind == RouteKind::VirtualRouter {
            for object in way_to(route) {
                self.create(object).await;
            }
        }
    }

    /// A cluster whose pods come and go as a test wants them to, without the controller; `None`, said aloud, elsewhere.
    pub async fn with_pods_to_order() -> Option<Self> {
        let cluster = Self::without_controller().await;
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
        let granted = cluster.server.grant_everywhere(&cluster.namespace).await;
        cluster.may_do(&granted).await;
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
        let account = server.account(&namespace, account, granted).await;
        let client = server.client().await;
        let proxy = Proxy::start(server.anonymous().await).await;
        let folder = tempfile::tempdir().unwrap();
        let text = kubeconfig(proxy.url(), account.token.as_deref());
        std::fs::write(folder.path().join("kubeconfig"), text).unwrap();
        let gateway = Gateway::start(&namespace, client.clone()).await;
        let providers = format!(
            "{{default: {{envoy: {{urls: [\"{}\"], scrapeInterval: 100ms, timeout: 2s}}}}}}",
            gateway.url()
        );
        let scope = format!("namespaces: [{namespace}]\n");
        let data_plane =
            DataPlane::start(GatewayConfig::default(), Endpoints::default(), Clock::start()).await.unwrap();
        let mut cluster = Self {
            namespace,
            client,
            gateway,
            proxy,
            server,
            folder,
            providers,
            scope,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            previews: true,
            sharing: false,
            controller: None,
            kind: RouteKind::GatewayRoute,
            programmer: None,
            data_plane,
        };
        cluster.run_mesh();
        cluster.may_do(&account.granted).await;
        for version in ["v1", "v2", "v3"] {
            cluster.create(deployment(version)).await;
        }
        cluster
    }

    /// What is written to routes takes effect, and their status says so.
    pub fn run_mesh(&mut self) {
        let stop = CancellationToken::new();
        let gateway =
            GatewayRef { name: "gw".into(), namespace: self.namespace.clone(), takes_unclaimed: true };
        let tables = vec![self.data_plane.table()];
        let programmer = Programmer::new(self.client.clone(), Clock::start(), gateway, tables);
        tokio::spawn(programmer.within(&self.namespace).run(stop.clone()));
        self.programmer = Some(stop.drop_guard());
    }

    /// Nobody takes up any more what is written to routes.
    pub fn kill_mesh(&mut self) {
        self.programmer = None;
    }

    /// The controller's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    /// Controllers that are run from now on go through another proxy; returns the one before.
    pub async fn through_another_proxy(&mut self) -> Proxy {
        let proxy = Proxy::start(self.server.anonymous().await).await;
        let text = std::fs::read_to_string(self.kubeconfig()).unwrap();
        self.file("kubeconfig", &text.replace(self.proxy.url(), proxy.url()));
        std::mem::replace(&mut self.proxy, proxy)
    }

    /// A file for a program that a test runs.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
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
        self.api_of(&route_of(self.kind, "any", &[]))
    }

    /// The weights on a route.
    pub async fn weights(&self, name: &str) -> BTreeMap<String, i64> {
        weights_of(self.kind, &self.routes().get(name).await.unwrap())
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

    /// The Events with this reason.
    pub async fn events(&self, reason: &str) -> Vec<ToldEvent> {
        let api: Api<Event> = Api::namespaced(self.client.clone(), &self.namespace);
        let events = api.list(&ListParams::default()).await.unwrap().items.into_iter();
        events.filter(|event| event.reason.as_deref() == Some(reason)).map(ToldEvent).collect()
    }

    /// Waits for an Event with this reason.
    pub async fn event(&self, reason: &str) -> Event {
        let list = || self.events(reason);
        let mut events = eventually(&format!("an Event {reason}"), list, |events| !events.is_empty()).await;
        events.remove(0).0
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

    /// How many patches of a route were taken. One is refused, and made anew, where somebody else wrote to the route, as whoever
    /// reports on its status does, between the look and the patch.
    pub fn route_patches(&self, name: &str) -> usize {
        let patches =
            self.writes().into_iter().filter(|call| call.verb == "patch" && call.resource != "rollouts");
        patches.filter(|call| call.name == name && call.code == Some(200)).count()
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
