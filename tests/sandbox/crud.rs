//! Create, read, update, delete, and what happens around them.

use http::Request;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus, ReplicaSet, StatefulSet, StatefulSetStatus};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::runtime::wait::await_condition;
use serde_json::{Value, json};
use tidegate::sandbox::apiserver::{ApiServer, Options, READY_ANNOTATION, pod_template_hash};

use crate::support::{raw, refusal, server, widget, widget_definition, widgets};

fn config_map(value: Value) -> ConfigMap {
    serde_json::from_value(value).unwrap()
}

#[tokio::test]
async fn refusals_have_the_codes_of_a_real_server() {
    let server = server().await;
    let api = widgets(&server);
    assert_eq!(refusal(api.get("absent").await), (404, "NotFound".into(), 0));
    assert_eq!(refusal(api.delete("absent", &DeleteParams::default()).await).0, 404);
    api.create(&PostParams::default(), &widget("a", json!({"color": "red"}))).await.unwrap();
    let again = api.create(&PostParams::default(), &widget("a", json!({}))).await;
    assert_eq!(refusal(again), (409, "AlreadyExists".into(), 0));
    let misnamed = api.create(&PostParams::default(), &widget("Not_A_Name", json!({}))).await;
    assert_eq!(refusal(misnamed), (422, "Invalid".into(), 1));
    let mut stale = api.get("a").await.unwrap();
    stale.metadata.resource_version = Some("1".into());
    let replaced = api.replace("a", &PostParams::default(), &stale).await;
    assert_eq!(refusal(replaced), (409, "Conflict".into(), 0));
    stale.metadata.resource_version = None;
    assert_eq!(refusal(api.replace("a", &PostParams::default(), &stale).await).0, 422);
    let wrong = DeleteParams {
        preconditions: Some(Preconditions { uid: Some("other".into()), resource_version: None }),
        ..DeleteParams::default()
    };
    assert_eq!(refusal(api.delete("a", &wrong).await), (409, "Conflict".into(), 0));
    let nowhere: Api<ConfigMap> = Api::namespaced(server.client().unwrap(), "nowhere");
    let homeless =
        nowhere.create(&PostParams::default(), &config_map(json!({"metadata": {"name": "x"}}))).await;
    assert_eq!(refusal(homeless), (404, "NotFound".into(), 0));
}

#[tokio::test]
async fn what_is_not_served_says_so() {
    let server = server().await;
    let collection = "/api/v1/namespaces/default/configmaps";
    for (method, path, content_type, want) in [
        ("POST", collection, "application/vnd.kubernetes.protobuf", 415),
        ("POST", collection, "application/yaml", 415),
        ("PATCH", "/api/v1/namespaces/default", "application/apply-patch+yaml", 415),
        ("GET", "/api/v1/namespaces/default/pods/x/log", "", 501),
        ("GET", "/apis/apps/v1/daemonsets", "", 501),
        ("GET", "/apis/autoscaling/v1/horizontalpodautoscalers", "", 501),
        ("GET", "/api/v1/namespaces/default/pods/x/nonsense", "", 404),
        ("POST", "/api/v1/configmaps", "application/json", 405),
    ] {
        let request = Request::builder().method(method).uri(path).header("content-type", content_type);
        let (status, body) = raw(&server, request.body(b"{}".to_vec()).unwrap()).await;
        assert_eq!(status.as_u16(), want, "{method} {path}: {body}");
        assert_eq!(body["kind"], "Status");
        assert!(!body["message"].as_str().unwrap().is_empty());
    }
}

