//! The Rollouts that are simulated.

use std::sync::{Arc, LazyLock};

use tidegate::api::RolloutSpec;

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

pub fn any(chance: &mut Chance) -> Arc<RolloutSpec> {
    ALL[chance.below(ALL.len())].clone()
}

/// One with a single route.
#[cfg(feature = "sandbox")]
pub fn plain() -> Arc<RolloutSpec> {
    ALL[0].clone()
}
