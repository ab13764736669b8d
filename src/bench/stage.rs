//! What a part of a bench plays on: a namespace of its own with Deployments, metrics, a controller confined to it, and
//! eyes on all that.

use std::{
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Namespace};
use kube::{
    Api, Resource,
    api::{ApiResource, DynamicObject, GroupVersionKind, ObjectMeta, Patch, PatchParams, PostParams},
};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    cleaning::Rooms,
    error::BenchError,
    eyes::{Eyes, Seen},
    objects::{self, PAIRS, Pair, Way},
    process::{Controller, Usage},
    progress::Progress,
    prometheus::{Prometheus, SCRAPE_INTERVAL},
    receiver::Receiver,
    replica::{Replica, free_port},
    server::Server,
};
use crate::api::{
    ABORT_ANNOTATION, Abort, REQUEST_ANNOTATION, Request, RequestAction, Rollout, units::spell,
};

/// How long anything may take that should take a second, and takes longer where the API server has too much to do.
pub const PATIENCE: Duration = Duration::from_mins(3);
/// How often readiness is asked for.
const ASK: Duration = Duration::from_millis(10);

/// A namespace with everything in it.
pub struct Stage<'a> {
    /// The API server.
    pub server: &'a Server,
    /// What is run as the controller.
    program: &'a Path,
    /// Where progress is told.
    pub progress: &'a Progress,
    /// The namespace.
    pub namespace: String,
    /// What is seen there.
    pub eyes: Eyes,
    /// The metrics.
    pub prometheus: Prometheus,
    /// With a Lease between two replicas, a scrape of both, and a receiver of notices.
    everything: bool,
    /// Who is told, where everything is on.
    pub receiver: Option<Receiver>,
    controller: Option<Replica>,
    /// The one that waits for the Lease, where there is one.
    standby: Option<Replica>,
    /// How many have been started.
    started: usize,
    folder: Folder,
    http: reqwest::Client,
}

impl<'a> Stage<'a> {
    /// Makes the namespace, the pairs of Deployments, and waits until they are ready. No controller runs yet.
    pub async fn set(
        server: &'a Server,
        program: &'a Path,
        progress: &'a Progress,
        rooms: &Rooms,
        everything: bool,
    ) -> Result<Self, BenchError> {
        let namespace = format!("tidegate-bench-{:08x}", fastrand::u32(..));
        rooms.add(&namespace);
        let api: Api<Namespace> = Api::all(server.client.clone());
        let metadata = ObjectMeta { name: Some(namespace.clone()), ..ObjectMeta::default() };
        let object = Namespace { metadata, ..Namespace::default() };
        api.create(&PostParams::default(), &object)
            .await
            .map_err(BenchError::api(format!("create the namespace {namespace}")))?;
        let eyes = Eyes::open(server, &namespace);
        let prometheus = Prometheus::start(server.clock, eyes.seen()).await?;
        let receiver = if everything { Some(Receiver::start().await?) } else { None };
        let folder = Folder::make()?;
        let stage = Self {
            server,
            program,
            progress,
            eyes,
            namespace,
            prometheus,
            everything,
            receiver,
            controller: None,
            standby: None,
            started: 0,
            folder,
            http: reqwest::Client::new(),
        };
        stage.deploy().await?;
        Ok(stage)
    }

    /// Starts a controller, or leaves it to the one that waits; returns when.
    pub fn start(&mut self) -> Result<Timestamp, BenchError> {
        let started = self.server.clock.now();
        self.controller = match self.standby.take() {
            Some(standby) => Some(standby),
            None => Some(self.replica()?),
        };
        Ok(started)
    }

    /// Waits until the controller says that it is ready, and returns when it did. Where everything is on, it waits on until
    /// that one leads and another one waits: a Lease that one before it left behind has to run out first.
    pub async fn ready(&mut self) -> Result<Timestamp, BenchError> {
        self.comes("the controller being ready", async |stage| match &stage.controller {
            Some(controller) => controller.is_ready().await,
            None => false,
        })
        .await?;
        let ready = self.server.clock.now();
        if !self.everything {
            return Ok(ready);
        }
        self.comes("the controller leading", async |stage| match &stage.controller {
            Some(controller) => controller.leads().await,
            None => false,
        })
        .await?;
        if self.standby.is_none() {
            self.standby = Some(self.replica()?);
            self.comes("the other replica being ready", async |stage| match &stage.standby {
                Some(standby) => standby.is_ready().await,
                None => false,
            })
            .await?;
        }
        Ok(ready)
    }

