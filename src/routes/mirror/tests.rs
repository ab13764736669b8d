use std::sync::Arc;

use super::*;
use crate::{
    api::{RouteRef, Stamp, Target},
    engine::{
        decision::{Fence, MirrorChange, Purpose, RouteWrite, StampChange},
        observed::RouteView,
    },
    routes::{Packed, patch::patch, view},
};

const GATEWAY_LIST: &str = "/spec/routeSpec/httpRoute/requestMirrorPolicies";
const RULE_LIST: &str = "/spec/rules/1/filters";

/// A GatewayRoute in the dialect, and an HTTPRoute whose second rule lists the versions; each with what stands where its
/// mirrors do.
fn object(kind: RouteKind, there: Option<Value>) -> Value {
    let mut object = match kind {
        RouteKind::HttpRoute => json!({"spec": {"rules": [
            {"backendRefs": [{"name": "other", "port": 80}]},
            {"backendRefs": [{"name": "v1", "port": 80, "weight": 100, "filters": []}]},
        ]}}),
        _ => json!({"spec": {"routeSpec": {"httpRoute": {"match": {"prefix": "/"}, "action": {"targets": [
            {"virtualServiceRef": {"name": "v1", "namespace": "n"}, "weight": 100, "port": 80},
        ]}}}}}),
    };
    object["metadata"] = json!({"namespace": "n", "uid": "u", "resourceVersion": "7", "annotations": {}});
    if let Some(there) = there {
        let (rule, field) = path(kind).rsplit_once('/').unwrap();
        object.pointer_mut(rule).unwrap()[field] = there;
    }
    object
}

fn path(kind: RouteKind) -> &'static str {
    if kind == RouteKind::HttpRoute { RULE_LIST } else { GATEWAY_LIST }
}

fn mirror(kind: RouteKind, name: &str, percent: i64) -> Value {
    if kind == RouteKind::HttpRoute {
        let reference = json!({"name": name, "port": 80});
        json!({"type": "RequestMirror", "requestMirror": {"backendRef": reference, "percent": percent}})
    } else {
        json!({"virtualServiceRef": {"name": name, "namespace": "n"}, "port": 80, "percent": percent})
    }
}

