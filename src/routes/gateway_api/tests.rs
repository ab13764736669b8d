use serde_json::{Value, json};

use super::*;

fn route(rules: &Value) -> Value {
    json!({
        "metadata": {"namespace": "shop", "uid": "u", "resourceVersion": "7", "generation": 3},
        "spec": {"parentRefs": [{"name": "gw"}], "rules": rules},
    })
}

fn backends() -> Value {
    json!([{"name": "v1", "port": 80, "weight": 3}, {"name": "v2", "port": 80, "filters": [1]}])
}

#[test]
fn rules_go_by_their_name_or_their_place() {
    let object = route(&json!([
        {"filters": [{"type": "RequestRedirect"}]},
        {"name": "checkout", "backendRefs": backends()},
        {"backendRefs": backends()},
        {"backendRefs": []},
    ]));
    let view = view(RouteKind::HttpRoute, &object).unwrap();
    let told: Vec<_> =
        view.lists.iter().map(|list| (list.path.as_str(), list.told.as_deref().unwrap())).collect();
    assert_eq!(told, [("/spec/rules/1/backendRefs", "checkout"), ("/spec/rules/2/backendRefs", "#3")]);
    assert_eq!(view.lists[0].rule_field.as_deref(), Some("/spec/rules/1/name"));
    assert_eq!(view.lists[1].rule_field, None);
    let seen: Vec<_> = view.lists[0].entries.iter().map(|e| (e.name.as_str(), e.port, e.weight)).collect();
    assert_eq!(seen, [("v1", Some(80), 3), ("v2", Some(80), 1)], "without a weight it counts one");
    assert_eq!(view.lists[0].entries[1].raw.0["filters"], json!([1]));
}

#[test]
fn an_only_rule_needs_no_name() {
    let view = view(RouteKind::HttpRoute, &route(&json!([{"backendRefs": backends()}]))).unwrap();
    assert_eq!((view.lists.len(), &view.lists[0].told), (1, &None));
}

#[test]
fn a_rule_without_a_name_is_known_wherever_it_stands_and_whatever_it_weighs() {
    let rule = |path: &str, weight: i64| json!({"matches": [{"path": path}], "backendRefs": [{"name": "v1", "port": 80, "weight": weight}]});
    let rules = |rules: Value| -> Vec<String> {
        view(RouteKind::HttpRoute, &route(&rules))
            .unwrap()
            .lists
            .into_iter()
            .map(|list| list.rule.unwrap())
            .collect()
    };
    let before = rules(json!([rule("/a", 1), rule("/b", 1)]));
    assert!(before[0].starts_with('#') && before[0] != before[1], "{before:?}");
    let after = rules(json!([rule("/new", 1), rule("/b", 70), rule("/a", 30)]));
    assert_eq!([&after[2], &after[1]], [&before[0], &before[1]]);
    assert_eq!(rules(json!([rule("/a", 1)])), before[..1]);
    let twins = rules(json!([rule("/a", 1), rule("/a", 1)]));
    assert_ne!(twins[0], twins[1]);
}

#[test]
fn what_is_elsewhere_or_of_another_kind_is_no_target() {
    let view = view(
        RouteKind::HttpRoute,
        &route(&json!([{"backendRefs": [
            {"name": "v1", "port": 80, "kind": "Service", "namespace": "shop"},
            {"name": "v1", "port": 80, "namespace": "other"},
            {"name": "v1", "port": 80, "kind": "ServiceImport", "group": "x"},
        ]}])),
    )
    .unwrap();
    let names: Vec<&str> = view.lists[0].entries.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["v1", "other/v1", "ServiceImport v1"]);
}

#[test]
fn a_route_without_backends_is_refused() {
    let redirect = json!([{"filters": [{"type": "RequestRedirect"}]}]);
    for rules in [Value::Null, json!([]), redirect] {
        let refused = view(RouteKind::HttpRoute, &route(&rules)).unwrap_err();
        assert_eq!(refused.reason, "NoWeights");
        assert!(refused.message.contains("backendRefs"), "{refused}");
    }
}

#[test]
fn what_the_parents_say() {
    let condition = |kind: &str, status: &str, generation: i64| json!({"type": kind, "status": status, "observedGeneration": generation, "message": "no such service"});
    let good = || json!([condition("Accepted", "True", 3), condition("ResolvedRefs", "True", 3)]);
    let parent =
        |name: &str, conditions: Value| json!({"parentRef": {"name": name}, "conditions": conditions});
    let spelled_out = json!({
        "parentRef": {"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": "shop", "name": "gw"},
        "conditions": good(),
    });
    let cases = [
        ("no status", Value::Null, Ok(InEffect::Unreported)),
        ("no parent", json!([]), Ok(InEffect::Unreported)),
        ("no condition that counts", json!([parent("gw", json!([{"type": "X"}]))]), Ok(InEffect::Unreported)),
        ("accepted and resolved", json!([parent("gw", good())]), Ok(InEffect::Yes)),
        ("with its defaults spelled out", json!([spelled_out]), Ok(InEffect::Yes)),
        (
            "of an older generation",
            json!([parent("gw", json!([condition("Accepted", "True", 2)]))]),
            Err("its parent gw has not taken its newest generation up"),
        ),
        (
            "refused",
            json!([parent(
                "gw",
                json!([condition("Accepted", "True", 3), condition("ResolvedRefs", "False", 3)])
            )]),
            Err("its parent gw says ResolvedRefs is not True: no such service"),
        ),
        (
            "taken up in part",
            json!([parent(
                "gw",
                json!([
                    condition("Accepted", "True", 3),
                    condition("ResolvedRefs", "True", 3),
                    condition("PartiallyInvalid", "True", 3)
                ])
            )]),
            Err("its parent gw has taken only a part of its newest generation up: no such service"),
        ),
        (
            "an invalid rule left out",
            json!([parent(
                "gw",
                json!([condition("Accepted", "True", 3), {
                    "type": "PartiallyInvalid", "status": "True", "observedGeneration": 3,
                    "message": "Dropped Rule: rule 1",
                }])
            )]),
            Ok(InEffect::Yes),
        ),
        (
            "taken up in part before",
            json!([parent(
                "gw",
                json!([condition("Accepted", "True", 3), condition("PartiallyInvalid", "True", 2)])
            )]),
            Ok(InEffect::Yes),
        ),
        (
            "of no generation",
            json!([parent("gw", json!([{"type": "Accepted", "status": "True"}]))]),
            Ok(InEffect::Unreported),
        ),
        (
            "another implementation had the parent before",
            json!([parent("gw", json!([condition("Accepted", "True", 1)])), parent("gw", good())]),
            Ok(InEffect::Yes),
        ),
        (
            "one that the route has left",
            json!([parent("old", json!([condition("Accepted", "False", 1)])), parent("gw", good())]),
            Ok(InEffect::Yes),
        ),
    ];
    for (name, parents, want) in cases {
        let mut object = route(&json!([{"backendRefs": backends()}]));
        object["status"] = json!({ "parents": parents });
        match (view(RouteKind::HttpRoute, &object).unwrap().in_effect, want) {
            (InEffect::No(message), Err(part)) => assert!(message.contains(part), "{name}: {message}"),
            (seen, want) => assert_eq!(Ok(seen), want, "{name}"),
        }
    }
}
