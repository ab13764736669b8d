//! A replica of the controller: its process, where it is asked for its health, and who scrapes it.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    time::Duration,
};

use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    error::BenchError,
    process::{Controller, Usage},
};

/// How often a scraped replica is: as Prometheus does it by default where it is installed by its operator.
const SCRAPED_EVERY: Duration = Duration::from_secs(15);

/// A replica. Dropping it kills its process.
pub struct Replica {
    process: Controller,
    listen: SocketAddr,
    http: reqwest::Client,
    _scraped: Option<DropGuard>,
}

impl Replica {
    /// A process that listens there; its metrics are scraped if that is asked for.
    pub fn new(process: Controller, listen: SocketAddr, http: &reqwest::Client, is_scraped: bool) -> Self {
        let scraped = is_scraped.then(|| {
            let stop = CancellationToken::new();
            tokio::spawn(stop.clone().run_until_cancelled_owned(scrape(http.clone(), listen)));
            stop.drop_guard()
        });
        Self { process, listen, http: http.clone(), _scraped: scraped }
    }

    /// Whether it says that it is ready.
    pub async fn is_ready(&self) -> bool {
        let answer = self.http.get(format!("http://{}/readyz", self.listen)).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    /// Whether it is the one that acts.
    pub async fn leads(&self) -> bool {
        let metrics = read_metrics(&self.http, self.listen).await;
        metrics.is_ok_and(|metrics| metrics.lines().any(|line| line == "tidegate_leader 1"))
    }

    /// What the kernel says of it now.
    pub fn usage(&self) -> Result<Usage, BenchError> {
        self.process.usage()
    }

    /// The last lines of its log.
    pub fn log_tail(&self) -> String {
        self.process.log_tail()
    }

    /// Ends it as a machine that loses power would.
    pub fn kill(self) {
        self.process.kill();
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> Result<SocketAddr, BenchError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    listener.and_then(|listener| listener.local_addr()).map_err(BenchError::machine("find a free port"))
}

async fn scrape(http: reqwest::Client, listen: SocketAddr) {
    loop {
        tokio::time::sleep(SCRAPED_EVERY).await;
        if let Err(error) = read_metrics(&http, listen).await {
            tracing::debug!(%error, %listen, "a replica of the bench was not scraped");
        }
    }
}

async fn read_metrics(http: &reqwest::Client, listen: SocketAddr) -> Result<String, reqwest::Error> {
    http.get(format!("http://{listen}/metrics")).send().await?.error_for_status()?.text().await
}
