//! The kinds of route, and where each keeps the weights: the model's own knowledge, apart from what it tests.

use serde_json::{Value, json};
use tidegate::api::{RolloutSpec, RouteKind, RouteRef};

use crate::{chance::Chance, setup::Versions, specs};

/// An entry of a weighted list: which version, and its weight.
pub type Entry = (String, i64);

/// Which rules an object has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rules {
    /// There is one.
    One,
    /// Two with names, `theirs` and `ours`; a Rollout names the one that it steps.
    Named,
    /// Three, of which two list stable; a Rollout names none.
    Every,
}

/// What of an object is a Rollout's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    All,
    /// The rule that it names.
    Rule(&'static str),
    /// Those that list stable.
    Listing,
}

/// What a route of a world looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    pub kind: RouteKind,
    pub rules: Rules,
    /// It calls the versions otherwise than the Rollout does.
    pub calls: bool,
    /// It has a single target in place of a list.
    pub lone: bool,
    /// Mirrors or filters of the user's own stand where ours would.
    pub beside: bool,
}

/// What a version is called where it is called otherwise.
const PREFIX: &str = "s-";
/// Where a single target stands, and its name.
const LONE: &str = "/spec/httpRoute/action/target";
const LONE_NAME: &str = "/virtualService/virtualServiceRef/name";

impl Shape {
    pub const PLAIN: Self =
        Self { kind: RouteKind::GatewayRoute, rules: Rules::One, calls: false, lone: false, beside: false };

