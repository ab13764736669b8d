//! A stock Envoy of a virtual gateway or a virtual node, which the control plane serves.

use std::{net::SocketAddr, path::Path, process::Command};

use tidegate::xds::{Bootstrap, Fleet};

use super::{
    Place,
    control::ControlPlane,
    ports::free_address,
    program::{self, Program},
};
use crate::cluster::Cluster;

pub const MESH: &str = "mesh";
pub const GATEWAY: &str = "gw";
pub const NODE: &str = "front";
/// A request with this header is tried again where it fails.
pub const RETRIED: &str = "x-retried";

pub struct Envoy {
    _program: Program,
    /// Where its statistics are.
    pub stats: SocketAddr,
}

impl Envoy {
    pub fn start(cluster: &Cluster, place: Place, control: &ControlPlane) -> Self {
        let namespace = cluster.namespace.clone();
        let folder: &Path = cluster.folder.path();
        let stats = free_address();
        let bootstrap = Bootstrap {
            fleet: match place {
                Place::Gateway => Fleet::gateway(namespace, GATEWAY),
                Place::BesidePod(_) => Fleet::sidecars(namespace, NODE),
            },
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
