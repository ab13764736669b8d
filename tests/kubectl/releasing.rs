//! Another target: named, derived, refused, and back again.

use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::program::{BY_HOLDS, Scene};

/// Steps of one hold, without approvals.
fn at_once() -> String {
    BY_HOLDS.replace("{weight: 20}, {weight: 50, approval: Required}", "{weight: 50}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_workload_goes_with_the_target() {
    let scene = Scene::of(&at_once()).await;
    scene.run("release color --target blue").await.ends(2).says("say it with --workload");
    scene.run("release color --target color-app-v2.default --workload DaemonSet/x").await.ends(2);
    let ran = scene.run("release color --target color-app-v2.default --wait --timeout 60s").await;
    ran.ends(0).says("color-app-v2.default is the target of color now (before: color-app-v1.default)");
    let target = scene.rollout().await.spec.target;
    assert_eq!(target.workload_ref.unwrap().name, "color-app-v2");
    scene
        .run("release color --target color-app-v2.default --wait")
        .await
        .ends(0)
        .says("is the target already");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_live_comes_back() {
    let scene = Scene::of(&at_once()).await;
    scene.run("undo color").await.ends(2).says("nothing is known that was live before");
    scene.run("release color --target color-app-v2.default --wait").await.ends(0);
    scene.run("undo color --to 7").await.ends(2).says("the history has no run 7");
    scene.run("undo color --to 1").await.ends(2).says("color-app-v2.default is the target already");
    let ran = scene.run("undo color --wait").await.ends(0);
    let ran = ran.says("within the rollbackWindow: one step to 100%, if its pods are still the same");
    assert!(ran.out.contains("1/1 at 100%"), "{ran:?}");
    // Amid a run it is stable that is meant.
    let slowly = json!({"spec": {"rollbackWindow": null, "strategy": {"canary": {"hold": "5m"}}}});
    scene.stage.rollouts().patch("color", &PatchParams::default(), &Patch::Merge(slowly)).await.unwrap();
    scene.run("release color --target color-app-v2.default").await.ends(0);
    scene.run("status color --wait --for step=1 --target color-app-v2.default").await.ends(0);
    let ran = scene.run("undo color --wait").await.ends(0);
    ran.says("color-app-v1.default is stable: the run ends, and all traffic goes back to it at once");
    // And any that went live.
    let ran = scene.run("undo color --to 1").await.ends(0);
    ran.says("by the steps of the plan").says("color-app-v2.default is the target of color now");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_git_keeps_it_git_must_follow() {
    let scene = Scene::of(&at_once()).await;
    let marks = json!({"metadata": {"annotations": {"argocd.argoproj.io/tracking-id": "shop:tidegate.dev/Rollout:default/color"}}});
    scene.stage.rollouts().patch("color", &PatchParams::default(), &Patch::Merge(marks)).await.unwrap();
    for line in ["release color --target color-app-v2.default --wait", "undo color --wait"] {
        scene
            .run(line)
            .await
            .ends(0)
            .says("Argo CD keeps this Rollout as Git has it, and will put spec.target back");
    }
}
