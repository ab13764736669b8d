//! Routes that call a version otherwise than the Rollout does: by which names entries go, and that a changed name moves no
//! traffic by itself.

use tidegate::api::Phase;

use crate::{
    requests::ask,
    rules::{abort, refused, rule, weights, world},
    world::{SPEC, World, entry, route},
};

#[test]
fn a_route_may_call_the_versions_otherwise() {
    let plain = "{group: appmesh.k8s.aws, kind: GatewayRoute, name: color}";
    let service =
        "{group: gateway.networking.k8s.io, kind: HTTPRoute, name: web, target: svc-2, stable: svc-1}";
    let yaml = SPEC.replace(plain, &format!("{plain}, {service}")).replace(
        "strategy:",
        "stable: {name: v1, workloadRef: {apiVersion: apps/v1, kind: Deployment, name: v1}}\nstrategy:",
    );
    let mut world = World::new(&yaml);
    world.routes.insert("web".into(), route(vec![entry("svc-1", 1)]));
    let web = |world: &World| -> Vec<(String, i64)> {
        world.view("web").lists[0].entries.iter().map(|entry| (entry.name.clone(), entry.weight)).collect()
    };
    world.run_until("healthy on v2", |world| world.phase() == Phase::Healthy);
    assert_eq!(world.share("v2"), 100);
    assert_eq!(web(&world), [("svc-1".to_owned(), 0), ("svc-2".to_owned(), 100)]);
    assert_eq!(world.working.stable.as_ref().unwrap().called[0].name, "svc-2");

    // The next one fails; what was stable is found by the name that status has kept.
    world.spec.target.name = "v3".into();
    world.spec.target.workload_ref = None;
    world.spec.routes[1].target = Some("svc-3".into());
    world.subject.generation += 1;
    world.traffic.failing.insert("v3".into(), 0.2);
    world.run_until("failed", |world| world.phase() == Phase::Failed);
    assert_eq!(world.share("v2"), 100, "{}", world.message());
    let given: Vec<_> = web(&world).into_iter().filter(|(_, weight)| *weight > 0).collect();
    assert_eq!(given, [("svc-2".to_owned(), 100)]);
}

#[test]
fn routes_that_call_stable_otherwise_must_be_told_how() {
    let plain = "{group: appmesh.k8s.aws, kind: GatewayRoute, name: color}";
    let mut world = World::new(&SPEC.replace(
        plain,
        &format!("{plain}, {{group: gateway.networking.k8s.io, kind: HTTPRoute, name: web}}"),
    ));
    world.routes.insert("web".into(), route(vec![entry("svc-1", 1)]));
    let (reason, message) = refused(&mut world);
    assert_eq!(reason, "Ambiguous");
    assert!(message.contains("routes[].target and routes[].stable say how"), "{message}");
}

const MIXED: &str = ", target: svc-2, stable: svc-1";

/// A Rollout at rest on v1, over an HTTPRoute with these entries.
fn resting(reference: &str, entries: &[(&str, i64)]) -> World {
    let mut world = world(reference, vec![rule("a", entries)]);
    world.spec.target.name = "v1".into();
    world.spec.target.workload_ref = None;
    world.settle();
    assert_eq!(world.phase(), Phase::Healthy, "{}", world.message());
    world
}

/// The same over one that calls v1 and v2 otherwise.
fn resting_on_another_name() -> World {
    resting(", target: svc-1", &[("svc-1", 100), ("svc-2", 0)])
}

#[test]
fn another_name_for_what_is_live_moves_no_traffic() {
    let mut world = resting_on_another_name();
    world.spec.routes[0].target = Some("svc-2".into());
    world.settle();
    assert_eq!(world.phase(), Phase::Invalid);
    assert_eq!(world.condition("Stalled"), Some(("True", "NameChanged")));
    assert!(world.message().contains("v1, which is live, is called svc-1 there"), "{}", world.message());
    // With the target's name it is a release like any other.
    world.spec.target.name = "v2".into();
    world.run_until("v2 at its first step", |world| weights(world) == [[90, 10]]);
}

