//! All traffic at once: tried before, judged after, and back in one write. Previews and steps with a match.

use std::{sync::Arc, time::Duration};

use tidegate::{
    api::{EndReason, PauseReason, Phase, RouteKind},
    engine::{
        decision::{Effect, Purpose},
        observed::{InEffect, RouteState},
    },
};

use crate::{
    requests::ask,
    world::{SPEC, World, entry, route},
};

/// With a preview that a level judges.
pub const BLUE_GREEN: &str = r#"
routes: [{group: appmesh.k8s.aws, kind: GatewayRoute, name: color}]
target: {name: v2, workloadRef: {apiVersion: apps/v1, kind: Deployment, name: v2}}
strategy:
  blueGreen:
    preview: {headers: [{name: x-preview, exact: "true"}]}
    before: {hold: 2m}
    after: {hold: 2m}
analysis:
  provider: default
  interval: 10s
  settle: 10s
  series: {preset: tidegate-gateway}
  errorRate: {max: "5%"}
"#;

const PREVIEW: &str = "color-preview-color";

fn previewed(strategy: &str) -> World {
    let mut world = World::new(strategy);
    world.previewing.per_second = 5.0;
    world
}

fn ended(world: &World) -> Option<EndReason> {
    Some(world.working.run.as_ref()?.ended.as_ref()?.reason)
}

fn pause(world: &World) -> Option<PauseReason> {
    Some(world.working.run.as_ref()?.pause.as_ref()?.reason)
}

fn step(world: &World) -> i32 {
    world.working.step.as_ref().map_or(0, |step| step.index)
}

#[test]
fn a_good_target_is_tried_and_then_gets_everything_at_once() {
    let mut world = previewed(BLUE_GREEN);
    let mut shares = vec![];
    world.run_until("previewed", |world| world.previews.contains_key(PREVIEW));
    assert_eq!(world.share("v2"), 0);
    world.run_until("healthy", |world| {
        shares.push(world.share("v2"));
        world.phase() == Phase::Healthy
    });
    shares.dedup();
    assert_eq!(shares, [0, 100]);
    assert_eq!(world.working.stable.as_ref().unwrap().name, "v2");
    assert!(world.previews.is_empty(), "the preview goes with the run");
    let told: Vec<&str> =
        world.notes.iter().filter(|note| note.reason == "Step").map(|note| note.message.as_str()).collect();
    assert!(
        told[0].contains("before the switch, only requests with x-preview: true go to the canary"),
        "{told:?}"
    );
    assert!(told[1].contains("the switch, 100% to the canary"), "{told:?}");
    let before = (world.status_writes, world.writes.len());
    world.run_for(Duration::from_mins(10));
    assert_eq!((world.status_writes, world.writes.len()), before, "then nothing is written any more");
}

#[test]
fn how_long_a_preview_takes_is_not_foretold_by_the_routes_traffic() {
    let mut world = previewed(&format!("{BLUE_GREEN}  proveFrom: 0\n"));
    world.run_until("healthy", |world| world.phase() == Phase::Healthy);
    let foretold: Vec<&str> = world
        .notes
        .iter()
        .filter(|note| note.reason == "Preflight")
        .map(|note| note.message.as_str())
        .collect();
    assert_eq!(foretold, Vec::<&str>::new());
}

#[test]
fn one_that_fails_on_the_preview_never_gets_traffic() {
    let mut world = previewed(BLUE_GREEN);
    world.traffic.failing.insert("v2".into(), 0.3);
    world.run_until("failed", |world| world.phase() == Phase::Failed);
    assert!(world.message().starts_with("Rolled back at 0%"), "{}", world.message());
    assert!(world.previews.is_empty());
    assert!(world.writes.iter().all(|(_, _, share)| *share == 0), "{:?}", world.writes);
    world.run_for(Duration::from_mins(5));
    assert!(world.previews.is_empty(), "and it stays gone");
}

