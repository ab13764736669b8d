//! What the metrics allow.

use std::time::Duration;

use tidegate::{
    api::{EndReason, PauseReason, Phase},
    engine::look::ReadError,
};

use crate::world::{SPEC, World, spec};

fn paused(world: &World) -> Option<PauseReason> {
    world.working.run.as_ref()?.pause.as_ref().map(|pause| pause.reason)
}

#[test]
fn a_metrics_outage_holds_pauses_and_goes_on_by_itself() {
    let mut world = World::new(SPEC);
    world.run_until("10", |world| world.share("v2") == 10);
    world.traffic.down = true;
    world.run_for(Duration::from_mins(10));
    assert_eq!(world.share("v2"), 10, "never advanced, never blamed");
    assert_eq!(paused(&world), Some(PauseReason::MetricError));
    assert!(world.message().contains("can't be reached"), "{}", world.message());
    world.traffic.down = false;
    world.run_until("healthy", |world| world.phase() == Phase::Healthy);
}

#[test]
fn without_traffic_nothing_passes() {
    let mut world = World::new(SPEC);
    world.traffic.per_second = 0.0;
    world.run_for(Duration::from_mins(10));
    assert_eq!(world.share("v2"), 10);
    assert_eq!(paused(&world), Some(PauseReason::Inconclusive));
    world.traffic.per_second = 200.0;
    world.run_until("healthy", |world| world.phase() == Phase::Healthy);
}

#[test]
fn inconclusive_may_advance_or_roll_back_where_the_user_says_so() {
    let at_end = |rule: &str| {
        let mut world = World::new(&format!("{SPEC}  onInconclusive: {rule}\n"));
        world.traffic.per_second = 0.0;
        world.run_for(Duration::from_mins(4));
        world
    };
    assert_eq!(at_end("Advance").share("v2"), 50);
    let world = at_end("Rollback");
    assert_eq!(world.working.history[0].outcome, EndReason::Inconclusive);
}

#[test]
fn observe_tells_and_never_acts() {
    let mut world = World::new(&format!("{SPEC}  mode: Observe\n"));
    world.traffic.failing.insert("v2".into(), 0.5);
    world.run_until("healthy", |world| world.phase() == Phase::Healthy);
    assert_eq!(world.share("v2"), 100);
}

/// What is asked for anew in the moment in which the last answer comes in is not waited for, else nothing would ever go on.
#[test]
fn metrics_that_take_longer_to_answer_than_the_interval_delay_a_run_and_no_more() {
    let mut world = World::new(SPEC);
    world.answers_after = Duration::from_secs(15);
    world.run_until("promoted", |w| w.phase() == Phase::Healthy && w.share("v2") == 100);
    assert!(
        world.working.history.iter().all(|run| run.outcome == EndReason::Promoted),
        "{:?}",
        world.working.history
    );

    let mut world = World::new(SPEC);
    world.answers_after = Duration::from_secs(15);
    world.traffic.failing.insert("v2".into(), 0.2);
    world.run_until("rolled back", |w| w.phase() == Phase::Failed && w.share("v2") == 0);
}

#[test]
fn both_arms_sick_hold_and_blame_nobody() {
    let mut world = World::new(SPEC);
    world.run_for(Duration::from_mins(1));
    world.traffic.failing.insert("v1".into(), 0.2);
    world.traffic.failing.insert("v2".into(), 0.2);
    world.run_for(Duration::from_secs(20));
    let share = world.share("v2");
    world.run_for(Duration::from_mins(10));
    assert_eq!(world.share("v2"), share);
    assert!(world.working.run.as_ref().unwrap().ended.is_none());
    assert!(world.message().contains("stable itself"), "{}", world.message());
    world.traffic.failing.clear();
    world.run_until("healthy", |world| world.phase() == Phase::Healthy);
}

#[test]
fn a_fault_that_shows_only_at_100_is_caught_there() {
    let mut world = World::new(SPEC);
    world.run_until("100", |world| world.share("v2") == 100);
    world.traffic.failing.insert("v2".into(), 0.1);
    world.run_until("failed", |world| world.phase() == Phase::Failed);
    assert_eq!(world.share("v1"), 100);
    assert!(world.message().contains("100%"), "{}", world.message());
}

#[test]
fn of_two_looks_at_one_time_nothing_is_lost() {
    let counted = |period| {
        let mut world = World::new(SPEC);
        world.traffic.period = period;
        world.run_until("10", |world| world.share("v2") == 10);
        world.run_for(Duration::from_mins(5));
        let run = world.working.run.as_ref().unwrap();
        run.evidence.metrics["errorRate"].stable_past.iter().map(|bin| bin.total).sum::<f64>()
    };
    let (fine, coarse) = (counted(1), counted(60));
    assert!(coarse > 0.75 * fine, "{coarse} of {fine}: the last minute may be missing, and no other");
}

