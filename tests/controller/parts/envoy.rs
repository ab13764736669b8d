//! A stock Envoy of a virtual gateway, which the control plane serves.

use std::{net::SocketAddr, path::Path, process::Command};

use tidegate::xds::{Bootstrap, Fleet};

use super::{
    control::ControlPlane,
    ports::free_address,
    program::{self, Program},
};
use crate::cluster::Cluster;

pub const MESH: &str = "mesh";
pub const GATEWAY: &str = "gw";
/// A request with this header is tried again where it fails.
pub const RETRIED: &str = "x-retried";

pub struct Envoy {
    _program: Program,
    /// Where its statistics are.
    pub stats: SocketAddr,
}

impl Envoy {
    pub fn start(cluster: &Cluster, control: &ControlPlane) -> Self {
        let folder: &Path = cluster.folder.path();
        let stats = free_address();
        let bootstrap = Bootstrap {
            fleet: Fleet::gateway(cluster.namespace.clone(), GATEWAY),
            mesh: MESH.into(),
            host: control.listen.ip().to_string(),
            port: control.listen.port(),
            tls: None,
            admin: ("127.0.0.1".into(), free_address().port()),
            stats: Some(stats.port()),
            secrets: None,
        };
        let file = folder.join("envoy.json");
        std::fs::write(&file, bootstrap.config().to_string()).unwrap();
        let mut command = Command::new(program::envoy());
        command.arg("-c").arg(file);
        // A hot restart would share memory with the other Envoys of this machine.
        command.args(["--disable-hot-restart", "--concurrency", "1", "-l", "warn"]);
        Self { _program: Program::start(command, folder.join("envoy.log")), stats }
    }
}