#[tokio::test]
async fn generation_counts_changes_of_the_desired_state_only() {
    let server = server().await;
    let api = widgets(&server);
    let patch = |value: Value| {
        let api = api.clone();
        async move { api.patch("a", &PatchParams::default(), &Patch::Merge(value)).await.unwrap() }
    };
    let made = api.create(&PostParams::default(), &widget("a", json!({"color": "red"}))).await.unwrap();
    assert_eq!(made.metadata.generation, Some(1));
    assert!(made.metadata.uid.is_some() && made.metadata.creation_timestamp.is_some());
    let labelled = patch(json!({"metadata": {"labels": {"a": "b"}}})).await;
    assert_eq!(labelled.metadata.generation, Some(1));
    assert_ne!(labelled.metadata.resource_version, made.metadata.resource_version);
    let same = patch(json!({"metadata": {"labels": {"a": "b"}}})).await;
    assert_eq!(same.metadata.resource_version, labelled.metadata.resource_version);
    let changed = patch(json!({"spec": {"color": "blue"}, "status": {"phase": "ignored"}})).await;
    assert_eq!(changed.metadata.generation, Some(2));
    assert!(changed.data.get("status").is_none());
    let status = json!({"spec": {"color": "ignored"}, "status": {"phase": "Ready"}});
    let told = api.patch_status("a", &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
    assert_eq!((told.metadata.generation, &told.data["spec"]["color"]), (Some(2), &json!("blue")));
    assert_eq!(told.data["status"]["phase"], "Ready");
}

#[tokio::test]
async fn finalizers_hold_and_owners_take_their_dependants_along() {
    let server = server().await;
    let api = widgets(&server);
    let mut held = widget("held", json!({}));
    held.metadata.finalizers = Some(vec!["test.dev/hold".into()]);
    let held = api.create(&PostParams::default(), &held).await.unwrap();
    let owner = json!([{
        "apiVersion": "test.dev/v1", "kind": "Widget", "name": "held", "uid": held.metadata.uid,
    }]);
    let maps: Api<ConfigMap> = Api::default_namespaced(server.client().unwrap());
    let dependant = config_map(json!({"metadata": {"name": "dependant", "ownerReferences": owner}}));
    maps.create(&PostParams::default(), &dependant).await.unwrap();
    api.delete("held", &DeleteParams::default()).await.unwrap();
    assert!(api.get("held").await.unwrap().metadata.deletion_timestamp.is_some());
    assert!(maps.get_opt("dependant").await.unwrap().is_some());
    let release = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    api.patch("held", &PatchParams::default(), &release).await.unwrap();
    assert!(api.get_opt("held").await.unwrap().is_none());
    assert!(maps.get_opt("dependant").await.unwrap().is_none());
}

#[tokio::test]
async fn a_namespace_goes_with_its_contents_once_nothing_holds_them() {
    let server = server().await;
    let client = server.client().unwrap();
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespace = serde_json::from_value(json!({"metadata": {"name": "team"}})).unwrap();
    namespaces.create(&PostParams::default(), &namespace).await.unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(client, "team");
    let held = config_map(json!({"metadata": {"name": "held", "finalizers": ["test.dev/hold"]}}));
    maps.create(&PostParams::default(), &held).await.unwrap();
    maps.create(&PostParams::default(), &config_map(json!({"metadata": {"name": "free"}}))).await.unwrap();
    namespaces.delete("team", &DeleteParams::default()).await.unwrap();
    assert!(maps.get_opt("free").await.unwrap().is_none());
    let ending = namespaces.get("team").await.unwrap();
    assert_eq!(ending.status.unwrap().phase.as_deref(), Some("Terminating"));
    let late = maps.create(&PostParams::default(), &config_map(json!({"metadata": {"name": "late"}}))).await;
    assert_eq!(refusal(late), (403, "Forbidden".into(), 1));
    let release = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    maps.patch("held", &PatchParams::default(), &release).await.unwrap();
    assert!(namespaces.get_opt("team").await.unwrap().is_none());
}

#[tokio::test]
async fn lists_select_and_page_through_one_moment() {
    let server = server().await;
    let api = widgets(&server);
    for (name, color) in [("a", "red"), ("b", "blue"), ("c", "red")] {
        let mut one = widget(name, json!({"color": color}));
        one.metadata.labels = Some([("color".to_owned(), color.to_owned())].into());
        api.create(&PostParams::default(), &one).await.unwrap();
    }
    let names = |list: kube::api::ObjectList<kube::api::DynamicObject>| -> Vec<String> {
        list.items.into_iter().map(|item| item.metadata.name.unwrap()).collect()
    };
    let by = |params: ListParams| {
        let api = api.clone();
        async move { api.list(&params).await }
    };
    assert_eq!(names(by(ListParams::default().labels("color=red")).await.unwrap()), ["a", "c"]);
    assert_eq!(names(by(ListParams::default().fields("metadata.name=b")).await.unwrap()), ["b"]);
    assert_eq!(names(by(ListParams::default().fields("spec.color=blue")).await.unwrap()), ["b"]);
    assert_eq!(refusal(by(ListParams::default().fields("spec.other=1")).await).0, 400);
    let first = by(ListParams::default().limit(2)).await.unwrap();
    let token = first.metadata.continue_.clone().unwrap();
    assert_eq!(
        (names(first.clone()), first.metadata.remaining_item_count),
        (vec!["a".into(), "b".into()], Some(1))
    );
    api.create(&PostParams::default(), &widget("d", json!({}))).await.unwrap();
    let rest = by(ListParams::default().limit(2).continue_token(&token)).await.unwrap();
    assert_eq!(names(rest), ["c"], "what came later is not in the list that began earlier");
    server.compact();
    api.create(&PostParams::default(), &widget("e", json!({}))).await.unwrap();
    let expired = by(ListParams::default().limit(2).continue_token(&token)).await;
    assert_eq!(refusal(expired), (410, "Expired".into(), 0));
}

#[tokio::test]
async fn deployments_become_ready_as_far_as_they_may() {
    let server = server().await;
    let client = server.client().unwrap();
    let api: Api<Deployment> = Api::default_namespaced(client.clone());
    let template = json!({
        "metadata": {"labels": {"app": "color"}}, "spec": {"containers": [{"name": "c", "image": "color:1"}]},
    });
    let deployment: Deployment = serde_json::from_value(json!({
        "metadata": {"name": "color", "annotations": {READY_ANNOTATION: "0"}},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "color"}}, "template": template},
    }))
    .unwrap();
    api.create(&PostParams::default(), &deployment).await.unwrap();
    let ready = |wanted: i32| {
        move |seen: Option<&Deployment>| {
            let status = seen.and_then(|seen| seen.status.as_ref());
            // A real server leaves a count of none out.
            let found = |status: &DeploymentStatus| status.ready_replicas.unwrap_or_default();
            status.is_some_and(|status| status.observed_generation.is_some() && found(status) == wanted)
        }
    };
    await_condition(api.clone(), "color", ready(0)).await.unwrap();
    let free = Patch::Merge(json!({"metadata": {"annotations": {READY_ANNOTATION: null}}}));
    api.patch("color", &PatchParams::default(), &free).await.unwrap();
    await_condition(api.clone(), "color", ready(2)).await.unwrap();
    let sets: Api<ReplicaSet> = Api::default_namespaced(client);
    // The template as it is stored, with defaults.
    let stored = serde_json::to_value(api.get("color").await.unwrap()).unwrap();
    let hash = pod_template_hash(&stored["spec"]["template"]);
    let set = sets.get(&format!("color-{hash}")).await.unwrap();
    assert_eq!(set.metadata.labels.unwrap()["pod-template-hash"], hash);
    assert_eq!(set.metadata.annotations.unwrap()["deployment.kubernetes.io/revision"], "1");
    let scale = Patch::Merge(json!({"spec": {"replicas": 5}}));
    let scaled = api.patch_scale("color", &PatchParams::default(), &scale).await.unwrap();
    assert_eq!(scaled.spec.unwrap().replicas, Some(5));
    await_condition(api.clone(), "color", ready(5)).await.unwrap();
    assert_eq!(
        refusal(
            api.patch("color", &PatchParams::default(), &Patch::Merge(json!({"spec": {"replicas": "x"}})))
                .await
        )
        .0,
        422
    );
}

