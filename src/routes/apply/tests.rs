use std::{error::Error, sync::Arc};

use serde_json::{Value, json};

use super::*;
use crate::{
    api::RouteKind,
    engine::{
        decision::{Fence, Purpose, StampChange},
        observed::Place,
    },
    routes::{
        scripted::{Answer, server},
        view,
    },
};

fn object() -> Value {
    json!({
        "apiVersion": "appmesh.k8s.aws/v1beta2", "kind": "GatewayRoute",
        "metadata": {"name": "color", "namespace": "shop", "uid": "u", "resourceVersion": "7"},
        "spec": {"httpRoute": {"action": {"weightedTargets": [
            {"virtualServiceRef": {"name": "v1"}, "weight": 90},
            {"virtualServiceRef": {"name": "v2"}, "weight": 10},
        ]}}},
    })
}

fn raise(weights: &[(usize, i64)]) -> RouteWrite {
    RouteWrite {
        route: RouteRef::new(RouteKind::GatewayRoute, "color"),
        purpose: Purpose::Raise,
        view: Arc::new(view(RouteKind::GatewayRoute, &object()).unwrap()),
        weights: weights.iter().map(|&(entry, weight)| (Place { list: 0, entry }, weight)).collect(),
        add: vec![],
        remove: vec![],
        mirrors: vec![],
        stamp: StampChange::Keep("color".into()),
        fence: Fence::Unchanged,
    }
}

/// A status object as an API server sends it.
fn status(code: u16, message: &str, details: &Value) -> Answer {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": "Invalid",
        "message": message, "details": details,
    });
    Answer::Send(code, status.to_string())
}

async fn failed(answer: Answer) -> ApplyError {
    let (client, _) = server(vec![answer]).await;
    apply(&client, "shop", &raise(&[(0, 80), (1, 20)])).await.unwrap_err()
}

#[tokio::test]
async fn what_is_made_of_a_failure() {
    let busy = |seconds: Option<u64>| Failure::Busy { retry_after: seconds.map(Duration::from_secs) };
    let refusal = json!({"causes": [
        {"field": "spec.httpRoute", "message": "Invalid value: must be true", "reason": "FieldValueInvalid"},
        {"field": "spec.priority", "message": "Required value", "reason": "FieldValueRequired"},
    ]});
    let none = Value::Null;
    let cases = [
        ("conflict", status(409, "the object has been modified", &none), Failure::Changed),
        ("a test failed", status(422, "the server rejected our request", &json!({})), Failure::Changed),
        ("no causes", status(422, "testing value failed", &json!({"causes": []})), Failure::Changed),
        (
            "the schema refused it",
            status(422, "is invalid", &refusal),
            Failure::Refused(
                "spec.httpRoute: Invalid value: must be true; spec.priority: Required value".into(),
            ),
        ),
        ("malformed", status(400, "bad patch", &none), Failure::Refused("bad patch".into())),
        ("no rights", status(403, "cannot patch", &none), Failure::Forbidden("cannot patch".into())),
        ("no credentials", status(401, "Unauthorized", &none), Failure::Forbidden("Unauthorized".into())),
        ("no such route", status(404, "not found", &none), Failure::Gone),
        ("no such kind", Answer::Send(404, "404 page not found".into()), Failure::Gone),
        ("throttled", status(429, "too many", &json!({"retryAfterSeconds": 3})), busy(Some(3))),
        ("throttled in text", Answer::Send(429, "Too many requests".into()), busy(None)),
        ("unavailable", status(503, "starting", &none), busy(None)),
        ("internal error", status(500, "etcd", &none), Failure::Unknown),
        ("gateway timeout", status(504, "timed out", &none), Failure::Unknown),
        ("connection lost", Answer::Drop, Failure::Unknown),
        ("no object", Answer::Send(200, "<html>".into()), Failure::Unknown),
    ];
    for (name, answer, want) in cases {
        let error = failed(answer).await;
        assert_eq!(error.kind(), want, "{name}");
        assert_eq!(error.label(), want.label(), "{name}");
        assert!(error.source().is_some(), "{name}");
        let sentence = error.to_string();
        assert!(sentence.starts_with("cannot raise GatewayRoute color: "), "{name}: {sentence}");
    }
}

#[tokio::test]
async fn an_answer_of_somebody_else_is_not_passed_on() {
    for code in [400, 403, 422, 500] {
        let error = failed(Answer::Send(code, "secret-canary".into())).await;
        let mut told = format!("{error} {error:?} {:?}", error.kind());
        let mut source = error.source();
        while let Some(cause) = source {
            told += &cause.to_string();
            source = cause.source();
        }
        assert!(!told.contains("secret-canary"), "{code}: {told}");
    }
    for answer in [r#""secret-canary""#, r#"{"metadata": "secret-canary"}"#, "<html>secret-canary"] {
        let error = failed(Answer::Send(200, answer.into())).await;
        let cause = error.source().unwrap();
        let told = format!("{error} {error:?} {cause} {cause:?}");
        assert!(!told.contains("secret-canary"), "{answer}: {told}");
    }
    let long = failed(status(403, &"é".repeat(1000), &Value::Null)).await;
    assert_eq!(long.kind(), Failure::Forbidden("é".repeat(TEXT_LIMIT / 2)));
}

#[tokio::test]
async fn an_inconsistent_write_is_never_sent() {
    let (client, asked) = server(vec![]).await;
    let error = apply(&client, "shop", &raise(&[(0, 0), (1, 0)])).await.unwrap_err();
    assert_eq!(error.kind(), Failure::Refused("no entry would have weight".into()));
    assert_eq!(error.label(), "Inconsistent");
    assert!(asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn no_answer_is_an_unknown_outcome() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let client = Client::try_from(kube::Config::new(url.parse().unwrap())).unwrap();
    let deadline = Duration::from_millis(20);
    let error = apply_within(deadline, &client, "shop", &raise(&[(0, 80), (1, 20)])).await.unwrap_err();
    assert_eq!((error.kind(), error.label()), (Failure::Unknown, "Timeout"));
    assert_eq!(error.to_string(), "cannot raise GatewayRoute color: no answer within 20ms");
}

#[tokio::test]
async fn a_write_is_one_json_patch_under_our_name() {
    let (client, asked) = server(vec![Answer::Send(200, object().to_string())]).await;
    let write = raise(&[(0, 80), (1, 20)]);
    let answer = apply(&client, "shop", &write).await.unwrap();
    assert_eq!(answer.metadata.resource_version.as_deref(), Some("7"));
    let asked = asked.lock().unwrap();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].method, "PATCH");
    assert_eq!(asked[0].uri.path(), "/apis/appmesh.k8s.aws/v1beta2/namespaces/shop/gatewayroutes/color");
    assert_eq!(asked[0].uri.query(), Some("&fieldManager=tidegate"));
    assert_eq!(asked[0].content_type, "application/json-patch+json");
    assert_eq!(asked[0].body, serde_json::to_value(patch(&write).unwrap()).unwrap());
}
