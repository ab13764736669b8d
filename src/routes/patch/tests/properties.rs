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
    /// An entry of a kind whose names stand under `reference`, or at its top where that is empty.
    fn entry(reference: &'static str)(
        name in word(), port in proptest::option::of(1..99_i32), weight in proptest::option::of(0..100_i64),
        extra in extra(), inner in extra(),
    ) -> Value {
        let mut entry = extra;
        if reference.is_empty() {
            entry.insert("name".into(), json!(name));
        } else {
            let mut inner = inner;
            inner.insert("name".into(), json!(name));
            entry.insert(reference.into(), Value::Object(inner));
        }
        entry.extend(port.map(|port| ("port".into(), json!(port))));
        entry.extend(weight.map(|weight| ("weight".into(), json!(weight))));
        Value::Object(entry)
    }
}

/// Weighted lists of at least two entries, no two the same.
fn lists(reference: &'static str, most: usize) -> impl Strategy<Value = Vec<Vec<Value>>> {
    let list = vec(entry(reference), 2..6).prop_map(move |mut entries| {
        for (index, entry) in entries.iter_mut().enumerate() {
            let pointer =
                if reference.is_empty() { "/name".to_owned() } else { format!("/{reference}/name") };
            let name = entry.pointer_mut(&pointer).unwrap();
            *name = json!(format!("{}{index}", name.as_str().unwrap()));
        }
        entries
    });
    vec(list, 1..=most)
}

prop_compose! {
    /// The spec of a GatewayRoute of any shape that can be stepped.
    fn gateway_route()(
        wrapped in any::<bool>(), block in prop::sample::select(vec!["httpRoute", "http2Route", "grpcRoute"]),
        list in prop::sample::select(vec!["weightedTargets", "targets"]), entries in lists("virtualServiceRef", 1),
    ) -> (RouteKind, Value) {
        let route = json!({ block: {"action": {list: entries[0], "x-rewrite": 1}, "match": {"prefix": "/"}} });
        (RouteKind::GatewayRoute, if wrapped { json!({"routeSpec": route}) } else { route })
    }
}

prop_compose! {
    fn virtual_router()(
        block in prop::sample::select(vec!["httpRoute", "http2Route", "grpcRoute", "tcpRoute"]),
        lists in lists("virtualNodeRef", 3),
    ) -> (RouteKind, Value) {
        let route = |(at, list): (usize, &Vec<Value>)| {
            json!({"name": format!("r{at}"), "priority": at, block: {"action": {"weightedTargets": list}}})
        };
        let routes: Vec<Value> = lists.iter().enumerate().map(route).collect();
        (RouteKind::VirtualRouter, json!({"routes": routes}))
    }
}

prop_compose! {
    fn gateway_api()(
        kind in prop::sample::select(vec![RouteKind::HttpRoute, RouteKind::GrpcRoute]), lists in lists("", 3),
        named in vec(any::<bool>(), 3),
    ) -> (RouteKind, Value) {
        let rule = |(at, list): (usize, &Vec<Value>)| {
            let mut rule = json!({"matches": [at], "backendRefs": list, "filters": [{"type": "x"}]});
            if named[at] {
                rule["name"] = json!(format!("r{at}"));
            }
            rule
        };
        let mut rules: Vec<Value> = lists.iter().enumerate().map(rule).collect();
        rules.push(json!({"filters": [{"type": "RequestRedirect"}]}));
        (kind, json!({"rules": rules}))
    }
}

prop_compose! {
    /// A route of any kind and shape that can be stepped.
    fn route()(
        (kind, spec) in prop_oneof![gateway_route(), virtual_router(), gateway_api()], more in extra(),
        annotations in proptest::option::of(extra()), stamped in any::<bool>(), status in extra(),
    ) -> (RouteKind, Value) {
        let mut spec = spec;
        spec.as_object_mut().unwrap().extend(more);
        let mut metadata = json!({"uid": "u", "resourceVersion": "7", "name": "color"});
        if let Some(mut annotations) = annotations {
            if stamped {
                annotations.insert(KEY.into(), json!(old_stamp()));
            }
            metadata["annotations"] = Value::Object(annotations);
        }
        (kind, json!({"metadata": metadata, "spec": spec, "status": status}))
    }
}

