//! The control plane of the data plane: App Mesh's objects in, stock Envoys obeying them, and on each object's status whether they
//! do.
//!
//! `world` is what the watches show, `planning` what is made of it for a fleet of Envoys, `plans` all of them, `quarantine` what is
//! done about an object that Envoy refuses, `evidence` what is true of an object by what Envoys have acknowledged, `statuses`
//! what is written of that, and `control` the loop that joins them. `listening` and `identity` are the connections.
//!
//! Of several replicas the one that leads listens for Envoys, and the others' ports are closed: so one process sees every Envoy
//! of a fleet, and what it says on a status is of all of them. Envoys keep what they have while nobody leads.

mod control;
mod endpoints;
mod evidence;
mod identity;
mod listening;
mod pages;
mod planning;
mod plans;
mod quarantine;
mod statuses;
mod world;

use std::{net::SocketAddr, sync::Arc};

use kube::Client;
use tokio::{net::TcpListener, sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

pub use identity::{Files, IdentityError};

use crate::{
    config::LeaderElection,
    controller::{self, Candidate, Leadership},
    xds::Hub,
};
use identity::Identity;

/// How the control plane is run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where Envoys connect.
    pub listen: SocketAddr,
    /// Where the list of Envoys is served, by the replica that has them.
    pub registry: SocketAddr,
    /// Where health is served.
    pub health: SocketAddr,
    /// What is shown to Envoys, and who is let in; absent: everybody, in the clear.
    pub identity: Option<Files>,
    /// The namespaces that are served; empty: all.
    pub namespaces: Vec<String>,
    /// The Lease that several replicas agree by; absent: there is one.
    pub lease: Option<LeaderElection>,
}

/// Why the control plane did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A port that cannot be had.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address and the port.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The files for mutual TLS.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The API server, or leadership.
    #[error(transparent)]
    Controller(#[from] controller::Error),
    /// Envoys are no longer served.
    #[error("Envoys can no longer be served")]
    Serving(#[source] tonic::transport::Error),
    /// The watches have ended, which they never should.
    #[error("the objects are no longer followed")]
    Unfollowed,
}

/// Runs the control plane until `shutdown`. Where leadership is lost it ends with an error.
pub async fn run(
    settings: Settings,
    client: Client,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Error> {
    let Settings { listen, registry, health, identity, namespaces, lease } = settings;
    let identity = identity.map(Identity::read).transpose()?;
    let listener = bind(health).await?;
    let (leadership, candidate) = match lease {
        Some(lease) => {
            let leadership = Arc::new(Leadership::sought());
            let candidate = Candidate::new(client.clone(), &lease, Arc::clone(&leadership)).await?;
            (leadership, Some(candidate))
        }
        None => (Arc::new(Leadership::undisputed()), None),
    };
    let hub = Hub::default();
    let stop = CancellationToken::new();
    let (lacks, lacking) = watch::channel(vec!["anything".to_owned()]);
    let (lead, leading) = watch::channel(candidate.is_none());
    let mut pages = JoinSet::new();
    pages.spawn(pages::health(listener, lacking.clone(), stop.clone()));
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "the gateways' control plane runs");

    let follows = control::run(client, namespaces, hub.clone(), || leadership.leads(), lacks);
    let serves = async {
        let mut leading = leading;
        // The sender lives as long as this.
        drop(leading.wait_for(|leads| *leads).await);
        let mut lacking = lacking;
        drop(lacking.wait_for(Vec::is_empty).await);
        let (listener, listing) = (bind(listen).await?, bind(registry).await?);
        tracing::info!(%listen, %registry, "Envoys are served");
        let lists = pages::registry(listing, hub.clone(), stop.clone());
        let serves = listening::serve(listener, identity, hub, stop.clone());
        tokio::join!(serves, lists).0.map_err(Error::Serving)
    };
    let release = CancellationToken::new();
    let leads = async {
        let Some(candidate) = candidate else {
            release.cancelled().await;
            return Ok(());
        };
        let begins = || {
            lead.send_replace(true);
        };
        candidate.run(std::future::ready(()), release.clone(), begins).await
    };
    let mut leads = std::pin::pin!(leads);
    let outcome = tokio::select! {
        () = shutdown => Ok(()),
        () = follows => Err(Error::Unfollowed),
        ended = serves => ended,
        ended = &mut leads => ended.map_err(Error::from),
    };
    tracing::info!("shutting down: Envoys keep what they have");
    stop.cancel();
    if outcome.is_ok() {
        // The next one need not wait until the Lease runs out.
        release.cancel();
        leads.await?;
    }
    pages.shutdown().await;
    outcome
}

async fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })
}
