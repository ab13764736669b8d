//! Somebody else changes the weights.

use std::time::Duration;

use tidegate::{
    api::{PauseReason, Phase, Stamp},
    engine::{
        decision::Purpose,
        observed::{RouteState, WorkloadSeen},
    },
};

use crate::{
    requests::ask,
    world::{SPEC, World, entry},
};

fn paused(world: &World) -> Option<PauseReason> {
    world.working.run.as_ref()?.pause.as_ref().map(|pause| pause.reason)
}

fn at_ten() -> World {
    let mut world = World::new(SPEC);
    world.run_until("10", |world| {
        world.share("v2") == 10 && world.working.step.as_ref().unwrap().since.is_some()
    });
    world
}

/// The same, judged by a plain number alone, which is to be at most 5.
fn at_ten_by_a_number(more: &str) -> World {
    let mut world = World::new(&SPEC.replace(
        "  series: {preset: tidegate-gateway}\n  errorRate: {}\n",
        &format!("  metrics: [{{name: queue, query: q, max: '5'{more}}}]\n"),
    ));
    world.run_until("10", |world| world.share("v2") == 10);
    world
}

#[test]
fn what_stood_on_a_route_unseen_is_no_part_of_the_hold() {
    let mut world = at_ten();
    let elapsed = |world: &World| Duration::from(world.working.step.as_ref().unwrap().elapsed).as_secs();
    world.run_until("counting", |world| elapsed(world) > 0);
    let before = elapsed(&world);
    // The write of a decision hangs, and meanwhile somebody moves the weights and takes that back.
    let sent = world.now;
    world.somebody_sets("color", "kubectl-edit", &[20, 80]);
    world.pass(Duration::from_secs(20));
    world.somebody_sets("color", "kubectl-edit", &[90, 10]);
    world.memory.not_watched(sent, world.now);
    world.settle();
    assert_eq!(elapsed(&world), before);
    world.pass(Duration::from_secs(5));
    world.settle();
    assert_eq!(elapsed(&world), before + 5, "from there it goes on");
}

#[test]
fn a_raised_share_goes_back_at_once_and_the_third_time_pauses() {
    let mut world = at_ten();
    for time in 1..=3 {
        world.somebody_sets("color", "argocd-controller", &[20, 80]);
        world.settle();
        assert_eq!((world.share("v1"), world.share("v2")), (90, 10), "time {time}");
        assert_eq!(paused(&world), (time == 3).then_some(PauseReason::Drifted), "time {time}");
    }
    assert!(
        world
            .notes
            .iter()
            .any(|n| n.message.contains("argocd-controller") && n.message.contains("ignoreDifferences"))
    );
    // Paused, it is still lowered, at most once a minute.
    world.somebody_sets("color", "argocd-controller", &[20, 80]);
    world.settle();
    assert_eq!(world.share("v2"), 80);
    world.run_for(Duration::from_secs(65));
    assert_eq!(world.share("v2"), 10);
}

#[test]
fn a_lowered_share_is_left_until_resume() {
    let mut world = at_ten();
    world.somebody_sets("color", "kustomize-controller", &[100, 0]);
    world.run_for(Duration::from_mins(2));
    assert_eq!(world.share("v2"), 0);
    assert_eq!(paused(&world), Some(PauseReason::Drifted));
    assert!(
        world.message().contains("kustomize-controller set the canary to 0 of 100, where 10% is ours"),
        "{}",
        world.message()
    );
    ask(&mut world, "promote");
    assert_eq!(world.share("v2"), 0, "promote is refused while drifted");
    ask(&mut world, "resume");
    world.run_until("10", |world| world.share("v2") == 10);
    world.run_until("healthy", |world| world.phase() == Phase::Healthy);
}

#[test]
fn resume_takes_back_at_once_what_somebody_gave_a_failed_version() {
    let mut world = at_ten();
    world.traffic.failing.insert("v2".into(), 0.5);
    world.run_until("failed", |world| world.phase() == Phase::Failed && world.share("v2") == 0);
    for _ in 0..2 {
        world.somebody_sets("color", "kubectl", &[60, 40]);
        world.settle();
    }
    assert_eq!(world.share("v2"), 40, "once a minute");
    ask(&mut world, "resume");
    assert_eq!(world.share("v2"), 0);
}

