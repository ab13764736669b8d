//! A scripted API server on loopback, for tests: it gives its answers in order and keeps what it was asked.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use axum::{Router, body::Bytes, http::Method};
use http::{HeaderMap, StatusCode, Uri, header};
use kube::{Client, Config};
use serde_json::Value;

/// What the server does with a request.
pub(super) enum Answer {
    /// It answers with an HTTP status and a body.
    Send(u16, String),
    /// It drops the connection.
    Drop,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) content_type: String,
    pub(super) body: Value,
}

/// A client of such a server, and what the server will have been asked.
pub(super) async fn server(answers: Vec<Answer>) -> (Client, Arc<Mutex<Vec<Asked>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let answers = Arc::new(Mutex::new(VecDeque::from(answers)));
    let kept = Arc::clone(&asked);
    let answer = move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
        let content_type = headers.get(header::CONTENT_TYPE);
        kept.lock().unwrap().push(Asked {
            method,
            uri,
            content_type: content_type.map_or("", |t| t.to_str().unwrap()).to_owned(),
            body: serde_json::from_slice(&body).unwrap_or_default(),
        });
        let answer = answers.lock().unwrap().pop_front().unwrap();
        async move {
            // A handler that panics takes its connection down with it.
            let Answer::Send(code, body) = answer else {
                panic!("the connection is dropped");
            };
            (StatusCode::from_u16(code).unwrap(), [(header::CONTENT_TYPE, "application/json")], body)
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    let mut config = Config::new(format!("http://{address}").parse().unwrap());
    config.default_retry = false;
    (Client::try_from(config).unwrap(), asked)
}