#[test]
fn a_name_without_one_before_is_no_release_either() {
    let mut world = resting("", &[("v1", 100), ("svc-2", 0)]);
    world.spec.routes[0].target = Some("svc-2".into());
    world.settle();
    assert_eq!(world.condition("Stalled"), Some(("True", "NameChanged")), "{}", world.message());
    assert!(world.writes.is_empty());
}

#[test]
fn what_is_live_by_a_name_of_the_routes_own_must_be_named() {
    let mut world = world(", target: svc-2", vec![rule("a", &[("svc-1", 100), ("svc-2", 0)])]);
    let (reason, message) = refused(&mut world);
    assert_eq!(reason, "Ambiguous");
    assert!(message.contains("give spec.stable, and svc-1 as routes[].stable"), "{message}");
    // By that word it runs, and comes back by the same names.
    world.spec.stable = Some(world.spec.target.clone());
    world.spec.stable.as_mut().unwrap().name = "v1".into();
    world.spec.routes[0].stable = Some("svc-1".into());
    world.run_until("10", |world| weights(world) == [[90, 10]]);
    world.spec.target.name = "v1".into();
    world.spec.routes[0].target = Some("svc-1".into());
    world.subject.generation += 1;
    world.run_until("healthy", |world| world.phase() == Phase::Healthy);
    assert_eq!((weights(&world), world.message()), (vec![vec![100, 0]], "v1 is live"));
}

#[test]
fn a_new_name_for_what_is_live_is_refused_with_both_ways_out() {
    let mut world = resting("", &[("v1", 100), ("v2", 0)]);
    world.spec.target.name = "first".into();
    world.spec.routes[0].target = Some("v1".into());
    world.settle();
    assert_eq!(world.condition("Stalled"), Some(("True", "SameName")), "{}", world.message());
    assert!(world.message().contains("to stay with what is live, be what it was, with spec.target.name: v1"));
    assert!(world.writes.is_empty());
}

#[test]
fn a_release_that_forgets_a_routes_name_is_refused() {
    let mut world = resting_on_another_name();
    world.spec.target.name = "v2".into();
    let (reason, message) = refused(&mut world);
    assert_eq!(reason, "SameName");
    assert!(message.contains("is svc-1, which is what v1, which is live, is called there"), "{message}");
}

#[test]
fn a_name_that_was_another_versions_once_is_the_targets_now() {
    let mut world = world(MIXED, vec![rule("a", &[("svc-1", 100), ("svc-2", 0)])]);
    world.spec.stable = Some(world.spec.target.clone());
    world.spec.stable.as_mut().unwrap().name = "v1".into();
    world.spec.analysis = None;
    world.run_until("healthy on v2", |world| world.phase() == Phase::Healthy);
    // The names go round: v3 is where v1 was.
    world.spec.target.name = "v3".into();
    world.spec.routes[0].target = Some("svc-1".into());
    world.run_until("v3 at its first step", |world| weights(world) == [[10, 90]]);
    assert_eq!(world.view("color").lists[0].entries.len(), 2, "nothing is listed twice");
}

#[test]
fn a_wrong_name_that_is_put_right_is_the_right_one_in_the_next_run() {
    let mut world = world(", target: typo, stable: svc-1", vec![rule("a", &[("svc-1", 100), ("svc-2", 0)])]);
    world.spec.stable = Some(world.spec.target.clone());
    world.spec.stable.as_mut().unwrap().name = "v1".into();
    world.run_until("10", |world| weights(world)[0].contains(&10));
    abort(&mut world);
    world.run_until("taken out", |world| world.view("color").lists[0].entries.len() == 2);
    world.spec.routes[0].target = Some("svc-2".into());
    ask(&mut world, "retry");
    world.run_until("svc-2 has a share", |world| weights(world)[0].get(1).is_some_and(|weight| *weight > 0));
    let names: Vec<_> = world.view("color").lists[0].entries.iter().map(|entry| entry.name.clone()).collect();
    assert_eq!(names, ["svc-1", "svc-2"]);
}
