//! Copies of requests for a canary that answers nobody yet, over every kind of route that has mirrors.

use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};
use tidegate::api::{PauseReason, Phase, RouteKind};

use crate::{
    bad_input::invalid,
    cluster::Cluster,
    history::{History, shares},
    objects::{list_of, rollout_of, weights_of},
    told::{message, paused_for},
    waiting::eventually,
};

const MIRRORING: [RouteKind; 3] = [RouteKind::GatewayRoute, RouteKind::HttpRoute, RouteKind::GrpcRoute];

/// A Rollout that copies a fifth of all requests before it gives any.
fn rollout(kind: RouteKind, hold: &str) -> String {
    let steps = format!("steps: [{{mirror: 20, hold: {hold}}}, {{weight: 50}}]");
    rollout_of(kind).replace("steps: [{weight: 10}, {weight: 50}]", &steps)
}

/// Where the mirrors stand.
fn field(kind: RouteKind) -> &'static str {
    match kind {
        RouteKind::GatewayRoute => "/spec/httpRoute/requestMirrorPolicies",
        RouteKind::HttpRoute | RouteKind::GrpcRoute => "/spec/rules/0/filters",
        RouteKind::VirtualRouter => "/none",
    }
}

fn mirrors(kind: RouteKind, route: &DynamicObject) -> Option<Value> {
    serde_json::to_value(route).unwrap().pointer(field(kind)).cloned()
}

/// What a list with our mirror alone is.
fn ours(kind: RouteKind) -> Value {
    match kind {
        RouteKind::GatewayRoute => json!([{"virtualServiceRef": {"name": "v2"}, "percent": 20}]),
        RouteKind::HttpRoute | RouteKind::GrpcRoute | RouteKind::VirtualRouter => json!([{
            "type": "RequestMirror",
            "requestMirror": {
                "backendRef": {"group": "", "kind": "Service", "name": "v2", "port": 8080}, "percent": 20,
            },
        }]),
    }
}

async fn mirrored(cluster: &Cluster) -> Option<Value> {
    mirrors(cluster.kind, &cluster.routes().get("color").await.unwrap())
}

