//! Random sequences of requests, the same to both servers; a failing one is shrunk before it is told.

use std::fmt::Write;
use std::ops::Range;

use fastrand::Rng;
use futures::StreamExt;
use http::Method;
use serde_json::{Value, json};

use crate::compare::{Difference, differences};
use crate::kinds::{KINDS, Kind, METADATA_CHANGES};
use crate::objects::with;
use crate::step::{
    AUTOSCALERS, CONFIG_MAPS, CORE_EVENTS, DEPLOYMENTS, EVENTS, HTTP_ROUTES, METADATA, METADATA_LIST,
    ROLLOUTS, STATEFUL_SETS, Step, TABLE, WIDGETS, delete, delete_with, get, json_patch, merge, post, put,
};
use crate::world::World;

/// How many sequences are run where nobody asks for more.
const SEEDS: u64 = 24;
/// Names the number of sequences, or `FROM..TO` for those of these seeds.
const SEEDS_VARIABLE: &str = "TIDEGATE_FIDELITY_SEEDS";
const STEPS: usize = 30;
const PARALLEL: usize = 6;
const NAMES: [&str; 3] = ["a", "b", "c"];

/// Runs the sequences and fails with the first that the servers answer differently, as short as it can be made.
pub async fn check(world: &World) {
    let asked = std::env::var(SEEDS_VARIABLE).ok();
    let seeds = seeds(asked.as_deref()).unwrap_or_else(|told| panic!("{told}"));
    let mut failing: Vec<(u64, Vec<Step>)> = futures::stream::iter(seeds)
        .map(|seed| async move {
            let steps = sequence(seed);
            let found = differences(world, &steps).await;
            (!found.is_empty()).then_some((seed, steps))
        })
        .buffered(PARALLEL)
        .filter_map(|failing| async { failing })
        .collect()
        .await;
    if failing.is_empty() {
        return;
    }
    let seeds: Vec<u64> = failing.iter().map(|(seed, _)| *seed).collect();
    let mut told = format!("the servers differ for the seeds {seeds:?}\n");
    failing.truncate(3);
    for (seed, steps) in failing {
        let (steps, found) = shrink(world, steps).await;
        let _ = writeln!(told, "seed {seed}, shrunk to {} steps:", steps.len());
        for step in &steps {
            let _ = writeln!(told, "  {step}");
        }
        found.iter().take(1).for_each(|difference| told.push_str(&difference.told));
    }
    panic!("{told}");
}

/// The seeds that are asked for.
fn seeds(asked: Option<&str>) -> Result<Range<u64>, String> {
    let Some(asked) = asked else {
        return Ok(0..SEEDS);
    };
    let (from, to) = asked.split_once("..").unwrap_or(("0", asked));
    match (from.parse(), to.parse()) {
        (Ok(from), Ok(to)) if from < to => Ok(from..to),
        _ => Err(format!(
            "{SEEDS_VARIABLE} is {asked:?}; it takes a number of sequences, or FROM..TO for these seeds"
        )),
    }
}

/// Leaves out steps as long as the servers still differ. What waits for a controller goes with the write before it.
async fn shrink(world: &World, mut steps: Vec<Step>) -> (Vec<Step>, Vec<Difference>) {
    let mut found = differences(world, &steps).await;
    if let Some(first) = found.first() {
        steps.truncate(first.step + 1);
    }
    let waits = |step: &Step| step.until.is_some();
    let mut at = steps.len();
    while at > 0 {
        at -= 1;
        if waits(&steps[at]) {
            continue;
        }
        let mut fewer = steps.clone();
        let end = at + 1 + steps[at + 1..].iter().take_while(|step| waits(step)).count();
        fewer.drain(at..end);
        let still = differences(world, &fewer).await;
        if let Some(first) = still.first() {
            fewer.truncate(first.step + 1);
            at = at.min(fewer.len());
            (steps, found) = (fewer, still);
        }
    }
    (steps, found)
}

fn pick<'a, T: ?Sized>(rng: &mut Rng, options: &[&'a T]) -> &'a T {
    options[rng.usize(..options.len())]
}

