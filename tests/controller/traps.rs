//! Traps that controllers of this kind fall into, and the tests that show ours beside them.
//!
//! | trap | test |
//! |---|---|
//! | an abort while one of several stable pods is unready | `controller::traps::an_abort_moves_at_once_while_one_of_stables_pods_is_unready` |
//! | the canary's pods unready and the metric bad | `controller::rollouts::a_bad_canary_without_ready_pods_is_put_back` |
//! | metrics answer 500, nothing, or hang | `controller::bad_input::metrics_that_are_down_pause_and_go_on_by_themselves`, `…_are_empty`, `…_hang` |
//! | NaN | `controller::traps::nan_is_no_evidence_and_the_run_goes_on_by_itself_when_numbers_are_back` |
//! | somebody raises the canary by hand | `controller::drift::a_raised_share_goes_back_and_the_third_time_pauses` |
//! | GitOps sets the canary to 0, again and again | `controller::drift::a_lowered_share_is_left_until_resume`, `controller::gitops` |
//! | a third target is added to the route | `controller::traps::a_third_target_pauses_is_left_alone_and_a_bad_canary_still_goes` |
//! | the route exists before the Rollout | `controller::traps::a_route_that_was_there_keeps_every_byte_but_the_weights` |
//! | the Rollout is deleted mid-run | `controller::rollouts::deletion_mid_run_puts_traffic_on_stable` |
//! | promotion | `controller::traps::nothing_ever_points_at_nothing` |
//! | the mesh's control plane is dead | `controller::traps::a_dead_mesh_is_told_and_nothing_goes_on_before_it_is_back` |
//! | why did it fail? | `controller::rollouts::a_bad_canary_is_put_back_with_the_sentence` |
//! | leader election in a namespace that does not exist | `controller::traps::a_lease_in_no_namespace_is_an_error_at_the_start` |

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api, ResourceExt,
    api::{ListParams, Patch, PatchParams},
    core::DynamicObject,
};
use serde_json::{Value, json};
use tidegate::{
    api::{PauseReason, Phase, Rollout, RouteKind},
    clock::Clock,
};

use crate::{
    bad_input::gives_nothing,
    cluster::Cluster,
    history::{History, shares},
    installation::refuses,
    metrics::Answer,
    objects::{ROLLOUT, entry, route, weights_of},
    server::{Server, unique},
    told::{message, paused_for, text},
};

