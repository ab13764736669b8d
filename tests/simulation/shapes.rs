//! The kinds of route, and where each keeps the weights: the model's own knowledge, apart from what it tests.

use serde_json::{Value, json};
use tidegate::api::{RolloutSpec, RouteKind, RouteRef, TargetRef};

/// An entry of a weighted list: which version, and its weight.
pub type Entry = (String, i64);

/// How an object's rules and the Rollout's are related.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rules {
    /// There is one.
    One,
    /// The Rollout names one of two that list the same versions; the other is somebody else's.
    Named,
    /// The Rollout names none, so those are its own that list stable: two of three.
    Every,
}

/// What a route of a world looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    pub kind: RouteKind,
    pub rules: Rules,
    /// It calls the versions otherwise than the Rollout does.
    pub calls: bool,
}

/// What a version is called where it is called otherwise.
const PREFIX: &str = "s-";

impl Shape {
    pub const PLAIN: Self = Self { kind: RouteKind::GatewayRoute, rules: Rules::One, calls: false };

    /// The shapes of a world's two routes: in half of all worlds plain ones.
    pub fn of_seed(seed: u64) -> [Self; 2] {
        let mut rng = fastrand::Rng::with_seed(seed ^ 0x7368_6170);
        if rng.bool() {
            return [Self::PLAIN; 2];
        }
        let calls = rng.u8(0..4) == 0;
        [0, 1].map(|_| {
            let kind = RouteKind::ALL[rng.usize(0..4)];
            let rules = match (kind, rng.u8(0..4)) {
                (RouteKind::GatewayRoute, _) | (_, 0) => Rules::One,
                (_, 1 | 2) => Rules::Named,
                (_, _) => Rules::Every,
            };
            Self { kind, rules, calls: calls && rng.bool() }
        })
    }

    fn called(self, version: &str) -> String {
        if self.calls { format!("{PREFIX}{version}") } else { version.to_owned() }
    }

    pub fn version(self, called: &str) -> &str {
        called.strip_prefix(PREFIX).filter(|_| self.calls).unwrap_or(called)
    }

    fn spelled(self, (version, weight): &Entry) -> Value {
        let name = self.called(version);
        match self.kind {
            RouteKind::GatewayRoute => json!({"virtualServiceRef": {"name": name}, "weight": weight}),
            RouteKind::VirtualRouter => json!({"virtualNodeRef": {"name": name}, "weight": weight}),
            RouteKind::HttpRoute | RouteKind::GrpcRoute => json!({"name": name, "weight": weight}),
        }
    }

    fn read(self, entry: &Value) -> Entry {
        let called = match self.kind {
            RouteKind::GatewayRoute => &entry["virtualServiceRef"]["name"],
            RouteKind::VirtualRouter => &entry["virtualNodeRef"]["name"],
            RouteKind::HttpRoute | RouteKind::GrpcRoute => &entry["name"],
        };
        (self.version(called.as_str().unwrap()).to_owned(), entry["weight"].as_i64().unwrap())
    }

    /// The JSON pointers of the lists that are the Rollout's own, wherever their rules stand by now.
    pub fn paths(self, document: &Value) -> Vec<String> {
        let (rules, list) = match self.kind {
            RouteKind::GatewayRoute => return vec!["/spec/httpRoute/action/weightedTargets".to_owned()],
            RouteKind::VirtualRouter => ("/spec/routes", "/http2Route/action/weightedTargets"),
            RouteKind::HttpRoute | RouteKind::GrpcRoute => ("/spec/rules", "/backendRefs"),
        };
        let all = document.pointer(rules).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let ours = |rule: &Value| match self.rules {
            Rules::One => true,
            Rules::Named => rule["name"] == "ours",
            Rules::Every => rule["name"] != "other",
        };
        let places = all.iter().enumerate().filter(|(_, rule)| ours(rule)).map(|(at, _)| at);
        places.map(|at| format!("{rules}/{at}{list}")).collect()
    }

    /// Puts the first rule behind the others.
    pub fn reorder(self, document: &mut Value) {
        let rules = if self.kind == RouteKind::VirtualRouter { "/spec/routes" } else { "/spec/rules" };
        if let Some(rules) = document.pointer_mut(rules).and_then(Value::as_array_mut) {
            rules.rotate_left(1);
        }
    }

