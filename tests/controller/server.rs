//! The API server under test: a sandbox of one's own, or a real one that all tests share.
//!
//! On a shared server a test keeps to a namespace of its own, and the controller acts as a ServiceAccount with exactly
//! the Role that is shipped. Tests that need other CRDs than the usual ones, or kill the server, have it to themselves.

use std::{
    path::{Path, PathBuf},
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    time::Duration,
};

use k8s_openapi::{
    api::core::v1::Namespace, apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
    core::{ApiResource, DynamicObject, GroupVersionKind},
};
use serde_json::{Value, json};
use tidegate::{
    api::Rollout,
    sandbox::apiserver::{ApiServer, Options},
};

use crate::{
    crds::{Crds, install},
    hold::{self, Hold},
    skip::skip,
    waiting::eventually,
};

pub enum Server {
    Sandbox(ApiServer),
    /// `began` is how long the audit log was when the test began, where it can be read.
    Real {
        real: &'static Real,
        hold: Option<Hold>,
        namespaces: Mutex<Vec<String>>,
        began: u64,
    },
}

/// A real server, shared by the tests of this process.
pub struct Real {
    kubeconfig: PathBuf,
    /// The folder of a control plane that was started for these tests, and can be broken by them.
    folder: Option<PathBuf>,
    /// Where what is left of tests that have ended is cleared away.
    background: tokio::runtime::Runtime,
}

/// Whether the tests run against a real server.
pub fn is_real() -> bool {
    std::env::var_os("TIDEGATE_TEST_KUBECONFIG").is_some()
}

impl Server {
    pub async fn start() -> Self {
        if !is_real() {
            return Box::pin(Self::sandbox(&Crds::default())).await;
        }
        let real = Real::get().await;
        Self::real(real, Hold::shared(real.folder.as_deref()).await)
    }

    /// A server with other CRDs; `None`, said aloud, where that would disturb others.
    pub async fn with_crds(crds: Crds) -> Option<Self> {
        if !is_real() {
            return Some(Box::pin(Self::sandbox(&crds)).await);
        }
        let (real, folder) = Real::own("it changes CRDs").await?;
        let server = Self::real(real, Hold::to_change(folder).await);
        server.install(&crds).await;
        Some(server)
    }

    /// A server for one test alone; `None`, said aloud, where that would disturb others.
    pub async fn alone(why: &str) -> Option<Self> {
        if !is_real() {
            return Some(Box::pin(Self::sandbox(&Crds::default())).await);
        }
        let (real, folder) = Real::own(why).await?;
        Some(Self::real(real, Hold::alone(folder).await))
    }

    async fn sandbox(crds: &Crds) -> Self {
        let crds = crds.each().into_iter().filter_map(|(_, _, crd)| crd.cloned()).collect();
        Self::Sandbox(ApiServer::start(Options { crds, ..Options::default() }).await.unwrap())
    }

    fn real(real: &'static Real, hold: Hold) -> Self {
        let began = real.folder.as_deref().map_or(0, hold::audited);
        Self::Real { real, hold: Some(hold), namespaces: Mutex::default(), began }
    }

    /// Whether pods come and go as these tests want them to.
    pub fn has_pods_to_order(&self) -> bool {
        matches!(self, Self::Sandbox(_)) || self.folder().is_some()
    }

    /// A client that may do everything.
    pub async fn client(&self) -> Client {
        match self {
            Self::Sandbox(server) => server.client().unwrap(),
            Self::Real { real, .. } => real.client().await,
        }
    }

    /// The text of a kubeconfig for programs that act as people do.
    pub fn kubeconfig(&self) -> String {
        match self {
            Self::Sandbox(server) => server.kubeconfig(),
            Self::Real { real, .. } => std::fs::read_to_string(&real.kubeconfig).unwrap(),
        }
    }

    /// The folder of a control plane that was started for these tests.
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Self::Sandbox(_) => None,
            Self::Real { real, .. } => real.folder.as_deref(),
        }
    }

    /// That folder, and how long its audit log was when the test began.
    pub fn audited(&self) -> Option<(&Path, u64)> {
        match self {
            Self::Sandbox(_) => None,
            Self::Real { began, .. } => Some((self.folder()?, *began)),
        }
    }

    /// A client that is nobody, for those who bring credentials along.
    pub async fn anonymous(&self) -> Client {
        match self {
            Self::Sandbox(server) => server.client().unwrap(),
            Self::Real { real, .. } => {
                let mut kubeconfig = Kubeconfig::read_from(&real.kubeconfig).unwrap();
                for user in &mut kubeconfig.auth_infos {
                    user.auth_info = Some(kube::config::AuthInfo::default());
                }
                client_of(kubeconfig).await
            }
        }
    }

    /// Makes a server that one has to oneself have these CRDs and no others of ours.
    pub async fn install(&self, crds: &Crds) {
        install(&self.client().await, crds).await;
    }
}

