//! What can go wrong in the controller: at the start, and in one turn of one Rollout.

use std::{net::SocketAddr, time::Duration};

use super::permissions::REMEDY;
use crate::{
    api::INSTALL_CRDS,
    gates::GateError,
    metrics::ProviderError,
    notify::ReceiverError,
    routes::{ApplyError, Failure},
    workloads::ScaleError,
};

/// Why the controller can't start or go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No usable kubeconfig or service account.
    #[error(
        "cannot find out how to reach the API server; set KUBECONFIG to a readable kubeconfig, or run in a pod \
         with a service account"
    )]
    Kubeconfig(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The client can't be built from what was found.
    #[error("cannot build a client for the API server at {url}")]
    Client {
        /// The API server's address.
        url: String,
        /// Why.
        source: kube::Error,
    },
    /// The API server does not answer.
    #[error("cannot reach the API server; check KUBECONFIG, and that the server is up")]
    Unreachable(#[source] kube::Error),
    /// The API server accepts the connection and says nothing.
    #[error("the API server did not answer within {seconds} s; check KUBECONFIG, and that the server is up")]
    Silent {
        /// The deadline.
        seconds: u64,
    },
    /// The API server does not know who we are.
    #[error("the API server does not accept our credentials; check those in KUBECONFIG")]
    Unknown(#[source] kube::Error),
    /// The API server does not let us read Rollouts.
    #[error("the API server does not let us list Rollouts; {REMEDY}")]
    Forbidden(#[source] kube::Error),
    /// Our CRD is not there.
    #[error("the Rollout CRD is not installed; install it with: {INSTALL_CRDS}")]
    CrdMissing,
    /// The API server is older than we support.
    #[error(
        "the API server is {version}, and Tidegate needs at least 1.{}, the first in which the objects of a CRD can be \
         asked for by a field; upgrade the cluster",
        super::start::OLDEST_MINOR
    )]
    TooOld {
        /// What it calls itself.
        version: String,
    },
    /// The namespace of the Lease does not exist.
    #[error(
        "the namespace {namespace} of the Lease for leader election does not exist; create it, or name another as \
         leaderElection.namespace in the configuration"
    )]
    LeaseNamespace {
        /// The namespace.
        namespace: String,
    },
    /// The Lease can't be used.
    #[error("the API server does not let us use the Lease {namespace}/{lease} for leader election; {REMEDY}")]
    LeaseForbidden {
        /// Its namespace.
        namespace: String,
        /// Its name.
        lease: String,
        /// Why.
        source: kube::Error,
    },
    /// Another controller leads, or may.
    #[error(
        "this controller does not lead any more: of the Lease {lease} {why}; started again, it waits its turn"
    )]
    LeadershipLost {
        /// Its namespace and name.
        lease: String,
        /// What happened.
        why: &'static str,
    },
    /// A defect of ours: Rollouts are no longer served.
    #[error("Rollouts got no turns any more, which is a defect; the controller ends, to be started again")]
    TurnsEnded,
    /// Our CRD lacks a field.
    #[error(
        "the installed Rollout CRD does not know {field}: it is older than this controller, and what is stored would \
         be lost; update it with: {INSTALL_CRDS}"
    )]
    CrdOlder {
        /// The first field that it lacks, as a path.
        field: String,
    },
    /// The address of health and metrics can't be had.
    #[error("cannot listen on {address} for health and metrics")]
    Listen {
        /// The configured address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// A configured provider can't serve.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// A configured gate can't serve.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// A configured receiver can't serve.
    #[error(transparent)]
    Receiver(#[from] ReceiverError),
}

/// What stopped a turn short. The next one starts from what is stored, so none of these loses anything.
#[derive(Debug, thiserror::Error)]
pub enum TurnError {
    /// The Rollout changed since it was read.
    #[error("the status of the Rollout was not stored, for it has changed meanwhile; it is decided anew")]
    StatusConflict,
    /// The status could not be stored.
    #[error("cannot store the status of the Rollout")]
    StoreStatus(#[source] kube::Error),
    /// Whether the status was stored is not known.
    #[error("it is not known whether the status of the Rollout was stored; it is read back")]
    StatusUnknown(#[source] Option<Box<kube::Error>>),
    /// The API server drops fields of our status.
    #[error(
        "the API server dropped {field} of the status: the installed Rollout CRD is older than this controller; \
         update it with: {INSTALL_CRDS}"
    )]
    Pruned {
        /// The first field that was lost.
        field: String,
    },
    /// The finalizer could not be changed.
    #[error("cannot {verb} the finalizer of the Rollout")]
    Finalizer {
        /// What was attempted.
        verb: &'static str,
        /// Why not.
        source: kube::Error,
    },
    /// An API call took too long.
    #[error("cannot {attempt} within {seconds} s")]
    Late {
        /// What was attempted.
        attempt: &'static str,
        /// The deadline.
        seconds: u64,
    },
    /// The API server does not let us.
    #[error("cannot {attempt}: {said}; if a permission is missing, {REMEDY}")]
    Forbidden {
        /// What was attempted.
        attempt: &'static str,
        /// The API server's own sentence.
        said: String,
    },
    /// The Rollout could not be read.
    #[error("cannot read the Rollout")]
    ReadRollout(#[source] kube::Error),
    /// A route could not be written; the source says which, what for and why.
    #[error(transparent)]
    Write(#[from] ApplyError),
    /// A workload could not be scaled; the source says which and why.
    #[error(transparent)]
    Scale(ScaleError),
    /// There was news while the turn waited to write: it is decided anew.
    #[error("nothing was written, for there was news before it was its turn; it is decided anew")]
    Overtaken,
    /// Too many others write.
    #[error("nothing was written, for others had all the places for {seconds} s; it is decided anew")]
    Crowded {
        /// How long was waited.
        seconds: u64,
    },
    /// Another controller leads.
    #[error("nothing was written, for this controller does not lead any more")]
    NotLeading,
    /// A defect of ours, confined to this Rollout.
    #[error("the turn of this Rollout panicked; it is tried again, the others go on")]
    Panicked,
}

/// When to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// At once the first time, then ever more slowly.
    Soon,
    /// Not before this.
    After(Duration),
    /// Soon a few times, then slowly. An API server that has just started refuses everybody for a moment, until it knows
    /// the roles; later on somebody has to change something first.
    SoonThenSlowly,
    /// Slowly: somebody has to change something first.
    Slowly,
}

/// After so many refusals in a row it is not the API server's start any more.
pub const REFUSED_FOR_GOOD: u32 = 5;

impl TurnError {
    /// A bounded label for metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::StatusConflict => "StatusConflict",
            Self::StoreStatus(_) => "StoreStatus",
            Self::StatusUnknown(_) => "StatusUnknown",
            Self::Pruned { .. } => "Pruned",
            Self::Finalizer { .. } => "Finalizer",
            Self::Late { .. } => "Late",
            Self::Forbidden { .. } => "Forbidden",
            Self::ReadRollout(_) => "ReadRollout",
            Self::Write(source) => source.label(),
            Self::Scale(_) => "Scale",
            Self::Overtaken => "Overtaken",
            Self::Crowded { .. } => "Crowded",
            Self::NotLeading => "NotLeading",
            Self::Panicked => "Panicked",
        }
    }

    /// Whether it is a lost race, which is part of the normal course.
    pub fn is_race(&self) -> bool {
        match self {
            Self::StatusConflict
            | Self::Overtaken
            | Self::Crowded { .. }
            | Self::Scale(ScaleError::Changed { .. } | ScaleError::Used { .. }) => true,
            Self::Write(source) => match source.kind() {
                Failure::Changed => true,
                Failure::Refused(_)
                | Failure::Forbidden(_)
                | Failure::Gone
                | Failure::Busy { .. }
                | Failure::Unknown => false,
            },
            Self::StoreStatus(_)
            | Self::StatusUnknown(_)
            | Self::Pruned { .. }
            | Self::Finalizer { .. }
            | Self::Late { .. }
            | Self::Forbidden { .. }
            | Self::ReadRollout(_)
            | Self::Scale(_)
            | Self::NotLeading
            | Self::Panicked => false,
        }
    }

    /// Whether nothing was sent: what is known still holds.
    pub fn is_unsent(&self) -> bool {
        matches!(self, Self::Overtaken | Self::Crowded { .. } | Self::NotLeading)
    }

    /// What is behind it, for the log.
    pub fn cause(&self) -> Option<String> {
        let source = std::error::Error::source(self)?;
        // kube spells an answer of the API server out twice, the second time with everything that is in it.
        Some(match source.downcast_ref::<kube::Error>() {
            Some(kube::Error::Api(status)) => format!("HTTP {}: {}", status.code, status.message),
            Some(_) | None => source.to_string(),
        })
    }

    /// When to try again.
    pub fn again(&self) -> Again {
        match self {
            Self::StatusConflict
            | Self::StatusUnknown(_)
            | Self::Late { .. }
            | Self::Overtaken
            | Self::Crowded { .. }
            | Self::Scale(
                ScaleError::Changed { .. }
                | ScaleError::Used { .. }
                | ScaleError::Timeout { .. }
                | ScaleError::Withheld(_),
            ) => Again::Soon,
            Self::Forbidden { .. } => Again::SoonThenSlowly,
            Self::Pruned { .. } | Self::NotLeading | Self::Panicked => Again::Slowly,
            Self::StoreStatus(source) | Self::Finalizer { source, .. } | Self::ReadRollout(source) => {
                asked_for(source)
            }
            Self::Scale(ScaleError::Request { source, .. }) => asked_for(source),
            Self::Write(source) => match source.kind() {
                // After a refusal the next turn makes it visible; the write itself waits much longer.
                Failure::Changed
                | Failure::Gone
                | Failure::Unknown
                | Failure::Refused(_)
                | Failure::Forbidden(_) => Again::Soon,
                Failure::Busy { retry_after } => retry_after.map_or(Again::Soon, Again::After),
            },
        }
    }
}