    /// Changes the entries of the lists that are the Rollout's own, or only of the first.
    pub fn edit(self, document: &mut Value, all: bool, change: &mut dyn FnMut(&mut Vec<Entry>)) {
        for path in self.paths(document).into_iter().take(if all { usize::MAX } else { 1 }) {
            let list = document.pointer_mut(&path).and_then(Value::as_array_mut).unwrap();
            let mut entries: Vec<Entry> = list.iter().map(|entry| self.read(entry)).collect();
            change(&mut entries);
            *list = entries.iter().map(|entry| self.spelled(entry)).collect();
        }
    }

    /// The route as it stands in Git.
    pub fn document(self, name: &str, uid: usize, version: &str) -> Value {
        let mut document = json!({
            "metadata": {
                "name": name, "namespace": "ns", "uid": format!("route-{uid}"), "resourceVersion": version,
                "generation": 1,
            },
            "spec": self.spec(),
        });
        self.report(&mut document);
        document
    }

    fn spec(self) -> Value {
        let list = json!([self.spelled(&("v1".into(), 100)), self.spelled(&("v2".into(), 0))]);
        let other = json!([self.spelled(&("x".into(), 1))]);
        let rule = |place: usize, name: Option<&str>, list: &Value| {
            let mut rule = match self.kind {
                RouteKind::VirtualRouter => json!({"http2Route": {"action": {"weightedTargets": list}}}),
                _ => json!({"backendRefs": list}),
            };
            rule["matches"] = json!([place]);
            // A VirtualRouter's routes have names.
            if name.is_some() || self.kind == RouteKind::VirtualRouter {
                rule["name"] = json!(name.map_or_else(|| format!("unnamed-{place}"), str::to_owned));
            }
            rule
        };
        let rules = match self.rules {
            Rules::One => vec![rule(0, None, &list)],
            Rules::Named => vec![rule(0, Some("theirs"), &list), rule(1, Some("ours"), &list)],
            Rules::Every => vec![rule(0, None, &list), rule(1, Some("other"), &other), rule(2, None, &list)],
        };
        match self.kind {
            RouteKind::GatewayRoute => json!({"httpRoute": {"action": {"weightedTargets": list}}}),
            RouteKind::VirtualRouter => json!({"routes": rules}),
            RouteKind::HttpRoute | RouteKind::GrpcRoute => {
                json!({"parentRefs": [{"name": "gw"}], "rules": rules})
            }
        }
    }

    /// The data plane reports the present generation, as is usual for the kind.
    pub fn report(self, document: &mut Value) {
        let generation = document["metadata"]["generation"].clone();
        let condition =
            |kind: &str| json!({"type": kind, "status": "True", "observedGeneration": generation});
        document["status"] = match self.kind {
            RouteKind::GatewayRoute => json!({"conditions": [condition("Programmed")]}),
            RouteKind::VirtualRouter => json!({
                "observedGeneration": generation,
                "conditions": [{"type": "VirtualRouterActive", "status": "True"}],
            }),
            RouteKind::HttpRoute | RouteKind::GrpcRoute => json!({"parents": [{
                "parentRef": {"name": "gw"},
                "conditions": [condition("Accepted"), condition("ResolvedRefs")],
            }]}),
        };
    }

    /// The route as a Rollout names it.
    fn reference(self, name: &str) -> RouteRef {
        RouteRef {
            rule: (self.rules == Rules::Named).then(|| "ours".to_owned()),
            target: self.calls.then(|| self.called("v2")),
            stable: self.calls.then(|| self.called("v1")),
            ..RouteRef::new(self.kind, name)
        }
    }
}

/// The spec of a world's Rollout with its routes as they look there.
pub fn shaped(spec: &mut RolloutSpec, shapes: [Shape; 2]) {
    for (route, shape) in spec.routes.iter_mut().zip(shapes) {
        *route = shape.reference(&route.name);
    }
    if spec.routes.iter().any(|route| route.stable.is_some()) {
        spec.stable = Some(TargetRef { name: "v1".into(), port: None, workload_ref: None });
    }
}

/// The Rollout is to make another version live.
pub fn set_target(spec: &mut RolloutSpec, name: &str) {
    spec.target.name = name.into();
    if let Some(workload) = &mut spec.target.workload_ref {
        workload.name = name.into();
    }
    for route in spec.routes.iter_mut().filter(|route| route.target.is_some()) {
        route.target = Some(format!("{PREFIX}{name}"));
    }
}
