//! The API server under test: a sandbox of one's own, or a real one that all tests share.
//!
//! On a shared server a test keeps to a namespace of its own, and the controller acts as a ServiceAccount with exactly
//! the Role that is shipped. Tests that need other CRDs than the usual ones, or kill the server, have it to themselves.

use std::{
    io::Write,
    path::PathBuf,
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    time::Duration,
};

use k8s_openapi::{
    api::{
        authentication::v1::{TokenRequest, TokenRequestSpec},
        authorization::v1::{ResourceRule, SelfSubjectRulesReview, SelfSubjectRulesReviewSpec},
        core::v1::{Namespace, ServiceAccount},
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, CustomResourceExt, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};
use tidegate::{
    api::{Rollout, gateway_route_crd::gateway_route_crd},
    cli::rbac,
    clock::Clock,
    dataplane::GatewayRef,
    sandbox::{
        apiserver::{ApiServer, Options},
        gateway::{Endpoints, Gateway as SandboxGateway, GatewayConfig},
        programmer::Programmer,
    },
};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio_util::sync::CancellationToken;

use crate::cluster::eventually;

/// The CRDs that a test wants; `None` for one that is not installed.
#[derive(Clone, Debug, PartialEq)]
pub struct Crds {
    pub rollouts: Option<Value>,
    pub gateway_routes: Option<Value>,
}

impl Default for Crds {
    fn default() -> Self {
        Self {
            rollouts: Some(serde_json::to_value(Rollout::crd()).unwrap()),
            gateway_routes: Some(gateway_route_crd().unwrap()),
        }
    }
}

impl Crds {
    fn each(&self) -> [(&'static str, &'static str, Option<&Value>); 2] {
        [
            ("rollouts.tidegate.dev", "tidegate.dev/v1alpha1", self.rollouts.as_ref()),
            ("gatewayroutes.appmesh.k8s.aws", "appmesh.k8s.aws/v1beta2", self.gateway_routes.as_ref()),
        ]
    }
}

/// Says in a line that the test harness does not swallow why a test does nothing.
pub fn skip(why: &str) {
    writeln!(std::io::stderr(), "skipped: {}: {why}", std::thread::current().name().unwrap_or_default())
        .unwrap();
}

pub enum Server {
    Sandbox { server: ApiServer, programmer: CancellationToken, _data_plane: SandboxGateway },
    Real { real: &'static Real, hold: Hold },
}

/// A real server, shared by the tests of this process.
pub struct Real {
    kubeconfig: PathBuf,
    /// The folder of a control plane that was started for these tests, and can be broken by them.
    pub folder: Option<PathBuf>,
    crds: RwLock<()>,
    background: tokio::runtime::Runtime,
    programmer: Mutex<CancellationToken>,
}

pub enum Hold {
    Shared { _guard: RwLockReadGuard<'static, ()> },
    Alone { _guard: RwLockWriteGuard<'static, ()>, usual_crds: bool },
}

/// Whether the tests run against a real server.
pub fn is_real() -> bool {
    std::env::var_os("TIDEGATE_TEST_KUBECONFIG").is_some()
}

impl Server {
    pub async fn start() -> Self {
        if !is_real() {
            return Self::sandbox(&Crds::default()).await;
        }
        let real = Real::get().await;
        Self::Real { real, hold: Hold::Shared { _guard: real.crds.read().await } }
    }

    /// A server with other CRDs; `None`, said aloud, where that would disturb others.
    pub async fn with_crds(crds: Crds) -> Option<Self> {
        if !is_real() {
            return Some(Self::sandbox(&crds).await);
        }
        let real = Real::own("it changes CRDs").await?;
        let guard = real.crds.write().await;
        // Should the test end early, they are put right at its end.
        let hold = Hold::Alone { _guard: guard, usual_crds: crds == Crds::default() };
        let client = real.client().await;
        install(&client, &crds).await;
        Some(Self::Real { real, hold })
    }

    async fn sandbox(crds: &Crds) -> Self {
        let list = crds.each().into_iter().filter_map(|(_, _, crd)| crd.cloned()).collect();
        let server = ApiServer::start(Options { crds: list, ..Options::default() }).await.unwrap();
        let clock = Clock::start();
        let data_plane =
            SandboxGateway::start(GatewayConfig::default(), Endpoints::default(), clock).await.unwrap();
        let programmer = CancellationToken::new();
        let table = vec![data_plane.table()];
        let task = Programmer::new(server.client().unwrap(), clock, gateway(), table).run(programmer.clone());
        tokio::spawn(task);
        Self::Sandbox { server, programmer, _data_plane: data_plane }
    }

    /// A client that may do everything.
    pub async fn client(&self) -> Client {
        match self {
            Self::Sandbox { server, .. } => server.client().unwrap(),
            Self::Real { real, .. } => real.client().await,
        }
    }

    /// The text of a kubeconfig for programs that act as people do.
    pub fn kubeconfig(&self) -> String {
        match self {
            Self::Sandbox { server, .. } => server.kubeconfig(),
            Self::Real { real, .. } => std::fs::read_to_string(&real.kubeconfig).unwrap(),
        }
    }

    /// A client that is nobody, for those who bring credentials along.
    pub async fn anonymous(&self) -> Client {
        match self {
            Self::Sandbox { server, .. } => server.client().unwrap(),
            Self::Real { real, .. } => {
                let mut kubeconfig = Kubeconfig::read_from(&real.kubeconfig).unwrap();
                for user in &mut kubeconfig.auth_infos {
                    user.auth_info = Some(kube::config::AuthInfo::default());
                }
                client_of(kubeconfig).await
            }
        }
    }

    /// Makes a namespace with an account for the controller, and returns the account's token; none in a sandbox, which
    /// knows everybody. `granted` may change the manifests.
    pub async fn account(&self, namespace: &str, name: &str, granted: impl Fn(&mut Value)) -> Option<String> {
        let client = self.client().await;
        let object = json!({ "metadata": { "name": namespace } });
        let namespaces: Api<Namespace> = Api::all(client.clone());
        namespaces.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
        let Self::Real { .. } = self else { return None };

        let args = rbac::Args { namespace: namespace.to_owned(), serve: vec![namespace.to_owned()] };
        for manifest in rbac::manifests(&args) {
            let mut manifest = serde_json::to_value(manifest).unwrap();
            granted(&mut manifest);
            create(&client, namespace, manifest).await;
        }
        let accounts: Api<ServiceAccount> = Api::namespaced(client, namespace);
        let request = TokenRequest { spec: TokenRequestSpec::default(), ..TokenRequest::default() };
        let answer = accounts.create_token_request(name, &PostParams::default(), &request).await.unwrap();
        Some(answer.status.unwrap().token)
    }

    /// Makes a server that one has to oneself have these CRDs and no others of ours.
    pub async fn install(&self, crds: &Crds) {
        install(&self.client().await, crds).await;
        if let Self::Real { real, .. } = self {
            real.program().await;
        }
    }

    /// Waits until the API server knows of what was granted to an account.
    pub async fn knows(&self, account: &Client, namespace: &str) {
        let Self::Real { .. } = self else { return };
        let api: Api<SelfSubjectRulesReview> = Api::all(account.clone());
        let spec = SelfSubjectRulesReviewSpec { namespace: Some(namespace.to_owned()) };
        let review = SelfSubjectRulesReview { spec, ..SelfSubjectRulesReview::default() };
        let rules = || async {
            let answer = api.create(&PostParams::default(), &review).await;
            answer
                .ok()
                .and_then(|review| review.status)
                .map(|status| status.resource_rules)
                .unwrap_or_default()
        };
        let ours = |rule: &ResourceRule| {
            rule.resources.as_ref().is_some_and(|resources| resources.iter().any(|name| name == "rollouts"))
        };
        eventually("the account's permissions are known", rules, |rules| rules.iter().any(ours)).await;
    }

    /// Ends a namespace, with the Rollouts in it let go.
    pub fn clear(&self, namespace: &str) {
        let Self::Real { real, hold } = self else { return };
        let (real, namespace, done): (&'static Real, _, _) = (real, namespace.to_owned(), mpsc::channel());
        let (alone, usual) = match hold {
            Hold::Shared { .. } => (false, true),
            Hold::Alone { usual_crds, .. } => (true, *usual_crds),
        };
        let over = done.0;
        real.background.spawn(async move {
            let client = real.client().await;
            if !usual {
                install(&client, &Crds::default()).await;
            }
            if alone {
                real.program().await;
            }
            clear(&client, &namespace).await;
            let _ = over.send(());
        });
        if done.1.recv_timeout(Duration::from_secs(60)).is_err() {
            eprintln!("the namespace could not be cleared");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Self::Sandbox { programmer, .. } = self {
            programmer.cancel();
        }
    }
}

impl Real {
    /// The server that `TIDEGATE_TEST_KUBECONFIG` names, with our CRDs, and with what plays App Mesh's controller.
    async fn get() -> &'static Self {
        static REAL: OnceLock<Real> = OnceLock::new();
        static INSTALLED: tokio::sync::OnceCell<()> = tokio::sync::OnceCell::const_new();
        let real = REAL.get_or_init(|| {
            let _ = rustls::crypto::ring::default_provider().install_default();
            let background =
                tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            Self {
                kubeconfig: std::env::var_os("TIDEGATE_TEST_KUBECONFIG").unwrap().into(),
                folder: std::env::var_os("TIDEGATE_TEST_CLUSTER").map(PathBuf::from),
                crds: RwLock::new(()),
                background,
                programmer: Mutex::default(),
            }
        });
        let install = async {
            let client = real.client().await;
            install_absent(&client, real.folder.is_some()).await;
            real.program().await;
        };
        INSTALLED.get_or_init(|| install).await;
        real
    }

    /// Begins to play App Mesh's controller, anew: one whose watch was refused comes back only after a while.
    async fn program(&'static self) {
        let until = CancellationToken::new();
        std::mem::replace(&mut *self.programmer.lock().unwrap(), until.clone()).cancel();
        let task = async move {
            let clock = Clock::start();
            let data_plane =
                SandboxGateway::start(GatewayConfig::default(), Endpoints::default(), clock).await.unwrap();
            Programmer::new(self.client().await, clock, gateway(), vec![data_plane.table()]).run(until).await;
        };
        self.background.spawn(task);
    }

    /// The same, where it was started for these tests alone.
    pub async fn own(why: &str) -> Option<&'static Self> {
        let real = Self::get().await;
        if real.folder.is_none() {
            skip(&format!("{why}, which only a control plane of tests/cluster is for"));
        }
        real.folder.is_some().then_some(real)
    }

    /// The server for one test alone, to be broken by it.
    pub async fn alone(&'static self) -> Server {
        let guard = self.crds.write().await;
        Server::Real { real: self, hold: Hold::Alone { _guard: guard, usual_crds: true } }
    }

    async fn client(&self) -> Client {
        client_of(Kubeconfig::read_from(&self.kubeconfig).unwrap()).await
    }
}

async fn client_of(kubeconfig: Kubeconfig) -> Client {
    let options = KubeConfigOptions::default();
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
    config.read_timeout = None;
    Client::try_from(config).unwrap()
}

fn gateway() -> GatewayRef {
    GatewayRef { name: "gw".into(), namespace: "default".into(), takes_unclaimed: true }
}

/// A name that no other test has had, in this process or another.
pub fn unique() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("tidegate-test-{}-{number}-{:06x}", std::process::id(), fastrand::u32(..0x100_0000))
}

pub async fn create(client: &Client, namespace: &str, object: Value) {
    let api = crate::cluster::api_of(client, namespace, &object);
    api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
}

async fn clear(client: &Client, namespace: &str) {
    let rollouts: Api<Rollout> = Api::namespaced(client.clone(), namespace);
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

/// Installs what is not there; on a server that is ours alone, what is there is replaced.
async fn install_absent(client: &Client, ours: bool) {
    let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
    let mut wanted = Crds::default();
    if !ours {
        if crds.get_opt("rollouts.tidegate.dev").await.unwrap().is_some() {
            wanted.rollouts = None;
        }
        if crds.get_opt("gatewayroutes.appmesh.k8s.aws").await.unwrap().is_some() {
            wanted.gateway_routes = None;
        }
    }
    for (name, version, crd) in wanted.each() {
        if let Some(crd) = crd {
            put(client, name, version, crd).await;
        }
    }
}

/// Makes the server have these CRDs and no others of ours.
async fn install(client: &Client, crds: &Crds) {
    for (name, version, crd) in crds.each() {
        match crd {
            Some(crd) => put(client, name, version, crd).await,
            None => remove(client, name).await,
        }
    }
}

/// Creates or replaces a CRD, and waits until the API server serves just this one.
async fn put(client: &Client, name: &str, version: &str, crd: &Value) {
    let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
    let mut crd = crd.clone();
    let marker = format!("Served for {}", unique());
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["description"] = json!(marker);
    let mut crd: CustomResourceDefinition = serde_json::from_value(crd).unwrap();
    match crds.get_opt(name).await.unwrap() {
        None => drop(crds.create(&PostParams::default(), &crd).await.unwrap()),
        Some(old) => {
            crd.metadata.resource_version = old.metadata.resource_version;
            crds.replace(name, &PostParams::default(), &crd).await.unwrap();
        }
    }
    let shown = || async {
        let path = format!("/openapi/v3/apis/{version}");
        client.request_text(http::Request::get(path).body(Vec::new()).unwrap()).await.unwrap_or_default()
    };
    eventually("the CRD is served", || async { shown().await.contains(&marker) }, |shown| *shown).await;
}

/// Deletes a CRD and everything of its kind.
async fn remove(client: &Client, name: &str) {
    let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
    if crds.get_opt(name).await.unwrap().is_some() {
        crds.delete(name, &DeleteParams::default()).await.unwrap();
    }
    let gone = || async { crds.get_opt(name).await.unwrap().is_none() };
    eventually("the CRD is gone", gone, |gone| *gone).await;
    let (plural, group) = name.split_once('.').unwrap();
    let version = if group == "tidegate.dev" { "v1alpha1" } else { "v1beta2" };
    let served = || async {
        let path = format!("/apis/{group}/{version}/{plural}");
        let answer = client.request_text(http::Request::get(path).body(Vec::new()).unwrap()).await;
        matches!(answer, Err(kube::Error::Api(status)) if status.code == 404)
    };
    eventually("the kind is no longer served", served, |gone| *gone).await;
}
