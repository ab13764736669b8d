//! The examples that the demo does not play, played: each from a live v1 to a live v2, tried by requests with a header.

#![expect(clippy::unwrap_used, reason = "helpers of tests may end the test")]

#[expect(dead_code, reason = "other tests need more of it")]
#[path = "support/stage.rs"]
mod stage;

use std::time::Duration;

use kube::{
    Api,
    api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
    core::GroupVersionKind,
};
use serde_json::{Value, json};
use stage::{LIMIT, Stage};
use tidegate::{
    api::{PauseReason, Phase},
    demo::{Routes, world::NAMESPACE},
};

impl Stage {
    fn routes(&self) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), NAMESPACE, &self.app.routes().resource())
    }

    /// Creates the objects of an example.
    async fn apply(&self, file: &str) {
        let text = std::fs::read_to_string(format!("examples/{file}")).unwrap();
        for object in serde_saphyr::from_multiple::<DynamicObject>(&text).unwrap() {
            let kind: GroupVersionKind = object.types.as_ref().unwrap().try_into().unwrap();
            let api: Api<DynamicObject> =
                Api::namespaced_with(self.client.clone(), NAMESPACE, &ApiResource::from_gvk(&kind));
            api.create(&PostParams::default(), &object).await.unwrap();
        }
    }

    async fn patch(&self, change: Value) {
        self.rollouts().patch("color", &PatchParams::default(), &Patch::Merge(change)).await.unwrap();
    }

    /// Names v2 as what should be live.
    async fn release(&self) {
        let routes = self.app.routes();
        let name = routes.target("v2");
        let workload = name.trim_end_matches(".default").to_owned();
        let workload = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": workload});
        self.patch(json!({"spec": {"target": {"name": name, "workloadRef": workload}}})).await;
    }

    async fn live(&self, version: &str) {
        let target = self.app.routes().target(version);
        self.until("live", |rollout| {
            let Some(status) = &rollout.status else { return false };
            status.phase == Some(Phase::Healthy)
                && status.stable.as_ref().is_some_and(|stable| stable.name == target)
        })
        .await;
    }

    /// v2 answers those who ask for it.
    async fn answered(&self) {
        let answered = async {
            while self.asking.tally().of("v2") < 10 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(LIMIT, answered).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aws_s_single_target_is_switched() {
    let stage = Stage::set(Routes::GatewayRoute).await;
    stage.routes().delete(Routes::GatewayRoute.name(), &DeleteParams::default()).await.unwrap();
    stage.apply("blue-green/single-target.yaml").await;
    stage.live("v1").await;
    stage.release().await;
    stage.answered().await;
    stage.live("v2").await;
    let route = stage.routes().get(Routes::GatewayRoute.name()).await.unwrap();
    let action = &route.data["spec"]["httpRoute"]["action"];
    let want = json!({"target": {"virtualService": {"virtualServiceRef": {"name": "color-app-v2.default"}}}});
    assert_eq!(*action, want);
    stage.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_begins_with_those_who_ask_for_it() {
    let stage = Stage::set(Routes::HttpRoute).await;
    stage.apply("http-route/by-header.yaml").await;
    stage.live("v1").await;
    stage.release().await;
    stage.answered().await;
    let weights = |route: &DynamicObject| {
        let backends = route.data["spec"]["rules"][0]["backendRefs"].as_array().unwrap().clone();
        backends.iter().map(|backend| backend["weight"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(weights(&stage.routes().get("color").await.unwrap()), [100, 0]);
    stage
        .until("asked for approval", |rollout| {
            let run = rollout.status.as_ref().and_then(|status| status.run.as_ref());
            let pause = run.and_then(|run| run.pause.as_ref());
            pause.is_some_and(|pause| pause.reason == PauseReason::Approval)
        })
        .await;
    let request = json!({
        "action": "promote", "run": 1, "step": 1, "by": "ann", "at": stage.server.clock().now(), "id": "1",
    });
    let annotations = json!({"tidegate.dev/request": request.to_string()});
    stage.patch(json!({"metadata": {"annotations": annotations}})).await;
    stage.live("v2").await;
    assert_eq!(weights(&stage.routes().get("color").await.unwrap()), [0, 100]);
    stage.server.shutdown().await;
}