    /// Kills the controller as a machine that loses power would. One that waits is left.
    pub fn lose(&mut self) {
        if let Some(controller) = self.controller.take() {
            controller.kill();
        }
    }

    /// Kills all replicas.
    pub fn kill(&mut self) {
        self.lose();
        if let Some(standby) = self.standby.take() {
            standby.kill();
        }
    }

    /// Another process of the controller, with a port and a configuration of its own.
    fn replica(&mut self) -> Result<Replica, BenchError> {
        self.started += 1;
        let listen = free_port()?;
        let config = format!("config-{}.yaml", self.started);
        let text = configuration(&self.prometheus.url(), &self.namespace, listen, self.receiver.as_ref());
        self.folder.write(&config, &text)?;
        let log = self.folder.path(&format!("controller-{}.log", self.started));
        let (config, kubeconfig) = (self.folder.path(&config), self.server.kubeconfig());
        let process = Controller::start(self.program, &config, kubeconfig, &log)?;
        Ok(Replica::new(process, listen, &self.http, self.everything))
    }

    async fn comes(&self, what: &str, has_come: impl AsyncFn(&Self) -> bool) -> Result<(), BenchError> {
        let asking = async {
            while !has_come(self).await {
                tokio::time::sleep(ASK).await;
            }
        };
        tokio::time::timeout(PATIENCE, asking).await.map_err(|_| self.late(what, PATIENCE))
    }

    /// What the kernel says of the controller.
    pub fn usage(&self) -> Result<Usage, BenchError> {
        match &self.controller {
            Some(controller) => controller.usage(),
            None => Err(self.late("a running controller", Duration::ZERO)),
        }
    }

    /// Waits until the controller has nothing to do: a second without processor time to speak of.
    pub async fn quiet(&self) -> Result<(), BenchError> {
        const LOOK: Duration = Duration::from_secs(1);
        const NOTHING: Duration = Duration::from_millis(20);
        let mut before = self.usage()?.cpu;
        for _ in 0..PATIENCE.as_secs() {
            tokio::time::sleep(LOOK).await;
            let now = self.usage()?.cpu;
            if now.saturating_sub(before) <= NOTHING {
                return Ok(());
            }
            before = now;
        }
        Err(self.late("a second without work", PATIENCE))
    }

    /// Waits until a look finds something.
    pub async fn until<T>(
        &self,
        what: &str,
        limit: Duration,
        look: impl FnMut(&Seen) -> Option<T>,
    ) -> Result<T, BenchError> {
        self.eyes.until(limit, look).await.ok_or_else(|| self.late(what, limit))
    }

    /// Creates a route and a Rollout of the same name.
    pub async fn roll(&self, name: &str, pair: Pair, way: &Way) -> Result<(), BenchError> {
        let routes = self.server.routes;
        self.create(objects::route(routes, name, pair)).await?;
        self.create(objects::rollout(routes, name, pair, way)).await?;
        Ok(())
    }

