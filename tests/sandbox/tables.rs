//! Tables and the other forms, and discovery.

use kube::api::PostParams;
use kube::discovery::{Discovery, Scope};
use serde_json::{Value, json};

use crate::support::{get, raw, server, widget, widgets};

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

#[tokio::test]
async fn tables_of_custom_and_built_in_kinds() {
    let server = server().await;
    let api = widgets(&server);
    api.create(&PostParams::default(), &widget("a", json!({"color": "red", "replicas": 2}))).await.unwrap();
    let path = "/apis/test.dev/v1/namespaces/default/widgets";
    let (_, table) = raw(&server, get(path, TABLE)).await;
    assert_eq!(table["kind"], "Table");
    let names: Vec<&Value> =
        table["columnDefinitions"].as_array().unwrap().iter().map(|column| &column["name"]).collect();
    assert_eq!(names, ["Name", "Color", "Replicas", "Age"]);
    let cells = table["rows"][0]["cells"].as_array().unwrap();
    assert_eq!(cells[..3], [json!("a"), json!("red"), json!(2)]);
    assert!(cells[3].as_str().unwrap().ends_with('s'));
    assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    let (_, table) = raw(&server, get(&format!("{path}/a?includeObject=Object"), TABLE)).await;
    assert_eq!(table["rows"][0]["object"]["spec"]["color"], "red");
    let (_, table) = raw(&server, get("/api/v1/namespaces", TABLE)).await;
    assert_eq!(table["rows"][0]["cells"].as_array().unwrap()[..2], [json!("default"), json!("Active")]);
    assert_eq!(raw(&server, get(path, "application/vnd.kubernetes.protobuf")).await.0, 406);
    let metadata = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
    let (_, list) = raw(&server, get(path, metadata)).await;
    assert_eq!((&list["kind"], list["items"][0].get("spec")), (&json!("PartialObjectMetadataList"), None));
}

#[tokio::test]
async fn discovery_in_both_forms() {
    let server = server().await;
    let client = server.client().unwrap();
    for discovery in [
        Discovery::new(client.clone()).run().await.unwrap(),
        Discovery::new(client).run_aggregated().await.unwrap(),
    ] {
        let groups: Vec<&str> = discovery.groups().map(kube::discovery::ApiGroup::name).collect();
        assert!(groups.contains(&"appmesh.k8s.aws"), "{groups:?}");
        let group = discovery.get("test.dev").unwrap();
        let (resource, capabilities) = group.recommended_kind("Widget").unwrap();
        assert_eq!((resource.plural.as_str(), capabilities.scope), ("widgets", Scope::Namespaced));
    }
    let (_, index) = raw(&server, get("/openapi/v3", "*/*")).await;
    let url = index["paths"]["apis/test.dev/v1"]["serverRelativeURL"].as_str().unwrap().to_owned();
    let (_, document) = raw(&server, get(&url, "*/*")).await;
    let patch = &document["paths"]["/apis/test.dev/v1/namespaces/{namespace}/widgets/{name}"]["patch"];
    assert_eq!(patch["x-kubernetes-group-version-kind"]["kind"], "Widget");
    assert!(patch["parameters"].as_array().unwrap().iter().any(|one| one["name"] == "fieldValidation"));
    let (_, document) = raw(&server, get("/openapi/v3/apis/apps/v1", "*/*")).await;
    let schemas = document["components"]["schemas"].as_object().unwrap();
    assert!(schemas.contains_key("io.k8s.api.core.v1.PodSpec"));
    let text = document.to_string();
    for reference in text.split("#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name} is referred to and absent");
    }
}