#[tokio::test]
async fn stateful_sets_become_ready_and_take_up_a_new_template_as_far_as_they_may() {
    let server = server().await;
    let api: Api<StatefulSet> = Api::default_namespaced(server.client().unwrap());
    let template = json!({
        "metadata": {"labels": {"app": "store"}}, "spec": {"containers": [{"name": "c", "image": "store:1"}]},
    });
    let set: StatefulSet = serde_json::from_value(json!({
        "metadata": {"name": "store", "annotations": {READY_ANNOTATION: "1"}},
        "spec": {
            "replicas": 3, "serviceName": "store", "selector": {"matchLabels": {"app": "store"}}, "template": template,
        },
    }))
    .unwrap();
    api.create(&PostParams::default(), &set).await.unwrap();
    // Ready, of the current revision, and of the newest one.
    let told = |wanted: [i32; 3]| {
        move |seen: Option<&StatefulSet>| {
            let Some((seen, status)) = seen.and_then(|seen| Some((seen, seen.status.as_ref()?))) else {
                return false;
            };
            let StatefulSetStatus { ready_replicas, current_replicas, updated_replicas, .. } = status;
            let counts = [ready_replicas, current_replicas, updated_replicas].map(|count| count.unwrap_or(0));
            status.observed_generation == seen.metadata.generation && counts == wanted
        }
    };
    let change = |change: Value| {
        let api = api.clone();
        async move { api.patch("store", &PatchParams::default(), &Patch::Merge(change)).await }
    };
    let revisions = |set: StatefulSet| {
        let status = set.status.unwrap();
        (status.current_revision.unwrap(), status.update_revision.unwrap())
    };
    await_condition(api.clone(), "store", told([1, 3, 3])).await.unwrap();
    let image = |image: &str| json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}});
    change(image("store:2")).await.unwrap();
    await_condition(api.clone(), "store", told([1, 0, 3])).await.unwrap();
    let (current, newest) = revisions(api.get("store").await.unwrap());
    assert_ne!(current, newest, "it is not the current one before all replicas are ready");
    change(json!({"metadata": {"annotations": {READY_ANNOTATION: null}}})).await.unwrap();
    await_condition(api.clone(), "store", told([3, 3, 3])).await.unwrap();
    assert_eq!(revisions(api.get("store").await.unwrap()), (newest.clone(), newest.clone()));
    change(json!({"spec": {"updateStrategy": {"rollingUpdate": {"partition": 2}}}})).await.unwrap();
    change(image("store:3")).await.unwrap();
    await_condition(api.clone(), "store", told([3, 2, 1])).await.unwrap();
    assert_eq!(revisions(api.get("store").await.unwrap()).0, newest);
    let scale = Patch::Merge(json!({"spec": {"replicas": 5}}));
    let scaled = api.patch_scale("store", &PatchParams::default(), &scale).await.unwrap();
    assert_eq!(scaled.spec.unwrap().replicas, Some(5));
    await_condition(api.clone(), "store", told([5, 2, 3])).await.unwrap();
    let immutable = json!({"spec": {"serviceName": "other", "selector": {"matchLabels": {"app": "other"}}}});
    // The selector is not what it was, nor does it select the template.
    assert_eq!(refusal(change(immutable).await), (422, "Invalid".into(), 3));
}

