use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::engine::observed::InEffect;

fn route(action: &Value) -> Value {
    json!({
        "metadata": {"uid": "u", "resourceVersion": "7", "generation": 3},
        "spec": {"httpRoute": {"action": action}},
    })
}

fn entry(name: &str, weight: i64) -> Value {
    json!({"virtualServiceRef": {"name": name}, "weight": weight})
}

fn weighted() -> Value {
    route(&json!({"weightedTargets": [entry("v1", 90), entry("v2", 10)]}))
}

/// Each case: what is wrong, the object, the reason, a part of the sentence.
type Refusal = (&'static str, Value, &'static str, &'static str);

fn all_refused<const N: usize>(cases: [Refusal; N]) {
    for (name, object, reason, part) in cases {
        let refused = view(&object).expect_err(name);
        assert_eq!(refused.reason, reason, "{name}");
        assert!(refused.message.contains(part), "{name}: {}", refused.message);
    }
}

#[test]
fn a_route_without_one_list_is_refused_with_a_remedy() {
    let v1 = json!({"virtualServiceRef": {"name": "v1"}});
    all_refused([
        ("no spec", json!({}), "NoRoute", "exactly one must stand"),
        ("no block", json!({"spec": {"routeSpec": {}}}), "NoRoute", "exactly one must stand"),
        ("null block", json!({"spec": {"httpRoute": null}}), "NoRoute", "exactly one must stand"),
        (
            "two blocks",
            json!({"spec": {"httpRoute": {}, "grpcRoute": {}}}),
            "SeveralRoutes",
            "(/spec/httpRoute, /spec/grpcRoute)",
        ),
        (
            "flat and wrapped",
            json!({"spec": {"httpRoute": {}, "routeSpec": {"httpRoute": {}}}}),
            "SeveralRoutes",
            "/spec/routeSpec/httpRoute",
        ),
        ("no action", json!({"spec": {"httpRoute": {}}}), "NoWeights", "a canary needs them"),
        (
            "lone target by ARN",
            route(&json!({"target": {"virtualService": {"virtualServiceARN": "arn:aws:x"}}})),
            "NoWeights",
            "names no VirtualService by virtualServiceRef",
        ),
        (
            "target beside a list",
            route(&json!({"target": v1, "targets": [entry("v1", 1)]})),
            "SeveralLists",
            "one must remain",
        ),
        (
            "two lists",
            route(&json!({"weightedTargets": [entry("v1", 1)], "targets": [entry("v1", 1)]})),
            "SeveralLists",
            "one must remain",
        ),
    ]);
}

#[test]
fn a_single_target_can_be_switched_and_says_what_a_canary_needs() {
    let v1 = json!({"virtualServiceRef": {"name": "v1"}});
    let there = json!({"virtualServiceRef": {"name": "v1", "namespace": "n"}});
    let cases = [
        (json!(v1), "/virtualServiceRef/name", r#"[{"virtualServiceRef":{"name":"v1"},"weight":100}]"#),
        (
            json!({"virtualService": v1}),
            "/virtualService/virtualServiceRef/name",
            r#"[{"virtualServiceRef":{"name":"v1"},"weight":100}]"#,
        ),
        (
            json!({"virtualService": there, "port": 80}),
            "/virtualService/virtualServiceRef/name",
            r#"[{"port":80,"virtualServiceRef":{"name":"v1","namespace":"n"},"weight":100}]"#,
        ),
    ];
    for (target, name_field, paste) in cases {
        let mut object = route(&json!({"target": target}));
        object["metadata"]["namespace"] = json!("n");
        let view = view(&object).unwrap();
        let [list] = view.lists.as_slice() else { panic!("{view:?}") };
        assert_eq!((list.path.as_str(), list.lone), ("/spec/httpRoute/action/target", true));
        assert_eq!((list.entries[0].name.as_str(), list.entries[0].weight), ("v1", 100));
        assert_eq!(view.name_field, name_field);
        let (reason, message) = list.unusable.clone().unwrap();
        assert_eq!(reason, "NoWeights");
        assert!(message.contains(&format!("weightedTargets: {paste}")), "{message}");
        assert!(message.contains("the GatewayRoute CRD of Tidegate must be installed"), "{message}");
    }
}

#[test]
fn what_a_preview_has_to_know_of_a_route_is_seen() {
    let mut object = weighted();
    assert!(view(&object).unwrap().no_preview.unwrap().contains("no priority"));
    object["spec"]["priority"] = json!(7);
    assert_eq!((view(&object).unwrap().no_preview, view(&object).unwrap().lists[0].headers.len()), (None, 0));
    object["spec"]["priority"] = json!(0);
    object["spec"]["httpRoute"]["match"] = json!({"headers": [{"name": "X-Team"}]});
    let seen = view(&object).unwrap();
    assert!(seen.no_preview.unwrap().contains("priority is 0"));
    assert_eq!(seen.lists[0].headers, ["x-team"]);
    let block = object["spec"]["httpRoute"].take();
    object["spec"] = json!({"routeSpec": {"priority": 0, "grpcRoute": block}});
    object["spec"]["routeSpec"]["grpcRoute"]["match"] = json!({"metadata": [{"name": "x-team"}]});
    let seen = view(&object).unwrap();
    assert!(seen.no_preview.is_some());
    assert_eq!(seen.lists[0].headers, ["x-team"]);
}

#[test]
fn a_list_that_leaves_doubt_is_refused() {
    all_refused([
        ("no list", route(&json!({"targets": {"v1": 1}})), "BadEntry", "not a list"),
        ("empty list", route(&json!({"targets": []})), "EmptyList", "at least the stable target"),
        ("no name", route(&json!({"targets": [{"weight": 1}]})), "BadEntry", "target 0 has no"),
        ("no object", route(&json!({"targets": [entry("v1", 1), "v2"]})), "BadEntry", "target 1 has no"),
        ("empty name", route(&json!({"targets": [entry("", 1)]})), "BadEntry", "target 0 has no"),
        (
            "by ARN",
            route(&json!({"targets": [{"virtualServiceARN": "arn:aws:x", "weight": 1}]})),
            "EntryByARN",
            "use virtualServiceRef",
        ),
        (
            "by ARN as AWS has it",
            route(&json!({"targets": [{"virtualService": {"virtualServiceARN": "arn:aws:x"}}]})),
            "EntryByARN",
            "use virtualServiceRef",
        ),
        ("negative weight", route(&json!({"targets": [entry("v1", -1)]})), "BadEntry", "the weight of its"),
        (
            "weight as text",
            route(&json!({"targets": [{"virtualServiceRef": {"name": "v1"}, "weight": "10"}]})),
            "BadEntry",
            "the weight of its weighted target v1",
        ),
        (
            "fractional port",
            route(&json!({"targets": [{"virtualServiceRef": {"name": "v1"}, "port": 80.5}]})),
            "BadEntry",
            "the port of its weighted target v1",
        ),
        (
            "twice",
            route(&json!({"targets": [entry("v1", 1), entry("v2", 1), entry("v1", 0)]})),
            "DuplicateEntry",
            "v1 more than once",
        ),
    ]);
}

#[test]
fn the_list_is_found_in_every_shape() {
    for block in BLOCKS {
        for list in LISTS {
            let route = json!({ block: {"action": {list: [entry("v1", 90), entry("v2", 10)]}} });
            for (object, parent) in [
                (json!({"spec": {"routeSpec": route}}), "/spec/routeSpec"),
                (json!({"spec": route}), "/spec"),
            ] {
                let view = view(&object).unwrap();
                let [seen] = view.lists.as_slice() else { panic!("{view:?}") };
                assert_eq!(seen.path, format!("{parent}/{block}/action/{list}"));
                assert_eq!((&seen.rule, &seen.rule_field, &seen.unusable), (&None, &None, &None));
                let weights: Vec<_> = seen.entries.iter().map(|e| (e.name.as_str(), e.weight)).collect();
                assert_eq!(weights, [("v1", 90), ("v2", 10)]);
                assert_eq!(object.pointer(&seen.path).unwrap()[0], *seen.entries[0].raw.0);
                assert_eq!(seen.entries[1].raw.0.pointer(view.name_field), Some(&json!("v2")));
            }
        }
    }
}

#[test]
fn entries_are_told_apart_by_port_and_an_absent_weight_is_zero() {
    let object = route(&json!({"targets": [
        {"virtualServiceRef": {"name": "v1"}, "port": 80, "weight": 1},
        {"virtualServiceRef": {"name": "v1"}, "port": 81, "future": true},
    ]}));
    let view = view(&object).unwrap();
    let entries = &view.lists[0].entries;
    let seen: Vec<_> = entries.iter().map(|e| (e.port, e.weight)).collect();
    assert_eq!(seen, [(Some(80), 1), (Some(81), 0)]);
    assert_eq!(entries[1].raw.0["future"], true);
}

#[test]
fn stamps_as_they_are_spelled() {
    let annotated = |annotations: Value| {
        let mut object = weighted();
        object["metadata"]["annotations"] = annotations;
        let view = view(&object).unwrap();
        let spelled = view.stamps.into_iter().map(|(name, stamp)| (name, stamp.into())).collect();
        (view.annotated, spelled)
    };
    assert_eq!(annotated(Value::Null), (false, BTreeMap::<String, String>::new()));
    assert_eq!(annotated(json!({})), (true, BTreeMap::new()));
    assert_eq!(annotated(json!({"other.dev/color": "x"})), (true, BTreeMap::new()));
    let stamps =
        annotated(json!({"state.tidegate.dev/color": "{ }", "state.tidegate.dev/shape": "not ours"})).1;
    let want = [("color".to_owned(), "{ }".to_owned()), ("shape".into(), "not ours".into())];
    assert_eq!(stamps, BTreeMap::from(want));
}

#[test]
fn what_the_status_shows() {
    let programmed = |status: &str, generation: Value| {
        json!({"conditions": [
            {"type": "Accepted", "status": "True"},
            {"type": "Programmed", "status": status, "observedGeneration": generation, "message": "no such gateway"},
        ]})
    };
    let aws = |status: &str, generation: i64| {
        json!({
            "observedGeneration": generation,
            "conditions": [{"type": "GatewayRouteActive", "status": status, "reason": "NotActive"}],
        })
    };
    // `Ok` where it is in effect or nothing is reported, else a part of the sentence.
    let cases = [
        ("no status", Value::Null, Ok(InEffect::Unreported)),
        ("no condition", json!({"conditions": []}), Ok(InEffect::Unreported)),
        (
            "another condition",
            json!({"conditions": [{"type": "Ready", "status": "True"}]}),
            Ok(InEffect::Unreported),
        ),
        ("older", programmed("True", json!(2)), Err("is still at generation 2")),
        ("of no generation", programmed("True", Value::Null), Err("does not say which generation")),
        ("refused", programmed("False", json!(3)), Err("no such gateway")),
        ("unknown", programmed("Unknown", json!(3)), Err("no such gateway")),
        ("programmed", programmed("True", json!(3)), Ok(InEffect::Yes)),
        ("AWS's controller is gone", aws("True", 2), Err("may be gone")),
        ("AWS says no", aws("False", 3), Err("NotActive")),
        ("AWS says yes", aws("True", 3), Ok(InEffect::Yes)),
        (
            "AWS's without a generation",
            json!({"conditions": [{"type": "GatewayRouteActive", "status": "True"}]}),
            Err("may be gone"),
        ),
        (
            "the generation is that of the whole status",
            json!({"observedGeneration": 3, "conditions": [{"type": "Programmed", "status": "True"}]}),
            Ok(InEffect::Yes),
        ),
        (
            "ours wins over AWS's",
            json!({"observedGeneration": 3, "conditions": [
                {"type": "GatewayRouteActive", "status": "True"},
                {"type": "Programmed", "status": "False", "observedGeneration": 3},
            ]}),
            Err("its condition Programmed is False"),
        ),
    ];
    for (name, status, want) in cases {
        let mut object = weighted();
        object["status"] = status;
        match (view(&object).unwrap().in_effect, want) {
            (InEffect::No(message), Err(part)) => assert!(message.contains(part), "{name}: {message}"),
            (seen, want) => assert_eq!(Ok(seen), want, "{name}"),
        }
    }
}

#[test]
fn a_long_message_is_cut_between_characters() {
    let mut object = weighted();
    object["status"] = json!({"conditions": [{
        "type": "Programmed", "status": "False", "observedGeneration": 3, "message": "ü".repeat(1000) + "x",
    }]});
    let InEffect::No(message) = view(&object).unwrap().in_effect else {
        panic!("in effect");
    };
    assert_eq!(message, "ü".repeat(256));
}

#[test]
fn the_last_writer_of_the_list() {
    let list = json!({"f:spec": {"f:httpRoute": {"f:action": {"f:weightedTargets": {}}}}});
    let other = json!({"f:spec": {"f:priority": {}}});
    let manager =
        |name: &str, time: &str, fields: &Value| json!({"manager": name, "time": time, "fieldsV1": fields});
    let cases = [
        ("nobody is named", Value::Null, None),
        ("nobody owns it", json!([manager("kubectl", "2026-01-01T00:00:00Z", &other)]), None),
        ("no time", json!([{"manager": "kubectl", "fieldsV1": list}]), Some("kubectl")),
        (
            "the later of two",
            json!([
                manager("helm", "2026-01-02T00:00:00Z", &list),
                manager("kubectl", "2026-01-01T00:00:00Z", &list),
                manager("later-elsewhere", "2026-01-03T00:00:00Z", &other),
            ]),
            Some("helm"),
        ),
    ];
    for (name, fields, want) in cases {
        let mut object = weighted();
        object["metadata"]["managedFields"] = fields;
        assert_eq!(view(&object).unwrap().writer.as_deref(), want, "{name}");
    }
    let wrapped = json!({
        "metadata": {"managedFields": [manager(
            "kustomize-controller", "2026-01-01T00:00:00Z",
            &json!({"f:spec": {"f:routeSpec": {"f:httpRoute": {"f:action": {"f:targets": {}}}}}}),
        )]},
        "spec": {"routeSpec": {"httpRoute": {"action": {"targets": [entry("v1", 1)]}}}},
    });
    assert_eq!(view(&wrapped).unwrap().writer.as_deref(), Some("kustomize-controller"));
}