const PLAIN: &str = r#"
routes: [{group: appmesh.k8s.aws, kind: GatewayRoute, name: color}]
target: {name: v2}
strategy: {canary: {hold: 1m, steps: [{weight: 10}]}}
analysis:
  interval: 10s
  settle: 10s
  metrics: [{name: queue, query: q, max: "500", failures: 3}]
"#;

#[test]
fn plain_thresholds() {
    let mut world = World::new(PLAIN);
    world.numbers.insert("queue".into(), Ok(10.0));
    world.run_until("healthy", |world| world.phase() == Phase::Healthy);

    let mut world = World::new(PLAIN);
    world.numbers.insert("queue".into(), Ok(900.0));
    world.run_until("failed", |world| world.phase() == Phase::Failed);
    assert!(world.message().contains("queue"), "{}", world.message());
}

#[test]
fn no_number_is_no_pass() {
    for error in [
        ReadError::Empty { query: "queue".into() },
        ReadError::NotFinite { query: "queue".into() },
        ReadError::ManySeries { query: "queue".into(), count: 3 },
        ReadError::BadQuery { query: "queue".into() },
        ReadError::TooLarge,
        ReadError::Redirect,
        ReadError::Timeout("5s".into()),
        ReadError::Malformed,
        ReadError::Status(500),
        ReadError::Throttled("15s".into()),
        ReadError::Incomplete { query: "queue".into() },
    ] {
        let mut world = World::new(PLAIN);
        world.numbers.insert("queue".into(), Err(error.clone()));
        world.run_for(Duration::from_mins(10));
        assert_eq!(world.share("v2"), 10, "{error}");
        assert_eq!(paused(&world), Some(PauseReason::MetricError), "{error}");
        assert!(world.message().contains(&error.to_string()), "{}", world.message());
    }
}

#[test]
fn without_analysis_holds_alone_decide() {
    let yaml: String = PLAIN.split("analysis:").next().unwrap().to_owned();
    let mut world = World::new(&yaml);
    world.run_until("10", |world| world.share("v2") == 10);
    world.run_for(Duration::from_secs(50));
    assert_eq!(world.share("v2"), 10);
    world.run_until("healthy", |world| world.phase() == Phase::Healthy);
}

#[test]
fn after_a_restart_a_fresh_look_comes_before_an_advance() {
    let mut world = World::new(SPEC);
    world.run_until("held", |world| {
        world.share("v2") == 10
            && std::time::Duration::from(world.working.step.as_ref().unwrap().elapsed).as_secs() >= 50
    });
    let share = world.share("v2");
    world.restart();
    world.pass(Duration::from_hours(1));
    world.settle();
    assert_eq!(world.share("v2"), share, "downtime does not count as watched");
    world.run_until("healthy", |world| world.phase() == Phase::Healthy);
}

#[test]
fn a_number_of_the_step_before_is_no_pass_in_this_one() {
    let yaml = PLAIN.replace("{weight: 10}", "{weight: 10}, {weight: 50}");
    let mut world = World::new(&yaml);
    world.numbers.insert("queue".into(), Ok(10.0));
    world.run_until("50", |world| world.share("v2") == 50);
    world.numbers.clear();
    world.run_for(Duration::from_mins(5));
    assert_eq!(world.share("v2"), 50);
}

#[test]
fn how_strongly_failures_come_together_is_learnt_from_stable_s_pods() {
    let learnt = |on_pods: Vec<f64>| {
        let mut world = World::new(SPEC);
        world.traffic.failing = [("v1".to_owned(), 0.01), ("v2".to_owned(), 0.01)].into();
        world.traffic.on_pods = on_pods;
        world.run_until("50", |world| world.share("v2") == 50);
        let evidence = world.working.run.unwrap().evidence;
        evidence.metrics["errorRate"].dispersion.map(|seen| seen.burst())
    };
    assert_eq!(learnt(vec![]), None, "nothing tells pods apart");
    // One pod has them all.
    let piled = learnt(vec![1.0, 0.0, 0.0, 0.0]).unwrap();
    assert!(piled > 4.0, "{piled}");
}

