//! The comparison can fail: pairs of answers with one difference each, and pairs that only differ in what must differ.

use serde_json::{Value, json};

use crate::compare::Comparison;
use crate::side::Answer;
use crate::step::{STATEFUL_SETS, Step, TABLE, WIDGETS, get};

const NAMESPACES: [&str; 2] = ["ours-1", "theirs-2"];

fn answer(code: u16, body: Value) -> Answer {
    Answer { code, content_type: "application/json".to_owned(), warnings: Vec::new(), body }
}

/// What the comparison tells of a pair of answers.
fn difference(step: &Step, ours: &Answer, theirs: &Answer) -> Option<String> {
    Comparison::new(NAMESPACES).difference(step, ours, theirs)
}

/// An object as one of the servers would show it: all that must differ between them is made from `seed`.
fn shown(seed: u32) -> Value {
    json!({"apiVersion": "fidelity.tidegate.dev/v1", "kind": "Widget",
        "metadata": {
            "name": "a", "namespace": NAMESPACES[seed as usize], "uid": format!("uid-{seed}"),
            "resourceVersion": (100 + seed).to_string(), "generation": 1,
            "creationTimestamp": format!("2026-01-0{}T00:00:00Z", seed + 1),
            "managedFields": [{"manager": "tests", "operation": "Update", "apiVersion": "fidelity.tidegate.dev/v1",
                "time": format!("2026-01-0{}T00:00:00Z", seed + 1), "fieldsType": "FieldsV1",
                "fieldsV1": {"f:spec": {"f:seed": seed}}}],
        },
        "spec": {"color": "red", "mode": "Auto"}})
}

fn list(seed: u32) -> Value {
    let mut second = shown(seed);
    second["metadata"]["name"] = json!("b");
    second["metadata"]["uid"] = json!(format!("uid-b-{seed}"));
    second["metadata"]["resourceVersion"] = json!((200 + seed).to_string());
    json!({"apiVersion": "fidelity.tidegate.dev/v1", "kind": "WidgetList",
        "metadata": {"resourceVersion": (300 + seed).to_string(), "continue": format!("token-{seed}")},
        "items": [shown(seed), second]})
}

fn refusal(seed: u32) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 422, "reason": "Invalid",
        "message": format!("said by server {seed}"),
        "details": {"name": "a", "group": "fidelity.tidegate.dev", "kind": "Widget", "causes": [
            {"reason": "FieldValueInvalid", "field": "spec.color", "message": format!("told by server {seed}")},
            {"reason": "FieldValueRequired", "field": "spec.name", "message": "is required"}]}})
}

fn events(seed: u32) -> Value {
    json!([{"type": "ADDED", "object": shown(seed)},
        {"type": "BOOKMARK", "object": {"apiVersion": "fidelity.tidegate.dev/v1", "kind": "Widget",
            "metadata": {"resourceVersion": (400 + seed).to_string()}}}])
}

fn table(seed: u32) -> Value {
    json!({"apiVersion": "meta.k8s.io/v1", "kind": "Table", "metadata": {"resourceVersion": (300 + seed).to_string()},
        "columnDefinitions": [{"name": "Name", "type": "string"}, {"name": "Age", "type": "string"}],
        "rows": [{"cells": ["a", format!("{}s", seed + 1)], "object": shown(seed)}]})
}

#[test]
fn what_must_differ_is_no_difference() {
    for (what, code, make) in [
        ("object", 200, shown as fn(u32) -> Value),
        ("list", 200, list),
        ("refusal", 422, refusal),
        ("watch", 200, events),
        ("table", 200, table),
    ] {
        let told = difference(&get(WIDGETS), &answer(code, make(0)), &answer(code, make(1)));
        assert_eq!(told, None, "{what}");
    }
    let told = difference(&get(WIDGETS), &answer(404, json!("no page")), &answer(404, json!("404 page")));
    assert_eq!(told, None, "the wording of a text");
}