/// What else may stand there.
fn another(kind: RouteKind) -> Value {
    if kind == RouteKind::HttpRoute {
        json!({"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["x"]}})
    } else {
        mirror(kind, "audit", 100)
    }
}

fn v2() -> Target {
    Target { name: "v2".into(), ..Target::default() }
}

/// The list of the versions.
fn list(view: &RouteView) -> usize {
    view.lists.len() - 1
}

fn write(kind: RouteKind, object: &Value, percent: i64, fence: Fence) -> RouteWrite {
    let view = Arc::new(view(kind, object).unwrap());
    let at = list(&view);
    let like = view.lists[at].entries[0].raw.clone();
    let stamp = Stamp { uid: "u".into(), epoch: 1, run: 1, step: 1, aborted: false, added: vec![] };
    RouteWrite {
        route: RouteRef::new(kind, "color"),
        purpose: Purpose::Raise,
        view,
        weights: vec![],
        add: vec![],
        remove: vec![],
        mirrors: vec![MirrorChange { list: at, like, name: "v2".into(), port: None, percent }],
        stamp: StampChange::Set("color".into(), stamp),
        fence,
    }
}

fn applied(object: &Value, write: &RouteWrite) -> Result<Value, json_patch::PatchError> {
    let mut object = object.clone();
    json_patch::patch(&mut object, &patch(write).unwrap()).map(|()| object)
}

#[test]
fn a_mirror_comes_changes_and_goes_and_leaves_what_else_stands_there() {
    for kind in [RouteKind::GatewayRoute, RouteKind::HttpRoute] {
        let [ours, more, other] = [mirror(kind, "v2", 10), mirror(kind, "v2", 50), another(kind)];
        let cases = [
            (None, 10, Some(json!([ours]))),
            (Some(json!([])), 10, Some(json!([ours]))),
            (Some(json!([other])), 10, Some(json!([other, ours]))),
            (Some(json!([other, ours])), 50, Some(json!([other, more]))),
            (Some(json!([ours, other, more])), 50, Some(json!([more, other]))),
            (Some(json!([ours, other, more])), 0, Some(json!([other]))),
            (Some(json!([ours])), 0, None),
            (Some(json!([ours, more])), 0, None),
            (None, 0, None),
        ];
        for (before, percent, want) in cases {
            let before = object(kind, before);
            for fence in [Fence::Unchanged, Fence::Stamp] {
                let after = applied(&before, &write(kind, &before, percent, fence)).unwrap();
                assert_eq!(after.pointer(path(kind)), want.as_ref(), "{kind:?} {before} {percent}");
                let seen = view(kind, &after).unwrap();
                assert!(seen.lists[list(&seen)].copies(&v2(), percent), "{kind:?} {before}");
                assert_eq!(Packed::from(seen.clone()).unpacked(kind, "n").unwrap(), seen, "{kind:?}");
            }
        }
    }
}

#[test]
fn a_mirror_that_another_has_changed_meanwhile_is_not_touched() {
    for kind in [RouteKind::GatewayRoute, RouteKind::HttpRoute] {
        let ours = mirror(kind, "v2", 10);
        let before = object(kind, Some(json!([ours])));
        let write = write(kind, &before, 0, Fence::Stamp);
        let theirs = another(kind);
        let changed =
            [json!([theirs, ours]), json!([mirror(kind, "v2", 11)]), json!([]), json!([ours, theirs])];
        for meanwhile in changed {
            assert!(applied(&object(kind, Some(meanwhile.clone())), &write).is_err(), "{kind:?} {meanwhile}");
        }
    }
}

#[test]
fn a_rule_is_the_same_whatever_it_mirrors() {
    let rule = |there: Option<Value>| {
        let seen = view(RouteKind::HttpRoute, &object(RouteKind::HttpRoute, there)).unwrap();
        seen.lists[1].rule.clone()
    };
    let plain = rule(None);
    assert_eq!(rule(Some(json!([mirror(RouteKind::HttpRoute, "v2", 10)]))), plain);
    let modified = rule(Some(json!([another(RouteKind::HttpRoute)])));
    assert_ne!(modified, plain);
    let both = json!([mirror(RouteKind::HttpRoute, "v2", 10), another(RouteKind::HttpRoute)]);
    assert_eq!(rule(Some(both)), modified);
}

#[test]
fn shares_are_read_as_the_api_means_them() {
    let percent = |mirror: Value| {
        let filter = json!([{"type": "RequestMirror", "requestMirror": mirror}]);
        let seen = view(RouteKind::HttpRoute, &object(RouteKind::HttpRoute, Some(filter))).unwrap();
        seen.lists[1].mirrored(&v2())
    };
    let to = json!({"name": "v2", "port": 80});
    let is = |mirror: Value, want: f64| {
        let found = percent(mirror.clone());
        assert!((found - want).abs() < 1e-9, "{mirror}: {found}");
    };
    is(json!({"backendRef": to}), 100.0);
    is(json!({"backendRef": to, "percent": 5}), 5.0);
    is(json!({"backendRef": to, "fraction": {"numerator": 1, "denominator": 4}}), 25.0);
    is(json!({"backendRef": to, "fraction": {"numerator": 7}}), 7.0);
    is(json!({"backendRef": to, "fraction": {"numerator": 105, "denominator": 1000}}), 10.5);
    is(json!({"backendRef": {"name": "v2", "namespace": "other"}}), 0.0);
}

/// One that says percent cannot say a fraction as well, and an API server that knows no share takes that of all.
#[test]
fn what_somebody_made_of_a_mirror_is_replaced_whole() {
    let kind = RouteKind::HttpRoute;
    let theirs = json!([{"type": "RequestMirror", "requestMirror": {
        "backendRef": {"name": "v2", "port": 80}, "fraction": {"numerator": 1},
    }}]);
    let before = object(kind, Some(theirs));
    let after = applied(&before, &write(kind, &before, 10, Fence::Unchanged)).unwrap();
    assert_eq!(after.pointer(path(kind)), Some(&json!([mirror(kind, "v2", 10)])));
    let all = applied(&before, &write(kind, &before, 100, Fence::Unchanged)).unwrap();
    let want =
        json!([{"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "v2", "port": 80}}}]);
    assert_eq!(all.pointer(path(kind)), Some(&want));
}

#[test]
fn a_router_and_a_single_target_have_none() {
    let router = json!({"metadata": {"namespace": "n"}, "spec": {"routes": [
        {"name": "r", "httpRoute": {"action": {"weightedTargets": [{"virtualNodeRef": {"name": "v1"}, "weight": 1}]}}},
    ]}});
    let lone = json!({"metadata": {"namespace": "n"}, "spec": {"httpRoute": {"action": {"target": {
        "virtualService": {"virtualServiceRef": {"name": "v1"}},
    }}}}});
    for (kind, object) in [(RouteKind::VirtualRouter, router), (RouteKind::GatewayRoute, lone)] {
        assert!(view(kind, &object).unwrap().lists[0].mirrors.is_none(), "{kind:?}");
    }
}
