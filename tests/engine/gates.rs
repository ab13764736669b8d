//! Gates: what a step waits for that others know.

use std::time::Duration;

use tidegate::{
    api::{EndReason, GateAnswer, GateTime, PauseReason, Phase, RequestOutcome},
    engine::{
        gate::{Answered, AskDone},
        observed::WorkloadSeen,
    },
};

use crate::{
    requests::ask,
    world::{SPEC, World},
};

/// `SPEC` with gates before, during and after the step at 50 %.
fn gated(when: &str) -> World {
    let steps = format!("{{weight: 50, gates: {{{when}: [window]}}}}");
    let mut world = World::new(&SPEC.replace("{weight: 50}", &steps));
    world.gates.insert("window".into(), GateAnswer::Yes);
    world
}

/// Where each kind of gate keeps a run.
const KEPT_AT: [(&str, i64); 3] = [("before", 10), ("during", 50), ("after", 50)];

#[test]
fn who_says_yes_is_in_nobodys_way() {
    for (when, _) in KEPT_AT {
        let mut world = gated(when);
        world.run_until("promoted", |world| world.phase() == Phase::Healthy);
        assert_eq!(world.share("v2"), 100, "{when}");
        assert!(!world.asked.is_empty(), "{when}");
        assert!(world.asked.iter().all(|question| question.step == 2 && question.weight == 50), "{when}");
        assert_eq!(world.working.gates, [], "nothing is left of it");
    }
}

#[test]
fn whoever_says_wait_or_nothing_holds_and_never_fails_the_run() {
    for answer in [GateAnswer::Wait, GateAnswer::Down] {
        for (when, share) in KEPT_AT {
            let mut world = gated(when);
            world.gates.insert("window".into(), answer);
            world.run_for(Duration::from_hours(5));
            assert_eq!((world.share("v2"), world.phase()), (share, Phase::Progressing), "{answer:?} {when}");
            assert!(world.message().contains("gate window"), "{}", world.message());
            assert!(world.message().contains("because of window"), "{}", world.message());
            assert_eq!(world.condition("Ready"), Some(("False", "Gate")), "{answer:?} {when}");
            let told = &world.working.gates[0];
            assert_eq!((told.name.as_str(), told.answer, told.step), ("window", answer, 2));

            world.gates.insert("window".into(), GateAnswer::Yes);
            world.run_until("promoted", |world| world.phase() == Phase::Healthy);
        }
    }
}

#[test]
fn no_puts_all_traffic_back() {
    for (when, share) in KEPT_AT {
        let mut world = gated(when);
        world.gates.insert("window".into(), GateAnswer::No);
        world.run_until("failed", |world| world.phase() == Phase::Failed);
        assert_eq!(world.share("v2"), 0, "{when}");
        let last = &world.working.history[0];
        assert_eq!(last.outcome, EndReason::GateRefused, "{when}");
        let sentence = format!("Rolled back at {share}%: gate window says no: because of window");
        assert_eq!(last.message, sentence, "{when}");
    }
}

#[test]
fn during_a_step_it_is_asked_again_and_again_and_a_no_ends_a_pause_too() {
    let mut world = gated("during");
    world.run_until("50", |world| world.share("v2") == 50);
    ask(&mut world, "pause");
    world.asked.clear();
    world.run_for(Duration::from_mins(2));
    assert!(world.asked.len() > 10, "{}", world.asked.len());
    assert!(world.asked.iter().all(|question| question.when == GateTime::During));
    world.gates.insert("window".into(), GateAnswer::No);
    world.run_for(Duration::from_secs(15));
    assert_eq!((world.phase(), world.share("v2")), (Phase::Failed, 0));
}

#[test]
fn what_comes_after_a_step_is_asked_once_the_metrics_allow_the_next() {
    let mut world = gated("after");
    world.run_until("50", |world| world.share("v2") == 50);
    world.run_for(Duration::from_secs(30));
    assert_eq!(world.asked, [], "the hold is not over");
    world.run_until("100", |world| world.share("v2") == 100);
    assert_eq!(world.asked.len(), 1, "a yes is kept");
}

/// The pods go in the moment of the yes; when they are back, the gate is asked anew.
#[test]
fn a_yes_before_a_step_is_not_kept_for_when_something_else_allows_it() {
    let mut world = gated("before");
    world.gates.insert("window".into(), GateAnswer::Wait);
    world.run_until("held", |world| world.message().contains("gate window"));
    let question = world.asked[0].clone();
    let yes = Answered { question, answer: GateAnswer::Yes, sentence: "open".into() };
    world.workloads.insert("v2".into(), WorkloadSeen::present(2, 0, "h2"));
    world.answered = Some(AskDone { run: 1, step: 1, answers: vec![yes] });
    world.settle();
    assert_eq!(world.condition("Ready"), Some(("False", "CanaryNotReady")));
    world.pass(Duration::from_secs(20));
    world.workloads.insert("v2".into(), WorkloadSeen::present(2, 2, "h2"));
    world.run_for(Duration::from_mins(5));
    assert_eq!(world.share("v2"), 10, "it says to wait by now");
}

