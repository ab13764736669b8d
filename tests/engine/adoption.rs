//! First sight of a Rollout: what is stable, and what is refused.

use tidegate::{
    api::{Phase, RequestOutcome, Stamp},
    engine::observed::{Other, RouteState},
};

use crate::{
    rules::abort,
    world::{SPEC, World, entry, route, spec},
};

fn refused(change: impl FnOnce(&mut World)) -> (String, String) {
    let mut world = World::new(SPEC);
    change(&mut world);
    world.settle();
    assert_eq!(world.phase(), Phase::Invalid, "{}", world.message());
    assert!(world.writes.is_empty(), "nothing is written");
    let (status, reason) = world.condition("Stalled").unwrap();
    assert_eq!(status, "True");
    (reason.to_owned(), world.message().to_owned())
}

/// Another Rollout, which exists, has stamped the route.
fn step_by_another(world: &mut World) {
    world.others.insert("other".into(), Other { uid: "other-uid".into(), routes: vec![] });
    let stamp = Stamp { uid: "other-uid".into(), epoch: 1, run: 1, step: 1, aborted: false, added: vec![] };
    world.edit("color", |view| drop(view.stamps.insert("other".into(), stamp.clone().into())));
}

#[test]
fn refusals_name_the_reason_and_the_remedy() {
    type Change = Box<dyn FnOnce(&mut World)>;
    let cases: Vec<(&str, &str, Change)> = vec![
        ("RouteNotFound", "does not exist", Box::new(|w| drop(w.routes.remove("color")))),
        (
            "NoWeights",
            "paste",
            Box::new(|w| {
                let state = RouteState::Unusable { reason: "NoWeights", message: "paste this list".into() };
                w.routes.insert("color".into(), state);
            }),
        ),
        ("Ambiguous", "spec.stable", Box::new(|w| w.somebody_sets("color", "kubectl", &[90, 10]))),
        ("Ambiguous", "no target any weight", Box::new(|w| w.somebody_sets("color", "kubectl", &[0, 0]))),
        (
            "Ambiguous",
            "which is neither stable nor target",
            Box::new(|w| {
                w.routes
                    .insert("color".into(), route(vec![entry("v1", 80), entry("v2", 10), entry("v3", 10)]));
                w.spec.stable = Some(spec(&SPEC.replace("v2", "v1")).target);
            }),
        ),
        (
            "Ambiguous",
            "does not list spec.stable",
            Box::new(|w| {
                w.routes.insert("color".into(), route(vec![entry("v3", 80), entry("v2", 20)]));
                w.spec.stable = Some(spec(&SPEC.replace("v2", "v1")).target);
            }),
        ),
        ("UnknownProvider", "does not have", Box::new(|w| w.unknown_providers = vec!["nowhere".into()])),
        (
            "InvalidQuery",
            "asked for: it has {{foo}}",
            Box::new(|w| w.unaskable = Some("it has {{foo}}".into())),
        ),
        ("RouteOwned", "stepped by the Rollout other", Box::new(step_by_another)),
    ];
    for (reason, part, change) in cases {
        let (got, message) = refused(change);
        assert_eq!(got, reason, "{message}");
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn of_two_that_saw_a_route_free_the_one_that_claims_second_writes_nothing() {
    let second = || {
        let mut world = World::new(SPEC);
        world.crash_after = Some(1);
        world.settle();
        assert!(world.stored.run.is_some(), "the intent is stored, and the route is not claimed yet");
        step_by_another(&mut world);
        world.restart();
        world.settle();
        assert_eq!((world.phase(), world.condition("Ready")), (Phase::Paused, Some(("False", "RouteOwned"))));
        world
    };
    let mut waits = second();
    crate::requests::ask(&mut waits, "pause");
    let answer = waits.working.last_request.clone().unwrap();
    assert_eq!(answer.outcome, RequestOutcome::Refused);
    assert!(answer.message.contains("the Rollout other"), "{}", answer.message);
    assert!(waits.writes.is_empty());
    waits.others.clear();
    waits.run_until("10, as soon as the other is gone", |world| world.share("v2") == 10);

    let mut aborted = second();
    aborted.somebody_sets("color", "tidegate", &[80, 20]);
    abort(&mut aborted);
    assert!(aborted.writes.is_empty(), "what the other gives its canary is the other's");
    assert_eq!(aborted.share("v2"), 20);

    let mut deleted = second();
    deleted.somebody_sets("color", "tidegate", &[80, 20]);
    (deleted.subject.deleting, deleted.subject.finalizer) = (true, true);
    deleted.settle();
    assert!(!deleted.subject.finalizer, "it is let go");
    assert!(deleted.writes.is_empty());
}

#[test]
fn what_was_let_go_and_another_has_claimed_since_is_not_let_go_again() {
    let mut world = World::new(SPEC);
    world.run_until("10", |world| world.share("v2") == 10);
    step_by_another(&mut world);
    world.others.get_mut("other").unwrap().routes = world.spec.routes.clone();
    world.edit("color", |view| drop(view.stamps.remove("color")));
    world.somebody_sets("color", "tidegate", &[80, 20]);
    let writes = world.writes.len();
    (world.subject.deleting, world.subject.finalizer) = (true, true);
    world.settle();
    assert!(!world.subject.finalizer);
    assert_eq!((world.writes.len(), world.share("v2")), (writes, 20));
}

#[test]
fn a_stamp_of_a_rollout_that_is_gone_binds_nobody() {
    let mut world = World::new(SPEC);
    let stamp = Stamp { uid: "gone".into(), epoch: 9, run: 9, step: 1, aborted: false, added: vec![] };
    world.edit("color", |view| drop(view.stamps.insert("other".into(), stamp.clone().into())));
    world.run_until("10", |world| world.share("v2") == 10);
}

#[test]
fn what_already_has_all_the_weight_is_healthy_without_a_write() {
    let mut world = World::new(&SPEC.replace("v2", "v1"));
    world.settle();
    assert_eq!(world.phase(), Phase::Healthy);
    assert!(world.writes.is_empty());
}

#[test]
fn a_share_found_is_where_the_plan_begins() {
    let mut world = World::new(SPEC);
    world.somebody_sets("color", "kubectl", &[70, 30]);
    world.spec.stable = Some(spec(&SPEC.replace("v2", "v1")).target);
    world.settle();
    let plan: Vec<_> = world.working.run.as_ref().unwrap().plan.iter().map(|s| s.weight.percent()).collect();
    assert_eq!(plan, [30, 50, 100]);
    assert!(world.writes.iter().all(|(_, _, share)| *share == 30), "never anything else: {:?}", world.writes);
    assert_eq!(world.share("v2"), 30);
    world.run_until("healthy", |world| {
        assert!(world.share("v2") >= 30, "never below what was found");
        world.phase() == Phase::Healthy
    });
}