    /// Whether such a route can have a single target.
    pub fn may_be_lone(self) -> bool {
        self.kind == RouteKind::GatewayRoute && !self.calls
    }

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
            Self { kind, rules, calls: calls && rng.bool(), lone: false, beside: false }
        })
    }

    /// The same with two rules to stand on; a kind that has none is another one then.
    pub fn with_two_rules(self, chance: &mut Chance) -> Self {
        let kind = match self.kind {
            RouteKind::GatewayRoute => RouteKind::ALL[1 + chance.below(3)],
            kind => kind,
        };
        Self { kind, rules: Rules::Named, ..self }
    }

    pub fn called(self, version: &str) -> String {
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

    /// The JSON pointers of the lists that are a Rollout's own, wherever their rules stand by now.
    pub fn paths(self, document: &Value, own: Own) -> Vec<String> {
        let (rules, list) = match self.kind {
            RouteKind::GatewayRoute if self.lone => return vec![LONE.to_owned()],
            RouteKind::GatewayRoute => return vec!["/spec/httpRoute/action/weightedTargets".to_owned()],
            RouteKind::VirtualRouter => ("/spec/routes", "/http2Route/action/weightedTargets"),
            RouteKind::HttpRoute | RouteKind::GrpcRoute => ("/spec/rules", "/backendRefs"),
        };
        let all =
            document["spec"][&rules["/spec/".len()..]].as_array().map(Vec::as_slice).unwrap_or_default();
        let ours = |rule: &Value| match own {
            Own::All => true,
            Own::Rule(name) => rule["name"] == name,
            Own::Listing => rule["name"] != "other",
        };
        let places = all.iter().enumerate().filter(|(_, rule)| ours(rule)).map(|(at, _)| at);
        places.map(|at| format!("{rules}/{at}{list}")).collect()
    }

    /// The entries of a list. Of a single target all versions are, one of which has everything.
    fn entries(self, list: &Value, versions: Versions) -> Option<Vec<Entry>> {
        if !self.lone {
            return Some(list.as_array()?.iter().map(|entry| self.read(entry)).collect());
        }
        let has_all = list.pointer(LONE_NAME)?.as_str()?;
        let weight = |version: &str| if version == has_all { 100 } else { 0 };
        Some(versions.iter().map(|version| ((*version).to_owned(), weight(version))).collect())
    }

    /// Whom all that a preview takes is sent to, and whether it takes nothing but what asks for the header; none where that
    /// is several's.
    pub fn preview_of(self, document: &Value) -> Option<(String, bool)> {
        let header = |headers: &Value| {
            headers.as_array().is_some_and(|all| all.iter().any(|one| one["name"] == specs::HEADER))
        };
        let rules = document["spec"]["rules"].as_array();
        let asks = match (self.kind, rules) {
            (RouteKind::HttpRoute | RouteKind::GrpcRoute, Some(rules)) => {
                let matches = |rule: &Value| {
                    let all = rule["matches"].as_array();
                    all.is_some_and(|all| !all.is_empty() && all.iter().all(|one| header(&one["headers"])))
                };
                rules.iter().all(matches)
            }
            _ => header(&document["spec"]["httpRoute"]["match"]["headers"]),
        };
        let mut names = self.paths(document, Own::All).into_iter().map(|path| {
            let there = document.pointer(&path)?;
            if self.lone {
                return Some(there.pointer(LONE_NAME)?.as_str()?.to_owned());
            }
            let [entry] = there.as_array()?.as_slice() else { return None };
            Some(self.read(entry).0)
        });
        let name = names.next()??;
        names.all(|other| other.as_ref() == Some(&name)).then_some((name, asks))
    }

    /// Puts the first rule behind the others.
    pub fn reorder(self, document: &mut Value) {
        let rules = if self.kind == RouteKind::VirtualRouter { "/spec/routes" } else { "/spec/rules" };
        if let Some(rules) = document.pointer_mut(rules).and_then(Value::as_array_mut) {
            rules.rotate_left(1);
        }
    }

    /// What the lists that are a Rollout's own are to be, or only the first, where a change makes others of them.
    pub fn edited(
        self,
        document: &Value,
        own: Own,
        all: bool,
        versions: Versions,
        mut change: impl FnMut(&mut Vec<Entry>),
    ) -> Vec<(String, Value)> {
        let paths = self.paths(document, own).into_iter().take(if all { usize::MAX } else { 1 });
        paths
            .filter_map(|path| {
                let there = document.pointer(&path)?;
                let before = self.entries(there, versions)?;
                let mut entries = before.clone();
                change(&mut entries);
                let spelled = if self.lone {
                    // All traffic is one's: whoever is to have the most.
                    lone(&entries.iter().rev().max_by_key(|entry| entry.1)?.0)
                } else {
                    entries.iter().map(|entry| self.spelled(entry)).collect()
                };
                (entries != before && spelled != *there).then_some((path, spelled))
            })
            .collect()
    }

    /// The route as it stands in Git.
    pub fn document(self, name: &str, lists: &[Versions; 2], uid: usize, version: &str) -> Value {
        let mut document = json!({
            "metadata": {
                "name": name, "namespace": "ns", "uid": format!("route-{uid}"), "resourceVersion": version,
                "generation": 1,
            },
            "spec": self.spec(lists),
        });
        if self.beside {
            self.without_mirrors(&mut document, Own::All);
        }
        document["status"] = self.status(&document["metadata"]["generation"]);
        document
    }

    fn spec(self, lists: &[Versions; 2]) -> Value {
        let [list, theirs] = lists.map(|versions| {
            json!([self.spelled(&(versions[0].into(), 100)), self.spelled(&(versions[1].into(), 0))])
        });
        let other = json!([self.spelled(&("x".into(), 1))]);
        let rule = |place: usize, name: Option<&str>, list: &Value| {
            let mut rule = match self.kind {
                RouteKind::VirtualRouter => json!({"http2Route": {"action": {"weightedTargets": list}}}),
                _ => json!({"backendRefs": list}),
            };
            rule["matches"] = json!([{"path": {"value": format!("/{place}")}}]);
            // A VirtualRouter's routes have names.
            if name.is_some() || self.kind == RouteKind::VirtualRouter {
                rule["name"] = json!(name.map_or_else(|| format!("unnamed-{place}"), str::to_owned));
            }
            rule
        };
        let rules = match self.rules {
            Rules::One => vec![rule(0, None, &list)],
            Rules::Named => vec![rule(0, Some("theirs"), &theirs), rule(1, Some("ours"), &list)],
            Rules::Every => vec![rule(0, None, &list), rule(1, Some("other"), &other), rule(2, None, &list)],
        };
        match self.kind {
            RouteKind::GatewayRoute if self.lone => {
                json!({"priority": 10, "httpRoute": {"action": {"target": lone(lists[0][0])}}})
            }
            RouteKind::GatewayRoute => {
                json!({"priority": 10, "httpRoute": {"action": {"weightedTargets": list}}})
            }
            RouteKind::VirtualRouter => json!({"routes": rules}),
            RouteKind::HttpRoute | RouteKind::GrpcRoute => {
                json!({"parentRefs": [{"name": "gw"}], "rules": rules})
            }
        }
    }

    /// What the data plane reports of a generation, as is usual for the kind.
    pub fn status(self, generation: &Value) -> Value {
        let condition =
            |kind: &str| json!({"type": kind, "status": "True", "observedGeneration": generation});
        match self.kind {
            RouteKind::GatewayRoute => json!({"conditions": [condition("Programmed")]}),
            RouteKind::VirtualRouter => json!({
                "observedGeneration": generation,
                "conditions": [{"type": "VirtualRouterActive", "status": "True"}],
            }),
            RouteKind::HttpRoute | RouteKind::GrpcRoute => json!({"parents": [{
                "parentRef": {"name": "gw"},
                "conditions": [condition("Accepted"), condition("ResolvedRefs")],
            }]}),
        }
    }

    /// The route as a Rollout names it.
    pub fn reference(self, name: &str, own: Own, versions: Versions) -> RouteRef {
        let rule = match own {
            Own::Rule(rule) => Some(rule.to_owned()),
            Own::All | Own::Listing => None,
        };
        RouteRef {
            rule,
            target: self.calls.then(|| self.called(versions[1])),
            stable: self.calls.then(|| self.called(versions[0])),
            ..RouteRef::new(self.kind, name)
        }
    }
}

fn lone(name: &str) -> Value {
    json!({"virtualService": {"virtualServiceRef": {"name": name}}})
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
