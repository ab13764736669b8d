//! A real Prometheus that scrapes an Envoy each second.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use super::{ask, ports::free_address, program::Program};
use crate::waiting::eventually;

pub const PROGRAM: &str = "prometheus";
/// From one scrape to the next.
pub const SCRAPE: Duration = Duration::from_secs(1);

pub struct Prometheus {
    folder: PathBuf,
    port: u16,
    program: Option<Program>,
}

impl Prometheus {
    pub async fn start(folder: &Path, envoy: SocketAddr) -> Self {
        let folder = folder.join("prometheus");
        std::fs::create_dir_all(&folder).unwrap();
        let config = format!(
            "global: {{scrape_interval: {SCRAPE:?}, scrape_timeout: {SCRAPE:?}}}\n\
             scrape_configs:\n\
             - {{job_name: envoy, metrics_path: /stats/prometheus, static_configs: [{{targets: [\"{envoy}\"]}}]}}\n"
        );
        std::fs::write(folder.join("prometheus.yml"), config).unwrap();
        // It does not tell which port it took, and has to have the same again after its death.
        let port = free_address().port();
        let mut prometheus = Self { folder, port, program: None };
        prometheus.run().await;
        prometheus
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// It dies at once.
    pub fn kill(&mut self) {
        self.program = None;
    }

    /// Runs it with what it has stored before, until it has scraped: some seconds, for it looks for what to scrape only
    /// now and then.
    pub async fn run(&mut self) {
        let mut command = Command::new(PROGRAM);
        command.arg(format!("--config.file={}", self.folder.join("prometheus.yml").display()));
        command.arg(format!("--storage.tsdb.path={}", self.folder.join("data").display()));
        command.arg(format!("--web.listen-address=127.0.0.1:{}", self.port));
        self.program = Some(Program::start(command, self.folder.join("prometheus.log")));
        let targets = format!("http://127.0.0.1:{}/api/v1/targets", self.port);
        let health = || async { ask(&targets).await?.pointer("/data/activeTargets/0/health").cloned() };
        eventually("Prometheus has scraped", health, |health| *health == Some("up".into())).await;
    }
}
