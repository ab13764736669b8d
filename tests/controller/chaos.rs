//! Two controllers and a hundred Rollouts, while everything under them is killed and stopped at random:
//!
//! ```console
//! $ TIDEGATE_CHAOS_MINUTES=3 tests/cluster/run cargo test --test controller chaos::
//! ```

use std::{collections::BTreeMap, path::Path, process::Command, time::Duration};

use jiff::Timestamp;
use kube::{
    Api, ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use tidegate::{
    api::{ABORT_ANNOTATION, Phase, REQUEST_ANNOTATION, Rollout, RouteKind, Stamp},
    clock::Clock,
};

use crate::{
    cluster::Cluster,
    history::stored_routes,
    objects::{entry, route, weights_of},
    running::Running,
    server::{Server, is_real},
    skip::skip,
};

/// How many Rollouts there are. Every other one wants a version that is bad.
const ROLLOUTS: usize = 100;
const HOLD: Duration = Duration::from_secs(10);
/// What a clock may be off where the controller's, the API server's and a late call's meet.
const SLACK: Duration = Duration::from_secs(1);
/// A Lease runs out, and a hundred runs of three steps come to their end, at the latest by then.
const TO_REST: Duration = Duration::from_mins(5);
const GOOD: &str = "v2";
const BAD: &str = "v3";

fn name(number: usize) -> String {
    format!("r{number}")
}

fn is_bad(name: &str) -> bool {
    name[1..].parse::<usize>().unwrap() % 2 == 1
}

fn rollout(number: usize) -> String {
    let name = name(number);
    let target = if is_bad(&name) { BAD } else { GOOD };
    format!(
        "
apiVersion: tidegate.dev/v1alpha1
kind: Rollout
metadata: {{name: {name}}}
spec:
  routes: [{{group: appmesh.k8s.aws, kind: GatewayRoute, name: {name}}}]
  target: {{name: {target}}}
  strategy: {{canary: {{hold: {}s, steps: [{{weight: 10}}, {{weight: 50}}]}}}}
  analysis:
    interval: 2s
    settle: 200ms
    series: {{preset: tidegate-gateway, params: {{mesh: mesh, port: \"8080\"}}}}
    errorRate: {{}}
",
        HOLD.as_secs()
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_and_nothing_bad_rises() {
    let minutes = std::env::var("TIDEGATE_CHAOS_MINUTES").ok();
    let Some(minutes) = minutes.and_then(|minutes| minutes.parse::<u64>().ok()) else {
        return skip("it takes minutes; say how many: TIDEGATE_CHAOS_MINUTES=3");
    };
    if !is_real() {
        return skip("it kills the API server and etcd, which only a control plane of tests/cluster has");
    }
    let Some(server) = Server::alone("it kills the API server and etcd").await else { return };
    let mut cluster = Box::pin(Cluster::on(server, "tidegate-chaos", |_| {})).await;
    let election = format!("leaderElection: {{namespace: {}}}\n", cluster.namespace);
    cluster.scope.push_str(&election);
    cluster.gateway.fail(BAD, 0.3);
    for number in 0..ROLLOUTS {
        let entries = json!([entry("v1", 100), entry(GOOD, 0), entry(BAD, 0)]);
        cluster.create(route(&name(number), &entries)).await;
    }
    let mut controllers = [run(&mut cluster), run(&mut cluster)];
    for number in 0..ROLLOUTS {
        cluster.roll(&rollout(number)).await;
    }
    let mut counts = BTreeMap::new();
    let clock = Clock::start();
    let span = Duration::from_secs(60 * minutes);
    while clock.elapsed() < span {
        let trouble = trouble(&mut cluster, &mut controllers).await;
        *counts.entry(trouble).or_insert(0_u32) += 1;
        let asked = people(&cluster).await;
        *counts.entry("asked of Rollouts").or_insert(0) += asked;
        tokio::time::sleep(Duration::from_millis(fastrand::u64(500..4_000))).await;
    }
    eprintln!("in {minutes} minutes: {counts:?}");
    let by = clock.elapsed() + TO_REST;
    loop {
        let unsettled = unsettled(&cluster).await;
        if unsettled.is_empty() {
            break;
        }
        assert!(clock.elapsed() < by, "never at rest: {unsettled:#?}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let states = audited(cluster.server.audited().unwrap(), &cluster.namespace);
    let writes: usize = states.values().map(Vec::len).sum();
    eprintln!("{writes} states of {} routes in the audit log", states.len());
    for (name, states) in &states {
        obeys(name, states);
    }
}

/// A controller that ends with the test, however that ends.
struct Controller(Option<Running>);

impl Controller {
    fn running(&self) -> &Running {
        self.0.as_ref().unwrap()
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        if let Some(running) = self.0.take() {
            running.kill();
        }
    }
}

fn run(cluster: &mut Cluster) -> Controller {
    cluster.run_program();
    Controller(cluster.controller.take())
}

fn signal(pid: &str, signal: &str) {
    let _ = Command::new("sh").args(["-c", &format!("kill -{signal} {pid}")]).status();
}

/// One thing goes wrong, and is over when this returns.
async fn trouble(cluster: &mut Cluster, controllers: &mut [Controller; 2]) -> &'static str {
    let folder = cluster.server.folder().unwrap().to_owned();
    let component = |name: &str| {
        std::fs::read_to_string(folder.join("pids").join(name)).unwrap_or_default().trim().to_owned()
    };
    let which = fastrand::usize(0..2);
    match fastrand::u32(0..6) {
        0 => {
            signal(&component("kube-apiserver"), "KILL");
            "API server killed"
        }
        1 => {
            signal(&component("etcd"), "KILL");
            "etcd killed"
        }
        2 => {
            stopped(&component("kube-apiserver"), 6_000).await;
            "API server stopped"
        }
        3 => {
            stopped(&component("etcd"), 6_000).await;
            "etcd stopped"
        }
        4 => {
            // Longer than a Lease is good for, at times.
            stopped(&controllers[which].running().pid(), 20_000).await;
            revive(cluster, &mut controllers[which]);
            "controller stopped"
        }
        _ => {
            controllers[which] = run(cluster);
            "controller killed"
        }
    }
}

async fn stopped(pid: &str, most: u64) {
    signal(pid, "STOP");
    tokio::time::sleep(Duration::from_millis(fastrand::u64(500..most))).await;
    signal(pid, "CONT");
}

/// A controller that has lost the Lease ends; what runs it starts it again.
fn revive(cluster: &mut Cluster, controller: &mut Controller) {
    if controller.running().has_ended() {
        *controller = run(cluster);
    }
}

/// People release, retry and abort; returns how much of that was taken by the API server.
async fn people(cluster: &Cluster) -> u32 {
    let api = cluster.rollouts();
    let Ok(Ok(all)) = tokio::time::timeout(Duration::from_secs(5), api.list(&ListParams::default())).await
    else {
        return 0;
    };
    let mut asked = 0;
    for rollout in all.items.iter().filter(|_| fastrand::u32(0..8) == 0) {
        if let Some(change) = wish(rollout)
            && patch(&api, &rollout.name_any(), &change).await
        {
            asked += 1;
        }
    }
    asked
}

async fn patch(api: &Api<Rollout>, name: &str, change: &Value) -> bool {
    let (params, change) = (PatchParams::default(), Patch::Merge(change));
    let answer = api.patch(name, &params, &change);
    matches!(tokio::time::timeout(Duration::from_secs(5), answer).await, Ok(Ok(_)))
}

fn wish(rollout: &Rollout) -> Option<Value> {
    let status = rollout.status.as_ref()?;
    let run = status.run.as_ref()?;
    let id = fastrand::u64(..);
    let at = "2026-01-01T00:00:00Z";
    if run.ended.is_none() {
        let abort = format!(r#"{{"run":{},"by":"chaos","at":"{at}","reason":"{id}"}}"#, run.number);
        return (fastrand::u32(0..10) == 0)
            .then(|| json!({"metadata": {"annotations": {ABORT_ANNOTATION: abort}}}));
    }
    match status.phase? {
        Phase::Failed => {
            let retry = format!(
                r#"{{"action":"retry","run":{},"step":0,"by":"chaos","at":"{at}","id":"{id}"}}"#,
                run.number
            );
            Some(json!({"metadata": {"annotations": {REQUEST_ANNOTATION: retry}}}))
        }
        Phase::Healthy => {
            let next = if rollout.spec.target.name == GOOD { "v1" } else { GOOD };
            Some(json!({"spec": {"target": {"name": next}}}))
        }
        _ => None,
    }
}

/// Who is not at rest as it should be, with what it says.
async fn unsettled(cluster: &Cluster) -> Vec<String> {
    let Ok(rollouts) = cluster.rollouts().list(&ListParams::default()).await else {
        return vec!["the API server does not answer".to_owned()];
    };
    let Ok(routes) = cluster.routes().list(&ListParams::default()).await else {
        return vec!["the API server does not answer".to_owned()];
    };
    let weights: BTreeMap<String, BTreeMap<String, i64>> = routes
        .items
        .iter()
        .map(|route| (route.name_any(), weights_of(RouteKind::GatewayRoute, route)))
        .collect();
    let at_rest = |rollout: &Rollout| {
        let status = rollout.status.clone().unwrap_or_default();
        let weights = &weights[&rollout.name_any()];
        let on_stable = status.stable.is_some_and(|stable| weights[&stable.name] == 100);
        let over = status.run.is_some_and(|run| run.ended.is_some_and(|ended| ended.settled));
        let phase = match status.phase {
            // People may have ended a good one.
            Some(Phase::Failed) => true,
            Some(Phase::Healthy) => !is_bad(&rollout.name_any()),
            _ => false,
        };
        phase && over && on_stable && weights[BAD] == 0
    };
    let told = |rollout: &Rollout| {
        let status = rollout.status.clone().unwrap_or_default();
        format!("{} {:?} {:?}", rollout.name_any(), status.phase, status.message)
    };
    rollouts.items.iter().filter(|rollout| !at_rest(rollout)).map(told).collect()
}

/// A state that a route was in, by the audit log.
struct State {
    at: Timestamp,
    stamp: Option<Stamp>,
    weights: BTreeMap<String, i64>,
}

/// Every state of every route, in order. What was stored just before the API server was killed may be missing.
fn audited(log: (&Path, u64), namespace: &str) -> BTreeMap<String, Vec<State>> {
    let mut states: BTreeMap<String, BTreeMap<u64, State>> = BTreeMap::new();
    for (at, route) in stored_routes(log, namespace, RouteKind::GatewayRoute) {
        let name = route.name_any();
        let stamp = route.annotations().get(&format!("state.tidegate.dev/{name}"));
        let state = State {
            at,
            stamp: stamp.and_then(|text| Stamp::parse(text)),
            weights: weights_of(RouteKind::GatewayRoute, &route),
        };
        let version = route.resource_version().unwrap().parse().unwrap();
        states.entry(name).or_default().insert(version, state);
    }
    states.into_iter().map(|(name, states)| (name, states.into_values().collect())).collect()
}

/// S1 to S3, by what a route looked like from its beginning to its end.
fn obeys(name: &str, states: &[State]) {
    const PLAN: [i64; 4] = [0, 10, 50, 100];
    let mut epoch = 0;
    let mut ended = 0;
    let mut begun: BTreeMap<(i64, i32), Timestamp> = BTreeMap::new();
    for State { at, stamp, weights } in states {
        let total: i64 = weights.values().sum();
        assert_eq!(total, 100, "{name}: {weights:?}");
        assert!(weights[BAD] <= PLAN[1], "{name}: the bad version has {weights:?}");
        let Some(stamp) = stamp else { continue };
        assert!(stamp.epoch >= epoch, "{name}: epoch {} after {epoch}", stamp.epoch);
        epoch = stamp.epoch;
        if stamp.aborted {
            ended = ended.max(stamp.run);
        }
        assert!(stamp.aborted || stamp.run > ended, "{name}: run {} goes on after its mark", stamp.run);
        let planned = if stamp.aborted { 0 } else { PLAN[usize::try_from(stamp.step).unwrap()] };
        let stands = |share: i64| weights.values().any(|weight| *weight == share);
        assert!(stands(planned) && stands(100 - planned), "{name}: step {} has {weights:?}", stamp.step);
        begun.entry((stamp.run, stamp.step)).or_insert(*at);
        if !stamp.aborted
            && stamp.step > 1
            && let Some(before) = begun.get(&(stamp.run, stamp.step - 1))
            && begun[&(stamp.run, stamp.step)] == *at
        {
            let held = Duration::try_from(at.duration_since(*before)).unwrap_or_default();
            assert!(held + SLACK >= HOLD, "{name}: step {} was held for {held:?}", stamp.step - 1);
        }
    }
}
