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
    /// Whether several controllers share the Rollouts. The Leases by which they agree are where the configured one for
    /// leader election would be
    #[arg(long, value_enum, default_value_t = Shards::Off)]
    shards: Shards,
    /// What is logged, in place of the configured filter, like info or info,kube=debug
    #[arg(long, value_name = "FILTER", env = "RUST_LOG")]
    log: Option<String>,
}

/// Whether several controllers share the Rollouts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Shards {
    /// One controller acts: there is but one, or one leads
    Off,
    /// Each serves its share, among as many as live
    Auto,
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
    let config = match args.shards {
        Shards::Off => config,
        Shards::Auto => config.sharing(),
    };
    telemetry::start(&config.log, args.log.as_deref())?;
    let stop = super::signals::stop().map_err(RunError::Signal)?;
    let client = controller::client(args.kubeconfig.as_deref()).await?;
    Box::pin(controller::run(config, client, stop)).await?;
    Ok(())
}