async fn until_mirrored(cluster: &Cluster) {
    eventually("requests are copied", || mirrored(cluster), Option::is_some).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_canary_is_mirrored_then_promoted() {
    for kind in MIRRORING {
        let cluster = Cluster::of_kind(kind).await;
        let before = cluster.routes().get("color").await.unwrap();
        let history = History::follow(&cluster).await;
        cluster.roll(&rollout(kind, "1s")).await;
        cluster.phase(Phase::Healthy).await;
        let mut seen: Vec<(Option<Value>, i64)> = Vec::new();
        for (_, route) in history.versions(&cluster) {
            let share = weights_of(kind, &route).get("v2").copied().unwrap_or_default();
            let now = (mirrors(kind, &route), share);
            if seen.last() != Some(&now) {
                seen.push(now);
            }
        }
        let want = [(None, 0), (Some(ours(kind)), 0), (None, 50), (None, 100)];
        assert_eq!(seen, want, "{kind:?}");
        let after = cluster.routes().get("color").await.unwrap();
        assert_eq!(mirrors(kind, &after), mirrors(kind, &before), "{kind:?}");
        assert_eq!(cluster.route_patches("color"), 1 + 3, "{kind:?}: a claim and three steps");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_canary_is_found_before_it_answers_anybody() {
    for kind in MIRRORING {
        let cluster = Cluster::of_kind(kind).await;
        cluster.gateway.fail("v2", 0.2);
        let history = History::follow(&cluster).await;
        cluster.roll(&rollout(kind, "1s")).await;
        let rollout = cluster.phase(Phase::Failed).await;
        assert!(
            message(&rollout).starts_with("Rolled back at a mirror of 20%: canary failed"),
            "{}",
            message(&rollout)
        );
        assert_eq!(shares(&history.seen(&cluster), "v2"), [0], "{kind:?}");
        assert_eq!(mirrored(&cluster).await, None, "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_takes_the_mirror_with_it() {
    for kind in MIRRORING {
        let cluster = Cluster::of_kind(kind).await;
        cluster.roll(&rollout(kind, "5m")).await;
        until_mirrored(&cluster).await;
        cluster.abort("it writes twice").await;
        cluster.phase(Phase::Failed).await;
        assert_eq!(mirrored(&cluster).await, None, "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_that_somebody_took_out_is_put_back_by_resume() {
    for kind in MIRRORING {
        let cluster = Cluster::of_kind(kind).await;
        cluster.roll(&rollout(kind, "5m")).await;
        until_mirrored(&cluster).await;
        let without = Patch::Json::<()>(
            serde_json::from_value(json!([{"op": "remove", "path": field(kind)}])).unwrap(),
        );
        let params =
            PatchParams { field_manager: Some("argocd-controller".into()), ..PatchParams::default() };
        cluster.routes().patch("color", &params, &without).await.unwrap();
        let rollout = cluster.until("color", "paused", paused_for(PauseReason::Drifted)).await;
        // Of a list that is gone nobody is known to have written it; the rules of the others are owned whole.
        let who = if kind == RouteKind::GatewayRoute { "somebody" } else { "argocd-controller" };
        let want = format!("{who} has 0% of requests copied to the canary, where 20% is ours");
        assert!(message(&rollout).contains(&want), "{}", message(&rollout));
        assert_eq!(mirrored(&cluster).await, None, "{kind:?}: nobody fights over it");
        cluster.ask("resume").await;
        until_mirrored(&cluster).await;
    }
}

/// What of the user's own stands where ours comes.
fn own(kind: RouteKind) -> Value {
    match kind {
        RouteKind::GatewayRoute => json!([{"virtualServiceRef": {"name": "audit"}, "percent": 1}]),
        RouteKind::HttpRoute | RouteKind::GrpcRoute | RouteKind::VirtualRouter => json!([{
            "type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["x-internal"]},
        }]),
    }
}

/// It goes to the port of the canary's own entry, and what the user has beside it stays as it is, whatever comes of the run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stands_beside_it_stays_and_the_canary_s_own_port_is_meant() {
    for kind in MIRRORING {
        for is_bad in [false, true] {
            let cluster = Cluster::of_kind(kind).await;
            if is_bad {
                cluster.gateway.fail("v2", 0.2);
            }
            let port = format!("{}/1/port", list_of(kind));
            let edit = json!([
                {"op": "add", "path": field(kind), "value": own(kind)}, {"op": "add", "path": port, "value": 9090},
            ]);
            let edit = Patch::Json::<()>(serde_json::from_value(edit).unwrap());
            cluster.routes().patch("color", &PatchParams::default(), &edit).await.unwrap();
            let before = mirrored(&cluster).await;
            cluster.roll(&rollout(kind, "2s")).await;
            let two = |mirrors: &Option<Value>| {
                mirrors.as_ref().and_then(Value::as_array).is_some_and(|all| all.len() == 2)
            };
            let during = eventually("requests are copied", || mirrored(&cluster), two).await.unwrap();
            assert!(during[1].to_string().contains("9090"), "{kind:?}: {during}");
            assert_eq!(Some(&during[0]), before.as_ref().map(|before| &before[0]), "{kind:?}");
            cluster.phase(if is_bad { Phase::Failed } else { Phase::Healthy }).await;
            assert_eq!(mirrored(&cluster).await, before, "{kind:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deletion_takes_the_mirror_with_it() {
    for kind in MIRRORING {
        let cluster = Cluster::of_kind(kind).await;
        cluster.roll(&rollout(kind, "5m")).await;
        until_mirrored(&cluster).await;
        cluster.rollouts().delete("color", &DeleteParams::default()).await.unwrap();
        let api = cluster.rollouts();
        eventually("the Rollout is gone", || async { api.get_opt("color").await.unwrap() }, Option::is_none)
            .await;
        assert_eq!(mirrored(&cluster).await, None, "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_router_has_no_mirrors_and_says_so() {
    let cluster = Cluster::of_kind(RouteKind::VirtualRouter).await;
    cluster.roll(&rollout(RouteKind::VirtualRouter, "1s")).await;
    invalid(&cluster, "a VirtualRouter, and a route with a single target, has no mirrors").await;
    assert_eq!(cluster.route_patches("color"), 0);
}
