//! The plan of a run: made once, at its start, and frozen in status.

use std::time::Duration as Span;

use super::judgeable;
use crate::api::{
    BlueGreen, Canary, CanaryStep, Gates, HeaderMatch, PlannedStep, RequestMatch, RolloutSpec, RouteKind,
    Stage, StageName, Strategy,
    units::{Duration, Weight},
};

/// The steps of a run; the last has weight 100. With a canary share found at adoption the plan begins there, and what
/// would come before it is left out. Empty where the strategy is none, which is refused before.
pub fn plan(strategy: &Strategy, found: Option<Weight>) -> Vec<PlannedStep> {
    match (&strategy.canary, &strategy.blue_green) {
        (Some(canary), None) => by_steps(canary, found),
        (None, Some(blue_green)) => at_once(blue_green, found),
        (Some(_), Some(_)) | (None, None) => vec![],
    }
}

/// The plan of a return within the rollback window: one step to 100.
pub fn instant(strategy: &Strategy) -> Vec<PlannedStep> {
    match (&strategy.canary, &strategy.blue_green) {
        (Some(canary), None) => {
            let last = canary.steps.iter().rev().find_map(|step| step.scale.clone());
            vec![PlannedStep {
                scale: last.or_else(|| canary.scale.clone()),
                ..plain(Weight::FULL, &canary.hold)
            }]
        }
        (None, Some(blue_green)) => {
            let after = Stage { approval: None, gates: None, ..blue_green.after.clone() };
            vec![PlannedStep {
                scale: blue_green.scale.clone(),
                ..stage(Weight::FULL, StageName::After, &after)
            }]
        }
        (Some(_), Some(_)) | (None, None) => vec![],
    }
}

/// The weights increase. A step with a match keeps the share of the one before; what matches stays so until another
/// step's match, or the end.
fn by_steps(canary: &Canary, found: Option<Weight>) -> Vec<PlannedStep> {
    let mut steps: Vec<PlannedStep> = found.into_iter().map(|share| plain(share, &canary.hold)).collect();
    let not_above = |step: &CanaryStep| step.weight.is_some_and(|weight| Some(weight) <= found);
    let passed = canary.steps.iter().rposition(not_above).map_or(0, |last| last + 1);
    let mut share = found.unwrap_or(Weight::ZERO);
    let (mut matching, mut scale) = (None, canary.scale.clone());
    // What has users' requests already is not tried without any.
    let is_late = |step: &CanaryStep| found.is_some() && step.mirror.is_some();
    for wanted in canary.steps[passed..].iter().filter(|step| !is_late(step)) {
        share = wanted.weight.unwrap_or(share);
        matching = wanted.matching.clone().or(matching);
        scale = wanted.scale.clone().or(scale);
        let hold = wanted.hold.as_ref().unwrap_or(&canary.hold);
        steps.push(PlannedStep {
            max_hold: wanted.max_hold.clone().unwrap_or_else(|| thrice(hold)),
            approval: wanted.approval,
            analysis: wanted.analysis.clone(),
            gates: some(wanted.gates.as_ref()),
            mirror: wanted.mirror,
            matching: matching.clone(),
            scale: scale.clone(),
            ..plain(share, hold)
        });
    }
    if share < Weight::FULL {
        steps.push(PlannedStep { matching, scale, ..plain(Weight::FULL, &canary.hold) });
    }
    steps
}

/// Before the switch, where that is asked for and the target has no traffic yet; after it.
fn at_once(blue_green: &BlueGreen, found: Option<Weight>) -> Vec<PlannedStep> {
    let first = match (found, &blue_green.before) {
        (Some(share), _) => Some(plain(share, &blue_green.after.hold)),
        (None, Some(before)) => Some(PlannedStep {
            matching: blue_green.preview.clone(),
            ..stage(Weight::ZERO, StageName::Before, before)
        }),
        (None, None) => None,
    };
    let matching = first.as_ref().and_then(|first| first.matching.clone());
    let after = PlannedStep { matching, ..stage(Weight::FULL, StageName::After, &blue_green.after) };
    let scale = |step| PlannedStep { scale: blue_green.scale.clone(), ..step };
    first.into_iter().chain([after]).map(scale).collect()
}

