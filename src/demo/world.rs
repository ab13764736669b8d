//! The world that the demo and the sandbox play in: an API server with the definitions of color-app, and color-app
//! itself, its versions as real HTTP servers behind a gateway that obeys the GatewayRoutes.

use std::{collections::BTreeMap, io, path::PathBuf, time::Duration};

use kube::{
    Api, Client, CustomResourceExt,
    api::{ApiResource, DynamicObject, GroupVersionKind},
    runtime::wait::{self, await_condition},
};
use serde_json::Value;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::manifests::{self, ManifestError};
use crate::{
    api::{
        Rollout,
        gateway_route_crd::{GatewayRouteCrdError, gateway_route_crd},
    },
    clock::Clock,
    dataplane::GatewayRef,
    sandbox::{
        apiserver::{ApiServer, Options, StartError},
        backends::{Backend, Faults, Latency},
        gateway::{Endpoints, Gateway, GatewayConfig, NotLoopback},
        programmer::{PROGRAMMED, Programmer},
    },
};

/// The namespace of color-app.
pub const NAMESPACE: &str = "default";
/// The GatewayRoute of color-app.
pub const ROUTE: &str = "color-gateway-route";

/// App Mesh's definitions of the kinds in color-app, byte for byte; the `README.md` beside them tells their origin.
const APP_MESH: [&str; 4] = [
    include_str!("aws/appmesh.k8s.aws_meshes.yaml"),
    include_str!("aws/appmesh.k8s.aws_virtualgateways.yaml"),
    include_str!("aws/appmesh.k8s.aws_virtualnodes.yaml"),
    include_str!("aws/appmesh.k8s.aws_virtualservices.yaml"),
];
const COLOR_APP: &str = include_str!("../../examples/color-app.yaml");

/// The versions that run, listed in a route or not, with what they answer.
const VERSIONS: [(&str, &str); 3] = [("v1", "blue"), ("v2", "green"), ("v3", "red")];
/// Usual time of an answer: enough to look like a service, far below any latency goal.
const USUAL_LATENCY: Duration = Duration::from_millis(3);
/// Usual share of failed requests: no service is without.
const USUAL_ERRORS: f64 = 0.001;
/// How long the gateway may take to serve the route.
const PROGRAM_LIMIT: Duration = Duration::from_secs(15);

