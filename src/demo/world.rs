//! The world that the demo and the sandbox play in: an API server with the definitions of color-app, and color-app
//! itself, its versions as real HTTP servers behind a gateway that obeys the routes.

use std::{collections::BTreeMap, io, path::PathBuf, time::Duration};

use kube::{
    Api, Client, CustomResourceExt,
    api::DynamicObject,
    runtime::wait::{self, await_condition},
};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

#[cfg(feature = "gateway")]
use super::envoy::{Carrier, EnvoyError, Site, program::Wanted};
use super::{
    front::{Front, FrontError},
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
        serve::bind_loopback,
    },
};

/// The namespace of color-app.
pub const NAMESPACE: &str = "default";
/// The gateway in front of it.
pub(super) const GATEWAY: &str = "color-gateway";

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
    /// No Envoy carries the traffic.
    #[cfg(feature = "gateway")]
    #[error(transparent)]
    Envoy(#[from] EnvoyError),
    /// What is in front of color-app ended before it served the route.
    #[error("the gateway ended")]
    Front(#[source] FrontError),
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
    front: Front,
    backends: BTreeMap<&'static str, Backend>,
}

impl ColorApp {
    /// Applies color-app with this kind of route and starts its versions and its gateway; returns once the gateway
    /// serves the route.
    pub async fn start(client: Client, clock: Clock, routes: Routes) -> Result<Self, WorldError> {
        manifests::apply(&client, manifests::parse(routes.app())?).await?;
        let mut listeners = Vec::new();
        for (version, _) in VERSIONS {
            let listener = bind_loopback().await;
            listeners.push(listener.map_err(|source| WorldError::Listen { what: named(version), source })?);
        }
        let backends = start_backends(listeners)?;
        let endpoints = Endpoints::default();
        for (version, backend) in &backends {
            endpoints.set(&routes.service(version), None, vec![backend.address()])?;
        }
        let gateway = Gateway::start(GatewayConfig::default(), endpoints, clock)
            .await
            .map_err(|source| WorldError::Listen { what: "the gateway".to_owned(), source })?;
        let reference = GatewayRef {
            name: GATEWAY.to_owned(),
            namespace: NAMESPACE.to_owned(),
            // There is no webhook to fill the gateway in, and no other gateway that could be meant.
            takes_unclaimed: true,
        };
        let programmer = Programmer::new(client.clone(), clock, reference, vec![gateway.table()]);
        let stop = CancellationToken::new();
        tokio::spawn(programmer.run(stop.clone()));
        let front = Front::Sandbox { gateway, _programmer: stop.drop_guard() };
        Self { routes, front, backends }.served(client).await
    }

    /// The same with an Envoy for a gateway.
    #[cfg(feature = "gateway")]
    pub(super) async fn start_behind(
        wanted: &Wanted,
        client: Client,
        routes: Routes,
    ) -> Result<Self, WorldError> {
        let (site, listeners) = Site::choose(wanted, routes, &VERSIONS.map(|(version, _)| version)).await?;
        let objects = manifests::parse(routes.app())?;
        manifests::apply(&client, objects.into_iter().map(|object| site.place(object))).await?;
        let backends = start_backends(listeners)?;
        let front = Front::Envoy(Box::new(Carrier::start(client.clone(), site)?));
        Self { routes, front, backends }.served(client).await
    }

    /// The same once its gateway says that it serves the route.
    async fn served(mut self, client: Client) -> Result<Self, WorldError> {
        tokio::select! {
            served = programmed(client, self.routes) => served?,
            ended = self.front.ended() => return Err(WorldError::Front(ended)),
        }
        Ok(self)
    }

    /// Creates what a manifest has, as it has to be here.
    pub(super) async fn apply(&self, client: &Client, manifest: &str) -> Result<(), ManifestError> {
        let objects = manifests::parse(manifest)?;
        manifests::apply(client, objects.into_iter().map(|object| self.front.place(object))).await
    }

    /// The kind of route in front of it.
    pub fn routes(&self) -> Routes {
        self.routes
    }

    /// Where clients ask for a colour.
    pub fn url(&self) -> String {
        format!("http://{}{}", self.front.address(), self.routes.path())
    }

    /// Where the gateway's counters are.
    pub fn stats_url(&self) -> String {
        self.front.stats_url()
    }

    /// What is in front of it.
    pub(super) fn front(&self) -> &Front {
        &self.front
    }

    /// Waits until nothing is in front of it any more, and says why; for ever, as it should be.
    pub(super) async fn ended(&mut self) -> FrontError {
        self.front.ended().await
    }

    /// Ends it, and waits until it has.
    pub(super) async fn end(self) {
        self.front.end().await;
    }

    /// Changes the share of failed requests of a version, from 0 to 1. An unknown version has none.
    pub fn set_error_share(&self, version: &str, error_share: f64) {
        if let Some(backend) = self.backends.get(version) {
            backend.set_faults(Faults { error_share, ..backend.faults() });
        }
    }
}

/// Starts all versions, each on its listener.
fn start_backends(
    listeners: impl IntoIterator<Item = TcpListener>,
) -> Result<BTreeMap<&'static str, Backend>, WorldError> {
    let mut backends = BTreeMap::new();
    for ((seed, (version, colour)), listener) in (1..).zip(VERSIONS).zip(listeners) {
        let backend = Backend::start_on(listener, version, colour, seed)
            .map_err(|source| WorldError::Listen { what: named(version), source })?;
        backend.set_faults(Faults {
            error_share: USUAL_ERRORS,
            latency: Latency::Exponential(USUAL_LATENCY),
            down: false,
        });
        backends.insert(version, backend);
    }
    Ok(backends)
}

/// A version, for people.
fn named(version: &str) -> String {
    format!("color-app {version}")
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
