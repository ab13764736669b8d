//! A backend that says what it got, and goes wrong as it is asked to by headers:
//!
//! | header | |
//! |---|---|
//! | `x-fails: N`, `x-with: STATUS` | the first N attempts are answered with the status; to a call it is gRPC's |
//! | `x-late` | a call that fails so says it in trailers, after an answer |
//! | `x-stalls: N` | the first N attempts are answered after [`STALL`] |
//! | `x-pieces: N` | the answer comes in so many pieces, one each 50 ms |
//! | `x-breaks` | the answer stalls after its first piece |

use std::{
    collections::BTreeMap,
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::Response,
};
use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, HeaderValue, request::Parts, uri::Authority};
use http_body_util::{BodyExt, Collected, StreamBody};
use hyper::body::Frame;

/// Far longer than any limit of a route here.
pub const STALL: Duration = Duration::from_secs(20);
/// Between two pieces.
const PAUSE: Duration = Duration::from_millis(50);
/// The header that only a backend sets: its name.
pub const FROM: &str = "x-from";

/// A running backend.
pub struct Echo {
    pub address: SocketAddr,
    served: Arc<Served>,
}

struct Served {
    name: HeaderValue,
    /// How often each request came.
    attempts: Mutex<BTreeMap<String, usize>>,
}

impl Echo {
    pub async fn start(name: &str) -> Self {
        let served = Arc::new(Served { name: name.parse().unwrap(), attempts: Mutex::default() });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&served));
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, served }
    }

    /// How often a request came, by its `x-id`.
    pub fn attempts(&self, id: &str) -> usize {
        self.served.attempts.lock().unwrap().get(id).copied().unwrap_or_default()
    }
}

fn text<'a>(parts: &'a Parts, name: &str) -> Option<&'a str> {
    parts.headers.get(name).map(|value| value.to_str().unwrap())
}

fn number(parts: &Parts, name: &str) -> usize {
    text(parts, name).map_or(0, |text| text.parse().unwrap())
}

async fn answer(State(served): State<Arc<Served>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let attempt = {
        let mut attempts = served.attempts.lock().unwrap();
        let attempt = attempts.entry(text(&parts, "x-id").unwrap_or_default().to_owned()).or_default();
        *attempt += 1;
        *attempt
    };
    let body = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
    if attempt <= number(&parts, "x-stalls") {
        tokio::time::sleep(STALL).await;
    }
    let fails = attempt <= number(&parts, "x-fails");
    let seen = seen(&parts, &body, attempt);
    let is_call = text(&parts, "content-type").is_some_and(|kind| kind.starts_with("application/grpc"));
    let mut response = if is_call { call(&parts, fails, &seen) } else { page(&parts, fails, seen) };
    response.headers_mut().insert(FROM, served.name.clone());
    response
}

/// What there is of a request, its own instructions aside.
fn seen(parts: &Parts, body: &Bytes, attempt: usize) -> String {
    let path = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let host = text(parts, "host").or_else(|| parts.uri.authority().map(Authority::as_str));
    let trailers = text(parts, "te").unwrap_or("nothing");
    format!(
        "{} {path} for {} by {:?}, {} bytes, takes {trailers}, attempt {attempt}",
        parts.method,
        host.unwrap_or_default(),
        parts.version,
        body.len(),
    )
}

fn page(parts: &Parts, fails: bool, seen: String) -> Response {
    let mut frames = vec![(Duration::ZERO, Frame::data(Bytes::from(seen)))];
    for _ in 1..number(parts, "x-pieces") {
        frames.push((PAUSE, Frame::data(Bytes::from_static(b"."))));
    }
    if text(parts, "x-breaks").is_some() {
        frames.push((STALL, Frame::data(Bytes::from_static(b"too late"))));
    }
    let mut response = Response::new(body(frames));
    if fails {
        *response.status_mut() = text(parts, "x-with").unwrap().parse().unwrap();
    }
    response
}

/// An answer to a call, in a message as gRPC frames it.
fn call(parts: &Parts, fails: bool, seen: &str) -> Response {
    let status = if fails { text(parts, "x-with").unwrap() } else { "0" };
    let status: HeaderMap = [("grpc-status".parse().unwrap(), status.parse().unwrap())].into_iter().collect();
    let mut response = if fails && text(parts, "x-late").is_none() {
        let mut response = Response::new(Body::empty());
        response.headers_mut().extend(status);
        response
    } else {
        let mut message = vec![0];
        message.extend(u32::try_from(seen.len()).unwrap().to_be_bytes());
        message.extend(seen.as_bytes());
        let pause = if text(parts, "x-breaks").is_some() { STALL } else { Duration::ZERO };
        let frames = vec![(Duration::ZERO, Frame::data(message.into())), (pause, Frame::trailers(status))];
        Response::new(body(frames))
    };
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    response
}

/// Each frame after a while.
fn body(frames: Vec<(Duration, Frame<Bytes>)>) -> Body {
    let stream = stream::unfold(frames.into_iter(), async |mut frames| {
        let (wait, frame) = frames.next()?;
        tokio::time::sleep(wait).await;
        Some((Ok::<_, Infallible>(frame), frames))
    });
    Body::new(StreamBody::new(stream))
}
