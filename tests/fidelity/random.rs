//! Random sequences of requests, the same to both servers; a failing one is shrunk before it is told.

use std::fmt::Write;

use fastrand::Rng;
use futures::StreamExt;
use serde_json::{Value, json};

use crate::compare::{Difference, differences};
use crate::objects::{
    config_map, core_event, event, gateway_route, grpc_route, http_route, lease, rollout, service,
    virtual_router, widget, with, wrapped_route,
};
use crate::step::{
    CONFIG_MAPS, CORE_EVENTS, EVENTS, GATEWAY_ROUTES, GRPC_ROUTES, HTTP_ROUTES, LEASES, METADATA,
    METADATA_LIST, ROLLOUTS, SERVICES, Step, TABLE, VIRTUAL_ROUTERS, WIDGETS, delete, delete_with, get,
    json_patch, merge, post, put,
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
    let asked = std::env::var(SEEDS_VARIABLE).unwrap_or_default();
    let seeds = match asked.split_once("..") {
        Some((from, to)) => from.parse().unwrap()..to.parse().unwrap(),
        None => 0..asked.parse().unwrap_or(SEEDS),
    };
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

/// Leaves out steps as long as the servers still differ.
async fn shrink(world: &World, mut steps: Vec<Step>) -> (Vec<Step>, Vec<Difference>) {
    let mut found = differences(world, &steps).await;
    if let Some(first) = found.first() {
        steps.truncate(first.step + 1);
    }
    let mut at = steps.len();
    while at > 0 {
        at -= 1;
        let mut fewer = steps.clone();
        fewer.remove(at);
        let still = differences(world, &fewer).await;
        if let Some(first) = still.first() {
            fewer.truncate(first.step + 1);
            at = at.min(fewer.len());
            (steps, found) = (fewer, still);
        }
    }
    (steps, found)
}

/// A kind with what its objects look like and how they are spoiled.
struct Kind {
    path: &'static str,
    make: fn(&str) -> Value,
    changes: &'static [&'static str],
}

