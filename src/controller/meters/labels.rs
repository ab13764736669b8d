//! The values that labels may have, and how our own enums are spelled as such. Nothing here is made of a text that somebody
//! else wrote.

use crate::{
    analysis::Verdict,
    api::{EndReason, GateAnswer, PauseReason, Phase},
    engine::{decision::Purpose, look::ReadError},
};

/// What is counted that is in no list, so that nothing unforeseen makes a series of its own.
pub const OTHER: &str = "other";
/// The phase of a Rollout that no controller has seen yet, or that can't be read.
pub const UNKNOWN: &str = "Unknown";
/// The outcome of a read that succeeded.
pub const ANSWERED: &str = "answered";
/// The code of a request that nobody answered.
pub const NO_ANSWER: &str = "none";

/// Where Rollouts stand.
pub const PHASES: &[&str] = &[
    Phase::Healthy.word(),
    Phase::Progressing.word(),
    Phase::Paused.word(),
    Phase::RollingBack.word(),
    Phase::Failed.word(),
    Phase::Invalid.word(),
    Phase::Suspended.word(),
    UNKNOWN,
];

/// Why runs wait.
pub const PAUSES: &[&str] = &[
    PauseReason::Requested.word(),
    PauseReason::Approval.word(),
    PauseReason::Drifted.word(),
    PauseReason::Deadline.word(),
    PauseReason::RouteGone.word(),
    PauseReason::Inconclusive.word(),
    PauseReason::MetricError.word(),
];

/// How runs end, as `status.run.ended.reason` has it.
pub const OUTCOMES: &[&str] = &[
    outcome(EndReason::Promoted),
    outcome(EndReason::Failed),
    outcome(EndReason::GateRefused),
    outcome(EndReason::Aborted),
    outcome(EndReason::Deadline),
    outcome(EndReason::Inconclusive),
    outcome(EndReason::TargetChanged),
    outcome(EndReason::TargetReturned),
    outcome(EndReason::RevisionChanged),
    outcome(EndReason::RouteReplaced),
    outcome(EndReason::Deleted),
    outcome(EndReason::Marked),
];

/// What metrics say.
pub const VERDICTS: &[&str] = &[
    Verdict::Fail.label(),
    Verdict::Safe.label(),
    Verdict::Pass.label(),
    Verdict::Collecting.label(),
    Verdict::Error.label(),
];

/// What turns and watches fail of.
pub const ERRORS: &[&str] = &[
    "StatusConflict",
    "StoreStatus",
    "StatusUnknown",
    "Pruned",
    "Finalizer",
    "Late",
    "Forbidden",
    "ReadRollout",
    "Scale",
    "Overtaken",
    "Crowded",
    "NotLeading",
    "Panicked",
    "Inconsistent",
    "NoCopy",
    "Withheld",
    "Timeout",
    "Changed",
    "Refused",
    "Gone",
    "Busy",
    "Unknown",
    "Undecodable",
    "KindUnavailable",
    "RolloutWatch",
];

/// What is written for.
pub const PURPOSES: &[&str] = &[
    "status",
    "finalizer",
    "scale",
    purpose(Purpose::Claim),
    purpose(Purpose::Raise),
    purpose(Purpose::Lower),
    purpose(Purpose::Correct),
    purpose(Purpose::Retire),
    purpose(Purpose::Release),
    "preview",
];

/// What becomes of a write.
pub const WRITTEN: &[&str] = &["stored", "failed"];

/// What becomes of a read from a metric provider.
pub const READS: &[&str] = &[
    ANSWERED,
    "UnknownProvider",
    "Unsupported",
    "Timeout",
    "Unreachable",
    "Status",
    "Throttled",
    "Incomplete",
    "Credentials",
    "BadQuery",
    "Redirect",
    "TooLarge",
    "Defect",
    "Malformed",
    "Empty",
    "NotFinite",
    "ManySeries",
];

/// What is asked of the API server.
pub const VERBS: &[&str] = &["get", "list", "watch", "create", "update", "patch", "delete"];

