//! The examples for Argo CD and Flux, over the route that they are for.

use std::fs;

use serde_json::{Value, json};

use super::asking::{ARGO_CD, FLUX};

/// The document of a kind in an example.
fn document(file: &str, kind: &str) -> Value {
    let text = fs::read_to_string(format!("examples/{file}")).unwrap();
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
    documents.into_iter().find(|document| document["kind"] == kind).unwrap()
}

/// The route in Git, and as a run leaves it.
fn routes() -> [Value; 2] {
    let git = document("http-route/color.yaml", "HTTPRoute");
    let mut live = git.clone();
    live["spec"]["rules"][0]["backendRefs"][0]["weight"] = json!(0);
    live["spec"]["rules"][0]["backendRefs"][1]["weight"] = json!(100);
    [git, live]
}

#[test]
fn the_application_leaves_the_weights_alone() {
    if !ARGO_CD.is_there() {
        return;
    }
    let application = document("argo-cd/application.yaml", "Application");
    let [git, live] = routes();
    let question = json!({ "application": application, "live": live, "target": git });
    let answer = ARGO_CD.answers(&[question]).remove(0);
    assert_eq!(answer["inSync"], json!(true));
    assert_eq!(answer["applied"]["spec"], live["spec"]);
}

#[test]
fn the_kustomization_leaves_the_weights_alone() {
    if !FLUX.is_there() {
        return;
    }
    let kustomization = document("flux/kustomization.yaml", "Kustomization");
    let questions = routes().map(|route| json!({ "kustomization": kustomization, "object": route }));
    let answers = FLUX.answers(&questions);
    assert_eq!(answers[0]["left"], answers[1]["left"]);
}