#[test]
fn what_was_seen_at_a_lowered_share_says_nothing_of_the_restored_one() {
    let mut world = at_ten_by_a_number("");
    world.run_for(Duration::from_mins(2));
    world.somebody_sets("color", "kustomize-controller", &[100, 0]);
    // There is a value only while nobody uses the canary.
    world.numbers.insert("queue".into(), Ok(0.0));
    world.run_for(Duration::from_mins(1));
    world.numbers.clear();
    ask(&mut world, "resume");
    world.run_for(Duration::from_secs(50));
    assert_eq!(world.share("v2"), 10, "the hold is over, and nothing is known of this share");
    world.numbers.insert("queue".into(), Ok(0.0));
    world.run_until("50", |world| world.share("v2") == 50);
}

#[test]
fn what_was_seen_at_a_share_set_by_hand_says_nothing_of_the_steps_own() {
    // Whoever puts the share back: the engine with the end of the work by hand, or the one who works.
    for own in [true, false] {
        let mut world = at_ten_by_a_number("");
        world.run_for(Duration::from_mins(2));
        world.spec.suspend = true;
        world.settle();
        world.somebody_sets("color", "kubectl", &[20, 80]);
        world.numbers.insert("queue".into(), Ok(0.0));
        world.run_for(Duration::from_mins(1));
        world.numbers.clear();
        if own {
            world.somebody_sets("color", "kubectl", &[90, 10]);
            world.settle();
        }
        world.spec.suspend = false;
        world.run_for(Duration::from_secs(50));
        assert_eq!(world.share("v2"), 10, "the hold is over, and nothing is known of this share");
        world.numbers.insert("queue".into(), Ok(0.0));
        world.run_until("50", |world| world.share("v2") == 50);
    }
}

#[test]
fn what_was_seen_while_a_route_was_gone_says_nothing_of_the_step() {
    let without_its_rule =
        RouteState::Unusable { reason: "RuleNotFound", message: "its rule is not there any more".into() };
    for gone in [RouteState::Missing, without_its_rule] {
        let mut world = at_ten_by_a_number("");
        world.run_for(Duration::from_mins(2));
        let route = world.routes.insert("color".into(), gone).unwrap();
        world.numbers.insert("queue".into(), Ok(0.0));
        world.run_for(Duration::from_mins(1));
        world.numbers.clear();
        world.routes.insert("color".into(), route);
        world.run_for(Duration::from_secs(50));
        assert_eq!(world.share("v2"), 10, "the hold is over, and nothing is known of this share");
        world.numbers.insert("queue".into(), Ok(0.0));
        world.run_until("50", |world| world.share("v2") == 50);
    }
}

#[test]
fn bad_numbers_count_up_whatever_a_tool_does_to_the_share() {
    let mut world = at_ten_by_a_number(", failures: 8");
    world.run_for(Duration::from_secs(30));
    world.numbers.insert("queue".into(), Ok(9.0));
    for _ in 0..10 {
        if world.phase() != Phase::Failed {
            world.somebody_sets("color", "argocd-controller", &[20, 80]);
        }
        world.run_for(Duration::from_secs(25));
    }
    assert_eq!((world.phase(), world.share("v2")), (Phase::Failed, 0), "{}", world.message());
}

#[test]
fn a_stamp_taken_away_is_claimed_again_under_a_new_epoch() {
    let mut world = at_ten();
    let epoch = world.working.epoch;
    world.somebody_sets("color", "kubectl-replace", &[100, 0]);
    world.edit("color", |view| view.stamps.clear());
    world.settle();
    assert!(world.working.epoch > epoch);
    assert!(!world.view("color").stamps.is_empty());
    assert_eq!(paused(&world), Some(PauseReason::Drifted), "{}", world.message());
}