#[test]
fn every_other_difference_is_told() {
    let change = |make: fn(u32) -> Value, at: &str, value: Value| {
        let mut body = make(1);
        let (parent, field) = at.rsplit_once('/').unwrap();
        match body.pointer_mut(parent).unwrap() {
            Value::Object(fields) if value.is_null() => drop(fields.remove(field)),
            Value::Array(items) if value.is_null() => drop(items.remove(field.parse().unwrap())),
            Value::Array(items) => items[field.parse::<usize>().unwrap()] = value,
            other => other[field] = value,
        }
        (make(0), body)
    };
    for (what, (ours, theirs)) in [
        ("the code in a refusal", change(refusal, "/code", json!(409))),
        ("the reason", change(refusal, "/reason", json!("Conflict"))),
        ("what it is about", change(refusal, "/details/kind", json!("widgets"))),
        ("a cause's field", change(refusal, "/details/causes/0/field", json!("spec.mode"))),
        ("a cause's reason", change(refusal, "/details/causes/0/reason", json!("FieldValueRequired"))),
        ("a missing cause", change(refusal, "/details/causes/1", Value::Null)),
        ("a default", change(shown, "/spec/mode", json!("Manual"))),
        ("a missing default", change(shown, "/spec/mode", Value::Null)),
        ("an empty field", change(shown, "/spec/tags", json!([]))),
        ("the generation", change(shown, "/metadata/generation", json!(2))),
        ("a missing uid", change(shown, "/metadata/uid", Value::Null)),
        ("a time that is none", change(shown, "/metadata/creationTimestamp", json!("now"))),
        ("another namespace", change(shown, "/metadata/namespace", json!("other"))),
        ("a manager", change(shown, "/metadata/managedFields/0/manager", json!("other"))),
        ("a manager's operation", change(shown, "/metadata/managedFields/0/operation", json!("Apply"))),
        ("a missing manager", change(shown, "/metadata/managedFields/0", Value::Null)),
        ("a missing item", change(list, "/items/1", Value::Null)),
        ("a list that goes on nowhere", change(list, "/metadata/continue", json!(""))),
        ("the same uid twice", change(list, "/items/1/metadata/uid", json!("uid-1"))),
        ("the same version twice", change(list, "/items/1/metadata/resourceVersion", json!("101"))),
        ("the type of an event", change(events, "/0/type", json!("MODIFIED"))),
        ("a missing bookmark", change(events, "/1", Value::Null)),
        ("a bookmark of another kind", change(events, "/1/object/kind", json!("Other"))),
        ("a cell", change(table, "/rows/0/cells/0", json!("b"))),
        ("a column", change(table, "/columnDefinitions/1/name", json!("Since"))),
    ] {
        let told = difference(&get(WIDGETS), &answer(200, ours), &answer(200, theirs));
        assert!(told.is_some(), "{what} is not told");
    }
}

#[test]
fn a_revision_is_the_newest_or_the_one_before_whatever_its_name() {
    let told = |ours: [&str; 2], theirs: [&str; 2]| {
        let set = |[current, newest]: [&str; 2]| {
            let status = json!({"replicas": 1, "currentRevision": current, "updateRevision": newest});
            answer(200, json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "status": status}))
        };
        difference(&get(STATEFUL_SETS), &set(ours), &set(theirs))
    };
    assert_eq!(told(["a-1", "a-1"], ["a-x", "a-x"]), None);
    assert_eq!(told(["a-1", "a-2"], ["a-x", "a-y"]), None);
    assert!(told(["a-1", "a-1"], ["a-x", "a-y"]).unwrap().contains("/body/status/currentRevision"));
}

#[test]
fn the_rest_of_an_answer_counts_too() {
    let one = answer(200, shown(0));
    let other = |change: &dyn Fn(&mut Answer)| {
        let mut other = answer(200, shown(1));
        change(&mut other);
        difference(&get(WIDGETS).accept(TABLE), &one, &other)
    };
    assert_eq!(other(&|_| {}), None);
    let told = other(&|answer| answer.code = 201).unwrap();
    assert_eq!(told.trim(), "/code: sandbox 200 | real 201");
    assert!(other(&|answer| answer.content_type = "text/plain".to_owned()).is_some());
    assert!(other(&|answer| answer.warnings.push("299 - \"unknown field\"".to_owned())).is_some());
    assert!(other(&|answer| answer.body = json!("")).is_some());
}

#[test]
fn what_a_script_saw_before_is_held_against_what_it_sees_now() {
    let mut comparison = Comparison::new(NAMESPACES);
    let step = get(WIDGETS);
    let told = comparison.difference(&step, &answer(200, shown(0)), &answer(200, shown(1)));
    assert_eq!(told, None);
    let mut written = shown(1);
    written["metadata"]["resourceVersion"] = json!("102");
    let told = comparison.difference(&step, &answer(200, shown(0)), &answer(200, written)).unwrap();
    assert!(told.contains("/body/metadata/resourceVersion"), "only one of them has written: {told}");
}
