//! An embedded Kubernetes API server on loopback: small, in memory, and honest about what it does not serve.
//!
//! `kubectl` and kube's clients, watchers and controllers work against it. What it leaves out (server-side
//! apply, strategic merge of lists, protobuf bodies, logs and exec) it refuses with a sentence; those need a
//! real control plane. Authentication and authorization do not exist here: it listens on loopback only.
//!
//! A request goes from [`connection`] (bytes, faults, audit) through [`handlers`] (verbs) to [`write`]
//! (the rules of an API server) and [`store`] (objects, revisions, the log of changes). One lock guards all
//! of it, so requests are carried out one after another.

mod audit;
mod autoscaler_columns;
mod autoscaler_defaults;
mod autoscaler_rules;
mod autoscalers;
mod body;
mod builtin_columns;
mod builtin_defaults;
mod builtin_rules;
mod builtin_schema;
mod builtins;
mod connection;
mod controllers;
mod crds;
mod decode;
mod deletion;
mod deployments;
mod discovery;
mod documents;
mod event_rules;
mod event_shape;
mod failure;
mod faults;
mod gc;
mod handlers;
mod ids;
mod jsonpath;
mod label_selector;
mod lists;
mod managed_fields;
mod metadata;
mod names;
mod object;
mod openapi;
mod operations;
mod options;
mod patch;
mod persistence;
mod registry;
mod request;
mod resource;
mod rules;
mod scale;
mod selectors;
mod stateful_sets;
mod store;
mod table;
mod unserved;
mod view;
mod watching;
mod workload_defaults;
mod workload_rules;
mod write;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use self::audit::RequestRecord;
pub use self::controllers::{READY_ANNOTATION, pod_template_hash};
pub use self::faults::{Effect, Fault, Faults};
use crate::clock::Clock;

/// How to start an API server.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Port on 127.0.0.1; `None` takes a free one.
    pub port: Option<u16>,
    /// File that keeps the state over restarts; `None` keeps it in memory only.
    pub data: Option<PathBuf>,
    /// CustomResourceDefinitions served from the start, as JSON.
    pub crds: Vec<Value>,
}

/// Why an API server could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port is taken, or loopback is not there.
    #[error("cannot listen on {address}")]
    Listen {
        /// Where it was to listen.
        address: SocketAddr,
        /// Why it cannot.
        source: io::Error,
    },
    /// The state file exists but cannot be read.
    #[error("cannot load the state from {}", path.display())]
    Load {
        /// The state file.
        path: PathBuf,
        /// Why it cannot be read.
        source: io::Error,
    },
    /// One of the given definitions is refused.
    #[error("cannot establish the CustomResourceDefinition {name}: {reason}")]
    Definition {
        /// Its name.
        name: String,
        /// What the server says about it.
        reason: String,
    },
}

/// A running API server. Dropping it stops it; [`Self::shutdown`] also waits until its state is saved.
#[derive(Debug)]
pub struct ApiServer {
    inner: Arc<Inner>,
    address: SocketAddr,
    tasks: Vec<JoinHandle<()>>,
}

/// What requests, loops and the handle share.
#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    faults: Faults,
    audit: audit::Audit,
    clock: Clock,
    stop: CancellationToken,
}

