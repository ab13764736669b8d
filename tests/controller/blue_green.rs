//! Blue/green over every kind of route, through every outcome; previews and steps with a match; the single target of AWS's
//! own GatewayRoute.

use kube::api::{DeleteParams, DynamicObject};
use serde_json::{Value, json};
use tidegate::api::{PauseReason, Phase, Rollout, RouteKind, gateway_route_crd::aws_gateway_route_crd};

use crate::{
    bad_input::{invalid, lone},
    cluster::Cluster,
    crds::Crds,
    history::{History, shares},
    objects::{ROLLOUT, entry, list_of, reference, route},
    told::{message, paused_for},
    waiting::eventually,
};

const PLAIN: &str = "{group: appmesh.k8s.aws, kind: GatewayRoute, name: color}";
const CANARY: &str = "canary: {hold: 1s, steps: [{weight: 10}, {weight: 50}]}";
const PREVIEW: &str = "color-preview-color";

/// Whether there can be a preview beside a route of a kind.
fn has_preview(kind: RouteKind) -> bool {
    match kind {
        RouteKind::GatewayRoute | RouteKind::HttpRoute | RouteKind::GrpcRoute => true,
        RouteKind::VirtualRouter => false,
    }
}

/// A blue/green Rollout over a route of a kind, whose stages are held this long. Where there is no preview to judge, a
/// person is asked before the switch.
pub fn rollout(kind: RouteKind, before: &str) -> String {
    let strategy = if has_preview(kind) {
        format!("preview: {{headers: [{{name: x-preview, exact: 'true'}}]}}, before: {{hold: {before}}}")
    } else {
        format!("before: {{hold: {before}, approval: Required}}")
    };
    ROLLOUT
        .replace(PLAIN, &reference(kind, "color"))
        .replace(CANARY, &format!("blueGreen: {{{strategy}, after: {{hold: 1s}}}}"))
        .replace("errorRate: {}", "errorRate: {max: '5%'}")
}

/// What a route says besides weights.
async fn rest_of(cluster: &Cluster) -> Value {
    let mut spec = json!({ "spec": cluster.routes().get("color").await.unwrap().data["spec"] });
    for entry in spec.pointer_mut(list_of(cluster.kind)).and_then(Value::as_array_mut).unwrap() {
        entry.as_object_mut().unwrap().remove("weight");
    }
    spec
}

async fn preview(cluster: &Cluster, there: bool) -> Option<DynamicObject> {
    let what = if there { "the preview is there" } else { "the preview is gone" };
    let look = || async { cluster.routes().get_opt(PREVIEW).await.unwrap() };
    eventually(what, look, |found| found.is_some() == there).await
}

/// The stage before the switch is under way, its preview with it.
async fn before(cluster: &Cluster) {
    cluster.at(0).await;
    if has_preview(cluster.kind) {
        preview(cluster, true).await;
    }
}

