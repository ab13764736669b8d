//! Whole runs: to the end, and back.

use std::time::Duration;

use tidegate::{
    api::{EndReason, PauseReason, Phase},
    engine::{
        decision::Purpose,
        observed::{RouteState, WorkloadSeen},
    },
};

use crate::world::{SPEC, World, entry, route, spec};

fn ended(world: &World) -> Option<EndReason> {
    Some(world.working.run.as_ref()?.ended.as_ref()?.reason)
}

#[test]
fn a_good_canary_goes_to_100_and_becomes_stable() {
    let mut world = World::new(SPEC);
    let mut shares = vec![];
    world.run_until("healthy", |world| {
        shares.push(world.share("v2"));
        world.phase() == Phase::Healthy
    });
    shares.dedup();
    assert_eq!(shares, [0, 10, 50, 100].into_iter().filter(|s| shares.contains(s)).collect::<Vec<_>>());
    assert_eq!((world.share("v1"), world.share("v2")), (0, 100));
    assert_eq!(world.working.stable.as_ref().unwrap().name, "v2");
    assert_eq!(world.condition("Ready"), Some(("True", "Healthy")));
    assert!(!world.subject.finalizer, "the guard goes with the run");
    let before = (world.status_writes, world.writes.len());
    world.run_for(Duration::from_mins(10));
    assert_eq!((world.status_writes, world.writes.len()), before, "then nothing is written any more");
}

#[test]
fn a_bad_canary_goes_back_with_a_sentence() {
    let mut world = World::new(SPEC);
    world.traffic.failing.insert("v2".into(), 0.05);
    world.run_until("failed", |world| world.phase() == Phase::Failed);
    assert_eq!((world.share("v1"), world.share("v2")), (100, 0));
    assert!(world.message().starts_with("Rolled back at 10%"), "{}", world.message());
    assert_eq!(ended(&world), Some(EndReason::Failed));
    assert_eq!(world.condition("Stalled"), Some(("True", "RolledBack")));
    assert_eq!(
        world.working.step.as_ref().unwrap().weight.percent(),
        0,
        "the table shows what the canary has now"
    );
    let writes = world.writes.len();
    world.run_for(Duration::from_mins(10));
    assert_eq!(world.writes.len(), writes, "it stays failed, and nothing is written");
}

#[test]
fn a_failed_target_that_is_named_again_after_another_one_is_tried_again() {
    let mut world = World::new(SPEC);
    world.traffic.failing.insert("v2".into(), 0.05);
    world.run_until("failed", |world| world.phase() == Phase::Failed);
    world.spec.target = spec(&SPEC.replace("v2", "v1")).target;
    world.run_until("healthy", |world| world.phase() == Phase::Healthy);
    world.traffic.failing.clear();
    world.spec.target = spec(SPEC).target;
    world.run_until("tried again, and live", |world| {
        world.phase() == Phase::Healthy && world.share("v2") == 100
    });
    assert_eq!(world.working.run.as_ref().unwrap().number, 2);
}

#[test]
fn a_run_costs_few_writes() {
    let mut world = World::new(SPEC);
    world.run_until("healthy", |world| world.phase() == Phase::Healthy);
    let steps = 3;
    // Claim; a step each; finalizer on and off are not counted here.
    assert_eq!(world.writes.len(), 1 + steps, "{:?}", world.writes);
    // A run of 3 minutes: start, claimed, per step intent and in effect, once a minute evidence, the end.
    assert!(world.status_writes <= 3 + 3 * steps + 4, "{} status writes", world.status_writes);
    assert!(world.notes.len() <= 3 + steps, "{:?}", world.notes);
}

#[test]
fn a_target_that_the_route_does_not_list_is_added_and_taken_out_again() {
    let mut world = World::new(&SPEC.replace("v2", "v3"));
    world.traffic.failing.insert("v3".into(), 0.2);
    world.run_until("listed", |world| world.share("v3") == 10);
    world.run_until("failed and clean", |world| {
        world.phase() == Phase::Failed && world.view("color").lists[0].entries.iter().all(|e| e.name != "v3")
    });
    assert_eq!(
        world.view("color").lists[0].entries.iter().map(|e| e.name.as_str()).collect::<Vec<_>>(),
        ["v1", "v2"]
    );
    assert!(world.writes.iter().any(|(purpose, _, _)| *purpose == Purpose::Retire));
    world.settle();
    assert!(world.working.routes[0].added.is_empty(), "nor kept in status");
}

