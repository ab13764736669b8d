//! Random worlds: people, tools, crashes and metrics at random; the world checks the invariants after every
//! decision, and once everybody is quiet a good canary must be live and a bad one must be off.

use std::time::Duration;

use proptest::prelude::*;
use tidegate::{
    api::{PauseReason, Phase},
    engine::observed::WorkloadSeen,
};

use crate::{
    blue_green::BLUE_GREEN,
    requests::ask,
    world::{SPEC, World, entry},
};

#[derive(Clone, Debug)]
enum Happening {
    Pass(u64),
    Weights(i64),
    TakeStamp,
    Unrelated,
    Crash(usize),
    MetricsDown(bool),
    Ask(&'static str),
    CanaryReady(bool),
    Abort,
    Suspend(bool),
    Target(&'static str),
    Image(u8),
    EntryOut(usize),
    Forge,
    Restart,
    PreviewOut,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        6 => (1u64..90).prop_map(Happening::Pass),
        2 => (0i64..=100).prop_map(Happening::Weights),
        1 => Just(Happening::TakeStamp),
        2 => Just(Happening::Unrelated),
        3 => (0usize..4).prop_map(Happening::Crash),
        1 => any::<bool>().prop_map(Happening::MetricsDown),
        2 => prop_oneof![Just("promote"), Just("pause"), Just("resume"), Just("promote-full"), Just("retry")].prop_map(Happening::Ask),
        1 => any::<bool>().prop_map(Happening::CanaryReady),
        1 => Just(Happening::Abort),
        1 => any::<bool>().prop_map(Happening::Suspend),
        1 => prop_oneof![Just("v1"), Just("v2"), Just("v3")].prop_map(Happening::Target),
        1 => (0u8..3).prop_map(Happening::Image),
        1 => (0usize..2).prop_map(Happening::EntryOut),
        1 => Just(Happening::Forge),
        2 => Just(Happening::Restart),
        1 => Just(Happening::PreviewOut),
    ]
}

fn apply(world: &mut World, happening: &Happening) {
    match happening {
        Happening::Pass(seconds) => world.pass(Duration::from_secs(*seconds)),
        Happening::Weights(share) => world.somebody_sets("color", "kubectl", &[100 - share, *share]),
        Happening::TakeStamp => world.edit("color", |view| view.stamps.clear()),
        Happening::Unrelated => world.edit("color", |_| {}),
        Happening::Crash(after) => world.crash_after = Some(*after),
        Happening::MetricsDown(down) => world.traffic.down = *down,
        Happening::Ask(action) => ask(world, action),
        Happening::CanaryReady(ready) => {
            let ready = i32::from(*ready) * 2;
            world.workloads.insert("v2".into(), WorkloadSeen::present(2, ready, "h2"));
        }
        Happening::Suspend(suspend) => world.spec.suspend = *suspend,
        Happening::Target(name) => world.spec.target.name = (*name).into(),
        Happening::Image(hash) => {
            let hash = format!("image-{hash}");
            world.workloads.insert("v2".into(), WorkloadSeen::present(2, 2, hash));
        }
        Happening::EntryOut(index) => world.edit("color", |view| {
            if *index < view.lists[0].entries.len() {
                view.lists[0].entries.remove(*index);
            }
        }),
        Happening::Forge => world.edit("color", |view| {
            for stamp in view.stamps.values_mut() {
                *stamp = stamp.text().replacen(r#""epoch":"#, r#""epoch":9"#, 1).into();
            }
        }),
        Happening::Restart => world.restart(),
        Happening::PreviewOut => world.previews.clear(),
        Happening::Abort => {
            let run = world.working.run.as_ref().map_or(0, |run| run.number);
            world.subject.abort = Some(format!(r#"{{"run":{run},"by":"ann","at":"{}"}}"#, world.now));
        }
    }
    world.settle();
    if world.crashed {
        world.restart();
        world.settle();
    }
}

/// What people do once they read the conditions: forged stamps go, stable's entry comes back.
fn repair(world: &mut World) {
    let epoch = world.working.epoch;
    let stable = world.working.stable.as_ref().map_or("v1".to_owned(), |stable| stable.name.clone());
    world.edit("color", |view| {
        view.stamps.retain(|_, stamp| stamp.says().is_none_or(|stamp| stamp.epoch <= epoch));
        if view.lists[0].entries.iter().all(|entry| entry.name != stable) {
            view.lists[0].entries.push(entry(&stable, 100));
        }
    });
    world.settle();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_invariants_hold_and_the_end_is_right(
        bad in any::<bool>(),
        strategy in prop_oneof![2 => Just(SPEC), 1 => Just(BLUE_GREEN)],
        happenings in proptest::collection::vec(happening(), 1..40),
    ) {
        let mut world = World::new(strategy);
        world.previewing.per_second = 5.0;
        if bad {
            world.traffic.failing.insert("v2".into(), 0.2);
        }
        world.settle();
        for happening in &happenings {
            apply(&mut world, happening);
        }
        world.traffic.down = false;
        world.crash_after = None;
        world.workloads.insert("v2".into(), WorkloadSeen::present(2, 2, "h2"));
        world.spec.suspend = false;
        world.spec.target.name = "v2".into();
        // Everybody is quiet; people put entries back, resume what is paused, and agree to what can't be judged.
        for _ in 0..8 {
            world.run_for(Duration::from_mins(2));
            repair(&mut world);
            let pause = world.working.run.as_ref().and_then(|run| run.pause.as_ref()).map(|pause| pause.reason);
            if pause == Some(PauseReason::Inconclusive) {
                ask(&mut world, "promote");
            } else if pause.is_some() || world.condition("RoutesInSync").is_some_and(|c| c.0 == "False") {
                ask(&mut world, "resume");
            }
        }
        world.run_for(Duration::from_mins(15));
        let quiet = (world.writes.len(), world.status_writes);
        world.run_for(Duration::from_mins(10));
        prop_assert_eq!((world.writes.len(), world.status_writes), quiet, "at rest nothing is written: {} {:?}", world.message(), world.phase());
        prop_assert!(world.previews.is_empty(), "a preview goes with its run");
        match world.phase() {
            Phase::Healthy => {
                let stable = world.working.stable.clone().unwrap();
                prop_assert!(world.view("color").all_on(&stable), "{:?}", world.view("color").lists[0].entries);
            }
            Phase::Failed => {
                let canary = world.working.canary.clone().unwrap();
                prop_assert_eq!(world.share(&canary.name), 0);
            }
            other => prop_assert!(false, "{:?}: {}", other, world.message()),
        }
    }
}