/// Agrees to the switch where a person is asked.
async fn agree(cluster: &Cluster) {
    if !has_preview(cluster.kind) {
        cluster.until("color", "asked for approval", paused_for(PauseReason::Approval)).await;
        cluster.ask("promote").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_target_gets_everything_at_once() {
    for kind in RouteKind::ALL {
        let cluster = Cluster::of_kind(kind).await;
        let (rest, history) = (rest_of(&cluster).await, History::follow(&cluster).await);
        cluster.roll(&rollout(kind, "2s")).await;
        before(&cluster).await;
        if has_preview(kind) {
            sends_who_asks_to_v2(kind, &preview(&cluster, true).await.unwrap());
        }
        agree(&cluster).await;
        cluster.phase(Phase::Healthy).await;
        assert_eq!((cluster.share("v1").await, cluster.share("v2").await), (0, 100), "{kind:?}");
        assert_eq!(rest_of(&cluster).await, rest, "{kind:?}");
        if kind == RouteKind::GatewayRoute {
            assert_eq!(shares(&history.seen(&cluster), "v2"), [0, 100]);
        }
        preview(&cluster, false).await;
        assert_eq!(cluster.route_patches("color"), 1 + 2, "{kind:?}: a claim and two stages");
    }
}

/// That a preview asks for the header besides what the route asks for, and sends all of it to v2.
fn sends_who_asks_to_v2(kind: RouteKind, preview: &DynamicObject) {
    let spec = &preview.data["spec"];
    let (header, targets) = match kind {
        RouteKind::GatewayRoute => {
            (&spec["httpRoute"]["match"]["headers"][0], &spec["httpRoute"]["action"]["weightedTargets"])
        }
        RouteKind::HttpRoute | RouteKind::GrpcRoute => {
            (&spec["rules"][0]["matches"][0]["headers"][0], &spec["rules"][0]["backendRefs"])
        }
        RouteKind::VirtualRouter => panic!("it has none"),
    };
    assert_eq!(header["name"], "x-preview", "{kind:?}: {spec}");
    let [only] = targets.as_array().unwrap().as_slice() else { panic!("{targets}") };
    let name = only.pointer("/virtualServiceRef/name").or_else(|| only.get("name"));
    assert_eq!(name, Some(&json!("v2")), "{kind:?}");
    let owners = preview.metadata.owner_references.clone().unwrap();
    assert_eq!((owners[0].kind.as_str(), owners[0].name.as_str()), ("Rollout", "color"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_fails_its_preview_never_gets_traffic() {
    for kind in RouteKind::ALL.into_iter().filter(|kind| has_preview(*kind)) {
        let cluster = Cluster::of_kind(kind).await;
        cluster.gateway.fail("v2", 0.3);
        let history = History::follow(&cluster).await;
        cluster.roll(&rollout(kind, "5m")).await;
        let failed = cluster.phase(Phase::Failed).await;
        assert!(message(&failed).starts_with("Rolled back at 0%"), "{kind:?}: {}", message(&failed));
        assert_eq!(cluster.share("v2").await, 0, "{kind:?}");
        if kind == RouteKind::GatewayRoute {
            assert_eq!(shares(&history.seen(&cluster), "v2"), [0]);
        }
        preview(&cluster, false).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_fails_after_the_switch_gives_it_back() {
    for kind in RouteKind::ALL {
        let cluster = Cluster::of_kind(kind).await;
        let rest = rest_of(&cluster).await;
        cluster.roll(&rollout(kind, "1s").replace("after: {hold: 1s}", "after: {hold: 5m}")).await;
        agree(&cluster).await;
        cluster.at(100).await;
        cluster.gateway.fail("v2", 0.3);
        let failed = cluster.phase(Phase::Failed).await;
        assert!(message(&failed).starts_with("Rolled back at 100%"), "{kind:?}: {}", message(&failed));
        assert_eq!((cluster.share("v1").await, cluster.share("v2").await), (100, 0), "{kind:?}");
        assert_eq!(rest_of(&cluster).await, rest, "{kind:?}");
        preview(&cluster, false).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_before_the_switch_takes_the_preview_along() {
    for kind in RouteKind::ALL {
        let cluster = Cluster::of_kind(kind).await;
        cluster.roll(&rollout(kind, "5m")).await;
        before(&cluster).await;
        cluster.abort("checkout is slow").await;
        cluster.phase(Phase::Failed).await;
        assert_eq!((cluster.share("v1").await, cluster.share("v2").await), (100, 0), "{kind:?}");
        preview(&cluster, false).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn weight_that_somebody_gave_before_the_switch_goes_back() {
    for kind in RouteKind::ALL {
        let cluster = Cluster::of_kind(kind).await;
        cluster.roll(&rollout(kind, "5m")).await;
        before(&cluster).await;
        cluster.set_weights("color", "argocd-controller", &[(0, 20), (1, 80)]).await;
        let told = cluster.event("Drifted").await.message.unwrap_or_default();
        assert!(told.contains("argocd-controller raised the canary to 80"), "{kind:?}: {told}");
        cluster.until_share("v2", 0).await;
        if has_preview(kind) {
            // So does a preview that somebody deletes.
            cluster.routes().delete(PREVIEW, &DeleteParams::default()).await.unwrap();
            preview(&cluster, true).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deletion_before_the_switch_leaves_the_route_alone() {
    for kind in RouteKind::ALL {
        let cluster = Cluster::of_kind(kind).await;
        let rest = rest_of(&cluster).await;
        cluster.roll(&rollout(kind, "5m")).await;
        before(&cluster).await;
        cluster.rollouts().delete("color", &DeleteParams::default()).await.unwrap();
        let api = cluster.rollouts();
        let gone = || async { api.get_opt("color").await.unwrap() };
        eventually("the Rollout is gone", gone, Option::is_none).await;
        preview(&cluster, false).await;
        assert_eq!((cluster.share("v1").await, cluster.share("v2").await), (100, 0), "{kind:?}");
        assert_eq!(rest_of(&cluster).await, rest, "{kind:?}");
        let route = cluster.routes().get("color").await.unwrap();
        assert!(route.metadata.annotations.unwrap_or_default().is_empty(), "{kind:?}: our stamp goes");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steps_with_a_match_go_before_those_with_a_weight() {
    for kind in [RouteKind::GatewayRoute, RouteKind::HttpRoute] {
        let cluster = Cluster::of_kind(kind).await;
        let steps = "steps: [{match: {headers: [{name: x-preview, exact: 'true'}]}, approval: Required}, {weight: 10}, {weight: 50}]";
        let yaml = ROLLOUT
            .replace(PLAIN, &reference(kind, "color"))
            .replace("steps: [{weight: 10}, {weight: 50}]", steps);
        cluster.roll(&yaml).await;
        cluster.until("color", "asked for approval", paused_for(PauseReason::Approval)).await;
        sends_who_asks_to_v2(kind, &preview(&cluster, true).await.unwrap());
        assert_eq!(cluster.share("v2").await, 0, "{kind:?}");
        cluster.ask("promote").await;
        cluster.phase(Phase::Healthy).await;
        assert_eq!(cluster.share("v2").await, 100, "{kind:?}");
        preview(&cluster, false).await;
    }
}

/// Where a GatewayRoute's single target points.
async fn target(cluster: &Cluster, name: &str) -> String {
    let route = cluster.routes().get(name).await.unwrap();
    let target = "/spec/httpRoute/action/target/virtualService/virtualServiceRef/name";
    route.data.pointer(target).and_then(Value::as_str).unwrap().to_owned()
}

async fn until_target(cluster: &Cluster, wanted: &str) {
    eventually(&format!("the target is {wanted}"), || target(cluster, "lone"), |found| found == wanted).await;
}

/// A single target through a good run and a bad one.
async fn is_switched(cluster: &Cluster) {
    let yaml = rollout(RouteKind::GatewayRoute, "1s").replace("name: color}]", "name: lone}]");
    cluster.roll(&yaml).await;
    eventually(
        "the preview is there",
        || async { cluster.routes().get_opt("lone-preview-color").await.unwrap() },
        Option::is_some,
    )
    .await;
    cluster.phase(Phase::Healthy).await;
    assert_eq!(target(cluster, "lone").await, "v2");
    cluster.gateway.fail("v3", 0.3);
    let next = json!({ "spec": { "target": {
        "name": "v3", "workloadRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "v3" },
    } } });
    cluster.patch("color", next).await;
    let failed = |rollout: &Rollout| {
        message(rollout).starts_with("Rolled back at 0%")
            && rollout.status.as_ref().and_then(|status| status.phase) == Some(Phase::Failed)
    };
    cluster.until("color", "v3 has failed on its preview", failed).await;
    assert_eq!(target(cluster, "lone").await, "v2");
    // Without a preview it is switched, and put back.
    let strategy = json!({ "blueGreen": { "preview": null, "before": null, "after": { "hold": "5m" } } });
    cluster.patch("color", json!({ "spec": { "strategy": strategy } })).await;
    cluster.gateway.fail("v3", 0.0);
    cluster.ask("retry").await;
    until_target(cluster, "v3").await;
    cluster.gateway.fail("v3", 0.3);
    cluster.phase(Phase::Failed).await;
    assert_eq!(target(cluster, "lone").await, "v2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_target_is_switched() {
    let mut cluster = Cluster::empty().await;
    cluster.create(lone()).await;
    cluster.run_controller();
    is_switched(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_it_is_where_the_crd_is_aws_s_own() {
    let crds = Crds { gateway_routes: Some(aws_gateway_route_crd().unwrap()), ..Crds::default() };
    let Some(mut cluster) = Cluster::with_crds(crds).await else { return };
    cluster.create(lone()).await;
    cluster.run_controller();
    is_switched(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_preview_lacks_is_said_and_nothing_is_written() {
    let mut cluster = Cluster::without_controller().await;
    cluster.previews = false;
    cluster.run_controller();
    let yaml = rollout(RouteKind::GatewayRoute, "1s");
    cluster.roll(&yaml).await;
    invalid(&cluster, "previews: true").await;
    cluster.stop_controller().await;
    cluster.previews = true;
    // Its header is one that the route asks for itself.
    let asks = |headers: Value| json!({ "spec": { "httpRoute": { "match": { "headers": headers } } } });
    cluster.edit_route("color", asks(json!([{ "name": "X-Preview", "match": { "exact": "a" } }]))).await;
    cluster.run_controller();
    invalid(&cluster, "by the header x-preview itself").await;
    cluster.edit_route("color", json!({ "spec": { "priority": 0 } })).await;
    cluster.edit_route("color", asks(Value::Null)).await;
    invalid(&cluster, "its priority is 0").await;
    // Something stands where it would.
    cluster.create(route(PREVIEW, &json!([entry("v9", 100)]))).await;
    cluster.edit_route("color", json!({ "spec": { "priority": 7 } })).await;
    invalid(&cluster, "not of this Rollout").await;
    assert!(cluster.writes().iter().all(|call| call.resource != "gatewayroutes"), "{:?}", cluster.writes());
    cluster.routes().delete(PREVIEW, &DeleteParams::default()).await.unwrap();
    cluster.phase(Phase::Healthy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_virtual_router_can_have_none_and_says_so() {
    let cluster = Cluster::of_kind(RouteKind::VirtualRouter).await;
    let yaml = rollout(RouteKind::HttpRoute, "1s")
        .replace(&reference(RouteKind::HttpRoute, "color"), &reference(RouteKind::VirtualRouter, "color"));
    cluster.roll(&yaml).await;
    invalid(&cluster, "a VirtualService has one VirtualRouter").await;
}