#[test]
fn a_share_far_from_the_weight_is_told_and_hinders_nothing() {
    let mut world = World::new(SPEC);
    world.traffic.comes_through = 0.3;
    world.run_until("10", |world| world.share("v2") == 10);
    world.run_for(Duration::from_secs(40));
    assert_eq!(world.condition("TrafficShare"), Some(("True", "OffTheWeight")));
    let told = world.notes.iter().filter(|note| note.reason == "TrafficShare").collect::<Vec<_>>();
    assert!(
        told[0].message.starts_with("At 10% the canary had 60 of 1,860 requests (3.2%)"),
        "{}",
        told[0].message
    );
    assert_eq!(told.len(), 1);
    world.traffic.comes_through = 1.0;
    world.run_until("50", |world| world.share("v2") == 50);
    world.run_for(Duration::from_secs(30));
    assert_eq!(world.condition("TrafficShare"), None);
}

#[test]
fn a_share_that_somebody_moved_is_not_told_as_one_off_the_weight() {
    let mut world = World::new(SPEC);
    world.run_until("10", |world| world.share("v2") == 10);
    world.somebody_sets("color", "kubectl", &[100, 0]);
    world.run_for(std::time::Duration::from_mins(1));
    assert_eq!(world.condition("RoutesInSync"), Some(("False", "Drifted")));
    assert_eq!(world.condition("TrafficShare"), None);
    assert!(world.notes.iter().all(|note| note.reason != "TrafficShare"));
}

#[test]
fn a_step_may_be_judged_by_more_and_otherwise() {
    let steps = "steps: [{weight: 10, analysis: {metrics: [{name: queue, query: q, max: \"5\"}]}}, {weight: 50, analysis: \
                 {errorRate: {max: \"2%\"}}}]";
    let spec = SPEC.replace("steps: [{weight: 10}, {weight: 50}]", steps);
    let at = |share, failing: f64| {
        let mut world = World::new(&spec);
        world.numbers.insert("queue".into(), Ok(1.0));
        world.traffic.failing = [("v1".to_owned(), 0.03), ("v2".to_owned(), failing)].into();
        world.run_until("there", |world| world.share("v2") == share);
        world
    };
    // The number is asked for in the first step only, where it fails.
    let mut world = at(10, 0.03);
    world.run_for(Duration::from_secs(30));
    let names =
        |world: &World| world.working.analysis.iter().map(|told| told.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&world), ["errorRate", "queue"]);
    world.numbers.insert("queue".into(), Ok(9.0));
    world.run_until("failed", |world| world.phase() == Phase::Failed);
    assert!(world.message().contains("queue is 9"), "{}", world.message());
    // As bad as stable is good enough for the first step and not for the second, whose limit is of its own.
    let mut world = at(50, 0.03);
    world.numbers.insert("queue".into(), Ok(9.0));
    world.run_until("failed", |world| world.phase() == Phase::Failed);
    assert!(world.message().starts_with("Rolled back at 50%: canary failed"), "{}", world.message());
    // What no step asks for any more is not judged.
    let mut world = at(50, 0.0);
    world.numbers.insert("queue".into(), Ok(9.0));
    world.run_for(Duration::from_secs(30));
    assert_eq!(names(&world), ["errorRate", "errorRate max"]);
    world.run_until("healthy", |world| world.phase() == Phase::Healthy);
}

#[test]
fn a_series_that_comes_back_brings_no_failures_of_long_ago() {
    let mut world = World::new(SPEC);
    world.counters.insert("v2".into(), (4_000.0, 40_000.0));
    world.run_until("10", |world| world.share("v2") == 10);
    world.run_until("50", |world| world.share("v2") == 50);
    // It is not there at the first looks of a step, and comes back.
    world.traffic.hidden = true;
    world.run_for(Duration::from_secs(35));
    world.traffic.hidden = false;
    world.run_until("healthy", |world| world.phase() == Phase::Healthy);
}

#[test]
fn the_mode_of_a_step_s_own_metric_can_be_changed_while_it_is_judged() {
    let metric = |mode: &str| format!("{{name: queue, query: q, max: \"5\", failures: 9{mode}}}");
    let steps = |mode: &str| {
        let own =
            format!("steps: [{{weight: 10, analysis: {{metrics: [{}]}}}}, {{weight: 50}}]", metric(mode));
        spec(&SPEC.replace("steps: [{weight: 10}, {weight: 50}]", &own))
    };
    let mut world = World::new(SPEC);
    world.spec = steps("");
    world.numbers.insert("queue".into(), Ok(9.0));
    world.run_until("10", |world| world.share("v2") == 10);
    world.run_for(Duration::from_secs(40));
    world.spec = steps(", mode: Observe");
    world.run_until("50", |world| world.share("v2") == 50);
}
