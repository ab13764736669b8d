//! Steps that copy requests to a canary that answers nobody.

use std::time::Duration;

use tidegate::{
    api::{PauseReason, Phase},
    engine::{decision::Purpose, observed::RouteView},
};

use crate::{
    requests::ask,
    rules::rule,
    world::{SPEC, World, mirror},
};

fn world() -> World {
    World::new(
        &SPEC.replace(
            "steps: [{weight: 10}, {weight: 50}]",
            "steps: [{mirror: 10}, {mirror: 100}, {weight: 50}]",
        ),
    )
}

fn mirrored(world: &World) -> i64 {
    let mirrors = world.view("color").lists[0].mirrors.as_ref().unwrap();
    mirrors.entries.iter().filter(|mirror| mirror.name == "v2").map(|mirror| mirror.millionths / 10_000).sum()
}

fn set_mirror(world: &mut World, name: &str, percent: i64) {
    world.edit("color", |view: &mut RouteView| {
        let mirrors = view.lists[0].mirrors.as_mut().unwrap();
        mirrors.writer = Some("kubectl-edit".into());
        let entries = &mut mirrors.entries;
        entries.retain(|mirror| mirror.name != name);
        if percent > 0 {
            entries.push(mirror(name, percent));
        }
    });
}

fn step(world: &World) -> i32 {
    world.working.step.as_ref().map_or(0, |step| step.index)
}

/// In the first step, its mirror in effect.
fn at_ten() -> World {
    let mut world = world();
    world.run_until("mirrored", |world| {
        mirrored(world) == 10 && world.working.step.as_ref().unwrap().since.is_some()
    });
    world
}

#[test]
fn it_is_judged_before_it_answers_anybody() {
    let mut world = world();
    set_mirror(&mut world, "audit", 100);
    let mut seen = vec![];
    world.run_until("healthy", |world| {
        seen.push((step(world), mirrored(world), world.share("v2")));
        world.phase() == Phase::Healthy
    });
    seen.dedup();
    assert_eq!(seen, [(1, 10, 0), (2, 100, 0), (3, 0, 50), (4, 0, 100)]);
    let raises = world.writes.iter().filter(|(purpose, ..)| *purpose == Purpose::Raise).count();
    assert_eq!(raises, 4, "a write for each step");
    let left = &world.view("color").lists[0].mirrors.as_ref().unwrap().entries;
    assert_eq!(left, &[mirror("audit", 100)], "what is not ours stays");
    let said: Vec<_> = world.notes.iter().filter(|note| note.reason == "Step").collect();
    assert!(said[0].message.contains("copies of 10% of all requests to the canary"), "{}", said[0].message);
    assert!(
        said[1].message.contains("Safe at a mirror of 10%")
            || said[1].message.contains("Waiting at a mirror of 10%")
    );
}

#[test]
fn a_bad_one_is_put_back_before_it_answers_anybody() {
    let mut world = world();
    world.traffic.failing.insert("v2".into(), 0.3);
    let mut most = 0;
    world.run_until("failed", |world| {
        most = most.max(world.share("v2"));
        world.phase() == Phase::Failed
    });
    assert_eq!((most, mirrored(&world)), (0, 0));
    assert!(
        world.message().starts_with("Rolled back at a mirror of 10%: canary failed"),
        "{}",
        world.message()
    );
}

#[test]
fn a_crash_at_any_write_changes_nothing_about_the_end() {
    for bad in [false, true] {
        for after in 0..14 {
            let mut world = world();
            if bad {
                world.traffic.failing.insert("v2".into(), 0.3);
            }
            world.crash_after = Some(after);
            let want = if bad { Phase::Failed } else { Phase::Healthy };
            world.run_until("over", |world| world.working.phase == Some(want));
            let left = (mirrored(&world), world.share("v2"));
            assert_eq!(left, (0, if bad { 0 } else { 100 }), "bad {bad}, after {after}");
        }
    }
}

#[test]
fn a_mirror_that_somebody_changes_is_left_until_resume() {
    for percent in [0, 60] {
        let mut world = at_ten();
        set_mirror(&mut world, "v2", percent);
        world.settle();
        let pause = world.working.run.as_ref().unwrap().pause.clone().unwrap();
        assert_eq!(pause.reason, PauseReason::Drifted);
        let want = format!("kubectl-edit has {percent}% of requests copied to the canary, where 10% is ours");
        assert!(pause.message.contains(&want), "{}", pause.message);
        world.run_for(Duration::from_mins(5));
        assert_eq!(mirrored(&world), percent, "nobody fights over it");
        ask(&mut world, "resume");
        world.run_until("put right", |world| mirrored(world) == 10);
        world.run_until("healthy", |world| world.phase() == Phase::Healthy);
    }
}