/// Well before a pod would be back, or a deadline over.
const AT_ONCE: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_moves_at_once_while_one_of_stables_pods_is_unready() {
    let Some(mut cluster) = Cluster::with_pods_to_order().await else { return };
    cluster.run_controller();
    cluster.roll(&ROLLOUT.replace("hold: 1s", "hold: 5m")).await;
    cluster.at(10).await;
    // Not at work meanwhile, it knows at its start, and not some time after the abort.
    cluster.kill_controller();
    cluster.ready_pods("v1", 1).await;
    cluster.run_controller();
    let clock = Clock::start();
    cluster.abort("checkout is slow").await;
    cluster.phase(Phase::Failed).await;
    assert_eq!(cluster.share("v2").await, 0);
    assert!(clock.elapsed() < AT_ONCE, "{:?}", clock.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nan_is_no_evidence_and_the_run_goes_on_by_itself_when_numbers_are_back() {
    tokio::join!(gives_nan(false), gives_nan(true));
}

async fn gives_nan(bad: bool) {
    let cluster = gives_nothing(Answer::NotANumber).await;
    let rollout =
        cluster.until("color", "paused for the metrics", paused_for(PauseReason::MetricError)).await;
    assert!(text(&rollout).contains("no finite number"), "{}", text(&rollout));
    if bad {
        cluster.gateway.fail("v2", 0.3);
    }
    cluster.gateway.answer(Answer::Counters);
    cluster.phase(if bad { Phase::Failed } else { Phase::Healthy }).await;
    assert_eq!(cluster.share("v2").await, if bad { 0 } else { 100 });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_third_target_pauses_is_left_alone_and_a_bad_canary_still_goes() {
    let cluster = Cluster::start().await;
    cluster.roll(&ROLLOUT.replace("hold: 1s", "hold: 5m")).await;
    cluster.at(10).await;
    let targets = "/spec/httpRoute/action/weightedTargets";
    let ops = json!([
        { "op": "replace", "path": format!("{targets}/0/weight"), "value": 60 },
        { "op": "add", "path": format!("{targets}/-"), "value": entry("v3", 30) },
    ]);
    let patch = Patch::Json::<()>(serde_json::from_value(ops).unwrap());
    cluster.routes().patch("color", &PatchParams::default(), &patch).await.unwrap();
    let rollout = cluster.until("color", "paused for drift", paused_for(PauseReason::Drifted)).await;
    let told = message(&rollout);
    assert!(told.contains("v3 got weight 30 from") && told.contains("take it out, then resume"), "{told}");
    assert_eq!(
        cluster.weights("color").await,
        [("v1".into(), 60), ("v2".into(), 10), ("v3".into(), 30)].into()
    );
    cluster.gateway.fail("v2", 0.3);
    cluster.phase(Phase::Failed).await;
    let weights = cluster.weights("color").await;
    assert_eq!((weights["v2"], weights["v3"]), (0, 30), "{weights:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_that_gets_far_less_than_its_weight_is_told_once_a_step_and_goes_on() {
    let cluster = Cluster::start().await;
    cluster.gateway.let_through("v2", 0.2);
    cluster.roll(&ROLLOUT.replace("hold: 1s", "hold: 5s").replace("settle: 100ms", "settle: 2s")).await;
    let off = |rollout: &Rollout| {
        let status = rollout.status.as_ref()?;
        let condition = status.conditions.iter().find(|condition| condition.type_ == "TrafficShare")?;
        (condition.status == "True").then(|| condition.message.clone())
    };
    let rollout = cluster.until("color", "told", |rollout| off(rollout).is_some()).await;
    let told = off(&rollout).unwrap();
    assert!(told.contains("the canary had") && told.contains("something beside these routes"), "{told}");
    cluster.phase(Phase::Healthy).await;
    let warned = cluster.events("TrafficShare").await;
    let steps: BTreeSet<String> = warned
        .iter()
        .filter_map(|event| Some(event.0.message.as_ref()?[.."At 10%".len()].to_owned()))
        .collect();
    let count: i32 = warned.iter().map(|event| event.0.count.unwrap_or(1)).sum();
    assert_eq!(usize::try_from(count).unwrap(), steps.len(), "{warned:?}");
}

/// A route with all sorts of things in it that are none of ours.
fn a_route_that_was_there() -> Value {
    let mut route = route("color", &json!([entry("v1", 100), entry("v2", 0)]));
    route["metadata"]["labels"] = json!({ "team": "checkout" });
    route["metadata"]["annotations"] = json!({ "example.com/why": "Ünïcode, \"quotes\" and\nlines" });
    route["metadata"]["finalizers"] = json!(["example.com/keeps-it"]);
    route["spec"]["gatewayRouteName"] = json!("color-of-old");
    route["spec"]["priority"] = json!(7);
    let http = &mut route["spec"]["httpRoute"];
    http["match"]["headers"] =
        json!([{ "name": "x-beta", "invert": true, "match": { "range": { "start": 1, "end": 9 } } }]);
    http["match"]["queryParameters"] = json!([{ "name": "q", "match": { "exact": "" } }]);
    http["action"]["rewrite"] = json!({ "prefix": { "defaultPrefix": "DISABLED" } });
    http["retryPolicy"] = json!({
        "maxRetries": 3, "httpRetryEvents": ["server-error"], "perRetryTimeout": { "unit": "ms", "value": 250 },
    });
    route
}

/// A route without weights, without our stamp, and without what an API server and a mesh keep on it.
fn kept(route: &DynamicObject) -> Value {
    let mut kept = serde_json::to_value(route).unwrap();
    kept.as_object_mut().unwrap().remove("status");
    let metadata = kept["metadata"].as_object_mut().unwrap();
    for servers in ["resourceVersion", "generation", "managedFields"] {
        metadata.remove(servers);
    }
    metadata["annotations"].as_object_mut().unwrap().remove("state.tidegate.dev/color");
    let targets = kept.pointer_mut("/spec/httpRoute/action/weightedTargets").unwrap();
    for target in targets.as_array_mut().unwrap() {
        target.as_object_mut().unwrap().remove("weight").unwrap();
    }
    kept
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_that_was_there_keeps_every_byte_but_the_weights() {
    let mut cluster = Cluster::empty().await;
    cluster.create(a_route_that_was_there()).await;
    let before = cluster.routes().get("color").await.unwrap();
    let history = History::follow(&cluster).await;
    cluster.run_controller();
    cluster.roll(ROLLOUT).await;
    cluster.phase(Phase::Healthy).await;
    let versions = history.versions(&cluster);
    assert_eq!(shares(&history.seen(&cluster), "v2"), [0, 10, 50, 100]);
    for (_, version) in &versions {
        assert_eq!(kept(version), kept(&before));
    }
    // It goes with the test.
    let release = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
    cluster.routes().patch("color", &PatchParams::default(), &release).await.unwrap();
}

/// The targets that have weight.
fn served(route: &DynamicObject) -> BTreeMap<String, i64> {
    weights_of(RouteKind::GatewayRoute, route).into_iter().filter(|(_, weight)| *weight > 0).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_ever_points_at_nothing() {
    let cluster = Cluster::start().await;
    let history = History::follow(&cluster).await;
    // Its entry is not there yet, and that of the one before is there to the end.
    cluster.roll(&ROLLOUT.replace("v2", "v3")).await;
    cluster.phase(Phase::Healthy).await;
    let deployments: Api<Deployment> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let there = deployments.list(&ListParams::default()).await.unwrap();
    let there: BTreeSet<String> = there.items.iter().map(ResourceExt::name_any).collect();
    let versions = history.versions(&cluster);
    assert_eq!(shares(&history.seen(&cluster), "v3"), [0, 10, 50, 100]);
    for (_, version) in &versions {
        let served = served(version);
        assert_eq!(served.values().sum::<i64>(), 100, "{served:?}");
        assert!(served.keys().all(|name| there.contains(name)), "{served:?}");
    }
    for ((_, before), (_, after)) in versions.iter().zip(versions.iter().skip(1)) {
        let names = |route| weights_of(RouteKind::GatewayRoute, route).into_keys().collect::<Vec<_>>();
        let (renamed, moved) = (names(before) != names(after), served(before) != served(after));
        assert!(
            !renamed || !moved,
            "{:?} to {:?}",
            weights_of(RouteKind::GatewayRoute, before),
            weights_of(RouteKind::GatewayRoute, after)
        );
    }
}

fn is_not_programmed(rollout: &Rollout) -> bool {
    let conditions = rollout.status.iter().flat_map(|status| &status.conditions);
    let mut in_sync = conditions.filter(|condition| condition.type_ == "RoutesInSync");
    in_sync.any(|condition| condition.status == "False" && condition.reason == "NotProgrammed")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_mesh_is_told_and_nothing_goes_on_before_it_is_back() {
    tokio::join!(without_a_mesh(true), without_a_mesh(false));
}

/// Nobody takes up what is written, from the beginning or from the second step on.
async fn without_a_mesh(ever: bool) {
    let mut cluster = Cluster::empty().await;
    if !ever {
        cluster.kill_mesh();
    }
    cluster.create(route("color", &json!([entry("v1", 100), entry("v2", 0)]))).await;
    cluster.run_controller();
    cluster.roll(ROLLOUT).await;
    let share = if ever { 50 } else { 10 };
    if ever {
        cluster.at(10).await;
        cluster.kill_mesh();
    }
    cluster.until_share("v2", share).await;
    let clock = Clock::start();
    let rollout = cluster.until("color", "told", is_not_programmed).await;
    let took = clock.elapsed();
    eprintln!("a mesh was there: {ever}; told after {} ms", took.as_millis());
    assert!(message(&rollout).contains("not known to be in effect"), "{}", message(&rollout));
    let status = rollout.status.unwrap();
    let step = status.step.unwrap();
    assert!(step.since.is_none() && status.history.is_empty(), "{step:?}");
    assert_eq!(cluster.share("v2").await, share);
    assert!(took > Duration::from_secs(50), "before that it may be slow: {took:?}");
    cluster.run_mesh();
    cluster.phase(Phase::Healthy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_in_no_namespace_is_an_error_at_the_start() {
    let mut cluster = Cluster::on(Server::start().await, "tidegate-limited", |_| {}).await;
    let nowhere = unique();
    let election = format!("leaderElection: {{namespace: {nowhere}}}\n");
    cluster.scope.push_str(&election);
    let told = refuses(&mut cluster).await;
    assert!(told.contains(&nowhere) && told.contains("leader election"), "{told}");
    // Whoever may do everything everywhere learns that it is not there.
    cluster.file("kubeconfig", &cluster.server.kubeconfig());
    let told = refuses(&mut cluster).await;
    assert!(
        told.contains(&format!("the namespace {nowhere} of the Lease for leader election does not exist")),
        "{told}"
    );
}