#[test]
fn another_target_ends_the_run_first() {
    let mut world = World::new(SPEC);
    world.run_until("10", |world| world.share("v2") == 10);
    world.spec.target = spec(&SPEC.replace("v2", "v3")).target;
    world.run_until("v3 at 10", |world| world.share("v3") == 10);
    assert_eq!(world.share("v2"), 0);
    assert_eq!(world.working.run.as_ref().unwrap().number, 2);
    assert_eq!(world.working.history[0].outcome, EndReason::TargetChanged);
}

#[test]
fn back_to_stable_ends_the_run_on_stable() {
    let mut world = World::new(SPEC);
    world.run_until("50", |world| world.share("v2") == 50);
    world.spec.target = spec(&SPEC.replace("v2", "v1")).target;
    world.run_until("healthy", |world| world.phase() == Phase::Healthy);
    assert_eq!((world.share("v1"), world.share("v2")), (100, 0));
    assert_eq!(world.working.history[0].outcome, EndReason::TargetReturned);
}

#[test]
fn a_new_image_mid_run_starts_from_zero() {
    let mut world = World::new(SPEC);
    world.run_until("50", |world| world.share("v2") == 50);
    world.workloads.insert("v2".into(), WorkloadSeen::present(2, 2, "other"));
    world.settle();
    assert_eq!(world.working.run.as_ref().unwrap().number, 2);
    assert_eq!(world.working.history[0].outcome, EndReason::RevisionChanged);
    world.run_until("10", |world| world.share("v2") == 10);
}

