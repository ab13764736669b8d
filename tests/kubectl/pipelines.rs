//! The pipeline of `examples/ci` that needs nothing but a shell, as it stands there.

use std::process::Command;

use crate::{
    program::{BY_HOLDS, JUDGED, Ran, Scene},
    skip::skip,
};

async fn release(scene: &Scene, target: &'static str) -> Option<Ran> {
    if Command::new("bash").args(["-c", "true"]).status().is_err() {
        skip("bash is not here, so examples/ci/release.sh is not tried");
        return None;
    }
    let mut command = Command::new("bash");
    command
        .args(["examples/ci/release.sh", "color", target, "default"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("TIDEGATE", env!("CARGO_BIN_EXE_kubectl-tidegate"))
        .env("TIMEOUT", "2m")
        .env("KUBECONFIG", scene.kubeconfig());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    Some(Ran::of(&output))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_that_fails_prints_the_evidence() {
    let scene = Scene::of(JUDGED).await;
    scene.stage.app.set_error_share("v2", 0.5);
    let Some(ran) = release(&scene, "color-app-v2.default").await else { return };
    ran.ends(1)
        .says("Rolled back at 50%")
        .says("--- why")
        .says("canary failed ")
        .says("\"outcome\": \"Failed\"");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_waits_for_a_person_and_then_goes_through() {
    let scene = Scene::of(BY_HOLDS).await;
    let Some(ran) = release(&scene, "color-app-v2.default").await else { return };
    ran.ends(4).says("color waits for a person; nothing has failed");
    scene.run("promote color --step 2").await.ends(0);
    let Some(ran) = release(&scene, "color-app-v2.default").await else { return };
    ran.ends(0).says("Healthy: color-app-v2.default is live");
    let Some(ran) = release(&scene, "blue").await else { return };
    ran.ends(2).says("say it with --workload");
}
