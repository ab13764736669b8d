//! An API server with a gateway's objects, and a control plane that serves it.

use kube::{
    Api, Client,
    api::{DynamicObject, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tidegate::{
    gateway::{self, Settings},
    sandbox::envoys::{Had, Manner, SimulatedEnvoy},
    xds::{Fleet, Kind},
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::Endpoint;

use crate::{
    ports::free_address,
    server::{Server, api_of, create, unique},
    waiting::eventually,
};

/// A control plane that runs.
pub struct Running {
    stop: CancellationToken,
    task: JoinHandle<Result<(), gateway::Error>>,
}

/// Everything but the Envoys.
pub struct Bed {
    pub namespace: String,
    pub client: Client,
    pub settings: Settings,
    pub running: Option<Running>,
    _server: Server,
}

pub fn target(name: &str, weight: u32) -> Value {
    json!({"virtualServiceRef": {"name": name}, "weight": weight})
}

/// A route of the dialect.
pub fn route(name: &str, prefix: &str, targets: &[Value]) -> Value {
    let block = json!({"match": {"prefix": prefix}, "action": {"weightedTargets": targets}});
    app_mesh(
        "GatewayRoute",
        name,
        json!({"virtualGatewayRef": {"name": "gw"}, "routeSpec": {"httpRoute": block}}),
    )
}

pub fn app_mesh(kind: &str, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "appmesh.k8s.aws/v1beta2", "kind": kind, "metadata": {"name": name}, "spec": spec,
    })
}

impl Bed {
    /// A gateway `gw` with the versions `v1` and `v2` behind a route `color`, served in the clear.
    pub async fn start() -> Self {
        let mut bed = Self::without_control_plane().await;
        bed.run();
        bed
    }

    pub async fn without_control_plane() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        if let Ok(filter) = std::env::var("RUST_LOG") {
            let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
        }
        let server = Server::start().await;
        let (client, namespace) = (server.client().await, unique());
        let own = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        let namespaces: Api<DynamicObject> = {
            let resource =
                kube::core::ApiResource::from_gvk(&kube::core::GroupVersionKind::gvk("", "v1", "Namespace"));
            Api::all_with(client.clone(), &resource)
        };
        namespaces.create(&PostParams::default(), &serde_json::from_value(own).unwrap()).await.unwrap();
        let settings = Settings {
            listen: free_address(),
            registry: free_address(),
            health: free_address(),
            identity: None,
            namespaces: vec![namespace.clone()],
            lease: None,
        };
        let bed = Self { namespace, client, settings, running: None, _server: server };
        let listeners = json!([{"portMapping": {"port": 8088, "protocol": "http"}}]);
        bed.create(app_mesh(
            "VirtualGateway",
            "gw",
            json!({"listeners": listeners, "namespaceSelector": {}}),
        ))
        .await;
        for version in ["v1", "v2"] {
            bed.create_version(version).await;
        }
        bed.create(route("color", "/color", &[target("v1", 100), target("v2", 0)])).await;
        bed
    }

    /// The objects of a version, found by DNS.
    pub async fn create_version(&self, version: &str) {
        let provider = json!({"provider": {"virtualNode": {"virtualNodeRef": {"name": version}}}});
        self.create(app_mesh("VirtualService", version, provider)).await;
        let dns = json!({"dns": {"hostname": format!("{version}.example")}});
        let listeners = json!([{"portMapping": {"port": 8080, "protocol": "http"}}]);
        self.create(app_mesh(
            "VirtualNode",
            version,
            json!({"listeners": listeners, "serviceDiscovery": dns}),
        ))
        .await;
    }

    pub async fn create(&self, object: Value) {
        create(&self.client, &self.namespace, object).await;
    }

    /// Starts a control plane.
    pub fn run(&mut self) {
        let stop = CancellationToken::new();
        let (settings, client) = (self.settings.clone(), self.client.clone());
        let task = tokio::spawn(gateway::run(settings, client, stop.clone().cancelled_owned()));
        self.running = Some(Running { stop, task });
    }

    /// Ends it as SIGTERM does.
    pub async fn stop(&mut self) {
        let Running { stop, task } = self.running.take().unwrap();
        stop.cancel();
        task.await.unwrap().unwrap();
    }

    pub fn gateway(&self) -> Fleet {
        Fleet::gateway(self.namespace.clone(), "gw")
    }

    pub fn control_plane(&self) -> Endpoint {
        Endpoint::from_shared(format!("http://{}", self.settings.listen)).unwrap()
    }

    /// An Envoy that connects.
    pub fn envoy(&self, manner: Manner) -> SimulatedEnvoy {
        SimulatedEnvoy::start(self.control_plane(), &self.gateway(), manner)
    }

    pub fn objects(&self, kind: &str) -> Api<DynamicObject> {
        api_of(&self.client, &self.namespace, &app_mesh(kind, "any", Value::Null))
    }

    pub async fn patch(&self, kind: &str, name: &str, patch: Value) {
        let patch = Patch::Merge(patch);
        self.objects(kind).patch(name, &PatchParams::default(), &patch).await.unwrap();
    }

    /// Gives the versions these weights; the generation that has them.
    pub async fn weigh(&self, route: &str, v1: u32, v2: u32) -> i64 {
        let targets = json!([target("v1", v1), target("v2", v2)]);
        let spec = json!({"routeSpec": {"httpRoute": {"action": {"weightedTargets": targets}}}});
        let patch = Patch::Merge(json!({ "spec": spec }));
        let stored =
            self.objects("GatewayRoute").patch(route, &PatchParams::default(), &patch).await.unwrap();
        stored.metadata.generation.unwrap()
    }

    /// The condition `Programmed` of an object, in short, of its present generation.
    pub async fn programmed(&self, kind: &str, name: &str) -> String {
        let object = self.objects(kind).get(name).await.unwrap();
        programmed(&object)
    }

    /// Waits until the condition begins so.
    pub async fn until(&self, route: &str, begins: &str) -> String {
        let look = || self.programmed("GatewayRoute", route);
        eventually(&format!("{route} is {begins}"), look, |told| told.starts_with(begins)).await
    }
}

