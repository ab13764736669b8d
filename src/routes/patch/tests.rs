use std::sync::Arc;

use proptest::{collection::vec, prelude::*};
use serde_json::{Map, Value, json};

use super::*;
use crate::{
    api::{RawEntry, RouteGroup, RouteKind, RouteRef, Stamp},
    engine::decision::Purpose,
    routes::view,
};

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
        route: RouteRef {
            group: RouteGroup::AppMesh,
            kind: RouteKind::GatewayRoute,
            name: "color".into(),
            evidence: None,
        },
        purpose: Purpose::Raise,
        view: Arc::new(view(RouteKind::GatewayRoute, object).unwrap()),
        weights: weights.to_vec(),
        add: vec![],
        remove: None,
        stamp: StampChange::Set("color".into(), stamp(2)),
        fence,
    }
}

fn new_entry(like: Value, name: &str, port: Option<i32>, weight: i64) -> NewEntry {
    NewEntry { like: RawEntry(like), name: name.into(), port, weight }
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
        ("removed and changed", RouteWrite { remove: Some(2), ..weights(&[(2, 1)]) }, PatchError::Twice(2)),
        ("removed beyond the list", RouteWrite { remove: Some(3), ..plain() }, PatchError::NoEntry(3)),
        (
            "removed with weight",
            RouteWrite { remove: Some(1), ..plain() },
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
    let retire = RouteWrite { remove: Some(2), ..write(&object(), &[], Fence::Stamp) };
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

fn word() -> impl Strategy<Value = String> {
    "[a-z~/]{1,6}"
}

fn extra() -> impl Strategy<Value = Map<String, Value>> {
    // A prefix keeps the unknown fields apart from the known ones.
    vec((word(), any::<i32>()), 0..3).prop_map(|fields| {
        fields.into_iter().map(|(key, value)| (format!("x-{key}"), json!(value))).collect()
    })
}

prop_compose! {
    fn entry()(name in word(), port in proptest::option::of(1..99_i32), weight in proptest::option::of(0..100_i64),
               extra in extra(), inner in extra()) -> Value {
        let mut reference = inner;
        reference.insert("name".into(), json!(name));
        let mut entry = extra;
        entry.insert("virtualServiceRef".into(), Value::Object(reference));
        entry.extend(port.map(|port| ("port".into(), json!(port))));
        entry.extend(weight.map(|weight| ("weight".into(), json!(weight))));
        Value::Object(entry)
    }
}

prop_compose! {
    /// A route of any shape that can be stepped: at least two entries, no two the same.
    fn route()(wrapped in any::<bool>(), block in prop::sample::select(vec!["httpRoute", "http2Route", "grpcRoute"]),
               list in prop::sample::select(vec!["weightedTargets", "targets"]), entries in vec(entry(), 2..6),
               annotations in proptest::option::of(extra()), stamped in any::<bool>(), spec in extra(), status in extra())
        -> Value {
        let entries: Vec<Value> = entries.into_iter().enumerate().map(|(index, mut entry)| {
            let name = entry["virtualServiceRef"]["name"].as_str().unwrap_or_default().to_owned();
            entry["virtualServiceRef"]["name"] = json!(format!("{name}{index}"));
            entry
        }).collect();
        let mut spec = spec;
        let route = json!({ block: {"action": {list: entries, "x-rewrite": 1}, "match": {"prefix": "/"}} });
        if wrapped {
            spec.insert("routeSpec".into(), route);
        } else if let Value::Object(route) = route {
            spec.extend(route);
        }
        let mut metadata = json!({"uid": "u", "resourceVersion": "7", "name": "color"});
        if let Some(mut annotations) = annotations {
            if stamped {
                annotations.insert(KEY.into(), json!(old_stamp()));
            }
            metadata["annotations"] = Value::Object(annotations);
        }
        json!({"metadata": metadata, "spec": spec, "status": status})
    }
}

prop_compose! {
    /// A route and a write on it that the engine could have decided.
    fn case()(object in route())
        (first in 0..object_len(&object), second in 0..object_len(&object), share in 0..=100_i64, add in any::<bool>(),
         port in proptest::option::of(1..99_i32), stamp in 0..3, strict in any::<bool>(), object in Just(object)) -> (Value, RouteWrite) {
        let fence = if strict { Fence::Unchanged } else { Fence::Stamp };
        let weights = if first == second { vec![(first, 100)] } else { vec![(first, share), (second, 100 - share)] };
        let mut write = write(&object, &weights, fence);
        if add {
            write.add.push(new_entry(write.view.entries[first].raw.clone(), "added", port, 0));
        }
        let taken_out = |(index, e): (usize, &EntrySeen)| {
            (e.weight == 0 && index != first && index != second).then_some(index)
        };
        write.remove = write.view.entries.iter().enumerate().find_map(taken_out);
        write.stamp = match stamp {
            0 => StampChange::Keep("color".into()),
            1 => StampChange::Remove("color".into()),
            _ => StampChange::Set("color".into(), self::stamp(2)),
        };
        (object, write)
    }
}

fn object_len(object: &Value) -> usize {
    view(RouteKind::GatewayRoute, object).unwrap().entries.len()
}

/// The object with everything that a write may change done by hand.
fn by_hand(object: &Value, write: &RouteWrite) -> Value {
    let mut want = object.clone();
    let list = want.pointer_mut(&write.view.list).unwrap().as_array_mut().unwrap();
    for &(index, weight) in &write.weights {
        list[index]["weight"] = json!(weight);
    }
    for new in &write.add {
        let mut entry = new.like.0.clone();
        entry["virtualServiceRef"]["name"] = json!(new.name);
        entry["weight"] = json!(new.weight);
        if let Some(port) = new.port {
            entry["port"] = json!(port);
        }
        list.push(entry);
    }
    if let Some(index) = write.remove {
        list.remove(index);
    }
    let metadata = want["metadata"].as_object_mut().unwrap();
    match &write.stamp {
        StampChange::Keep(_) => {}
        StampChange::Set(_, stamp) => {
            let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
            annotations[KEY] = json!(stamp.spelled());
        }
        StampChange::Remove(_) => {
            if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
                annotations.remove(KEY);
            }
        }
    }
    want
}

proptest! {
    #[test]
    fn nothing_else_is_changed((object, write) in case()) {
        prop_assert_eq!(applied(&object, &write).unwrap(), by_hand(&object, &write));
    }

    #[test]
    fn a_stale_route_refuses_the_patch((object, write) in case(), pick in 0..3) {
        let mut stale = object.clone();
        // The version alone would do; what counts is that the rest does without it.
        let touched = write.weights[0].0;
        let list = stale.pointer_mut(&write.view.list).unwrap().as_array_mut().unwrap();
        match pick {
            0 => list.rotate_left(1),
            1 => list[touched]["virtualServiceRef"]["name"] = json!("renamed"),
            _ if write.view.stamps.is_empty() => stale["metadata"]["resourceVersion"] = json!("8"),
            _ => stale["metadata"]["annotations"][KEY] = json!("changed"),
        }
        prop_assert!(applied(&stale, &write).is_err());
    }

    #[test]
    fn an_unrelated_write_does_not_delay_a_lowering((object, write) in case()) {
        prop_assume!(!write.view.stamps.is_empty());
        let lower = RouteWrite { fence: Fence::Stamp, remove: None, purpose: Purpose::Lower, ..write };
        let mut meanwhile = object.clone();
        meanwhile["metadata"]["resourceVersion"] = json!("8");
        meanwhile["metadata"]["annotations"]["other.dev/a"] = json!("b");
        meanwhile["status"] = json!({"conditions": [{"type": "Programmed"}]});
        let want = by_hand(&meanwhile, &lower);
        prop_assert_eq!(applied(&meanwhile, &lower).unwrap(), want);
    }
}
