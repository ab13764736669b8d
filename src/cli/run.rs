//! `tidegate run`: the controller.

use std::path::PathBuf;

use crate::{
    config::{Config, ConfigError},
    controller,
    telemetry::{self, TelemetryError},
};

/// Runs the controller until SIGTERM or ctrl-c.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration file (YAML); without one, all namespaces are served and no metric provider is known
    #[arg(long, value_name = "FILE", env = "TIDEGATE_CONFIG")]
    config: Option<PathBuf>,
    /// The kubeconfig; default: $KUBECONFIG, ~/.kube/config, or the pod's service account
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// What is logged, in place of the configured filter, like info or info,kube=debug
    #[arg(long, value_name = "FILTER", env = "RUST_LOG")]
    log: Option<String>,
}

/// Why the controller did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The log.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// The signals that end it can't be listened for.
    #[error("cannot listen for SIGTERM")]
    Signal(#[source] std::io::Error),
    /// The controller.
    #[error(transparent)]
    Controller(#[from] controller::Error),
}

/// Runs the controller.
pub async fn run(args: Args) -> Result<(), RunError> {
    let config = match &args.config {
        Some(file) => Config::load(file)?,
        None => Config::default(),
    };
    telemetry::start(&config.log, args.log.as_deref())?;
    let stop = stop_signal().map_err(RunError::Signal)?;
    let client = controller::client(args.kubeconfig.as_deref()).await?;
    Box::pin(controller::run(config, client, stop)).await?;
    Ok(())
}

/// Ends with the first SIGTERM or ctrl-c.
fn stop_signal() -> Result<impl Future<Output = ()> + Send + Sync + 'static, std::io::Error> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
