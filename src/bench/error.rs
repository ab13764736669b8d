//! Why a bench could not measure.

use std::{io, path::PathBuf};

use crate::{
    config::ConfigError,
    demo::{kubeconfig::KubeconfigError, world::WorldError},
};

/// Why a bench could not measure.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The sandbox could not be made.
    #[error("cannot start the sandbox")]
    Sandbox(#[from] WorldError),
    /// The kubeconfig of the sandbox could not be written.
    #[error("cannot tell the controller of the sandbox")]
    SandboxKubeconfig(#[from] KubeconfigError),
    /// A kubeconfig can't be used.
    #[error("cannot use the kubeconfig {}", path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The API server refused something.
    #[error("cannot {what}")]
    Api {
        /// What was attempted, on what.
        what: String,
        /// What the server said.
        source: Box<kube::Error>,
    },
    /// A file or a port of this machine.
    #[error("cannot {what}")]
    Machine {
        /// What was attempted.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// A configuration that can't be.
    #[error("cannot configure the controller")]
    Config(#[from] ConfigError),
    /// Something did not come about.
    #[error("{what} did not happen within {seconds} s{}", tail(.log))]
    Late {
        /// What was waited for.
        what: String,
        /// For how long.
        seconds: u64,
        /// The last lines of the controller's log.
        log: String,
    },
    /// Nothing is left to be measured once all is warm.
    #[error(
        "{minutes} min are too short for holds of {} s: it is warm after twelve of them and their looks; give more --minutes, or a \
         shorter --hold",
        hold.as_secs()
    )]
    TooShort {
        /// How long it was to last.
        minutes: u64,
        /// The hold of each step.
        hold: std::time::Duration,
    },
    /// Ctrl-C, or the system.
    #[error("interrupted before the end")]
    Interrupted,
}

impl BenchError {
    /// The API server refused something.
    pub fn api(what: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let what = what.into();
        move |source| Self::Api { what, source: Box::new(source) }
    }

    /// A file or a port of this machine failed.
    pub fn machine(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Machine { what, source }
    }
}

fn tail(log: &str) -> String {
    if log.is_empty() { String::new() } else { format!("; the controller's log ends with\n{log}") }
}