/// The resources that are asked for. Everything else, as the API server's version, is `other`.
pub const RESOURCES: &[&str] = &[
    "rollouts",
    "rollouts/status",
    "analysistemplates",
    "gatewayroutes",
    "virtualrouters",
    "httproutes",
    "grpcroutes",
    "deployments",
    "deployments/scale",
    "statefulsets",
    "statefulsets/scale",
    "horizontalpodautoscalers",
    "events",
    "leases",
    "selfsubjectaccessreviews",
    OTHER,
];

/// The HTTP status of answers: those that mean something of their own, and the others by their class.
pub const CODES: &[&str] = &[
    "200", "201", "400", "401", "403", "404", "409", "410", "422", "429", "500", "503", "504", "2xx", "3xx",
    "4xx", "5xx", NO_ANSWER,
];

/// How a run ended.
pub const fn outcome(reason: EndReason) -> &'static str {
    match reason {
        EndReason::Promoted => "Promoted",
        EndReason::Failed => "Failed",
        EndReason::GateRefused => "GateRefused",
        EndReason::Aborted => "Aborted",
        EndReason::Deadline => "Deadline",
        EndReason::Inconclusive => "Inconclusive",
        EndReason::TargetChanged => "TargetChanged",
        EndReason::TargetReturned => "TargetReturned",
        EndReason::RevisionChanged => "RevisionChanged",
        EndReason::RouteReplaced => "RouteReplaced",
        EndReason::Deleted => "Deleted",
        EndReason::Marked => "Marked",
    }
}

/// What came of telling a receiver.
pub const DELIVERED: &[&str] = &["taken", "failed"];

/// What gates say.
pub const ANSWERS: &[&str] = &["yes", "no", "wait", "down"];

/// What a gate says.
pub const fn answer(answer: GateAnswer) -> &'static str {
    match answer {
        GateAnswer::Yes => "yes",
        GateAnswer::No => "no",
        GateAnswer::Wait => "wait",
        GateAnswer::Down => "down",
    }
}

/// What a route is written for.
pub const fn purpose(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Claim => "claim",
        Purpose::Raise => "raise",
        Purpose::Lower => "lower",
        Purpose::Correct => "correct",
        Purpose::Retire => "retire",
        Purpose::Release => "release",
    }
}

/// What became of a read from a metric provider.
pub const fn read(error: Option<&ReadError>) -> &'static str {
    match error {
        None => ANSWERED,
        Some(ReadError::UnknownProvider(_)) => "UnknownProvider",
        Some(ReadError::Unsupported(_)) => "Unsupported",
        Some(ReadError::Timeout(_)) => "Timeout",
        Some(ReadError::Unreachable | ReadError::Misled(_)) => "Unreachable",
        Some(ReadError::Status(_)) => "Status",
        Some(ReadError::Throttled(_)) => "Throttled",
        Some(ReadError::Incomplete { .. }) => "Incomplete",
        Some(ReadError::Credentials(_)) => "Credentials",
        Some(ReadError::BadQuery { .. }) => "BadQuery",
        Some(ReadError::Redirect) => "Redirect",
        Some(ReadError::TooLarge) => "TooLarge",
        Some(ReadError::Defect) => "Defect",
        Some(ReadError::Malformed) => "Malformed",
        Some(ReadError::Empty { .. }) => "Empty",
        Some(ReadError::NotFinite { .. }) => "NotFinite",
        Some(ReadError::ManySeries { .. }) => "ManySeries",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::permissions::{FOR_PREVIEWS, FOR_SCALING, IN_ITS_OWN, PERMISSIONS};

    #[test]
    fn every_resource_that_may_be_asked_for_has_a_label() {
        let asked = PERMISSIONS.iter().chain(&FOR_PREVIEWS).chain(&FOR_SCALING).chain(&IN_ITS_OWN);
        for permission in asked {
            assert!(RESOURCES.contains(&permission.resource), "{}", permission.resource);
            for verb in permission.verbs {
                assert!(VERBS.contains(verb), "{verb}");
            }
        }
    }

    #[test]
    fn no_value_is_listed_twice() {
        for list in [PHASES, PAUSES, OUTCOMES, VERDICTS, ERRORS, PURPOSES, READS, VERBS, RESOURCES, CODES] {
            for (place, value) in list.iter().enumerate() {
                assert!(!list[..place].contains(value), "{value}");
            }
        }
    }
}
