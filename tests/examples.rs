//! The examples that the demo does not play, played: each from a live v1 to a live v2, tried by requests with a header.

#![expect(clippy::unwrap_used, reason = "helpers of tests may end the test")]

use std::{num::NonZeroU32, time::Duration};

use http::HeaderValue;
use kube::{
    Api, Client,
    api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
    core::GroupVersionKind,
    runtime::wait::await_condition,
};
use serde_json::{Value, json};
use tidegate::{
    api::{PauseReason, Phase, Rollout},
    config::Config,
    controller,
    demo::{
        Routes,
        world::{ColorApp, NAMESPACE, start_server},
    },
    sandbox::{
        apiserver::ApiServer,
        load::{Load, LoadConfig},
    },
};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Far more than any of it takes on a busy machine.
const LIMIT: Duration = Duration::from_mins(3);

/// color-app, the controller, and everybody's requests.
struct Stage {
    server: ApiServer,
    client: Client,
    app: ColorApp,
    asking: Load,
    _stop: DropGuard,
}

impl Stage {
    async fn set(routes: Routes) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let server = start_server(None, None).await.unwrap();
        let (client, clock) = (server.client().unwrap(), server.clock());
        let app = ColorApp::start(client.clone(), clock, routes).await.unwrap();
        let stop = CancellationToken::new();
        let everybody = LoadConfig {
            url: app.url().parse().unwrap(),
            rate: NonZeroU32::new(200).unwrap(),
            in_flight: 64,
            timeout: Duration::from_secs(10),
            headers: http::HeaderMap::new(),
        };
        let mut asking = LoadConfig { rate: NonZeroU32::new(40).unwrap(), ..everybody.clone() };
        asking.headers.insert("x-preview", HeaderValue::from_static("true"));
        let [_, asking] = [everybody, asking].map(|config| {
            let load = Load::new(config, clock).unwrap();
            let (running, stop) = (load.clone(), stop.clone());
            tokio::spawn(async move { running.run(None, &stop).await });
            load
        });
        let config = format!(
            "{{previews: true, listen: '127.0.0.1:0', namespaces: [{NAMESPACE}], \
             providers: {{default: {{envoy: {{urls: ['{}'], scrapeInterval: 500ms}}}}}}}}",
            app.stats_url()
        );
        let config = Config::parse(&config, "the test's configuration").unwrap();
        let running = controller::run(config, client.clone(), stop.clone().cancelled_owned());
        tokio::spawn(async move { running.await.unwrap() });
        Self { server, client, app, asking, _stop: stop.drop_guard() }
    }

    fn rollouts(&self) -> Api<Rollout> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

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

    /// Waits for the Rollout.
    async fn until(&self, what: &str, holds: impl Fn(&Rollout) -> bool) {
        let held = await_condition(self.rollouts(), "color", |rollout: Option<&Rollout>| {
            rollout.is_some_and(&holds)
        });
        let in_time = tokio::time::timeout(LIMIT, held).await.is_ok();
        let status = self.rollouts().get("color").await.unwrap().status;
        assert!(in_time, "{what}: {status:#?}");
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
