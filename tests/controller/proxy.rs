//! A loopback proxy between the controller and the API server. It remembers every request, spoils those that a test
//! asks to have spoilt, and can stop the world around a chosen write: before it, after it was stored, or after the
//! answer.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::StreamExt;
use http_body_util::BodyExt;
use kube::Client;
use serde_json::json;
use tokio_util::sync::CancellationToken;

/// One request of the controller.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    pub verb: &'static str,
    pub group: String,
    pub resource: String,
    pub subresource: String,
    pub namespace: String,
    pub name: String,
    /// The HTTP status that the API server answered with; none where it was not asked or has not answered yet.
    pub code: Option<u16>,
}

impl Call {
    pub fn is_write(&self) -> bool {
        !self.resource.is_empty() && !matches!(self.verb, "get" | "list" | "watch")
    }

    fn parse(request: &Request) -> Self {
        let path: Vec<&str> = request.uri().path().split('/').filter(|part| !part.is_empty()).collect();
        let (group, rest) = match path.as_slice() {
            ["api", _version, rest @ ..] => ("", rest),
            ["apis", group, _version, rest @ ..] => (*group, rest),
            _ => ("", &[][..]),
        };
        let (namespace, rest) = match rest {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
            rest => ("", rest),
        };
        let part = |index: usize| rest.get(index).copied().unwrap_or_default().to_owned();
        let watches = request.uri().query().is_some_and(|query| query.contains("watch=true"));
        let verb = match *request.method() {
            Method::GET if watches => "watch",
            Method::GET if rest.len() == 1 => "list",
            Method::GET => "get",
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            _ => "delete",
        };
        let (group, namespace) = (group.to_owned(), namespace.to_owned());
        Self { verb, group, resource: part(0), name: part(1), subresource: part(2), namespace, code: None }
    }
}

/// What happens to a request.
#[derive(Clone, Debug)]
pub enum Spoil {
    /// This status is answered and the API server not asked; a 429 asks to come again after a second.
    Answer(u16),
    /// The API server carries it out, and the answer gets lost.
    LoseReply,
    /// It is passed on after a delay.
    Delay(Duration),
    /// A watch ends at once.
    EndWatch,
    /// A watch is told that it comes too late.
    Expire,
}

/// Which requests are spoilt, and how many of them.
#[derive(Clone, Debug)]
pub struct Rule {
    verb: Option<&'static str>,
    resource: Option<&'static str>,
    subresource: Option<&'static str>,
    left: usize,
    spoil: Spoil,
}

impl Rule {
    pub fn new(spoil: Spoil) -> Self {
        Self { verb: None, resource: None, subresource: None, left: usize::MAX, spoil }
    }

    pub fn verb(self, verb: &'static str) -> Self {
        Self { verb: Some(verb), ..self }
    }

    pub fn resource(self, resource: &'static str) -> Self {
        Self { resource: Some(resource), ..self }
    }

    pub fn subresource(self, subresource: &'static str) -> Self {
        Self { subresource: Some(subresource), ..self }
    }

    pub fn times(self, left: usize) -> Self {
        Self { left, ..self }
    }

    fn matches(&self, call: &Call) -> bool {
        !call.resource.is_empty()
            && self.left > 0
            && self.verb.is_none_or(|verb| verb == call.verb)
            && self.resource.is_none_or(|resource| resource == call.resource)
            && self.subresource.is_none_or(|subresource| subresource == call.subresource)
    }
}

/// Where around a write the world stops.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum When {
    Before,
    Stored,
    Answered,
}

/// Stops the world at the n-th write to anything but Events, counted from 1.
struct Trap {
    left: usize,
    when: When,
    sprung: CancellationToken,
}

#[derive(Default)]
struct Inner {
    calls: Vec<Call>,
    rules: Vec<Rule>,
    trap: Option<Trap>,
}

struct Shared {
    upstream: Client,
    inner: Mutex<Inner>,
    /// Nobody is answered any more.
    stopped: AtomicBool,
}

pub struct Proxy {
    url: String,
    shared: Arc<Shared>,
    ended: CancellationToken,
}

impl Proxy {
    /// A proxy to what the client speaks to. The client must not authenticate: callers do that themselves.
    pub async fn start(upstream: Client) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared { upstream, inner: Mutex::default(), stopped: AtomicBool::new(false) });
        let app = Router::new().fallback(pass).with_state(Arc::clone(&shared));
        let ended = CancellationToken::new();
        let until = ended.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = axum::serve(listener, app) => {}
                () = until.cancelled() => {}
            }
        });
        Self { url, shared, ended }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn calls(&self) -> Vec<Call> {
        self.shared.inner.lock().unwrap().calls.clone()
    }

    pub fn spoil(&self, rule: Rule) {
        self.shared.inner.lock().unwrap().rules.push(rule);
    }

    /// Everything is passed on untouched from now on.
    pub fn relent(&self) {
        self.shared.inner.lock().unwrap().rules.clear();
        self.shared.stopped.store(false, Ordering::SeqCst);
    }

    /// The world stops at the n-th write from now on; what is returned tells when it has.
    pub fn stop_at(&self, write: usize, when: When) -> CancellationToken {
        let sprung = CancellationToken::new();
        let trap = Trap { left: write, when, sprung: sprung.clone() };
        self.shared.inner.lock().unwrap().trap = Some(trap);
        sprung
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.ended.cancel();
    }
}

