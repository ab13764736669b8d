//! Another process has taken over, or the caches are behind it: what a process then leaves alone.

use std::time::Duration;

use tidegate::{
    api::{Phase, SpelledStamp, Stamp},
    engine::{
        decide,
        decision::{Effect, Purpose},
        memory::Memory,
        observed::Other,
    },
};

use crate::world::{SPEC, World};

fn at_ten() -> World {
    let mut world = World::new(SPEC);
    world.run_until("10", |world| world.share("v2") == 10);
    world
}

/// The other process raises the epoch and stamps the route; what this one remembers stays as it was.
fn taken_over(world: &mut World) {
    let mine = world.memory.clone();
    world.memory = Memory::default();
    world.settle();
    world.memory = mine;
}

#[test]
fn who_is_deposed_writes_and_says_nothing() {
    let mut world = at_ten();
    taken_over(&mut world);
    for bad in [false, true] {
        if bad {
            world.traffic.failing.insert("v2".into(), 0.5);
        }
        let (writes, status, notes) = (world.writes.len(), world.status_writes, world.notes.len());
        for minute in 0..10 {
            // The other one saves its evidence.
            world.stored.step.as_mut().unwrap().elapsed = Duration::from_secs(minute).into();
            world.run_for(Duration::from_mins(1));
        }
        assert_eq!((world.writes.len(), world.status_writes, world.notes.len()), (writes, status, notes));
    }
}

#[test]
fn who_is_deposed_takes_over_when_nothing_is_heard_of_the_other() {
    let mut world = at_ten();
    taken_over(&mut world);
    world.traffic.failing.insert("v2".into(), 0.5);
    world.run_for(Duration::from_mins(2));
    assert_eq!(world.share("v2"), 10);
    world.run_until("off", |world| world.share("v2") == 0);
    world.run_until("failed", |world| world.phase() == Phase::Failed);
}

#[test]
fn a_rollout_that_is_deleted_is_let_go_by_whoever_sees_it() {
    let mut world = at_ten();
    taken_over(&mut world);
    world.subject.deleting = true;
    world.run_until("let go", |world| !world.subject.finalizer);
    assert_eq!(world.share("v2"), 0);
}

#[test]
fn a_process_whose_cache_is_behind_a_stamp_reads_before_it_lowers() {
    let mut world = at_ten();
    let known = world.stored.clone();
    taken_over(&mut world);
    // It has seen the other's stamp, but not yet the status behind it; and it would end the run.
    world.stored = known.clone();
    world.working = known;
    let run = world.working.run.as_ref().unwrap().number;
    world.subject.abort = Some(format!(r#"{{"run":{run},"by":"ann","at":"{}"}}"#, world.now));
    let seen = world.observed();
    let decision = decide(&world.spec, &world.working, &seen, &world.memory, world.now);
    assert_eq!(decision.effects, [Effect::Reread]);
    assert!(decision.before.is_none() && !decision.store);
    // The API server knows nothing of that epoch either: forged, and no reason to leave the canary where it is.
    world.fresh = true;
    let seen = world.observed();
    let decision = decide(&world.spec, &world.working, &seen, &world.memory, world.now);
    assert!(decision.lowers());
}

#[test]
fn whose_a_stamp_is_that_no_list_has_is_asked_before_anything_else() {
    let stamp = Stamp { uid: "other-uid".into(), epoch: 1, run: 1, step: 1, aborted: false, added: vec![] };
    let other = |uid: &str| Other { uid: uid.into(), routes: vec![] };
    let cases = [
        ("it was just made", Some(other("other-uid")), Phase::Invalid),
        ("another of that name was", Some(other("new-uid")), Phase::Progressing),
        ("it is gone", None, Phase::Progressing),
    ];
    for (name, read, phase) in cases {
        let mut world = World::new(SPEC);
        world.edit("color", |view| drop(view.stamps.insert("other".into(), stamp.clone().into())));
        assert_eq!(world.decide().effects, [Effect::Reread], "{name}");
        world.others.extend(read.map(|other| ("other".to_owned(), other)));
        world.settle();
        assert_eq!(world.phase(), phase, "{name}");
        // What is gone is not asked about again, and what was read binds as long as it is not listed.
        assert!(!world.decide().effects.contains(&Effect::Reread), "{name}");
    }
}

#[test]
fn a_raise_is_decided_on_what_is_known_when_it_is_sent() {
    let two = SPEC
        .replace("name: color}]", "name: color}, {group: appmesh.k8s.aws, kind: GatewayRoute, name: api}]");
    let mut world = World::new(&two);
    let route = world.routes["color"].clone();
    world.routes.insert("api".into(), route);
    for _ in 0..200 {
        let decision = world.decide();
        let raises =
            |effect: &&Effect| matches!(effect, Effect::Write(write) if write.purpose == Purpose::Raise);
        let writes = decision.effects.iter().filter(|effect| effect.writes()).count();
        if decision.effects.iter().any(|effect| raises(&effect)) {
            assert!(decision.before.is_none(), "the intent was stored by an earlier decision");
            assert_eq!(writes, 1, "no other write comes before it");
        }
        world.pass(Duration::from_secs(1));
    }
    assert!(world.share("v2") > 0, "it was raised");
    let stamped = |name: &str| world.view(name).stamps.values().filter_map(SpelledStamp::says).count();
    assert_eq!((stamped("color"), stamped("api")), (1, 1));
}
