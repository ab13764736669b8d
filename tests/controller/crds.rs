//! The CRDs of the server under test: the usual ones, others, or none.

use std::sync::LazyLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client, CustomResourceExt,
    api::{DeleteParams, PostParams},
};
use serde_json::{Value, json};
use tidegate::api::{AnalysisTemplate, Rollout, gateway_route_crd::gateway_route_crd};

use crate::{server::unique, waiting::eventually};

/// The CRDs that a test wants; `None` for one that is not installed.
#[derive(Clone, Debug, PartialEq)]
pub struct Crds {
    pub rollouts: Option<Value>,
    pub analysis_templates: Option<Value>,
    pub gateway_routes: Option<Value>,
    pub virtual_routers: Option<Value>,
    pub virtual_services: Option<Value>,
    pub virtual_gateways: Option<Value>,
    pub virtual_nodes: Option<Value>,
    pub http_routes: Option<Value>,
    pub grpc_routes: Option<Value>,
}

/// The others' definitions, byte for byte; the folders' `README.md`s tell where they come from.
const VIRTUAL_ROUTERS: &str = include_str!("../data/appmesh/crds/appmesh.k8s.aws_virtualrouters.yaml");
const VIRTUAL_SERVICES: &str = include_str!("../data/appmesh/crds/appmesh.k8s.aws_virtualservices.yaml");
const VIRTUAL_GATEWAYS: &str = include_str!("../data/appmesh/crds/appmesh.k8s.aws_virtualgateways.yaml");
const VIRTUAL_NODES: &str = include_str!("../data/appmesh/crds/appmesh.k8s.aws_virtualnodes.yaml");
const HTTP_ROUTES: &str = include_str!("../data/gateway-api/crds/gateway.networking.k8s.io_httproutes.yaml");
const GRPC_ROUTES: &str = include_str!("../data/gateway-api/crds/gateway.networking.k8s.io_grpcroutes.yaml");

fn parsed(yaml: &str) -> Value {
    serde_saphyr::from_str(yaml).unwrap()
}

impl Default for Crds {
    fn default() -> Self {
        static USUAL: LazyLock<Crds> = LazyLock::new(Crds::usual);
        USUAL.clone()
    }
}

impl Crds {
    fn usual() -> Self {
        Self {
            rollouts: Some(serde_json::to_value(Rollout::crd()).unwrap()),
            analysis_templates: Some(serde_json::to_value(AnalysisTemplate::crd()).unwrap()),
            gateway_routes: Some(gateway_route_crd().unwrap()),
            virtual_routers: Some(parsed(VIRTUAL_ROUTERS)),
            virtual_services: Some(parsed(VIRTUAL_SERVICES)),
            virtual_gateways: Some(parsed(VIRTUAL_GATEWAYS)),
            virtual_nodes: Some(parsed(VIRTUAL_NODES)),
            http_routes: Some(parsed(HTTP_ROUTES)),
            grpc_routes: Some(parsed(GRPC_ROUTES)),
        }
    }

    /// Each CRD's name, the group and version that it serves, and itself.
    pub fn each(&self) -> [(&'static str, &'static str, Option<&Value>); 9] {
        let gateway_api = "gateway.networking.k8s.io/v1";
        [
            ("rollouts.tidegate.dev", "tidegate.dev/v1alpha1", self.rollouts.as_ref()),
            ("analysistemplates.tidegate.dev", "tidegate.dev/v1alpha1", self.analysis_templates.as_ref()),
            ("gatewayroutes.appmesh.k8s.aws", "appmesh.k8s.aws/v1beta2", self.gateway_routes.as_ref()),
            ("virtualrouters.appmesh.k8s.aws", "appmesh.k8s.aws/v1beta2", self.virtual_routers.as_ref()),
            ("virtualservices.appmesh.k8s.aws", "appmesh.k8s.aws/v1beta2", self.virtual_services.as_ref()),
            ("virtualgateways.appmesh.k8s.aws", "appmesh.k8s.aws/v1beta2", self.virtual_gateways.as_ref()),
            ("virtualnodes.appmesh.k8s.aws", "appmesh.k8s.aws/v1beta2", self.virtual_nodes.as_ref()),
            ("httproutes.gateway.networking.k8s.io", gateway_api, self.http_routes.as_ref()),
            ("grpcroutes.gateway.networking.k8s.io", gateway_api, self.grpc_routes.as_ref()),
        ]
    }
}

/// Makes the server have these CRDs and no others of ours.
pub async fn install(client: &Client, crds: &Crds) {
    for (name, version, crd) in crds.each() {
        match crd {
            Some(crd) => put(client, name, version, crd).await,
            None => remove(client, name, version).await,
        }
    }
}

/// Creates or replaces a CRD, and waits until the API server serves just this one.
async fn put(client: &Client, name: &str, version: &str, crd: &Value) {
    let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
    let mut crd = crd.clone();
    let marker = format!("Served for {}", unique());
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["description"] = json!(marker);
    let mut crd: CustomResourceDefinition = serde_json::from_value(crd).unwrap();
    match crds.get_opt(name).await.unwrap() {
        None => drop(crds.create(&PostParams::default(), &crd).await.unwrap()),
        Some(old) => {
            crd.metadata.resource_version = old.metadata.resource_version;
            crds.replace(name, &PostParams::default(), &crd).await.unwrap();
        }
    }
    let shown = || async {
        let path = format!("/openapi/v3/apis/{version}");
        client.request_text(http::Request::get(path).body(Vec::new()).unwrap()).await.unwrap_or_default()
    };
    eventually("the CRD is served", || async { shown().await.contains(&marker) }, |shown| *shown).await;
}

/// Deletes a CRD and everything of its kind.
async fn remove(client: &Client, name: &str, version: &str) {
    let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
    if crds.get_opt(name).await.unwrap().is_some() {
        crds.delete(name, &DeleteParams::default()).await.unwrap();
    }
    let gone = || async { crds.get_opt(name).await.unwrap().is_none() };
    eventually("the CRD is gone", gone, |gone| *gone).await;
    let (plural, _) = name.split_once('.').unwrap();
    let served = || async {
        let path = format!("/apis/{version}/{plural}");
        let answer = client.request_text(http::Request::get(path).body(Vec::new()).unwrap()).await;
        matches!(answer, Err(kube::Error::Api(status)) if status.code == 404)
    };
    eventually("the kind is no longer served", served, |gone| *gone).await;
}