#[test]
fn a_forged_stamp_can_only_hold_or_lower() {
    let mut world = at_ten();
    world.edit("color", |view| {
        let stamp = view.stamps.get_mut("color").unwrap();
        *stamp = stamp.text().replace(r#""epoch":1"#, r#""epoch":99"#).into();
    });
    world.run_for(Duration::from_mins(5));
    assert_eq!(world.share("v2"), 10, "no step while it stands");
    assert!(world.message().contains("epoch 99"), "{}", world.message());
    assert_eq!(world.condition("RoutesInSync"), Some(("False", "ForgedStamp")));
    world.subject.abort = Some(format!(r#"{{"run":1,"by":"ann","at":"{}","reason":"now"}}"#, world.now));
    world.settle();
    assert_eq!(world.share("v2"), 0);
}

#[test]
fn a_third_target_pauses_and_a_bad_canary_still_goes_back() {
    let mut world = at_ten();
    world.edit("color", |view| view.lists[0].entries.push(entry("v3", 10)));
    world.settle();
    assert_eq!(paused(&world), Some(PauseReason::Drifted));
    world.traffic.failing.insert("v2".into(), 0.3);
    world.run_until("failed", |world| world.phase() == Phase::Failed);
    assert_eq!((world.share("v1"), world.share("v2"), world.share("v3")), (100, 0, 10));
}

#[test]
fn stables_entry_taken_out_holds_and_is_put_back_by_a_rollback() {
    let mut world = at_ten();
    world.edit("color", |view| view.lists[0].entries.retain(|entry| entry.name != "v1"));
    world.run_for(Duration::from_mins(3));
    assert_eq!(world.share("v2"), 10);
    assert!(world.message().contains("put it back"), "{}", world.message());
    world.subject.abort = Some(format!(r#"{{"run":1,"by":"ann","at":"{}"}}"#, world.now));
    world.settle();
    assert_eq!((world.share("v1"), world.share("v2")), (100, 0));
}

#[test]
fn a_route_that_is_gone_pauses_until_it_is_back() {
    let mut world = at_ten();
    let route = world.routes.remove("color").unwrap();
    world.run_for(Duration::from_mins(1));
    assert_eq!(paused(&world), Some(PauseReason::RouteGone));
    world.routes.insert("color".into(), route.clone());
    world.settle();
    assert_eq!(paused(&world), None);
    let RouteState::Present(view) = route else { panic!() };
    let mut other = (*view).clone();
    other.uid = "made again".into();
    other.stamps.clear();
    other.lists[0].entries = vec![entry("v1", 100), entry("v2", 0)];
    world.routes.insert("color".into(), RouteState::Present(other.into()));
    world.run_until("a new run", |world| world.working.run.as_ref().unwrap().number == 2);
}

#[test]
fn at_rest_stable_is_restored_three_times_a_day() {
    let mut world = World::new(SPEC);
    world.run_until("healthy", |world| world.phase() == Phase::Healthy);
    for time in 1..=3 {
        world.somebody_sets("color", "kubectl", &[100, 0]);
        world.settle();
        assert_eq!(world.share("v2"), 100, "time {time}");
    }
    world.somebody_sets("color", "kubectl", &[100, 0]);
    world.run_for(Duration::from_mins(2));
    assert_eq!(world.share("v2"), 0, "left, the fourth time");
    assert_eq!(world.condition("Ready"), Some(("False", "Drifted")));
    world.workloads.insert("v1".into(), WorkloadSeen::present(2, 0, "h1"));
    world.settle();
    assert_eq!(world.share("v2"), 100, "unless what has the weight has no ready pod");
}

#[test]
fn a_failed_canary_gets_nothing_again() {
    let mut world = World::new(SPEC);
    world.traffic.failing.insert("v2".into(), 0.3);
    world.run_until("failed", |world| world.phase() == Phase::Failed);
    world.somebody_sets("color", "kubectl", &[50, 50]);
    world.settle();
    assert_eq!((world.share("v1"), world.share("v2")), (100, 0));
    assert_eq!(world.writes.last().map(|w| w.0), Some(Purpose::Correct));
    world.somebody_sets("color", "kubectl", &[50, 50]);
    world.settle();
    assert_eq!(world.share("v2"), 50, "at most once a minute");
    world.run_for(Duration::from_secs(65));
    assert_eq!(world.share("v2"), 0);
}

#[test]
fn stables_entry_taken_out_at_rest_is_told_and_nothing_is_written() {
    let mut world = World::new(SPEC);
    world.run_until("healthy", |world| world.phase() == Phase::Healthy);
    world.edit("color", |view| {
        view.lists[0].entries.retain(|entry| entry.name != "v2");
        view.lists[0].entries[0].weight = 100;
    });
    let writes = world.writes.len();
    world.run_for(Duration::from_mins(10));
    assert_eq!(world.writes.len(), writes);
    assert!(world.message().contains("put it back"), "{}", world.message());
}

#[test]
fn under_a_forged_stamp_a_bad_canary_still_goes_back() {
    let mut world = at_ten();
    world.edit("color", |view| {
        let stamp = view.stamps.get_mut("color").unwrap();
        *stamp = stamp.text().replace(r#""epoch":1"#, r#""epoch":99"#).into();
    });
    world.traffic.failing.insert("v2".into(), 0.3);
    world.run_until("failed", |world| world.phase() == Phase::Failed);
    assert_eq!(world.share("v2"), 0);
}

/// Somebody writes another stamp over ours.
fn forge(world: &mut World, change: impl FnOnce(&mut Stamp)) {
    world.edit("color", |view| {
        let mut stamp = view.stamps["color"].says().unwrap().clone();
        change(&mut stamp);
        view.stamps.insert("color".into(), stamp.into());
    });
}

/// Beside a run that nobody disturbs, one whose stamp is forged never gives the canary more.
#[test]
fn no_forged_stamp_is_a_way_up() {
    type Change = fn(&mut Stamp);
    let cases: [(&str, Change); 14] = [
        ("a greater epoch", |stamp| stamp.epoch = 99),
        ("the greatest epoch", |stamp| stamp.epoch = i64::MAX),
        ("an older epoch", |stamp| stamp.epoch = 0),
        ("a negative epoch", |stamp| stamp.epoch = i64::MIN),
        ("a later run", |stamp| stamp.run += 1),
        ("the last run", |stamp| stamp.run = i64::MAX),
        ("no run", |stamp| stamp.run = i64::MIN),
        ("the next step", |stamp| stamp.step += 1),
        ("a step far ahead", |stamp| stamp.step = i32::MAX),
        ("a step before the first", |stamp| stamp.step = i32::MIN),
        ("a mark", |stamp| stamp.aborted = true),
        ("a mark of a later run", |stamp| (stamp.run, stamp.aborted) = (i64::MAX, true)),
        ("entries of others as ours", |stamp| stamp.added = vec!["v1".into(), "v2".into()]),
        ("somebody else's", |stamp| stamp.uid = "another".into()),
    ];
    for (name, change) in cases {
        let (mut honest, mut forged) = (at_ten(), at_ten());
        forge(&mut forged, change);
        for _ in 0..120 {
            let most = honest.share("v2");
            assert!(forged.share("v2") <= most, "{name}: {} > {most}", forged.share("v2"));
            honest.run_for(Duration::from_secs(5));
            forged.run_for(Duration::from_secs(5));
        }
        assert_eq!(honest.phase(), Phase::Healthy);
    }
}

#[test]
fn a_forged_mark_ends_the_run_and_that_is_told() {
    let mut world = at_ten();
    forge(&mut world, |stamp| stamp.aborted = true);
    world.settle();
    assert_eq!((world.share("v1"), world.share("v2")), (100, 0));
    assert_eq!(world.phase(), Phase::Failed);
    assert_eq!(world.condition("Stalled").map(|(status, _)| status), Some("True"), "{}", world.message());
    ask(&mut world, "retry");
    world.run_until("healthy", |world| world.phase() == Phase::Healthy);
}

#[test]
fn a_stamp_forged_at_rest_keeps_the_next_run_from_raising_and_is_told() {
    let mut world = at_ten();
    world.run_until("healthy", |world| world.phase() == Phase::Healthy);
    forge(&mut world, |stamp| stamp.epoch = i64::MAX);
    world.spec.target.name = "v3".into();
    world.spec.target.workload_ref = None;
    world.subject.generation += 1;
    world.run_for(Duration::from_mins(5));
    assert_eq!((world.share("v2"), world.share("v3")), (100, 0));
    assert_eq!(world.condition("RoutesInSync"), Some(("False", "ForgedStamp")), "{}", world.message());
    world.edit("color", |view| view.stamps.clear());
    world.run_until("v3 at its first step", |world| world.share("v3") == 10);
}

/// The number of a run is one more than any that is known. One that no Rollout ever comes to is taken for no number at all.
#[test]
fn runs_are_counted_on_from_numbers_that_can_be_true() {
    for (forged, next) in
        [(i64::MAX, 2), (1_000_000_001, 2), (1_000_000_000, 1_000_000_001), (41, 42), (i64::MIN, 2)]
    {
        let mut world = at_ten();
        world.run_until("healthy", |world| world.phase() == Phase::Healthy);
        forge(&mut world, |stamp| (stamp.run, stamp.aborted) = (forged, true));
        for (target, number) in [("v3", next), ("v1", next + 1)] {
            world.spec.target.name = target.into();
            world.spec.target.workload_ref = None;
            world.subject.generation += 1;
            world.run_until("its first step", |world| world.share(target) == 10);
            assert_eq!(world.working.run.as_ref().unwrap().number, number, "{forged}");
            world.run_until("healthy", |world| world.phase() == Phase::Healthy);
        }
    }
}

#[test]
fn what_nobody_can_have_written_is_no_stamp() {
    for text in ["", "{}", "null", "\u{0}", r#"{"uid":"uid","epoch":1e99,"run":1,"step":1,"aborted":false}"#]
    {
        let mut world = at_ten();
        world.edit("color", |view| {
            view.stamps.insert("color".into(), text.to_owned().into());
        });
        world.settle();
        assert!(world.share("v2") <= 10, "{text:?}");
        world.traffic.failing.insert("v2".into(), 0.5);
        world.run_until("failed", |world| world.phase() == Phase::Failed && world.share("v2") == 0);
    }
}
