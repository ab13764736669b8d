//! The Rollouts that are simulated.

use std::sync::{Arc, LazyLock};

use tidegate::api::{Analysis, Retire, RolloutSpec, Scale, Strategy, units::Duration};

use crate::chance::Chance;

const ROUTES: [&str; 2] = [
    "[{group: appmesh.k8s.aws, kind: GatewayRoute, name: one}]",
    "[{group: appmesh.k8s.aws, kind: GatewayRoute, name: one}, {group: appmesh.k8s.aws, kind: GatewayRoute, name: two}]",
];

const STEPS: [&str; 3] =
    ["[{weight: 20}, {weight: 50}]", "[{weight: 10}, {weight: 30, approval: Required}]", "[{weight: 25}]"];

const ANALYSES: [&str; 3] = [
    "{interval: 5s, settle: 1s, series: {preset: tidegate-gateway}, errorRate: {}}",
    "{interval: 5s, settle: 1s, metrics: [{name: queue, query: depth, max: '0.5'}]}",
    "{interval: 5s, settle: 1s, series: {preset: tidegate-gateway}, errorRate: {}, metrics: [{name: queue, query: depth, max: '0.5'}]}",
];

static ALL: LazyLock<Vec<Arc<RolloutSpec>>> = LazyLock::new(|| {
    let mut all = Vec::new();
    for routes in ROUTES {
        for steps in STEPS {
            for analysis in ANALYSES {
                let text = format!(
                    "routes: {routes}\n\
                     target: {{name: v2, workloadRef: {{apiVersion: apps/v1, kind: Deployment, name: v2}}}}\n\
                     strategy: {{canary: {{hold: 10s, steps: {steps}}}}}\n\
                     analysis: {analysis}\n"
                );
                all.push(Arc::new(serde_saphyr::from_str(&text).unwrap()));
            }
        }
    }
    all
});

/// Those that need a route of our own beside each of the user's.
static PREVIEWED: LazyLock<Vec<Strategy>> = LazyLock::new(|| {
    strategies(&[
        "{blueGreen: {preview: MATCH, before: {hold: 10s}, after: {hold: 10s}}}",
        "{canary: {hold: 10s, steps: [{match: MATCH}, {weight: 40}]}}",
        "{canary: {hold: 10s, steps: [{weight: 20}, {match: MATCH}, {weight: 60}]}}",
    ])
});

static SWITCHED: LazyLock<Vec<Strategy>> = LazyLock::new(|| {
    strategies(&[
        "{blueGreen: {before: {hold: 10s}, after: {hold: 10s}}}",
        "{blueGreen: {before: {hold: 5s, approval: Required}, after: {hold: 10s}}}",
        "{blueGreen: {after: {hold: 10s}}}",
    ])
});

/// What judges before a switch as well: a level on the preview, a number, or both.
static LEVELS: LazyLock<Vec<Analysis>> = LazyLock::new(|| {
    let texts = [
        "{interval: 5s, settle: 1s, series: {preset: tidegate-gateway}, errorRate: {max: '5%'}}",
        ANALYSES[1],
        ANALYSES[2],
    ];
    texts.map(|text| serde_saphyr::from_str(text).unwrap()).into()
});

fn strategies(texts: &[&str]) -> Vec<Strategy> {
    let headers = format!("{{headers: [{{name: {HEADER}, exact: 'yes'}}]}}");
    texts.iter().map(|text| serde_saphyr::from_str(&text.replace("MATCH", &headers)).unwrap()).collect()
}

/// What the requests ask for that go to a preview.
pub const HEADER: &str = "x-preview";

/// A Rollout that does more than step weights: by requests that match, at once, with pods that come and go.
pub fn vary(spec: &mut RolloutSpec, chance: &mut Chance, previewed: bool, lone: bool) {
    let strategy = match chance.below(4) {
        0 if !lone => None,
        1 if previewed && lone => Some(PREVIEWED[0].clone()),
        1 | 2 if previewed && !lone => Some(PREVIEWED[chance.below(PREVIEWED.len())].clone()),
        _ => Some(SWITCHED[chance.below(SWITCHED.len())].clone()),
    };
    if let Some(strategy) = strategy {
        let levels = usize::from(!PREVIEWED.contains(&strategy));
        spec.strategy = strategy;
        spec.analysis = Some(LEVELS[levels + chance.below(LEVELS.len() - levels)].clone());
    }
    if chance.per_mille(500) {
        let scale = Some(Scale { replicas: Some(PODS), of_stable: None });
        if let Some(canary) = &mut spec.strategy.canary {
            canary.scale = scale;
        } else if let Some(blue_green) = &mut spec.strategy.blue_green {
            blue_green.scale = scale;
        }
    }
    if chance.per_mille(500) {
        let after = Duration::of(std::time::Duration::from_secs([5, 20][chance.below(2)]));
        spec.retire = Some(Retire { after, scale_to: chance.below(2) as i32 });
    }
}

/// How many pods a canary gets where it is scaled; as many as any version has.
pub const PODS: i32 = 2;

/// Whether a Rollout scales its canary up.
pub fn scales_up(spec: &RolloutSpec) -> bool {
    let (canary, blue_green) = (&spec.strategy.canary, &spec.strategy.blue_green);
    canary.as_ref().is_some_and(|canary| canary.scale.is_some())
        || blue_green.as_ref().is_some_and(|blue_green| blue_green.scale.is_some())
}

pub fn any(chance: &mut Chance) -> Arc<RolloutSpec> {
    ALL[chance.below(ALL.len())].clone()
}

/// One with a single route.
#[cfg(feature = "sandbox")]
pub fn plain() -> Arc<RolloutSpec> {
    ALL[0].clone()
}
