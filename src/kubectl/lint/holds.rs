//! Whether each step can finish, and tell something, within its times.
//!
//! A step's time begins when its weight is in effect and what `settle` says is over. The counters of both arms are then
//! read, and one `interval` later there is something to compare; a plain number counts from the first look.

use std::time::Duration as Span;

use super::{check::Wanted, finding::Fault};
use crate::{
    api::{
        Analysis, Mode, OnInconclusive, PlainMetric, PlannedStep, RolloutSpec, StageName,
        units::{Duration, spell},
    },
    engine,
    metrics::questions,
};

/// What of a Rollout's steps can't be, by what they are judged by.
pub(super) fn of_rollout(spec: &RolloutSpec, analysis: &Analysis, wanted: Wanted<'_>) -> Vec<Fault> {
    let plan = engine::plan(&spec.strategy, None);
    let mut faults = Vec::new();
    for (at, step) in plan.iter().enumerate() {
        let field = field(spec, at, step);
        let own = step.analysis.as_ref().map(|own| engine::joined(analysis, own));
        let analysis = own.as_ref().unwrap_or(analysis);
        faults.extend(of_counters(&field, step, analysis));
        faults.extend(analysis.metrics.iter().filter_map(|metric| of_number(&field, step, metric, analysis)));
    }
    faults.extend(of_deadline(spec, &plan, analysis, wanted));
    if let Some(rate) = wanted.rate.filter(|_| analysis.mode == Mode::Enforce) {
        let hopeless = engine::proofs(analysis, &plan, rate).into_iter().filter(|proof| !proof.provable);
        faults.extend(hopeless.map(|proof| {
            let field = plan.get(proof.step).map_or_else(String::new, |step| field(spec, proof.step, step));
            Fault::warning(
                field,
                format!("{} Give it a longer maxHold, or a greater weight.", proof.sentence),
            )
        }));
    }
    faults
}

/// Where a planned step comes from.
fn field(spec: &RolloutSpec, at: usize, step: &PlannedStep) -> String {
    match step.stage {
        Some(StageName::Before) => "spec.strategy.blueGreen.before".to_owned(),
        Some(StageName::After) => "spec.strategy.blueGreen.after".to_owned(),
        None => {
            let given = spec.strategy.canary.as_ref().is_some_and(|canary| at < canary.steps.len());
            if given {
                format!("spec.strategy.canary.steps[{at}]")
            } else {
                "spec.strategy.canary.hold".to_owned()
            }
        }
    }
}

/// Whether there are two readings of the counters in a step's time.
fn of_counters(field: &str, step: &PlannedStep, analysis: &Analysis) -> Option<Fault> {
    let enforced = |mode: Option<Mode>| mode.unwrap_or(analysis.mode) == Mode::Enforce;
    let judged = analysis.error_rate.iter().any(|rate| enforced(rate.mode))
        || analysis.latency.iter().any(|latency| enforced(latency.mode));
    let interval = analysis.interval.span();
    if !judged {
        return None;
    }
    if interval > step.max_hold.span() {
        return Some(Fault::error(
            field,
            format!(
                "with an interval of {} nothing is judged before its maxHold of {} is over: it always ends unproved. Shorten \
                 spec.analysis.interval, or lengthen the hold or the maxHold",
                analysis.interval, step.max_hold
            ),
        ));
    }
    (interval > step.hold.span()).then(|| {
        let message = format!(
            "its hold of {} is shorter than the interval of {}, so it takes that long at least",
            step.hold, analysis.interval
        );
        Fault::note(field, message)
    })
}

/// Whether enough looks for a Fail are in a step's time.
fn of_number(field: &str, step: &PlannedStep, metric: &PlainMetric, analysis: &Analysis) -> Option<Fault> {
    if metric.mode.unwrap_or(analysis.mode) == Mode::Observe {
        return None;
    }
    let interval = metric.interval.as_ref().unwrap_or(&analysis.interval).span();
    let more = u32::try_from(metric.failures.saturating_sub(1)).unwrap_or(0);
    let takes = interval.saturating_mul(more);
    if takes <= step.max_hold.span() {
        return None;
    }
    let name = &metric.name;
    let counted = format!(
        "the metric {name} fails after {} bad looks in a row, {} apart, which takes {}; its maxHold is {}",
        metric.failures,
        spell(interval),
        spell(takes),
        step.max_hold
    );
    let remedy = format!("Lessen the failures or the interval of {name}, or lengthen the maxHold");
    Some(match analysis.on_inconclusive {
        OnInconclusive::Advance => Fault::error(
            field,
            format!(
                "{counted}: it can never fail there, and a bad canary goes on to the next step. {remedy}"
            ),
        ),
        OnInconclusive::Pause => Fault::error(
            field,
            format!("{counted}: it can't fail in it, and a bad canary stays until the run pauses. {remedy}"),
        ),
        OnInconclusive::Rollback => Fault::warning(
            field,
            format!("{counted}: it can't fail in it, and maxHold alone puts a bad canary back. {remedy}"),
        ),
    })
}

/// Whether the times of the longest step, with the settling before them, are within the progress deadline.
fn of_deadline(
    spec: &RolloutSpec,
    plan: &[PlannedStep],
    analysis: &Analysis,
    wanted: Wanted<'_>,
) -> Option<Fault> {
    let settle = settle(analysis, wanted)?;
    let deadline = engine::deadline(spec, plan).span();
    let told = |what: &str, span: Span| {
        format!(
            "its {what} of {} begins after the settling of {}, and the progress deadline of {} is over before it ends",
            spell(span),
            spell(settle),
            spell(deadline)
        )
    };
    let longest = |span: fn(&PlannedStep) -> Span| {
        let longest = plan.iter().enumerate().max_by_key(|(_, step)| span(step));
        longest.filter(|(_, step)| settle + span(step) >= deadline)
    };
    let remedy = "lengthen spec.progressDeadline, or shorten spec.analysis.settle";
    if let Some((at, step)) = longest(|step| step.hold.span()) {
        let message = format!("{}: no run ever finishes; {remedy}", told("hold", step.hold.span()));
        return Some(Fault::error(field(spec, at, step), message));
    }
    longest(|step| step.max_hold.span()).map(|(at, step)| {
        let message = format!("{}; {remedy}", told("maxHold", step.max_hold.span()));
        Fault::warning(field(spec, at, step), message)
    })
}

/// How long nothing is judged after a change of weight, where that is known.
fn settle(analysis: &Analysis, wanted: Wanted<'_>) -> Option<Span> {
    let configured = || {
        let providers = &wanted.config?.providers;
        let name = analysis.provider.as_ref().or(providers.default.as_ref())?;
        questions::settle(providers.entries.get(name)?)
    };
    analysis.settle.as_ref().map(Duration::span).or_else(configured)
}
