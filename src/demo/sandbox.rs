//! The command `tidegate sandbox`: an API server alone, or with color-app behind its gateway, until interrupted.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use super::{
    kubeconfig::{KubeconfigError, KubeconfigFile},
    routes::Routes,
    signals,
    world::{self, ColorApp, WorldError},
};

/// What `tidegate sandbox` is asked for.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct SandboxOptions {
    /// Keep the state in FILE over restarts; without it, it is in memory only.
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// Port on 127.0.0.1; without it, a free one is taken.
    #[arg(long)]
    pub port: Option<u16>,
    /// Write the kubeconfig to FILE, replacing it; without it, a temporary file is made. It is removed at the end.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Also run color-app in versions v1 to v3, behind a gateway that obeys the routes of every kind.
    #[arg(long)]
    pub color_app: bool,
    /// The kind of route that splits the traffic of color-app.
    #[arg(long, value_enum, default_value_t, value_name = "KIND", requires = "color_app")]
    pub routes: Routes,
}

/// Why the sandbox could not run.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The world could not be made.
    #[error("cannot make the sandbox")]
    World(#[from] WorldError),
    /// The kubeconfig could not be written.
    #[error("cannot tell kubectl of the sandbox")]
    Kubeconfig(#[from] KubeconfigError),
    /// Standard output is closed.
    #[error("cannot write to standard output")]
    Output(#[source] io::Error),
    /// Signals could not be listened to.
    #[error("cannot wait for an interrupt")]
    Signals(#[source] io::Error),
}

/// Runs the sandbox until the program is interrupted.
pub async fn run(options: SandboxOptions) -> Result<(), SandboxError> {
    let server = world::start_server(options.port, options.data).await?;
    let app = if options.color_app {
        let client = server.client().map_err(|source| WorldError::Client(Box::new(source)))?;
        Some(ColorApp::start(client, server.clock(), options.routes).await?)
    } else {
        None
    };
    let kubeconfig = KubeconfigFile::write(options.kubeconfig.as_deref(), &server.kubeconfig())?;
    let text = usage(&server.url(), &kubeconfig.export(), app.as_ref());
    io::stdout().lock().write_all(text.as_bytes()).map_err(SandboxError::Output)?;
    signals::interrupted().await.map_err(SandboxError::Signals)?;
    server.shutdown().await;
    Ok(())
}

fn usage(url: &str, export: &str, app: Option<&ColorApp>) -> String {
    let color_app = app.map_or_else(String::new, |app| {
        let (app, stats) = (app.url(), app.stats_url());
        format!("color-app answers at {app}; its gateway's counters are at {stats}.\n")
    });
    format!(
        "A Kubernetes API server listens on {url}, with the CRDs of Tidegate, App Mesh and the Gateway API. In another terminal:\n\n  \
         {export}\n  kubectl get crds\n\n{color_app}Ctrl-C ends it.\n"
    )
}
