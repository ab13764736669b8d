use std::sync::{Arc, Mutex};

use axum::{
    Json, Router,
    http::{Method, StatusCode},
};
use serde_json::Value;

use super::*;

/// A notifier at an API server that takes every Event, and the requests that came: method and body.
async fn notifier(answer: StatusCode) -> (Notifier, Arc<Mutex<Vec<(Method, Value)>>>) {
    let came = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&came);
    let take = move |method: Method, Json(event): Json<Value>| {
        kept.lock().unwrap().push((method, event.clone()));
        async move { (answer, Json(event)) }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(take)).await });
    let mut config = kube::Config::new(url.parse().unwrap());
    config.default_retry = false;
    let client = Client::try_from(config).unwrap();
    (Notifier::new(&client, Clock::start(), Some("tidegate-0".into())), came)
}

fn color() -> ObjectReference {
    ObjectReference {
        kind: Some("Rollout".into()),
        name: Some("color".into()),
        namespace: Some("shop".into()),
        resource_version: Some("7".into()),
        ..ObjectReference::default()
    }
}

#[tokio::test]
async fn a_refused_event_is_only_logged() {
    let (notifier, came) = notifier(StatusCode::FORBIDDEN).await;
    notifier.tell(color(), &note("canary failed", Some(1))).await;
    assert_eq!(came.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn repeated_events_are_folded_and_those_of_each_step_stay_apart() {
    let (notifier, came) = notifier(StatusCode::OK).await;
    for step in [1, 2, 2] {
        let moved = ObjectReference { resource_version: Some(step.to_string()), ..color() };
        notifier.tell(moved, &note("canary failed", Some(step))).await;
    }
    let came = came.lock().unwrap();
    let methods: Vec<_> = came.iter().map(|(method, _)| method.as_str()).collect();
    assert_eq!(methods, ["POST", "POST", "PATCH"]);
    let event = &came[1].1;
    assert_eq!(event["regarding"]["fieldPath"], "status.run.plan[1]");
    assert_eq!((&event["type"], &event["reason"]), (&"Warning".into(), &"RolledBack".into()));
    assert_eq!(event["note"], "canary failed");
    assert_eq!(event["reportingController"], "tidegate");
    assert_eq!(event["reportingInstance"], "tidegate-0");
    assert_eq!(came[2].1["series"]["count"], 2);
}

#[test]
fn what_was_not_repeated_for_minutes_is_forgotten() {
    let at = |seconds| Timestamp::from_second(seconds).unwrap();
    let last = |seconds| Last { name: "color.1".into(), count: 1, at: at(seconds) };
    let mut written = Written::default();
    written.note(1, last(0));
    written.note(2, last(300));
    assert!(written.last(1, at(359)).is_some());
    assert!(written.last(1, at(360)).is_none(), "another Event");
    written.note(3, last(400));
    assert_eq!(written.events.len(), 2, "and nothing is kept of it");
}

fn note(message: &str, step: Option<i32>) -> Note {
    Note { warning: true, reason: "RolledBack", message: message.to_owned(), run: Some(3), step }
}

#[test]
fn notes_are_cut_between_characters() {
    let long = "x".to_owned() + &"é".repeat(600);
    let told = |message: &str| event(color(), &note(message, None), "tidegate-0", Timestamp::UNIX_EPOCH).note;
    let cut = told(&long).unwrap();
    assert_eq!(cut.len(), 1023);
    assert!(long.starts_with(&cut));
    let fits = "x".repeat(NOTE_LIMIT);
    assert_eq!(told(&fits), Some(fits));
}

#[test]
fn each_step_has_its_own_reference() {
    let cases = [
        (None, None),
        (Some(0), None),
        (Some(1), Some("status.run.plan[0]")),
        (Some(3), Some("status.run.plan[2]")),
    ];
    for (step, want) in cases {
        let about = about(color(), step);
        assert_eq!(about.field_path.as_deref(), want, "{step:?}");
        assert_eq!(about.name.as_deref(), Some("color"));
        assert_eq!(about.resource_version, None, "else repeated Events would not be folded");
    }
}