/// All that the one lock guards.
#[derive(Debug)]
struct State {
    store: store::Store,
    registry: registry::Registry,
    clock: Clock,
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ApiServer {
    /// Starts to serve. Returns once connections are accepted and the given definitions are established.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let clock = Clock::start();
        let mut state = State { store: store::Store::new(), registry: registry::Registry::new(), clock };
        if let Some(path) = &options.data {
            persistence::load(path, &mut state.store)
                .map_err(|source| StartError::Load { path: path.clone(), source })?;
            state.registry.refresh(&state.store, builtins::DEFINITIONS);
        }
        establish_namespaces(&mut state);
        for definition in &options.crds {
            establish(&mut state, definition)?;
        }
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port.unwrap_or_default()));
        let refused = |source| StartError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let inner = Arc::new(Inner {
            state: Mutex::new(state),
            faults: Faults::new(),
            audit: audit::Audit::default(),
            clock,
            stop: CancellationToken::new(),
        });
        let mut tasks = vec![
            tokio::spawn(connection::accept(inner.clone(), listener)),
            tokio::spawn(controllers::run(inner.clone())),
        ];
        if let Some(path) = options.data {
            tasks.push(tokio::spawn(persistence::run(inner.clone(), path)));
        }
        Ok(Self { inner, address, tasks })
    }

    /// Address of the server, such as `http://127.0.0.1:40123`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A kubeconfig for it, as YAML. Requests carry no credentials.
    pub fn kubeconfig(&self) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: sandbox\nclusters:\n- name: sandbox\n  cluster:\n    \
             server: {}\ncontexts:\n- name: sandbox\n  context:\n    cluster: sandbox\n    user: sandbox\n    \
             namespace: default\nusers:\n- name: sandbox\n  user: {{}}\n",
            self.url()
        )
    }

    /// A client for it, in the namespace `default`, that does not retry by itself.
    pub fn client(&self) -> Result<kube::Client, kube::Error> {
        let url = self.url().parse().map_err(|error| kube::Error::HttpError(http::Error::from(error)))?;
        let mut config = kube::Config::new(url);
        config.default_retry = false;
        // It speaks HTTP alone; reading the certificates that a machine trusts takes a while.
        config.root_cert = Some(Vec::new());
        kube::Client::try_from(config)
    }

    /// The clock of its records and timestamps.
    pub fn clock(&self) -> Clock {
        self.inner.clock
    }

    /// What installed schemas ask for that this server cannot check, such as CEL rules.
    pub fn warnings(&self) -> Vec<String> {
        self.inner.state().registry.warnings.clone()
    }

    /// The rules by which requests fail.
    pub fn faults(&self) -> &Faults {
        &self.inner.faults
    }

    /// Every request so far, oldest first; the latest 100,000 are kept.
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.inner.audit.records()
    }

    /// Forgets the history: watches and lists from an earlier revision expire (410).
    pub fn compact(&self) {
        self.inner.state().store.compact();
    }

    /// The revision of the last write.
    pub fn revision(&self) -> u64 {
        self.inner.state().store.revision()
    }

    /// Stops to serve, closes all connections, and returns once the state is saved.
    pub async fn shutdown(mut self) {
        self.inner.stop.cancel();
        for task in std::mem::take(&mut self.tasks) {
            if let Err(error) = task.await {
                tracing::error!(%error, "a task of the API server did not end well");
            }
        }
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.inner.stop.cancel();
    }
}

/// The namespaces that every cluster has.
fn establish_namespaces(state: &mut State) {
    let Some(resource) = state.registry.by_storage(builtins::NAMESPACES) else {
        return;
    };
    for name in ["default", "kube-node-lease", "kube-public", "kube-system"] {
        let writing = write::Writing::internal(&resource, "", state.clock.now());
        // After a restart they are there already.
        if state.store.get(&writing.key(name)).is_none()
            && let Err(failure) = write::create(state, &writing, json!({"metadata": {"name": name}}))
        {
            tracing::warn!(%name, status = %failure.status(), "cannot create a namespace");
        }
    }
}

fn establish(state: &mut State, definition: &Value) -> Result<(), StartError> {
    let name = object::name(definition).to_owned();
    let Some(resource) = state.registry.by_storage(builtins::DEFINITIONS) else {
        return Ok(());
    };
    // As a client would write it, so that an update keeps the status that serving depends on.
    let writing = write::Writing {
        part: write::Part::Main,
        ..write::Writing::internal(&resource, "", state.clock.now())
    };
    let mut definition = definition.clone();
    let written = match state.store.get(&writing.key(&name)).cloned() {
        Some(known) => {
            object::keep_metadata(&mut definition, &known, "resourceVersion");
            write::update(state, &writing, &name, definition)
        }
        None => write::create(state, &writing, definition),
    };
    written.map(|_| ()).map_err(|failure| StartError::Definition {
        name,
        reason: object::text(failure.status(), "/message").to_owned(),
    })
}
