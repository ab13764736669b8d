//! The whole thing over real parts: the controller, the gateways' control plane, a stock Envoy that it serves, a real Prometheus
//! that scrapes it, and load on versions with known faults.
//!
//! `TIDEGATE_ENVOY` names Envoy's program where it is not on PATH.

#[path = "../../support/beside.rs"]
mod beside;
mod control;
mod counts;
mod envoy;
mod outage;
#[path = "../../support/ports.rs"]
mod ports;
#[path = "../../support/program.rs"]
mod program;
mod prometheus;
mod runs;
mod sidecars;

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroU32,
    time::Duration,
};

use tidegate::{
    api::RouteKind,
    clock::Clock,
    sandbox::{
        backends::{Backend, Faults},
        load::{Load, LoadConfig, Tally},
    },
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Mutex, MutexGuard},
    task::JoinHandle,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::{
    control::{ControlPlane, one_port, until_taken},
    envoy::{Envoy, GATEWAY, MESH, NODE},
    prometheus::{Prometheus, SCRAPE},
};
use crate::{cluster::Cluster, objects::reference, skip::skip, waiting::eventually};

/// Requests a second.
const RATE: NonZeroU32 = NonZeroU32::new(1000).unwrap();

/// They end in this order: the folder with what they have said goes with the cluster.
struct Parts {
    prometheus: Prometheus,
    _envoy: Envoy,
    control: ControlPlane,
    place: Place,
    versions: BTreeMap<&'static str, Backend>,
    cluster: Cluster,
    _turn: MutexGuard<'static, ()>,
}

/// Where the Envoy stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It is a gateway, with a GatewayRoute.
    Gateway,
    /// It stands beside a pod that calls what a VirtualRouter weighs, and takes what that sends there.
    BesidePod(SocketAddr),
}

/// Their load is for one at a time: what else is tested beside it has to keep its times.
static TURN: Mutex<()> = Mutex::const_new(());

impl Parts {
    /// The parts around a route with these weights of `v1` and `v2`, without the controller; `None`, said aloud, where
    /// the machine lacks a program.
    async fn start(weights: [i64; 2]) -> Option<Self> {
        Self::start_at(|| Some(Place::Gateway), weights).await
    }

    /// The same beside a pod.
    async fn start_beside(weights: [i64; 2]) -> Option<Self> {
        let place = || {
            let found = beside::beside_a_pod();
            if found.is_none() {
                skip("somebody listens on 15000 or 15001");
            }
            found.map(|[_, egress]| Place::BesidePod(egress))
        };
        Self::start_at(place, weights).await
    }

