//! Pods before traffic, and none where there is no traffic any more; nothing against what else scales a workload.

use std::time::Duration;

use tidegate::{
    api::{Phase, Retired, WorkloadKind},
    engine::observed::{Pods, Scaler, ScalerSeen, WorkloadKey, WorkloadSeen},
};

use crate::{
    requests::ask,
    rules::abort,
    world::{SPEC, World, entry, route, spec},
};

const SCALED: &str =
    "hold: 1m, scale: {replicas: 3}, steps: [{weight: 10}, {weight: 50, scale: {ofStable: 100}}]";

fn scaled() -> String {
    SPEC.replace("hold: 1m, steps: [{weight: 10}, {weight: 50}]", SCALED)
}

fn retiring() -> String {
    format!("{SPEC}retire: {{after: 10m}}\n")
}

fn workload(world: &mut World, name: &str, replicas: i32) {
    world.workloads.insert(name.into(), WorkloadSeen::present(replicas, replicas, format!("h-{name}")));
}

fn pods<'a>(world: &'a World, name: &str) -> &'a Pods {
    match &world.workloads[name] {
        WorkloadSeen::Present(pods) => pods,
        other => panic!("{name} is {other:?}"),
    }
}

/// Something scales a workload within these bounds.
fn scaler(world: &mut World, name: &str, (min, max): (i32, i32), keda: Option<&str>) {
    let seen = ScalerSeen {
        workload: WorkloadKey::deployment(name),
        name: "hpa".into(),
        min,
        max,
        keda: keda.map(str::to_owned),
    };
    let WorkloadSeen::Present(pods) = world.workloads.get_mut(name).unwrap() else { panic!("{name}") };
    pods.scaler = Scaler::Horizontal(seen);
}

fn besides(world: &World, kind: &str) -> String {
    let found = world.working.conditions.iter().find(|condition| condition.type_ == kind);
    found.map_or(String::new(), |condition| condition.message.clone())
}

#[test]
fn pods_come_before_traffic_and_grow_with_the_steps() {
    let mut world = World::new(&scaled());
    workload(&mut world, "v1", 5);
    workload(&mut world, "v2", 1);
    world.scaling.delay = true;
    world.run_for(Duration::from_mins(2));
    assert_eq!(world.scaled, [("v2".to_owned(), 3)]);
    assert_eq!(world.share("v2"), 0, "not before they are ready");
    assert!(world.message().contains("1 of the 3 pods of Deployment v2 are ready"), "{}", world.message());
    workload(&mut world, "v2", 3);
    world.scaling.delay = false;
    world.run_until("10", |world| world.share("v2") == 10);
    world.run_until("healthy", |world| world.phase() == Phase::Healthy);
    assert_eq!(world.scaled, [("v2".to_owned(), 3), ("v2".to_owned(), 5)]);
    let told: Vec<_> = world.notes.iter().filter(|note| note.reason == "Scaled").collect();
    assert_eq!(told.len(), 2, "{told:?}");
}

#[test]
fn it_is_never_scaled_down_by_a_step() {
    let mut world = World::new(&scaled());
    workload(&mut world, "v1", 2);
    workload(&mut world, "v2", 9);
    world.run_until("healthy", |world| world.phase() == Phase::Healthy);
    assert!(world.scaled.is_empty(), "{:?}", world.scaled);
}

#[test]
fn who_undoes_it_is_not_fought_for_ever() {
    let mut world = World::new(&scaled());
    world.scaling.delay = true;
    for _ in 0..20 {
        workload(&mut world, "v2", 1);
        world.settle();
        world.pass(Duration::from_secs(6));
    }
    world.run_for(Duration::from_mins(5));
    assert_eq!(world.scaled.len(), 3, "{:?}", world.scaled);
    assert!(world.message().contains("leave spec.replicas out of what is applied"), "{}", world.message());
    assert_eq!(world.share("v2"), 0);
}