/// Why the world could not be made.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// The API server did not start.
    #[error("cannot start the sandbox's API server")]
    Server(#[from] StartError),
    /// The definition of GatewayRoute could not be built.
    #[error("cannot build the GatewayRoute definition")]
    GatewayRoute(#[from] GatewayRouteCrdError),
    /// One of App Mesh's definitions cannot be parsed.
    #[error("cannot parse one of App Mesh's definitions")]
    Definition(#[source] Box<serde_saphyr::Error>),
    /// Our own definition cannot be written as JSON.
    #[error("cannot write the Rollout definition as JSON")]
    Rollout(#[source] serde_json::Error),
    /// No client for the API server could be made.
    #[error("cannot make a client for the sandbox's API server")]
    Client(#[source] Box<kube::Error>),
    /// color-app could not be applied.
    #[error("cannot apply color-app")]
    Manifests(#[from] ManifestError),
    /// A port on loopback could not be opened.
    #[error("cannot start {what} on loopback")]
    Listen {
        /// What was to listen.
        what: String,
        /// Why it cannot.
        source: io::Error,
    },
    /// An endpoint is not on loopback.
    #[error("cannot put a version behind the gateway")]
    Endpoint(#[from] NotLoopback),
    /// The route could not be watched.
    #[error("cannot watch the GatewayRoute {ROUTE}")]
    Watch(#[source] Box<wait::Error>),
    /// The gateway did not take the route up.
    #[error("the gateway did not serve the GatewayRoute {ROUTE} within {} s", PROGRAM_LIMIT.as_secs())]
    NotProgrammed,
}

/// Starts an API server that knows all kinds of color-app, and the Rollout.
pub async fn start_server(port: Option<u16>, data: Option<PathBuf>) -> Result<ApiServer, WorldError> {
    let mut crds =
        vec![serde_json::to_value(Rollout::crd()).map_err(WorldError::Rollout)?, gateway_route_crd()?];
    for definition in APP_MESH {
        let definition: Value =
            serde_saphyr::from_str(definition).map_err(|source| WorldError::Definition(Box::new(source)))?;
        crds.push(definition);
    }
    Ok(ApiServer::start(Options { port, data, crds }).await?)
}

/// How the API names GatewayRoutes.
pub fn gateway_routes() -> ApiResource {
    ApiResource::from_gvk_with_plural(
        &GroupVersionKind::gvk("appmesh.k8s.aws", "v1beta2", "GatewayRoute"),
        "gatewayroutes",
    )
}

/// color-app behind its gateway; dropping it ends it. Its objects stay on the API server.
pub struct ColorApp {
    gateway: Gateway,
    backends: BTreeMap<&'static str, Backend>,
    _programmer: DropGuard,
}

impl ColorApp {
    /// Applies color-app and starts its versions and its gateway; returns once the gateway serves the route.
    pub async fn start(client: Client, clock: Clock) -> Result<Self, WorldError> {
        manifests::apply(&client, COLOR_APP).await?;
        let endpoints = Endpoints::default();
        let mut backends = BTreeMap::new();
        for (seed, (version, colour)) in (1..).zip(VERSIONS) {
            let backend = start_backend(version, colour, seed).await?;
            endpoints.set(&service(version), None, vec![backend.address()])?;
            backends.insert(version, backend);
        }
        let gateway = Gateway::start(GatewayConfig::default(), endpoints, clock)
            .await
            .map_err(|source| WorldError::Listen { what: "the gateway".to_owned(), source })?;
        let reference = GatewayRef {
            name: "color-gateway".to_owned(),
            namespace: NAMESPACE.to_owned(),
            takes_unclaimed: false,
        };
        let programmer = Programmer::new(client.clone(), clock, reference, vec![gateway.table()]);
        let stop = CancellationToken::new();
        tokio::spawn(programmer.run(stop.clone()));
        let app = Self { gateway, backends, _programmer: stop.drop_guard() };
        programmed(client).await?;
        Ok(app)
    }

    /// Where clients ask for a colour.
    pub fn url(&self) -> String {
        format!("http://{}/color", self.gateway.address())
    }

    /// Where the gateway's counters are.
    pub fn stats_url(&self) -> String {
        format!("http://{}/stats/prometheus", self.gateway.admin())
    }

    /// The gateway.
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// Changes the share of failed requests of a version, from 0 to 1. An unknown version has none.
    pub fn set_error_share(&self, version: &str, error_share: f64) {
        if let Some(backend) = self.backends.get(version) {
            backend.set_faults(Faults { error_share, ..backend.faults() });
        }
    }
}

async fn start_backend(version: &str, colour: &str, seed: u64) -> Result<Backend, WorldError> {
    let backend = Backend::start(version, colour, seed)
        .await
        .map_err(|source| WorldError::Listen { what: format!("color-app {version}"), source })?;
    backend.set_faults(Faults {
        error_share: USUAL_ERRORS,
        latency: Latency::Exponential(USUAL_LATENCY),
        down: false,
    });
    Ok(backend)
}

/// The full name of a version's service, as routes name it.
pub fn service(version: &str) -> String {
    format!("color-app-{version}.{NAMESPACE}")
}

/// Waits until the gateway says that it serves the route.
async fn programmed(client: Client) -> Result<(), WorldError> {
    let api: Api<DynamicObject> = Api::namespaced_with(client, NAMESPACE, &gateway_routes());
    let condition = |route: Option<&DynamicObject>| route.is_some_and(is_programmed);
    match tokio::time::timeout(PROGRAM_LIMIT, await_condition(api, ROUTE, condition)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(source)) => Err(WorldError::Watch(Box::new(source))),
        Err(_) => Err(WorldError::NotProgrammed),
    }
}

fn is_programmed(route: &DynamicObject) -> bool {
    let conditions = route.data.pointer("/status/conditions").and_then(Value::as_array);
    conditions.is_some_and(|conditions| {
        conditions.iter().any(|condition| {
            condition["type"] == PROGRAMMED
                && condition["status"] == "True"
                && condition["observedGeneration"].as_i64() == route.metadata.generation
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn color_app_answers_behind_its_gateway() {
        let server = start_server(None, None).await.unwrap();
        assert_eq!(server.warnings(), Vec::<String>::new());
        let app = ColorApp::start(server.client().unwrap(), server.clock()).await.unwrap();
        app.set_error_share("v1", 0.0);
        let client: hyper_util::client::legacy::Client<_, http_body_util::Empty<bytes::Bytes>> =
            hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build_http();
        let answer = client.get(app.url().parse().unwrap()).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["x-app-version"], "v1");
        // A second start finds everything there.
        drop(app);
        ColorApp::start(server.client().unwrap(), server.clock()).await.unwrap();
    }
}