    async fn start_at(place: impl FnOnce() -> Option<Place>, weights: [i64; 2]) -> Option<Self> {
        let programs = [(program::envoy(), "envoy"), (prometheus::PROGRAM.into(), prometheus::PROGRAM)];
        for (program, name) in &programs {
            if !program::is_there(program) {
                skip(&format!("it needs {name}, and {} does not run here", program.display()));
                return None;
            }
        }
        let turn = TURN.lock().await;
        let place = place()?;
        let mut cluster = Cluster::empty().await;
        // The gateway here is Envoy, and nobody else says what it has taken up.
        cluster.kill_mesh();
        cluster.kind = match place {
            Place::Gateway => RouteKind::GatewayRoute,
            Place::BesidePod(_) => RouteKind::VirtualRouter,
        };
        // One port, for it is a part of the names that Envoy counts by.
        let hosts = [Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 2)];
        let mut versions = BTreeMap::new();
        for ((seed, version), listener) in [(1, "v1"), (2, "v2")].into_iter().zip(one_port(&hosts)) {
            listener.set_nonblocking(true).unwrap();
            let listener = TcpListener::from_std(listener).unwrap();
            versions.insert(version, Backend::start_on(listener, version, version, seed).unwrap());
        }
        let address = |version: &str| versions[version].address();
        let [stable, canary] = weights;
        let all = [("v1", address("v1"), stable), ("v2", address("v2"), canary)];
        let control = ControlPlane::start(&cluster, place, &all).await;
        let envoy = Envoy::start(&cluster, place, &control);
        until_taken(&cluster, "v2", canary).await;
        let prometheus = Prometheus::start(cluster.folder.path(), envoy.stats).await;
        cluster.providers = format!(
            "{{prometheus: {{prometheus: {{url: \"{}\", scrapeInterval: {SCRAPE:?}, timeout: 2s}}}}, \
              envoy: {{envoy: {{registry: \"http://{}/envoys\", {}, scrapeInterval: {SCRAPE:?}, timeout: 2s}}}}}}",
            prometheus.url(),
            control.registry,
            match place {
                Place::Gateway => format!("gateway: {}/{GATEWAY}", cluster.namespace),
                Place::BesidePod(_) => format!("virtualNodes: [{}/{NODE}]", cluster.namespace),
            },
        );
        Some(Self { prometheus, _envoy: envoy, control, place, versions, cluster, _turn: turn })
    }

    /// The port of both versions.
    fn port(&self) -> u16 {
        self.versions["v1"].address().port()
    }

    /// The share of requests that a version fails from now on.
    fn fail(&self, version: &str, error_share: f64) {
        self.versions[version].set_faults(Faults { error_share, ..Faults::default() });
    }

    /// A version refuses connections from now on.
    async fn take_down(&self, version: &str) {
        let backend = &self.versions[version];
        backend.set_faults(Faults { down: true, ..Faults::default() });
        let refuses = || async { TcpStream::connect(backend.address()).await.is_err() };
        eventually("it refuses connections", refuses, |refuses| *refuses).await;
    }

    /// Requests go to Envoy from now on.
    fn send(&self) -> Sending {
        let mut headers = http::HeaderMap::new();
        if self.place != Place::Gateway {
            headers.insert(http::header::HOST, format!("color.{}", self.cluster.namespace).parse().unwrap());
        }
        self.send_with(headers)
    }

    fn send_with(&self, headers: http::HeaderMap) -> Sending {
        let config = LoadConfig {
            url: format!("http://{}/color", self.control.ingress).parse().unwrap(),
            rate: RATE,
            in_flight: 100,
            timeout: Duration::from_secs(10),
            headers,
        };
        let load = Load::new(config, Clock::start()).unwrap();
        let (sender, stop) = (load.clone(), CancellationToken::new());
        let stopped = stop.clone();
        let done = tokio::spawn(async move { sender.run(None, &stopped).await });
        Sending { load, done, stop: stop.drop_guard() }
    }

    /// What came of at least so many requests.
    async fn send_some(&self, requests: u64) -> Tally {
        Self::until_answered(self.send(), requests).await
    }

    /// The same of requests that are tried again where they fail.
    async fn send_some_retried(&self, requests: u64) -> Tally {
        let header = (http::HeaderName::from_static(envoy::RETRIED), http::HeaderValue::from_static("yes"));
        Self::until_answered(self.send_with([header].into_iter().collect()), requests).await
    }

    /// All of some requests are answered by a version.
    async fn all_go_to(&self, version: &str) {
        let after = self.send_some(500).await;
        assert_eq!(
            (after.of(version), after.failed),
            (after.total(), 0),
            "{version} has all traffic: {after:?}"
        );
    }

    async fn until_answered(sending: Sending, requests: u64) -> Tally {
        let sent = || async { sending.load.tally().total() };
        eventually("the load is answered", sent, |sent| *sent >= requests).await;
        sending.stop().await
    }

    /// A Rollout to `v2` by steps, judged by what a provider counts of this Envoy.
    fn rollout(&self, provider: &str, canary: &str) -> String {
        let port = self.port();
        let route = reference(self.cluster.kind, "color");
        let series = match self.place {
            Place::Gateway => format!("preset: appmesh-envoy, params: {{mesh: {MESH}, gateway: {GATEWAY}, "),
            Place::BesidePod(_) => format!("preset: tidegate-gateway, params: {{mesh: {MESH}, "),
        };
        format!(
            r#"
apiVersion: tidegate.dev/v1alpha1
kind: Rollout
metadata: {{name: color}}
spec:
  routes: [{route}]
  target: {{name: v2, workloadRef: {{apiVersion: apps/v1, kind: Deployment, name: v2}}}}
  strategy: {{canary: {canary}}}
  analysis:
    provider: {provider}
    interval: 1s
    settle: 2s
    series: {{{series}port: "{port}"}}}}
    errorRate: {{}}
"#
        )
    }
}

/// Load that goes on until it is stopped.
struct Sending {
    load: Load,
    done: JoinHandle<Tally>,
    stop: DropGuard,
}

impl Sending {
    /// Waits for all answers; what they were.
    async fn stop(self) -> Tally {
        drop(self.stop);
        self.done.await.unwrap()
    }
}

/// Every request was answered, and well.
fn none_is_lost(tally: &Tally) {
    let bad: Vec<_> = tally.answers.iter().filter(|((_, status), _)| *status != 200).collect();
    assert_eq!((tally.failed, bad), (0, vec![]), "of {} requests", tally.total());
}

/// Requests of a version, and how many of them failed. What Envoy answered itself was for one that refuses connections.
fn counted(tally: &Tally, version: &str, refuses: bool) -> (u64, u64) {
    let its = |seen: &str| seen == version || (refuses && seen.is_empty());
    let answers = || tally.answers.iter().filter(|((seen, _), _)| its(seen));
    let failed = answers().filter(|((_, status), _)| *status >= 500);
    (answers().map(|(_, count)| count).sum(), failed.map(|(_, count)| count).sum())
}

/// What a program answers in JSON, once it does.
async fn ask(url: &str) -> Option<serde_json::Value> {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.get(url).send().await.ok()?;
    serde_json::from_str(&answer.text().await.ok()?).ok()
}
