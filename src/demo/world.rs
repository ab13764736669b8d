//! The world that the demo and the sandbox play in: an API server with the definitions of color-app, and color-app
//! itself, its versions as real HTTP servers behind a gateway that obeys the routes.

use std::{collections::BTreeMap, io, path::PathBuf, time::Duration};

use kube::{
    Api, Client, CustomResourceExt,
    api::DynamicObject,
    runtime::wait::{self, await_condition},
};
use serde_json::Value;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    manifests::{self, ManifestError},
    routes::Routes,
};
use crate::{
    api::{
        AnalysisTemplate, Rollout,
        gateway_route_crd::{GatewayRouteCrdError, gateway_route_crd},
    },
    clock::Clock,
    dataplane::GatewayRef,
    sandbox::{
        apiserver::{ApiServer, Options, StartError},
        backends::{Backend, Faults, Latency},
        gateway::{Endpoints, Gateway, GatewayConfig, NotLoopback},
        programmer::{self, Programmer},
    },
};

/// The namespace of color-app.
pub const NAMESPACE: &str = "default";

/// App Mesh's and the Gateway API's definitions of the kinds in color-app, byte for byte; the `README.md` beside them
/// tells their origin.
const DEFINITIONS: [&str; 8] = [
    include_str!("aws/appmesh.k8s.aws_meshes.yaml"),
    include_str!("aws/appmesh.k8s.aws_virtualgateways.yaml"),
    include_str!("aws/appmesh.k8s.aws_virtualnodes.yaml"),
    include_str!("aws/appmesh.k8s.aws_virtualrouters.yaml"),
    include_str!("aws/appmesh.k8s.aws_virtualservices.yaml"),
    include_str!("gateway-api/gateway.networking.k8s.io_gateways.yaml"),
    include_str!("gateway-api/gateway.networking.k8s.io_grpcroutes.yaml"),
    include_str!("gateway-api/gateway.networking.k8s.io_httproutes.yaml"),
];

/// The versions that run, listed in a route or not, with what they answer.
const VERSIONS: [(&str, &str); 3] = [("v1", "blue"), ("v2", "green"), ("v3", "red")];
/// Usual time of an answer: enough to look like a service, far below any latency goal.
const USUAL_LATENCY: Duration = Duration::from_millis(3);
/// Usual share of failed requests: no service is without.
pub(super) const USUAL_ERRORS: f64 = 0.001;
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
    /// A definition cannot be parsed.
    #[error("cannot parse a definition of App Mesh or of the Gateway API")]
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
    #[error("cannot watch the route {route}")]
    Watch {
        /// Its name.
        route: &'static str,
        /// What went wrong.
        source: Box<wait::Error>,
    },
    /// The gateway did not take the route up.
    #[error("the gateway did not serve the route {route} within {} s", PROGRAM_LIMIT.as_secs())]
    NotProgrammed {
        /// Its name.
        route: &'static str,
    },
}

/// Starts an API server that knows all kinds of color-app, and the Rollout.
pub async fn start_server(port: Option<u16>, data: Option<PathBuf>) -> Result<ApiServer, WorldError> {
    Ok(ApiServer::start(Options { port, data, crds: definitions()? }).await?)
}

/// The definitions of the Rollout, and of all kinds that a route is or leads through.
pub fn definitions() -> Result<Vec<Value>, WorldError> {
    let ours = |crd| serde_json::to_value(crd).map_err(WorldError::Rollout);
    let mut crds = vec![ours(Rollout::crd())?, ours(AnalysisTemplate::crd())?, gateway_route_crd()?];
    for definition in DEFINITIONS {
        let definition: Value =
            serde_saphyr::from_str(definition).map_err(|source| WorldError::Definition(Box::new(source)))?;
        crds.push(definition);
    }
    Ok(crds)
}

/// color-app behind its gateway; dropping it ends it. Its objects stay on the API server.
pub struct ColorApp {
    routes: Routes,
    gateway: Gateway,
    backends: BTreeMap<&'static str, Backend>,
    _programmer: DropGuard,
}

impl ColorApp {
    /// Applies color-app with this kind of route and starts its versions and its gateway; returns once the gateway
    /// serves the route.
    pub async fn start(client: Client, clock: Clock, routes: Routes) -> Result<Self, WorldError> {
        manifests::apply(&client, routes.app()).await?;
        let endpoints = Endpoints::default();
        let mut backends = BTreeMap::new();
        for (seed, (version, colour)) in (1..).zip(VERSIONS) {
            let backend = start_backend(version, colour, seed).await?;
            endpoints.set(&routes.service(version), None, vec![backend.address()])?;
            backends.insert(version, backend);
        }
        let gateway = Gateway::start(GatewayConfig::default(), endpoints, clock)
            .await
            .map_err(|source| WorldError::Listen { what: "the gateway".to_owned(), source })?;
        let reference = GatewayRef {
            name: "color-gateway".to_owned(),
            namespace: NAMESPACE.to_owned(),
            // There is no webhook to fill the gateway in, and no other gateway that could be meant.
            takes_unclaimed: true,
        };
        let programmer = Programmer::new(client.clone(), clock, reference, vec![gateway.table()]);
        let stop = CancellationToken::new();
        tokio::spawn(programmer.run(stop.clone()));
        let app = Self { routes, gateway, backends, _programmer: stop.drop_guard() };
        programmed(client, routes).await?;
        Ok(app)
    }

    /// The kind of route in front of it.
    pub fn routes(&self) -> Routes {
        self.routes
    }

    /// Where clients ask for a colour.
    pub fn url(&self) -> String {
        format!("http://{}{}", self.gateway.address(), self.routes.path())
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

/// Waits until the gateway says that it serves the route.
async fn programmed(client: Client, routes: Routes) -> Result<(), WorldError> {
    let (route, kind) = (routes.name(), routes.kind());
    let api: Api<DynamicObject> = Api::namespaced_with(client, NAMESPACE, &routes.resource());
    let served =
        |route: Option<&DynamicObject>| route.is_some_and(|route| programmer::in_effect(kind, route));
    match tokio::time::timeout(PROGRAM_LIMIT, await_condition(api, route, served)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(source)) => Err(WorldError::Watch { route, source: Box::new(source) }),
        Err(_) => Err(WorldError::NotProgrammed { route }),
    }
}

#[cfg(test)]
mod tests;