#[tokio::test]
async fn autoscalers_are_kept_and_nothing_scales() {
    let server = server().await;
    let api: Api<HorizontalPodAutoscaler> = Api::default_namespaced(server.client().unwrap());
    let scaler = |spec: Value| -> HorizontalPodAutoscaler {
        serde_json::from_value(json!({"metadata": {"name": "color"}, "spec": spec})).unwrap()
    };
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "color"});
    let made = scaler(json!({"scaleTargetRef": target, "maxReplicas": 3, "behavior": {"scaleDown": {}}}));
    let made = api.create(&PostParams::default(), &made).await.unwrap();
    let spec = serde_json::to_value(made.spec).unwrap();
    assert_eq!((&spec["minReplicas"], &spec["metrics"][0]["resource"]["name"]), (&json!(1), &json!("cpu")));
    assert_eq!(spec["behavior"]["scaleUp"]["policies"].as_array().unwrap().len(), 2);
    let status = Patch::Merge(json!({"spec": {"maxReplicas": 9}, "status": {"desiredReplicas": 2}}));
    let told = api.patch_status("color", &PatchParams::default(), &status).await.unwrap();
    assert_eq!((told.spec.unwrap().max_replicas, told.status.unwrap().desired_replicas), (3, 2));
    let says_so = |seen: Option<&HorizontalPodAutoscaler>| {
        let status = seen.and_then(|seen| seen.status.as_ref());
        let conditions = status.and_then(|status| status.conditions.as_ref()).into_iter().flatten();
        conditions.into_iter().any(|one| one.type_ == "AbleToScale" && one.status == "False")
    };
    await_condition(api.clone(), "color", says_so).await.unwrap();
    for (change, causes) in [
        (json!({"minReplicas": 4}), 1),
        (json!({"minReplicas": 0}), 1),
        (json!({"maxReplicas": 0}), 2),
        (json!({"scaleTargetRef": {"kind": null, "apiVersion": "v1"}}), 2),
        (json!({"metrics": [{"type": "Pods"}]}), 1),
    ] {
        let change = Patch::Merge(json!({"spec": change}));
        let refused = api.patch("color", &PatchParams::default(), &change).await;
        assert_eq!(refusal(refused), (422, "Invalid".into(), causes), "{change:?}");
    }
}