#[test]
fn one_that_fails_after_the_switch_gives_everything_back_at_once() {
    let mut world = previewed(BLUE_GREEN);
    world.run_until("switched", |world| world.share("v2") == 100);
    world.traffic.failing.insert("v2".into(), 0.1);
    world.run_until("back", |world| world.share("v1") == 100);
    world.run_until("failed", |world| world.phase() == Phase::Failed);
    assert!(world.message().starts_with("Rolled back at 100%"), "{}", world.message());
    assert!(world.previews.is_empty());
    let lowerings = world.writes.iter().filter(|(purpose, _, _)| *purpose == Purpose::Lower).count();
    assert_eq!(lowerings, 1, "{:?}", world.writes);
}

#[test]
fn after_the_switch_it_is_held_against_what_stable_had_before() {
    // Too little for the level, far above what stable had.
    let mut world = previewed(BLUE_GREEN);
    world.run_until("switched", |world| world.share("v2") == 100);
    world.traffic.failing.insert("v2".into(), 0.03);
    world.run_until("failed", |world| world.phase() == Phase::Failed);
    assert!(world.message().contains("hour before"), "{}", world.message());
}

#[test]
fn a_preview_that_nobody_asks_proves_nothing() {
    let mut world = World::new(BLUE_GREEN);
    world.run_until("paused", |world| pause(world) == Some(PauseReason::Inconclusive));
    assert_eq!(world.share("v2"), 0);
    world.run_for(Duration::from_mins(30));
    assert_eq!(world.share("v2"), 0);
    world.previewing.per_second = 5.0;
    world.run_until("healthy", |world| world.phase() == Phase::Healthy);
}

