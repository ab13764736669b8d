//! What receivers are told, and until when it is kept.

use std::{collections::BTreeSet, time::Duration};

use tidegate::{
    api::{EndReason, GateAnswer, Notice, Phase, Transition},
    engine::observed::{RouteState, WorkloadSeen},
};

use crate::{
    requests::ask,
    world::{SPEC, World, entry, route},
};

/// A world in which somebody wants to know of everything.
fn told(spec: &str) -> World {
    let mut world = World::new(spec);
    world.receivers.insert("team".into(), Transition::ALL.into());
    world
}

fn kinds(world: &World) -> Vec<Transition> {
    world.stored.notices.iter().map(|notice| notice.transition).collect()
}

fn last(world: &World) -> &Notice {
    world.stored.notices.last().expect("something is told")
}

#[test]
fn a_run_is_told_from_its_beginning_to_its_end() {
    let mut world = told(SPEC);
    world.run_until("promoted", |world| world.phase() == Phase::Healthy);
    let step = Transition::Step;
    assert_eq!(kinds(&world), [Transition::Started, step, step, step, Transition::Promoted]);
    let first = &world.stored.notices[0];
    assert_eq!((first.run, &first.to), (Some(1), &vec!["team".to_owned()]));
    assert!(last(&world).message.contains("v2 is live"), "{:?}", last(&world));
    let ids: BTreeSet<&str> = world.stored.notices.iter().map(|notice| notice.id.as_str()).collect();
    assert_eq!(ids.len(), 5, "each has an id of its own");
}

#[test]
fn who_wants_to_know_of_something_else_is_not_told() {
    let mut world = World::new(SPEC);
    world.receivers.insert("pager".into(), [Transition::RolledBack].into());
    world.run_until("promoted", |world| world.phase() == Phase::Healthy);
    assert_eq!(kinds(&world), []);
}

