//! Every kind of route through every outcome, with the others' own CRDs: promoted, rolled back, aborted, drifted, deleted.
//! What else a route says stays as it is, byte for byte.

use kube::api::DeleteParams;
use serde_json::{Value, json};
use tidegate::api::{Phase, Rollout, RouteKind};

use crate::{
    cluster::Cluster,
    objects::{ROLLOUT, list_of, reference, rollout_of, route_of},
    told::message,
    waiting::eventually,
};

const PLAIN: &str = "{group: appmesh.k8s.aws, kind: GatewayRoute, name: color}";

/// What of a route is nobody's to step: all of it but the weights of the list that is.
async fn rest_of(cluster: &Cluster) -> Value {
    let mut spec = json!({ "spec": cluster.routes().get("color").await.unwrap().data["spec"] });
    for entry in spec.pointer_mut(list_of(cluster.kind)).and_then(Value::as_array_mut).unwrap() {
        entry.as_object_mut().unwrap().remove("weight");
    }
    spec
}

/// A cluster with a Rollout over a route of a kind, and what else the route says.
async fn rolled(kind: RouteKind, yaml: &str) -> (Cluster, Value) {
    let cluster = Cluster::of_kind(kind).await;
    let rest = rest_of(&cluster).await;
    cluster.roll(yaml).await;
    (cluster, rest)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_canary_is_promoted() {
    for kind in RouteKind::ALL {
        let (cluster, rest) = rolled(kind, &rollout_of(kind)).await;
        cluster.phase(Phase::Healthy).await;
        assert_eq!((cluster.share("v1").await, cluster.share("v2").await), (0, 100), "{kind:?}");
        assert_eq!(rest_of(&cluster).await, rest, "{kind:?}");
        assert_eq!(cluster.route_patches("color"), 1 + 3, "{kind:?}: a claim and three steps");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_canary_is_put_back() {
    for kind in RouteKind::ALL {
        let cluster = Cluster::of_kind(kind).await;
        cluster.gateway.fail("v3", 0.2);
        // One that no route lists: its entry is added, and goes again.
        let yaml =
            rollout_of(kind).replace("v2", "v3").replace("  strategy:", "  stable: {name: v1}\n  strategy:");
        cluster.roll(&yaml).await;
        let rollout = cluster.phase(Phase::Failed).await;
        assert!(message(&rollout).starts_with("Rolled back at 10%"), "{kind:?}: {}", message(&rollout));
        let back = [("v1".into(), 100), ("v2".into(), 0)].into();
        eventually("v3 is taken out", || cluster.weights("color"), |found| *found == back).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_is_taken_at_once() {
    for kind in RouteKind::ALL {
        let (cluster, rest) = rolled(kind, &rollout_of(kind).replace("hold: 1s", "hold: 5m")).await;
        cluster.at(10).await;
        cluster.abort("checkout is slow").await;
        cluster.phase(Phase::Failed).await;
        assert_eq!((cluster.share("v1").await, cluster.share("v2").await), (100, 0), "{kind:?}");
        assert_eq!(rest_of(&cluster).await, rest, "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_share_that_somebody_raised_goes_back() {
    for kind in RouteKind::ALL {
        let (cluster, rest) = rolled(kind, &rollout_of(kind).replace("hold: 1s", "hold: 5m")).await;
        cluster.at(10).await;
        cluster.set_weights("color", "argocd-controller", &[(0, 20), (1, 80)]).await;
        let told = cluster.event("Drifted").await.message.unwrap_or_default();
        assert!(told.contains("argocd-controller raised the canary to 80"), "{kind:?}: {told}");
        cluster.until_share("v2", 10).await;
        assert_eq!(rest_of(&cluster).await, rest, "{kind:?}");
        let corrected = |rollout: &Rollout| {
            rollout.status.as_ref().and_then(|s| s.run.as_ref()).is_some_and(|run| run.corrections == 1)
        };
        cluster.until("color", "the correction is noted", corrected).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deletion_leaves_stable_with_everything() {
    for kind in RouteKind::ALL {
        let (cluster, rest) = rolled(kind, &rollout_of(kind).replace("hold: 1s", "hold: 5m")).await;
        cluster.at(10).await;
        cluster.rollouts().delete("color", &DeleteParams::default()).await.unwrap();
        let api = cluster.rollouts();
        let gone = || async { api.get_opt("color").await.unwrap() };
        eventually("the Rollout is gone", gone, Option::is_none).await;
        assert_eq!((cluster.share("v1").await, cluster.share("v2").await), (100, 0), "{kind:?}");
        assert_eq!(rest_of(&cluster).await, rest, "{kind:?}");
        let route = cluster.routes().get("color").await.unwrap();
        assert!(route.metadata.annotations.unwrap_or_default().is_empty(), "{kind:?}: our stamp goes");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn routes_of_different_kinds_move_as_one_each_by_its_own_names() {
    let mut cluster = Cluster::empty().await;
    for (kind, prefix) in [(RouteKind::GatewayRoute, ""), (RouteKind::HttpRoute, "svc-")] {
        let names = ["v1", "v2"].map(|name| format!("{prefix}{name}"));
        let weights = [(names[0].as_str(), 100), (names[1].as_str(), 0)];
        cluster.create(route_of(kind, "color", &weights)).await;
    }
    cluster.run_controller();
    let both =
        "{group: gateway.networking.k8s.io, kind: HTTPRoute, name: color, target: svc-v2, stable: svc-v1}";
    let yaml = ROLLOUT
        .replace(PLAIN, &format!("{PLAIN}, {both}"))
        .replace("  strategy:", "  stable: {name: v1}\n  strategy:");
    cluster.roll(&yaml).await;
    cluster.phase(Phase::Healthy).await;
    assert_eq!(cluster.share("v2").await, 100);
    cluster.kind = RouteKind::HttpRoute;
    assert_eq!(cluster.weights("color").await, [("svc-v1".into(), 0), ("svc-v2".into(), 100)].into());
}

/// A route of a kind with two rules, `a` and `b`, that list the same versions.
fn two_rules(kind: RouteKind) -> Value {
    let mut route = route_of(kind, "color", &[("v1", 100), ("v2", 0)]);
    let rules = if kind == RouteKind::VirtualRouter { "routes" } else { "rules" };
    let (mut first, mut second) = (route["spec"][rules][0].clone(), route["spec"][rules][1].clone());
    (first["name"], second["name"]) = (json!("a"), json!("b"));
    let list = route.pointer(list_of(kind)).cloned().unwrap();
    let place = list_of(kind).splitn(5, '/').last().map(|below| format!("/{below}")).unwrap();
    *second.pointer_mut(&place).unwrap() = list;
    route["spec"][rules] = json!([first, second]);
    route
}

/// The weights of both rules.
async fn both(cluster: &Cluster) -> [Vec<i64>; 2] {
    let route = cluster.routes().get("color").await.unwrap();
    let second = list_of(cluster.kind).replace("/0/", "/1/");
    [list_of(cluster.kind), &second].map(|list| {
        let entries = route.data.pointer(list).and_then(Value::as_array).unwrap();
        entries.iter().map(|entry| entry["weight"].as_i64().unwrap()).collect()
    })
}

async fn on_two_rules(kind: RouteKind) -> Cluster {
    let mut cluster = Cluster::empty().await;
    cluster.kind = kind;
    cluster.create(two_rules(kind)).await;
    cluster.create_way_to("color").await;
    cluster.run_controller();
    cluster
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_rollouts_live_side_by_side_on_one_object() {
    for kind in [RouteKind::VirtualRouter, RouteKind::HttpRoute] {
        let cluster = on_two_rules(kind).await;
        let named = |rule: &str| reference(kind, "color").replace('}', &format!(", rule: {rule}}}"));
        let of = |name: &str, rule: &str| {
            let named = ROLLOUT.replace(PLAIN, &named(rule));
            named.replace("metadata: {name: color}", &format!("metadata: {{name: {name}}}"))
        };
        // One goes its way while the other stands in its first step, and is aborted then.
        cluster.roll(&of("first", "a").replace("hold: 1s", "hold: 5m")).await;
        let at_ten = |rollout: &Rollout| {
            let step = rollout.status.as_ref().and_then(|s| s.step.as_ref());
            step.is_some_and(|step| step.weight.percent() == 10 && step.since.is_some())
        };
        cluster.until("first", "10% in effect", at_ten).await;
        cluster.roll(&of("color", "b")).await;
        cluster.phase(Phase::Healthy).await;
        assert_eq!(both(&cluster).await, [vec![90, 10], vec![0, 100]], "{kind:?}");
        cluster.abort_of("first", "enough").await;
        let failed = |rollout: &Rollout| {
            rollout.status.as_ref().is_some_and(|status| status.phase == Some(Phase::Failed))
        };
        cluster.until("first", "aborted", failed).await;
        assert_eq!(both(&cluster).await, [vec![100, 0], vec![0, 100]], "{kind:?}");
        // A third one that would step one of them too is refused.
        cluster.roll(&of("third", "b").replace("v2", "v1")).await;
        let owned = |rollout: &Rollout| message(rollout).contains("stepped by the Rollout color (rule b)");
        cluster.until("third", "refused", owned).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_rules_of_one_object_go_in_one_patch() {
    for kind in [RouteKind::VirtualRouter, RouteKind::GrpcRoute] {
        let cluster = on_two_rules(kind).await;
        let rule = |rule: &str| reference(kind, "color").replace('}', &format!(", rule: {rule}}}"));
        cluster.roll(&ROLLOUT.replace(PLAIN, &format!("{}, {}", rule("a"), rule("b")))).await;
        cluster.phase(Phase::Healthy).await;
        assert_eq!(both(&cluster).await, [[0, 100], [0, 100]], "{kind:?}");
        assert_eq!(cluster.route_patches("color"), 1 + 3, "{kind:?}: a claim and three steps");
    }
}
