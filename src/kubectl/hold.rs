//! How far the hold of the present step is. The controller counts only time under observation, and stores it once a minute at
//! least; in between this is an estimate, and says so.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    analysis::Verdict,
    api::{GateAnswer, GateStatus, MetricStatus, Mode, Phase, PlannedStep, RolloutStatus, Run, Step},
};

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// The weight is not on every route yet.
    Unwritten,
    /// It is written, and not known to be in effect.
    NotInEffect,
    /// It is in effect, and what came before it must not count any more.
    Settling,
    /// For so long, about.
    For(Duration),
    /// The hold is over; somebody has still to be convinced: whether a metric is.
    Over {
        /// A metric that is acted on has not enough.
        unproven: bool,
    },
}

/// How far the hold of a step is at a time.
pub(super) fn held(
    status: &RolloutStatus,
    run: &Run,
    step: &Step,
    planned: &PlannedStep,
    now: Timestamp,
) -> Held {
    if step.stored_at.is_none() && step.since.is_none() {
        return Held::Unwritten;
    }
    let Some(since) = step.since else { return Held::NotInEffect };
    let counted = Duration::from(step.elapsed);
    let settle = run
        .analysis
        .as_ref()
        .and_then(|analysis| analysis.settle.as_ref())
        .map_or(Duration::ZERO, crate::api::units::Duration::span);
    let settled = step.stored_at.map_or(Duration::ZERO, |stored| after(stored, now).saturating_sub(settle));
    let passed = if counts(status) { counted.max(after(since, now).min(settled)) } else { counted };
    let passed = Duration::from_secs(passed.as_secs());
    match passed {
        passed if passed >= planned.hold.span() => Held::Over { unproven: open(status).next().is_some() },
        passed if passed.is_zero() && settled.is_zero() && !settle.is_zero() => Held::Settling,
        passed => Held::For(passed),
    }
}

/// Whether time counts towards the hold now, as far as the status tells.
fn counts(status: &RolloutStatus) -> bool {
    let down = status.analysis.iter().any(|metric| metric.verdict == Verdict::Error);
    let drifted = status.conditions.iter().any(|one| one.type_ == "RoutesInSync" && one.status == "False");
    status.phase == Some(Phase::Progressing) && !down && !drifted
}

/// The metrics that have not said a good word yet.
pub(super) fn open(status: &RolloutStatus) -> impl Iterator<Item = &MetricStatus> {
    status.analysis.iter().filter(|metric| match metric.verdict {
        Verdict::Safe | Verdict::Pass => false,
        Verdict::Collecting | Verdict::Error | Verdict::Fail => true,
    })
}

/// The gates that do not say yes.
pub(super) fn closed(status: &RolloutStatus) -> impl Iterator<Item = &GateStatus> {
    status.gates.iter().filter(|gate| gate.answer != GateAnswer::Yes)
}

/// Whether a bad canary is put back by what the metrics say.
pub(super) fn is_judged(run: &Run) -> bool {
    run.analysis.as_ref().is_some_and(|analysis| analysis.mode == Mode::Enforce && !analysis.judges_nothing())
}

/// The time from one moment to another; nothing where a clock is behind.
fn after(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Rollout;

    /// A step with a hold of 20 s, written at 0 s and in effect at 1 s, of a run that settles for 8 s.
    fn at(seconds: i64, step: &str, besides: &str) -> Held {
        let rollout: Rollout = serde_saphyr::from_str(&format!(
            "{{apiVersion: tidegate.dev/v1alpha1, kind: Rollout, metadata: {{name: c}}, spec: {{routes: [], target: {{name: v2}},
              strategy: {{canary: {{steps: [{{weight: 5}}]}}}}}}, status: {{phase: Progressing, {besides}
              step: {{index: 1, of: 1, label: a, weight: 5, {step}}},
              run: {{number: 1, startedAt: '1970-01-01T00:00:00Z', plan: [{{weight: 5, hold: 20s, maxHold: 60s}}],
                     progressDeadline: 1h, onDeadline: Pause, withoutProgress: 0s,
                     analysis: {{settle: 8s, metrics: [{{name: m, query: q, max: '1'}}]}}}}}}}}"
        ))
        .unwrap();
        let status = rollout.status.unwrap();
        let (run, step) = (status.run.as_ref().unwrap(), status.step.as_ref().unwrap());
        held(&status, run, step, &run.plan[0], Timestamp::from_second(seconds).unwrap())
    }

    #[test]
    fn only_time_that_counts_is_told() {
        let written = "elapsed: 0s, storedAt: '1970-01-01T00:00:00Z'";
        let effective = "elapsed: 0s, storedAt: '1970-01-01T00:00:00Z', since: '1970-01-01T00:00:01Z'";
        let metric = |verdict: &str| {
            format!(
                "analysis: [{{name: m, verdict: {verdict}, sentence: s, since: '1970-01-01T00:00:00Z'}}],"
            )
        };
        let seconds = |passed| Held::For(Duration::from_secs(passed));
        assert_eq!(at(9, "elapsed: 0s", ""), Held::Unwritten);
        assert_eq!(at(9, written, ""), Held::NotInEffect);
        assert_eq!(at(5, effective, ""), Held::Settling);
        assert_eq!(at(18, effective, ""), seconds(10));
        assert_eq!(at(28, effective, ""), Held::Over { unproven: false });
        assert_eq!(at(28, effective, &metric("Collecting")), Held::Over { unproven: true });
        let stored = effective.replace("elapsed: 0s", "elapsed: 12s");
        assert_eq!(at(10, &stored, ""), seconds(12), "what the controller has counted is no estimate");
        assert_eq!(at(99, &stored, &metric("Error")), seconds(12), "nor goes on while the metrics are down");
        assert_eq!(at(-50, effective, ""), Held::Settling, "a clock that is behind");
    }
}