#[test]
fn a_scaler_whose_bounds_forbid_it_is_told_before_anything_is_written() {
    let cases = [
        ((1, 10), None, "its minReplicas to 3 at least"),
        ((1, 2), None, "its minReplicas and maxReplicas to 3 at least"),
        ((1, 10), Some("queue"), "the ScaledObject queue scales Deployment v2 between 1 and 10"),
    ];
    for (bounds, keda, part) in cases {
        let mut world = World::new(&scaled());
        workload(&mut world, "v2", 1);
        scaler(&mut world, "v2", bounds, keda);
        world.settle();
        assert_eq!((world.phase(), world.condition("Ready").unwrap().1), (Phase::Invalid, "ScalerForbids"));
        assert!(world.message().contains(part), "{}", world.message());
        assert!(world.writes.is_empty() && world.scaled.is_empty());
    }
    // One that has enough by itself is left to it.
    let mut world = World::new(&scaled());
    workload(&mut world, "v2", 3);
    scaler(&mut world, "v2", (3, 10), None);
    world.run_until("healthy", |world| world.phase() == Phase::Healthy);
    assert!(world.scaled.is_empty());
    // One that comes in the midst of a run holds the next step.
    let mut world = World::new(&scaled());
    workload(&mut world, "v1", 5);
    world.run_until("10", |world| world.share("v2") == 10);
    scaler(&mut world, "v2", (1, 4), None);
    world.run_for(Duration::from_mins(3));
    assert_eq!((world.share("v2"), world.scaled.len()), (10, 1));
    assert!(world.message().contains("HorizontalPodAutoscaler hpa"), "{}", world.message());
    scaler(&mut world, "v2", (5, 9), None);
    workload(&mut world, "v2", 5);
    world.run_until("healthy", |world| world.phase() == Phase::Healthy);
}

#[test]
fn where_nothing_may_be_scaled_that_is_said_first_and_hinders_no_release_that_asks_for_none() {
    let mut world = World::new(&scaled());
    world.scaling.allowed = false;
    world.settle();
    assert_eq!(world.condition("Ready").unwrap().1, "ScalingOff");
    assert!(world.message().starts_with("scale needs workloads to be scaled"), "{}", world.message());
    assert!(world.writes.is_empty());
    let mut world = World::new(&retiring());
    world.scaling.allowed = false;
    world.run_until("healthy", |world| world.phase() == Phase::Healthy);
    world.run_for(Duration::from_mins(15));
    assert!(
        besides(&world, "WorkloadKept").starts_with("retire needs"),
        "{}",
        besides(&world, "WorkloadKept")
    );
    assert!(world.scaled.is_empty());
}

#[test]
fn what_can_t_be_told_of_a_scale_is_told_before_anything_is_written() {
    let mut world = World::new(&scaled());
    world.workloads.insert("v1".into(), WorkloadSeen::Missing);
    world.settle();
    assert!(world.message().contains("scale.ofStable is a part of stable's replicas"), "{}", world.message());
    assert!(world.writes.is_empty());
    let mut world = World::new(&scaled());
    world.workloads.insert("v2".into(), WorkloadSeen::Missing);
    world.settle();
    assert!(world.message().contains("scale needs the workload of v2"), "{}", world.message());
    assert!(world.writes.is_empty());
}

#[test]
fn what_was_given_and_is_not_to_be_seen_yet_is_retired_once_it_is() {
    let mut world = World::new(&format!("{}retire: {{after: 1m}}\n", scaled()));
    workload(&mut world, "v1", 5);
    workload(&mut world, "v2", 0);
    world.scaling.delay = true;
    world.run_until("given", |world| !world.scaled.is_empty());
    // It has its pods, and the watch does not say so.
    workload(&mut world, "v2", 0);
    abort(&mut world);
    world.run_for(Duration::from_mins(2));
    assert_eq!(world.phase(), Phase::Failed);
    assert!(world.working.retired.iter().all(|retired| !retired.done), "{:?}", world.working.retired);
    workload(&mut world, "v2", 3);
    world.run_for(Duration::from_mins(1));
    assert_eq!(pods(&world, "v2").replicas, 0);
    assert!(world.working.retired.iter().any(|retired| retired.name == "v2" && retired.done));
}

#[test]
fn one_that_was_retired_beside_an_autoscaler_comes_back() {
    let mut world = World::new(&format!("{}rollbackWindow: {{within: 24h}}\n", retiring()));
    workload(&mut world, "v1", 7);
    scaler(&mut world, "v1", (1, 10), None);
    world.run_until("healthy", |world| world.phase() == Phase::Healthy);
    world.run_for(Duration::from_mins(11));
    assert_eq!(world.scaled, [("v1".to_owned(), 0)]);
    world.spec.target = spec(&SPEC.replace("v2", "v1")).target;
    world.spec.retire = None;
    world.run_until("back", |world| world.share("v1") == 100);
    assert_eq!(world.scaled[1..], [("v1".to_owned(), 7)]);
    // From there it is the autoscaler's, which has the last word.
    workload(&mut world, "v1", 2);
    scaler(&mut world, "v1", (1, 10), None);
    world.run_until("healthy", |world| world.phase() == Phase::Healthy);
    assert_eq!(world.scaled.len(), 2);
}