#[test]
fn a_person_s_word_before_the_switch_is_enough_and_needed() {
    let spec = BLUE_GREEN
        .replace("    preview: {headers: [{name: x-preview, exact: \"true\"}]}\n", "")
        .replace("before: {hold: 2m}", "before: {hold: 2m, approval: Required}")
        .replace(r#"{max: "5%"}"#, "{}");
    let mut world = World::new(&spec);
    world.run_until("asked", |world| pause(world) == Some(PauseReason::Approval));
    assert!(world.message().contains("the stage before the switch is through"), "{}", world.message());
    world.run_for(Duration::from_hours(1));
    assert_eq!((world.share("v2"), step(&world)), (0, 1));
    ask(&mut world, "promote");
    world.run_until("healthy", |world| world.phase() == Phase::Healthy);
    assert!(world.previews.is_empty());
}

#[test]
fn without_a_stage_before_it_is_switched_at_once_and_a_return_is_too() {
    let spec = SPEC
        .replace(
            "strategy: {canary: {hold: 1m, steps: [{weight: 10}, {weight: 50}]}}",
            "strategy: {blueGreen: {after: {hold: 1m}}}\nrollbackWindow: {within: 24h}",
        )
        .replace("errorRate: {}", r#"errorRate: {max: "5%"}"#);
    let mut world = World::new(&spec);
    world.run_until("healthy", |world| world.phase() == Phase::Healthy);
    assert!(world.message().contains("v2 is live"), "{}", world.message());
    world.spec.target = crate::world::spec(&spec.replace("v2", "v1")).target;
    world.settle();
    world.settle();
    let run = world.working.run.clone().unwrap();
    assert!(run.instant_return);
    assert_eq!(world.share("v1"), 100, "at once");
    world.run_until("healthy", |world| world.phase() == Phase::Healthy);
    assert_eq!(world.working.stable.as_ref().unwrap().name, "v1");
}

/// What happens to a world.
type Change = fn(&mut World);

#[test]
fn what_a_preview_needs_and_lacks_is_said_before_anything_is_written() {
    let not_ours = || route(vec![entry("v2", 100)]);
    let cases: [(&str, Change, &str); 4] = [
        ("PreviewsOff", |world| world.previewing.allowed = false, "previews: true"),
        (
            "PreviewHeaderUsed",
            |world| world.edit("color", |view| view.lists[0].headers = vec!["x-preview".into()]),
            "header x-preview itself",
        ),
        (
            "NoPreview",
            |world| world.edit("color", |view| view.no_preview = Some("its priority is 0")),
            "its priority is 0",
        ),
        ("PreviewNameTaken", |_| {}, "not of this Rollout"),
    ];
    for (reason, change, part) in cases {
        let mut world = World::new(BLUE_GREEN);
        change(&mut world);
        if reason == "PreviewNameTaken" {
            world.previews.insert(PREVIEW.into(), not_ours());
        }
        world.settle();
        assert_eq!((world.phase(), world.condition("Ready").unwrap().1), (Phase::Invalid, reason));
        assert!(world.message().contains(part), "{}", world.message());
        assert!(world.writes.is_empty(), "{reason}");
        world.previewing.allowed = true;
        world.edit("color", |view| {
            view.lists[0].headers.clear();
            view.no_preview = None;
        });
        world.previews.clear();
        world.previewing.per_second = 5.0;
        world.run_until("healthy", |world| world.phase() == Phase::Healthy);
    }
}

#[test]
fn a_preview_that_somebody_takes_away_or_turns_comes_back_and_one_of_theirs_is_left() {
    let mut world =
        previewed(&BLUE_GREEN.replace("before: {hold: 2m}", "before: {hold: 2m, approval: Required}"));
    world.run_until("previewed", |world| world.previews.contains_key(PREVIEW));
    world.previews.clear();
    world.run_until("there again", |world| world.previews.contains_key(PREVIEW));
    let Some(RouteState::Present(view)) = world.previews.get(PREVIEW).cloned() else { panic!() };
    let mut turned = (*view).clone();
    turned.lists[0].entries = vec![entry("v1", 100)];
    turned.resource_version = "turned".into();
    world.previews.insert(PREVIEW.into(), RouteState::Present(Arc::new(turned)));
    world.settle();
    let Some(RouteState::Present(view)) = world.previews.get(PREVIEW) else { panic!() };
    assert_eq!(view.lists[0].entries[0].name, "v2");
    world.previews.insert(PREVIEW.into(), route(vec![entry("v9", 100)]));
    world.settle();
    assert_eq!(world.condition("RoutesInSync").unwrap().1, "PreviewNameTaken");
    world.run_for(Duration::from_mins(20));
    assert_eq!(world.share("v2"), 0, "nothing goes on without it");
    let Some(RouteState::Present(view)) = world.previews.get(PREVIEW) else { panic!() };
    assert_eq!(view.lists[0].entries[0].name, "v9", "what is not ours is left");
}

#[test]
fn one_that_comes_late_goes_again() {
    let mut world = previewed(BLUE_GREEN);
    world.run_until("previewed", |world| world.previews.contains_key(PREVIEW));
    let late = world.previews[PREVIEW].clone();
    let run = world.working.run.as_ref().unwrap().number;
    world.subject.abort = Some(format!(r#"{{"run":{run},"by":"ann","at":"{}"}}"#, world.now));
    world.run_until("failed", |world| world.phase() == Phase::Failed);
    assert!(world.previews.is_empty());
    world.previews.insert(PREVIEW.into(), late.clone());
    world.settle();
    assert!(world.previews.is_empty(), "a call of a process that was paused may land now");
    // The next run has no preview, and does not begin beside the last one's.
    world.previews.insert(PREVIEW.into(), late);
    world.spec = crate::world::spec(&SPEC.replace("v2", "v3"));
    let decision = world.decide();
    assert!(decision.after.run.as_ref().is_some_and(|now| now.number == run), "{:?}", decision.after.message);
    world.run_until("v3 has some", |world| world.share("v3") == 10);
    assert!(world.previews.is_empty());
}

#[test]
fn deletion_and_leaving_take_it_along() {
    let mut world = previewed(BLUE_GREEN);
    world.run_until("previewed", |world| world.previews.contains_key(PREVIEW));
    world.subject.deleting = true;
    let decision = world.decide();
    let goes = |effect: &Effect| matches!(effect, Effect::Preview(_));
    assert!(decision.lowers() && decision.effects.iter().any(goes), "both at once: {:?}", decision.effects);
    world.settle();
    assert!(world.previews.is_empty() && !world.subject.finalizer);
    assert!(world.view("color").stamps.is_empty());

    let two = BLUE_GREEN
        .replace("name: color}]", "name: color}, {group: appmesh.k8s.aws, kind: GatewayRoute, name: other}]");
    let mut world = World::new(&two);
    world.routes.insert("other".into(), route(vec![entry("v1", 100), entry("v2", 0)]));
    world.run_until("previewed", |world| world.previews.len() == 2);
    world.spec.routes.pop();
    world.settle();
    assert_eq!(world.previews.keys().collect::<Vec<_>>(), [PREVIEW]);
    assert!(world.view("other").stamps.is_empty());
}

#[test]
fn it_waits_for_a_ready_pod_and_for_evidence() {
    let mut world = previewed(BLUE_GREEN);
    world.workloads.insert("v2".into(), tidegate::engine::observed::WorkloadSeen::present(2, 0, "h2"));
    world.run_for(Duration::from_mins(2));
    assert!(world.previews.is_empty(), "no request goes where no pod is ready");
    world.workloads.insert("v2".into(), tidegate::engine::observed::WorkloadSeen::present(2, 1, "h2"));
    world.run_until("previewed", |world| world.previews.contains_key(PREVIEW));
    let since = |world: &World| world.working.step.as_ref().and_then(|step| step.since);
    world.settle();
    assert!(since(&world).is_some());

    // The data plane has told of the route, and of the new one not yet.
    let mut world = previewed(BLUE_GREEN);
    world.programmed = false;
    world.run_until("previewed", |world| world.previews.contains_key(PREVIEW));
    let reports = |world: &mut World, in_effect: InEffect| {
        let RouteState::Present(view) = world.previews.get_mut(PREVIEW).unwrap() else { panic!("no view") };
        Arc::make_mut(view).in_effect = in_effect;
    };
    world.edit("color", |view| view.in_effect = InEffect::Yes);
    reports(&mut world, InEffect::Unreported);
    world.settle();
    assert_eq!(since(&world), None);
    assert!(
        world.message().contains("color-preview-color but not known to be in effect"),
        "{}",
        world.message()
    );
    reports(&mut world, InEffect::Yes);
    world.settle();
    assert!(since(&world).is_some());
}

#[test]
fn a_crash_at_any_write_changes_nothing_about_the_end() {
    for bad in [false, true] {
        for after in 0..12 {
            let mut world = previewed(BLUE_GREEN);
            if bad {
                world.traffic.failing.insert("v2".into(), 0.3);
            }
            world.crash_after = Some(after);
            let want = if bad { Phase::Failed } else { Phase::Healthy };
            world.run_until("over", |world| world.working.phase == Some(want));
            assert!(world.previews.is_empty(), "bad {bad}, after {after}");
            assert_eq!(world.share("v2"), if bad { 0 } else { 100 }, "bad {bad}, after {after}");
        }
    }
}

#[test]
fn steps_with_a_match_send_who_matches_to_the_canary_until_the_end() {
    let spec = SPEC.replace(
        "steps: [{weight: 10}, {weight: 50}]",
        "steps: [{match: {headers: [{name: x-team, exact: a}]}}, {weight: 10}, {match: {headers: [{name: x-team, exact: b}]}}, {weight: 50}]",
    );
    let mut world = previewed(&spec);
    let mut seen = vec![];
    world.run_until("healthy", |world| {
        seen.push((step(world), world.share("v2"), world.previews.len()));
        world.phase() == Phase::Healthy
    });
    seen.dedup();
    let of = |index: i32| seen.iter().rfind(|(step, ..)| *step == index).copied().unwrap();
    assert_eq!([of(1), of(2), of(3), of(4)], [(1, 0, 1), (2, 10, 1), (3, 10, 1), (4, 50, 1)]);
    assert!(world.previews.is_empty());
    let told: Vec<&str> =
        world.notes.iter().filter(|note| note.reason == "Step").map(|note| note.message.as_str()).collect();
    assert!(told[0].contains("requests with x-team: a to the canary."), "{told:?}");
    assert!(told[2].contains("requests with x-team: b to the canary, besides 10%"), "{told:?}");

    // Harm among them is harm.
    let mut world = previewed(&spec);
    world.previewing.per_second = 50.0;
    world.traffic.failing.insert("v2".into(), 0.3);
    world.run_until("failed", |world| world.phase() == Phase::Failed);
    assert!(world.writes.iter().all(|(_, _, share)| *share == 0), "{:?}", world.writes);
    assert_eq!(ended(&world), Some(EndReason::Failed));
}

#[test]
fn the_names_that_routes_use_are_those_of_the_preview_too() {
    let spec =
        BLUE_GREEN.replace("name: color}]", "name: color, target: service-v2, stable: service-v1}]").replace(
            "strategy:",
            "stable: {name: v1, workloadRef: {apiVersion: apps/v1, kind: Deployment, name: v1}}\nstrategy:",
        );
    let mut world = previewed(&spec);
    world.routes.insert("color".into(), route(vec![entry("service-v1", 100), entry("service-v2", 0)]));
    world.run_until("previewed", |world| world.previews.contains_key(PREVIEW));
    let Some(RouteState::Present(view)) = world.previews.get(PREVIEW) else { panic!() };
    assert_eq!(view.lists[0].entries[0].name, "service-v2");
    let run = world.working.run.clone().unwrap();
    world.run_for(Duration::from_secs(30));
    assert_eq!(world.working.step.as_ref().unwrap().index, 1);
    assert!(run.plan[0].matching.is_some());
    assert_eq!(world.working.routes[0].route.kind, RouteKind::GatewayRoute);
}

/// A world whose route has a single target.
fn lone(spec: &str) -> World {
    let mut world = previewed(spec);
    world.routes.insert("color".into(), route(vec![entry("v1", 100)]));
    world.edit("color", |view| {
        view.lists[0].path = "/spec/httpRoute/action/target".into();
        view.lists[0].lone = true;
        view.lists[0].unusable =
            Some(("NoWeights", "it has a single target; a canary needs weightedTargets".into()));
    });
    world
}

fn names(world: &World) -> Vec<&str> {
    world.view("color").lists[0].entries.iter().map(|entry| entry.name.as_str()).collect()
}

#[test]
fn a_single_target_is_switched_and_put_back() {
    let mut world = lone(BLUE_GREEN);
    world.run_until("previewed", |world| world.previews.contains_key(PREVIEW));
    assert_eq!(names(&world), ["v1"]);
    world.run_until("switched", |world| names(world) == ["v2"]);
    world.run_until("healthy", |world| world.phase() == Phase::Healthy);
    assert_eq!(world.working.stable.as_ref().unwrap().name, "v2");
    assert!(world.writes.iter().all(|(purpose, ..)| *purpose != Purpose::Retire));
    let quiet = (world.writes.len(), world.status_writes);
    world.run_for(Duration::from_mins(10));
    assert_eq!((world.writes.len(), world.status_writes), quiet);
    // Somebody puts the old one there, and it goes back.
    let switched = |world: &mut World, name: &str| {
        let name = name.to_owned();
        world.edit("color", |view| {
            view.writer = Some("kubectl".into());
            view.lists[0].entries = vec![entry(&name, 100)];
        });
    };
    switched(&mut world, "v1");
    world.run_until("restored", |world| names(world) == ["v2"]);

    let mut world = lone(BLUE_GREEN);
    world.run_until("switched", |world| names(world) == ["v2"]);
    world.traffic.failing.insert("v2".into(), 0.2);
    world.run_until("failed", |world| world.phase() == Phase::Failed);
    assert_eq!(names(&world), ["v1"]);
    switched(&mut world, "v2");
    world.run_until("back to 0", |world| names(world) == ["v1"]);

    // While it is tried, a switch by hand is drift.
    let mut world = lone(BLUE_GREEN);
    world.run_until("previewed", |world| world.previews.contains_key(PREVIEW));
    switched(&mut world, "v2");
    world.settle();
    assert_eq!(names(&world), ["v1"]);
    switched(&mut world, "v9");
    world.settle();
    assert_eq!((names(&world), pause(&world)), (vec!["v9"], Some(PauseReason::Drifted)));
    let told = "kubectl set its target to v9; set it to v1, which is stable, then resume";
    assert!(world.message().contains(told), "{}", world.message());
}

#[test]
fn a_single_target_can_have_no_canary_and_says_so() {
    let mut world = lone(SPEC);
    world.settle();
    assert_eq!((world.phase(), world.condition("Ready").unwrap().1), (Phase::Invalid, "NoWeights"));
    assert!(world.message().contains("a canary needs weightedTargets"), "{}", world.message());
    assert!(world.writes.is_empty());
    // A run that has begun is not lost when its strategy changes.
    let mut world = lone(BLUE_GREEN);
    world.run_until("switched", |world| names(world) == ["v2"]);
    world.spec.strategy = crate::world::spec(SPEC).strategy;
    world.traffic.failing.insert("v2".into(), 0.2);
    world.run_until("back", |world| names(world) == ["v1"]);
}

#[test]
fn a_single_target_goes_back_to_the_port_that_it_had() {
    for port in [Some(8080), None] {
        let mut world = lone(&BLUE_GREEN.replace("target: {name: v2,", "target: {name: v2, port: 9090,"));
        world.edit("color", |view| {
            view.lists[0].entries[0].port = port;
            if let Some(port) = port {
                Arc::make_mut(&mut view.lists[0].entries[0].raw.0)["port"] = port.into();
            }
        });
        world.run_until("switched", |world| names(world) == ["v2"]);
        let RouteState::Present(view) = world.observed().routes[0].state.clone() else { panic!() };
        let stable = view.lists[0].entries.iter().find(|entry| entry.name == "v1").unwrap();
        assert_eq!((stable.port, stable.weight), (port, 0));
    }
}

#[test]
fn a_preview_that_no_longer_asks_for_its_header_is_put_right() {
    let mut world = previewed(BLUE_GREEN);
    world.run_until("previewed", |world| world.previews.contains_key(PREVIEW));
    let change = |world: &mut World, change: fn(&mut tidegate::engine::observed::RouteView)| {
        let Some(RouteState::Present(view)) = world.previews.get(PREVIEW).cloned() else { panic!() };
        let mut changed = (*view).clone();
        change(&mut changed);
        changed.resource_version.push('x');
        world.previews.insert(PREVIEW.into(), RouteState::Present(changed.into()));
    };
    change(&mut world, |view| view.lists[0].headers.clear());
    world.settle();
    let Some(RouteState::Present(view)) = world.previews.get(PREVIEW) else { panic!() };
    assert_eq!(view.lists[0].headers, ["x-preview"]);
    // One that is held while it goes is told, and holds nothing that matters.
    change(&mut world, |view| view.deleting = true);
    let run = world.working.run.as_ref().unwrap().number;
    world.subject.abort = Some(format!(r#"{{"run":{run},"by":"ann","at":"{}"}}"#, world.now));
    world.run_for(Duration::from_mins(1));
    assert_eq!(world.condition("RoutesInSync").unwrap().1, "PreviewRefused");
    assert_eq!(world.phase(), Phase::RollingBack);
    world.subject.deleting = true;
    world.run_for(Duration::from_mins(1));
    assert!(!world.subject.finalizer, "a deletion does not wait for it");
}
