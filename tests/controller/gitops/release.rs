//! A release as Git and a pipeline see it.

use std::process::Command;

use serde_json::Value;
use tidegate::api::Phase;

use super::{
    doc,
    tool::{Tool, program_of},
};
use crate::{cluster::Cluster, objects::ROLLOUT, told::runs};

/// A cluster in which v1 is live, and Git's edit, in the names of these tests.
async fn before_a_release() -> (Cluster, Value) {
    let cluster = Cluster::start().await;
    cluster.roll(&ROLLOUT.replace("v2", "v1")).await;
    cluster.phase(Phase::Healthy).await;
    let edit = doc::snippet("release").replace("color-v3", "v3");
    (cluster, serde_saphyr::from_str(&edit).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_edit_of_the_rollout_is_a_release() {
    let (cluster, edit) = before_a_release().await;
    let fields: Vec<&String> = edit["spec"].as_object().unwrap().keys().collect();
    assert_eq!(fields, ["target"]);
    cluster.patch("color", edit).await;
    let rollout = cluster.until("color", "a run", |rollout| runs(rollout) == 1).await;
    assert_eq!(rollout.status.unwrap().canary.unwrap().name, "v3");
    cluster.phase(Phase::Healthy).await;
    assert_eq!(cluster.share("v3").await, 100);
}

/// Whether these steps of a pipeline succeed.
fn succeed(cluster: &Cluster, steps: &str) -> bool {
    let kubeconfig = cluster.file("admin", &cluster.server.kubeconfig());
    let kubectl = program_of("kubectl").display().to_string();
    let kubectl = format!("kubectl() {{ command '{kubectl}' -n '{}' \"$@\"; }}", cluster.namespace);
    let mut shell = Command::new("sh");
    shell.args(["-e", "-c", &format!("{kubectl}\n{steps}")]);
    shell.env("HOME", kubeconfig.parent().unwrap()).env("KUBECONFIG", kubeconfig);
    tokio::task::block_in_place(|| shell.status().unwrap().success())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipeline_waits_and_learns_how_it_ended() {
    if !Tool::Apply.is_there() {
        return;
    }
    let steps = doc::snippet("wait").replace("color-v3", "v3");
    for bad in [false, true] {
        let (mut cluster, edit) = before_a_release().await;
        if bad {
            cluster.gateway.fail("v3", 0.3);
        }
        cluster.kill_controller();
        cluster.patch("color", edit).await;
        let last = steps.lines().last().unwrap();
        assert!(!succeed(&cluster, last), "what was healthy before says nothing of the new target");
        cluster.run_controller();
        assert_eq!(succeed(&cluster, &steps), !bad);
    }
}