fn change(rng: &mut Rng, kind: &Kind) -> Value {
    let text = if rng.bool() { pick(rng, kind.changes) } else { pick(rng, &METADATA_CHANGES) };
    // What is held while it goes is left alone by its controller, and never comes to rest; what has another name than
    // the others is not waited for.
    let is_restless = text.contains("finalizers") || text.contains("\"name\": \"other\"");
    let text = if has_controller(kind) && is_restless { "{}" } else { text };
    serde_json::from_str(text).unwrap()
}

/// The same sequence for the same seed: a few kinds, a few names, anything in any order.
fn sequence(seed: u64) -> Vec<Step> {
    let mut rng = Rng::with_seed(seed);
    let first = rng.usize(..KINDS.len());
    let second = rng.usize(..KINDS.len());
    // Controllers tell events of what they do.
    let pair = [first, second].map(|at| &KINDS[at]);
    let are_told = pair.iter().any(|kind| has_controller(kind))
        && pair.iter().any(|kind| [EVENTS, CORE_EVENTS].contains(&kind.path));
    let second = if are_told { first } else { second };
    let mut steps = Vec::new();
    for _ in 0..STEPS {
        let kind = &KINDS[if rng.u8(..4) == 0 { second } else { first }];
        let (name, step) = step(&mut rng, kind);
        let is_write = step.method != Method::GET;
        steps.push(step);
        if is_write && has_controller(kind) {
            steps.push(get(format!("{}/{name}", kind.path)).until_settled());
        }
    }
    steps.push(get(KINDS[first].path));
    if !has_controller(&KINDS[first]) {
        // One watch tells the whole history of the kind.
        let history = format!("{}?watch=1&timeoutSeconds=1&resourceVersion=$oldrv(a)", KINDS[first].path);
        steps.push(get(history));
    }
    steps
}

/// Whether a real control plane has more to say about the kind than its API server: how often it writes is its own.
fn has_controller(kind: &Kind) -> bool {
    [DEPLOYMENTS, STATEFUL_SETS, AUTOSCALERS].contains(&kind.path)
}

/// Any request, and the name that it is about.
fn step(rng: &mut Rng, kind: &Kind) -> (String, Step) {
    let name = pick(rng, &NAMES);
    // Events of both groups share their names, and upstream forgets their managers where one changes the other's.
    let name = if kind.path == EVENTS { format!("new-{name}") } else { name.to_owned() };
    let one = format!("{}/{name}", kind.path);
    let step = match rng.u8(..20) {
        0..4 => create(rng, kind, &name),
        4..7 => replace(rng, kind, &name),
        7..12 => merge(format!("{one}{}", query(rng)), &change(rng, kind)),
        12..14 => json_patch(format!("{one}{}", query(rng)), &operations(rng, &name)),
        14 => status_or_scale(rng, &one),
        15 => read(rng, kind, &one),
        16 => list(rng, kind),
        17 => delete(&one),
        18 => {
            let uid = if rng.bool() { format!("$uid({name})") } else { "other".to_owned() };
            delete_with(&one, &json!({"propagationPolicy": "Background", "preconditions": {"uid": uid}}))
        }
        _ => delete(format!("{}?labelSelector=x%3D1", kind.path)),
    };
    (name, step)
}

fn create(rng: &mut Rng, kind: &Kind, name: &str) -> Step {
    let object = (kind.make)(name);
    let object = if rng.u8(..3) == 0 { with(object, &change(rng, kind)) } else { object };
    post(format!("{}{}", kind.path, query(rng)), &object)
}

fn replace(rng: &mut Rng, kind: &Kind, name: &str) -> Step {
    let version = match rng.u8(..4) {
        0 => String::new(),
        1 => format!("$oldrv({name})"),
        _ => format!("$rv({name})"),
    };
    let object = with((kind.make)(name), &change(rng, kind));
    let object = with(object, &json!({"metadata": {"resourceVersion": version}}));
    put(format!("{}/{name}{}", kind.path, query(rng)), &object)
}

fn list(rng: &mut Rng, kind: &Kind) -> Step {
    let options = [
        "labelSelector=x",
        "labelSelector=x%21%3D1",
        "limit=1",
        "limit=2&continue=$continue",
        "fieldSelector=metadata.name%3Da",
        "limit=1&continue=$expired",
    ];
    let options = match kind.path {
        // A real server has a config map of its own in every namespace, which counts.
        CONFIG_MAPS => &options[..1],
        WIDGETS | ROLLOUTS | HTTP_ROUTES => &options[..],
        // Of what was there before any definition, a young server's cache may remember version 1.
        _ => &options[..options.len() - 1],
    };
    get(format!("{}?{}", kind.path, pick(rng, options)))
}