/// What the API server's answer asks for.
fn asked_for(error: &kube::Error) -> Again {
    let kube::Error::Api(status) = error else {
        return Again::Soon;
    };
    let wait = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
    match status.code {
        400 | 401 | 422 => Again::Slowly,
        _ if wait > 0 => Again::After(Duration::from_secs(wait.into())),
        _ => Again::Soon,
    }
}

/// The wait before the next attempt: doubled each time, and spread so that many Rollouts don't come at once.
/// `spread` is a random number from 0 to 1.
pub fn backoff(again: Again, attempt: u32, spread: f64) -> Duration {
    const SLOW: Duration = Duration::from_secs(30);
    // Not longer: a lowering may be waiting for the API server to come back.
    const GROWN: Duration = Duration::from_secs(5);
    let grown = Duration::from_millis(100)
        .saturating_mul(1_u32.checked_shl(attempt.min(16)).unwrap_or(u32::MAX))
        .min(GROWN);
    let spread_over = |wait: Duration| wait.mul_f64(0.5 + spread.clamp(0.0, 1.0) / 2.0);
    match again {
        Again::Soon if attempt == 0 => Duration::ZERO,
        Again::Soon => spread_over(grown),
        Again::After(least) => least.saturating_add(spread_over(grown)),
        Again::SoonThenSlowly if attempt < REFUSED_FOR_GOOD => spread_over(grown),
        Again::SoonThenSlowly | Again::Slowly => spread_over(SLOW),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_retry_comes_at_once_and_later_ones_ever_more_slowly() {
        let cases = [
            ("a lost race", Again::Soon, 0, 1.0, 0),
            ("a second one", Again::Soon, 1, 1.0, 200),
            ("spread", Again::Soon, 1, 0.0, 100),
            ("the tenth", Again::Soon, 10, 1.0, 5_000),
            ("any later one", Again::Soon, 4_000_000_000, 1.0, 5_000),
            ("told to wait", Again::After(Duration::from_secs(7)), 0, 1.0, 7_100),
            ("refused by a server that may just have started", Again::SoonThenSlowly, 1, 1.0, 200),
            ("refused for good", Again::SoonThenSlowly, 5, 1.0, 30_000),
            ("invalid", Again::Slowly, 0, 1.0, 30_000),
        ];
        for (name, again, attempt, spread, want) in cases {
            assert_eq!(backoff(again, attempt, spread), Duration::from_millis(want), "{name}");
        }
    }
}
