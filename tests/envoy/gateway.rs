//! A gateway as the tests have one: objects, a control plane that serves what is made of them, and an Envoy.

use std::{collections::BTreeMap, net::SocketAddr, process::Command};

use serde_json::{Value, json};
use tidegate::{
    dataplane::{ObjectKind, Planned, plan},
    sandbox::backends::Backend,
    xds::{Bootstrap, Connected, Discovery, Gateway, Hub, Snapshot},
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    ports::free_address,
    program::{Program, envoy, is_there},
    skip::skip,
    waiting::eventually,
};

const NAMESPACE: &str = "shop";

/// Everything of a gateway.
pub struct Bed {
    pub gateway: Gateway,
    pub hub: Hub,
    /// The number of what it is to have.
    published: u64,
    control: SocketAddr,
    control_plane: Option<(CancellationToken, JoinHandle<()>)>,
    /// Where Envoy takes requests.
    pub ingress: SocketAddr,
    /// All such places, the first of which that is, and what is spoken there.
    pub ports: Vec<(SocketAddr, &'static str)>,
    /// What is kept running for it.
    backends: Vec<Backend>,
    /// Where each version listens.
    versions: BTreeMap<String, SocketAddr>,
    /// Where others listen, by the ends of their clusters' names.
    pub found: Vec<(String, SocketAddr)>,
    routes: Vec<Value>,
    /// Other objects besides.
    pub beside: Vec<(ObjectKind, Value)>,
    http: reqwest::Client,
    _envoy: Program,
    _folder: tempfile::TempDir,
}

/// Sends requests.
pub fn client() -> reqwest::Client {
    // Another test may have installed it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

pub fn object(name: &str, spec: Value) -> Value {
    json!({"metadata": {"namespace": NAMESPACE, "name": name}, "spec": spec})
}

impl Bed {
    /// A gateway over these versions, which answer with their name; none where there is no Envoy.
    pub async fn start(versions: &[&str], routes: Vec<Value>) -> Option<Self> {
        let (mut backends, mut addresses) = (Vec::new(), BTreeMap::new());
        for version in versions {
            let backend = Backend::start(version, version, 1).await.unwrap();
            addresses.insert(*version, backend.address());
            backends.push(backend);
        }
        let bed = Self::start_with(addresses, routes).await?;
        Some(Self { backends, ..bed })
    }

    /// The same over versions that listen there.
    pub async fn start_with(versions: BTreeMap<&str, SocketAddr>, routes: Vec<Value>) -> Option<Self> {
        Self::start_at(&["http"], versions, routes).await
    }

    /// The same with ports that speak these.
    pub async fn start_at(
        ports: &[&'static str],
        versions: BTreeMap<&str, SocketAddr>,
        routes: Vec<Value>,
    ) -> Option<Self> {
        if !is_there(&envoy()) {
            skip("there is no envoy: TIDEGATE_ENVOY may name one");
            return None;
        }
        let gateway = Gateway { namespace: NAMESPACE.into(), name: "gw".into() };
        let control = free_address();
        let ports: Vec<_> = ports.iter().map(|protocol| (free_address(), *protocol)).collect();
        let folder = tempfile::tempdir().unwrap();
        let bootstrap = Bootstrap {
            gateway: gateway.clone(),
            mesh: "mesh".into(),
            host: control.ip().to_string(),
            port: control.port(),
            tls: None,
            admin: ("127.0.0.1".into(), 0),
            stats: None,
            secrets: None,
        };
        let config = folder.path().join("envoy.json");
        std::fs::write(&config, bootstrap.config().to_string()).unwrap();
        let mut command = Command::new(envoy());
        command.arg("-c").arg(&config);
        command.args(["--disable-hot-restart", "--concurrency", "1", "-l", "warn"]);
        let mut bed = Self {
            gateway,
            hub: Hub::default(),
            published: 0,
            control,
            control_plane: None,
            ingress: ports[0].0,
            ports,
            found: Vec::new(),
            backends: Vec::new(),
            versions: versions.into_iter().map(|(name, at)| (name.to_owned(), at)).collect(),
            routes,
            beside: Vec::new(),
            http: client(),
            _envoy: Program::start(command, folder.path().join("envoy.log")),
            _folder: folder,
        };
        bed.serve();
        bed.publish();
        bed.settled().await;
        Some(bed)
    }

    /// Ends the control plane.
    pub async fn stop(&mut self) {
        if let Some((stop, running)) = self.control_plane.take() {
            stop.cancel();
            running.await.unwrap();
        }
    }

    /// Another version, whose objects are new.
    pub async fn add(&mut self, version: &str) {
        let backend = Backend::start(version, version, 1).await.unwrap();
        self.versions.insert(version.to_owned(), backend.address());
        self.backends.push(backend);
    }

    /// Starts a control plane.
    pub fn serve(&mut self) {
        self.hub = Hub::default();
        let stop = CancellationToken::new();
        let server = tonic::transport::Server::builder()
            .add_service(Discovery::service(self.hub.clone(), stop.clone()));
        let (control, stopped) = (self.control, stop.clone());
        let running = tokio::spawn(async move {
            let shutdown = stopped.cancelled_owned();
            server.serve_with_shutdown(control, shutdown).await.unwrap();
        });
        self.control_plane = Some((stop, running));
    }

    /// Other routes.
    pub fn route(&mut self, routes: Vec<Value>) {
        self.routes = routes;
        self.publish();
    }

    /// Serves what the objects say.
    pub fn publish(&mut self) -> Planned {
        let (planned, found) = self.planned();
        let (snapshot, rejected) = Snapshot::of(&planned.plan, &found);
        assert!(rejected.is_empty(), "{rejected:?}");
        self.published = self.hub.publish(&self.gateway, snapshot);
        planned
    }

    fn planned(&self) -> (Planned, BTreeMap<String, Vec<SocketAddr>>) {
        let listener = |(address, protocol): &(SocketAddr, &str)| json!({"portMapping": {"port": address.port(), "protocol": protocol}});
        let listeners: Vec<Value> = self.ports.iter().map(listener).collect();
        let gateway = object("gw", json!({"listeners": listeners, "namespaceSelector": {}}));
        let mut objects = self.behind();
        objects.extend(self.routes.iter().map(|route| (ObjectKind::GatewayRoute, route.clone())));
        let objects = objects.iter().map(|(kind, object)| (*kind, object));
        let planned = plan(&gateway, &BTreeMap::new(), objects).unwrap();
        let address = |name: &String| {
            let of_name = |version: &String| name.contains(&format!("_{version}_{NAMESPACE}_"));
            let at = self.versions.iter().filter(|(version, _)| of_name(version));
            let found = self.found.iter().filter(|(end, _)| name.ends_with(end));
            at.map(|(_, address)| *address).chain(found.map(|(_, address)| *address)).collect::<Vec<_>>()
        };
        let found = planned.plan.clusters.keys().map(|name| (name.clone(), address(name))).collect();
        (planned, found)
    }

    /// The virtual services and the nodes behind them.
    pub fn behind(&self) -> Vec<(ObjectKind, Value)> {
        let mut objects = self.beside.clone();
        for version in self.versions.keys() {
            let provider = json!({"provider": {"virtualNode": {"virtualNodeRef": {"name": version}}}});
            objects.push((ObjectKind::VirtualService, object(version, provider)));
            let node = json!({"listeners": [{"portMapping": {"port": 8080, "protocol": "http"}}]});
            objects.push((ObjectKind::VirtualNode, object(version, node)));
        }
        objects
    }

    /// Waits until Envoy has all that it should have.
    pub async fn settled(&self) {
        let look = || async { self.hub.envoys() };
        let number = self.published;
        let has = |envoys: &Vec<Connected>| envoys.len() == 1 && envoys[0].has == number;
        eventually("Envoy has what it should", look, has).await;
    }

    /// Sends a request; which version answered, or the status.
    pub async fn get(&self, path: &str) -> String {
        let answer = self.http.get(format!("http://{}{path}", self.ingress)).send().await.unwrap();
        let version =
            answer.headers().get("x-app-version").map(|version| version.to_str().unwrap().to_owned());
        version
            .filter(|_| answer.status().is_success())
            .unwrap_or_else(|| answer.status().as_u16().to_string())
    }

    /// Sends so many requests, one after the other; how many each answered.
    pub async fn tally(&self, path: &str, requests: usize) -> BTreeMap<String, usize> {
        let mut tally = BTreeMap::new();
        for _ in 0..requests {
            *tally.entry(self.get(path).await).or_default() += 1;
        }
        tally
    }
}