#[test]
fn a_mirror_that_somebody_adds_to_a_step_without_one_pauses_too() {
    let mut world = world();
    world.run_until("50", |world| world.share("v2") == 50 && step(world) == 3);
    set_mirror(&mut world, "v2", 5);
    world.run_until("paused", |world| world.phase() == Phase::Paused);
    assert!(world.message().contains("where 0% is ours"), "{}", world.message());
}

#[test]
fn promote_full_takes_it_away() {
    let mut world = at_ten();
    ask(&mut world, "promote-full");
    world.run_until("healthy", |world| world.phase() == Phase::Healthy);
    assert_eq!((mirrored(&world), world.share("v2")), (0, 100));
}

#[test]
fn what_can_have_none_or_has_one_already_is_refused() {
    let refused = |world: &mut World| {
        world.settle();
        assert!(world.writes.is_empty(), "nothing is written");
        (world.condition("Stalled").unwrap().1.to_owned(), world.message().to_owned())
    };
    let mut taken = world();
    set_mirror(&mut taken, "v2", 5);
    let (reason, message) = refused(&mut taken);
    assert_eq!(reason, "MirrorTaken", "{message}");
    set_mirror(&mut taken, "v2", 0);
    taken.run_until("started", |world| step(world) == 1);

    let mut router = world();
    router.edit("color", |view| view.lists = vec![rule("#1", &[("v1", 100), ("v2", 0)])]);
    let (reason, message) = refused(&mut router);
    assert_eq!(reason, "NoMirror", "{message}");
}

#[test]
fn a_mirror_that_copies_nothing_is_one_all_the_same() {
    let mut world = at_ten();
    set_share(&mut world, 0);
    world.settle();
    assert!(world.message().contains("has 0% of requests copied"), "{}", world.message());
    world.subject.abort = Some(abort(&world));
    world.run_until("failed", |world| world.phase() == Phase::Failed);
    let left = &world.view("color").lists[0].mirrors.as_ref().unwrap().entries;
    assert!(left.is_empty(), "{left:?}");

    let mut world = at_ten();
    set_share(&mut world, 105_000);
    world.settle();
    assert!(world.message().contains("has 10.5% of requests copied"), "{}", world.message());
}

/// Somebody gives the mirror another share, in millionths.
fn set_share(world: &mut World, millionths: i64) {
    world.edit("color", |view| {
        for mirror in &mut view.lists[0].mirrors.as_mut().unwrap().entries {
            mirror.millionths = millionths;
        }
    });
}

fn abort(world: &World) -> String {
    let run = world.working.run.as_ref().unwrap().number;
    format!(r#"{{"run":{run},"by":"ann","at":"{}","reason":"enough"}}"#, world.now)
}

#[test]
fn what_is_copied_goes_where_the_canary_s_own_entry_says() {
    let mut world = at_ten();
    let entry = world.view("color").lists[0].entries[1].raw.clone();
    let changes = world.mirror_changes.clone();
    assert_eq!(changes.iter().map(|change| &change.like).collect::<Vec<_>>(), [&entry]);
    world.run_until("healthy", |world| world.phase() == Phase::Healthy);
}

/// A step that copies says nothing of the end: a mirror that somebody makes then is his.
#[test]
fn what_is_mirrored_after_the_end_is_nobody_s_concern() {
    let mut world = world();
    world.traffic.failing.insert("v2".into(), 0.3);
    world.run_until("failed", |world| world.phase() == Phase::Failed);
    set_mirror(&mut world, "v2", 5);
    world.somebody_sets("color", "kubectl-edit", &[50, 50]);
    world.run_until("taken back", |world| world.share("v2") == 0);
    assert_eq!(mirrored(&world), 5);
}

#[test]
fn a_share_that_is_not_what_was_asked_for_is_told() {
    let mut world = at_ten();
    // As a data plane that copies everything does, whatever it is told.
    world.traffic.comes_through = 10.0;
    world.run_until("told", |world| world.condition("TrafficShare").is_some());
    let sentence = world.working.conditions.iter().find(|told| told.type_ == "TrafficShare").unwrap();
    assert!(sentence.message.contains("At a mirror of 10% the canary had"), "{}", sentence.message);
}

#[test]
fn without_mirrors_in_the_plan_they_are_nobody_s_concern() {
    let mut world = World::new(SPEC);
    set_mirror(&mut world, "v2", 25);
    world.run_until("healthy", |world| world.phase() == Phase::Healthy);
    assert_eq!(mirrored(&world), 25);
}
