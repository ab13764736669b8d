//! color-app behind a gateway, the controller, and everybody's requests, on the sandbox's API server.

use std::{num::NonZeroU32, sync::Mutex, time::Duration};

use http::HeaderValue;
use kube::{Api, Client, runtime::wait::await_condition};
use tidegate::{
    api::Rollout,
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
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Far more than any of it takes on a busy machine.
pub const LIMIT: Duration = Duration::from_mins(3);

/// color-app, the controller, and everybody's requests.
pub struct Stage {
    pub server: ApiServer,
    pub client: Client,
    pub app: ColorApp,
    pub asking: Load,
    controller: Mutex<Option<Running>>,
    _stop: DropGuard,
}

/// A controller that runs.
struct Running {
    stop: DropGuard,
    ended: JoinHandle<()>,
}

impl Stage {
    pub async fn set(routes: Routes) -> Self {
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
        let stage =
            Self { server, client, app, asking, controller: Mutex::default(), _stop: stop.drop_guard() };
        stage.begin_controller();
        stage
    }

    pub fn begin_controller(&self) {
        let config = format!(
            "{{previews: true, listen: '127.0.0.1:0', namespaces: [{NAMESPACE}], \
             providers: {{default: {{envoy: {{urls: ['{}'], scrapeInterval: 500ms}}}}}}}}",
            self.app.stats_url()
        );
        let config = Config::parse(&config, "the test's configuration").unwrap();
        let stop = CancellationToken::new();
        let running = controller::run(config, self.client.clone(), stop.clone().cancelled_owned());
        let ended = tokio::spawn(async move { running.await.unwrap() });
        *self.controller.lock().unwrap() = Some(Running { stop: stop.drop_guard(), ended });
    }

    /// Ends the controller, and waits until it has.
    pub async fn end_controller(&self) {
        let running = self.controller.lock().unwrap().take();
        if let Some(Running { stop, ended }) = running {
            drop(stop);
            ended.await.unwrap();
        }
    }

    pub fn rollouts(&self) -> Api<Rollout> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    /// Waits for the Rollout.
    pub async fn until(&self, what: &str, holds: impl Fn(&Rollout) -> bool) {
        let held = await_condition(self.rollouts(), "color", |rollout: Option<&Rollout>| {
            rollout.is_some_and(&holds)
        });
        let in_time = tokio::time::timeout(LIMIT, held).await.is_ok();
        let status = self.rollouts().get("color").await.unwrap().status;
        assert!(in_time, "{what}: {status:#?}");
    }
}
