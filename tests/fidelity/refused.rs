//! What the embedded server deliberately does not serve: each is refused with a sentence, and never half done.

use http::{Method, Request};
use kube::client::Body;
use serde_json::{Value, json};
use tidegate::sandbox::apiserver::{ApiServer, Options};

use crate::side::Side;
use crate::step::get;
use crate::world::World;

/// What clients take for absent only where they are told 404, as `docs/sandbox.md` says.
const TOLERATED: [&str; 2] = ["limitranges", "resourcequotas"];

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

async fn send(server: &ApiServer, method: Method, path: &str, type_: &str, body: &[u8]) -> (u16, Value) {
    let request = Request::builder().method(method).uri(path).header("content-type", type_);
    let request = request.body(Body::from(body.to_vec())).unwrap();
    let response = server.client().unwrap().send(request).await.unwrap();
    let code = response.status().as_u16();
    let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
    (code, serde_json::from_slice(&body).unwrap_or_default())
}

/// A request, and the code and a part of the sentence that refuse it.
type Case = (Method, String, &'static str, &'static [u8], u16, &'static str);

/// Ways to write that are not served.
fn writes() -> Vec<Case> {
    let one = format!("{CONFIG_MAPS}/a");
    let patch = |type_, body: &'static [u8], told| (Method::PATCH, one.clone(), type_, body, 415, told);
    let post = |type_, body: &'static [u8]| {
        (Method::POST, CONFIG_MAPS.to_owned(), type_, body, 415, "JSON bodies only")
    };
    let delete = |query: &str, body: &'static [u8]| {
        let type_ = if query.is_empty() { "application/json" } else { "" };
        (Method::DELETE, format!("{one}{query}"), type_, body, 501, "in the background only")
    };
    let strategic = "application/strategic-merge-patch+json";
    vec![
        patch("application/apply-patch+yaml", b"{}", "server-side apply"),
        patch(strategic, br#"{"metadata": {"finalizers": ["a/b"]}}"#, "strategic merge"),
        patch(strategic, br#"{"data": {"$patch": "replace"}}"#, "strategic merge"),
        post("application/vnd.kubernetes.protobuf", b"k8s\0"),
        post("application/yaml", b"kind: ConfigMap"),
        post("application/cbor", b"\xd9\xd9\xf7"),
        delete("", br#"{"propagationPolicy": "Foreground"}"#),
        delete("", br#"{"propagationPolicy": "Orphan"}"#),
        delete("", br#"{"orphanDependents": true}"#),
        delete("?propagationPolicy=Foreground", b""),
    ]
}

/// What is there on a real server, by path.
fn paths() -> Vec<Case> {
    [
        ("GET", "/api/v1/namespaces/default/pods/a/log", "pods/log"),
        ("GET", "/api/v1/namespaces/default/pods/a/exec?command=ls", "pods/exec"),
        ("POST", "/api/v1/namespaces/default/pods/a/exec?command=ls", "pods/exec"),
        ("POST", "/api/v1/namespaces/default/pods/a/portforward", "pods/portforward"),
        ("POST", "/api/v1/namespaces/default/pods/a/attach", "pods/attach"),
        ("POST", "/api/v1/namespaces/default/pods/a/eviction", "pods/eviction"),
        ("GET", "/api/v1/namespaces/default/services/a/proxy/some/path", "services/proxy"),
        ("POST", "/api/v1/namespaces/default/serviceaccounts/a/token", "serviceaccounts/token"),
        ("PUT", "/api/v1/namespaces/default/finalize", "namespaces/finalize"),
        ("GET", "/api/v1/namespaces/default/secrets", "secrets"),
        ("POST", "/api/v1/namespaces/default/secrets", "secrets"),
        ("GET", "/api/v1/nodes", "nodes"),
        ("GET", "/apis/apps/v1/namespaces/default/daemonsets/a", "daemonsets of apps"),
        (
            "GET",
            "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers/a",
            "horizontalpodautoscalers of autoscaling",
        ),
        ("GET", "/apis/autoscaling/v1", "/apis/autoscaling/v1"),
        ("DELETE", "/apis/batch/v1/namespaces/default/jobs/a", "jobs of batch"),
        ("GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles", "clusterroles of rbac"),
        ("POST", "/apis/authentication.k8s.io/v1/tokenreviews", "tokenreviews of authentication"),
        ("GET", "/apis/batch", "/apis/batch"),
        ("GET", "/apis/batch/v1", "/apis/batch/v1"),
        ("GET", "/openapi/v3/apis/batch/v1", "/openapi/v3/apis/batch/v1"),
        ("GET", "/openapi/v2", "/openapi/v2"),
        ("GET", "/metrics", "/metrics"),
        ("GET", "/api/v1/watch/namespaces/default/configmaps", "/watch/"),
        ("GET", "/apis/apps/v1/watch/deployments", "/watch/"),
    ]
    .map(|(method, path, told)| {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        (method, path.to_owned(), "", &b""[..], 501, told)
    })
    .into()
}

#[tokio::test]
async fn what_is_not_served_is_refused_with_a_sentence() {
    let server = ApiServer::start(Options::default()).await.unwrap();
    let object = json!({"metadata": {"name": "a"}, "data": {"k": "v"}}).to_string();
    let made = send(&server, Method::POST, CONFIG_MAPS, "application/json", object.as_bytes()).await;
    assert_eq!(made.0, 201);
    for (method, path, type_, body, code, told) in writes().into_iter().chain(paths()) {
        let (found, body) = send(&server, method.clone(), &path, type_, body).await;
        let message = body["message"].as_str().unwrap_or_default();
        assert_eq!(found, code, "{method} {path} {type_}: {body}");
        assert!(message.contains(told), "{method} {path} {type_}: {message}");
    }
    let one = format!("{CONFIG_MAPS}/a");
    let (code, left) = send(&server, Method::GET, &one, "", b"").await;
    assert_eq!((code, &left["data"]), (200, &json!({"k": "v"})), "what is refused changes nothing");
}

/// Everything that a real server says it has is served, or refused with a sentence.
pub async fn check_discovery(world: &World) {
    let [mut sandbox, mut real] = world.sides().await;
    let mut missing = Vec::new();
    for version in versions(&mut real).await {
        let listed = real.run(&get(&version), None).await.body;
        for resource in listed["resources"].as_array().into_iter().flatten() {
            let (name, part) = match resource["name"].as_str().unwrap().split_once('/') {
                Some((name, part)) => (name, format!("/a/{part}")),
                None => (resource["name"].as_str().unwrap(), String::new()),
            };
            let scope = if resource["namespaced"] == true { "/namespaces/$NS" } else { "" };
            let path = format!("{version}{scope}/{name}{part}");
            let answer = sandbox.run(&get(&path), None).await;
            // Of what is served, `a` is not there, and reviews are only made.
            let is_served = answer.code == 200
                || answer.code == 405
                || answer.code == 404 && answer.body["details"]["name"] == "a";
            let is_refused = answer.code == 501 && answer.body["message"].is_string();
            if !is_served && !is_refused && !TOLERATED.contains(&name) {
                missing.push(format!("{path}: {} {}", answer.code, answer.body));
            }
        }
    }
    tokio::join!(sandbox.close(), real.close());
    assert!(missing.is_empty(), "a real server has, and the sandbox denies:\n{}", missing.join("\n"));
}

/// The versions of every group that comes with a real server: what a definition made is on both.
async fn versions(real: &mut Side) -> Vec<String> {
    let groups = real.run(&get("/apis"), None).await.body;
    let versions = groups["groups"].as_array().unwrap().iter().flat_map(|group| {
        let versions = group["versions"].as_array().unwrap();
        versions.iter().map(|version| format!("/apis/{}", version["groupVersion"].as_str().unwrap()))
    });
    ["/api/v1".to_owned()].into_iter().chain(versions).collect()
}