const KINDS: [Kind; 12] = [
    Kind {
        path: WIDGETS,
        make: widget,
        changes: &[
            r#"{"spec": {"color": "green", "replicas": 3}}"#,
            r#"{"spec": {"color": "blue"}}"#,
            r#"{"spec": {"items": [{"name": "x", "weight": 5}, {"name": "y"}], "tags": ["t"]}}"#,
            r#"{"spec": {"items": [{"name": "x", "weight": 4}]}}"#,
            r#"{"spec": {"fixed": "one"}}"#,
            r#"{"spec": {"fixed": "two"}}"#,
            r#"{"spec": {"nested": {"depth": null, "flag": true}, "mode": null}}"#,
            r#"{"spec": {"raw": {"any": [1, {"thing": null}]}, "labels": {"k": "v"}}}"#,
            r#"{"spec": {"range": {"low": 3, "high": 2}, "port": 1.5}}"#,
            r#"{"spec": {"choice": {"a": "x"}, "either": {"a": 7}}}"#,
            r#"{"spec": {"replicas": -1}, "extra": 1}"#,
        ],
    },
    Kind {
        path: ROLLOUTS,
        make: rollout,
        changes: &[
            r#"{"spec": {"suspend": true}}"#,
            r#"{"spec": {"target": {"name": "shop-v3"}}}"#,
            r#"{"spec": {"strategy": {"canary": {"steps": [{"weight": 10}, {"weight": 50, "hold": "1m"}]}}}}"#,
            r#"{"spec": {"strategy": {"canary": {"steps": [{"weight": 50}, {"weight": 10}]}}}}"#,
            r#"{"spec": {"analysis": {"interval": "1ms"}}}"#,
            r#"{"spec": {"analysis": null, "progressDeadline": null}}"#,
            r#"{"spec": {"routes": []}}"#,
        ],
    },
    Kind {
        path: GATEWAY_ROUTES,
        make: gateway_route,
        changes: &[
            r#"{"spec": {"httpRoute": {"match": {"prefix": "/x"}}}}"#,
            r#"{"spec": {"httpRoute": {"action": {"weightedTargets": [{"virtualServiceRef": {"name": "v1"}, "weight": 1}]}}}}"#,
            r#"{"spec": {"httpRoute": {"action": {"weightedTargets": [{"weight": -1}]}}}}"#,
            r#"{"spec": {"priority": 5, "nonsense": 1}}"#,
            r#"{"spec": {"httpRoute": null}}"#,
        ],
    },
    Kind {
        path: GATEWAY_ROUTES,
        make: wrapped_route,
        changes: &[
            r#"{"spec": {"routeSpec": {"priority": 3}}}"#,
            r#"{"spec": {"routeSpec": {"httpRoute": {"action": {"targets": [{"virtualServiceRef": "x", "weight": 1}]}}}}}"#,
            r#"{"spec": {"virtualGatewayRef": null}}"#,
        ],
    },
    Kind {
        path: VIRTUAL_ROUTERS,
        make: virtual_router,
        changes: &[
            r#"{"spec": {"routes": [{"name": "r", "priority": 1}]}}"#,
            r#"{"spec": {"routes": [{"name": "r"}, {"name": "r"}]}}"#,
            r#"{"spec": {"listeners": [{"portMapping": {"port": 99999, "protocol": "http"}}]}}"#,
        ],
    },
    Kind {
        path: HTTP_ROUTES,
        make: http_route,
        changes: &[
            r#"{"spec": {"hostnames": ["example.com"]}}"#,
            r#"{"spec": {"rules": [{"backendRefs": [{"name": "v1", "port": 80, "weight": 50}]}]}}"#,
            r#"{"spec": {"rules": [{"backendRefs": [{"name": "v1"}]}]}}"#,
            r#"{"spec": {"rules": [{"matches": [{"path": {"value": "bad"}}]}]}}"#,
            r#"{"spec": {"rules": null}}"#,
        ],
    },
    Kind {
        path: GRPC_ROUTES,
        make: grpc_route,
        changes: &[
            r#"{"spec": {"hostnames": ["example.com"]}}"#,
            r#"{"spec": {"rules": [{"matches": [{"method": {}}]}]}}"#,
            r#"{"spec": {"rules": [{}]}}"#,
        ],
    },
    Kind {
        path: CONFIG_MAPS,
        make: config_map,
        changes: &[
            r#"{"data": {"a": "2", "b": "x"}}"#,
            r#"{"data": {"a": null}}"#,
            r#"{"data": {"bad key": "x"}}"#,
            r#"{"data": {"a": 1}}"#,
            r#"{"binaryData": {"c": "YQ=="}}"#,
            r#"{"immutable": true}"#,
        ],
    },
    Kind {
        path: SERVICES,
        make: service,
        changes: &[
            r#"{"spec": {"ports": [{"port": 81}]}}"#,
            r#"{"spec": {"ports": [{"port": 0}]}}"#,
            r#"{"spec": {"selector": {"b": "c"}}}"#,
            r#"{"spec": {"sessionAffinity": "ClientIP"}}"#,
        ],
    },
    Kind {
        path: LEASES,
        make: lease,
        changes: &[
            r#"{"spec": {"holderIdentity": "you", "leaseTransitions": 1}}"#,
            r#"{"spec": {"leaseDurationSeconds": 0}}"#,
            r#"{"spec": {"renewTime": "2020-01-01T00:00:09.000000Z"}}"#,
            r#"{"spec": {"renewTime": "soon"}}"#,
        ],
    },
    Kind {
        path: CORE_EVENTS,
        make: core_event,
        changes: &[r#"{"count": 2}"#, r#"{"message": "other"}"#, r#"{"type": "Odd"}"#],
    },
    Kind {
        path: EVENTS,
        make: event,
        changes: &[
            r#"{"series": {"count": 2, "lastObservedTime": "2020-01-01T00:00:00.000000Z"}}"#,
            r#"{"note": "other"}"#,
            r#"{"action": null}"#,
        ],
    },
];

/// Changes of metadata, which are the same for every kind.
const METADATA_CHANGES: [&str; 12] = [
    r#"{"metadata": {"labels": {"x": "1"}}}"#,
    r#"{"metadata": {"labels": {"x": "2", "y": "3"}}}"#,
    r#"{"metadata": {"labels": null}}"#,
    r#"{"metadata": {"labels": {"bad key": "1"}}}"#,
    r#"{"metadata": {"annotations": {"tests.dev/n": "1"}}}"#,
    r#"{"metadata": {"annotations": {"tests.dev/n": null}}}"#,
    r#"{"metadata": {"finalizers": ["tests.dev/hold"]}}"#,
    r#"{"metadata": {"finalizers": null}}"#,
    r#"{"metadata": {"generation": 7, "uid": "other"}}"#,
    r#"{"metadata": {"odd": 1}}"#,
    r#"{"metadata": {"name": "other"}}"#,
    "{}",
];

fn pick<'a, T: ?Sized>(rng: &mut Rng, options: &[&'a T]) -> &'a T {
    options[rng.usize(..options.len())]
}

