//! Flux: what its rule leaves out, and what its own code does to routes in a real cluster.

use serde_json::{Value, json};
use tidegate::api::{Phase, RouteKind};

use super::{
    asking::FLUX,
    doc,
    routes::{MidRun, SHAPES, live, to_a_new_version},
    weights::undisturbed,
};
use crate::{cluster::Cluster, objects::ROLLOUT, server::is_real, skip::skip};

/// A Kustomization with one rule for the route.
fn ignoring(kind: &str, pointer: &str) -> Value {
    json!({ "spec": { "interval": "10m", "ignore": [{ "target": { "kind": kind, "name": "color" }, "paths": [pointer] }] } })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rule_hides_the_list_and_nothing_else() {
    if !FLUX.is_there() {
        return;
    }
    for shape in SHAPES {
        let MidRun { before, live, cluster, .. } = shape.mid_run().await;
        drop(cluster);
        let mut edited = before.clone();
        shape.edit(&mut edited);
        let (_, pointer) = shape.paths();
        assert_eq!(pointer, shape.list, "{}: the pointer is that of the list", shape.row);
        for kustomization in [doc::yaml("kustomization"), ignoring(shape.kind.word(), &pointer)] {
            let question = |object: &Value| json!({ "kustomization": kustomization, "object": object });
            let left = FLUX.answers(&[&before, &live, &edited].map(question));
            let [before, live, edited] = [0, 1, 2].map(|at: usize| &left[at]["left"]["spec"]);
            assert_eq!(before, live, "{}", shape.row);
            assert_ne!(edited, live, "{}: the rule hides more than the list", shape.row);
        }
        assert_ne!(before["spec"], live["spec"], "{}: the list is a difference", shape.row);
    }
}

/// Has Flux apply a manifest in a cluster, and tells what it did.
fn apply(cluster: &Cluster, kustomization: &Value, manifest: &Value) -> String {
    let mut object = manifest.clone();
    object["metadata"]["namespace"] = json!(cluster.namespace);
    let kubeconfig = cluster.file("admin", &cluster.server.kubeconfig());
    let question = json!({ "kustomization": kustomization, "object": object, "apply": true });
    FLUX.answers_on(&kubeconfig, &[question])[0]["action"].as_str().unwrap().to_owned()
}

fn is_possible() -> bool {
    if !is_real() {
        skip("the sandbox does not serve server-side apply; tests/cluster does");
    }
    is_real() && FLUX.is_there()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_rule_it_leaves_the_list_and_brings_the_rest() {
    if !is_possible() {
        return;
    }
    for shape in SHAPES {
        let rule = doc::yaml("kustomization");
        let mut cluster = Cluster::empty().await;
        cluster.kind = shape.kind;
        let mut git = shape.manifest();
        assert_eq!(apply(&cluster, &rule, &git), "created", "{}", shape.row);
        cluster.create_way_to("color").await;
        cluster.run_controller();
        to_a_new_version(&cluster).await;
        let list = |route: &Value| route.pointer(shape.list).cloned().unwrap();
        let stepped = list(&live(&cluster).await);
        assert_eq!(apply(&cluster, &rule, &git), "unchanged", "{}", shape.row);
        shape.edit_outside(&mut git);
        assert_eq!(apply(&cluster, &rule, &git), "configured", "{}", shape.row);
        // A changed match of a rule without a name would be another rule to the run; it waits for its end.
        assert_eq!(list(&live(&cluster).await), stepped, "{}", shape.row);
        cluster.ask("promote-full").await;
        cluster.phase(Phase::Healthy).await;
        let promoted = list(&live(&cluster).await);
        shape.edit(&mut git);
        assert_eq!(apply(&cluster, &rule, &git), "configured", "{}", shape.row);
        let after = live(&cluster).await;
        assert!(shape.is_edited(&after), "{}: the edit is brought", shape.row);
        assert_eq!(list(&after), promoted, "{}", shape.row);
        assert_eq!(apply(&cluster, &rule, &git), "unchanged", "{}", shape.row);
        undisturbed(&cluster).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_needs_no_rule() {
    if !is_possible() {
        return;
    }
    let cluster = Cluster::start().await;
    let nothing = json!({ "spec": { "interval": "10m" } });
    let git: Value = serde_saphyr::from_str(&ROLLOUT.replace("hold: 1s", "hold: 5m")).unwrap();
    assert_eq!(apply(&cluster, &nothing, &git), "created");
    cluster.at(10).await;
    assert_eq!(apply(&cluster, &nothing, &git), "unchanged");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_an_annotation_it_never_touches_a_route_that_is_there() {
    if !is_possible() {
        return;
    }
    let nothing = json!({ "spec": { "interval": "10m" } });
    let [shape, ..] = SHAPES;
    for (annotated, first) in [(doc::yaml("if-not-present"), "created"), (doc::yaml("disabled"), "skipped")] {
        let cluster = Cluster::empty().await;
        let mut git = shape.manifest();
        git["metadata"]["annotations"] = annotated["metadata"]["annotations"].clone();
        assert_eq!(apply(&cluster, &nothing, &git), first);
        if first == "skipped" {
            assert!(cluster.routes().get_opt("color").await.unwrap().is_none());
            cluster.create(git.clone()).await;
        }
        shape.edit(&mut git);
        assert_eq!(apply(&cluster, &nothing, &git), "skipped");
        assert!(!shape.is_edited(&live(&cluster).await));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_put_before_others_gets_their_list() {
    if !is_possible() {
        return;
    }
    let shape = SHAPES.into_iter().find(|shape| shape.kind == RouteKind::HttpRoute).unwrap();
    let rule = doc::yaml("kustomization");
    let mut cluster = Cluster::empty().await;
    cluster.kind = shape.kind;
    let mut git = shape.manifest();
    apply(&cluster, &rule, &git);
    let stepped = live(&cluster).await.pointer(shape.list).cloned().unwrap();
    let mut new = git["spec"]["rules"][0].clone();
    new["name"] = json!("new");
    new["matches"][0]["path"]["value"] = json!("/new");
    new["backendRefs"] = json!([{ "name": "new", "port": 80 }]);
    git["spec"]["rules"].as_array_mut().unwrap().insert(0, new);
    assert_eq!(apply(&cluster, &rule, &git), "configured");
    let after = live(&cluster).await;
    assert_eq!(after["spec"]["rules"][0]["name"], json!("new"));
    assert_eq!(after.pointer(shape.list), Some(&stepped));
}

#[test]
fn health_checks_are_what_kustomizations_have() {
    if !FLUX.is_there() {
        return;
    }
    let mut kustomization = doc::yaml("kustomization");
    let checks = doc::yaml("kustomization-health");
    for (field, value) in checks["spec"].as_object().unwrap() {
        kustomization["spec"][field] = value.clone();
    }
    let object = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "any" } });
    // A field that Flux does not know is refused.
    FLUX.answers(&[json!({ "kustomization": kustomization, "object": object })]);
}
