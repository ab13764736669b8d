//! Every weight that is set says whose it is: the route bears Rollout, epoch, run and step with it, under the controller's own
//! name, and what was decided on is told by the Rollout.

use kube::ResourceExt;
use tidegate::api::{EndReason, Phase, Rollout, Stamp, stamp_annotation};

use crate::{
    cluster::Cluster,
    history::History,
    objects::{ROLLOUT, weights_of},
    waiting::eventually,
};

/// A canary that fails, and the same once it is mended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_weight_changes_without_its_rollout_epoch_run_and_evidence() {
    let mut cluster = Cluster::without_controller().await;
    let history = History::follow(&cluster).await;
    cluster.run_controller();
    cluster.gateway.fail("v2", 0.5);
    cluster.roll(ROLLOUT).await;
    cluster.phase(Phase::Failed).await;
    cluster.gateway.fail("v2", 0.0);
    cluster.ask("retry").await;
    cluster.phase(Phase::Healthy).await;
    let shown = || async { history.seen(&cluster).last().and_then(|seen| seen.weights.get("v2").copied()) };
    eventually("the history is whole", shown, |share| *share == Some(100)).await;

    let rollout: Rollout = cluster.rollouts().get("color").await.unwrap();
    let uid = rollout.uid().unwrap();
    let mut told = Vec::new();
    let mut before = None;
    let mut epoch = 0;
    for (_, route) in history.versions(&cluster) {
        let share = weights_of(cluster.kind, &route)["v2"];
        if before.replace(share).is_none_or(|before| before == share) {
            continue;
        }
        let text = &route.annotations()[&stamp_annotation("color")];
        let stamp = Stamp::parse(text).unwrap();
        assert_eq!(stamp.uid, uid);
        assert!(stamp.epoch >= epoch.max(1), "{text}");
        epoch = stamp.epoch;
        let ours = route.managed_fields().iter().any(|entry| entry.manager.as_deref() == Some("tidegate"));
        assert!(ours, "{:?}", route.managed_fields());
        told.push((stamp.run, stamp.aborted, share));
    }
    assert_eq!(told, [(1, false, 10), (1, true, 0), (2, false, 10), (2, false, 50), (2, false, 100)]);

    let mut runs = rollout.status.unwrap().history;
    runs.sort_by_key(|run| run.run);
    let outcomes: Vec<_> = runs.iter().map(|run| (run.run, run.outcome)).collect();
    assert_eq!(outcomes, [(1, EndReason::Failed), (2, EndReason::Promoted)]);
    assert!(runs[0].message.starts_with("Rolled back at 10%: "), "with the evidence: {}", runs[0].message);
}
