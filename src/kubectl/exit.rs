//! How a command ends: the exit codes that pipelines build on, and the errors behind them.

use std::{io, process::ExitCode};

use crate::api::INSTALL_CRDS;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// What was asked for is reached.
    Reached,
    /// The version failed, was put back, or another one is the target now; a manifest has faults.
    Failed,
    /// The command line makes no sense, or names what does not exist.
    Usage,
    /// It was not reached in time.
    Timeout,
    /// The run waits for a person.
    Paused,
    /// The controller or the API server said no.
    Refused,
    /// The cluster can't be reached.
    Unreachable,
    /// Ctrl-C: nobody waits any more, which changes nothing about the rollout.
    Interrupted,
}

impl Exit {
    /// The number that a shell sees.
    pub const fn code(self) -> u8 {
        match self {
            Self::Reached => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Timeout => 3,
            Self::Paused => 4,
            Self::Refused => 5,
            Self::Unreachable => 6,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// What an answer of the API server means, by its HTTP status.
const fn answered(code: u16) -> Exit {
    match code {
        404 => Exit::Usage,
        401 | 429 | 500.. => Exit::Unreachable,
        _ => Exit::Refused,
    }
}

/// Exit codes, as the help tells them.
pub const EXIT_CODES: &str = "\
Exit codes:
  0  what was asked for is reached
  1  the version failed, was put back, or another one is the target now; a manifest has faults
  2  the command line makes no sense, or names what does not exist
  3  not reached in time (without --wait: not reached yet)
  4  the run waits for a person: an approval, a pause, weights that somebody else changes
  5  refused, by the controller or by the API server
  6  the cluster can't be reached
  130  interrupted while waiting, which changes nothing about the rollout";

/// Why a command could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kubeconfig can't be used.
    #[error("cannot use the kubeconfig")]
    Kubeconfig(#[source] Box<kube::config::KubeconfigError>),
    /// No client can be made.
    #[error("cannot speak to {url}")]
    Client {
        /// The API server.
        url: String,
        /// Why not.
        source: Box<kube::Error>,
    },
    /// The API server said no.
    #[error("cannot {act}: {message}")]
    Answered {
        /// What was attempted, on what.
        act: String,
        /// The HTTP status.
        code: u16,
        /// The API server's own words.
        message: String,
    },
    /// The API server did not answer, or nothing that can be understood.
    #[error("cannot {act}")]
    Unanswered {
        /// What was attempted, on what.
        act: String,
        /// Why not.
        source: Box<kube::Error>,
    },
    /// The cluster has no Rollouts at all.
    #[error("the cluster does not serve Rollouts: install Tidegate's CRDs first ({INSTALL_CRDS})")]
    NotServed,
    /// What was asked for makes no sense there; the sentence says why and what to do.
    #[error("{0}")]
    Usage(String),
    /// It is not done; the sentence says why.
    #[error("{0}")]
    Refused(String),
    /// The Rollout was there and is no more.
    #[error("the Rollout {0} is deleted")]
    Gone(String),
    /// A file can't be read or written.
    #[error("cannot {act} {file}")]
    File {
        /// `read` or `write`.
        act: &'static str,
        /// Which.
        file: String,
        /// Why not.
        source: io::Error,
    },
    /// A file is no YAML.
    #[error("cannot read {file} as YAML")]
    Yaml {
        /// Which.
        file: String,
        /// Why not, with the line.
        source: Box<serde_saphyr::Error>,
    },
    /// A value can't be spelled.
    #[error("cannot spell the answer as JSON")]
    Json(#[from] serde_json::Error),
    /// A value can't be spelled.
    #[error("cannot spell the answer as YAML")]
    SpellYaml(#[from] Box<serde_saphyr::ser::Error>),
    /// Standard output does not take it.
    #[error("cannot write to standard output")]
    Output(#[from] io::Error),
}

impl Error {
    /// What came of an attempt: `act` says what was attempted, on what.
    pub fn api(act: impl Into<String>, error: kube::Error) -> Self {
        let act = act.into();
        match error {
            kube::Error::Api(status) => {
                let message =
                    if status.message.is_empty() { status.reason.clone() } else { status.message.clone() };
                Self::Answered { act, code: status.code, message }
            }
            source => Self::Unanswered { act, source: Box::new(source) },
        }
    }

    /// Whether it may be another in a moment: the API server is out of reach, or has too much to do.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Answered { code, .. } => matches!(code, 429 | 500..),
            Self::Unanswered { .. } => true,
            Self::Kubeconfig(_)
            | Self::Client { .. }
            | Self::NotServed
            | Self::Usage(_)
            | Self::Refused(_)
            | Self::Gone(_)
            | Self::File { .. }
            | Self::Yaml { .. }
            | Self::Json(_)
            | Self::SpellYaml(_)
            | Self::Output(_) => false,
        }
    }

    /// The exit code that goes with it.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Answered { code, .. } => answered(*code),
            Self::Kubeconfig(_) | Self::Client { .. } | Self::Unanswered { .. } => Exit::Unreachable,
            Self::NotServed | Self::Usage(_) | Self::File { .. } | Self::Yaml { .. } => Exit::Usage,
            Self::Refused(_) => Exit::Refused,
            Self::Gone(_) | Self::Json(_) | Self::SpellYaml(_) | Self::Output(_) => Exit::Failed,
        }
    }
}