#[test]
fn another_rule_s_traffic_keeps_a_workload() {
    let mut world = World::new(&retiring());
    world.run_until("healthy", |world| world.phase() == Phase::Healthy);
    world.edit("color", |view| {
        let mut legacy = view.lists[0].clone();
        legacy.entries = vec![entry("v1", 100)];
        view.beside = vec![legacy];
    });
    world.run_for(Duration::from_mins(15));
    assert!(world.scaled.is_empty(), "{:?}", world.scaled);
    world.edit("color", |view| view.beside.clear());
    world.run_for(Duration::from_mins(1));
    assert_eq!(world.scaled, [("v1".to_owned(), 0)]);
}

#[test]
fn what_was_stable_is_scaled_down_once_and_gets_its_pods_again() {
    let mut world = World::new(&format!("{}rollbackWindow: {{within: 24h}}\n", retiring()));
    workload(&mut world, "v1", 4);
    world.run_until("healthy", |world| world.phase() == Phase::Healthy);
    world.run_for(Duration::from_mins(9));
    assert!(world.scaled.is_empty(), "it drains");
    world.run_for(Duration::from_mins(2));
    assert_eq!(world.scaled, [("v1".to_owned(), 0)]);
    let [retired] = world.working.retired.as_slice() else { panic!("{:?}", world.working.retired) };
    assert_eq!((retired.name.as_str(), retired.replicas, retired.done), ("v1", 4, true));
    let quiet = world.status_writes;
    world.run_for(Duration::from_hours(1));
    assert_eq!((world.scaled.len(), world.status_writes), (1, quiet));
    // Somebody needs it for something else, and is left alone.
    workload(&mut world, "v1", 2);
    world.run_for(Duration::from_hours(1));
    assert_eq!(world.scaled.len(), 1, "once each");
    workload(&mut world, "v1", 0);
    // Back to it: it gets what it had, and only then its traffic.
    world.spec.target = spec(&SPEC.replace("v2", "v1")).target;
    world.scaling.delay = true;
    world.run_for(Duration::from_mins(1));
    assert_eq!((world.scaled.last().cloned(), world.share("v1")), (Some(("v1".to_owned(), 4)), 0));
    workload(&mut world, "v1", 4);
    world.settle();
    world.settle();
    assert_eq!(world.share("v1"), 100, "it was stable so recently");
    world.run_until("healthy", |world| world.phase() == Phase::Healthy);
    assert!(world.working.retired.iter().all(|retired| retired.name != "v1"));
    assert_eq!(pods(&world, "v1").replicas, 4);
}

#[test]
fn what_was_being_scaled_down_gets_traffic_once_that_can_land_no_more() {
    let mut world = World::new(&format!("{}rollbackWindow: {{within: 24h}}\n", retiring()));
    workload(&mut world, "v1", 4);
    world.run_until("healthy", |world| world.phase() == Phase::Healthy);
    // Somebody has sent it, and is no more.
    let (kind, name) = (WorkloadKind::Deployment, "v1".to_owned());
    // By a clock of its own.
    let at = world.now.saturating_sub(jiff::SignedDuration::from_hours(1)).unwrap();
    let sent = Retired { kind, name, replicas: 4, to: 0, at, done: false };
    world.stored.retired.push(sent);
    world.restart();
    world.spec.target = spec(&SPEC.replace("v2", "v1")).target;
    world.run_for(Duration::from_secs(80));
    assert_eq!(world.share("v1"), 0);
    assert!(world.message().contains("which may still land"), "{}", world.message());
    world.run_for(Duration::from_secs(15));
    assert_eq!(world.share("v1"), 100);
}

#[test]
fn what_the_next_step_waits_for_is_told_all_the_while() {
    let mut world = World::new(&scaled());
    workload(&mut world, "v1", 5);
    workload(&mut world, "v2", 3);
    world.scaling.delay = true;
    world
        .run_until("waiting", |world| world.message().contains("3 of the 5 pods of Deployment v2 are ready"));
    world.run_for(Duration::from_secs(10));
    let (mut told, before) = (Vec::new(), world.status_writes);
    for _ in 0..60 {
        world.settle();
        told.push(world.message().to_owned());
        world.pass(Duration::from_secs(1));
    }
    told.dedup();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(world.status_writes - before <= 2, "{}", world.status_writes - before);
}

