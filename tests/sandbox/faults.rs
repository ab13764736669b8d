//! Faults by rule, and the audit log that counts what clients do.

use std::time::Duration;

use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;
use tidegate::sandbox::apiserver::{Effect, Fault};
use tokio::time::timeout;

use crate::support::{get, raw, refusal, server, widget, widgets};

#[tokio::test]
async fn refusals_by_rule() {
    let server = server().await;
    let api = widgets(&server);
    for (effect, want) in [
        (Effect::Conflict, (409, "Conflict")),
        (Effect::Expired, (410, "Expired")),
        (Effect::TooManyRequests { retry_after: 7 }, (429, "TooManyRequests")),
        (Effect::Status(503), (503, "ServiceUnavailable")),
        (Effect::Status(500), (500, "InternalError")),
    ] {
        server.faults().add(Fault::once(effect.clone()).verb("create").resource("widgets"));
        let refused = refusal(api.create(&PostParams::default(), &widget("a", json!({}))).await);
        assert_eq!((refused.0, refused.1.as_str()), want, "{effect:?}");
    }
    assert!(api.get_opt("a").await.unwrap().is_none());
    assert!(server.faults().pending().is_empty());
    server.faults().add(Fault::once(Effect::TooManyRequests { retry_after: 7 }));
    let request = get("/version", "application/json").map(kube::client::Body::from);
    let response = server.client().unwrap().send(request).await.unwrap();
    assert_eq!(response.headers()["retry-after"], "7");
}

#[tokio::test]
async fn rules_hit_only_what_they_name() {
    let server = server().await;
    let api = widgets(&server);
    api.create(&PostParams::default(), &widget("a", json!({}))).await.unwrap();
    let rule =
        Fault::once(Effect::Conflict).verb("patch").resource("widgets").name("a").subresource("status");
    server.faults().add(rule.times(2));
    let patch = Patch::Merge(json!({"status": {"phase": "x"}}));
    api.patch("a", &PatchParams::default(), &patch).await.unwrap();
    for _ in 0..2 {
        assert_eq!(refusal(api.patch_status("a", &PatchParams::default(), &patch).await).0, 409);
    }
    api.patch_status("a", &PatchParams::default(), &patch).await.unwrap();
    server.faults().add(Fault::once(Effect::Conflict).user_agent("nobody"));
    api.get("a").await.unwrap();
    server.faults().clear();
}

#[tokio::test]
async fn a_lost_reply_was_carried_out_and_a_timeout_was_not() {
    let server = server().await;
    let api = widgets(&server);
    server.faults().add(Fault::once(Effect::LoseReply).verb("create"));
    let lost = api.create(&PostParams::default(), &widget("lost", json!({}))).await;
    assert!(!matches!(lost, Ok(_) | Err(kube::Error::Api(_))), "{lost:?}");
    assert!(api.get_opt("lost").await.unwrap().is_some());
    server.faults().add(Fault::once(Effect::Timeout).verb("create"));
    let params = PostParams::default();
    let object = widget("silent", json!({}));
    let unanswered = timeout(Duration::from_millis(300), api.create(&params, &object)).await;
    assert!(unanswered.is_err());
    assert!(api.get_opt("silent").await.unwrap().is_none());
    server.faults().add(Fault::once(Effect::Latency(Duration::from_millis(10))));
    assert!(api.get_opt("lost").await.unwrap().is_some());
}

#[tokio::test]
async fn the_audit_log_tells_every_request() {
    let server = server().await;
    let api = widgets(&server);
    let params = PostParams { field_manager: Some("me".into()), ..PostParams::default() };
    api.create(&params, &widget("a", json!({}))).await.unwrap();
    api.get_opt("absent").await.unwrap();
    raw(&server, get("/healthz", "*/*")).await;
    let requests = server.requests();
    let told: Vec<_> = requests
        .iter()
        .map(|request| {
            (request.verb.as_str(), request.resource.as_str(), request.name.as_str(), request.code)
        })
        .collect();
    assert_eq!(
        told,
        [
            ("create", "widgets", "", Some(201)),
            ("get", "widgets", "absent", Some(404)),
            ("get", "", "", Some(200))
        ]
    );
    assert_eq!((requests[0].group.as_str(), requests[0].namespace.as_str()), ("test.dev", "default"));
    assert_eq!(requests[0].field_manager, "me");
}
