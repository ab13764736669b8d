//! A gateway as the tests have one: objects, and an Envoy that is served what is made of them.

use std::{collections::BTreeMap, net::SocketAddr};

use serde_json::{Value, json};
use tidegate::{
    dataplane::{ObjectKind, Planned, plan},
    sandbox::backends::Backend,
    xds::Fleet,
};

use crate::{ports::free_address, served::Served};

pub const NAMESPACE: &str = "shop";

/// Everything of a gateway.
pub struct Bed {
    pub served: Served,
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
}

/// Sends requests.
pub fn client() -> reqwest::Client {
    // Another test may have installed it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// Which version answers a request, or the status.
pub async fn answered(request: reqwest::RequestBuilder) -> String {
    let answer = request.send().await.unwrap();
    let version = answer.headers().get("x-app-version").map(|version| version.to_str().unwrap().to_owned());
    version.filter(|_| answer.status().is_success()).unwrap_or_else(|| answer.status().as_u16().to_string())
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
        let served = Served::start(Fleet::gateway(NAMESPACE, "gw"))?;
        let ports: Vec<_> = ports.iter().map(|protocol| (free_address(), *protocol)).collect();
        let mut bed = Self {
            served,
            ingress: ports[0].0,
            ports,
            found: Vec::new(),
            backends: Vec::new(),
            versions: versions.into_iter().map(|(name, at)| (name.to_owned(), at)).collect(),
            routes,
            beside: Vec::new(),
            http: client(),
        };
        bed.publish();
        bed.settled().await;
        Some(bed)
    }

    /// Another version, whose objects are new.
    pub async fn add(&mut self, version: &str) {
        let backend = Backend::start(version, version, 1).await.unwrap();
        self.versions.insert(version.to_owned(), backend.address());
        self.backends.push(backend);
    }

    /// Other routes.
    pub fn route(&mut self, routes: Vec<Value>) {
        self.routes = routes;
        self.publish();
    }

    /// Serves what the objects say.
    pub fn publish(&mut self) -> Planned {
        let (planned, found) = self.planned();
        self.served.publish(&planned.plan, &found);
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
        self.served.settled().await;
    }

    /// Sends a request; which version answered, or the status.
    pub async fn get(&self, path: &str) -> String {
        answered(self.http.get(format!("http://{}{path}", self.ingress))).await
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
