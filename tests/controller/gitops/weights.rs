//! What becomes of the weights when a tool writes Git's, mid-run and at rest, and that nothing does when it does not.

use tidegate::api::{PauseReason, Phase, Rollout, RouteKind};

use super::tool::{Tool, apply};
use crate::{
    cluster::Cluster,
    objects::rollout_of,
    server::is_real,
    skip::skip,
    told::{is_paused_for, message, routes_in_sync},
};

/// A cluster whose route the tool has made, and the controller running.
async fn made_by(tool: Tool, kind: RouteKind) -> Cluster {
    let mut cluster = Cluster::empty().await;
    cluster.kind = kind;
    tool.make(&cluster).await;
    cluster.create_way_to("color").await;
    cluster.run_controller();
    cluster
}

/// A run that stays at its first step, however long anything takes.
pub async fn hold_at_ten(cluster: &Cluster) {
    cluster.roll(&rollout_of(cluster.kind).replace("hold: 1s", "hold: 5m")).await;
    cluster.at(10).await;
}

/// Mid-run the canary's share is taken away: it is left so, the run pauses and names the tool, and goes on when told.
async fn mid_run(tool: Tool) {
    if !tool.is_there() {
        return;
    }
    for kind in RouteKind::ALL {
        let cluster = made_by(tool, kind).await;
        hold_at_ten(&cluster).await;
        tool.bring(&cluster).await;
        let what = format!("{kind:?} paused, and {} named", tool.manager());
        let is_paused = |rollout: &Rollout| {
            is_paused_for(rollout, PauseReason::Drifted) && message(rollout).contains(tool.manager())
        };
        cluster.until("color", &what, is_paused).await;
        assert_eq!((cluster.share("v1").await, cluster.share("v2").await), (100, 0), "{kind:?}");
        cluster.ask("resume").await;
        cluster.until_share("v2", 10).await;
        cluster.ask("promote-full").await;
        cluster.phase(Phase::Healthy).await;
        assert_eq!(cluster.share("v2").await, 100, "{kind:?}");
    }
}

/// At rest, what is live gets its weight back, and the tool is named.
async fn at_rest(tool: Tool) {
    if !tool.is_there() {
        return;
    }
    for kind in RouteKind::ALL {
        let cluster = made_by(tool, kind).await;
        cluster.roll(&rollout_of(kind)).await;
        cluster.phase(Phase::Healthy).await;
        tool.bring(&cluster).await;
        let restored = |rollout: &Rollout| {
            routes_in_sync(rollout)
                && rollout.status.as_ref().is_some_and(|status| !status.restored.is_empty())
        };
        cluster.until("color", &format!("{kind:?} restored"), restored).await;
        cluster.until_share("v2", 100).await;
        let event = cluster.event("Drifted").await.message.unwrap();
        assert!(event.contains(tool.manager()), "{kind:?}: {event}");
    }
}

macro_rules! tools {
    ($($tool:ident: $mid_run:ident $at_rest:ident),*) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $mid_run() {
            mid_run(Tool::$tool).await;
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $at_rest() {
            at_rest(Tool::$tool).await;
        }
    )* };
}

tools!(
    Apply: kubectl_apply_mid_run kubectl_apply_at_rest,
    Replace: kubectl_replace_mid_run kubectl_replace_at_rest,
    Forced: forced_server_side_apply_mid_run forced_server_side_apply_at_rest,
    Helm: a_changed_chart_mid_run a_changed_chart_at_rest
);

/// The route's version.
pub async fn version(cluster: &Cluster) -> Option<String> {
    cluster.routes().get("color").await.unwrap().metadata.resource_version
}

/// There was never anything to mend.
pub async fn undisturbed(cluster: &Cluster) {
    let status = cluster.rollouts().get("color").await.unwrap().status.unwrap();
    assert!(status.restored.is_empty(), "{:?}", status.restored);
    let drifted = cluster.events("Drifted").await;
    assert!(drifted.is_empty(), "{drifted:?}");
}

/// At rest nobody has written the route since, neither the tool nor the controller; nor was there ever anything to mend.
pub async fn was_left_alone(cluster: &Cluster, before: Option<String>) {
    assert_eq!(version(cluster).await, before);
    assert_eq!(cluster.share("v2").await, 100);
    undisturbed(cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn apply_without_force_is_refused_and_nothing_changes() {
    if !is_real() {
        skip("the sandbox does not serve server-side apply; tests/cluster does");
        return;
    }
    for kind in RouteKind::ALL {
        let mut cluster = Cluster::empty().await;
        cluster.kind = kind;
        apply(&cluster, "argocd-controller", false).await.unwrap();
        cluster.create_way_to("color").await;
        cluster.run_controller();
        hold_at_ten(&cluster).await;
        let kube::Error::Api(status) = apply(&cluster, "argocd-controller", false).await.unwrap_err() else {
            panic!("a conflict is answered by the API server")
        };
        assert_eq!(status.code, 409, "{}", status.message);
        assert!(status.message.contains("tidegate"), "the conflict names us: {}", status.message);
        cluster.ask("promote-full").await;
        cluster.phase(Phase::Healthy).await;
        let before = version(&cluster).await;
        assert!(apply(&cluster, "argocd-controller", false).await.is_err());
        was_left_alone(&cluster, before).await;
    }
}
