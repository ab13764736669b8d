//! What people ask: accepted, refused, asked twice, asked of nobody.

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tidegate::api::{
    ABORT_ANNOTATION, Abort, EndReason, Phase, REQUEST_ANNOTATION, Request, RequestAction, RequestOutcome,
};

use crate::program::{BY_HOLDS, Scene};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_makes_no_sense_is_refused_with_the_reason() {
    let scene = Scene::of(BY_HOLDS).await;
    for (line, why) in [
        ("promote color", "promote refused: no run is active"),
        ("pause color", "pause refused: no run is active"),
        ("retry color", "retry refused: no run of this target has failed"),
        ("abort color", "abort refused: no run is active"),
        ("promote color --step 2", "no run is under way that could be at step 2; nothing is asked"),
    ] {
        scene.run(line).await.ends(5).says(why);
    }
    scene
        .run("resume color")
        .await
        .ends(0)
        .says("resume accepted: where weights have drifted, they are restored once more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_paused_resumed_promoted_and_aborted() {
    let scene = Scene::of(&BY_HOLDS.replace("hold: 1s", "hold: 10m")).await;
    scene.run("release color --target color-app-v2.default --wait --for step=1").await.ends(0);
    scene.run("resume color").await.ends(5).says("the run is not paused");
    scene.run("pause color").await.ends(0).says("pause accepted: paused until resume");
    scene.run("status color").await.ends(4).says("paused by sandbox");
    scene.run("resume color").await.ends(0).says("resume accepted");
    scene.run("promote color --step 2").await.ends(5).says("the run is at step 1");
    for step in 1..=3 {
        scene.run(&format!("status color --wait --for step={step}")).await.ends(0);
        let ran = scene.run(&format!("promote color --step {step}")).await;
        ran.ends(0).says(&format!("promote accepted: step {step} is ended"));
    }
    scene.run("status color --wait").await.ends(0).says("color-app-v2.default is live");

    scene.run("release color --target color-app-v1.default").await.ends(0);
    scene.run("status color --wait --for step=1").await.ends(0);
    let aborted = scene.run_words(&["abort", "color", "--reason", "checkout is slow"]).await;
    aborted.ends(0).says("abort accepted: run 2 is ended");
    scene.run("status color --wait").await.ends(1).says("aborted by sandbox: checkout is slow");
    let rollout = scene.rollout().await;
    let last = rollout.status.as_ref().unwrap().last_request.clone().unwrap();
    assert_eq!((last.by.as_deref(), last.outcome), (Some("sandbox"), RequestOutcome::Accepted));
    scene.run("retry color").await.ends(0).says("retry accepted");
    // What is asked names the step that it saw: one that the run is about to leave is refused.
    scene.run("status color --wait --for step=1").await.ends(0);
    scene.run("promote color --full").await.ends(0).says("promote-full accepted");
    scene.run("status color --wait").await.ends(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_who_promote_at_once_advance_one_step() {
    let scene = Scene::of(&BY_HOLDS.replace("{weight: 20}", "{weight: 20, approval: Required}")).await;
    scene.run("release color --target color-app-v2.default --wait").await.ends(4);
    // Both saw the first step; whichever of them comes second asks for the same, or finds that it is over.
    let promote = "promote color --step 1";
    let (one, other) = tokio::join!(scene.run(promote), scene.run(promote));
    let mut codes = [one.code, other.code];
    codes.sort_unstable();
    assert!(matches!(codes, [0, 0 | 5]), "{one:?} {other:?}");
    scene.run("status color --wait --timeout 60s").await.ends(4);
    let status = scene.rollout().await.status.unwrap();
    assert_eq!(
        status.step.unwrap().index,
        2,
        "the second step has an approval of its own, which nobody gave"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_has_taken_is_not_written_over() {
    let scene = Scene::of(BY_HOLDS).await;
    scene.to_approval().await;
    scene.run("pause color").await.ends(5).says("pause refused: the run is paused already (Approval)");
    scene.stage.end_controller().await;
    let ran = scene.run("pause color --timeout 1s").await;
    ran.ends(3).says("Is the controller running?");
    let annotation = |rollout: &tidegate::api::Rollout, name: &str| {
        rollout.metadata.annotations.clone().unwrap()[name].clone()
    };
    let first = annotation(&scene.rollout().await, REQUEST_ANNOTATION);
    let asked = Request::parse(&first).unwrap();
    assert_eq!(
        (asked.action, asked.run, asked.step, asked.by.as_str()),
        (RequestAction::Pause, 1, 2, "sandbox")
    );

    let ran = scene.run("promote color --timeout 1s").await.ends(3);
    ran.says("waiting until the pause of sandbox is taken").says("promote: nothing is asked");
    scene.run("pause color --timeout 1s").await.ends(3).says("sandbox asked for it already");
    assert_eq!(annotation(&scene.rollout().await, REQUEST_ANNOTATION), first, "as it was");

    // An abort waits for nobody, and stands beside it.
    scene.run("abort color --timeout 1s").await.ends(3);
    let abort = annotation(&scene.rollout().await, ABORT_ANNOTATION);
    assert_eq!(Abort::parse(&abort).unwrap().run, 1);
    scene
        .run_words(&["abort", "color", "--timeout", "1s", "--reason", "again"])
        .await
        .ends(3)
        .says("asked for it already");
    assert_eq!(annotation(&scene.rollout().await, ABORT_ANNOTATION), abort);

    scene.stage.begin_controller();
    scene.until_phase(Phase::Failed).await;
    let status = scene.rollout().await.status.unwrap();
    assert_eq!(status.history[0].outcome, EndReason::Aborted, "it is taken when somebody is there again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_annotation_that_nobody_can_read_asks_for_nothing() {
    let scene = Scene::of(BY_HOLDS).await;
    scene.to_approval().await;
    let garbled: Value = json!({"metadata": {"annotations": {REQUEST_ANNOTATION: "promote please"}}});
    scene.stage.rollouts().patch("color", &PatchParams::default(), &Patch::Merge(garbled)).await.unwrap();
    scene.run("promote color").await.ends(0).says("promote accepted");
}