#[test]
fn a_canary_that_failed_is_scaled_down_and_a_retry_brings_it_back() {
    let mut world = World::new(&retiring());
    workload(&mut world, "v2", 3);
    world.traffic.failing.insert("v2".into(), 0.1);
    world.run_until("failed", |world| world.phase() == Phase::Failed);
    world.run_for(Duration::from_mins(11));
    assert_eq!(world.scaled, [("v2".to_owned(), 0)]);
    world.traffic.failing.clear();
    ask(&mut world, "retry");
    world.run_until("healthy", |world| world.phase() == Phase::Healthy);
    assert_eq!(world.scaled.get(1), Some(&("v2".to_owned(), 3)));
    assert!(world.scaled.iter().skip(2).all(|(name, to)| name == "v1" && *to == 0), "{:?}", world.scaled);
}

/// What happens to a world.
type Change = fn(&mut World);

#[test]
fn what_others_use_or_scale_or_send_traffic_to_is_kept() {
    let cases: [(Change, &str); 5] = [
        (
            |world| world.scaling.in_use = ["v1".to_owned()].into(),
            "another Rollout of the namespace names it too",
        ),
        (|world| scaler(world, "v1", (1, 5), Some("queue")), "the ScaledObject queue scales it"),
        (
            |world| {
                scaler(world, "v1", (1, 5), None);
                world.spec.retire.as_mut().unwrap().scale_to = 1;
            },
            "leaves it alone only at scaleTo: 0",
        ),
        (
            |world| {
                let WorkloadSeen::Present(pods) = world.workloads.get_mut("v1").unwrap() else { panic!() };
                pods.scaler = Scaler::Unknown("forbidden".into());
            },
            "is not known: forbidden",
        ),
        (
            |world| {
                let WorkloadSeen::Present(pods) = world.workloads.get_mut("v1").unwrap() else { panic!() };
                pods.scaler = Scaler::Refused("cannot scale it: forbidden".into());
            },
            "cannot scale it: forbidden",
        ),
    ];
    for (change, part) in cases {
        let mut world = World::new(&retiring());
        change(&mut world);
        world.run_until("healthy", |world| world.phase() == Phase::Healthy);
        world.run_for(Duration::from_mins(15));
        assert!(world.scaled.is_empty(), "{part}");
        assert!(besides(&world, "WorkloadKept").contains(part), "{}", besides(&world, "WorkloadKept"));
        assert_eq!(world.condition("Ready"), Some(("True", "Healthy")));
    }
    // A plain autoscaler leaves alone what is scaled to nothing.
    let mut world = World::new(&retiring());
    scaler(&mut world, "v1", (1, 5), None);
    world.run_until("healthy", |world| world.phase() == Phase::Healthy);
    world.run_for(Duration::from_mins(15));
    assert_eq!(world.scaled, [("v1".to_owned(), 0)]);
    // One whose traffic is not known to be gone.
    let mut world = World::new(&retiring());
    world.run_until("healthy", |world| world.phase() == Phase::Healthy);
    world.somebody_sets("color", "kubectl", &[20, 80]);
    world.workloads.insert("v2".into(), WorkloadSeen::present(2, 0, "h2"));
    world.run_for(Duration::from_mins(15));
    assert!(world.scaled.is_empty(), "v1 has traffic, and v2 can't take it: {:?}", world.scaled);
    world.routes.insert("color".into(), route(vec![entry("v1", 0), entry("v2", 100)]));
    world.workloads.insert("v2".into(), WorkloadSeen::present(2, 2, "h2"));
    world.run_for(Duration::from_mins(1));
    assert_eq!(world.scaled, [("v1".to_owned(), 0)]);
}

#[test]
fn a_crash_around_it_loses_nothing() {
    for after in 0..8 {
        let mut world = World::new(&retiring());
        workload(&mut world, "v1", 4);
        world.run_until("healthy", |world| world.phase() == Phase::Healthy);
        world.settle();
        world.crash_after = Some(after);
        world.run_until("scaled down", |world| {
            pods(world, "v1").replicas == 0
                && world.working.retired.first().is_some_and(|retired| retired.done)
        });
        assert_eq!(world.working.retired[0].replicas, 4, "after {after}");
    }
}
