//! Patches, as the product sends them, and who is recorded for them.

use http::Request;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::support::{raw, refusal, server, widget, widgets};

fn json_patch(value: Value) -> Patch<Value> {
    Patch::Json(serde_json::from_value(value).unwrap())
}

#[tokio::test]
async fn json_patches_fail_with_the_codes_that_tell_why() {
    let server = server().await;
    let api = widgets(&server);
    let made = api.create(&PostParams::default(), &widget("a", json!({"weights": [100, 0]}))).await.unwrap();
    let version = made.metadata.resource_version.clone().unwrap();
    api.patch("a", &PatchParams::default(), &Patch::Merge(json!({"spec": {"color": "red"}}))).await.unwrap();
    for (name, operations, want) in [
        (
            "stale version",
            json!([{"op": "replace", "path": "/metadata/resourceVersion", "value": version}]),
            (409, "Conflict", 0),
        ),
        (
            "test of the version",
            json!([{"op": "test", "path": "/metadata/resourceVersion", "value": version}]),
            (422, "Invalid", 0),
        ),
        (
            "test of a value",
            json!([{"op": "test", "path": "/spec/weights/0", "value": 5}]),
            (422, "Invalid", 0),
        ),
        (
            "below absent annotations",
            json!([{"op": "add", "path": "/metadata/annotations/x", "value": "y"}]),
            (422, "Invalid", 0),
        ),
        ("removal of nothing", json!([{"op": "remove", "path": "/spec/absent"}]), (422, "Invalid", 0)),
    ] {
        let outcome = refusal(api.patch("a", &PatchParams::default(), &json_patch(operations)).await);
        assert_eq!((outcome.0, outcome.1.as_str(), outcome.2), want, "{name}");
    }
    let step = json!([
        {"op": "test", "path": "/spec/weights", "value": [100, 0]},
        {"op": "add", "path": "/metadata/annotations", "value": {}},
        {"op": "add", "path": "/metadata/annotations/state.tidegate.dev~1a", "value": "stamp"},
        {"op": "replace", "path": "/spec/weights/1", "value": 5},
    ]);
    let stepped = api.patch("a", &PatchParams::default(), &json_patch(step)).await.unwrap();
    assert_eq!(stepped.data["spec"]["weights"], json!([100, 5]));
    let same =
        json!([{"op": "test", "path": "/metadata/annotations/state.tidegate.dev~1a", "value": "stamp"}]);
    let unchanged = api.patch("a", &PatchParams::default(), &json_patch(same)).await.unwrap();
    assert_eq!(unchanged, stepped);
}

#[tokio::test]
async fn a_stale_status_is_a_conflict() {
    let server = server().await;
    let api = widgets(&server);
    let made = api.create(&PostParams::default(), &widget("a", json!({}))).await.unwrap();
    let status = |phase: &str| {
        Patch::Merge(json!({
            "metadata": {"resourceVersion": made.metadata.resource_version}, "status": {"phase": phase},
        }))
    };
    api.patch_status("a", &PatchParams::default(), &status("One")).await.unwrap();
    let stale = api.patch_status("a", &PatchParams::default(), &status("Two")).await;
    assert_eq!(refusal(stale), (409, "Conflict".into(), 0));
}

