//! Rollouts whose analysis is a template's.

use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use tidegate::api::{EndReason, Phase, Rollout};

use crate::{
    bad_input::invalid,
    cluster::Cluster,
    crds::Crds,
    objects::{ROLLOUT, entry, route},
    told::text,
};

fn template() -> Value {
    json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "AnalysisTemplate", "metadata": { "name": "common" },
        "spec": { "args": [{ "name": "mesh" }, { "name": "port", "default": "8080" }], "analysis": {
            "interval": "1s", "settle": "100ms", "errorRate": {},
            "series": { "preset": "tidegate-gateway", "params": { "mesh": "{{args.mesh}}", "port": "{{args.port}}" } },
        } },
    })
}

/// The Rollout, with what the template does not say.
fn named(args: &str) -> String {
    let (before, _) = ROLLOUT.split_once("  analysis:").unwrap();
    format!("{before}  analysis: {{templateRef: {{name: common}}, args: {args}}}\n")
}

async fn edit(cluster: &Cluster, change: Value) {
    let templates = cluster.api_of(&template());
    templates.patch("common", &PatchParams::default(), &Patch::Merge(change)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_waits_for_its_template_and_then_goes_by_what_it_was() {
    let cluster = Cluster::start().await;
    cluster.gateway.fail("v2", 0.0);
    cluster
        .roll(&named("{mesh: mesh}").replace("steps: [{weight: 10}", "steps: [{weight: 10, hold: 10s}"))
        .await;
    invalid(&cluster, "there is no AnalysisTemplate common in this namespace; create it").await;
    assert!(cluster.writes().iter().all(|call| call.resource != "gatewayroutes"), "{:?}", cluster.writes());

    let mut first = template();
    first["spec"]["args"] = json!([{ "name": "other" }]);
    cluster.create(first).await;
    invalid(&cluster, "args has mesh, which the AnalysisTemplate common does not take (it takes other)")
        .await;
    edit(&cluster, json!({ "spec": { "args": template()["spec"]["args"] } })).await;
    cluster.at(10).await;

    // Neither an edit nor its end reaches a run that is under way.
    edit(&cluster, json!({ "spec": { "analysis": { "mode": "Observe", "interval": "5m" } } })).await;
    cluster.api_of(&template()).delete("common", &DeleteParams::default()).await.unwrap();
    cluster.gateway.fail("v2", 0.3);
    cluster.phase(Phase::Failed).await;
    let failed = |rollout: &Rollout| {
        rollout.status.as_ref().is_some_and(|s| s.history.iter().any(|h| h.outcome == EndReason::Failed))
    };
    let rollout = cluster.until("color", "failed by the rules of its start", failed).await;
    assert!(text(&rollout).contains(r#""args":{"mesh":"mesh","port":"8080"}"#), "{}", text(&rollout));
}

/// As after an update of the controller alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_without_the_crd_serves_those_who_name_no_template() {
    let crds = Crds { analysis_templates: None, ..Crds::default() };
    let Some(mut cluster) = Cluster::with_crds(crds).await else { return };
    for name in ["color", "other"] {
        cluster.create(route(name, &json!([entry("v1", 100), entry("v2", 0)]))).await;
    }
    cluster.run_controller();
    cluster.roll(&named("{mesh: mesh}")).await;
    invalid(
        &cluster,
        "the AnalysisTemplate common can't be read: the API server does not serve AnalysisTemplate",
    )
    .await;
    cluster.roll(&ROLLOUT.replace("name: color", "name: other")).await;
    let healthy = |rollout: &Rollout| rollout.status.as_ref().and_then(|s| s.phase) == Some(Phase::Healthy);
    cluster.until("other", "promoted", healthy).await;
    cluster.server.install(&Crds::default()).await;
    cluster.create(template()).await;
    cluster.phase(Phase::Healthy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_canary_is_promoted_by_a_template() {
    let cluster = Cluster::start().await;
    cluster.create(template()).await;
    cluster.roll(&named("{mesh: mesh}")).await;
    cluster.phase(Phase::Healthy).await;
    cluster.until_share("v2", 100).await;
}