    /// Creates an object in the namespace.
    pub async fn create(&self, object: Value) -> Result<DynamicObject, BenchError> {
        let text =
            |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (version, kind, name) = (text("/apiVersion"), text("/kind"), text("/metadata/name"));
        let (group, version) = version.split_once('/').unwrap_or(("", &version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &kind));
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.server.client.clone(), &self.namespace, &resource);
        let failed = || format!("create the {kind} {name}");
        let object = serde_json::from_value(object)
            .map_err(|source| BenchError::api(failed())(kube::Error::SerdeError(source)))?;
        api.create(&PostParams::default(), &object).await.map_err(BenchError::api(failed()))
    }

    /// The namespace's objects of a kind.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.server.client.clone(), &self.namespace)
    }

    /// Asks for the end of a Rollout's run, as a person would.
    pub async fn abort(&self, rollout: &str) -> Result<(), BenchError> {
        let run = self.eyes.look(|seen| seen.rollouts.get(rollout).map_or(0, |shown| shown.run));
        let abort = Abort { run, by: "bench".into(), at: self.server.clock.now(), reason: None };
        self.annotate(rollout, ABORT_ANNOTATION, &abort).await
    }

    /// Makes another version the target, as a commit would.
    pub async fn release(&self, rollout: &str, version: &str) -> Result<(), BenchError> {
        let patch = Patch::Merge(json!({"spec": {"target": objects::target(version)}}));
        let api: Api<Rollout> = self.api();
        let patched = api.patch(rollout, &PatchParams::default(), &patch).await;
        patched.map(drop).map_err(BenchError::api(format!("release with the Rollout {rollout}")))
    }

    /// Asks for a new run of a Rollout that failed, as a person would.
    pub async fn retry(&self, rollout: &str) -> Result<(), BenchError> {
        let (run, step) =
            self.eyes.look(|seen| seen.rollouts.get(rollout).map_or((0, 0), |shown| (shown.run, shown.step)));
        let at = self.server.clock.now();
        let id = format!("{rollout}-{run}");
        let request = Request { action: RequestAction::Retry, run, step, by: "bench".into(), at, id };
        self.annotate(rollout, REQUEST_ANNOTATION, &request).await
    }

    async fn annotate(&self, rollout: &str, key: &str, value: &impl Serialize) -> Result<(), BenchError> {
        let failed = || format!("annotate the Rollout {rollout}");
        let value = serde_json::to_string(value)
            .map_err(|source| BenchError::api(failed())(kube::Error::SerdeError(source)))?;
        let patch = Patch::Merge(json!({"metadata": {"annotations": {key: value}}}));
        let api: Api<Rollout> = self.api();
        api.patch(rollout, &PatchParams::default(), &patch).await.map_err(BenchError::api(failed()))?;
        Ok(())
    }

    async fn deploy(&self) -> Result<(), BenchError> {
        for pair in (0..PAIRS).map(Pair) {
            for version in [1, 2] {
                self.create(objects::deployment(&pair.version(version))).await?;
            }
        }
        let ready = |deployment: &Deployment| {
            deployment.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or_default() > 0
        };
        for _ in 0..PATIENCE.as_secs() * 10 {
            let listed = self.api::<Deployment>().list(&kube::api::ListParams::default()).await;
            let listed = listed.map_err(BenchError::api("list the Deployments"))?;
            if listed.items.len() >= PAIRS * 2 && listed.iter().all(ready) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Err(self.late("the Deployments being ready", PATIENCE))
    }

    fn late(&self, what: &str, limit: Duration) -> BenchError {
        let log = self.controller.as_ref().map(Replica::log_tail).unwrap_or_default();
        BenchError::Late { what: what.to_owned(), seconds: limit.as_secs(), log }
    }
}

/// The configuration of one replica. A receiver is told what it is by default, and comes with a Lease.
fn configuration(
    prometheus: &str,
    namespace: &str,
    listen: SocketAddr,
    receiver: Option<&Receiver>,
) -> String {
    let scrape = spell(SCRAPE_INTERVAL);
    let everything = receiver.map_or_else(String::new, |receiver| {
        format!(
            "leaderElection: {{namespace: {namespace}}}\n\
             notifications: {{receivers: {{bench: {{webhook: {{url: \"{}\"}}}}}}}}\n",
            receiver.url()
        )
    });
    format!(
        "providers: {{default: {{prometheus: {{url: \"{prometheus}\", scrapeInterval: {scrape}}}}}}}\n\
         namespaces: [{namespace}]\nlisten: {listen}\nlog: {{level: warn}}\n{everything}"
    )
}

/// A folder among the temporary ones; dropping it removes it.
struct Folder(PathBuf);

impl Folder {
    fn make() -> Result<Self, BenchError> {
        let path = std::env::temp_dir().join(format!("tidegate-bench-{:016x}", fastrand::u64(..)));
        std::fs::create_dir(&path).map_err(BenchError::machine(format!("make {}", path.display())))?;
        Ok(Self(path))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn write(&self, name: &str, text: &str) -> Result<(), BenchError> {
        let path = self.path(name);
        std::fs::File::create_new(&path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(BenchError::machine(format!("write {}", path.display())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::debug!(%error, path = %self.0.display(), "cannot remove a folder of the bench");
        }
    }
}
