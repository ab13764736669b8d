//! How long each step takes to prove, by a rate of requests. Pure.

use super::{Test, tests};
use crate::{
    analysis::{self, ProofGoal, sentence},
    api::{Analysis, PlannedStep},
};

/// Whether a step can be proved in its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepProof {
    /// The step, by its place in the plan.
    pub step: usize,
    /// Whether it can, if the canary has no error at all.
    pub provable: bool,
    /// The same in a sentence, with the counts.
    pub sentence: String,
}

/// What a run's steps can prove where the routes have `rate` requests a second in all, before anything is known of the
/// traffic. Empty where nothing is compared with stable.
pub fn proofs(analysis: &Analysis, plan: &[PlannedStep], rate: f64) -> Vec<StepProof> {
    let relative = tests(analysis).into_iter().find(|test| test.max.is_none());
    relative.map_or_else(Vec::new, |test| of_test(analysis, &test, plan, rate, analysis::BURST))
}

/// The same by one test, with the burst that was found.
pub(super) fn of_test(
    analysis: &Analysis,
    test: &Test,
    plan: &[PlannedStep],
    rate: f64,
    burst: f64,
) -> Vec<StepProof> {
    let goal = ProofGoal { absolute: test.catch.absolute, beta: analysis::BETA, burst };
    // A step without a share has only what a match sends, and nothing tells how much that is.
    let wanted = |(_, step): &(usize, &PlannedStep)| {
        step.weight >= analysis.prove_from && (1..100).contains(&step.weight.percent())
    };
    let as_planned = |step: &PlannedStep| analysis::PlannedStep {
        weight: step.weight.percent(),
        max_hold: step.max_hold.span(),
    };
    let told = |(at, step): (usize, &PlannedStep)| {
        let step = as_planned(step);
        let estimates = analysis::preflight(rate, &[step], goal);
        estimates.into_iter().map(move |estimate| StepProof {
            step: at,
            provable: estimate.provable,
            sentence: sentence::preflight(rate, &estimate, step.max_hold),
        })
    };
    plan.iter().enumerate().filter(wanted).flat_map(told).collect()
}