fn stage(weight: Weight, name: StageName, stage: &Stage) -> PlannedStep {
    PlannedStep {
        stage: Some(name),
        max_hold: stage.max_hold.clone().unwrap_or_else(|| thrice(&stage.hold)),
        approval: stage.approval,
        gates: some(stage.gates.as_ref()),
        ..plain(weight, &stage.hold)
    }
}

fn plain(weight: Weight, hold: &Duration) -> PlannedStep {
    PlannedStep {
        weight,
        stage: None,
        mirror: None,
        matching: None,
        scale: None,
        hold: hold.clone(),
        max_hold: thrice(hold),
        approval: None,
        analysis: None,
        gates: None,
    }
}

/// Gates, where any is named.
fn some(gates: Option<&Gates>) -> Option<Gates> {
    gates.filter(|gates| gates.names().next().is_some()).cloned()
}

/// How long a step may wait for proof where nothing is said.
fn thrice(hold: &Duration) -> Duration {
    Duration::of(hold.span() * 3)
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
    refuse_routes(spec)
        .or_else(|| refuse_strategy(&spec.strategy))
        .or_else(|| refuse_times(spec))
        .or_else(|| judgeable::refuse(spec.analysis.as_ref(), &spec.strategy))
}

fn refuse_strategy(strategy: &Strategy) -> Option<String> {
    match (&strategy.canary, &strategy.blue_green) {
        (Some(canary), None) => refuse_steps(canary),
        (None, Some(BlueGreen { preview: Some(_), before: None, .. })) => Some(
            "spec.strategy.blueGreen.preview is there for the stage before the switch: give before too"
                .into(),
        ),
        (None, Some(BlueGreen { preview, .. })) => {
            refuse_match(preview.as_ref()?, "spec.strategy.blueGreen.preview")
        }
        (Some(_), Some(_)) | (None, None) => {
            Some("spec.strategy must be exactly one of canary and blueGreen".into())
        }
    }
}

fn refuse_steps(canary: &Canary) -> Option<String> {
    let field = "spec.strategy.canary.steps";
    if canary.steps.is_empty() {
        return Some(format!("{field} must have at least one step"));
    }
    let ways = |step: &CanaryStep| [step.weight.is_some(), step.matching.is_some(), step.mirror.is_some()];
    if canary.steps.iter().any(|step| ways(step).into_iter().filter(|given| *given).count() != 1) {
        return Some(format!("{field}: a step must have exactly one of weight, match and mirror"));
    }
    if !canary.steps.iter().is_sorted_by_key(|step| step.mirror.is_none()) {
        return Some(format!("{field}: steps with mirror come before all others"));
    }
    if canary.steps.iter().any(|step| step.mirror == Some(Weight::ZERO)) {
        return Some(format!("{field}: a mirror must be at least 1"));
    }
    let weights: Vec<Weight> = canary.steps.iter().filter_map(|step| step.weight).collect();
    if weights.contains(&Weight::ZERO) {
        return Some(format!("{field}: a weight must be at least 1"));
    }
    if weights.windows(2).any(|pair| pair[0] >= pair[1]) {
        return Some(format!("{field}: the weights must increase"));
    }
    let last = canary.steps.last().and_then(|step| step.weight);
    if weights.last() == Some(&Weight::FULL) && last != Some(Weight::FULL) {
        return Some(format!("{field}: no step may follow that of weight 100"));
    }
    canary.steps.iter().find_map(|step| refuse_match(step.matching.as_ref()?, field))
}

fn refuse_match(matching: &RequestMatch, field: &str) -> Option<String> {
    if matching.headers.is_empty() {
        return Some(format!("{field}: headers must name at least one header"));
    }
    let twice = |(at, header): (usize, &HeaderMatch)| {
        matching.headers[..at].iter().any(|other| other.name.eq_ignore_ascii_case(&header.name))
    };
    let again = matching.headers.iter().enumerate().find(|named| twice(*named));
    again.map(|(_, header)| format!("{field}: headers name {} twice", header.name))
}

