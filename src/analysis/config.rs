//! What a sequential metric is judged against, and the errors it may make.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{exact, level::Level};

/// Default bound on the probability of a false rollback per run: 1 %.
pub const ALPHA: f64 = 0.01;
/// Default bound on the probability of a wrong Safe per step: 5 %.
pub const BETA: f64 = 0.05;
/// Default burst factor: errors come in pairs.
pub const BURST: f64 = 2.0;

/// Levels and error bounds of one sequential metric. It is an argument of every update, not part of the state,
/// since the levels change at the step to 100 % while the evidence goes on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SequenceConfig {
    /// α: bound on the probability that a run is rolled back although the canary is no worse than tolerated, over
    /// all metrics and all looks. Default 1 %.
    #[serde(with = "exact")]
    #[schemars(with = "exact::Decimal")]
    pub alpha: f64,
    /// β: bound on the probability that a canary at the level to catch is called Safe in a step. Default 5 %.
    #[serde(with = "exact")]
    #[schemars(with = "exact::Decimal")]
    pub beta: f64,
    /// M: judged sequences of the run that share α; the error rate, each latency bound and each `max` count one.
    pub metrics: i32,
    /// K: steps of the frozen plan, the one at 100 % included.
    pub steps: i32,
    /// J: planned looks of the whole run, see [`planned_polls`].
    pub planned_polls: i32,
    /// The level that the canary may have without being punished.
    pub tolerate: Level,
    /// The level that must not pass unnoticed.
    pub catch: Level,
    /// φ ≥ 1: how many errors come together; evidence is divided by it.
    #[serde(with = "exact")]
    #[schemars(with = "exact::Decimal")]
    pub burst: f64,
}

impl Default for SequenceConfig {
    /// One error rate, judged in five steps of ten looks.
    fn default() -> Self {
        Self::error_rate(1, 5, 50)
    }
}

impl SequenceConfig {
    /// The default error rate for a run of `metrics` sequences, `steps` steps and `planned_polls` looks.
    pub const fn error_rate(metrics: i32, steps: i32, planned_polls: i32) -> Self {
        Self {
            alpha: ALPHA,
            beta: BETA,
            metrics,
            steps,
            planned_polls,
            tolerate: Level::ERROR_RATE_TOLERATE,
            catch: Level::ERROR_RATE_CATCH,
            burst: BURST,
        }
    }

    /// The default share of slow requests for such a run.
    pub const fn latency(metrics: i32, steps: i32, planned_polls: i32) -> Self {
        Self::error_rate(metrics, steps, planned_polls).between(Level::LATENCY_TOLERATE, Level::LATENCY_CATCH)
    }

    /// The same with other levels.
    #[must_use]
    pub const fn between(self, tolerate: Level, catch: Level) -> Self {
        Self { tolerate, catch, ..self }
    }

    /// ln(M/α): the evidence of harm from which a metric says Fail. By Ville's inequality a fair bettor ever gets
    /// that rich with probability at most α/M, however often one looks.
    pub fn fail_threshold(&self) -> f64 {
        (f64::from(self.metrics.max(1)) / self.alpha).ln()
    }

    /// ln(1/β): the evidence of safety from which a metric says Safe.
    pub fn safe_threshold(&self) -> f64 {
        (1.0 / self.beta).ln()
    }

    /// Capital that batch number `closed` (from 1) of the run brings to the bets on harm. Half of the one unit is
    /// spread over the first batches of the steps, half over the planned looks: betting starts anew wherever a
    /// regression may start (a mixture over starting points, after Robbins), and never costs more than one unit.
    pub(super) fn new_capital(&self, closed: i32, first_of_step: bool) -> f64 {
        let steps = f64::from(self.steps.max(1));
        let planned = f64::from(self.planned_polls.max(1));
        let of_step = if first_of_step { 0.5 / steps } else { 0.0 };
        let of_look = if closed <= self.planned_polls { 0.5 / planned } else { 0.0 };
        of_step + of_look
    }
}

/// J of a plan: Σ ⌈hold/interval⌉ over its steps; 0 for an interval of zero.
pub fn planned_polls(holds: impl IntoIterator<Item = Duration>, interval: Duration) -> i32 {
    let interval = interval.as_millis();
    if interval == 0 {
        return 0;
    }
    let polls = holds.into_iter().map(|hold| hold.as_millis().div_ceil(interval)).sum::<u128>();
    i32::try_from(polls).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capital_of_a_whole_run_is_one_unit() {
        let config = SequenceConfig::error_rate(1, 4, 40);
        let spent: f64 = (1..=60).map(|b| config.new_capital(b, [1, 11, 21, 41].contains(&b))).sum();
        assert!((spent - 1.0).abs() < 1e-12, "{spent}");
    }

    #[test]
    fn polls_of_a_plan_are_counted_up() {
        let holds = [300, 600, 300, 301].map(Duration::from_secs);
        assert_eq!(planned_polls(holds, Duration::from_secs(10)), 30 + 60 + 30 + 31);
        assert_eq!(planned_polls(holds, Duration::ZERO), 0);
    }
}