/// Metrics that take longer than their interval are asked for all the while: the gate holds the run all the same, its deadline
/// does not pass, and status is not written for each look.
#[test]
fn a_gate_holds_between_two_looks_too() {
    let mut world = gated("after");
    world.answers_after = Duration::from_secs(15);
    world.gates.insert("window".into(), GateAnswer::Down);
    world.run_until("held", |world| world.message().contains("gate window"));
    let writes = world.status_writes;
    world.run_for(Duration::from_hours(5));
    assert_eq!((world.share("v2"), world.phase()), (50, Phase::Progressing), "{}", world.message());
    assert_eq!(world.condition("Ready"), Some(("False", "Gate")));
    let writes = world.status_writes - writes;
    assert!(writes <= 5 * 60 + 2, "{writes} writes in five hours: more than one a minute");
    world.gates.insert("window".into(), GateAnswer::Yes);
    world.run_until("promoted", |world| world.phase() == Phase::Healthy);
}

/// What a gate says while the Rollout is suspended is no less said.
#[test]
fn a_no_that_comes_while_it_is_suspended_counts_once_it_is_not() {
    let mut world = gated("during");
    world.run_until("50", |world| world.share("v2") == 50);
    let question = world.asked[0].clone();
    let no = Answered { question, answer: GateAnswer::No, sentence: "too slow".into() };
    world.spec.suspend = true;
    world.answered = Some(AskDone { run: 1, step: 2, answers: vec![no] });
    world.settle();
    assert_eq!(world.share("v2"), 50);
    world.spec.suspend = false;
    world.settle();
    assert_eq!((world.share("v2"), world.working.history[0].outcome), (0, EndReason::GateRefused));
}

/// Each at its own interval, and one that has said yes not again.
#[test]
fn gates_are_asked_each_in_its_own_time() {
    let mut world =
        World::new(&SPEC.replace("{weight: 50}", "{weight: 50, gates: {after: [window, slow, sure]}}"));
    world.gates = [("window", GateAnswer::Wait), ("slow", GateAnswer::Wait), ("sure", GateAnswer::Yes)]
        .map(|(name, answer)| (name.to_owned(), answer))
        .into();
    world.intervals.insert("slow".into(), Duration::from_mins(1));
    world.run_until("held", |world| world.message().contains("gate window"));
    world.asked.clear();
    world.run_for(Duration::from_mins(10));
    let asked = |name: &str| world.asked.iter().filter(|question| question.gate == name).count();
    assert!((55..=62).contains(&asked("window")), "{}", asked("window"));
    assert!((9..=11).contains(&asked("slow")), "{}", asked("slow"));
    assert_eq!(asked("sure"), 0);
    let told = "gate window says to wait: because of window; gate slow says to wait: because of slow";
    assert!(world.message().ends_with(told), "{}", world.message());
}

/// A return to what was stable so recently asks nobody, whoever is configured.
#[test]
fn a_gate_that_is_unknown_keeps_nothing_from_a_return() {
    let window = "rollbackWindow: {versions: 1, within: 24h}\n";
    let mut world =
        World::new(&(SPEC.replace("{weight: 50}", "{weight: 50, gates: {after: [window]}}") + window));
    world.gates.insert("window".into(), GateAnswer::Yes);
    world.run_until("promoted", |world| world.phase() == Phase::Healthy);
    world.unknown_gates = vec!["window".into()];
    world.spec.target.name = "v1".into();
    world.spec.target.workload_ref = None;
    world.settle();
    assert_eq!(world.share("v1"), 100, "{}", world.message());
    assert!(world.working.run.as_ref().unwrap().analysis.is_some(), "it is judged all the same");
}

#[test]
fn a_person_may_pass_gates_over() {
    for (when, share) in KEPT_AT {
        let mut world = gated(when);
        world.gates.insert("window".into(), GateAnswer::Down);
        world
            .run_until("held", |world| world.share("v2") == share && world.message().contains("gate window"));
        ask(&mut world, "promote");
        assert_eq!(world.working.last_request.as_ref().unwrap().outcome, RequestOutcome::Accepted);
        world.run_until("promoted", |world| world.phase() == Phase::Healthy);
    }
    let mut world = gated("before");
    world.gates.insert("window".into(), GateAnswer::Down);
    world.run_until("10", |world| world.share("v2") == 10);
    ask(&mut world, "promote-full");
    world.run_until("promoted", |world| world.phase() == Phase::Healthy);
    assert_eq!(world.asked, [], "nobody is asked on the way");
}

