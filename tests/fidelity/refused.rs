//! What the embedded server deliberately does not serve: each is refused with a sentence, and never half done.

use http::{Method, Request};
use kube::client::Body;
use serde_json::{Value, json};
use tidegate::sandbox::apiserver::{ApiServer, Options};

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

async fn send(server: &ApiServer, method: Method, path: &str, type_: &str, body: &[u8]) -> (u16, Value) {
    let request = Request::builder().method(method).uri(path).header("content-type", type_);
    let request = request.body(Body::from(body.to_vec())).unwrap();
    let response = server.client().unwrap().send(request).await.unwrap();
    let code = response.status().as_u16();
    let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
    (code, serde_json::from_slice(&body).unwrap_or_default())
}

#[tokio::test]
async fn what_is_not_served_is_refused_with_a_sentence() {
    let server = ApiServer::start(Options::default()).await.unwrap();
    let object = json!({"metadata": {"name": "a"}, "data": {"k": "v"}}).to_string();
    let made = send(&server, Method::POST, CONFIG_MAPS, "application/json", object.as_bytes()).await;
    assert_eq!(made.0, 201);
    let one = format!("{CONFIG_MAPS}/a");
    let foreground = br#"{"propagationPolicy": "Foreground"}"#;
    let orphan = br#"{"propagationPolicy": "Orphan"}"#;
    let list = br#"{"metadata": {"finalizers": ["a/b"]}}"#;
    let directive = br#"{"data": {"$patch": "replace"}}"#;
    let (patch, delete, post) = (Method::PATCH, Method::DELETE, Method::POST);
    let strategic = "application/strategic-merge-patch+json";
    for (method, path, type_, body, code, told) in [
        (&patch, &one, "application/apply-patch+yaml", &b"{}"[..], 415, "server-side apply"),
        (&patch, &one, strategic, &list[..], 415, "strategic merge"),
        (&patch, &one, strategic, &directive[..], 415, "strategic merge"),
        (
            &post,
            &CONFIG_MAPS.to_owned(),
            "application/vnd.kubernetes.protobuf",
            &b"k8s\0"[..],
            415,
            "JSON bodies only",
        ),
        (
            &post,
            &CONFIG_MAPS.to_owned(),
            "application/yaml",
            &b"kind: ConfigMap"[..],
            415,
            "JSON bodies only",
        ),
        (&post, &CONFIG_MAPS.to_owned(), "application/cbor", &b"\xd9\xd9\xf7"[..], 415, "JSON bodies only"),
        (&delete, &one, "application/json", &foreground[..], 501, "in the background only"),
        (&delete, &one, "application/json", &orphan[..], 501, "in the background only"),
        (
            &delete,
            &one,
            "application/json",
            &br#"{"orphanDependents": true}"#[..],
            501,
            "in the background only",
        ),
        (
            &delete,
            &format!("{one}?propagationPolicy=Foreground"),
            "",
            &b""[..],
            501,
            "in the background only",
        ),
    ] {
        let (found, body) = send(&server, method.clone(), path, type_, body).await;
        let message = body["message"].as_str().unwrap_or_default();
        assert_eq!(found, code, "{method} {path} {type_}: {body}");
        assert!(message.contains(told), "{method} {path} {type_}: {message}");
    }
    let (code, left) = send(&server, Method::GET, &one, "", b"").await;
    assert_eq!((code, &left["data"]), (200, &json!({"k": "v"})), "what is refused changes nothing");
}
