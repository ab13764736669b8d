//! The evidence of one metric over a run.
//!
//! Two sets of bettors watch the same batches. The ones on harm play at the tolerated level through the whole run,
//! with new capital at the first batch of each step and at each planned look; the ones on safety play at the level
//! to catch and start over with each step. Their fortunes are test martingales at their level, or
//! supermartingales where the canary is truly better (worse), so one may look after every batch and stop at any:
//! no correction for peeking is due.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    batch::Batch,
    config::SequenceConfig,
    exact,
    level::{HARM_GRID, Level, SAFE_GRID, log_bet, log_mean, log_sum_exp},
    verdict::Verdict,
};

/// Evidence of one metric. It is the whole checkpoint: stored and read back it goes on bit for bit as if it had
/// never left memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sequence {
    /// ln fortune of each bet on harm; −∞ until capital came.
    #[serde(with = "exact::list")]
    #[schemars(with = "Vec<exact::Decimal>", length(min = 6, max = 6))]
    harm: [f64; HARM_GRID.len()],
    /// ln fortune of each bet on safety in this step; −∞ for the bet on no error at all once there was one.
    #[serde(with = "exact::list")]
    #[schemars(with = "Vec<exact::Decimal>", length(min = 4, max = 4))]
    safe: [f64; SAFE_GRID.len()],
    /// Counts that wait until both arms had traffic.
    carry: Batch,
    /// Batches closed in this run.
    closed: i32,
    /// The step of the latest update; none before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    step: Option<i32>,
    /// Whether the next batch to close is the first of its step.
    first_of_step: bool,
    /// Counts since the step began.
    step_total: Batch,
    /// Counts since the run began.
    run_total: Batch,
}

impl Default for Sequence {
    fn default() -> Self {
        Self::new()
    }
}

impl Sequence {
    /// The evidence before the first look.
    pub const fn new() -> Self {
        const NOTHING: Batch = Batch { x: 0.0, m: 0.0, y: 0.0, n: 0.0 };
        Self {
            harm: [f64::NEG_INFINITY; HARM_GRID.len()],
            safe: [0.0; SAFE_GRID.len()],
            carry: NOTHING,
            closed: 0,
            step: None,
            first_of_step: true,
            step_total: NOTHING,
            run_total: NOTHING,
        }
    }

    /// Takes in the counts of one look made in `step`.
    pub fn update(&mut self, config: &SequenceConfig, step: i32, batch: Batch) {
        if self.step != Some(step) {
            self.begin(step);
        }
        self.step_total = self.step_total.plus(batch);
        self.run_total = self.run_total.plus(batch);
        self.carry = self.carry.plus(batch);
        if self.carry.is_complete() {
            self.close(config);
        }
    }

    /// Safety is proved per step, and counts of two weights are never mixed in one batch.
    fn begin(&mut self, step: i32) {
        self.safe = [0.0; SAFE_GRID.len()];
        self.carry = Batch::default();
        self.step_total = Batch::default();
        self.step = Some(step);
        self.first_of_step = true;
    }

    fn close(&mut self, config: &SequenceConfig) {
        self.closed = self.closed.saturating_add(1);
        let capital = config.new_capital(self.closed, self.first_of_step);
        bet_on_harm(&mut self.harm, capital, self.carry, config.tolerate, config.burst);
        for (fortune, g) in self.safe.iter_mut().zip(SAFE_GRID) {
            *fortune += log_bet(self.carry, config.catch, g) / config.burst;
        }
        self.carry = Batch::default();
        self.first_of_step = false;
    }

    /// ln E of harm: the natural logarithm of the odds against a canary that is no worse than tolerated.
    /// −∞ before the first batch.
    pub fn log_e_harm(&self) -> f64 {
        log_mean(self.harm)
    }

    /// ln E of safety in this step: the odds against a canary at the level to catch, or above it.
    pub fn log_e_safe(&self) -> f64 {
        log_mean(self.safe)
    }

    /// What the evidence says now. A later batch may take a Fail or Safe back; a run acts on the first Fail it
    /// sees, so the bound on false rollbacks holds for that first one.
    pub fn verdict(&self, config: &SequenceConfig) -> Verdict {
        if self.log_e_harm() >= config.fail_threshold() {
            Verdict::Fail
        } else if self.log_e_safe() >= config.safe_threshold() {
            Verdict::Safe
        } else {
            Verdict::Collecting
        }
    }

    /// Counts since the step began, those included that still wait for traffic of the other arm.
    pub const fn step_total(&self) -> Batch {
        self.step_total
    }

    /// Counts since the run began.
    pub const fn run_total(&self) -> Batch {
        self.run_total
    }

    /// Batches closed since the run began.
    pub const fn closed(&self) -> i32 {
        self.closed
    }

    /// The step of the latest update; none before the first.
    pub const fn step(&self) -> Option<i32> {
        self.step
    }

    /// About how many more canary requests Safe takes, if both arms fail `share` of theirs from now on and stable
    /// has much more traffic; 0 when it is Safe already, `None` when that would never get there.
    pub fn requests_until_safe(&self, config: &SequenceConfig, share: f64) -> Option<i64> {
        let gains = SAFE_GRID.map(|g| expected_gain(g, share, config.catch.at(share)) / config.burst);
        fewest_until(config.safe_threshold(), |requests| {
            let mut fortunes = self.safe;
            if requests > 0 {
                fortunes.iter_mut().zip(gains).for_each(|(fortune, gain)| *fortune += requests as f64 * gain);
            }
            log_mean(fortunes)
        })
    }
}

/// Adds `capital` to each bet on harm, then plays `batch`.
pub(super) fn bet_on_harm(
    bets: &mut [f64; HARM_GRID.len()],
    capital: f64,
    batch: Batch,
    level: Level,
    burst: f64,
) {
    for (fortune, g) in bets.iter_mut().zip(HARM_GRID) {
        let funded = log_sum_exp([*fortune, capital.ln()].into_iter());
        *fortune = funded + log_bet(batch, level, g) / burst;
    }
}

/// Mean log fortune won per canary request by bet `g` on safety, when the canary fails `share` and the level to
/// catch stands at `caught`: the limit of [`log_bet`] for a stable with much more traffic.
fn expected_gain(g: f64, share: f64, caught: f64) -> f64 {
    if share <= 0.0 {
        caught * (1.0 - g)
    } else if g <= 0.0 {
        f64::NEG_INFINITY
    } else {
        share * g.ln() + caught * (1.0 - g)
    }
}

/// More requests than any plan waits for.
const MAX_REQUESTS: i64 = 1 << 40;

/// The fewest requests with `evidence(requests) >= threshold`, where `evidence` is convex, as the logarithm of a
/// sum of exponentials is: starting below the threshold, it crosses it upwards at most once.
pub(super) fn fewest_until(threshold: f64, evidence: impl Fn(i64) -> f64) -> Option<i64> {
    if evidence(0) >= threshold {
        return Some(0);
    }
    let mut enough = 1;
    while evidence(enough) < threshold {
        enough *= 2;
        if enough > MAX_REQUESTS {
            return None;
        }
    }
    let mut short = enough / 2;
    while enough - short > 1 {
        let middle = short + (enough - short) / 2;
        if evidence(middle) >= threshold {
            enough = middle;
        } else {
            short = middle;
        }
    }
    Some(enough)
}

#[cfg(test)]
mod tests;
