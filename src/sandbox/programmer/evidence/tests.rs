#![expect(clippy::needless_pass_by_value, reason = "the cases are JSON literals")]

use super::*;
use crate::dataplane::ObjectRef;

const NOW: &str = "2026-11-01T10:00:00.7Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn later() -> Timestamp {
    now() + jiff::SignedDuration::from_mins(1)
}

fn gateway() -> GatewayRef {
    GatewayRef { name: "gw".into(), namespace: "n".into(), takes_unclaimed: false }
}

fn object(kind: &str, spec: Value) -> DynamicObject {
    serde_json::from_value(json!({
        "apiVersion": "x/v1", "kind": kind, "spec": spec,
        "metadata": {"name": "r", "namespace": "n", "resourceVersion": "5", "generation": 7},
    }))
    .unwrap()
}

fn left_out(kind: ObjectKind, reason: Reason) -> Rejected {
    let object = ObjectRef { kind, namespace: "n".into(), name: "r".into() };
    Rejected { object, part: Some("rule 1".into()), reason }
}

fn standing(served: bool, left_out: &[Rejected]) -> Standing<'_> {
    Standing { served, left_out: left_out.iter().collect(), gateways: 2 }
}

/// Reports, and puts what was written into the object; what each condition says, `None` where nothing was written.
fn written(kind: ObjectKind, object: &mut DynamicObject, standing: &Standing<'_>) -> Option<Vec<String>> {
    let patch = report(&gateway(), kind, object, standing, now())?;
    assert_eq!(patch["metadata"]["resourceVersion"], "5");
    let mut data = object.data["status"].clone();
    json_patch::merge(&mut data, &patch["status"]);
    object.data["status"] = data;
    // What was written is not written again.
    assert_eq!(report(&gateway(), kind, object, standing, later()), None);
    let status = &object.data["status"];
    let parents = status["parents"].as_array();
    let lists = parents.into_iter().flatten().chain([status]).flat_map(conditions);
    Some(
        lists
            .map(|c| {
                format!("{}={} {}: {}", c["type"], c["status"], c["reason"], c["message"]).replace('"', "")
            })
            .collect(),
    )
}

#[test]
fn what_is_not_served_is_false_with_its_reason() {
    let kind = ObjectKind::HttpRoute;
    let parents = json!({"parentRefs": [{"name": "gw"}]});
    let bad = [left_out(kind, Reason::Priority)];
    let stranger = [left_out(kind, Reason::BackendKind("Bucket".into()))];
    let elsewhere = [left_out(kind, Reason::BackendNamespace("o".into()))];
    let tcp = [left_out(ObjectKind::VirtualRouter, Reason::Tcp)];
    let cases = [
        (ObjectKind::GatewayRoute, false, &bad, "Programmed=False Invalid: rule 1: the priority"),
        (ObjectKind::VirtualRouter, false, &tcp, "VirtualRouterActive=False Invalid: rule 1: a tcpRoute"),
        (ObjectKind::VirtualRouter, true, &bad, "VirtualRouterActive=False Invalid: rule 1"),
        (kind, false, &bad, "Accepted=False UnsupportedValue: rule 1"),
        (ObjectKind::GrpcRoute, false, &bad, "Accepted=False UnsupportedValue: rule 1"),
        (kind, true, &bad, "PartiallyInvalid=True UnsupportedValue: Dropped Rule: rule 1"),
        (kind, true, &stranger, "ResolvedRefs=False InvalidKind: rule 1: a backendRef names a Bucket"),
        (kind, true, &elsewhere, "ResolvedRefs=False RefNotPermitted"),
    ];
    for (kind, served, left_out, want) in cases {
        let mut object = object("Any", parents.clone());
        let told = written(kind, &mut object, &standing(served, left_out)).unwrap();
        assert!(told.iter().any(|told| told.starts_with(want)), "{told:?} should say {want:?}");
        let partly = told.iter().any(|told| told.starts_with("PartiallyInvalid") && served);
        assert_eq!(in_effect(kind, &object), partly && want.starts_with("PartiallyInvalid"), "{want}");
    }
}

