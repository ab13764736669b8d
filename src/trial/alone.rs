//! The spec that is tried: the Rollout's own, on one route and without what counters alone can't play.

use super::course::Plan;
use crate::api::{CanaryStep, EvidenceRule, RolloutSpec, RouteKind, RouteRef, TargetRef, units::Weight};

/// The spec on the one route that there is. What needs more than counters is left out: who approves agrees at once, nothing is
/// scaled, and what only some requests get to see, or copies of them, is no step. Where no other is left, the one to 100 is.
pub(super) fn alone(plan: &Plan<'_>, route: &str) -> RolloutSpec {
    let mut spec = plan.spec.clone();
    let evidence = Some(EvidenceRule::WhenReported);
    spec.routes = vec![RouteRef { evidence, ..RouteRef::new(RouteKind::GatewayRoute, route) }];
    spec.target = TargetRef { name: plan.canary.to_owned(), port: None, workload_ref: None };
    spec.stable = None;
    (spec.retire, spec.suspend) = (None, false);
    if let Some(canary) = &mut spec.strategy.canary {
        canary.scale = None;
        let last = canary.steps.last().cloned();
        canary.steps.retain(|step| step.weight.is_some());
        if let Some(last) = last.filter(|_| canary.steps.is_empty()) {
            let weight = Some(Weight::FULL);
            canary.steps.push(CanaryStep { weight, matching: None, mirror: None, ..last });
        }
        for step in &mut canary.steps {
            (step.approval, step.scale) = (None, None);
        }
    }
    if let Some(blue_green) = &mut spec.strategy.blue_green {
        (blue_green.preview, blue_green.before) = (None, None);
        (blue_green.scale, blue_green.after.approval) = (None, None);
    }
    spec
}
