//! When status is worth a write: at once when something happened, else at most once a minute.

use std::time::Duration;

use jiff::Timestamp;
use kube::core::Duration as Elapsed;

use super::{observed::Memory, turn::later};
use crate::{
    analysis::Verdict,
    api::{Evidence, RolloutStatus},
};

/// How far evidence may run ahead of the stored status.
const CHECKPOINT: Duration = Duration::from_mins(1);

/// The reasons of a run that is on its way.
const ON_THE_WAY: [&str; 6] = ["Claiming", "Raising", "NotProgrammed", "Holding", "Waiting", "Progressing"];

/// Whether status is worth a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Something happened.
    Now,
    /// Only evidence grew: a checkpoint is due then.
    At(Timestamp),
    /// Nothing differs.
    Never,
}

/// Whether `status` is worth a write over the stored one.
pub(super) fn store_due(
    stored: &RolloutStatus,
    status: &RolloutStatus,
    memory: &Memory,
    now: Timestamp,
) -> Due {
    if stored == status {
        return Due::Never;
    }
    if happenings(stored) != happenings(status) {
        return Due::Now;
    }
    let active = status.run.as_ref().is_some_and(|run| run.ended.is_none());
    if !active {
        // Outside runs nothing grows by itself.
        return Due::Now;
    }
    let due = memory.stored_at.map_or(now, |at| later(at, CHECKPOINT));
    if due <= now { Due::Now } else { Due::At(due) }
}

/// The status without all that grows by itself: what is left differs only when something happened.
fn happenings(status: &RolloutStatus) -> RolloutStatus {
    let mut status = status.clone();
    status.message = None;
    status.weights.clear();
    if let Some(run) = &mut status.run {
        run.without_progress = Elapsed::from(Duration::ZERO);
        run.evidence = Evidence::default();
        if let Some(pause) = &mut run.pause {
            pause.message.clear();
        }
    }
    if let Some(step) = &mut status.step {
        step.elapsed = Elapsed::from(Duration::ZERO);
        step.stored_at = None;
    }
    // A metric that still collects says nothing yet.
    status.analysis.retain(|metric| metric.verdict != Verdict::Collecting);
    for metric in &mut status.analysis {
        metric.canary = None;
        metric.stable = None;
        metric.sentence.clear();
    }
    for condition in &mut status.conditions {
        condition.message.clear();
        // Which part of a step it is on the way through is not worth a write; what holds it up is.
        if ON_THE_WAY.contains(&condition.reason.as_str()) {
            condition.reason.clear();
        }
    }
    status
}
