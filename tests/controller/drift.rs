//! Somebody else changes weights and stamps, mid-run and at rest.

use serde_json::json;
use tidegate::api::{PauseReason, Phase, Rollout};

use crate::{
    cluster::Cluster,
    objects::{ROLLOUT, entry, route},
    told::{paused_for, routes_in_sync, runs},
    waiting::eventually,
};

async fn held_at_ten() -> Cluster {
    let cluster = Cluster::start().await;
    cluster.roll(&ROLLOUT.replace("hold: 1s", "hold: 5m")).await;
    cluster.at(10).await;
    cluster
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_raised_share_goes_back_and_the_third_time_pauses() {
    let cluster = held_at_ten().await;
    for time in 1..=3 {
        cluster.set_weights("color", "argocd-controller", &[(0, 20), (1, 80)]).await;
        let back = |r: &Rollout| {
            let run = r.status.as_ref().and_then(|s| s.run.as_ref());
            routes_in_sync(r) && run.is_some_and(|run| run.corrections == time)
        };
        cluster.until("color", &format!("put back, time {time}"), back).await;
        cluster.until_share("v2", 10).await;
    }
    let rollout = cluster.until("color", "paused for drift", paused_for(PauseReason::Drifted)).await;
    let told = rollout.status.unwrap().message.unwrap();
    assert!(told.contains("argocd-controller") && told.contains("RespectIgnoreDifferences"), "{told}");
    cluster.event("Drifted").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lowered_share_is_left_until_resume() {
    let cluster = held_at_ten().await;
    cluster.set_weights("color", "kustomize-controller", &[(0, 100), (1, 0)]).await;
    let rollout = cluster.until("color", "paused for drift", paused_for(PauseReason::Drifted)).await;
    let told = rollout.status.unwrap().message.unwrap();
    assert!(told.contains("kustomize-controller") && told.contains("spec.ignore"), "{told}");
    assert_eq!(cluster.share("v2").await, 0);
    cluster.ask("resume").await;
    cluster.until_share("v2", 10).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gits_weights_without_our_stamp_are_claimed_and_pause() {
    let cluster = held_at_ten().await;
    let mut route = cluster.routes().get("color").await.unwrap();
    route.metadata.annotations = None;
    route.metadata.managed_fields = None;
    route.data["spec"]["httpRoute"]["action"]["weightedTargets"] = json!([entry("v1", 100), entry("v2", 0)]);
    cluster.routes().replace("color", &kube::api::PostParams::default(), &route).await.unwrap();
    cluster.until("color", "paused for drift", paused_for(PauseReason::Drifted)).await;
    let stamped =
        || async { cluster.routes().get("color").await.unwrap().metadata.annotations.unwrap_or_default() };
    eventually("stamped again", stamped, |found| found.contains_key("state.tidegate.dev/color")).await;
    assert_eq!(cluster.share("v2").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_deleted_mid_run_pauses_and_back_with_another_uid_starts_anew() {
    let cluster = held_at_ten().await;
    cluster.routes().delete("color", &kube::api::DeleteParams::default()).await.unwrap();
    cluster.until("color", "paused for the route", paused_for(PauseReason::RouteGone)).await;
    let entries = json!([entry("v1", 100), entry("v2", 0)]);
    cluster.create(route("color", &entries)).await;
    cluster.until("color", "a second run", |rollout| runs(rollout) == 2).await;
    cluster.at(10).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stables_entry_taken_out_holds_with_the_entry_to_paste() {
    let cluster = held_at_ten().await;
    let ops = json!([{ "op": "remove", "path": "/spec/httpRoute/action/weightedTargets/0" }]);
    let patch = kube::api::Patch::Json::<()>(serde_json::from_value(ops).unwrap());
    cluster.routes().patch("color", &kube::api::PatchParams::default(), &patch).await.unwrap();
    let rollout = cluster.until("color", "paused for drift", paused_for(PauseReason::Drifted)).await;
    let told = rollout.status.unwrap().message.unwrap();
    assert!(told.contains(r#"{"virtualServiceRef":{"name":"v1"}"#), "{told}");
    cluster.abort("give up").await;
    cluster.until_share("v1", 100).await;
    assert_eq!(cluster.share("v2").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_rest_stable_is_restored_three_times() {
    let cluster = Cluster::start().await;
    cluster.roll(ROLLOUT).await;
    cluster.phase(Phase::Healthy).await;
    for time in 1..=3 {
        cluster.set_weights("color", "kubectl-client-side-apply", &[(0, 100), (1, 0)]).await;
        let restored =
            |r: &Rollout| routes_in_sync(r) && r.status.as_ref().is_some_and(|s| s.restored.len() == time);
        cluster.until("color", &format!("restored, time {time}"), restored).await;
        cluster.until_share("v2", 100).await;
    }
    cluster.set_weights("color", "kubectl-client-side-apply", &[(0, 100), (1, 0)]).await;
    let left = |r: &Rollout| {
        let conditions = r.status.as_ref().map(|s| s.conditions.clone()).unwrap_or_default();
        conditions.iter().any(|c| c.type_ == "Ready" && c.status == "False" && c.reason == "Drifted")
            && conditions.iter().any(|c| c.message.contains("three times in 24 hours"))
    };
    cluster.until("color", "left", left).await;
    assert_eq!(cluster.share("v2").await, 0);
    cluster.ask("resume").await;
    cluster.until_share("v2", 100).await;
}
