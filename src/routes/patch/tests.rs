use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::{
    api::{RawEntry, RouteKind, RouteRef, Stamp},
    engine::decision::Purpose,
    routes::view,
};

mod properties;

const KEY: &str = "state.tidegate.dev/color";

fn object() -> Value {
    json!({
        "metadata": {"uid": "u", "resourceVersion": "7", "annotations": {KEY: old_stamp(), "a": "b"}},
        "spec": {"httpRoute": {"match": {"prefix": "/"}, "action": {"weightedTargets": [
            {"virtualServiceRef": {"name": "v1"}, "weight": 90, "port": 80},
            {"virtualServiceRef": {"name": "v2"}, "weight": 10},
            {"virtualServiceRef": {"name": "v0"}, "weight": 0},
        ]}}},
    })
}

fn stamp(step: i32) -> Stamp {
    Stamp { uid: "u".into(), epoch: 1, run: 1, step, aborted: false, added: vec![] }
}

fn old_stamp() -> String {
    stamp(1).spelled()
}

fn write(object: &Value, weights: &[(usize, i64)], fence: Fence) -> RouteWrite {
    RouteWrite {
        route: RouteRef::new(RouteKind::GatewayRoute, "color"),
        purpose: Purpose::Raise,
        view: Arc::new(view(RouteKind::GatewayRoute, object).unwrap()),
        weights: weights.iter().map(|&(entry, weight)| (at(entry), weight)).collect(),
        add: vec![],
        remove: vec![],
        mirrors: vec![],
        stamp: StampChange::Set("color".into(), stamp(2)),
        fence,
    }
}

/// A place on the first list.
const fn at(entry: usize) -> Place {
    Place { list: 0, entry }
}

fn new_entry(like: impl Into<RawEntry>, name: &str, port: Option<i32>, weight: i64) -> NewEntry {
    NewEntry { list: 0, like: like.into(), name: name.into(), port, weight }
}

/// The operations as `kubectl patch` would be given them.
fn ops(write: &RouteWrite) -> Value {
    serde_json::to_value(patch(write).unwrap()).unwrap()
}

fn applied(object: &Value, write: &RouteWrite) -> Result<Value, json_patch::PatchError> {
    let mut object = object.clone();
    json_patch::patch(&mut object, &patch(write).unwrap()).map(|()| object)
}

#[test]
fn a_write_that_contradicts_its_view_is_refused() {
    let plain = || write(&object(), &[], Fence::Unchanged);
    let v1 = || json!({"virtualServiceRef": {"name": "v1"}, "port": 80});
    let weights = |weights: &[(usize, i64)]| write(&object(), weights, Fence::Unchanged);
    let add = |new: NewEntry| RouteWrite { add: vec![new], ..plain() };
    let cases = [
        ("beyond the list", weights(&[(3, 1)]), PatchError::NoEntry(3)),
        ("twice", weights(&[(0, 1), (0, 2)]), PatchError::Twice(0)),
        ("negative", weights(&[(0, 100), (1, -1)]), PatchError::Negative(-1)),
        ("all zero", weights(&[(0, 0), (1, 0)]), PatchError::NoWeight),
        (
            "removed and changed",
            RouteWrite { remove: vec![at(2)], ..weights(&[(2, 1)]) },
            PatchError::Twice(2),
        ),
        ("removed beyond the list", RouteWrite { remove: vec![at(3)], ..plain() }, PatchError::NoEntry(3)),
        (
            "two removed from one list",
            RouteWrite { remove: vec![at(2), at(2)], ..plain() },
            PatchError::Twice(2),
        ),
        (
            "removed with weight",
            RouteWrite { remove: vec![at(1)], ..plain() },
            PatchError::HasWeight("v2".into()),
        ),
        ("added although listed", add(new_entry(v1(), "v1", None, 0)), PatchError::Listed("v1".into())),
        ("added below zero", add(new_entry(v1(), "v3", None, -5)), PatchError::Negative(-5)),
        (
            "added twice",
            RouteWrite {
                add: vec![new_entry(v1(), "v3", None, 0), new_entry(v1(), "v3", Some(80), 0)],
                ..plain()
            },
            PatchError::Listed("v3".into()),
        ),
        ("a copy without a name", add(new_entry(json!({}), "v3", None, 0)), PatchError::Shape("a name")),
    ];
    for (name, write, want) in cases {
        assert_eq!(patch(&write), Err(want), "{name}");
    }
}

