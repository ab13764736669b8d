//! What people ask by the annotations.

use std::time::Duration;

use serde_json::json;
use tidegate::api::{PauseReason, Phase, RequestOutcome};

use crate::world::{SPEC, World};

/// Asks for the run and step as they are now.
pub fn ask(world: &mut World, action: &str) {
    let run = world.working.run.as_ref().map_or(0, |run| run.number);
    let step = world.working.step.as_ref().map_or(0, |step| step.index);
    ask_for(world, action, run, step);
}

fn ask_for(world: &mut World, action: &str, run: i64, step: i32) {
    let (at, id) = (world.now, format!("{action}-{}-{run}-{step}", world.now));
    let text =
        format!(r#"{{"action":"{action}","run":{run},"step":{step},"by":"ann","at":"{at}","id":"{id}"}}"#);
    world.subject.request = Some(text);
    world.settle();
}

fn answer(world: &World) -> (RequestOutcome, &str) {
    let last = world.working.last_request.as_ref().unwrap();
    (last.outcome, last.message.as_str())
}

fn at_ten() -> World {
    let mut world = World::new(SPEC);
    world.run_until("10", |world| world.share("v2") == 10);
    world
}

#[test]
fn promote_ends_the_hold_once() {
    let mut world = at_ten();
    ask(&mut world, "promote");
    assert_eq!(world.share("v2"), 50);
    assert_eq!(answer(&world).0, RequestOutcome::Accepted);
    world.run_for(Duration::from_secs(20));
    assert_eq!(world.share("v2"), 50, "the same request is not taken twice");
}

#[test]
fn promote_full_goes_to_100_and_finishes() {
    let mut world = at_ten();
    ask(&mut world, "promote-full");
    world.run_for(Duration::from_secs(10));
    assert_eq!(world.phase(), Phase::Healthy);
    assert_eq!(world.share("v2"), 100);
}

#[test]
fn what_is_asked_of_a_run_that_stands_still_is_refused_with_the_reason() {
    let suspended = |world: &mut World| world.spec.suspend = true;
    let forged = |world: &mut World| {
        world.edit("color", |view| {
            let stamp = view.stamps.get_mut("color").unwrap();
            *stamp = stamp.text().replace(r#""epoch":1"#, r#""epoch":99"#).into();
        });
    };
    let changed = |change: fn(&mut World)| {
        let mut world = at_ten();
        change(&mut world);
        world
    };
    let cases =
        [(changed(suspended), "spec.suspend is true"), (changed(forged), "it was not written by Tidegate")];
    for (mut world, why) in cases {
        ask(&mut world, "promote");
        let (outcome, sentence) = answer(&world);
        assert_eq!(outcome, RequestOutcome::Refused, "{why}");
        assert!(sentence.contains(why), "{sentence}");
        assert_eq!(world.share("v2"), 10);
    }
}

#[test]
fn requests_that_saw_something_else_are_refused() {
    let mut world = at_ten();
    for (action, run, step, why) in [
        ("promote", 7, 1, "names run 7"),
        ("promote", 1, 2, "names step 2"),
        ("retry", 1, 1, "a run is active"),
        ("resume", 1, 1, "not paused"),
        ("abort", 1, 1, "annotation of its own"),
    ] {
        ask_for(&mut world, action, run, step);
        let (outcome, message) = answer(&world);
        assert_eq!(outcome, RequestOutcome::Refused, "{action}");
        assert!(message.contains(why), "{message}");
        assert_eq!(world.share("v2"), 10);
    }
}

#[test]
fn unreadable_annotations_are_answered_and_do_no_harm() {
    let mut world = at_ten();
    for text in
        ["promote", r#"{"action":"dance","run":1,"step":1,"by":"a","at":"2026-01-01T00:00:00Z","id":"x"}"#]
    {
        world.subject.request = Some(text.into());
        world.settle();
        let (outcome, message) = answer(&world);
        assert_eq!(outcome, RequestOutcome::Refused);
        assert!(message.contains("tidegate.dev/request"), "{message}");
    }
    world.subject.abort = Some("{}".into());
    world.settle();
    assert!(answer(&world).1.contains("tidegate.dev/abort"));
    assert_eq!(world.share("v2"), 10);
    world.subject.abort = Some(r#"{"run":7,"by":"ann","at":"2026-01-01T00:00:00Z"}"#.into());
    world.settle();
    assert!(answer(&world).1.contains("names run 7"));
    assert_eq!(world.share("v2"), 10);
}

#[test]
fn pause_and_resume() {
    let mut world = at_ten();
    ask(&mut world, "pause");
    world.run_for(Duration::from_mins(10));
    assert_eq!(world.share("v2"), 10);
    assert_eq!(world.phase(), Phase::Paused);
    assert_eq!(world.condition("Paused"), Some(("True", "Requested")));
    ask(&mut world, "resume");
    world.run_until("healthy", |world| world.phase() == Phase::Healthy);
}

#[test]
fn a_paused_run_still_rolls_back() {
    let mut world = at_ten();
    ask(&mut world, "pause");
    world.traffic.failing.insert("v2".into(), 0.2);
    world.run_until("failed", |world| world.phase() == Phase::Failed);
}

#[test]
fn approval_waits_for_promote() {
    let mut world = World::new(&SPEC.replace("{weight: 10}", "{weight: 10, approval: Required}"));
    world.run_until("approval", |world| {
        let pause = world.working.run.as_ref().and_then(|run| run.pause.as_ref());
        pause.is_some_and(|pause| pause.reason == PauseReason::Approval)
    });
    world.run_for(Duration::from_hours(1));
    assert_eq!(world.share("v2"), 10);
    ask(&mut world, "promote");
    assert_eq!(world.share("v2"), 50);
}

#[test]
fn retry_of_a_failed_target_is_a_new_run_from_zero() {
    let mut world = World::new(SPEC);
    world.traffic.failing.insert("v2".into(), 0.2);
    world.run_until("failed", |world| world.phase() == Phase::Failed);
    world.traffic.failing.clear();
    ask(&mut world, "retry");
    assert_eq!(world.working.run.as_ref().unwrap().number, 2);
    world.run_until("healthy", |world| world.phase() == Phase::Healthy);
}

#[test]
fn abort_beats_everything_but_deletion() {
    let mut world = at_ten();
    world.spec.suspend = true;
    world.subject.abort =
        Some(r#"{"run":1,"by":"ann","at":"2026-01-01T00:00:00Z","reason":"checkout is slow"}"#.into());
    let run = 1;
    let step = 1;
    let text = format!(
        r#"{{"action":"promote-full","run":{run},"step":{step},"by":"bob","at":"2026-01-01T00:00:00Z","id":"1"}}"#
    );
    world.subject.request = Some(text);
    world.settle();
    assert_eq!((world.share("v1"), world.share("v2")), (100, 0));
    assert!(world.working.history[0].message.contains("aborted by ann: checkout is slow"));
}

#[test]
fn an_abort_is_told_once() {
    let mut world = at_ten();
    world.notes.clear();
    world.subject.abort =
        Some(r#"{"run":1,"by":"ann","at":"2026-01-01T00:00:00Z","reason":"checkout is slow"}"#.into());
    world.settle();
    let told: Vec<_> = world.notes.iter().map(|note| (note.reason, note.message.as_str())).collect();
    assert_eq!(told, [("Aborted", "Run ended at 10%: aborted by ann: checkout is slow")]);
    assert_eq!(answer(&world), (RequestOutcome::Accepted, "run 1 is ended"));
}

#[test]
fn a_request_taken_in_one_run_is_not_answered_again_in_the_next() {
    let mut world = at_ten();
    world.subject.abort = Some(r#"{"run":1,"by":"ann","at":"2026-01-01T00:00:00Z"}"#.into());
    world.settle();
    ask(&mut world, "retry");
    world.run_until("10 again", |world| world.share("v2") == 10);
    assert_eq!(answer(&world), (RequestOutcome::Accepted, "the target is tried again, from 0"));
}

#[test]
fn at_rest_two_annotations_are_each_answered_once() {
    let mut world = World::new(&SPEC.replace("v2", "v1"));
    world.subject.abort = Some(r#"{"run":1,"by":"ann","at":"2026-01-01T00:00:00Z"}"#.into());
    ask(&mut world, "resume");
    let written = world.status_writes;
    world.run_for(Duration::from_mins(5));
    assert_eq!(world.status_writes, written);
}

fn size(world: &World) -> usize {
    serde_json::to_string(&world.working).unwrap().len()
}

/// Whoever may annotate a Rollout writes what he likes. What is kept of it and told is short.
#[test]
fn however_much_is_written_into_an_annotation_little_of_it_is_kept() {
    let mut world = at_ten();
    let (before, at) = (size(&world), world.now);
    let huge = "x\n".repeat(100_000);
    let asked = |action: &str, by: &str, id: &str| {
        json!({"action": action, "run": 1, "step": 1, "by": by, "at": at, "id": id}).to_string()
    };
    for (text, outcome) in [
        (huge.clone(), RequestOutcome::Refused),
        (json!(huge).to_string(), RequestOutcome::Refused),
        (asked(&huge, "ann", "1"), RequestOutcome::Refused),
        (asked("resume", "ann", &huge), RequestOutcome::Refused),
        (asked("resume", "ann", ""), RequestOutcome::Refused),
        (asked("pause", &huge, "2"), RequestOutcome::Accepted),
    ] {
        world.subject.request = Some(text);
        world.settle();
        assert_eq!(answer(&world).0, outcome, "{}", answer(&world).1);
        let written = world.status_writes;
        world.settle();
        assert_eq!(world.status_writes, written, "answered once");
    }
    assert_eq!(world.phase(), Phase::Paused, "as was asked");
    assert_eq!(world.share("v2"), 10);

    // An abort is one, whatever else it says.
    world.subject.abort = Some(json!({"run": 1, "by": huge, "at": at, "reason": huge}).to_string());
    world.settle();
    assert_eq!((world.share("v1"), world.share("v2")), (100, 0));
    assert!(size(&world) < before + 16_000, "{before} became {}", size(&world));
    assert!(world.notes.iter().all(|note| note.message.len() < 2_000 && !note.message.contains('\n')));
}

#[test]
fn odd_runs_and_steps_are_somebody_elses() {
    let mut world = at_ten();
    for (run, step) in [(i64::MAX, 1), (i64::MIN, 1), (-1, 1), (0, 1), (1, i32::MAX), (1, i32::MIN), (1, -1)]
    {
        ask_for(&mut world, "promote-full", run, step);
        assert_eq!(answer(&world).0, RequestOutcome::Refused, "{run} {step}");
        world.subject.abort =
            Some(json!({"run": run + i64::from(run == 1), "by": "ann", "at": world.now}).to_string());
        world.settle();
        assert_eq!(world.share("v2"), 10, "{run} {step}");
    }
}

/// Ids are kept for the run, and only so many of them.
#[test]
fn a_flood_of_requests_is_answered_and_the_first_of_them_forgotten() {
    let mut world = at_ten();
    for number in 0..300 {
        world.subject.request = Some(format!("no request at all, number {number}"));
        world.settle();
    }
    assert_eq!(world.working.taken.len(), 100);
    assert_eq!(world.share("v2"), 10);
    world.subject.abort = Some(json!({"run": 1, "by": "ann", "at": world.now}).to_string());
    world.settle();
    assert_eq!(world.share("v2"), 0);
}