fn change(rng: &mut Rng, kind: &Kind) -> Value {
    let text = if rng.bool() { pick(rng, kind.changes) } else { pick(rng, &METADATA_CHANGES) };
    serde_json::from_str(text).unwrap()
}

/// The same sequence for the same seed: a few kinds, a few names, anything in any order.
fn sequence(seed: u64) -> Vec<Step> {
    let mut rng = Rng::with_seed(seed);
    let first = rng.usize(..KINDS.len());
    let second = rng.usize(..KINDS.len());
    let mut steps = Vec::new();
    for _ in 0..STEPS {
        let kind = &KINDS[if rng.u8(..4) == 0 { second } else { first }];
        steps.push(step(&mut rng, kind));
    }
    steps.push(get(KINDS[first].path));
    // One watch tells the whole history of the kind.
    let history = format!("{}?watch=1&timeoutSeconds=1&resourceVersion=$oldrv(a)", KINDS[first].path);
    steps.push(get(history));
    steps
}

fn step(rng: &mut Rng, kind: &Kind) -> Step {
    let name = pick(rng, &NAMES);
    // Events of both groups share their names, and upstream forgets their managers where one changes the other's.
    let name = if kind.path == EVENTS { format!("new-{name}") } else { name.to_owned() };
    let name = name.as_str();
    let one = format!("{}/{name}", kind.path);
    let query = query(rng);
    match rng.u8(..20) {
        0..4 => {
            let object = if rng.u8(..3) == 0 {
                with((kind.make)(name), &change(rng, kind))
            } else {
                (kind.make)(name)
            };
            post(format!("{}{query}", kind.path), &object)
        }
        4..7 => {
            let version = match rng.u8(..4) {
                0 => String::new(),
                1 => format!("$oldrv({name})"),
                _ => format!("$rv({name})"),
            };
            let object = with((kind.make)(name), &change(rng, kind));
            put(format!("{one}{query}"), &with(object, &json!({"metadata": {"resourceVersion": version}})))
        }
        7..12 => merge(format!("{one}{query}"), &change(rng, kind)),
        12..14 => json_patch(format!("{one}{query}"), &operations(rng, name)),
        14 => status_or_scale(rng, &one),
        15 => read(rng, kind.path, &one),
        // A real server has a config map of its own in every namespace, which counts.
        16 if kind.path == CONFIG_MAPS => get(format!("{}?labelSelector=x", kind.path)),
        16 => get(format!(
            "{}?{}",
            kind.path,
            pick(
                rng,
                &[
                    "labelSelector=x",
                    "labelSelector=x%21%3D1",
                    "limit=1",
                    "limit=2&continue=$continue",
                    "fieldSelector=metadata.name%3Da"
                ]
            )
        )),
        17 => delete(&one),
        18 => {
            let uid = if rng.bool() { format!("$uid({name})") } else { "other".to_owned() };
            delete_with(&one, &json!({"propagationPolicy": "Background", "preconditions": {"uid": uid}}))
        }
        _ => delete(format!("{}?labelSelector=x%3D1", kind.path)),
    }
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

fn read(rng: &mut Rng, path: &str, one: &str) -> Step {
    match rng.u8(..5) {
        0 => get(path).accept(TABLE),
        1 => get(path).accept(METADATA_LIST),
        2 => get(one).accept(METADATA),
        3 => get(format!("{path}?watch=1&timeoutSeconds=1")),
        _ => get(one),
    }
}
