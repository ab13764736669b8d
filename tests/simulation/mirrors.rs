//! Mirrors: worlds whose runs copy requests to their canary first, and what people make of the copies.

use serde_json::{Map, Value, json};
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

/// Whether routes of a world have mirrors or filters of the user's own: some of those that mirror.
pub fn has_own_beside(seed: u64) -> bool {
    Chance::new(seed ^ MIRRORED).below(8) == 0 && Chance::new(seed ^ MIRRORED ^ 1).below(2) == 0
}

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

    /// What of the user's own stands among the mirrors.
    pub fn own_beside(self) -> Value {
        match self.kind {
            RouteKind::GatewayRoute => json!([{"virtualServiceRef": {"name": "audit"}}]),
            _ => json!([{"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["x"]}}]),
        }
    }

    fn copies_to(self, element: &Value, name: &str) -> bool {
        let called = match self.kind {
            RouteKind::GatewayRoute => &element["virtualServiceRef"]["name"],
            _ => &element["requestMirror"]["backendRef"]["name"],
        };
        *called == self.called(name)
    }

    /// Takes all out that the user's manifest does not have.
    pub fn without_mirrors(self, document: &mut Value, own: Own) {
        let beside = self.beside.then(|| self.own_beside());
        self.each_rule(document, own, |rule, field| match &beside {
            Some(beside) => drop(rule.insert(field.to_owned(), beside.clone())),
            None => drop(rule.remove(field)),
        });
    }

    /// Somebody does something about the copies that a version gets.
    pub fn meddle(self, document: &mut Value, own: Own, name: &str, share: u64) {
        self.each_rule(document, own, |rule, field| {
            let mut list = rule.remove(field).and_then(|list| list.as_array().cloned()).unwrap_or_default();
            let percent =
                if self.kind == RouteKind::GatewayRoute { "/percent" } else { "/requestMirror/percent" };
            match share % 5 {
                0 => list.retain(|element| !self.copies_to(element, name)),
                // Another filter would make another rule of one without a name.
                1 => list.push(self.spelled_mirror("audit", 100)),
                2 => list.push(self.spelled_mirror(name, share)),
                _ => {
                    for element in list.iter_mut().filter(|element| self.copies_to(element, name)) {
                        if let Some(percent) = element.pointer_mut(percent) {
                            *percent = json!(if share % 5 == 3 { share } else { 0 });
                        }
                    }
                }
            }
            if !list.is_empty() {
                rule.insert(field.to_owned(), Value::Array(list));
            }
        });
    }

    fn each_rule(
        self,
        document: &mut Value,
        own: Own,
        mut change: impl FnMut(&mut Map<String, Value>, &str),
    ) {
        for path in self.paths(document, own).iter().filter_map(|list| self.mirrors_of(list)) {
            let Some((rule, field)) = path.rsplit_once('/') else { continue };
            if let Some(rule) = document.pointer_mut(rule).and_then(Value::as_object_mut) {
                change(rule, field);
            }
        }
    }
}
