//! Whole rollouts: forth, back, and what people ask.

use serde_json::json;
use tidegate::api::{EndReason, Phase, Rollout};

use crate::{
    call::Call,
    cluster::Cluster,
    objects::{ROLLOUT, entry, route},
    server::Server,
    told::{message, runs},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_canary_is_promoted_with_few_calls() {
    let cluster = Cluster::start().await;
    cluster.roll(ROLLOUT).await;
    let rollout = cluster.phase(Phase::Healthy).await;
    assert_eq!(rollout.status.as_ref().unwrap().stable.as_ref().unwrap().name, "v2");
    assert_eq!((cluster.share("v1").await, cluster.share("v2").await), (0, 100));
    cluster.event("Promoted").await;
    cluster.event("Step").await;
    let told = |call: Call| format!("{} {} {}", call.verb, call.resource, call.subresource);
    let calls: Vec<_> = cluster.calls().into_iter().map(told).collect();
    // Three steps: start, claim, guard on and off, four a step, the end, and evidence in between.
    assert!(calls.len() <= 24, "{} calls: {calls:#?}", calls.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_canary_is_put_back_with_the_sentence() {
    let cluster = Cluster::start().await;
    cluster.gateway.fail("v2", 0.05);
    cluster.roll(ROLLOUT).await;
    let rollout = cluster.phase(Phase::Failed).await;
    assert_eq!((cluster.share("v1").await, cluster.share("v2").await), (100, 0));
    let told = message(&rollout);
    assert!(told.starts_with("Rolled back at 10%") && told.contains("5.0%"), "{told}");
    let event = cluster.event("AnalysisFailed").await;
    assert_eq!(event.type_.as_deref(), Some("Warning"));
    assert!(event.message.unwrap().contains("Rolled back at 10%"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_is_not_listed_is_added_and_goes_again() {
    let cluster = Cluster::start().await;
    cluster.gateway.fail("v3", 0.2);
    cluster.roll(&ROLLOUT.replace("v2", "v3")).await;
    cluster.until_share("v3", 10).await;
    cluster.phase(Phase::Failed).await;
    crate::waiting::eventually(
        "v3 is taken out",
        || cluster.weights("color"),
        |found| !found.contains_key("v3"),
    )
    .await;
    assert_eq!(cluster.weights("color").await, [("v1".into(), 100), ("v2".into(), 0)].into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_routes_move_as_one() {
    let cluster = Cluster::start().await;
    cluster.create(route("api", &json!([entry("v2", 0), entry("v1", 100)]))).await;
    let routes = "{group: appmesh.k8s.aws, kind: GatewayRoute, name: color}";
    cluster.roll(&ROLLOUT.replace(routes, &format!("{routes}, {}", routes.replace("color", "api")))).await;
    cluster.phase(Phase::Healthy).await;
    assert_eq!(cluster.weights("api").await["v2"], 100);
    assert_eq!(cluster.weights("color").await["v2"], 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_is_taken_at_once() {
    let cluster = Cluster::start().await;
    cluster.roll(&ROLLOUT.replace("hold: 1s", "hold: 5m")).await;
    cluster.at(10).await;
    cluster.abort("checkout is slow").await;
    let rollout = cluster.phase(Phase::Failed).await;
    assert!(message(&rollout).contains("aborted by ann: checkout is slow"), "{}", message(&rollout));
    assert_eq!(cluster.share("v2").await, 0);
    cluster.ask("retry").await;
    cluster.until("color", "a second run", |rollout| runs(rollout) == 2).await;
    cluster.at(10).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn approval_and_promote() {
    let cluster = Cluster::start().await;
    cluster.roll(&ROLLOUT.replace("{weight: 10}", "{weight: 10, approval: Required}")).await;
    let rollout = cluster.phase(Phase::Paused).await;
    assert!(message(&rollout).contains("promote to go on"), "{}", message(&rollout));
    cluster.ask("promote").await;
    cluster.phase(Phase::Healthy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_target_mid_run_ends_the_run_first() {
    let cluster = Cluster::start().await;
    cluster.roll(&ROLLOUT.replace("hold: 1s", "hold: 5m")).await;
    cluster.at(10).await;
    let target = json!({ "name": "v3", "workloadRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "v3" } });
    cluster.patch("color", json!({ "spec": { "target": target } })).await;
    cluster.until_share("v3", 10).await;
    assert_eq!(cluster.share("v2").await, 0);
    let rollout = cluster.rollouts().get("color").await.unwrap();
    assert_eq!(rollout.status.unwrap().history[0].outcome, EndReason::TargetChanged);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_image_mid_run_starts_from_zero() {
    let cluster = Cluster::start().await;
    cluster.roll(&ROLLOUT.replace("hold: 1s", "hold: 5m")).await;
    cluster.at(10).await;
    let container = json!([{ "name": "app", "image": "example.com/color:other" }]);
    let patch = json!({ "spec": { "template": { "spec": { "containers": container } } } });
    let api = cluster.api_of(&crate::objects::deployment("v2"));
    api.patch("v2", &kube::api::PatchParams::default(), &kube::api::Patch::Merge(patch)).await.unwrap();
    let rollout = cluster.until("color", "a second run", |rollout| runs(rollout) == 2).await;
    assert_eq!(rollout.status.unwrap().history[0].outcome, EndReason::RevisionChanged);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deletion_mid_run_puts_traffic_on_stable() {
    let cluster = Cluster::start().await;
    cluster.roll(&ROLLOUT.replace("hold: 1s", "hold: 5m")).await;
    cluster.at(10).await;
    cluster.rollouts().delete("color", &kube::api::DeleteParams::default()).await.unwrap();
    cluster.until_share("v2", 0).await;
    let api = cluster.rollouts();
    crate::waiting::eventually(
        "the Rollout is gone",
        || async { api.get_opt("color").await.unwrap() },
        Option::is_none,
    )
    .await;
    let route = cluster.routes().get("color").await.unwrap();
    assert!(route.metadata.annotations.unwrap_or_default().is_empty(), "our stamp goes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_given_to_a_canary_without_ready_pods() {
    let Some(mut cluster) = Cluster::with_pods_to_order().await else { return };
    cluster.ready("v2", false).await;
    cluster.run_controller();
    cluster.roll(ROLLOUT).await;
    let waiting = |r: &Rollout| message(r).contains("v2 has no ready pod");
    cluster.until("color", "waiting for pods", waiting).await;
    assert_eq!(cluster.share("v2").await, 0);
    cluster.ready("v2", true).await;
    cluster.phase(Phase::Healthy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_rest_nothing_is_asked_and_nothing_is_written() {
    let cluster = Cluster::start().await;
    cluster.roll(ROLLOUT).await;
    cluster.phase(Phase::Healthy).await;
    cluster.event("Promoted").await;
    let finalizers = |r: &Rollout| r.metadata.finalizers.clone().unwrap_or_default().is_empty();
    cluster.until("color", "without our finalizer", finalizers).await;
    // Something unrelated happens; the Rollout is looked at again, and nothing follows from it.
    let before = cluster.writes().len();
    cluster.patch("color", json!({ "metadata": { "labels": { "looked": "at" } } })).await;
    cluster.create(route("other", &json!([entry("v1", 100)]))).await;
    cluster.patch("color", json!({ "metadata": { "annotations": { "tidegate.dev/request": "{}" } } })).await;
    // The answer to the request shows that all three were seen; it is the one write, and one Event.
    let answered = |r: &Rollout| r.status.as_ref().is_some_and(|s| s.last_request.is_some());
    cluster.until("color", "answered", answered).await;
    cluster.event("RequestRefused").await;
    assert_eq!(cluster.writes().len() - before, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn confined_to_namespaces_it_asks_for_nothing_elsewhere() {
    let cluster = Cluster::start().await;
    cluster.roll(ROLLOUT).await;
    cluster.phase(Phase::Healthy).await;
    let asked: Vec<Call> =
        cluster.proxy.calls().into_iter().filter(|call| !call.resource.is_empty()).collect();
    // Which rules apply to oneself is asked of the cluster.
    let elsewhere: Vec<&Call> = asked
        .iter()
        .filter(|call| call.namespace != cluster.namespace && call.group != "authorization.k8s.io")
        .collect();
    assert!(asked.len() >= 6 && elsewhere.is_empty(), "{elsewhere:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_serves_the_whole_cluster_where_no_namespace_is_named() {
    let Some(server) = Server::alone("it serves every namespace").await else { return };
    let mut cluster = Cluster::for_all_namespaces(server).await;
    cluster.create(route("color", &json!([entry("v1", 100), entry("v2", 0)]))).await;
    cluster.run_controller();
    cluster.roll(ROLLOUT).await;
    cluster.phase(Phase::Healthy).await;
    let listed = cluster.proxy.calls().into_iter().filter(|call| call.verb == "list");
    assert!(listed.clone().count() >= 3 && listed.into_iter().all(|call| call.namespace.is_empty()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_waits_for_a_ready_pod_of_stable_and_says_so() {
    let Some(mut cluster) = Cluster::with_pods_to_order().await else { return };
    cluster.run_controller();
    cluster.roll(&ROLLOUT.replace("hold: 1s", "hold: 5m")).await;
    cluster.at(10).await;
    // Not at work meanwhile, it knows at its start, and not some time after the abort.
    cluster.kill_controller();
    cluster.ready("v1", false).await;
    cluster.run_controller();
    cluster.abort("checkout is slow").await;
    let waiting = |r: &Rollout| message(r).contains("v1 has no ready pod");
    cluster.until("color", "waiting for stable's pods", waiting).await;
    assert_eq!(cluster.share("v2").await, 10, "traffic is never sent where nobody answers");
    cluster.ready("v1", true).await;
    cluster.phase(Phase::Failed).await;
    assert_eq!(cluster.share("v2").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_canary_without_ready_pods_is_put_back() {
    let Some(mut cluster) = Cluster::with_pods_to_order().await else { return };
    cluster.run_controller();
    cluster.roll(&ROLLOUT.replace("hold: 1s", "hold: 5m")).await;
    cluster.at(10).await;
    cluster.ready("v2", false).await;
    cluster.gateway.fail("v2", 0.3);
    cluster.phase(Phase::Failed).await;
    assert_eq!((cluster.share("v1").await, cluster.share("v2").await), (100, 0));
}