#[test]
fn a_route_that_is_not_moved_back_is_told_until_it_is() {
    let cases = [
        (RouteState::Refused("cannot write it: forbidden".into()), "RouteRefused"),
        (RouteState::Unreadable("no such kind".into()), "Unreadable"),
    ];
    for (state, reason) in cases {
        let mut world = World::new(SPEC);
        world.run_until("10", |world| world.share("v2") == 10);
        let route = world.routes.insert("color".into(), state).unwrap();
        world.subject.abort = Some(format!(r#"{{"run":1,"by":"ann","at":"{}"}}"#, world.now));
        world.run_for(Duration::from_mins(1));
        assert_eq!(world.phase(), Phase::RollingBack);
        assert!(world.message().contains("; not moved back on every route yet: "), "{}", world.message());
        assert_eq!(world.condition("RoutesInSync"), Some(("False", reason)));
        assert_eq!(world.condition("Ready"), Some(("False", reason)));
        // The next attempt is not yet its success.
        let message = world.message().to_owned();
        world.routes.insert("color".into(), route);
        let decision = world.decide();
        assert!(decision.lowers());
        assert_eq!(world.message(), message);
        world.settle();
        assert_eq!((world.phase(), world.share("v2")), (Phase::Failed, 0));
        assert!(!world.message().contains("not moved back"), "{}", world.message());
        assert_eq!(world.condition("RoutesInSync"), Some(("True", "InSync")));
        assert_eq!(world.notes.iter().filter(|note| note.reason == reason).count(), 1, "{reason}");
    }
}

#[test]
fn what_hinders_a_way_back_is_told_once_and_then_nothing_is_written() {
    let mut world = World::new(SPEC);
    world.run_until("10", |world| world.share("v2") == 10);
    let refused = RouteState::Refused("cannot write it: forbidden".into());
    let route = world.routes.insert("color".into(), refused).unwrap();
    world.subject.abort = Some(format!(r#"{{"run":1,"by":"ann","at":"{}"}}"#, world.now));
    world.run_for(Duration::from_mins(1));
    // It could be written now, and stable has no pod.
    world.routes.insert("color".into(), route);
    world.workloads.insert("v1".into(), WorkloadSeen::present(2, 0, "h1"));
    world.run_for(Duration::from_mins(1));
    assert_eq!(world.condition("Ready"), Some(("False", "StableNotReady")));
    let before = (world.status_writes, world.notes.len());
    world.run_for(Duration::from_mins(10));
    assert_eq!((world.status_writes, world.notes.len()), before);
    for reason in ["RouteRefused", "StableNotReady"] {
        assert_eq!(world.notes.iter().filter(|note| note.reason == reason).count(), 1, "{reason}");
    }
    world.workloads.insert("v1".into(), WorkloadSeen::present(2, 2, "h1"));
    world.run_until("failed", |world| world.phase() == Phase::Failed);
    assert_eq!(world.share("v2"), 0);
    assert_eq!(world.condition("RoutesInSync"), Some(("True", "InSync")));
}

#[test]
fn of_two_routes_only_the_one_that_is_stuck_is_told() {
    let two = SPEC
        .replace("name: color}]", "name: color}, {group: appmesh.k8s.aws, kind: GatewayRoute, name: api}]");
    let mut world = World::new(&two);
    world.routes.insert("api".into(), route(vec![entry("v1", 100), entry("v2", 0)]));
    world.run_until("10", |world| world.share("v2") == 10);
    world.routes.insert("api".into(), RouteState::Refused("cannot write api: forbidden".into()));
    world.subject.abort = Some(format!(r#"{{"run":1,"by":"ann","at":"{}"}}"#, world.now));
    world.run_for(Duration::from_mins(1));
    assert_eq!((world.phase(), world.share("v2")), (Phase::RollingBack, 0));
    assert!(world.message().ends_with("yet: cannot write api: forbidden"), "{}", world.message());
    assert_eq!(world.notes.iter().filter(|note| note.reason == "RouteRefused").count(), 1);
}

#[test]
fn within_the_rollback_window_going_back_is_one_step() {
    let yaml = format!("{SPEC}rollbackWindow: {{within: 24h}}\n");
    let mut world = World::new(&yaml);
    world.run_until("healthy", |world| world.phase() == Phase::Healthy);
    world.spec.target = spec(&SPEC.replace("v2", "v1")).target;
    world.settle();
    let plan: Vec<_> = world.working.run.as_ref().unwrap().plan.iter().map(|s| s.weight.percent()).collect();
    assert_eq!(plan, [100]);
    world.run_until("healthy again", |world| world.phase() == Phase::Healthy);
    assert_eq!(world.share("v1"), 100);

    let mut world = World::new(&yaml);
    world.run_until("healthy", |world| world.phase() == Phase::Healthy);
    world.workloads.insert("v1".into(), WorkloadSeen::present(2, 2, "rebuilt"));
    world.spec.target = spec(&SPEC.replace("v2", "v1")).target;
    world.settle();
    assert_eq!(world.working.run.as_ref().unwrap().plan.len(), 3, "another revision: the normal plan");
}

#[test]
fn nothing_is_given_to_a_canary_without_ready_pods() {
    let mut world = World::new(SPEC);
    world.workloads.insert("v2".into(), WorkloadSeen::present(2, 0, "h2"));
    world.run_for(Duration::from_mins(2));
    assert_eq!(world.share("v2"), 0);
    assert!(world.message().contains("v2 has no ready pod"), "{}", world.message());
    world.workloads.insert("v2".into(), WorkloadSeen::Missing);
    world.run_for(Duration::from_secs(30));
    assert!(world.message().contains("does not exist"), "{}", world.message());
    world.workloads.insert("v2".into(), WorkloadSeen::present(2, 1, "h2"));
    world.run_until("10", |world| world.share("v2") == 10);
}

#[test]
fn the_deadline_rolls_back_or_pauses() {
    let stuck = |on: &str| {
        let yaml = format!("{SPEC}progressDeadline: 10m\nonDeadline: {on}\n");
        let mut world = World::new(&yaml);
        world.workloads.insert("v2".into(), WorkloadSeen::present(2, 0, "h2"));
        world.run_for(Duration::from_mins(11));
        world
    };
    let world = stuck("Rollback");
    assert_eq!((world.phase(), ended(&world)), (Phase::Failed, Some(EndReason::Deadline)));
    assert!(world.message().contains("no step forward for 10m"), "{}", world.message());
    let world = stuck("Pause");
    assert_eq!(world.working.run.as_ref().unwrap().pause.as_ref().unwrap().reason, PauseReason::Deadline);
}

#[test]
fn suspend_writes_nothing() {
    let mut world = World::new(SPEC);
    world.run_until("10", |world| world.share("v2") == 10);
    world.spec.suspend = true;
    let writes = world.writes.len();
    world.traffic.failing.insert("v2".into(), 0.5);
    world.run_for(Duration::from_mins(5));
    assert_eq!(world.writes.len(), writes);
    assert_eq!(world.phase(), Phase::Suspended);
    world.spec.suspend = false;
    world.run_until("failed", |world| world.phase() == Phase::Failed);
}

#[test]
fn deletion_puts_traffic_on_stable_and_takes_the_stamp_away() {
    let mut world = World::new(SPEC);
    world.run_until("50", |world| world.share("v2") == 50);
    world.subject.deleting = true;
    world.settle();
    assert_eq!((world.share("v1"), world.share("v2")), (100, 0));
    assert!(world.view("color").stamps.is_empty());
    assert!(!world.subject.finalizer);
}

#[test]
fn deletion_waits_for_a_ready_stable_pod_but_not_for_ever() {
    let mut world = World::new(SPEC);
    world.run_until("50", |world| world.share("v2") == 50);
    world.workloads.insert("v1".into(), WorkloadSeen::present(2, 0, "h1"));
    world.subject.deleting = true;
    world.run_for(Duration::from_mins(1));
    assert!(world.subject.finalizer);
    assert_eq!(world.share("v2"), 50);
    world.run_for(Duration::from_mins(30));
    assert!(!world.subject.finalizer, "released as it is after the deadline");
    assert_eq!(world.share("v2"), 50);
    assert!(world.notes.iter().any(|n| n.reason == "ReleasedAsItIs"));
}

#[test]
fn a_rollback_waits_for_a_ready_stable_pod() {
    let mut world = World::new(SPEC);
    world.run_until("50", |world| world.share("v2") == 50);
    world.workloads.insert("v1".into(), WorkloadSeen::present(2, 0, "h1"));
    world.traffic.failing.insert("v2".into(), 0.2);
    world.run_for(Duration::from_mins(2));
    assert_eq!(world.share("v2"), 50, "nothing to go back to");
    assert_eq!(world.phase(), Phase::RollingBack);
    world.workloads.insert("v1".into(), WorkloadSeen::present(2, 1, "h1"));
    world.run_until("failed", |world| world.phase() == Phase::Failed);
    assert_eq!(world.share("v2"), 0);
}

#[test]
fn several_routes_move_as_one() {
    let yaml = SPEC
        .replace("name: color}]", "name: color}, {group: appmesh.k8s.aws, kind: GatewayRoute, name: api}]");
    let mut world = World::new(&yaml);
    world.routes.insert("api".into(), route(vec![entry("v2", 0), entry("v1", 100)]));
    world.run_until("healthy", |world| {
        let shares = [world.share("v2"), world.view("api").lists[0].entries[0].weight];
        assert_eq!(shares[0], shares[1], "both routes show the same share once things are at rest");
        world.phase() == Phase::Healthy
    });
    assert_eq!(world.view("api").lists[0].entries[0].weight, 100);
}

#[test]
fn without_evidence_of_effect_a_step_does_not_end() {
    let mut world = World::new(SPEC);
    world.programmed = false;
    world.run_for(Duration::from_mins(5));
    assert_eq!(world.share("v2"), 10);
    assert_eq!(world.condition("RoutesInSync"), Some(("False", "NotProgrammed")));
}

#[test]
fn a_crash_after_any_write_ends_where_the_undisturbed_run_ends() {
    for failing in [0.0, 0.05] {
        let mut undisturbed = World::new(SPEC);
        undisturbed.traffic.failing.insert("v2".into(), failing);
        let over = |world: &World| {
            let quiet = matches!(world.phase(), Phase::Healthy | Phase::Failed);
            quiet
                && world.working.run.as_ref().is_some_and(|run| run.ended.as_ref().is_some_and(|e| e.settled))
        };
        undisturbed.run_until("over", over);
        let writes = undisturbed.status_writes + undisturbed.writes.len() + 2;
        for crash in 0..writes {
            let mut world = World::new(SPEC);
            world.traffic.failing.insert("v2".into(), failing);
            world.crash_after = Some(crash);
            world.run_until("over", over);
            let shares = |world: &World| (world.share("v1"), world.share("v2"), world.phase());
            assert_eq!(shares(&world), shares(&undisturbed), "crash after write {crash}");
        }
    }
}

#[test]
fn suspended_time_counts_neither_as_watched_nor_towards_the_deadline() {
    let yaml = format!("{}progressDeadline: 10m\n", SPEC.split("analysis:").next().unwrap());
    let mut world = World::new(&yaml);
    world.run_until("10", |world| world.share("v2") == 10);
    world.spec.suspend = true;
    world.settle();
    world.pass(Duration::from_hours(2));
    world.spec.suspend = false;
    world.settle();
    assert_eq!(world.share("v2"), 10, "{}", world.message());
    assert!(world.working.run.as_ref().unwrap().ended.is_none(), "{}", world.message());
    world.run_until("healthy", |world| world.phase() == Phase::Healthy);
}

#[test]
fn waiting_for_a_person_decides_seldom_and_writes_seldom() {
    let mut world = World::new(&SPEC.replace("{weight: 10}", "{weight: 10, approval: Required}"));
    world.run_until("paused", |world| world.phase() == Phase::Paused);
    let (written, began) = (world.status_writes, world.now);
    let mut decisions = 0;
    while world.now < began.checked_add(jiff::SignedDuration::from_mins(10)).unwrap() {
        world.decide();
        decisions += 1;
        let wake = world.wake.expect("an active run wakes by itself");
        let wait = Duration::try_from(wake.duration_since(world.now)).unwrap_or_default();
        assert!(decisions < 200, "it decides again after {wait:?}");
        world.pass(wait.max(Duration::from_millis(1)));
    }
    assert!(world.status_writes <= written + 11, "a checkpoint a minute at most");
}

#[test]
fn a_run_whose_weights_are_not_ours_is_judged_all_the_same() {
    let mut world = World::new(SPEC);
    world.run_until("50", |world| world.share("v2") == 50);
    world.run_until("begun", |world| world.working.step.as_ref().unwrap().since.is_some());
    world.somebody_sets("color", "kubectl", &[80, 20]);
    world.traffic.failing.insert("v2".into(), 0.2);
    world.run_until("failed", |world| world.phase() == Phase::Failed);
    assert_eq!(world.share("v2"), 0);
}

#[test]
fn the_record_of_a_promotion_comes_before_what_follows_from_it() {
    let mut world = World::new(&SPEC.replace("v2", "v3"));
    world.run_until("v3 is live", |world| world.phase() == Phase::Healthy);
    let undisturbed = world.status_writes + world.writes.len() + 2;
    for crash in 0..undisturbed {
        let mut world = World::new(&SPEC.replace("v2", "v3"));
        world.run_until("v3 is live", |world| world.phase() == Phase::Healthy);
        // v3 was added by us: once v2 has replaced it, its entry goes.
        world.spec.target = spec(SPEC).target;
        world.crash_after = Some(crash);
        world.run_until("v2 is live and v3 is gone", |world| {
            world.phase() == Phase::Healthy
                && world.share("v2") == 100
                && world.view("color").lists[0].entries.iter().all(|entry| entry.name != "v3")
        });
    }
}

#[test]
fn an_image_that_shows_late_is_still_watched() {
    let mut world = World::new(SPEC);
    world.workloads.remove("v2");
    world.workloads.insert("v2".into(), WorkloadSeen::Missing);
    world.settle();
    world.workloads.insert("v2".into(), WorkloadSeen::present(2, 2, "h2"));
    world.run_until("10", |world| world.share("v2") == 10);
    world.workloads.insert("v2".into(), WorkloadSeen::present(2, 2, "other"));
    world.settle();
    assert_eq!(world.working.history[0].outcome, EndReason::RevisionChanged);
}

#[test]
fn a_route_taken_out_of_the_spec_is_released() {
    let both = SPEC
        .replace("name: color}]", "name: color}, {group: appmesh.k8s.aws, kind: GatewayRoute, name: api}]");
    let with_both = || {
        let mut world = World::new(&both);
        world.routes.insert("api".into(), route(vec![entry("v1", 100), entry("v2", 0)]));
        world
    };
    let mut world = with_both();
    world.run_until("10", |world| world.share("v2") == 10);
    world.spec.routes.truncate(1);
    world.settle();
    assert_eq!(world.view("api").lists[0].entries[1].weight, 0);
    assert!(world.view("api").stamps.is_empty());
    let mut world = with_both();
    world.run_until("healthy", |world| world.phase() == Phase::Healthy);
    world.spec.routes.truncate(1);
    world.settle();
    assert_eq!(world.view("api").lists[0].entries[1].weight, 100, "what was promoted stays");
    assert!(world.view("api").stamps.is_empty());
}

#[test]
fn deletion_waits_while_a_route_can_not_be_read() {
    use tidegate::engine::observed::RouteState;
    let mut world = World::new(SPEC);
    world.run_until("50", |world| world.share("v2") == 50);
    let route = world.routes.insert("color".into(), RouteState::Unreadable("not listed yet".into())).unwrap();
    world.subject.deleting = true;
    world.settle();
    assert!(world.subject.finalizer);
    world.routes.insert("color".into(), route);
    world.settle();
    assert_eq!(world.share("v2"), 0);
    assert!(!world.subject.finalizer);
}