#[tokio::test]
async fn the_last_writer_of_a_field_is_recorded() {
    let server = server().await;
    let api = widgets(&server);
    let by = |manager: &str| PostParams { field_manager: Some(manager.into()), ..PostParams::default() };
    api.create(&by("flux"), &widget("a", json!({"weights": [100, 0], "color": "red"}))).await.unwrap();
    let params = PatchParams { field_manager: Some("tidegate".into()), ..PatchParams::default() };
    let step = json_patch(json!([{"op": "replace", "path": "/spec/weights/0", "value": 95}]));
    let stepped = api.patch("a", &params, &step).await.unwrap();
    let phase = Patch::Merge(json!({"status": {"phase": "Ready"}}));
    let told = api.patch_status("a", &params, &phase).await.unwrap();
    let owner = |object: &kube::api::DynamicObject, pointer: &str| -> Vec<(String, Option<String>)> {
        let entries = object.metadata.managed_fields.iter().flatten();
        entries
            .filter(|entry| entry.fields_v1.as_ref().unwrap().0.pointer(pointer).is_some())
            .map(|entry| (entry.manager.clone().unwrap(), entry.subresource.clone()))
            .collect()
    };
    assert_eq!(owner(&stepped, "/f:spec/f:weights"), [("tidegate".into(), None)]);
    assert_eq!(owner(&stepped, "/f:spec/f:color"), [("flux".into(), None)]);
    assert_eq!(owner(&told, "/f:status/f:phase"), [("tidegate".into(), Some("status".into()))]);
}

#[tokio::test]
async fn dry_runs_store_nothing() {
    let server = server().await;
    let api = widgets(&server);
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    api.create(&dry, &widget("a", json!({}))).await.unwrap();
    assert!(api.get_opt("a").await.unwrap().is_none());
    let made = api.create(&PostParams::default(), &widget("a", json!({"color": "red"}))).await.unwrap();
    let dry = PatchParams { dry_run: true, ..PatchParams::default() };
    let tried = api.patch("a", &dry, &Patch::Merge(json!({"spec": {"color": "blue"}}))).await.unwrap();
    assert_eq!(tried.data["spec"]["color"], "blue");
    assert_eq!(api.get("a").await.unwrap(), made);
    assert!(server.requests().iter().any(|request| request.dry_run && request.verb == "patch"));
}

#[tokio::test]
async fn strategic_patches_are_served_for_maps_of_built_in_kinds() {
    let server = server().await;
    let strategic = |path: &str, body: Value| {
        let request = Request::patch(path).header("content-type", "application/strategic-merge-patch+json");
        request.body(body.to_string().into_bytes()).unwrap()
    };
    let labels = json!({"metadata": {"labels": {"a": "b"}}});
    let (status, body) = raw(&server, strategic("/api/v1/namespaces/default", labels.clone())).await;
    assert_eq!((status.as_u16(), &body["metadata"]["labels"]["a"]), (200, &json!("b")));
    let lists = json!({"metadata": {"finalizers": ["a"]}});
    assert_eq!(raw(&server, strategic("/api/v1/namespaces/default", lists)).await.0, 415);
    let custom = "/apis/test.dev/v1/namespaces/default/widgets/a";
    assert_eq!(raw(&server, strategic(custom, labels)).await.0, 415);
}

#[tokio::test]
async fn unknown_fields_are_refused_told_or_dropped() {
    let server = server().await;
    let post = |query: &str| {
        let uri = format!("/api/v1/namespaces/default/configmaps?dryRun=All&{query}");
        let body = json!({"metadata": {"name": "a", "odd": 1}, "data": {"k": "v"}, "strange": true});
        let request = Request::post(uri).header("content-type", "application/json");
        request.body(body.to_string().into_bytes()).unwrap()
    };
    let (status, body) = raw(&server, post("fieldValidation=Strict")).await;
    let message = body["message"].as_str().unwrap();
    assert_eq!(status, 400);
    assert!(message.contains(r#"unknown field "metadata.odd", unknown field "strange""#), "{message}");
    let (status, body) = raw(&server, post("fieldValidation=Ignore")).await;
    assert_eq!((status.as_u16(), body.get("strange"), &body["data"]["k"]), (201, None, &json!("v")));
    let client = server.client().unwrap();
    let response = client.send(post("").map(kube::client::Body::from)).await.unwrap();
    let warned: Vec<_> = response.headers().get_all("warning").into_iter().collect();
    assert_eq!(warned, [r#"299 - "unknown field \"metadata.odd\"""#, r#"299 - "unknown field \"strange\"""#]);
}
