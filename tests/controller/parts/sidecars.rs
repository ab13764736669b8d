//! Whole runs over a VirtualRouter, for what pods of the mesh call: the Envoys beside them obey, and are counted.

use tidegate::api::Phase;

use super::{Parts, control::until_taken, none_is_lost, runs::STEPS};
use crate::{
    history::{History, shares},
    told::message,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_canary_is_promoted_for_those_that_call_it_and_no_request_is_lost() {
    let Some(mut parts) = Parts::start_beside([100, 0]).await else { return };
    let history = History::follow(&parts.cluster).await;
    parts.cluster.run_controller();
    let sending = parts.send();
    parts.cluster.roll(&parts.rollout("envoy", STEPS)).await;
    parts.cluster.phase(Phase::Healthy).await;
    until_taken(&parts.cluster, "v2", 100).await;
    let tally = sending.stop().await;
    none_is_lost(&tally);
    assert_eq!(shares(&history.seen(&parts.cluster), "v2"), [0, 30, 60, 100]);
    parts.all_go_to("v2").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_that_fails_those_that_call_it_is_rolled_back() {
    let Some(mut parts) = Parts::start_beside([100, 0]).await else { return };
    parts.fail("v2", 0.2);
    parts.cluster.run_controller();
    let sending = parts.send();
    parts.cluster.roll(&parts.rollout("envoy", STEPS)).await;
    let rollout = parts.cluster.phase(Phase::Failed).await;
    until_taken(&parts.cluster, "v2", 0).await;
    sending.stop().await;
    let told = message(&rollout);
    assert!(told.starts_with("Rolled back at 30%") && told.contains("canary failed "), "{told}");
    parts.all_go_to("v1").await;
}
