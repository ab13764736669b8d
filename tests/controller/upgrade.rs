//! A newer version of the controller has been here.

use kube::api::{Patch, PatchParams};
use serde_json::json;
use tidegate::api::{Phase, RolloutStatus};

use crate::{
    cluster::Cluster,
    objects::{ROLLOUT, entry, route},
};

/// The version of the status that a newer controller keeps, or gives back.
async fn keeps(cluster: &Cluster, format: i32) {
    let status = Patch::Merge(json!({ "status": { "format": format } }));
    cluster.rollouts().patch_status("color", &PatchParams::default(), &status).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_newer_version_keeps_is_left_alone_until_it_is_given_back() {
    let mut cluster = Cluster::start().await;
    cluster.roll(&ROLLOUT.replace("{weight: 10}", "{weight: 10, approval: Required}")).await;
    cluster.phase(Phase::Paused).await;
    keeps(&cluster, RolloutStatus::FORMAT + 1).await;
    let told = cluster.event("NewerStatus").await.message.unwrap_or_default();
    let versions = format!("format {}; this one knows {}", RolloutStatus::FORMAT + 1, RolloutStatus::FORMAT);
    assert!(told.contains(&versions), "{told}");
    cluster.abort("checkout is slow").await;
    cluster.kill_controller();
    cluster.run_controller();
    // Others are served.
    cluster.create(route("other", &json!([entry("v1", 100), entry("v2", 0)]))).await;
    cluster.roll(&ROLLOUT.replace("name: color}", "name: other}")).await;
    let live = |rollout: &tidegate::api::Rollout| {
        rollout.status.as_ref().and_then(|status| status.phase) == Some(Phase::Healthy)
    };
    cluster.until("other", "live", live).await;
    let status = cluster.rollouts().get("color").await.unwrap().status.unwrap();
    assert_eq!((status.format, status.phase), (RolloutStatus::FORMAT + 1, Some(Phase::Paused)));
    assert_eq!(cluster.share("v2").await, 10, "nothing is decided on what is not known");

    keeps(&cluster, RolloutStatus::FORMAT).await;
    cluster.phase(Phase::Failed).await;
    assert_eq!(cluster.share("v2").await, 0, "the abort is taken");
}