fn query(rng: &mut Rng) -> String {
    let options = [
        "",
        "",
        "",
        "",
        "?dryRun=All",
        "?fieldManager=other",
        "?fieldManager=tidegate",
        "?fieldValidation=Strict",
        "?fieldValidation=Ignore",
        "?fieldValidation=Warn&fieldManager=third",
    ];
    pick(rng, &options).to_owned()
}

fn operations(rng: &mut Rng, name: &str) -> Value {
    let options = [
        json!([{"op": "add", "path": "/metadata/labels", "value": {"x": "1"}}]),
        json!([{"op": "replace", "path": "/metadata/labels/x", "value": "5"}]),
        json!([{"op": "test", "path": "/metadata/name", "value": name}, {"op": "add", "path": "/metadata/annotations", "value": {"j": "1"}}]),
        json!([{"op": "test", "path": "/metadata/name", "value": "other"}]),
        json!([{"op": "remove", "path": "/metadata/finalizers"}]),
        json!([{"op": "replace", "path": "/metadata/resourceVersion", "value": format!("$oldrv({name})")}]),
        json!([{"op": "remove", "path": "/spec"}]),
        json!([{"op": "add", "path": "/odd", "value": 1}]),
    ];
    options[rng.usize(..options.len())].clone()
}

fn status_or_scale(rng: &mut Rng, one: &str) -> Step {
    match rng.u8(..4) {
        0 => merge(format!("{one}/status"), &json!({"status": {"phase": "Up", "replicas": 2}})),
        1 => merge(
            format!("{one}/status?fieldManager=tidegate"),
            &json!({"metadata": {"labels": {"s": "1"}}, "status": {"phase": "Down"}}),
        ),
        2 => merge(format!("{one}/scale"), &json!({"spec": {"replicas": 4}})),
        _ => get(format!("{one}/scale")),
    }
}

fn read(rng: &mut Rng, kind: &Kind, one: &str) -> Step {
    let path = kind.path;
    match rng.u8(..7) {
        0 => get(path).accept(TABLE),
        1 => get(path).accept(METADATA_LIST),
        2 => get(one).accept(METADATA),
        3..6 if has_controller(kind) => get(format!("{one}/scale")),
        3 => watch(rng, path),
        // The columns come with the first row, be it that of a real server's own config map or a bookmark by chance.
        4 if path != CONFIG_MAPS => {
            get(format!("{path}?watch=1&timeoutSeconds=1&{INITIAL}&allowWatchBookmarks=true")).accept(TABLE)
        }
        5 => watch(rng, path).accept(METADATA),
        _ => get(one),
    }
}

/// Asks a watch for what there is first.
const INITIAL: &str = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan";

fn watch(rng: &mut Rng, path: &str) -> Step {
    let query = match rng.u8(..6) {
        0 => String::new(),
        1 => "&allowWatchBookmarks=true".to_owned(),
        2 => "&allowWatchBookmarks=true&resourceVersion=$oldrv(a)".to_owned(),
        3 => format!("&{INITIAL}"),
        4 => format!("&{INITIAL}&allowWatchBookmarks=true&labelSelector=x"),
        _ => format!("&{INITIAL}&allowWatchBookmarks=true"),
    };
    get(format!("{path}?watch=1&timeoutSeconds=1{query}"))
}

#[test]
fn a_number_of_sequences_or_a_range_of_seeds_is_asked_for() {
    for (asked, wanted) in [
        (None, Some(0..SEEDS)),
        (Some("7"), Some(0..7)),
        (Some("5..9"), Some(5..9)),
        (Some("2OO"), None),
        (Some(""), None),
        (Some("0"), None),
        (Some("9..5"), None),
        (Some("5.."), None),
        (Some("-1"), None),
    ] {
        let seeds = seeds(asked);
        assert_eq!(seeds.as_ref().ok(), wanted.as_ref(), "{asked:?}");
        assert!(seeds.err().is_none_or(|told| told.contains("FROM..TO")), "{asked:?}");
    }
}