prop_compose! {
    /// A route and a write on it that the engine could have decided: of one list, or of several in one.
    fn case()((kind, object) in route())(
        picks in vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..=100_i64, 0..3), 3),
        add in any::<bool>(), port in proptest::option::of(1..99_i32), stamp in 0..3, strict in any::<bool>(),
        kind in Just(kind), object in Just(object),
    ) -> (Value, RouteWrite) {
        let fence = if strict { Fence::Unchanged } else { Fence::Stamp };
        let view = Arc::new(view(kind, &object).unwrap());
        let mut write = RouteWrite {
            route: RouteRef::new(kind, "color"), view: Arc::clone(&view), ..write(&super::object(), &[], fence)
        };
        for (at, list) in view.placed() {
            let (first, second, share, skip) = &picks[at];
            let (first, second) = (first.index(list.entries.len()), second.index(list.entries.len()));
            // A list that is left alone, but never all of them.
            if at > 0 && *skip == 0 {
                continue;
            }
            let place = |entry| Place { list: at, entry };
            if first == second {
                write.weights.push((place(first), 100));
            } else {
                write.weights.extend([(place(first), *share), (place(second), 100 - share)]);
            }
            if add {
                let like = list.entries[first].raw.clone();
                write.add.push(NewEntry { list: at, ..new_entry(like, "added", port, 0) });
            }
            let taken_out = |(index, e): (usize, &EntrySeen)| {
                (e.weight == 0 && index != first && index != second).then_some(place(index))
            };
            write.remove.extend(list.entries.iter().enumerate().find_map(taken_out));
        }
        write.stamp = match stamp {
            0 => StampChange::Keep("color".into()),
            1 => StampChange::Remove("color".into()),
            _ => StampChange::Set("color".into(), self::stamp(2)),
        };
        (object, write)
    }
}

fn list<'a>(object: &'a mut Value, write: &RouteWrite, at: usize) -> &'a mut Vec<Value> {
    object.pointer_mut(&write.view.lists[at].path).unwrap().as_array_mut().unwrap()
}

/// The object with everything that a write may change done by hand.
fn by_hand(object: &Value, write: &RouteWrite) -> Value {
    let mut want = object.clone();
    for &(place, weight) in &write.weights {
        list(&mut want, write, place.list)[place.entry]["weight"] = json!(weight);
    }
    for new in &write.add {
        let mut entry = Value::clone(&new.like.0);
        *entry.pointer_mut(write.view.name_field).unwrap() = json!(new.name);
        entry["weight"] = json!(new.weight);
        if let Some(port) = new.port {
            entry["port"] = json!(port);
        }
        list(&mut want, write, new.list).push(entry);
    }
    for place in &write.remove {
        list(&mut want, write, place.list).remove(place.entry);
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
        match pick {
            0 => list(&mut stale, &write, touched.list).rotate_left(1),
            1 => {
                let entry = &mut list(&mut stale, &write, touched.list)[touched.entry];
                *entry.pointer_mut(write.view.name_field).unwrap() = json!("renamed");
            }
            _ if write.view.stamps.is_empty() => stale["metadata"]["resourceVersion"] = json!("8"),
            _ => stale["metadata"]["annotations"][KEY] = json!("changed"),
        }
        prop_assert!(applied(&stale, &write).is_err());
    }

    #[test]
    fn an_unrelated_write_does_not_delay_a_lowering((object, write) in case()) {
        prop_assume!(!write.view.stamps.is_empty());
        let lower = RouteWrite { fence: Fence::Stamp, remove: vec![], purpose: Purpose::Lower, ..write };
        let mut meanwhile = object.clone();
        meanwhile["metadata"]["resourceVersion"] = json!("8");
        meanwhile["metadata"]["annotations"]["other.dev/a"] = json!("b");
        meanwhile["status"] = json!({"conditions": [{"type": "Programmed"}]});
        let want = by_hand(&meanwhile, &lower);
        prop_assert_eq!(applied(&meanwhile, &lower).unwrap(), want);
    }

    #[test]
    fn another_rule_in_its_place_refuses_the_patch((object, write) in case()) {
        let touched = write.weights[0].0.list;
        prop_assume!(write.view.lists[touched].rule_field.is_some());
        let mut moved = object.clone();
        *moved.pointer_mut(write.view.lists[touched].rule_field.as_ref().unwrap()).unwrap() = json!("another");
        prop_assert!(applied(&moved, &write).is_err());
    }
}