#[tokio::test]
async fn definitions_are_served_at_once_and_go_with_their_objects() {
    let server = ApiServer::start(Options::default()).await.unwrap();
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let api = widgets(&server);
    assert_eq!(refusal(api.get("a").await).0, 404);
    let request = |method: &str, path: &str, body: &Value| {
        let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
        request.body(body.to_string().into_bytes()).unwrap()
    };
    let (status, made) = raw(&server, request("POST", path, &widget_definition())).await;
    assert_eq!((status.as_u16(), &made["status"]["conditions"][1]["type"]), (201, &json!("Established")));
    api.create(&PostParams::default(), &widget("a", json!({}))).await.unwrap();
    raw(&server, request("DELETE", &format!("{path}/widgets.test.dev"), &json!({}))).await;
    assert_eq!(refusal(api.get("a").await).0, 404);
    let mut misnamed = widget_definition();
    misnamed["metadata"]["name"] = json!("other.test.dev");
    let (status, body) = raw(&server, request("POST", path, &misnamed)).await;
    assert_eq!((status.as_u16(), &body["details"]["causes"][0]["field"]), (422, &json!("metadata.name")));
}

#[tokio::test]
async fn the_state_outlives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { data: Some(folder.path().join("state.json")), ..Options::default() };
    let with_crd = Options { crds: vec![widget_definition()], ..options.clone() };
    let server = ApiServer::start(with_crd).await.unwrap();
    let made = widgets(&server)
        .create(&PostParams::default(), &widget("kept", json!({"color": "red"})))
        .await
        .unwrap();
    let revision = server.revision();
    server.shutdown().await;
    let server = ApiServer::start(options.clone()).await.unwrap();
    assert_eq!(server.revision(), revision);
    let kept = widgets(&server).get("kept").await.unwrap();
    assert_eq!(kept, made);
    let old = ListParams::default().at("1").matching(kube::api::VersionMatch::Exact);
    assert_eq!(refusal(widgets(&server).list(&old).await).0, 410);
    server.shutdown().await;
    std::fs::write(folder.path().join("state.json"), "broken").unwrap();
    let error = ApiServer::start(options).await.unwrap_err().to_string();
    assert!(error.starts_with("cannot load the state from"), "{error}");
}
