//! When status is worth a write: at once when something happened, else at most once a minute.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::{memory::Memory, turn::later};
use crate::{
    analysis::Verdict,
    api::{GateStatus, MetricStatus, Notice, Pause, RolloutStatus, Run, Step},
};

/// How far evidence may run ahead of the stored status.
const CHECKPOINT: Duration = Duration::from_mins(1);

/// The reasons that condition Ready has while all is well with a run that is on its way.
pub const ON_THE_WAY: [&str; 6] =
    ["Claiming", "Raising", "NotProgrammed", "Holding", "Waiting", "Progressing"];

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

/// Whether `status` is worth a write over the stored one, which is another.
pub(super) fn store_due(
    stored: &RolloutStatus,
    status: &RolloutStatus,
    memory: &Memory,
    now: Timestamp,
) -> Due {
    if !same_happenings(stored, status) {
        return Due::Now;
    }
    let active = status.active_run().is_some();
    if !active {
        // Outside runs nothing grows by itself.
        return Due::Now;
    }
    let due = memory.stored_at.map_or(now, |at| later(at, CHECKPOINT));
    if due <= now { Due::Now } else { Due::At(due) }
}

/// Whether nothing happened between two statuses: they differ in what grows by itself, if at all. Every field is named, so
/// that a new one has to find its place here.
fn same_happenings(one: &RolloutStatus, other: &RolloutStatus) -> bool {
    let RolloutStatus {
        format,
        observed_generation,
        phase,
        message: _,
        epoch,
        stable,
        canary,
        routes,
        run,
        step,
        weights: _,
        analysis,
        gates,
        history,
        retired,
        restored,
        taken,
        last_request,
        notices,
        conditions,
    } = one;
    (format, epoch) == (&other.format, &other.epoch)
        && (observed_generation, phase) == (&other.observed_generation, &other.phase)
        && (stable, canary, routes) == (&other.stable, &other.canary, &other.routes)
        && both(run.as_ref(), other.run.as_ref(), same_run)
        && both(step.as_ref(), other.step.as_ref(), same_step)
        && same_verdicts(analysis, &other.analysis)
        && all(gates, &other.gates, same_gate)
        && none_is_new(notices, &other.notices)
        && (history, retired) == (&other.history, &other.retired)
        && (restored, taken) == (&other.restored, &other.taken)
        && last_request == &other.last_request
        && all(conditions, &other.conditions, same_condition)
}

fn same_run(one: &Run, other: &Run) -> bool {
    let Run {
        number,
        started_at,
        plan,
        analysis,
        progress_deadline,
        on_deadline,
        instant_return,
        without_progress: _,
        pause,
        ended,
        promote_full,
        evidence: _,
        corrections,
        corrected_at,
    } = one;
    let same_pause = |one: &Pause, other: &Pause| {
        let Pause { reason, message: _, since } = one;
        (reason, since) == (&other.reason, &other.since)
    };
    (number, started_at, plan, analysis) == (&other.number, &other.started_at, &other.plan, &other.analysis)
        && (progress_deadline, on_deadline) == (&other.progress_deadline, &other.on_deadline)
        && (instant_return, promote_full) == (&other.instant_return, &other.promote_full)
        && both(pause.as_ref(), other.pause.as_ref(), same_pause)
        && ended == &other.ended
        && (corrections, corrected_at) == (&other.corrections, &other.corrected_at)
}

fn same_step(one: &Step, other: &Step) -> bool {
    let Step { index, of, label, weight, stored_at: _, since, elapsed: _, promoted, gates_passed, restoring } =
        one;
    (index, of, label, weight) == (&other.index, &other.of, &other.label, &other.weight)
        && (since, promoted) == (&other.since, &other.promoted)
        && (gates_passed, restoring) == (&other.gates_passed, &other.restoring)
}

/// A gate that says the same in other words says nothing new.
fn same_gate(one: &GateStatus, other: &GateStatus) -> bool {
    let GateStatus { name, when, step, answer, sentence: _, since } = one;
    (name, when, step) == (&other.name, &other.when, &other.step)
        && (answer, since) == (&other.answer, &other.since)
}

/// Whether there is nothing to tell that was not known before; what has been taken can be forgotten at leisure.
fn none_is_new(known: &[Notice], now: &[Notice]) -> bool {
    now.iter().all(|notice| known.iter().any(|known| known.id == notice.id))
}

/// A metric that still collects says nothing yet.
fn same_verdicts(one: &[MetricStatus], other: &[MetricStatus]) -> bool {
    let known = |metric: &&MetricStatus| metric.verdict != Verdict::Collecting;
    let said = |metric: &MetricStatus| {
        let MetricStatus { name: _, verdict, canary: _, stable: _, sentence: _, since } = metric;
        (*verdict, *since)
    };
    let (mut one, mut other) = (one.iter().filter(known), other.iter().filter(known));
    loop {
        match (one.next(), other.next()) {
            (None, None) => return true,
            (Some(one), Some(other)) if one.name == other.name && said(one) == said(other) => {}
            (Some(_) | None, Some(_)) | (Some(_), None) => return false,
        }
    }
}

/// Which part of a step it is on the way through is not worth a write; what holds it up is.
fn same_condition(one: &Condition, other: &Condition) -> bool {
    let on_the_way = |condition: &Condition| ON_THE_WAY.contains(&condition.reason.as_str());
    let Condition { type_, status, reason, message: _, last_transition_time, observed_generation } = one;
    (type_, status, last_transition_time) == (&other.type_, &other.status, &other.last_transition_time)
        && observed_generation == &other.observed_generation
        && (reason == &other.reason || (on_the_way(one) && on_the_way(other)))
}

fn both<T>(one: Option<&T>, other: Option<&T>, same: impl Fn(&T, &T) -> bool) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => same(one, other),
        (Some(_), None) | (None, Some(_)) => false,
    }
}

fn all<T>(one: &[T], other: &[T], same: impl Fn(&T, &T) -> bool) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
}