fn refuse_times(spec: &RolloutSpec) -> Option<String> {
    for step in plan(&spec.strategy, None) {
        let (what, hold, max) = (told(&step), &step.hold, &step.max_hold);
        if hold.span() > max.span() {
            return Some(format!("{what}: the hold ({hold}) must not be longer than the maxHold ({max})"));
        }
        if spec.progress_deadline.as_ref().is_some_and(|deadline| deadline.span() <= max.span()) {
            return Some(format!(
                "spec.progressDeadline must be longer than every maxHold; that of {what} is {max}"
            ));
        }
    }
    None
}

/// Where a step comes from in the spec.
fn told(step: &PlannedStep) -> String {
    match (step.stage, &step.matching) {
        (Some(StageName::Before), _) => "spec.strategy.blueGreen.before".to_owned(),
        (Some(StageName::After), _) => "spec.strategy.blueGreen.after".to_owned(),
        (None, _) => format!("spec.strategy.canary.steps, the step at {}", step.traffic()),
    }
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

    fn strategy(yaml: &str) -> Strategy {
        serde_saphyr::from_str(yaml).unwrap()
    }

    fn told(steps: &[PlannedStep]) -> String {
        let one = |s: &PlannedStep| {
            let matching = s.matching.as_ref().map_or(String::new(), |m| format!("[{m}]"));
            let mirror = s.mirror.map_or(String::new(), |percent| format!("~{}", percent.percent()));
            let stage = s.stage.map_or(String::new(), |stage| format!("{stage:?} "));
            format!("{stage}{}{mirror}{matching}:{}/{}", s.weight.percent(), s.hold, s.max_hold)
        };
        steps.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn plans() {
        let cases = [
            ("canary: {steps: [{weight: 5}]}", None, "5:5m/15m 100:5m/15m"),
            ("canary: {hold: 1m, steps: [{weight: 5}, {weight: 100, hold: 2m}]}", None, "5:1m/3m 100:2m/6m"),
            ("canary: {steps: [{weight: 5, hold: 1m, maxHold: 90s}]}", None, "5:1m/1m30s 100:5m/15m"),
            (
                "canary: {steps: [{weight: 5}, {weight: 20}, {weight: 50}]}",
                Some(20),
                "20:5m/15m 50:5m/15m 100:5m/15m",
            ),
            ("canary: {steps: [{weight: 5}, {weight: 20}]}", Some(30), "30:5m/15m 100:5m/15m"),
            (
                "canary: {hold: 1m, steps: [{mirror: 10}, {mirror: 100, hold: 2m}, {weight: 5}]}",
                None,
                "0~10:1m/3m 0~100:2m/6m 5:1m/3m 100:1m/3m",
            ),
            ("canary: {hold: 1m, steps: [{mirror: 10}, {weight: 5}]}", Some(3), "3:1m/3m 5:1m/3m 100:1m/3m"),
            (
                "canary: {hold: 1m, steps: [{match: {headers: [{name: a, exact: b}]}}, {weight: 5}, {match: {headers: [{name: c, exact: d}]}}]}",
                None,
                "0[a: b]:1m/3m 5[a: b]:1m/3m 5[c: d]:1m/3m 100[c: d]:1m/3m",
            ),
            (
                "canary: {hold: 1m, steps: [{match: {headers: [{name: a, exact: b}]}}, {weight: 5}, {match: {headers: [{name: c, exact: d}]}}]}",
                Some(7),
                "7:1m/3m 7[c: d]:1m/3m 100[c: d]:1m/3m",
            ),
            ("blueGreen: {}", None, "After 100:5m/15m"),
            (
                "blueGreen: {preview: {headers: [{name: a, exact: b}]}, before: {hold: 1m}, after: {hold: 2m, maxHold: 3m}}",
                None,
                "Before 0[a: b]:1m/3m After 100[a: b]:2m/3m",
            ),
            ("blueGreen: {before: {hold: 1m}}", Some(40), "40:5m/15m After 100:5m/15m"),
        ];
        for (yaml, found, want) in cases {
            let found = found.map(|w| Weight::try_from(w).unwrap());
            assert_eq!(told(&plan(&strategy(yaml), found)), want, "{yaml}");
        }
        assert_eq!(told(&instant(&strategy("canary: {hold: 2m, steps: [{weight: 5}]}"))), "100:2m/6m");
        let blue_green = "blueGreen: {before: {hold: 1m}, after: {hold: 2m, approval: Required}}";
        assert_eq!(told(&instant(&strategy(blue_green))), "After 100:2m/6m");
        assert_eq!(instant(&strategy(blue_green))[0].approval, None);
    }

    #[test]
    fn what_the_schema_refuses_is_refused_again() {
        let spec = |strategy: &str, rest: &str| -> RolloutSpec {
            let yaml = format!(
                "routes: [{{group: appmesh.k8s.aws, kind: GatewayRoute, name: r}}]\ntarget: {{name: v2}}\nstrategy: {{{strategy}}}\n{rest}"
            );
            serde_saphyr::from_str(&yaml).unwrap()
        };
        let preview = "preview: {headers: [{name: a, exact: b}]}";
        let analysis = "analysis: {series: {preset: tidegate-gateway}, errorRate: {}}";
        let levels = "analysis: {series: {preset: tidegate-gateway}, errorRate: {max: '5%'}}";
        let step = |step: &str| format!("canary: {{steps: [{step}]}}");
        let cases = [
            (String::new(), "", "exactly one of canary and blueGreen"),
            (format!("{}, blueGreen: {{}}", step("{weight: 5}")), "", "exactly one of canary and blueGreen"),
            (step("{hold: 1m}"), "", "exactly one of weight, match and mirror"),
            (step("{weight: 5, mirror: 5}"), "", "exactly one of weight, match and mirror"),
            (step("{weight: 5}, {mirror: 5}"), "", "mirror come before"),
            (step("{mirror: 0}"), "", "a mirror must be at least 1"),
            (
                step("{weight: 5, match: {headers: [{name: a, exact: b}]}}"),
                "",
                "exactly one of weight, match and mirror",
            ),
            (step("{weight: 5}, {weight: 5}"), "", "must increase"),
            (
                step("{weight: 100}, {match: {headers: [{name: a, exact: b}]}}"),
                "",
                "follow that of weight 100",
            ),
            (step("{match: {headers: []}}"), "", "at least one header"),
            (step("{match: {headers: [{name: a, exact: b}, {name: A, exact: c}]}}"), "", "name A twice"),
            (step("{weight: 5, hold: 2m, maxHold: 1m}"), "", "the hold (2m)"),
            (step("{weight: 5, hold: 2m}"), "progressDeadline: 6m", "spec.progressDeadline"),
            (format!("blueGreen: {{{preview}}}"), "", "give before too"),
            ("blueGreen: {before: {hold: 2m, maxHold: 1m}}".to_owned(), "", "blueGreen.before: the hold"),
            ("blueGreen: {}".to_owned(), "progressDeadline: 15m", "that of spec.strategy.blueGreen.after"),
            ("blueGreen: {}".to_owned(), analysis, "nothing to compare"),
            (format!("blueGreen: {{{preview}, before: {{}}}}"), analysis, "nothing to compare"),
            ("blueGreen: {before: {}}".to_owned(), levels, "nothing to compare"),
            (
                step("{mirror: 5}"),
                "analysis: {series: {preset: istio}, errorRate: {}}",
                "does not count copies",
            ),
            (
                step("{mirror: 5}"),
                "analysis: {series: {preset: alb}, errorRate: {}}",
                "does not count copies",
            ),
        ];
        for (strategy, rest, want) in cases {
            let refused = refuse(&spec(&strategy, rest)).unwrap_or_default();
            assert!(refused.contains(want), "{strategy} {rest}: {refused}");
        }
        let waypoint = "analysis: {series: {preset: istio, params: {reporter: waypoint}}, errorRate: {}}";
        for (strategy, rest) in [
            (step("{mirror: 5}"), analysis),
            (step("{mirror: 5}"), waypoint),
            ("blueGreen: {}".to_owned(), levels),
            (format!("blueGreen: {{{preview}, before: {{}}}}"), levels),
            ("blueGreen: {before: {approval: Required}}".to_owned(), analysis),
        ] {
            assert_eq!(refuse(&spec(&strategy, rest)), None, "{strategy} {rest}");
        }
    }
}
