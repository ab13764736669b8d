//! What one step is judged by besides the run's analysis, or in place of it.

use std::collections::BTreeSet;

use super::tests;
use crate::api::{Analysis, PlannedStep, StepAnalysis};

/// The analysis with what a step adds to it. What is called the same is the step's.
pub fn joined(analysis: &Analysis, step: &StepAnalysis) -> Analysis {
    let mut joined = analysis.clone();
    if let Some(rate) = &step.error_rate {
        joined.error_rate = Some(rate.clone());
    }
    for latency in &step.latency {
        match joined.latency.iter_mut().find(|known| known.under.span() == latency.under.span()) {
            Some(known) => known.clone_from(latency),
            None => joined.latency.push(latency.clone()),
        }
    }
    for metric in &step.metrics {
        match joined.metrics.iter_mut().find(|known| known.name == metric.name) {
            Some(known) => known.clone_from(metric),
            None => joined.metrics.push(metric.clone()),
        }
    }
    joined
}

/// How many sequential tests a run has in all its steps: they share its bound on false rollbacks.
pub(super) fn sequences(analysis: &Analysis, plan: &[PlannedStep]) -> usize {
    if plan.iter().all(|step| step.analysis.is_none()) {
        return tests(analysis).len();
    }
    let of = |analysis: &Analysis| tests(analysis).into_iter().map(|test| test.name);
    let steps = plan.iter().filter_map(|step| step.analysis.as_ref());
    let all: BTreeSet<_> = steps.flat_map(|step| of(&joined(analysis, step))).chain(of(analysis)).collect();
    all.len()
}