#[test]
fn a_raise_tests_everything_seen() {
    let list = "/spec/httpRoute/action/weightedTargets";
    assert_eq!(
        ops(&write(&object(), &[(1, 20), (0, 80)], Fence::Unchanged)),
        json!([
            {"op": "test", "path": "/metadata/resourceVersion", "value": "7"},
            {"op": "test", "path": "/metadata/annotations/state.tidegate.dev~1color", "value": old_stamp()},
            {"op": "test", "path": format!("{list}/1/virtualServiceRef/name"), "value": "v2"},
            {"op": "test", "path": format!("{list}/1/weight"), "value": 10},
            {"op": "test", "path": format!("{list}/0/virtualServiceRef/name"), "value": "v1"},
            {"op": "test", "path": format!("{list}/0/port"), "value": 80},
            {"op": "test", "path": format!("{list}/0/weight"), "value": 90},
            {"op": "add", "path": format!("{list}/1/weight"), "value": 20},
            {"op": "add", "path": format!("{list}/0/weight"), "value": 80},
            {"op": "add", "path": "/metadata/annotations/state.tidegate.dev~1color", "value": stamp(2).spelled()},
        ])
    );
}

#[test]
fn a_lowering_waits_for_nobody_but_its_stamp() {
    let lower = write(&object(), &[(1, 0), (0, 100)], Fence::Stamp);
    let mut meanwhile = object();
    meanwhile["metadata"]["resourceVersion"] = json!("8");
    meanwhile["metadata"]["annotations"]["a"] = json!("c");
    meanwhile["status"] = json!({"conditions": []});
    meanwhile["spec"]["httpRoute"]["action"]["weightedTargets"][1]["weight"] = json!(50);
    let after = applied(&meanwhile, &lower).unwrap();
    let weights = &after["spec"]["httpRoute"]["action"]["weightedTargets"];
    assert_eq!((&weights[0]["weight"], &weights[1]["weight"]), (&json!(100), &json!(0)));
    assert_eq!(after["metadata"]["annotations"]["a"], "c");

    meanwhile["metadata"]["annotations"][KEY] = json!(stamp(2).spelled());
    assert!(applied(&meanwhile, &lower).is_err(), "the stamp changed");
}

#[test]
fn without_a_stamp_a_lowering_tests_the_version() {
    for annotations in [Value::Null, json!({"a": "b"})] {
        let mut object = object();
        object["metadata"]["annotations"] = annotations;
        let lower = write(&object, &[(1, 0), (0, 100)], Fence::Stamp);
        let after = applied(&object, &lower).unwrap();
        assert_eq!(after["metadata"]["annotations"][KEY], stamp(2).spelled());
        object["metadata"]["resourceVersion"] = json!("8");
        assert!(applied(&object, &lower).is_err());
    }
}

#[test]
fn stable_put_back_by_a_lowering_is_never_listed_twice() {
    let mut before = object();
    let list = "/spec/httpRoute/action/weightedTargets";
    before.pointer_mut(list).unwrap().as_array_mut().unwrap().remove(0);
    let like = json!({"virtualServiceRef": {"name": "v1", "namespace": "n"}, "weight": 90, "port": 80});
    let lower = RouteWrite {
        add: vec![new_entry(like.clone(), "v1", None, 100)],
        ..write(&before, &[(0, 0)], Fence::Stamp)
    };
    let after = applied(&before, &lower).unwrap();
    let want = json!({"virtualServiceRef": {"name": "v1", "namespace": "n"}, "weight": 100, "port": 80});
    assert_eq!(after.pointer(list).unwrap()[2], want);

    let mut meanwhile = before.clone();
    meanwhile.pointer_mut(list).unwrap().as_array_mut().unwrap().push(like);
    assert!(applied(&meanwhile, &lower).is_err());
}

#[test]
fn a_canary_is_not_zeroed_once_nobody_else_has_weight() {
    let lower = write(&object(), &[(1, 0)], Fence::Stamp);
    assert!(applied(&object(), &lower).is_ok());
    let mut meanwhile = object();
    meanwhile["spec"]["httpRoute"]["action"]["weightedTargets"][0]["weight"] = json!(0);
    assert!(applied(&meanwhile, &lower).is_err());
}

