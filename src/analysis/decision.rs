//! From verdicts to what becomes of a step. Doubt may hold a step or pause it; it never raises a weight.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::verdict::Verdict;

/// Canary requests in a step without which not even a relaxed step goes on.
pub const RELAXED_REQUESTS: f64 = 50.0;
/// ln E of harm from which a relaxed step no longer goes on: ln 3, odds of 3 to 1 against the canary.
pub const RELAXED_LOG_E_HARM: f64 = 1.098_612_288_668_109_8;

/// What becomes of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub enum StepDecision {
    /// All traffic back on stable.
    Rollback,
    /// Stable itself is sick: nothing can be compared, so the weight stays.
    Hold,
    /// The step's hold is not over.
    Wait,
    /// On to the next step.
    Advance,
    /// The hold is over but proof is not complete; there is time left to collect more.
    Extend,
    /// A person is asked.
    Pause,
}

/// What becomes of a step whose time ran out while proof was incomplete.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub enum OnInconclusive {
    /// A person is asked. The default.
    #[default]
    Pause,
    /// On to the next step, unproven.
    Advance,
    /// All traffic back on stable.
    Rollback,
}

/// One judged metric as the step sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Judged {
    /// A metric with evidence that accumulates.
    Sequential {
        /// What it says.
        verdict: Verdict,
        /// Its ln E of harm.
        log_e_harm: f64,
    },
    /// A plain threshold.
    Plain(Verdict),
}

impl Judged {
    /// What the metric says.
    pub const fn verdict(self) -> Verdict {
        match self {
            Self::Sequential { verdict, .. } | Self::Plain(verdict) => verdict,
        }
    }

    fn is_proved(self) -> bool {
        match self.verdict() {
            Verdict::Safe | Verdict::Pass => true,
            Verdict::Fail | Verdict::Collecting | Verdict::Error => false,
        }
    }

    /// Good enough where proof is not asked for: nothing speaks against the canary.
    fn is_unsuspicious(self) -> bool {
        match self {
            Self::Sequential { verdict: Verdict::Collecting, log_e_harm } => log_e_harm < RELAXED_LOG_E_HARM,
            Self::Sequential { .. } | Self::Plain(_) => self.is_proved(),
        }
    }
}

/// How much a step must prove before it may go on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Proof {
    /// Every metric Safe or Pass.
    Required,
    /// The step's weight is below `proveFrom`: enough that the canary had some traffic and nothing speaks against
    /// it.
    Relaxed {
        /// Canary requests since the step began.
        canary_requests: f64,
    },
}

/// All that a step is decided by.
#[derive(Clone, Copy, Debug)]
pub struct StepFacts<'a> {
    /// The enforced metrics that can judge this step. Empty only where the Rollout has no analysis; metrics that
    /// are configured but not applicable are for the caller to pause on, since nothing proved is not a pass.
    pub metrics: &'a [Judged],
    /// Time the step was under observation.
    pub elapsed: Duration,
    /// The step's hold.
    pub duration: Duration,
    /// The step's greatest hold.
    pub max_duration: Duration,
    /// Whether stable itself is sick.
    pub baseline_unhealthy: bool,
    /// What the Rollout wants when time runs out.
    pub on_inconclusive: OnInconclusive,
    /// How much must be proved.
    pub proof: Proof,
}

impl StepFacts<'_> {
    fn any(&self, verdict: Verdict) -> bool {
        self.metrics.iter().any(|metric| metric.verdict() == verdict)
    }

    fn may_go_on(&self) -> bool {
        let proved = self.metrics.iter().all(|metric| metric.is_proved());
        proved
            || match self.proof {
                Proof::Required => false,
                Proof::Relaxed { canary_requests } => {
                    canary_requests >= RELAXED_REQUESTS
                        && self.metrics.iter().all(|metric| metric.is_unsuspicious())
                }
            }
    }
}

/// Decides a step. The order of the rules is their precedence: harm beats everything, a sick stable beats proof,
/// and an error is only reached when time is up.
pub fn decide_step(facts: &StepFacts<'_>) -> StepDecision {
    if facts.any(Verdict::Fail) {
        StepDecision::Rollback
    } else if facts.baseline_unhealthy {
        StepDecision::Hold
    } else if facts.elapsed < facts.duration {
        StepDecision::Wait
    } else if facts.may_go_on() {
        StepDecision::Advance
    } else if facts.elapsed < facts.max_duration {
        StepDecision::Extend
    } else if facts.any(Verdict::Error) {
        StepDecision::Pause
    } else {
        match facts.on_inconclusive {
            OnInconclusive::Pause => StepDecision::Pause,
            OnInconclusive::Advance => StepDecision::Advance,
            OnInconclusive::Rollback => StepDecision::Rollback,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relaxed(metrics: &[Judged], canary_requests: f64) -> StepDecision {
        decide_step(&StepFacts {
            metrics,
            elapsed: Duration::from_mins(5),
            duration: Duration::from_mins(5),
            max_duration: Duration::from_mins(15),
            baseline_unhealthy: false,
            on_inconclusive: OnInconclusive::Advance,
            proof: Proof::Relaxed { canary_requests },
        })
    }

    #[test]
    fn a_relaxed_step_goes_on_while_nothing_speaks_against_the_canary() {
        use StepDecision::{Advance, Extend, Rollback};
        let sequential = |verdict, log_e_harm| Judged::Sequential { verdict, log_e_harm };
        let calm = sequential(Verdict::Collecting, 1.09);
        let cases: [(&str, &[Judged], f64, StepDecision); 9] = [
            ("a Fail", &[calm, Judged::Plain(Verdict::Fail)], 900.0, Rollback),
            ("too few requests", &[calm], 49.0, Extend),
            ("suspicion", &[sequential(Verdict::Collecting, 1.1)], 900.0, Extend),
            ("an error", &[calm, sequential(Verdict::Error, -1.0)], 900.0, Extend),
            ("a plain error", &[calm, Judged::Plain(Verdict::Error)], 900.0, Extend),
            ("a plain metric undecided", &[calm, Judged::Plain(Verdict::Collecting)], 900.0, Extend),
            ("calm", &[calm, Judged::Plain(Verdict::Pass)], 50.0, Advance),
            ("no evidence either way", &[sequential(Verdict::Collecting, f64::NEG_INFINITY)], 50.0, Advance),
            ("proved with few requests", &[sequential(Verdict::Safe, 0.0)], 1.0, Advance),
        ];
        for (name, metrics, requests, want) in cases {
            assert_eq!(relaxed(metrics, requests), want, "{name}");
        }
    }
}
