//! Bad input is met with a clear sentence and no harm.

use kube::api::PostParams;
use serde_json::{Value, json};
use tidegate::api::{LastRequest, PauseReason, Phase, RequestOutcome, Rollout, RouteKind};

use crate::{
    cluster::Cluster,
    metrics::Answer,
    objects::{HOLD, ROLLOUT, entry, route},
    told::{message, paused_for, text},
    waiting::eventually,
};

pub async fn invalid(cluster: &Cluster, part: &str) {
    let told = |r: &Rollout| {
        r.status.as_ref().and_then(|s| s.phase) == Some(Phase::Invalid) && message(r).contains(part)
    };
    cluster.until("color", &format!("Invalid with {part:?}"), told).await;
}

/// A route with AWS's single target.
pub fn lone() -> Value {
    json!({
        "apiVersion": "appmesh.k8s.aws/v1beta2", "kind": "GatewayRoute",
        "metadata": { "name": "lone" },
        "spec": { "priority": 600, "httpRoute": { "match": { "prefix": "/" }, "action": { "target": { "virtualService": { "virtualServiceRef": { "name": "v1" } } } } } },
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn routes_that_do_not_fit() {
    let cluster = Cluster::start().await;
    cluster.roll(&ROLLOUT.replace("GatewayRoute, name: color", "GatewayRoute, name: nowhere")).await;
    invalid(&cluster, "GatewayRoute nowhere does not exist").await;

    // It is picked up when it appears; here without stable's weight told.
    cluster.create(route("nowhere", &json!([entry("v1", 60), entry("v2", 40)]))).await;
    invalid(&cluster, "spec.stable").await;

    cluster.create(lone()).await;
    let routes = json!([{ "group": "appmesh.k8s.aws", "kind": "GatewayRoute", "name": "lone" }]);
    cluster.patch("color", json!({ "spec": { "routes": routes } })).await;
    invalid(&cluster, "weightedTargets").await;
}

/// One VirtualRouter named twice.
fn twice(first: &str, second: &str) -> String {
    let one = |more: &str| format!("{{group: appmesh.k8s.aws, kind: VirtualRouter, name: color{more}}}");
    format!("[{}, {}]", one(first), one(second))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_that_do_not_fit() {
    let cluster = Cluster::of_kind(RouteKind::VirtualRouter).await;
    let plain = "kind: GatewayRoute, name: color";
    let named =
        |rule: &str| ROLLOUT.replace(plain, &format!("kind: VirtualRouter, name: color, rule: {rule}"));
    cluster.roll(&named("nowhere")).await;
    invalid(&cluster, "it has no rule named nowhere (main, other)").await;

    // Below zero and a name twice the schema refuses; a total of nothing it does not.
    let routes =
        json!([{ "group": "appmesh.k8s.aws", "kind": "VirtualRouter", "name": "color", "rule": "main" }]);
    cluster.set_weights("color", "kubectl", &[(0, 0), (1, 0)]).await;
    cluster.patch("color", json!({ "spec": { "routes": routes } })).await;
    invalid(&cluster, "rule main gives no target any weight").await;

    cluster.set_weights("color", "kubectl", &[(0, 2), (1, 1)]).await;
    invalid(&cluster, "rule main splits traffic (v1 2, v2 1); give spec.stable").await;
    cluster.patch("color", json!({ "spec": { "stable": { "name": "v1" } } })).await;
    invalid(&cluster, "the canary's share is no whole percentage").await;

    // Whole once it is put right, and then nothing is in the way.
    cluster.set_weights("color", "kubectl", &[(0, 3), (1, 0)]).await;
    cluster.phase(Phase::Healthy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_in_one_route_and_not_in_the_other_is_added_there() {
    let mut cluster = Cluster::of_kind(RouteKind::HttpRoute).await;
    cluster.create(route("color", &json!([entry("v1", 100)]))).await;
    let both = "{group: gateway.networking.k8s.io, kind: HTTPRoute, name: color}";
    let plain = "{group: appmesh.k8s.aws, kind: GatewayRoute, name: color}";
    cluster.roll(&ROLLOUT.replace(plain, &format!("{plain}, {both}"))).await;
    cluster.phase(Phase::Healthy).await;
    assert_eq!(cluster.share("v2").await, 100);
    cluster.kind = RouteKind::GatewayRoute;
    assert_eq!(cluster.share("v2").await, 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_schema_refuses_what_the_engine_would() {
    let cluster = Cluster::without_controller().await;
    let cases = [
        ("kind: GatewayRoute, name", "kind: TCPRoute, name", "spec.routes[0].kind"),
        (
            "kind: GatewayRoute, name",
            "kind: HTTPRoute, name",
            "HTTPRoute and GRPCRoute of gateway.networking.k8s.io",
        ),
        ("name: color}]", "name: color, rule: a}]", "a GatewayRoute has no rules; leave rule out"),
        ("name: color}]", "name: color, stable: x}]", "which must be given too"),
        (
            "[{group: appmesh.k8s.aws, kind: GatewayRoute, name: color}]",
            &twice("", ""),
            "or the same rule of it, twice",
        ),
        (
            "[{group: appmesh.k8s.aws, kind: GatewayRoute, name: color}]",
            &twice(", rule: a", ", rule: a"),
            "or the same rule of it, twice",
        ),
        (
            "[{group: appmesh.k8s.aws, kind: GatewayRoute, name: color}]",
            &twice(", rule: a", ""),
            "must each name a rule of it",
        ),
        ("{weight: 10}, {weight: 50}", "{weight: 50}, {weight: 10}", "must increase"),
        ("{weight: 10}, {weight: 50}", "{weight: 110}", "spec.strategy.canary.steps[0].weight"),
        ("{weight: 10}, {weight: 50}", "", "spec.strategy.canary.steps"),
        ("{weight: 10}", "{weight: 10, hold: 5m, maxHold: 1m}", "must not be longer than its maxHold"),
        ("hold: 1s", "hold: soon", "spec.strategy.canary.hold"),
        ("canary: {", "blueGreen: {}, canary: {", "exactly one of canary and blueGreen"),
        ("kind: Deployment", "kind: DaemonSet", "spec.target.workloadRef.kind"),
        ("{weight: 10}", "{weight: 10, scale: {replicas: 1, ofStable: 5}}", "either replicas or ofStable"),
        ("interval: 1s", "interval: 1h", "interval must be between"),
        ("{name: color", &format!("{{name: {}, namespace", "c".repeat(64)), "63 characters"),
    ];
    for (good, bad, part) in cases {
        let object: Value = serde_saphyr::from_str(&ROLLOUT.replacen(good, bad, 1)).unwrap();
        let api = cluster.api_of(&object);
        let error =
            api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap_err();
        let kube::Error::Api(status) = error else { panic!("{error}") };
        assert_eq!(status.code, 422, "{}", status.message);
        assert!(status.message.contains(part), "{part}: {}", status.message);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_is_not_configured() {
    let cluster = Cluster::start().await;
    cluster.roll(&ROLLOUT.replace("interval: 1s", "interval: 1s\n    provider: elsewhere")).await;
    invalid(&cluster, "provider elsewhere").await;
    assert_eq!(cluster.share("v2").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_placeholder_that_nobody_knows() {
    let cluster = Cluster::start().await;
    cluster.roll(&ROLLOUT.replace("mesh: mesh", "mesh: mesh, node: '{{name}}-{{foo}}'")).await;
    invalid(&cluster, "the param \"node\" has an unknown placeholder").await;
    assert_eq!(cluster.share("v2").await, 0);
    cluster
        .patch("color", json!({ "spec": { "analysis": { "series": { "params": { "node": null } } } } }))
        .await;
    cluster.phase(Phase::Healthy).await;
}

/// Metrics that answer so give no evidence: never an advance, never a rollback.
pub async fn gives_nothing(answer: Answer) -> Cluster {
    let cluster = Cluster::start().await;
    cluster.gateway.answer(answer.clone());
    cluster.roll(&ROLLOUT.replace("{weight: 10}", "{weight: 10, maxHold: 2s}")).await;
    let error = |r: &Rollout| {
        let status = r.status.as_ref();
        status.is_some_and(|s| s.analysis.iter().any(|m| m.verdict == tidegate::analysis::Verdict::Error))
    };
    let rollout = cluster.until("color", "a metric in Error", error).await;
    assert!(!text(&rollout).contains("s3cret"), "no byte of an answer is told: {}", text(&rollout));

    // With the second look past the hold, what follows from the first has been decided.
    let held = cluster.at(10).await.status.unwrap().step.unwrap().since.unwrap() + HOLD;
    let past = || async { cluster.gateway.looks().into_iter().filter(|at| *at > held).count() };
    eventually("two looks past the hold", past, |past| *past >= 2).await;
    let status = cluster.rollouts().get("color").await.unwrap().status.unwrap();
    assert!(status.history.is_empty(), "{answer:?} ended the run: {:?}", status.history);
    assert_eq!(cluster.share("v2").await, 10, "{answer:?}");
    cluster
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_that_are_huge_redirect_or_are_nonsense() {
    gives_nothing(Answer::Huge).await;
    gives_nothing(Answer::Redirect).await;
    gives_nothing(Answer::Nonsense).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_that_are_empty() {
    gives_nothing(Answer::Nothing).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_that_hang() {
    gives_nothing(Answer::Hang).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_that_are_down_pause_and_go_on_by_themselves() {
    let cluster = gives_nothing(Answer::Status(500)).await;
    cluster.until("color", "paused for the metrics", paused_for(PauseReason::MetricError)).await;
    cluster.gateway.answer(Answer::Counters);
    cluster.phase(Phase::Healthy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn annotations_that_are_no_requests() {
    let cluster = Cluster::start().await;
    cluster.roll(&ROLLOUT.replace("hold: 1s", "hold: 5m")).await;
    cluster.at(10).await;
    let at = "2026-01-01T00:00:00Z";
    let cases = [
        ("promote".to_owned(), "can't be read"),
        (
            json!({ "action": "dance", "run": 1, "step": 1, "by": "ann", "at": at, "id": "1" }).to_string(),
            "can't be read",
        ),
        (
            json!({ "action": "promote", "run": 9, "step": 1, "by": "ann", "at": at, "id": "2" }).to_string(),
            "names run 9",
        ),
    ];
    let mut before = String::new();
    for (text, part) in cases {
        cluster
            .patch("color", json!({ "metadata": { "annotations": { "tidegate.dev/request": text } } }))
            .await;
        let refused = |r: &Rollout| {
            let last = r.status.as_ref().and_then(|s| s.last_request.as_ref());
            let refused = |last: &&LastRequest| last.outcome == RequestOutcome::Refused && last.id != before;
            last.filter(refused).is_some_and(|last| last.message.contains(part))
        };
        let rollout = cluster.until("color", part, refused).await;
        before = rollout.status.unwrap().last_request.unwrap().id;
        assert_eq!(cluster.share("v2").await, 10);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_of_another_rollout_is_refused() {
    let cluster = Cluster::start().await;
    cluster
        .roll(
            &ROLLOUT
                .replace("hold: 1s", "hold: 5m")
                .replace("metadata: {name: color}", "metadata: {name: first}"),
        )
        .await;
    cluster.until_share("v2", 10).await;
    cluster.roll(ROLLOUT).await;
    invalid(&cluster, "stepped by the Rollout first").await;
}
