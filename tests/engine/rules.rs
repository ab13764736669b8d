//! Objects with several rules: which lists are the Rollout's, in a run and between runs.

use std::sync::Arc;

use tidegate::{
    api::{Phase, RouteKind, RouteRef, Stamp, TargetRef},
    engine::observed::{ListSeen, Other, RouteState, RouteView},
};

use crate::world::{SPEC, World, entry, route};

/// A list of a rule: its name or `#` and its place, and the entries.
pub fn rule(name: &str, entries: &[(&str, i64)]) -> ListSeen {
    let named = !name.starts_with('#');
    ListSeen {
        path: format!("/spec/rules/{name}/backendRefs"),
        rule: Some(name.to_owned()),
        told: Some(name.to_owned()),
        rule_field: named.then(|| format!("/spec/rules/{name}/name")),
        entries: entries.iter().map(|(name, weight)| entry(name, *weight)).collect(),
        unusable: None,
        lone: false,
        headers: vec![],
        mirrors: None,
    }
}

/// A world whose only route is an HTTPRoute with these rules.
pub fn world(reference: &str, rules: Vec<ListSeen>) -> World {
    let plain = "{group: appmesh.k8s.aws, kind: GatewayRoute, name: color}";
    let mut world = World::new(&SPEC.replace(
        plain,
        &format!("{{group: gateway.networking.k8s.io, kind: HTTPRoute, name: color{reference}}}"),
    ));
    set_rules(&mut world, rules);
    world
}

fn set_rules(world: &mut World, rules: Vec<ListSeen>) {
    let RouteState::Present(view) = route(vec![]) else { unreachable!() };
    let view = RouteView { lists: rules, ..(*view).clone() };
    world.routes.insert("color".into(), RouteState::Present(Arc::new(view)));
}

pub fn weights(world: &World) -> Vec<Vec<i64>> {
    let of = |list: &ListSeen| list.entries.iter().map(|entry| entry.weight).collect();
    world.view("color").lists.iter().map(of).collect()
}

pub fn refused(world: &mut World) -> (String, String) {
    world.settle();
    assert_eq!(world.phase(), Phase::Invalid, "{}", world.message());
    assert!(world.writes.is_empty(), "nothing is written");
    (world.condition("Stalled").unwrap().1.to_owned(), world.message().to_owned())
}

const STABLE: &[(&str, i64)] = &[("v1", 1), ("v2", 0)];

#[test]
fn what_leaves_doubt_is_refused_with_a_remedy() {
    let broken = ListSeen { unusable: Some(("BadEntry", "rule a: it has no name".into())), ..rule("a", &[]) };
    let cases = [
        (
            "none of the name",
            ", rule: c",
            vec![rule("a", STABLE), rule("b", STABLE)],
            "RuleNotFound",
            "no rule named c (a, b)",
        ),
        (
            "no names at all",
            ", rule: c",
            vec![rule("#1", STABLE), rule("#2", STABLE)],
            "RuleNotFound",
            "none has a name",
        ),
        (
            "two of the name",
            ", rule: a",
            vec![rule("a", STABLE), rule("a", STABLE)],
            "RuleAmbiguous",
            "several rules named a",
        ),
        (
            "one that can't be read",
            ", rule: a",
            vec![broken, rule("b", STABLE)],
            "BadEntry",
            "it has no name",
        ),
        (
            "rules that go elsewhere",
            "",
            vec![rule("a", &[("x", 1)]), rule("b", &[("y", 1)])],
            "Ambiguous",
            "name the rule in spec.routes, or give spec.stable",
        ),
        (
            "rules that disagree on stable",
            "",
            vec![rule("a", STABLE), rule("b", &[("v0", 1), ("v2", 0)])],
            "Ambiguous",
            "name the rule",
        ),
        (
            "a share on one rule only",
            ", rule: a",
            vec![rule("a", &[("v1", 9), ("v2", 1)])],
            "Ambiguous",
            "rule a splits traffic (v1 9, v2 1)",
        ),
        (
            "nothing has weight",
            ", rule: a",
            vec![rule("a", &[("v1", 0), ("v2", 0)])],
            "Ambiguous",
            "give stable 100",
        ),
    ];
    for (name, reference, rules, reason, part) in cases {
        let (got, message) = refused(&mut world(reference, rules));
        assert_eq!(got, reason, "{name}: {message}");
        assert!(message.contains(part), "{name}: {message}");
    }
}

