//! What holds for every route of every shape and every write that the engine could decide on it.

use proptest::{collection::vec, prelude::*};
use serde_json::{Map, Value, json};

use super::*;

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