impl Shared {
    fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
    }

    /// Notes a request; what is to happen to it, and whether the world stops at it.
    fn note(&self, call: &Call) -> (usize, Option<Spoil>, Option<(When, CancellationToken)>) {
        let mut inner = self.inner.lock().unwrap();
        inner.calls.push(call.clone());
        let place = inner.calls.len() - 1;
        let rule = inner.rules.iter_mut().find(|rule| rule.matches(call));
        let spoil = rule.map(|rule| {
            rule.left -= 1;
            rule.spoil.clone()
        });
        let mut stop = None;
        if counts(call)
            && let Some(trap) = inner.trap.as_mut()
        {
            trap.left -= 1;
            if trap.left == 0 {
                stop = Some((trap.when, trap.sprung.clone()));
                inner.trap = None;
            }
        }
        (place, spoil, stop)
    }
}

/// Whether a write is one whose loss could matter; Events may come late or never.
pub fn counts(call: &Call) -> bool {
    call.is_write() && call.resource != "events" && call.group != "authorization.k8s.io"
}

async fn pass(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let call = Call::parse(&request);
    if shared.stopped.load(Ordering::SeqCst) {
        return silence().await;
    }
    let (place, spoil, stop) = shared.note(&call);
    match spoil {
        Some(Spoil::Answer(code)) => return refused(code),
        Some(Spoil::EndWatch) => return StatusCode::OK.into_response(),
        Some(Spoil::Expire) => return expired(),
        Some(Spoil::Delay(delay)) => tokio::time::sleep(delay).await,
        Some(Spoil::LoseReply) | None => {}
    }
    if let Some((When::Before, sprung)) = &stop {
        shared.stop();
        sprung.cancel();
    }
    // What came in before the world stopped goes no further either.
    if shared.stopped.load(Ordering::SeqCst) {
        return silence().await;
    }
    if stop.is_some() {
        shared.stop();
    }
    let answer = forward(&shared.upstream, request).await;
    shared.inner.lock().unwrap().calls[place].code = Some(answer.status().as_u16());
    match stop {
        Some((When::Answered, sprung)) => return told_after(answer, sprung),
        Some((When::Before | When::Stored, sprung)) => {
            sprung.cancel();
            return silence().await;
        }
        None => {}
    }
    match spoil {
        // A body that breaks off is an answer that never came whole.
        Some(Spoil::LoseReply) => {
            let lost = async { Err::<Bytes, _>(std::io::Error::other("lost")) };
            Response::new(Body::from_stream(futures::stream::once(lost)))
        }
        _ => answer,
    }
}

/// The answer, and word of it once the whole of it was sent.
fn told_after(answer: Response, sprung: CancellationToken) -> Response {
    let (parts, body) = answer.into_parts();
    let end = futures::stream::once(async move {
        sprung.cancel();
        Ok(Bytes::new())
    });
    Response::from_parts(parts, Body::from_stream(body.into_data_stream().chain(end)))
}

async fn silence() -> Response {
    std::future::pending().await
}

fn refused(code: u16) -> Response {
    let reason = match code {
        403 => "Forbidden",
        409 => "Conflict",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        _ => "InternalError",
    };
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "spoilt by a test",
        "reason": reason, "code": code, "details": { "retryAfterSeconds": u8::from(code == 429) },
    });
    (StatusCode::from_u16(code).unwrap(), axum::Json(status)).into_response()
}

fn expired() -> Response {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "too old",
        "reason": "Expired", "code": 410,
    });
    axum::Json(json!({ "type": "ERROR", "object": status })).into_response()
}

async fn forward(upstream: &Client, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    // The client sets its own.
    for name in [header::HOST, header::CONNECTION, header::CONTENT_LENGTH, header::TRANSFER_ENCODING] {
        parts.headers.remove(name);
    }
    let Ok(body) = body.collect().await else { return StatusCode::BAD_REQUEST.into_response() };
    let request = Request::from_parts(parts, kube::client::Body::from(body.to_bytes().to_vec()));
    let Ok(answer) = upstream.send(request).await else { return StatusCode::BAD_GATEWAY.into_response() };
    let (mut parts, body) = answer.into_parts();
    for name in [header::CONNECTION, header::CONTENT_LENGTH, header::TRANSFER_ENCODING] {
        parts.headers.remove(name);
    }
    let stream = body.into_data_stream().map(|chunk| chunk.map_err(std::io::Error::other));
    Response::from_parts(parts, Body::from_stream(stream))
}