#[test]
fn what_becomes_of_the_stamp() {
    let annotations = |before: Value, stamp: StampChange| {
        let mut object = object();
        object["metadata"]["annotations"] = before;
        let write = RouteWrite { stamp, ..write(&object, &[], Fence::Unchanged) };
        applied(&object, &write).unwrap()["metadata"]["annotations"].clone()
    };
    let set = || StampChange::Set("color".into(), stamp(2));
    let spelled = stamp(2).spelled();
    assert_eq!(annotations(Value::Null, set()), json!({KEY: spelled}));
    assert_eq!(annotations(json!({}), set()), json!({KEY: spelled}));
    assert_eq!(annotations(json!({"a": "b", KEY: "old"}), set()), json!({"a": "b", KEY: spelled}));
    let remove = || StampChange::Remove("color".into());
    assert_eq!(annotations(Value::Null, remove()), Value::Null);
    assert_eq!(annotations(json!({"a": "b"}), remove()), json!({"a": "b"}));
    assert_eq!(annotations(json!({"a": "b", KEY: "old"}), remove()), json!({"a": "b"}));
    assert_eq!(annotations(json!({KEY: "old"}), StampChange::Keep("color".into())), json!({KEY: "old"}));
}

#[test]
fn an_entry_is_taken_out_under_the_version() {
    let retire = RouteWrite { remove: vec![at(2)], ..write(&object(), &[], Fence::Stamp) };
    let after = applied(&object(), &retire).unwrap();
    let list = after["spec"]["httpRoute"]["action"]["weightedTargets"].as_array().unwrap();
    assert_eq!(
        list.as_slice(),
        &object()["spec"]["httpRoute"]["action"]["weightedTargets"].as_array().unwrap()[..2]
    );
    let mut meanwhile = object();
    meanwhile["metadata"]["resourceVersion"] = json!("8");
    assert!(applied(&meanwhile, &retire).is_err());
}

/// A GatewayRoute with a single target, and the view of it in which another one has nothing.
fn lone(name: &str, absent: &str) -> (Value, RouteView) {
    let object = json!({
        "metadata": {"uid": "u", "resourceVersion": "7", "annotations": {KEY: old_stamp()}},
        "spec": {"httpRoute": {"action": {
            "target": {"virtualService": {"virtualServiceRef": {"name": name}}, "port": 80},
        }}},
    });
    let mut seen = view(RouteKind::GatewayRoute, &object).unwrap();
    let mut entry = seen.lists[0].entries[0].clone();
    entry.name = absent.into();
    entry.weight = 0;
    std::sync::Arc::make_mut(&mut entry.raw.0)["virtualService"]["virtualServiceRef"]["name"] = json!(absent);
    seen.lists[0].entries.push(entry);
    (object, seen)
}

#[test]
fn a_single_target_is_switched_by_its_name() {
    let (object, seen) = lone("v1", "v2");
    for (purpose, fence) in [(Purpose::Raise, Fence::Unchanged), (Purpose::Lower, Fence::Stamp)] {
        let switch = RouteWrite {
            view: Arc::new(seen.clone()),
            purpose,
            ..write(&self::object(), &[(0, 0), (1, 100)], fence)
        };
        let now = applied(&object, &switch).unwrap();
        let mut want = object.clone();
        want["spec"]["httpRoute"]["action"]["target"]["virtualService"]["virtualServiceRef"]["name"] =
            json!("v2");
        want["metadata"]["annotations"][KEY] = json!(stamp(2).spelled());
        assert_eq!(now, want);
        let (elsewhere, _) = lone("v9", "v2");
        assert!(applied(&elsewhere, &switch).is_err(), "somebody else has switched it");
    }
    // What stays is written neither.
    let stays = RouteWrite {
        view: Arc::new(seen.clone()),
        ..write(&self::object(), &[(0, 100), (1, 0)], Fence::Unchanged)
    };
    let mut now = applied(&object, &stays).unwrap();
    now["metadata"]["annotations"][KEY] = json!(old_stamp());
    assert_eq!(now, object);
    let shared =
        RouteWrite { view: Arc::new(seen), ..write(&self::object(), &[(0, 90), (1, 10)], Fence::Unchanged) };
    assert_eq!(patch(&shared), Err(PatchError::Shared(90)));
}
