//! The whole controller over real parts: a real Envoy whose weights follow the route's, a real Prometheus that scrapes
//! it, and load on versions with known faults.
//!
//! `TIDEGATE_ENVOY` names Envoy's program where it is not on PATH.

mod counts;
mod envoy;
mod follower;
mod outage;
#[path = "../../support/program.rs"]
mod program;
mod prometheus;
mod runs;

use std::{collections::BTreeMap, num::NonZeroU32, path::Path, time::Duration};

use tidegate::{
    clock::Clock,
    sandbox::{
        backends::{Backend, Faults},
        load::{Load, LoadConfig, Tally},
    },
};
use tokio::{
    net::TcpStream,
    sync::{Mutex, MutexGuard},
    task::JoinHandle,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::{
    envoy::{Envoy, GATEWAY, MESH, PORT},
    follower::Follower,
    prometheus::{Prometheus, SCRAPE},
};
use crate::{
    cluster::Cluster,
    objects::{entry, route},
    skip::skip,
    waiting::eventually,
};

/// Requests a second.
const RATE: NonZeroU32 = NonZeroU32::new(500).unwrap();

/// They end in this order: the folder with what they have said goes with the cluster.
struct Parts {
    follower: Follower,
    prometheus: Prometheus,
    envoy: Envoy,
    versions: BTreeMap<&'static str, Backend>,
    cluster: Cluster,
    _turn: MutexGuard<'static, ()>,
}

/// Their load is for one at a time: what else is tested beside it has to keep its times.
static TURN: Mutex<()> = Mutex::const_new(());

impl Parts {
    /// The parts around a route with these weights of `v1` and `v2`, without the controller; `None`, said aloud, where
    /// the machine lacks a program.
    async fn start(weights: [i64; 2]) -> Option<Self> {
        let programs = [(program::envoy(), "envoy"), (prometheus::PROGRAM.into(), prometheus::PROGRAM)];
        for (program, name) in &programs {
            if !program::is_there(program) {
                skip(&format!("it needs {name}, and {} does not run here", program.display()));
                return None;
            }
        }
        let turn = TURN.lock().await;
        let mut cluster = Cluster::empty().await;
        // The gateway here is Envoy, and nobody else says what it has taken up.
        cluster.kill_mesh();
        let [stable, canary] = weights;
        let entries = [entry("v1", stable), entry("v2", canary)];
        cluster.create(route("color", &entries.as_slice().into())).await;
        let mut versions = BTreeMap::new();
        for (seed, (version, colour)) in (1..).zip([("v1", "blue"), ("v2", "green")]) {
            versions.insert(version, Backend::start(version, colour, seed).await.unwrap());
        }
        let addresses = versions.iter().map(|(version, backend)| (*version, backend.address())).collect();
        let weights = [("v1".to_owned(), stable), ("v2".to_owned(), canary)].into();
        let folder: &Path = cluster.folder.path();
        let envoy = Envoy::start(folder, &cluster.namespace, &addresses, &weights).await;
        let prometheus = Prometheus::start(folder, envoy.routes.admin).await;
        cluster.providers = format!(
            "{{prometheus: {{prometheus: {{url: \"{}\", scrapeInterval: {SCRAPE:?}, timeout: 2s}}}}, \
              envoy: {{envoy: {{urls: [\"{}\"], scrapeInterval: {SCRAPE:?}, timeout: 2s}}}}}}",
            prometheus.url(),
            envoy.stats()
        );
        let follower = Follower::start(&cluster, envoy.routes.clone());
        follower.until_taken("v2", canary).await;
        Some(Self { follower, prometheus, envoy, versions, cluster, _turn: turn })
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
        self.send_with(http::HeaderMap::new())
    }

    fn send_with(&self, headers: http::HeaderMap) -> Sending {
        let config = LoadConfig {
            url: format!("http://{}/color", self.envoy.ingress).parse().unwrap(),
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

    async fn until_answered(sending: Sending, requests: u64) -> Tally {
        let sent = || async { sending.load.tally().total() };
        eventually("the load is answered", sent, |sent| *sent >= requests).await;
        sending.stop().await
    }

    /// A Rollout to `v2` by steps, judged by what a provider counts of this Envoy.
    fn rollout(provider: &str, canary: &str) -> String {
        format!(
            r#"
apiVersion: tidegate.dev/v1alpha1
kind: Rollout
metadata: {{name: color}}
spec:
  routes: [{{group: appmesh.k8s.aws, kind: GatewayRoute, name: color}}]
  target: {{name: v2, workloadRef: {{apiVersion: apps/v1, kind: Deployment, name: v2}}}}
  strategy: {{canary: {canary}}}
  analysis:
    provider: {provider}
    interval: 1s
    settle: 2s
    series: {{preset: appmesh-envoy, params: {{mesh: {MESH}, gateway: {GATEWAY}, port: "{PORT}"}}}}
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
