use serde_json::{Value, json};

use super::*;
use crate::engine::observed::InEffect;

fn router(routes: &Value) -> Value {
    json!({"metadata": {"uid": "u", "resourceVersion": "7", "generation": 3}, "spec": {"routes": routes}})
}

fn targets() -> Value {
    json!([{"virtualNodeRef": {"name": "v1"}, "weight": 90}, {"virtualNodeRef": {"name": "v2"}, "weight": 10, "port": 80}])
}

#[test]
fn a_route_that_cannot_be_stepped_stands_beside_those_that_can() {
    let targets = targets();
    let cases = [
        ("no block", json!({"name": "r"}), "NoRoute", "has none of httpRoute"),
        (
            "two blocks",
            json!({"name": "r", "httpRoute": {"action": {}}, "tcpRoute": {"action": {}}}),
            "SeveralRoutes",
            "has httpRoute and tcpRoute",
        ),
        ("no list", json!({"name": "r", "httpRoute": {"action": {}}}), "BadEntry", "are not a list"),
        (
            "an empty list",
            json!({"name": "r", "httpRoute": {"action": {"weightedTargets": []}}}),
            "EmptyList",
            "is empty",
        ),
        (
            "by ARN",
            json!({"name": "r", "grpcRoute": {"action": {"weightedTargets": [{"virtualNodeARN": "arn:x", "weight": 1}]}}}),
            "EntryByARN",
            "use virtualNodeRef",
        ),
        (
            "no name",
            json!({"name": "r", "grpcRoute": {"action": {"weightedTargets": [{"weight": 1}]}}}),
            "BadEntry",
            "has no virtualNodeRef.name",
        ),
        (
            "below zero",
            json!({"name": "r", "httpRoute": {"action": {"weightedTargets": [{"virtualNodeRef": {"name": "v1"}, "weight": -1}]}}}),
            "BadEntry",
            "the weight of its weighted target v1",
        ),
    ];
    for (name, bad, reason, part) in cases {
        let good = json!({"name": "good", "httpRoute": {"action": {"weightedTargets": targets}}});
        let view = view(&router(&json!([bad, good]))).unwrap();
        let (found, message) = view.lists[0].unusable.clone().unwrap();
        assert_eq!(found, reason, "{name}");
        assert!(message.starts_with("rule r: ") && message.contains(part), "{name}: {message}");
        assert_eq!(view.lists[1].unusable, None, "{name}");
    }
    assert_eq!(view(&router(&json!([]))).unwrap_err().reason, "NoRoute");
}

#[test]
fn every_kind_of_route_has_its_list() {
    for block in BLOCKS {
        let object = router(&json!([{"name": "main", block: {"action": {"weightedTargets": targets()}}}]));
        let view = view(&object).unwrap();
        let [list] = view.lists.as_slice() else { panic!("{view:?}") };
        assert_eq!(list.path, format!("/spec/routes/0/{block}/action/weightedTargets"));
        assert_eq!(list.rule.as_deref(), Some("main"));
        assert_eq!(object.pointer(list.rule_field.as_ref().unwrap()), Some(&json!("main")));
        let seen: Vec<_> = list.entries.iter().map(|e| (e.name.as_str(), e.port, e.weight)).collect();
        assert_eq!(seen, [("v1", None, 90), ("v2", Some(80), 10)]);
        assert_eq!(object.pointer(&list.path).unwrap()[1], *list.entries[1].raw.0);
    }
}

#[test]
fn what_the_status_shows() {
    let active = |status: &str, generation: i64| json!({"observedGeneration": generation, "conditions": [{"type": "VirtualRouterActive", "status": status}]});
    let cases = [
        (Value::Null, Ok(InEffect::Unreported)),
        (active("True", 3), Ok(InEffect::Yes)),
        (active("True", 2), Err("may be gone, for AWS has ended App Mesh")),
        (active("False", 3), Err("VirtualRouterActive is False")),
    ];
    for (status, want) in cases {
        let mut object =
            router(&json!([{"name": "main", "httpRoute": {"action": {"weightedTargets": targets()}}}]));
        object["status"] = status;
        match (view(&object).unwrap().in_effect, want) {
            (InEffect::No(message), Err(part)) => assert!(message.contains(part), "{message}"),
            (seen, want) => assert_eq!(Ok(seen), want),
        }
    }
}

#[test]
fn whoever_owns_the_routes_wrote_the_weights() {
    let mut object =
        router(&json!([{"name": "main", "httpRoute": {"action": {"weightedTargets": targets()}}}]));
    // The list of routes is atomic: nothing below it is owned apart.
    object["metadata"]["managedFields"] = json!([
        {"manager": "flux", "time": "2026-01-02T00:00:00Z", "fieldsV1": {"f:spec": {"f:routes": {}}}},
        {"manager": "other", "time": "2026-01-03T00:00:00Z", "fieldsV1": {"f:spec": {"f:listeners": {}}}},
    ]);
    assert_eq!(view(&object).unwrap().writer.as_deref(), Some("flux"));
}
