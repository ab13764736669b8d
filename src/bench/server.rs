//! The API server that is measured against: the sandbox, or a real one by its kubeconfig.

use std::{
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    time::Duration,
};

use http::{HeaderValue, header::USER_AGENT};
use jiff::Timestamp;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client,
    api::PostParams,
    config::{KubeConfigOptions, Kubeconfig},
    runtime::{conditions, wait::await_condition},
};

use super::{
    audit::{self, concerns, resource},
    calls::Call,
    error::BenchError,
};
use crate::{
    client,
    clock::Clock,
    demo::{
        Routes,
        kubeconfig::KubeconfigFile,
        world::{self, WorldError},
    },
    sandbox::apiserver::ApiServer,
};

/// How the controller's calls are told from everybody else's.
const CONTROLLER: &str = "tidegate/";
const OURSELVES: &str = concat!("tidegate-bench/", env!("CARGO_PKG_VERSION"));
/// How long a new definition may take to be served.
const ESTABLISH: Duration = Duration::from_secs(15);

/// The API server.
pub struct Server {
    /// Our own client.
    pub client: Client,
    /// What times are told by: the server's own clock where it is ours.
    pub clock: Clock,
    /// What it is, in a few words.
    pub name: String,
    /// The kind of route that is measured with.
    pub routes: Routes,
    kubeconfig: PathBuf,
    log: Log,
}

/// Where calls are recorded.
enum Log {
    Sandbox {
        server: Box<ApiServer>,
        _kubeconfig: KubeconfigFile,
    },
    /// A file that grows.
    Audit(PathBuf),
    None,
}

/// A moment in the record of calls.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    at: Timestamp,
    bytes: u64,
}

impl Server {
    /// A new sandbox.
    pub async fn sandbox(routes: Routes) -> Result<Self, BenchError> {
        let server = world::start_server(None, None).await?;
        let kubeconfig = KubeconfigFile::write(None, &server.kubeconfig())?;
        let url = server.url();
        let config = url.parse().map(kube::Config::new).map_err(|source| BenchError::Kubeconfig {
            path: kubeconfig.path().to_owned(),
            source: Box::new(source),
        })?;
        Ok(Self {
            client: connect(config).map_err(|source| WorldError::Client(Box::new(source)))?,
            clock: server.clock(),
            name: "the sandbox".to_owned(),
            routes,
            kubeconfig: kubeconfig.path().to_owned(),
            log: Log::Sandbox { server: Box::new(server), _kubeconfig: kubeconfig },
        })
    }

    /// A real one; installs the definitions that it lacks.
    pub async fn real(path: &Path, audit: Option<&Path>, routes: Routes) -> Result<Self, BenchError> {
        let unusable = |source: Box<dyn std::error::Error + Send + Sync>| BenchError::Kubeconfig {
            path: path.to_owned(),
            source,
        };
        let kubeconfig = Kubeconfig::read_from(path).map_err(|error| unusable(Box::new(error)))?;
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .map_err(|error| unusable(Box::new(error)))?;
        let client = connect(config).map_err(|error| unusable(Box::new(error)))?;
        let version =
            client.apiserver_version().await.map_err(BenchError::api("ask the API server's version"))?;
        install(&client).await?;
        Ok(Self {
            client,
            clock: Clock::start(),
            name: format!("Kubernetes {}", version.git_version),
            routes,
            kubeconfig: path.to_owned(),
            log: audit.map_or(Log::None, |audit| Log::Audit(audit.to_owned())),
        })
    }

    /// The kubeconfig that a controller is given.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Whether calls are recorded at all.
    pub fn records(&self) -> bool {
        !matches!(self.log, Log::None)
    }

    /// Now, in the record of calls.
    pub fn mark(&self) -> Mark {
        let bytes = match &self.log {
            Log::Audit(path) => std::fs::metadata(path).map(|file| file.len()).unwrap_or_default(),
            Log::Sandbox { .. } | Log::None => 0,
        };
        Mark { at: self.clock.now(), bytes }
    }

    /// The controller's calls in a namespace, or in none, since then, in their order.
    pub fn calls_since(&self, mark: Mark, namespace: &str) -> Result<Vec<Call>, BenchError> {
        let mut calls = match &self.log {
            Log::None => Vec::new(),
            Log::Audit(path) => {
                let read = || -> std::io::Result<String> {
                    let mut file = std::fs::File::open(path)?;
                    file.seek(SeekFrom::Start(mark.bytes))?;
                    let mut log = Vec::new();
                    file.read_to_end(&mut log)?;
                    Ok(String::from_utf8_lossy(&log).into_owned())
                };
                let log = read().map_err(BenchError::machine(format!("read {}", path.display())))?;
                audit::calls(&log, CONTROLLER, namespace)
            }
            Log::Sandbox { server, .. } => server
                .requests()
                .into_iter()
                .filter(|request| {
                    request.user_agent.starts_with(CONTROLLER) && concerns(namespace, &request.namespace)
                })
                .map(|request| Call {
                    at: request.time,
                    verb: request.verb,
                    resource: resource(&request.resource, &request.subresource, &request.path),
                    name: request.name,
                })
                .collect(),
        };
        calls.retain(|call| call.at >= mark.at);
        Ok(calls)
    }

    /// Ends the sandbox.
    pub async fn close(self) {
        match self.log {
            Log::Sandbox { server, .. } => server.shutdown().await,
            Log::Audit(_) | Log::None => {}
        }
    }
}

fn connect(mut config: kube::Config) -> Result<Client, kube::Error> {
    config.headers.push((USER_AGENT, HeaderValue::from_static(OURSELVES)));
    client::connect(config)
}

/// Installs the definitions that are absent; one that is there stays as it is.
async fn install(client: &Client) -> Result<(), BenchError> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for crd in world::definitions()? {
        let crd: CustomResourceDefinition = serde_json::from_value(crd).map_err(WorldError::Rollout)?;
        let name = crd.metadata.name.clone().unwrap_or_default();
        match api.create(&PostParams::default(), &crd).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            Err(error) => return Err(BenchError::api(format!("install the definition {name}"))(error)),
        }
        let established = await_condition(api.clone(), &name, conditions::is_crd_established());
        if tokio::time::timeout(ESTABLISH, established).await.is_err() {
            let what = format!("serving the definition {name}");
            return Err(BenchError::Late { what, seconds: ESTABLISH.as_secs(), log: String::new() });
        }
    }
    Ok(())
}
