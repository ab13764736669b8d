//! Mirrors: worlds whose runs copy requests to their canary first, and what people make of the copies.

use serde_json::{Value, json};
use tidegate::api::{Canary, CanaryStep, RolloutSpec, RouteKind};

use crate::{
    chance::Chance,
    shapes::{Own, Shape},
};

/// Which worlds have runs that mirror: one in eight. Under this number no seed that once found something is one of them.
const MIRRORED: u64 = 0x6d69_7272;

/// Steps that come before all others.
const STEPS: [&str; 3] =
    ["[{mirror: 20}]", "[{mirror: 10}, {mirror: 100, hold: 5s}]", "[{mirror: 50, hold: 15s}]"];

/// Lets a Rollout copy requests first, in those worlds, where its routes can.
pub fn mirror(seed: u64, spec: &mut RolloutSpec, shapes: &[Shape]) {
    let mut chance = Chance::new(seed ^ MIRRORED);
    let can = |shape: &Shape| shape.kind != RouteKind::VirtualRouter && !shape.lone;
    if chance.below(8) != 0 || !shapes.iter().all(can) {
        return;
    }
    let Some(Canary { steps, .. }) = &mut spec.strategy.canary else { return };
    let text = STEPS[chance.below(STEPS.len())];
    let first: Vec<CanaryStep> = serde_saphyr::from_str(text).unwrap();
    steps.splice(..0, first);
}

impl Shape {
    /// Where the mirrors stand that go with a list.
    pub fn mirrors_of(self, list: &str) -> Option<String> {
        match self.kind {
            RouteKind::GatewayRoute => Some("/spec/httpRoute/requestMirrorPolicies".to_owned()),
            RouteKind::HttpRoute | RouteKind::GrpcRoute => {
                Some(format!("{}/filters", list.trim_end_matches("/backendRefs")))
            }
            RouteKind::VirtualRouter => None,
        }
    }

    fn spelled_mirror(self, name: &str, percent: u64) -> Value {
        let name = self.called(name);
        match self.kind {
            RouteKind::GatewayRoute => json!({"virtualServiceRef": {"name": name}, "percent": percent}),
            _ => json!({
                "type": "RequestMirror", "requestMirror": {"backendRef": {"name": name}, "percent": percent},
            }),
        }
    }

    /// Takes all mirrors out.
    pub fn without_mirrors(self, document: &mut Value, own: Own) {
        for path in self.paths(document, own).iter().filter_map(|list| self.mirrors_of(list)) {
            let Some((rule, field)) = path.rsplit_once('/') else { continue };
            if let Some(rule) = document.pointer_mut(rule).and_then(Value::as_object_mut) {
                rule.remove(field);
            }
        }
    }

    /// Puts a mirror of so many percent in the place of all others.
    pub fn with_mirror(self, document: &mut Value, own: Own, name: &str, percent: u64) {
        for path in self.paths(document, own).iter().filter_map(|list| self.mirrors_of(list)) {
            let Some((rule, field)) = path.rsplit_once('/') else { continue };
            if let Some(rule) = document.pointer_mut(rule).and_then(Value::as_object_mut) {
                rule.insert(field.to_owned(), json!([self.spelled_mirror(name, percent)]));
            }
        }
    }
}
