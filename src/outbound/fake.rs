//! A server on loopback that answers as a test wants.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use futures::{StreamExt, stream};
use reqwest::Url;
use tokio::sync::Semaphore;

/// Stands in the body of every bad answer, and must stand in no error.
pub const SECRET: &str = "hunter2-from-the-body";

/// What a fake is asked.
pub struct Asked {
    pub path: String,
    pub query: String,
    pub headers: HeaderMap,
    pub body: String,
}

impl Asked {
    /// The body, as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// A field of the form.
    pub fn field(&self, name: &str) -> String {
        let url = Url::parse(&format!("http://form/?{}", self.body)).unwrap();
        url.query_pairs()
            .find(|(key, _)| key == name)
            .map_or_else(String::new, |(_, value)| value.into_owned())
    }
}

/// What a fake answers.
#[derive(Clone)]
pub enum Reply {
    /// A status and a body.
    Body(u16, String),
    /// A status, and how many seconds it is to be left alone.
    Busy(u16, u64),
    /// A redirect to an address that would serve.
    Redirect,
    /// 100 MB, a MiB at a time.
    Flood,
    /// Nothing, ever.
    Hang,
    /// Another answer, once there is a permit.
    After(Arc<Semaphore>, Box<Reply>),
    /// A success that takes its time; told when it is about to leave.
    Slowly(Duration, String, Arc<dyn Fn() + Send + Sync>),
}

impl Reply {
    pub fn ok(body: impl Into<String>) -> Self {
        Self::Body(200, body.into())
    }
}

pub struct Fake {
    pub url: Url,
    asked: Arc<AtomicUsize>,
}

impl Fake {
    /// How many requests came.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

pub async fn serve(answer: impl Fn(Asked) -> Reply + Clone + Send + Sync + 'static) -> Fake {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let app = Router::new().fallback(move |uri: Uri, headers: HeaderMap, body: String| {
        count.fetch_add(1, Ordering::SeqCst);
        let path = uri.path().to_owned();
        let query = uri.query().unwrap_or_default().to_owned();
        respond(answer(Asked { path, query, headers, body }))
    });
    tokio::spawn(async move { axum::serve(listener, app).await });
    Fake { url, asked }
}

async fn respond(reply: Reply) -> Response {
    match reply {
        Reply::Body(status, body) => (StatusCode::from_u16(status).unwrap(), body).into_response(),
        Reply::Busy(status, seconds) => {
            let status = StatusCode::from_u16(status).unwrap();
            (status, [("retry-after", seconds.to_string())], SECRET).into_response()
        }
        Reply::Redirect => {
            (StatusCode::FOUND, [("location", format!("/elsewhere?{SECRET}"))]).into_response()
        }
        Reply::Flood => {
            let chunk = Bytes::from(vec![b'x'; 1024 * 1024]);
            let chunks = stream::repeat(chunk).take(100).map(Ok::<_, std::io::Error>);
            Body::from_stream(chunks).into_response()
        }
        Reply::Hang => std::future::pending().await,
        Reply::After(permits, reply) => {
            permits.acquire().await.unwrap().forget();
            Box::pin(respond(*reply)).await
        }
        Reply::Slowly(pause, body, leaving) => {
            tokio::time::sleep(pause).await;
            leaving();
            body.into_response()
        }
    }
}