/// How a run can end with its traffic on stable, each by what leads to it.
fn ends() -> Vec<(EndReason, Box<dyn Fn() -> World>)> {
    fn at_ten(spec: &str) -> World {
        let mut world = told(spec);
        world.run_until("10", |world| world.share("v2") == 10);
        world
    }
    fn then(change: impl Fn(&mut World) + 'static) -> Box<dyn Fn() -> World> {
        Box::new(move || {
            let mut world = at_ten(SPEC);
            change(&mut world);
            world.run_for(Duration::from_mins(40));
            world
        })
    }
    fn with(spec: String, change: impl Fn(&mut World) + 'static) -> Box<dyn Fn() -> World> {
        Box::new(move || {
            let mut world = told(&spec);
            change(&mut world);
            world.run_for(Duration::from_mins(40));
            world
        })
    }
    vec![
        (EndReason::Failed, then(|world| world.traffic.failing = [("v2".to_owned(), 0.5)].into())),
        (
            EndReason::GateRefused,
            with(SPEC.replace("{weight: 10}", "{weight: 10, gates: {after: [window]}}"), |world| {
                world.gates.insert("window".into(), GateAnswer::No);
            }),
        ),
        (
            EndReason::Aborted,
            then(|world| {
                world.subject.abort = Some(format!(r#"{{"run":1,"by":"ann","at":"{}"}}"#, world.now));
            }),
        ),
        (
            EndReason::Deadline,
            then(|world| drop(world.workloads.insert("v2".into(), WorkloadSeen::present(2, 0, "h2")))),
        ),
        (
            EndReason::Inconclusive,
            with(format!("{SPEC}  onInconclusive: Rollback\n"), |world| world.traffic.per_second = 0.0),
        ),
        (EndReason::TargetChanged, then(|world| world.spec.target.name = "v3".into())),
        (EndReason::TargetReturned, then(|world| world.spec.target.name = "v1".into())),
        (
            EndReason::RevisionChanged,
            then(|world| drop(world.workloads.insert("v2".into(), WorkloadSeen::present(2, 2, "h9")))),
        ),
        (
            EndReason::RouteReplaced,
            then(|world| {
                let RouteState::Present(view) = route(vec![entry("v1", 100), entry("v2", 0)]) else { return };
                let mut view = (*view).clone();
                view.uid = "another".into();
                world.routes.insert("color".into(), RouteState::Present(view.into()));
            }),
        ),
        (EndReason::Deleted, then(|world| world.subject.deleting = true)),
        (
            EndReason::Marked,
            then(|world| {
                let stamp = world.view("color").stamps["color"].says().unwrap().clone();
                let marked = tidegate::api::Stamp { aborted: true, ..stamp };
                world.edit("color", |view| drop(view.stamps.insert("color".into(), marked.clone().into())));
            }),
        ),
    ]
}

/// Every way in which a run ends with its traffic on stable tells whoever wants to know of it.
#[test]
fn every_way_back_is_told() {
    for (reason, play) in ends() {
        let world = play();
        let told = world.stored.notices.iter().find(|notice| notice.transition == Transition::RolledBack);
        let told = told.unwrap_or_else(|| panic!("{reason:?} is not told: {:?}", world.stored.notices));
        assert_eq!(told.reason, reason.word(), "{told:?}");
        assert_eq!((told.run, told.to.as_slice()), (Some(1), ["team".to_owned()].as_slice()), "{reason:?}");
    }
    // No way is missing: the compiler asks for each that is new.
    let all = |reason: EndReason| match reason {
        EndReason::Promoted => false,
        EndReason::Failed
        | EndReason::GateRefused
        | EndReason::Aborted
        | EndReason::Deadline
        | EndReason::Inconclusive
        | EndReason::TargetChanged
        | EndReason::TargetReturned
        | EndReason::RevisionChanged
        | EndReason::RouteReplaced
        | EndReason::Deleted
        | EndReason::Marked => true,
    };
    let played: BTreeSet<&str> = ends().iter().map(|(reason, _)| reason.word()).collect();
    let known = [
        EndReason::Promoted,
        EndReason::Failed,
        EndReason::GateRefused,
        EndReason::Aborted,
        EndReason::Deadline,
        EndReason::Inconclusive,
        EndReason::TargetChanged,
        EndReason::TargetReturned,
        EndReason::RevisionChanged,
        EndReason::RouteReplaced,
        EndReason::Deleted,
        EndReason::Marked,
    ];
    let back: BTreeSet<&str> = known.into_iter().filter(|reason| all(*reason)).map(EndReason::word).collect();
    assert_eq!(played, back);
}

/// It is in the very write that makes it true, so that no crash comes between.
#[test]
fn what_is_told_is_stored_with_what_it_tells_of() {
    for writes in 0..12 {
        let mut world = told(SPEC);
        world.crash_after = Some(writes);
        for _ in 0..20 {
            if world.crashed {
                break;
            }
            world.decide();
        }
        let began = world.stored.run.is_some();
        assert_eq!(kinds(&world).contains(&Transition::Started), began, "after {writes} writes");
        let stepped = world.stored.step.as_ref().is_some_and(|step| step.index > 0);
        assert_eq!(kinds(&world).contains(&Transition::Step), stepped, "after {writes} writes");
    }
}

#[test]
fn what_was_taken_goes_and_the_rest_stays() {
    let mut world = told(SPEC);
    world.receivers.insert("pager".into(), [Transition::Promoted].into());
    world.run_until("promoted", |world| world.phase() == Phase::Healthy);
    let id = last(&world).id.clone();
    assert_eq!(last(&world).to, ["pager", "team"]);
    world.taken_by = vec![(id.clone(), "team".into()), ("another".into(), "pager".into())];
    world.settle();
    assert_eq!((last(&world).id.as_str(), &last(&world).to), (id.as_str(), &vec!["pager".to_owned()]));

    // Whom nobody knows any more nobody is to tell.
    world.receivers.remove("pager");
    world.settle();
    assert!(world.stored.notices.iter().all(|notice| notice.id != id));
    assert_eq!(kinds(&world).len(), 4, "those of team");
}

#[test]
fn what_nobody_takes_is_given_up_after_a_day_and_said() {
    let mut world = told(SPEC);
    world.run_until("promoted", |world| world.phase() == Phase::Healthy);
    // Nothing else gives it a turn.
    let wake = world.wake.expect("a turn to give them up");
    assert!(wake <= world.now + jiff::SignedDuration::from_hours(24), "{wake}");
    world.now = wake;
    world.settle();
    world.pass(Duration::from_mins(30));
    world.settle();
    assert_eq!(kinds(&world), []);
    let lost = world.notes.iter().filter(|note| note.reason == "NoticeLost");
    assert!(
        lost.clone().any(|note| note.message == "Promoted could not be told to team"),
        "{:?}",
        world.notes
    );
    assert_eq!(lost.count(), 5);
}

#[test]
fn no_more_are_kept_than_fit() {
    let mut world = told(SPEC);
    world.run_until("10", |world| world.share("v2") == 10);
    for _ in 0..20 {
        ask(&mut world, "pause");
        world.pass(Duration::from_secs(1));
        ask(&mut world, "resume");
        world.pass(Duration::from_secs(1));
    }
    assert_eq!(kinds(&world), [Transition::Paused; 16]);
    assert!(world.notes.iter().any(|note| note.reason == "NoticeLost"));
}

#[test]
fn what_allows_nothing_is_told_once() {
    let mut world = told(SPEC);
    world.unknown_providers = vec!["nowhere".into()];
    world.run_for(Duration::from_mins(5));
    assert_eq!(kinds(&world), [Transition::Invalid]);
    assert!(last(&world).message.contains("nowhere"), "{:?}", last(&world));
    assert_eq!(last(&world).reason, "UnknownProvider");
}

#[test]
fn weights_that_somebody_else_changes_are_told() {
    let mut world = told(SPEC);
    world.run_until("10", |world| world.share("v2") == 10);
    world.somebody_sets("color", "kubectl", &[20, 80]);
    world.settle();
    assert!(kinds(&world).contains(&Transition::Drifted), "{:?}", world.stored.notices);
}

/// Two routes drift in one moment: each is told by itself.
#[test]
fn of_two_things_at_one_moment_both_are_told() {
    let routes = "routes: [{group: appmesh.k8s.aws, kind: GatewayRoute, name: color}, {group: appmesh.k8s.aws, kind: GatewayRoute, name: paint}]";
    let one = "routes: [{group: appmesh.k8s.aws, kind: GatewayRoute, name: color}]";
    let mut world = told(&SPEC.replace(one, routes));
    world.routes.insert("paint".into(), route(vec![entry("v1", 100), entry("v2", 0)]));
    world.run_until("10", |world| world.share("v2") == 10);
    for name in ["color", "paint"] {
        world.somebody_sets(name, "kubectl", &[20, 80]);
    }
    world.settle();
    let drifted = world.stored.notices.iter().filter(|notice| notice.transition == Transition::Drifted);
    let ids: BTreeSet<&str> = drifted.map(|notice| notice.id.as_str()).collect();
    assert_eq!(ids.len(), 2, "{:?}", world.stored.notices);
}

/// What is told of a run names its versions, although something else is wanted by then.
#[test]
fn a_notice_names_what_its_run_was_about() {
    let mut world = told(SPEC);
    world.run_until("10", |world| world.share("v2") == 10);
    world.spec.target.name = "v3".into();
    world.settle();
    let back =
        world.stored.notices.iter().find(|notice| notice.transition == Transition::RolledBack).unwrap();
    assert_eq!((back.target.as_str(), back.stable.as_deref(), back.run), ("v2", Some("v1"), Some(1)));
}
