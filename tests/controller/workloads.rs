//! The workloads behind the targets: pods before traffic, none where there is no traffic any more, StatefulSets, and what
//! else scales them.

use kube::{
    Api,
    api::{DynamicObject, Patch, PatchParams},
};
use serde_json::{Value, json};
use tidegate::api::{Phase, Rollout};

use crate::{
    bad_input::invalid,
    cluster::Cluster,
    objects::{ROLLOUT, deployment},
    told::{message, text},
    waiting::eventually,
};

const STEPS: &str = "steps: [{weight: 10}, {weight: 50}]";
const SCALED: &str = "scale: {replicas: 3}, steps: [{weight: 10}, {weight: 50, scale: {ofStable: 200}}]";

/// A workload of a kind that is like the others here.
fn of_kind(kind: &str, name: &str) -> Value {
    let mut workload = deployment(name);
    workload["kind"] = json!(kind);
    if kind == "StatefulSet" {
        workload["spec"]["serviceName"] = json!(name);
    }
    workload
}

fn scaler(name: &str, kind: &str, (min, max): (i32, i32)) -> Value {
    json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": { "name": format!("{name}-hpa") },
        "spec": {
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": kind, "name": name },
            "minReplicas": min, "maxReplicas": max,
        },
    })
}

fn workloads(cluster: &Cluster, kind: &str) -> Api<DynamicObject> {
    cluster.api_of(&of_kind(kind, "any"))
}

async fn replicas(cluster: &Cluster, kind: &str, name: &str) -> i64 {
    workloads(cluster, kind).get(name).await.unwrap().data["spec"]["replicas"].as_i64().unwrap()
}

async fn until_replicas(cluster: &Cluster, (kind, name): (&str, &str), wanted: i64) {
    let what = format!("{kind} {name} wants {wanted}");
    eventually(&what, || replicas(cluster, kind, name), |found| *found == wanted).await;
}

async fn set_replicas(cluster: &Cluster, (kind, name): (&str, &str), replicas: i64) {
    let patch = Patch::Merge(json!({ "spec": { "replicas": replicas } }));
    workloads(cluster, kind).patch(name, &PatchParams::default(), &patch).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_gets_its_pods_before_its_traffic() {
    for kind in ["Deployment", "StatefulSet"] {
        let cluster = Cluster::start().await;
        if kind == "StatefulSet" {
            cluster.create(of_kind(kind, "v2")).await;
        }
        set_replicas(&cluster, (kind, "v2"), 1).await;
        let yaml = ROLLOUT.replace(STEPS, SCALED).replace("kind: Deployment", &format!("kind: {kind}"));
        cluster.roll(&yaml).await;
        cluster.at(10).await;
        assert_eq!(replicas(&cluster, kind, "v2").await, 3, "{kind}");
        cluster.phase(Phase::Healthy).await;
        assert_eq!(replicas(&cluster, kind, "v2").await, 4, "{kind}: twice what stable has");
        assert_eq!(replicas(&cluster, "Deployment", "v1").await, 2, "and nobody else");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_no_traffic_any_more_is_scaled_down_and_comes_back() {
    let cluster = Cluster::start().await;
    let yaml =
        ROLLOUT.replace("  strategy:", "  rollbackWindow: {within: 24h}\n  retire: {after: 1s}\n  strategy:");
    cluster.roll(&yaml).await;
    cluster.phase(Phase::Healthy).await;
    until_replicas(&cluster, ("Deployment", "v1"), 0).await;
    let done = |rollout: &Rollout| rollout.status.as_ref().is_some_and(|s| s.retired.iter().any(|r| r.done));
    let rollout = cluster.until("color", "scaled down", done).await;
    assert_eq!(rollout.status.unwrap().retired[0].replicas, 2);
    // A return is one step, once its pods are there again.
    let back = json!({ "spec": { "target": {
        "name": "v1", "workloadRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "v1" },
    } } });
    cluster.patch("color", back).await;
    until_replicas(&cluster, ("Deployment", "v1"), 2).await;
    cluster.until_share("v1", 100).await;
    // A canary that failed goes as well, and a StatefulSet as a Deployment does.
    cluster.phase(Phase::Healthy).await;
    cluster.create(of_kind("StatefulSet", "v3")).await;
    cluster.gateway.fail("v3", 0.3);
    let next = json!({ "spec": { "target": {
        "name": "v3", "workloadRef": { "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "v3" },
    } } });
    cluster.patch("color", next).await;
    let failed = |rollout: &Rollout| {
        rollout.status.as_ref().is_some_and(|s| {
            s.phase == Some(Phase::Failed) && s.canary.as_ref().is_some_and(|c| c.name == "v3")
        })
    };
    cluster.until("color", "v3 has failed", failed).await;
    until_replicas(&cluster, ("StatefulSet", "v3"), 0).await;
    assert_eq!(replicas(&cluster, "Deployment", "v1").await, 2, "what is live is left alone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_rollout_uses_is_kept() {
    let cluster = Cluster::start().await;
    cluster.create(crate::objects::route("other", &json!([crate::objects::entry("v1", 100)]))).await;
    let other = ROLLOUT.replace("name: color", "name: other").replace("v2", "v1");
    cluster.roll(&other).await;
    let yaml = ROLLOUT.replace("  strategy:", "  retire: {after: 1s}\n  strategy:");
    cluster.roll(&yaml).await;
    let kept = |rollout: &Rollout| text(rollout).contains("another Rollout of the namespace names it too");
    cluster.until("color", "v1 is kept", kept).await;
    assert_eq!(replicas(&cluster, "Deployment", "v1").await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_scaled_against_an_autoscaler() {
    let cluster = Cluster::start().await;
    cluster.create(scaler("v2", "Deployment", (1, 2))).await;
    set_replicas(&cluster, ("Deployment", "v2"), 1).await;
    cluster.roll(&ROLLOUT.replace(STEPS, SCALED)).await;
    invalid(&cluster, "HorizontalPodAutoscaler v2-hpa scales Deployment v2 between 1 and 2").await;
    assert_eq!(replicas(&cluster, "Deployment", "v2").await, 1);
    assert!(cluster.writes().iter().all(|call| call.resource != "gatewayroutes"), "{:?}", cluster.writes());
    // With bounds that allow it the pods are its own affair.
    let patch = Patch::Merge(json!({ "spec": { "minReplicas": 4, "maxReplicas": 9 } }));
    let scalers = cluster.api_of(&scaler("v2", "Deployment", (1, 2)));
    scalers.patch("v2-hpa", &PatchParams::default(), &patch).await.unwrap();
    let waits = |rollout: &Rollout| message(rollout).contains("pods of Deployment v2 are ready");
    let has_traffic = |rollout: &Rollout| {
        let step = rollout.status.as_ref().and_then(|s| s.step.as_ref());
        step.is_some_and(|step| step.weight.percent() > 0)
    };
    let found = cluster.until("color", "waiting for its pods", |r| waits(r) || has_traffic(r)).await;
    if waits(&found) {
        set_replicas(&cluster, ("Deployment", "v2"), 4).await;
    } else {
        // A real one looks every fifteen seconds and may have been quicker than us; nobody else may have been.
        assert_eq!(replicas(&cluster, "Deployment", "v2").await, 4, "traffic before its pods");
    }
    cluster.phase(Phase::Healthy).await;
    assert_eq!(replicas(&cluster, "Deployment", "v2").await, 4);
    assert!(cluster.writes().iter().all(|call| call.resource != "deployments"), "{:?}", cluster.writes());
}