#[test]
fn the_rule_that_is_named_is_stepped_and_no_other() {
    let mut world = world(", rule: a", vec![rule("a", STABLE), rule("b", STABLE)]);
    world.run_until("healthy", |world| world.phase() == Phase::Healthy);
    assert_eq!(weights(&world), [[0, 100], [1, 0]]);
    assert_eq!(world.writes.len(), 1 + 3, "a claim and three steps");
}

#[test]
fn several_rules_by_name_move_in_one_write() {
    let mut world = world(", rule: a", vec![rule("a", STABLE), rule("b", STABLE), rule("c", STABLE)]);
    let second = RouteRef { rule: Some("c".into()), ..world.spec.routes[0].clone() };
    world.spec.routes.push(second);
    world.run_until("healthy", |world| world.phase() == Phase::Healthy);
    assert_eq!(weights(&world), [[0, 100], [1, 0], [0, 100]]);
    assert_eq!(world.writes.len(), 1 + 3, "a claim and three steps");
}

#[test]
fn what_the_schema_refuses_is_refused_without_it_too() {
    let of = |kind: RouteKind, rule: Option<&str>| RouteRef {
        rule: rule.map(str::to_owned),
        ..RouteRef::new(kind, "color")
    };
    let cases = [
        (vec![], "at least one route"),
        (vec![of(RouteKind::HttpRoute, None), of(RouteKind::HttpRoute, None)], "twice"),
        (vec![of(RouteKind::HttpRoute, Some("a")), of(RouteKind::HttpRoute, None)], "each must name a rule"),
        (vec![of(RouteKind::GatewayRoute, Some("a"))], "spec.routes[0].rule: a GatewayRoute has no rules"),
        (
            vec![RouteRef { group: RouteKind::HttpRoute.group(), ..of(RouteKind::VirtualRouter, None) }],
            "VirtualRouter is of the group appmesh.k8s.aws",
        ),
        (
            vec![RouteRef { stable: Some("x".into()), ..of(RouteKind::HttpRoute, None) }],
            "spec.routes[0].stable says how",
        ),
        (
            vec![
                RouteRef { target: Some("x".into()), ..of(RouteKind::HttpRoute, Some("a")) },
                of(RouteKind::HttpRoute, Some("b")),
            ],
            "the same for every rule of HTTPRoute color",
        ),
    ];
    for (routes, part) in cases {
        let mut world = world("", vec![rule("a", STABLE), rule("b", STABLE)]);
        world.spec.routes = routes;
        let (reason, message) = refused(&mut world);
        assert_eq!(reason, "InvalidSpec", "{message}");
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn without_a_name_every_rule_that_lists_stable_moves_in_one_write() {
    let unrelated = rule("other", &[("x", 3), ("y", 1)]);
    let rules = vec![rule("#1", STABLE), unrelated, rule("last", &[("v1", 7)])];
    let mut world = world("", rules);
    let mut seen = vec![];
    world.run_until("healthy", |world| {
        seen.push(weights(world));
        world.phase() == Phase::Healthy
    });
    seen.dedup();
    assert!(seen.contains(&vec![vec![90, 10], vec![3, 1], vec![90, 10]]), "{seen:?}");
    let moved = |one: &Vec<Vec<i64>>| one[0][1] == one[2].get(1).copied().unwrap_or(0);
    assert!(seen.iter().all(moved), "both rules show the same share in each write: {seen:?}");
    assert_eq!(weights(&world), [vec![0, 100], vec![3, 1], vec![0, 100]]);
    assert_eq!(world.writes.len(), 1 + 3);
}

#[test]
fn what_we_added_to_one_rule_is_taken_out_of_that_rule_alone() {
    let rules = vec![rule("a", STABLE), rule("b", &[("v1", 1)])];
    let mut world = world("", rules);
    world.traffic.failing.insert("v2".into(), 0.2);
    world.run_until("failed and taken out", |world| {
        world.phase() == Phase::Failed && world.view("color").lists[1].entries.len() == 1
    });
    assert_eq!(weights(&world), [vec![100, 0], vec![100]], "the user's own entry of v2 stays");
}

#[test]
fn a_rule_that_goes_in_a_run_pauses_it_and_the_others_are_still_put_back() {
    for gone in [0, 1] {
        let mut world = world("", vec![rule("a", STABLE), rule("#2", STABLE)]);
        world.run_until("10", |world| weights(world).iter().all(|list| list == &[90, 10]));
        world.edit("color", |view| drop(view.lists.remove(gone)));

        world.settle();
        assert_eq!(world.phase(), Phase::Paused, "{}", world.message());
        assert_eq!(world.condition("Paused"), Some(("True", "RouteGone")), "{}", world.message());
        world.traffic.failing.insert("v2".into(), 0.2);
        world.run_until("failed", |world| world.phase() == Phase::Failed);
        assert_eq!(weights(&world), [[100, 0]]);
    }
}

#[test]
fn a_rule_that_loses_stables_entry_gets_it_back_when_the_run_ends() {
    let mut world = world("", vec![rule("#1", STABLE), rule("#2", STABLE)]);
    world.run_until("10", |world| weights(world).iter().all(|list| list == &[90, 10]));
    world.edit("color", |view| view.lists[1].entries.retain(|entry| entry.name != "v1"));
    world.settle();
    assert!(world.message().contains("stable's entry was taken out"), "{}", world.message());
    world.traffic.failing.insert("v2".into(), 0.2);
    world.run_until("failed", |world| world.phase() == Phase::Failed);
    assert_eq!(weights(&world), [[100, 0], [0, 100]], "v2 is first there now");
}

#[test]
fn two_rollouts_live_side_by_side_on_different_rules_and_on_no_rule_together() {
    let stamp = Stamp { uid: "other-uid".into(), epoch: 4, run: 2, step: 1, aborted: false, added: vec![] };
    let of_other = |rule: Option<&str>| RouteRef {
        rule: rule.map(str::to_owned),
        ..RouteRef::new(RouteKind::HttpRoute, "color")
    };
    let cases = [
        ("another rule", ", rule: a", vec![of_other(Some("b"))], None),
        (
            "the same rule",
            ", rule: a",
            vec![of_other(Some("a"))],
            Some("stepped by the Rollout other (rule a)"),
        ),
        ("it names none", ", rule: b", vec![of_other(None)], Some("a rule has one Rollout")),
        ("we name none", "", vec![of_other(Some("a"))], Some("stepped by the Rollout other (rule a)")),
        ("it can't be read", ", rule: b", vec![], Some("a rule has one Rollout")),
    ];
    for (name, reference, routes, part) in cases {
        let mut world = world(reference, vec![rule("a", STABLE), rule("b", STABLE)]);
        world.others.insert("other".into(), Other { uid: "other-uid".into(), routes });
        world.edit("color", |view| drop(view.stamps.insert("other".into(), stamp.clone().into())));
        if let Some(part) = part {
            let (reason, message) = refused(&mut world);
            assert_eq!(reason, "RouteOwned", "{name}");
            assert!(message.contains(part), "{name}: {message}");
            continue;
        }
        world.run_until(name, |world| world.phase() == Phase::Healthy);
        assert_eq!(weights(&world), [[0, 100], [1, 0]]);
        assert_eq!(world.view("color").stamps["other"].says(), Some(&stamp));
    }
}

fn at_ten(rules: Vec<ListSeen>) -> World {
    let mut world = world("", rules);
    world.spec.stable = Some(TargetRef { name: "v1".into(), ..world.spec.target.clone() });
    world.spec.stable.as_mut().unwrap().workload_ref = None;
    world.run_until("10", |world| {
        world.view("color").lists.iter().any(|list| list.entries.iter().any(|e| e.weight == 10))
    });
    world
}

pub fn abort(world: &mut World) {
    let run = world.working.run.as_ref().unwrap().number;
    world.subject.abort = Some(format!(r#"{{"run":{run},"by":"ann","at":"2026-01-01T00:00:00Z"}}"#));
    world.run_until("aborted", |world| world.phase() == Phase::Failed);
}

fn fails(world: &mut World) {
    world.traffic.failing.insert("v2".into(), 0.2);
    world.run_until("failed", |world| world.phase() == Phase::Failed);
}

#[test]
fn a_neighbour_that_lists_the_canary_is_never_taken_for_a_rule_of_the_run() {
    let mut world = at_ten(vec![rule("#2", STABLE), rule("beta", &[("v2", 1)])]);
    world.edit("color", |view| view.lists[0].entries.retain(|entry| entry.name != "v1"));
    abort(&mut world);
    assert_eq!(weights(&world), [vec![0, 100], vec![1]], "v1 is back, and beta is as it was");
}

#[test]
fn the_last_rule_left_is_not_ours_for_that() {
    let mut world = at_ten(vec![rule("#1", STABLE), rule("x", &[("x", 1)])]);
    world.edit("color", |view| drop(view.lists.remove(0)));
    world.settle();
    assert_eq!(world.condition("Paused"), Some(("True", "RouteGone")), "{}", world.message());
    abort(&mut world);
    assert_eq!(weights(&world), [[1]]);
}

#[test]
fn a_rule_that_comes_in_a_run_joins_the_next_one() {
    let mut world = at_ten(vec![rule("#1", STABLE)]);
    world.edit("color", |view| view.lists.push(rule("new", &[("v1", 50), ("old", 50)])));
    world.run_until("50", |world| weights(world)[0] == [50, 50]);
    assert_eq!(weights(&world)[1], [50, 50], "left alone");
    fails(&mut world);
    assert_eq!(weights(&world), [[100, 0], [50, 50]]);
}

#[test]
fn a_rule_that_is_renamed_in_a_run_is_still_put_back() {
    let mut world = at_ten(vec![rule("main", STABLE), rule("theirs", &[("v1", 100), ("v2", 0)])]);
    world.edit("color", |view| {
        let list = &mut view.lists[0];
        (list.rule, list.told) = (Some("other-name".into()), Some("other-name".into()));
    });
    world.settle();
    assert_eq!(world.condition("Paused"), Some(("True", "RouteGone")), "{}", world.message());
    fails(&mut world);
    assert_eq!(weights(&world)[0], [100, 0]);
}

#[test]
fn rules_that_change_places_keep_what_is_whose() {
    let mut world = at_ten(vec![rule("#aa", &[("v1", 1)]), rule("#bb", STABLE)]);
    world.edit("color", |view| view.lists.reverse());
    fails(&mut world);
    world.run_until("ours is taken out", |world| weights(world) == [vec![100, 0], vec![100]]);
}

#[test]
fn an_object_with_several_rules_is_let_go_of_in_one_write() {
    let mut world = at_ten(vec![rule("a", STABLE), rule("b", STABLE)]);
    let before = world.writes.len();
    world.subject.deleting = true;
    world.settle();
    assert_eq!(weights(&world), [[100, 0], [100, 0]]);
    assert_eq!(world.writes.len() - before, 1, "{:?}", world.writes);
}