/// Who ends a hold early, or agrees to a step, has said nothing of a gate that he did not see.
#[test]
fn a_promote_passes_over_what_was_waited_for_and_nothing_else() {
    let mut world = gated("before");
    world.gates.insert("window".into(), GateAnswer::Wait);
    world.run_until("10", |world| world.share("v2") == 10);
    ask(&mut world, "promote");
    world.run_for(Duration::from_mins(2));
    assert_eq!(world.share("v2"), 10, "{}", world.message());
    ask(&mut world, "promote");
    assert_eq!(world.share("v2"), 50);

    let approved = "{weight: 10, approval: Required}, {weight: 50, gates: {before: [window]}}";
    let mut world = World::new(&SPEC.replace("{weight: 10}, {weight: 50}", approved));
    world.gates.insert("window".into(), GateAnswer::Wait);
    let pause = |world: &World| world.working.run.as_ref()?.pause.as_ref().map(|pause| pause.reason);
    world.run_until("approval", |world| pause(world) == Some(PauseReason::Approval));
    ask(&mut world, "promote");
    world.run_for(Duration::from_mins(2));
    assert_eq!(world.share("v2"), 10, "{}", world.message());
}

#[test]
fn before_the_first_step_too() {
    let spec = SPEC.replace("{weight: 10}", "{weight: 10, gates: {before: [window, quota]}}");
    let mut world = World::new(&spec);
    world.gates = [("window".to_owned(), GateAnswer::Yes), ("quota".to_owned(), GateAnswer::Wait)].into();
    world.run_for(Duration::from_mins(5));
    assert_eq!(world.share("v2"), 0);
    let sentence =
        "Before the first step, waiting for gates to go to 10%: gate quota says to wait: because of quota";
    assert_eq!(world.message(), sentence);
    ask(&mut world, "promote");
    assert_eq!(world.share("v2"), 10);
}

#[test]
fn an_abort_asks_nobody() {
    let mut world = gated("during");
    world.run_until("50", |world| world.share("v2") == 50);
    let run = world.working.run.as_ref().unwrap().number;
    world.asked.clear();
    world.subject.abort = Some(format!(r#"{{"run":{run},"by":"ann","at":"{}"}}"#, world.now));
    world.settle();
    assert_eq!((world.share("v2"), world.asked.len()), (0, 0));
}

#[test]
fn an_answer_of_another_step_counts_for_nothing() {
    let mut world = gated("before");
    world.run_until("50", |world| world.share("v2") == 50);
    let question = world.asked[0].clone();
    let refused = Answered { question, answer: GateAnswer::No, sentence: "too late".into() };
    for (run, step) in [(1, 1), (0, 2)] {
        world.answered = Some(AskDone { run, step, answers: vec![refused.clone()] });
        world.settle();
    }
    world.run_until("promoted", |world| world.phase() == Phase::Healthy);
}

#[test]
fn after_a_restart_they_are_asked_again() {
    let mut world = gated("after");
    world.gates.insert("window".into(), GateAnswer::Wait);
    world.run_until("held", |world| world.message().contains("gate window"));
    world.restart();
    world.gates.insert("window".into(), GateAnswer::Yes);
    world.run_until("promoted", |world| world.phase() == Phase::Healthy);
}

#[test]
fn a_gate_that_is_not_configured_is_told_before_anything_begins() {
    let mut world = gated("after");
    world.unknown_gates = vec!["window".into()];
    world.settle();
    assert_eq!(world.phase(), Phase::Invalid);
    assert_eq!(world.condition("Stalled"), Some(("True", "UnknownGate")));
    assert!(world.message().contains("window"), "{}", world.message());
}

/// Of a step that nothing of the metrics applies to, a gate may decide as a person may.
#[test]
fn a_gate_decides_where_no_metric_applies() {
    let spec = SPEC.replace(
        "{canary: {hold: 1m, steps: [{weight: 10}, {weight: 50}]}}",
        "{blueGreen: {before: {hold: 1m, gates: {after: [window]}}, after: {hold: 1m}}}",
    );
    let mut world = World::new(&spec);
    world.gates.insert("window".into(), GateAnswer::Wait);
    world.run_until("held", |world| world.message().contains("gate window"));
    assert_eq!(world.share("v2"), 0);
    world.gates.insert("window".into(), GateAnswer::Yes);
    world.run_until("switched", |world| world.share("v2") == 100);
}