#[test]
fn what_is_served_is_said_once_in_each_kinds_way() {
    let parents = json!({"parentRefs": [{"name": "gw"}, {"name": "other"}]});
    let told = "2 of 2 gateways serve generation 7";
    let tcp = [left_out(ObjectKind::VirtualRouter, Reason::Tcp)];
    let both = vec![
        format!("Accepted=True Accepted: {told}"),
        "ResolvedRefs=True ResolvedRefs: all backends are Services".to_owned(),
    ];
    let cases = [
        (ObjectKind::GatewayRoute, &[][..], vec![format!("Programmed=True Programmed: {told}")]),
        (ObjectKind::VirtualRouter, &tcp[..], vec![format!("VirtualRouterActive=True Active: {told}")]),
        (ObjectKind::HttpRoute, &[][..], both.clone()),
        (ObjectKind::GrpcRoute, &[][..], both),
    ];
    for (kind, left_out, want) in cases {
        let mut object = object("Any", parents.clone());
        assert!(!in_effect(kind, &object));
        assert_eq!(written(kind, &mut object, &standing(true, left_out)), Some(want));
        assert!(in_effect(kind, &object));
        object.metadata.generation = Some(8);
        assert!(!in_effect(kind, &object), "an older generation is no evidence");
    }
    let mut service = object("VirtualService", json!({}));
    assert_eq!(written(ObjectKind::VirtualService, &mut service, &standing(true, &[])), None);
}

#[test]
fn a_router_has_its_generation_beside_the_condition_as_its_schema_wants() {
    let mut router = object("VirtualRouter", json!({}));
    written(ObjectKind::VirtualRouter, &mut router, &standing(true, &[]));
    let status = &router.data["status"];
    assert_eq!(status["observedGeneration"], 7);
    assert_eq!(status["conditions"][0].get("observedGeneration"), None);
}

#[test]
fn entries_of_other_parents_and_controllers_stay() {
    let entry = |controller: &str, parent: Value| json!({"controllerName": controller, "parentRef": parent, "conditions": [{"type": "Accepted", "status": "False"}]});
    let ours = json!({"name": "gw", "sectionName": "http"});
    let mut route = object("HTTPRoute", json!({"parentRefs": [ours, {"name": "other"}]}));
    let others = [
        entry("example.com/c", json!({"name": "gw", "sectionName": "http"})),
        entry(CONTROLLER, json!({"name": "other"})),
    ];
    // The parent was named without its section before.
    let stale = entry(CONTROLLER, json!({"name": "gw"}));
    route.data["status"] = json!({"parents": [others[0], stale, others[1]]});
    written(ObjectKind::HttpRoute, &mut route, &standing(true, &[])).unwrap();
    let parents = route.data["status"]["parents"].as_array().unwrap();
    assert_eq!(parents[..2], others);
    assert_eq!((parents.len(), &parents[2]["parentRef"]), (3, &ours));
    // A rule that was left out and is served again is told no more.
    let bad = [left_out(ObjectKind::HttpRoute, Reason::Priority)];
    let told = written(ObjectKind::HttpRoute, &mut route, &standing(true, &bad)).unwrap();
    assert!(told.iter().any(|told| told.starts_with("PartiallyInvalid")));
    let told = written(ObjectKind::HttpRoute, &mut route, &standing(true, &[])).unwrap();
    assert!(!told.iter().any(|told| told.starts_with("PartiallyInvalid")), "{told:?}");
}

#[test]
fn a_condition_keeps_its_time_and_its_neighbours() {
    let mut route = object("GatewayRoute", json!({}));
    route.data["status"] = json!({"conditions": [{"type": "Other", "status": "True"}]});
    let patch = programmed(&gateway(), ObjectKind::GatewayRoute, &route, now()).unwrap();
    assert_eq!(patch["status"]["conditions"][0]["type"], "Other");
    let first = patch["status"]["conditions"][1].clone();
    assert_eq!((&first["observedGeneration"], &first["type"]), (&json!(7), &json!(PROGRAMMED)));
    assert_eq!(first["lastTransitionTime"], "2026-11-01T10:00:00Z");
    route.data["status"] = patch["status"].clone();
    assert_eq!(programmed(&gateway(), ObjectKind::GatewayRoute, &route, later()), None);
    route.metadata.generation = Some(8);
    let next = programmed(&gateway(), ObjectKind::GatewayRoute, &route, later()).unwrap();
    assert_eq!(next["status"]["conditions"][1]["lastTransitionTime"], first["lastTransitionTime"]);
    let refused = [left_out(ObjectKind::GatewayRoute, Reason::Priority)];
    let flipped = report(&gateway(), ObjectKind::GatewayRoute, &route, &standing(false, &refused), later());
    let flipped = &flipped.unwrap()["status"]["conditions"][1];
    assert_ne!(flipped["lastTransitionTime"], first["lastTransitionTime"]);
}