impl Drop for Server {
    /// Clears away what is left, before anybody else has the server.
    fn drop(&mut self) {
        let Self::Real { real, hold, namespaces, .. } = self else { return };
        let (real, hold): (&'static Real, _) = (real, hold.take());
        let namespaces = std::mem::take(namespaces.get_mut().unwrap());
        let (over, waiting) = mpsc::channel();
        real.background.spawn(async move {
            let client = real.client().await;
            if hold.as_ref().is_some_and(|hold| hold.changed) {
                install(&client, &Crds::default()).await;
            }
            for namespace in namespaces {
                clear(&client, &namespace).await;
            }
            drop(hold);
            let _ = over.send(());
        });
        // A control plane of our own is thrown away; on any other nothing may be left when the process ends.
        if real.folder.is_none() && waiting.recv_timeout(Duration::from_mins(1)).is_err() {
            eprintln!("some of what the test made could not be cleared away");
        }
    }
}

impl Real {
    /// The server that `TIDEGATE_TEST_KUBECONFIG` names. One of our own gets the CRDs; any other has to have them.
    async fn get() -> &'static Self {
        static REAL: OnceLock<Real> = OnceLock::new();
        static READY: tokio::sync::OnceCell<()> = tokio::sync::OnceCell::const_new();
        let real = REAL.get_or_init(Self::named);
        let ready = async {
            let client = real.client().await;
            if let Some(folder) = &real.folder {
                return begin(folder, &client).await;
            }
            let image = std::env::var_os("TIDEGATE_TEST_IMAGE");
            assert!(image.is_some(), "name an image that starts on this cluster in TIDEGATE_TEST_IMAGE");
            let crds: Api<CustomResourceDefinition> = Api::all(client);
            for (name, _, _) in Crds::default().each() {
                let there = crds.get_opt(name).await.unwrap().is_some();
                assert!(there, "this cluster lacks {name}; install what is in crds/ and tests/data");
            }
        };
        READY.get_or_init(|| Box::pin(ready)).await;
        real
    }

    fn named() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let background =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let kubeconfig = PathBuf::from(std::env::var_os("TIDEGATE_TEST_KUBECONFIG").unwrap());
        // The one that was started for these tests, and not another cluster under its name.
        let folder = std::env::var_os("TIDEGATE_TEST_CLUSTER").map(PathBuf::from);
        let same = |folder: &PathBuf| {
            let its = folder.join("kubeconfig").canonicalize();
            its.is_ok_and(|its| kubeconfig.canonicalize().is_ok_and(|ours| ours == its))
        };
        Self { folder: folder.filter(same), kubeconfig, background }
    }

    /// The same, where it was started for these tests alone.
    async fn own(why: &str) -> Option<(&'static Self, &'static Path)> {
        let real = Self::get().await;
        if real.folder.is_none() {
            skip(&format!("{why}, which only a control plane of tests/cluster is for"));
        }
        Some((real, real.folder.as_deref()?))
    }

    async fn client(&self) -> Client {
        client_of(Kubeconfig::read_from(&self.kubeconfig).unwrap()).await
    }
}

/// Gives a control plane of our own the CRDs, once in a run of the suite.
async fn begin(folder: &Path, client: &Client) {
    if hold::has_begun(folder) {
        return;
    }
    let _hold = Hold::alone(folder).await;
    // Another process of the same run may have been here meanwhile.
    if !hold::has_begun(folder) {
        install(client, &Crds::default()).await;
        hold::begin(folder);
    }
}

async fn client_of(kubeconfig: Kubeconfig) -> Client {
    let options = KubeConfigOptions::default();
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
    // Nothing between the controller and the API server tries again by itself.
    config.default_retry = false;
    config.read_timeout = None;
    Client::try_from(config).unwrap()
}

/// A name that no other test has had, in this process or another.
pub fn unique() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("tidegate-test-{}-{number}-{:06x}", std::process::id(), fastrand::u32(..0x100_0000))
}

pub async fn create(client: &Client, namespace: &str, object: Value) {
    let api = api_of(client, namespace, &object);
    api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
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

async fn clear(client: &Client, namespace: &str) {
    // As they are: one of them may be there because it can't be read.
    let kind = ApiResource::erase::<Rollout>(&());
    let rollouts: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &kind);
    let release = || async {
        let Ok(left) = rollouts.list(&ListParams::default()).await else { return false };
        for rollout in &left.items {
            let release = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
            let _ = rollouts.patch(&rollout.name_any(), &PatchParams::default(), &release).await;
            let _ = rollouts.delete(&rollout.name_any(), &DeleteParams::default()).await;
        }
        left.items.is_empty()
    };
    eventually("the Rollouts are gone", release, |gone| *gone).await;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let _ = namespaces.delete(namespace, &DeleteParams::background()).await;
}
