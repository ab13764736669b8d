//! Waiting: every goal, every exit code, and what is told meanwhile.

use kube::api::{Patch, PatchParams};
use serde_json::json;
use tidegate::api::Phase;

use crate::{
    program::{BY_HOLDS, Begun, JUDGED, Ran, Scene, program},
    shapes::shape,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_is_not_there_is_told_apart_from_a_rollout_that_is_not() {
    let scene = Scene::of(BY_HOLDS).await;
    scene.run("status nothing").await.ends(2).says("rollouts.tidegate.dev \"nothing\" not found");
    scene
        .run("status nothing --wait")
        .await
        .ends(2)
        .says("there is no Rollout nothing in the namespace default");
    scene.run("status color --namespace elsewhere").await.ends(2);
    let gone = std::fs::read_to_string(scene.kubeconfig()).unwrap().replace("127.0.0.1", "127.0.0.2");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), gone).unwrap();
    let ran = scene.run_words(&["--kubeconfig", file.path().to_str().unwrap(), "status", "color"]).await;
    ran.ends(6).says("cannot read the Rollout color in the namespace default");
}

#[test]
fn without_a_kubeconfig_there_is_no_cluster() {
    let ran = Ran::of(&program().args(["status", "color"]).output().unwrap());
    ran.ends(6).says("cannot use the kubeconfig");
}

#[test]
fn a_command_line_that_makes_no_sense_is_told_before_any_cluster_is_asked() {
    for words in [
        &["status", "color", "--for", "ready"][..],
        &["status", "color", "--timeout", "5m"],
        &["status", "color", "--wait", "--timeout", "soon"],
        &["release", "color"],
        &["promote"],
        &["get", "color", "-A"],
        &["nothing"],
    ] {
        let ran = Ran::of(&program().args(words).output().unwrap());
        assert_eq!(ran.code, 2, "{words:?}: {ran:?}");
        assert!(ran.err.contains("error:"), "{ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_goal_is_reached_or_not() {
    let scene = Scene::of(BY_HOLDS).await;
    scene.run("status color").await.ends(0).says("Healthy: color-app-v1.default is live");
    scene.run("status color --for paused").await.ends(1).says("Healthy");
    scene
        .run("status color --wait --target color-app-v2.default --timeout 1s")
        .await
        .ends(3)
        .says("waiting until it is color-app-v2.default");
    scene.to_approval().await;
    scene.run("status color").await.ends(4).says("Paused 2/3 at 50%");
    scene.run("status color --wait --for paused").await.ends(0);
    scene.run("status color --wait --for step=2").await.ends(0);
    scene.run("status color --for step=3").await.ends(4);
    scene.run("status color --target color-app-v1.default").await.ends(3);
    scene.run("promote color").await.ends(0);
    scene.run("status color --wait --for step=3").await.ends(0);
    let ran = scene.run("status color --wait --target color-app-v2.default").await;
    ran.ends(0).says("Healthy: color-app-v2.default is live");
    let suspended = json!({"spec": {"suspend": true}});
    scene.stage.rollouts().patch("color", &PatchParams::default(), &Patch::Merge(suspended)).await.unwrap();
    scene.run("status color --wait").await.ends(4).says("spec.suspend");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_fails_is_told_with_the_evidence() {
    let scene = Scene::of(JUDGED).await;
    scene.stage.app.set_error_share("v2", 0.5);
    let ran = scene.run("release color --target color-app-v2.default --wait").await;
    let ran = ran.ends(1).says("Rolled back at 50%").says("errorRate Fail: ");
    assert!(ran.out.lines().count() > 3, "each change is a line: {ran:?}");
    let ran = scene.run("status color --wait -o json").await.ends(1);
    insta::assert_snapshot!(shape(&ran.json()), @r"
    .canary.hash: string
    .canary.name: string
    .canary.workloadRef.apiVersion: string
    .canary.workloadRef.kind: string
    .canary.workloadRef.name: string
    .current: bool
    .evidence[]: string
    .exitCode: number
    .message: string
    .name: string
    .namespace: string
    .pause: null
    .phase: string
    .run: number
    .stable.hash: string
    .stable.name: string
    .stable.workloadRef.apiVersion: string
    .stable.workloadRef.kind: string
    .stable.workloadRef.name: string
    .step.elapsed: string
    .step.index: number
    .step.label: string
    .step.of: number
    .step.promoted: bool
    .step.restoring: bool
    .step.since: string
    .step.storedAt: string
    .step.weight: number
    .target: string
    ");
    assert_eq!(ran.json()["exitCode"], 1);
    // Once more only where that is said.
    scene
        .run("release color --target color-app-v2.default --wait")
        .await
        .ends(1)
        .says("--retry tries it again");
    let ran = scene.run("release color --target color-app-v2.default --retry --wait").await;
    ran.ends(1).says("retry accepted").says("Run 2");
    scene.run("release color --target color-app-v1.default --wait").await.ends(0);
    scene.run("release color --target color-app-v2.default").await.ends(1).says("failed in run 2");
    let ran = scene.run("release color --target color-app-v2.default --retry --wait").await;
    ran.ends(1).says("Run 3");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_status_that_answers_to_the_last_change_counts() {
    let scene = Scene::of(BY_HOLDS).await;
    scene.stage.end_controller().await;
    let ran = scene.run("release color --target color-app-v2.default --wait --timeout 2s").await;
    let ran = ran.ends(3).says("the controller has not taken up the last change yet");
    assert!(!ran.out.contains("Healthy"), "it is healthy with the version before: {ran:?}");
    scene.run("status color").await.ends(3).says("has not taken up the last change");
    // Somebody else's target is not what was waited for.
    let mut waits = Begun::with(&scene, "status color --wait --target color-app-v2.default");
    waits.first_line().await;
    {
        let other = json!({"spec": {"target": {"name": "color-app-v3.default", "workloadRef": {"name": "color-app-v3"}}}});
        scene.stage.rollouts().patch("color", &PatchParams::default(), &Patch::Merge(other)).await.unwrap();
    }
    waits.end().await.ends(1).says("the target is color-app-v3.default now, no longer color-app-v2.default");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_that_cannot_be_followed_is_given_a_moment() {
    let scene = Scene::of(BY_HOLDS).await;
    let elsewhere =
        json!({"spec": {"routes": [{"group": "appmesh.k8s.aws", "kind": "GatewayRoute", "name": "gone"}]}});
    scene.stage.rollouts().patch("color", &PatchParams::default(), &Patch::Merge(elsewhere)).await.unwrap();
    scene.until_phase(Phase::Invalid).await;
    scene.run("status color").await.ends(5);
    scene.run("status color --wait").await.ends(5).says("gone");
    scene.run("explain color").await.ends(0).says("color is Invalid");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_deleted_is_waited_for_no_longer() {
    let scene = Scene::of(BY_HOLDS).await;
    let mut waits = Begun::with(&scene, "status color --wait --target color-app-v9.default");
    waits.first_line().await;
    scene.stage.rollouts().delete("color", &kube::api::DeleteParams::default()).await.unwrap();
    waits.end().await.ends(1).says("the Rollout color is deleted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_never_answers_is_no_slow_rollout() {
    let scene = Scene::of(BY_HOLDS).await;
    let gone = std::fs::read_to_string(scene.kubeconfig()).unwrap().replace("127.0.0.1", "127.0.0.2");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), gone).unwrap();
    let place = file.path().to_str().unwrap();
    let words = ["--kubeconfig", place, "status", "color", "--wait", "--timeout", "2s"];
    scene.run_words(&words).await.ends(6).says("trying again").says("cannot follow the Rollout color");
}
