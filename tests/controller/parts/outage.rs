//! Prometheus dies in a step.

use tidegate::api::{PauseReason, Phase};

use super::Parts;
use crate::{
    history::{History, shares},
    told::{is_paused_for, paused_for},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_prometheus_a_step_holds_and_goes_on_with_it() {
    let Some(mut parts) = Parts::start([100, 0]).await else { return };
    parts.fail("v1", 0.01);
    let history = History::follow(&parts.cluster).await;
    parts.cluster.run_controller();
    let _sending = parts.send();
    let steps = "{hold: 3s, maxHold: 4s, steps: [{weight: 30}, {weight: 60}]}";
    parts.cluster.roll(&parts.rollout("prometheus", steps)).await;
    parts.cluster.at(30).await;
    parts.prometheus.kill();
    let waits = paused_for(PauseReason::MetricError);
    let rollout = parts.cluster.until("color", "waiting for its metrics", waits).await;
    assert_eq!(rollout.status.unwrap().history, [], "nothing has ended");
    assert_eq!(parts.cluster.share("v2").await, 30);

    parts.prometheus.run().await;
    let goes_on = |rollout: &_| !is_paused_for(rollout, PauseReason::MetricError);
    parts.cluster.until("color", "going on", goes_on).await;
    parts.cluster.phase(Phase::Healthy).await;
    assert_eq!(shares(&history.seen(&parts.cluster), "v2"), [0, 30, 60, 100]);
}
