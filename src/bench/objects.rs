//! The objects that a bench makes: Deployments in pairs, routes, and Rollouts that differ in their analysis.

use std::time::Duration;

use serde_json::{Value, json};

use super::prometheus::{BAD, ERRORS, TOTAL};
use crate::{api::units::spell, demo::Routes};

/// How many pairs of Deployments all Rollouts of a bench share.
pub const PAIRS: usize = 10;

/// A pair of versions, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair(pub usize);

/// How a Rollout goes through its steps.
#[derive(Clone, Debug)]
pub struct Way {
    /// The weights before 100.
    pub weights: Vec<i32>,
    /// The hold of each step.
    pub hold: Duration,
    /// The time between looks.
    pub interval: Duration,
    /// Whether the error rate is judged besides the plain number.
    pub error_rate: bool,
}

impl Pair {
    /// The pair of the nth Rollout.
    pub fn of(number: usize) -> Self {
        Self(number % PAIRS)
    }

    /// The name of one of its versions, `1` or `2`.
    pub fn version(self, version: u8) -> String {
        format!("app{}-v{version}", self.0)
    }

    /// Whether a name is that of the second version of a pair.
    pub fn is_second(version: &str) -> bool {
        version.ends_with("-v2")
    }
}

/// A version's Deployment.
pub fn deployment(name: &str) -> Value {
    let labels = json!({"app": name});
    let container = json!({"name": "app", "image": format!("example.com/app:{name}")});
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    })
}

/// Where the list stands that is stepped.
pub const fn list(routes: Routes) -> &'static str {
    match routes {
        Routes::GatewayRoute => "/spec/httpRoute/action/weightedTargets",
        Routes::VirtualRouter => "/spec/routes/0/httpRoute/action/weightedTargets",
        Routes::HttpRoute | Routes::GrpcRoute => "/spec/rules/0/backendRefs",
    }
}

/// The gateway that the routes of a bench are for, where they name one.
pub const GATEWAY: &str = "bench";

/// A route with all weight on the pair's first version.
pub fn route(routes: Routes, name: &str, pair: Pair) -> Value {
    let entries = |reference: &str| -> Value {
        let entry = |(version, weight): (u8, i32)| {
            let name = pair.version(version);
            match reference {
                "" => json!({"name": name, "port": 8080, "weight": weight}),
                _ => json!({reference: {"name": name}, "port": 8080, "weight": weight}),
            }
        };
        [(1, 100), (2, 0)].map(entry).into_iter().collect()
    };
    let parents = json!([{"name": GATEWAY}]);
    let spec = match routes {
        Routes::GatewayRoute => json!({"httpRoute": {
            "match": {"prefix": format!("/{name}")}, "action": {"weightedTargets": entries("virtualServiceRef")},
        }}),
        Routes::VirtualRouter => json!({
            "listeners": [{"portMapping": {"port": 8080, "protocol": "http"}}],
            "routes": [{"name": "main", "httpRoute": {
                "match": {"prefix": "/"}, "action": {"weightedTargets": entries("virtualNodeRef")},
            }}],
        }),
        Routes::HttpRoute | Routes::GrpcRoute => {
            json!({"parentRefs": parents, "rules": [{"backendRefs": entries("")}]})
        }
    };
    let resource = routes.resource();
    json!({
        "apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": name}, "spec": spec,
    })
}

/// A Rollout of the pair's second version.
pub fn rollout(routes: Routes, name: &str, pair: Pair, way: &Way) -> Value {
    let resource = routes.resource();
    let mut analysis = json!({
        "interval": spell(way.interval),
        "settle": "500ms",
        "metrics": [{"name": "bad", "query": BAD, "max": "0.5", "failures": 1}],
    });
    if way.error_rate {
        analysis["series"] = json!({"errors": ERRORS, "total": TOTAL});
        analysis["errorRate"] = json!({});
    }
    let steps: Vec<Value> = way.weights.iter().map(|weight| json!({"weight": weight})).collect();
    json!({
        "apiVersion": "tidegate.dev/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": name},
        "spec": {
            "routes": [{"group": resource.group, "kind": resource.kind, "name": name}],
            "target": target(&pair.version(2)),
            "strategy": {"canary": {"hold": spell(way.hold), "steps": steps}},
            "analysis": analysis,
        },
    })
}

/// A target and the Deployment of the same name.
pub fn target(version: &str) -> Value {
    json!({"name": version, "workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": version}})
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;
    use crate::api::Rollout;

    #[test]
    fn a_rollout_is_one_for_every_kind_of_route() {
        let way = Way {
            weights: vec![5, 20],
            hold: Duration::from_secs(30),
            interval: Duration::from_secs(1),
            error_rate: true,
        };
        for routes in Routes::value_variants() {
            let rollout: Rollout = serde_json::from_value(rollout(*routes, "r", Pair::of(13), &way)).unwrap();
            assert_eq!(rollout.spec.target.name, "app3-v2");
            assert_eq!(rollout.spec.strategy.canary.as_ref().unwrap().steps.len(), 2);
            assert!(rollout.spec.analysis.unwrap().error_rate.is_some());
            let route = route(*routes, "r", Pair::of(13));
            let view = crate::routes::view(rollout.spec.routes[0].kind, &route).unwrap();
            assert_eq!(view.lists[0].path, list(*routes));
            assert_eq!(view.lists[0].entries[1].name, "app3-v2");
        }
    }
}