/// The condition `Programmed` of an object's present generation, in short.
pub fn programmed(object: &DynamicObject) -> String {
    told(object, "Programmed")
}

/// A condition of an object's present generation, in short.
pub fn told(object: &DynamicObject, condition: &str) -> String {
    let conditions = object.data["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let own = conditions.into_iter().find(|own| own["type"] == condition);
    let Some(own) = own else { return "nothing".to_owned() };
    // AWS's own CRDs know the one of the whole status alone.
    let observed = own.get("observedGeneration").unwrap_or(&object.data["status"]["observedGeneration"]);
    if *observed != json!(object.metadata.generation) {
        return format!("of generation {observed}");
    }
    let text = |field: &str| own[field].as_str().unwrap_or_default().to_owned();
    format!("{} {}: {}", text("status"), text("reason"), text("message"))
}

/// Waits until an Envoy has routes with this text in them, or without.
pub async fn has_routes(envoy: &SimulatedEnvoy, text: &str, wanted: bool) -> Had {
    let had = envoy.had();
    let look = || async { had.borrow().clone() };
    let contains = |had: &Had| had.routes.windows(text.len()).any(|window| window == text.as_bytes());
    eventually(&format!("its routes have {text}: {wanted}"), look, |had| {
        !had.routes.is_empty() && contains(had) == wanted
    })
    .await
}

/// How many responses of a type an Envoy was sent.
pub fn responses(envoy: &SimulatedEnvoy, kind: Kind) -> u64 {
    envoy.had().borrow().responses.get(kind.url()).copied().unwrap_or_default()
}
