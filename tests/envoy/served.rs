//! An Envoy, and the control plane that serves it.

use std::{collections::BTreeMap, net::SocketAddr, process::Command};

use tidegate::{
    dataplane::Plan,
    xds::{Bootstrap, Connected, Discovery, Fleet, Hub, Snapshot},
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    ports::free_address,
    program::{Program, envoy, is_there},
    skip::skip,
    waiting::eventually,
};

/// Both of them.
pub struct Served {
    fleet: Fleet,
    hub: Hub,
    /// The number of what it is to have.
    published: u64,
    control: SocketAddr,
    control_plane: Option<(CancellationToken, JoinHandle<()>)>,
    _envoy: Program,
    _folder: tempfile::TempDir,
}

impl Served {
    /// The only Envoy of a fleet; none where there is no Envoy.
    pub fn start(fleet: Fleet) -> Option<Self> {
        if !is_there(&envoy()) {
            skip("there is no envoy: TIDEGATE_ENVOY may name one");
            return None;
        }
        Some(Self::start_by(fleet, free_address(), Command::new(envoy())))
    }

    /// The same, where the control plane listens there and Envoy is started by this.
    pub fn start_by(fleet: Fleet, control: SocketAddr, mut envoy: Command) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bootstrap = Bootstrap {
            fleet: fleet.clone(),
            mesh: "mesh".into(),
            host: control.ip().to_string(),
            port: control.port(),
            tls: None,
            admin: ("127.0.0.1".into(), 0),
            stats: None,
            secrets: None,
        };
        let config = folder.path().join("envoy.json");
        std::fs::write(&config, bootstrap.config().to_string()).unwrap();
        envoy.arg("-c").arg(&config);
        envoy.args(["--disable-hot-restart", "--concurrency", "1", "-l", "warn"]);
        let mut served = Self {
            fleet,
            hub: Hub::default(),
            published: 0,
            control,
            control_plane: None,
            _envoy: Program::start(envoy, folder.path().join("envoy.log")),
            _folder: folder,
        };
        served.serve();
        served
    }

    /// Starts a control plane.
    pub fn serve(&mut self) {
        self.hub = Hub::default();
        let stop = CancellationToken::new();
        let server = tonic::transport::Server::builder()
            .add_service(Discovery::service(self.hub.clone(), stop.clone()));
        let (control, stopped) = (self.control, stop.clone());
        let running = tokio::spawn(async move {
            let shutdown = stopped.cancelled_owned();
            server.serve_with_shutdown(control, shutdown).await.unwrap();
        });
        self.control_plane = Some((stop, running));
    }

    /// Ends the control plane.
    pub async fn stop(&mut self) {
        if let Some((stop, running)) = self.control_plane.take() {
            stop.cancel();
            running.await.unwrap();
        }
    }

    /// From now on Envoy is to have this, with these endpoints of its clusters.
    pub fn publish(&mut self, plan: &Plan, found: &BTreeMap<String, Vec<SocketAddr>>) {
        let (snapshot, rejected) = Snapshot::of(plan, found);
        assert!(rejected.is_empty(), "{rejected:?}");
        self.published = self.hub.publish(&self.fleet, snapshot);
    }

    /// Waits until Envoy has all that it should have.
    pub async fn settled(&self) {
        let look = || async { self.hub.envoys() };
        let number = self.published;
        let has = |envoys: &Vec<Connected>| envoys.len() == 1 && envoys[0].has == number;
        eventually("Envoy has what it should", look, has).await;
    }
}
