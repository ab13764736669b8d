//! What every version left behind mid-run is understood by this one. `tests/data/states` has a state of each:
//!
//! ```console
//! $ TIDEGATE_KEEP_STATE=1 cargo test --test engine upgrade::    # before a release: keeps this version's
//! ```

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tidegate::{
    api::{Phase, RolloutSpec, RolloutStatus, SpelledStamp},
    engine::observed::RouteState,
};

use crate::world::{SPEC, World, entry, route};

/// A Rollout in its second step, and its route.
#[derive(Serialize, Deserialize)]
struct State {
    spec: RolloutSpec,
    status: RolloutStatus,
    weights: Vec<(String, i64)>,
    stamps: BTreeMap<String, SpelledStamp>,
    counters: BTreeMap<String, (f64, f64)>,
    at: jiff::Timestamp,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/states")
}

fn present() -> State {
    let mut world = World::new(SPEC);
    world.run_until("50", |world| world.share("v2") == 50);
    world.run_for(Duration::from_secs(30));
    let view = world.view("color").clone();
    State {
        spec: world.spec.clone(),
        status: world.stored.clone(),
        weights: view.lists[0].entries.iter().map(|entry| (entry.name.clone(), entry.weight)).collect(),
        stamps: view.stamps,
        counters: world.counters.clone(),
        at: world.now,
    }
}

/// Another process takes such a state over.
fn taken_over(state: State) -> World {
    let mut world = World::new(SPEC);
    let entries = state.weights.iter().map(|(name, weight)| entry(name, *weight)).collect();
    let RouteState::Present(view) = route(entries) else { unreachable!() };
    let mut view = (*view).clone();
    view.annotated = true;
    view.stamps = state.stamps;
    world.routes.insert("color".into(), RouteState::Present(view.into()));
    world.spec = state.spec;
    world.stored = state.status;
    world.counters = state.counters;
    world.now = state.at;
    world.subject.finalizer = true;
    world.restart();
    world
}

#[test]
fn what_every_version_left_mid_run_goes_on_where_it_was() {
    if std::env::var_os("TIDEGATE_KEEP_STATE").is_some() {
        std::fs::create_dir_all(folder()).unwrap();
        let file = folder().join(format!("{}.json", env!("CARGO_PKG_VERSION")));
        std::fs::write(file, serde_json::to_string_pretty(&present()).unwrap() + "\n").unwrap();
    }
    let files = std::fs::read_dir(folder()).unwrap().map(|file| file.unwrap().path());
    let mut versions = 0;
    for file in files {
        for bad in [false, true] {
            let state: State = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
            let number = state.status.run.as_ref().unwrap().number;
            let mut world = taken_over(state);
            if bad {
                world.traffic.failing.insert("v2".into(), 0.3);
            }
            world.settle();
            assert_eq!(world.share("v2"), 50, "{}: it goes on where it was", file.display());
            let end = if bad { Phase::Failed } else { Phase::Healthy };
            world.run_until("over", |world| world.phase() == end);
            assert_eq!(
                world.working.run.as_ref().unwrap().number,
                number,
                "{}: the same run",
                file.display()
            );
        }
        versions += 1;
    }
    assert!(versions > 0);
}

#[test]
fn what_a_newer_version_keeps_is_left_alone_until_it_is_ours_again() {
    let mut state = present();
    state.status.format = RolloutStatus::FORMAT + 1;
    let mut world = taken_over(state);
    world.traffic.failing.insert("v2".into(), 0.3);
    world.subject.abort = Some(format!(r#"{{"run":1,"by":"ann","at":"{}"}}"#, world.now));
    let before = (world.stored.clone(), world.view("color").clone());
    world.run_for(Duration::from_hours(1));
    assert_eq!((&world.stored, world.view("color")), (&before.0, &before.1), "nothing is written");
    let told: Vec<_> = world.notes.iter().filter(|note| note.reason == "NewerStatus").collect();
    let versions = format!("format {}; this one knows {}", RolloutStatus::FORMAT + 1, RolloutStatus::FORMAT);
    assert!(told.len() == 1 && told[0].message.contains(&versions), "{told:?}");

    world.stored.format = RolloutStatus::FORMAT;
    world.restart();
    world.settle();
    assert_eq!(world.share("v2"), 0, "the abort is taken");
}

#[test]
fn what_a_newer_version_left_is_not_guessed() {
    let mut status: Value = serde_json::to_value(present().status).unwrap();
    status["run"]["pause"] =
        json!({"reason": "SomethingNew", "message": "", "since": "2026-01-01T00:00:00Z"});
    // A status that can't be read sets the Rollout aside: nothing is decided on it.
    assert!(serde_json::from_value::<RolloutStatus>(status).is_err());
}
