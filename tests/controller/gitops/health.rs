//! What Argo CD's health check and kstatus make of a Rollout in every state that it can show. The states are played, by
//! the controller, and what comes of them is held against the documentation's table.

use futures::{StreamExt, future::BoxFuture, stream};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use tidegate::api::{PauseReason, Phase, Rollout};

use super::{
    asking::{ARGO_CD, FLUX},
    doc,
};
use crate::{
    call::{Rule, Spoil},
    cluster::Cluster,
    metrics::Answer,
    objects::ROLLOUT,
    told::paused_for,
};

/// How many states are played at once.
const AT_ONCE: usize = 4;

type Played = (&'static str, Rollout);

/// Every state, by its row in the table.
fn states() -> Vec<BoxFuture<'static, Played>> {
    vec![
        Box::pin(not_seen_yet()),
        Box::pin(changed_and_not_seen_yet()),
        Box::pin(healthy()),
        Box::pin(healthy_and_the_route_is_not()),
        Box::pin(progressing()),
        Box::pin(rolling_back()),
        Box::pin(asked_to_pause()),
        Box::pin(awaiting_approval()),
        Box::pin(drifted()),
        Box::pin(over_the_deadline()),
        Box::pin(without_its_route()),
        Box::pin(inconclusive()),
        Box::pin(without_metrics()),
        Box::pin(suspended()),
        Box::pin(failed()),
        Box::pin(invalid()),
        Box::pin(being_deleted()),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_state_is_what_the_table_says() {
    if !ARGO_CD.is_there() || !FLUX.is_there() {
        return;
    }
    let played: Vec<Played> = stream::iter(states()).buffered(AT_ONCE).collect().await;
    let customized = ["argocd-cm", "resource-customizations"];
    let config_maps = [doc::yaml("argocd-cm"), doc::yaml("resource-customizations")];
    let objects = played.iter().map(|(_, rollout)| serde_json::to_value(rollout).unwrap());
    let objects: Vec<Value> = objects.collect();
    let of_flux: Vec<Value> =
        objects.iter().map(|object| json!({ "object": object, "kustomization": {} })).collect();
    let flux = FLUX.answers(&of_flux);
    let mut seen: Vec<Vec<String>> = Vec::new();
    for (form, config_map) in customized.into_iter().zip(&config_maps) {
        let of_argo: Vec<Value> =
            objects.iter().map(|object| json!({ "live": object, "configMap": config_map })).collect();
        let argo_cd = ARGO_CD.answers(&of_argo);
        seen.clear();
        for (((row, rollout), argo_cd), flux) in played.iter().zip(argo_cd).zip(&flux) {
            let health = &argo_cd["health"];
            let word = |value: &Value| value.as_str().unwrap().to_owned();
            seen.push(vec![(*row).to_owned(), word(&health["status"]), word(&flux["status"])]);
            if let Some(message) = sentence(rollout) {
                assert_eq!(health["message"], json!(message), "{row}, {form}");
            }
        }
    }
    assert_eq!(seen, doc::table("What health the tools see"));
}

/// The sentence that Argo CD is to show: the Rollout's own, where it is one about what is asked for now.
fn sentence(rollout: &Rollout) -> Option<String> {
    let status = rollout.status.as_ref()?;
    let current = status.observed_generation == rollout.metadata.generation;
    status.message.clone().filter(|_| current && rollout.metadata.deletion_timestamp.is_none())
}

fn long() -> String {
    ROLLOUT.replace("hold: 1s", "hold: 5m")
}

async fn at_ten() -> Cluster {
    let cluster = Cluster::start().await;
    cluster.roll(&long()).await;
    cluster.at(10).await;
    cluster
}

/// A Rollout whose target is live.
async fn at_rest() -> Cluster {
    let cluster = Cluster::start().await;
    cluster.roll(&ROLLOUT.replace("v2", "v1")).await;
    cluster.phase(Phase::Healthy).await;
    cluster
}

async fn paused(cluster: &Cluster, reason: PauseReason) -> Rollout {
    cluster.until("color", &format!("paused: {reason:?}"), paused_for(reason)).await
}

async fn not_seen_yet() -> Played {
    let cluster = Cluster::without_controller().await;
    cluster.roll(ROLLOUT).await;
    ("not seen yet", cluster.rollouts().get("color").await.unwrap())
}

async fn changed_and_not_seen_yet() -> Played {
    let mut cluster = at_rest().await;
    cluster.kill_controller();
    cluster.patch("color", json!({ "spec": { "target": { "name": "v2" } } })).await;
    ("changed, not seen yet", cluster.rollouts().get("color").await.unwrap())
}

async fn healthy() -> Played {
    ("Healthy", at_rest().await.phase(Phase::Healthy).await)
}

async fn healthy_and_the_route_is_not() -> Played {
    let cluster = at_rest().await;
    let list = "/spec/httpRoute/action/weightedTargets";
    let ops = json!([
        { "op": "replace", "path": format!("{list}/1/weight"), "value": 100 },
        { "op": "remove", "path": format!("{list}/0") },
    ]);
    let patch = Patch::Json::<()>(serde_json::from_value(ops).unwrap());
    cluster.routes().patch("color", &PatchParams::default(), &patch).await.unwrap();
    let told = |rollout: &Rollout| !crate::told::routes_in_sync(rollout);
    ("Healthy, but the route is not", cluster.until("color", "out of sync", told).await)
}

async fn progressing() -> Played {
    ("Progressing", at_ten().await.phase(Phase::Progressing).await)
}

/// Nothing is written to a route from now on.
fn refuse_patches(cluster: &Cluster) {
    cluster.proxy.spoil(Rule::new(Spoil::Answer(500)).verb("patch").resource("gatewayroutes"));
}

async fn rolling_back() -> Played {
    let cluster = at_ten().await;
    refuse_patches(&cluster);
    cluster.abort("checkout is slow").await;
    ("RollingBack", cluster.phase(Phase::RollingBack).await)
}

async fn asked_to_pause() -> Played {
    let cluster = at_ten().await;
    cluster.ask("pause").await;
    ("Paused: Requested", paused(&cluster, PauseReason::Requested).await)
}

async fn awaiting_approval() -> Played {
    let cluster = Cluster::start().await;
    cluster.roll(&ROLLOUT.replace("{weight: 10}", "{weight: 10, approval: Required}")).await;
    ("Paused: Approval", paused(&cluster, PauseReason::Approval).await)
}

async fn drifted() -> Played {
    let cluster = at_ten().await;
    cluster.set_weights("color", "kustomize-controller", &[(0, 100), (1, 0)]).await;
    ("Paused: Drifted", paused(&cluster, PauseReason::Drifted).await)
}

async fn over_the_deadline() -> Played {
    let mut cluster = Cluster::start().await;
    // No weight is ever known to be in effect.
    cluster.kill_mesh();
    let deadline = "  progressDeadline: 4s\n  onDeadline: Pause\n  strategy:";
    cluster.roll(&ROLLOUT.replace("  strategy:", deadline)).await;
    ("Paused: Deadline", paused(&cluster, PauseReason::Deadline).await)
}

async fn without_its_route() -> Played {
    let cluster = at_ten().await;
    cluster.routes().delete("color", &DeleteParams::default()).await.unwrap();
    ("Paused: RouteGone", paused(&cluster, PauseReason::RouteGone).await)
}

async fn inconclusive() -> Played {
    let cluster = Cluster::start().await;
    // Between what is tolerated and what is caught nothing is proved for long.
    cluster.gateway.fail("v2", 0.011);
    let close = r#"errorRate: {tolerate: {plus: "1%"}, catch: {plus: "1.2%"}}"#;
    cluster.roll(&ROLLOUT.replace("errorRate: {}", close)).await;
    ("Paused: Inconclusive", paused(&cluster, PauseReason::Inconclusive).await)
}

async fn without_metrics() -> Played {
    let cluster = Cluster::start().await;
    cluster.gateway.answer(Answer::Status(500));
    cluster.roll(ROLLOUT).await;
    ("Paused: MetricError", paused(&cluster, PauseReason::MetricError).await)
}

async fn suspended() -> Played {
    let cluster = at_ten().await;
    cluster.patch("color", json!({ "spec": { "suspend": true } })).await;
    ("Suspended", cluster.phase(Phase::Suspended).await)
}

async fn failed() -> Played {
    let cluster = at_ten().await;
    cluster.abort("checkout is slow").await;
    ("Failed", cluster.phase(Phase::Failed).await)
}

async fn invalid() -> Played {
    let cluster = Cluster::start().await;
    cluster.roll(&ROLLOUT.replace("name: color}]", "name: nowhere}]")).await;
    ("Invalid", cluster.phase(Phase::Invalid).await)
}

async fn being_deleted() -> Played {
    let cluster = at_ten().await;
    refuse_patches(&cluster);
    cluster.rollouts().delete("color", &DeleteParams::default()).await.unwrap();
    let deleted = |rollout: &Rollout| rollout.metadata.deletion_timestamp.is_some();
    ("being deleted", cluster.until("color", "being deleted", deleted).await)
}
