//! The plan of a run: made once, at its start, and frozen in status.

use std::time::Duration as Span;

use crate::api::{
    Canary, PlannedStep, RolloutSpec, RouteKind,
    units::{Duration, Weight},
};

/// The steps of a run. The weights increase and the last is 100. With a canary share found at adoption the plan
/// begins there, and steps not above it are left out.
pub fn plan(canary: &Canary, found: Option<Weight>) -> Vec<PlannedStep> {
    let mut steps = Vec::new();
    if let Some(share) = found {
        steps.push(step(canary, share));
    }
    let above = |weight: Weight, steps: &[PlannedStep]| steps.last().is_none_or(|last| weight > last.weight);
    for wanted in &canary.steps {
        if above(wanted.weight, &steps) {
            let hold = wanted.hold.clone().unwrap_or_else(|| canary.hold.clone());
            let max_hold = wanted.max_hold.clone().unwrap_or_else(|| Duration::of(hold.span() * 3));
            steps.push(PlannedStep { weight: wanted.weight, hold, max_hold, approval: wanted.approval });
        }
    }
    if above(Weight::FULL, &steps) {
        steps.push(step(canary, Weight::FULL));
    }
    steps
}

/// The plan of a return within the rollback window: one step to 100.
pub fn instant(canary: &Canary) -> Vec<PlannedStep> {
    vec![step(canary, Weight::FULL)]
}

fn step(canary: &Canary, weight: Weight) -> PlannedStep {
    let hold = canary.hold.clone();
    PlannedStep { weight, max_hold: Duration::of(hold.span() * 3), hold, approval: None }
}

/// The progress deadline of a run: the spec's, else the longest maxHold and a quarter of an hour.
pub fn deadline(spec: &RolloutSpec, plan: &[PlannedStep]) -> Duration {
    spec.progress_deadline.clone().unwrap_or_else(|| {
        let longest = plan.iter().map(|step| step.max_hold.span()).max().unwrap_or_default();
        Duration::of(longest + Span::from_mins(15))
    })
}

/// Why a spec can't be followed, in a sentence that names the field and the remedy. The schema refuses all of
/// this first; an API server without our rules, or an older schema, may not have.
pub fn refuse(spec: &RolloutSpec) -> Option<String> {
    let canary = &spec.strategy.canary;
    if let Some(sentence) = refuse_routes(spec) {
        return Some(sentence);
    }
    if canary.steps.is_empty() {
        return Some("spec.strategy.canary.steps must have at least one step".into());
    }
    if canary.steps.iter().any(|step| step.weight == Weight::ZERO) {
        return Some("spec.strategy.canary.steps: a weight must be at least 1".into());
    }
    if canary.steps.windows(2).any(|pair| pair[0].weight >= pair[1].weight) {
        return Some("spec.strategy.canary.steps: the weights must increase".into());
    }
    for step in plan(canary, None) {
        if step.hold.span() > step.max_hold.span() {
            let (weight, hold, max) = (step.weight, &step.hold, &step.max_hold);
            return Some(format!(
                "spec.strategy.canary.steps: the hold of {weight} ({hold}) must not be longer than its maxHold ({max})"
            ));
        }
        if spec.progress_deadline.as_ref().is_some_and(|deadline| deadline.span() <= step.max_hold.span()) {
            let (weight, max) = (step.weight, &step.max_hold);
            return Some(format!(
                "spec.progressDeadline must be longer than every maxHold; that of {weight} is {max}"
            ));
        }
    }
    None
}

fn refuse_routes(spec: &RolloutSpec) -> Option<String> {
    if spec.routes.is_empty() {
        return Some("spec.routes must name at least one route".into());
    }
    for (i, route) in spec.routes.iter().enumerate() {
        if route.group != route.kind.group() {
            let (kind, group) = (route.kind.word(), route.kind.group().word());
            return Some(format!("spec.routes[{i}]: {kind} is of the group {group}"));
        }
        if route.rule.is_some() && route.kind == RouteKind::GatewayRoute {
            return Some(format!("spec.routes[{i}].rule: a GatewayRoute has no rules; leave it out"));
        }
        if route.stable.is_some() && spec.stable.is_none() {
            return Some(format!(
                "spec.routes[{i}].stable says how {route} calls spec.stable, which must be given too"
            ));
        }
        for other in spec.routes[..i].iter().filter(|other| other.same(route)) {
            if other.rule == route.rule {
                return Some(format!("spec.routes must not name {route}, or the same rule of it, twice"));
            }
            if other.rule.is_none() || route.rule.is_none() {
                return Some(format!(
                    "spec.routes names {route} more than once; each must name a rule of it"
                ));
            }
            if (&other.target, &other.stable) != (&route.target, &route.stable) {
                return Some(format!(
                    "spec.routes: target and stable must be the same for every rule of {route}"
                ));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canary(yaml: &str) -> Canary {
        serde_saphyr::from_str(yaml).unwrap()
    }

    fn told(steps: &[PlannedStep]) -> String {
        let one = |s: &PlannedStep| format!("{}:{}/{}", s.weight.percent(), s.hold, s.max_hold);
        steps.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn plans() {
        let cases = [
            ("{steps: [{weight: 5}]}", None, "5:5m/15m 100:5m/15m"),
            ("{hold: 1m, steps: [{weight: 5}, {weight: 100, hold: 2m}]}", None, "5:1m/3m 100:2m/6m"),
            ("{steps: [{weight: 5, hold: 1m, maxHold: 90s}]}", None, "5:1m/1m30s 100:5m/15m"),
            (
                "{steps: [{weight: 5}, {weight: 20}, {weight: 50}]}",
                Some(20),
                "20:5m/15m 50:5m/15m 100:5m/15m",
            ),
            ("{steps: [{weight: 5}, {weight: 20}]}", Some(30), "30:5m/15m 100:5m/15m"),
        ];
        for (yaml, found, want) in cases {
            let found = found.map(|w| Weight::try_from(w).unwrap());
            assert_eq!(told(&plan(&canary(yaml), found)), want, "{yaml}");
        }
        assert_eq!(told(&instant(&canary("{hold: 2m, steps: [{weight: 5}]}"))), "100:2m/6m");
    }
}
