//! What the tests share: a server with a small definition and App Mesh's, and typed-enough access to it.

use std::path::Path;

use http::{Request, StatusCode};
use kube::api::{Api, ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};
use tidegate::sandbox::apiserver::{ApiServer, Options};

/// A definition with everything that the server treats specially.
pub fn widget_definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.test.dev"},
        "spec": {
            "group": "test.dev", "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["wd"], "categories": ["tidegate"]},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "subresources": {
                    "status": {},
                    "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"},
                },
                "selectableFields": [{"jsonPath": ".spec.color"}],
                "additionalPrinterColumns": [
                    {"name": "Color", "type": "string", "jsonPath": ".spec.color"},
                    {"name": "Replicas", "type": "integer", "jsonPath": ".spec.replicas", "priority": 1},
                    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
                ],
                "schema": {"openAPIV3Schema": {
                    "type": "object", "description": "A Widget is for tests.",
                    "properties": {
                        "spec": {"type": "object", "properties": {
                            "color": {"type": "string", "description": "Its color."},
                            "replicas": {"type": "integer", "minimum": 0},
                            "weights": {"type": "array", "items": {"type": "integer"}},
                        }},
                        "status": {"type": "object", "properties": {
                            "phase": {"type": "string"}, "replicas": {"type": "integer"},
                        }},
                    },
                }},
            }],
        },
    })
}

/// One of the App Mesh definitions in the test data.
pub fn app_mesh_definition(plural: &str) -> Value {
    let file = format!("tests/data/appmesh/crds/appmesh.k8s.aws_{plural}.yaml");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// A server with all definitions of the tests.
pub async fn server() -> ApiServer {
    let crds = ["gatewayroutes", "virtualrouters", "meshes"].map(app_mesh_definition);
    let crds = crds.into_iter().chain([widget_definition()]).collect();
    ApiServer::start(Options { crds, ..Options::default() }).await.unwrap()
}

pub fn widgets_resource() -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("test.dev", "v1", "Widget"), "widgets")
}

pub fn widgets(server: &ApiServer) -> Api<DynamicObject> {
    Api::namespaced_with(server.client().unwrap(), "default", &widgets_resource())
}

pub fn widget(name: &str, spec: Value) -> DynamicObject {
    DynamicObject::new(name, &widgets_resource()).data(json!({"spec": spec}))
}

/// The code, reason and causes of a refusal.
pub fn refusal<T: std::fmt::Debug>(result: Result<T, kube::Error>) -> (u16, String, usize) {
    match result.unwrap_err() {
        kube::Error::Api(status) => {
            let causes = status.details.as_ref().map_or(0, |details| details.causes.len());
            (status.code, status.reason.clone(), causes)
        }
        other => panic!("not a refusal: {other:?}"),
    }
}

/// A raw request with any headers.
pub async fn raw(server: &ApiServer, request: Request<Vec<u8>>) -> (StatusCode, Value) {
    let response = server.client().unwrap().send(request.map(kube::client::Body::from)).await.unwrap();
    let status = response.status();
    let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
    (
        status,
        serde_json::from_slice(&body).unwrap_or_else(|_| String::from_utf8_lossy(&body).into_owned().into()),
    )
}

pub fn get(path: &str, accept: &str) -> Request<Vec<u8>> {
    Request::get(path).header("accept", accept).body(Vec::new()).unwrap()
}
