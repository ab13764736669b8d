//! A loopback proxy between the controller and the API server. It remembers every request, spoils those that a test
//! asks to have spoilt, and can stop the world around a chosen write: before it, after it was stored, or after the
//! answer. Where the API server breaks a connection or refuses it, the controller's own is broken off as well.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use axum::{
    body::{Body, Bytes},
    http::{Request, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::{StreamExt, stream};
use http_body_util::BodyExt;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use kube::Client;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::{
    call::{Call, PLANTED, Rule, Spoil, Written},
    lists::Lists,
};

/// Where around a write the world stops.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum When {
    Before,
    Stored,
    Answered,
}

/// A moment in the n-th write of what leaves this, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    pub written: Written,
    pub number: usize,
    pub when: When,
}

/// Stops the world at a moment.
struct Trap {
    moment: Moment,
    left: usize,
    sprung: CancellationToken,
}

#[derive(Default)]
struct Inner {
    calls: Vec<Call>,
    rules: Vec<Rule>,
    trap: Option<Trap>,
    /// Ends the connections that there are.
    connected: CancellationToken,
    /// Silences the watches that are open.
    frozen: CancellationToken,
}

struct Shared {
    upstream: Client,
    inner: Mutex<Inner>,
    /// Nobody is answered any more.
    stopped: AtomicBool,
    lists: Arc<Lists>,
}

/// The connection is broken off instead of an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is broken off")]
struct Broken;

pub struct Proxy {
    url: String,
    shared: Arc<Shared>,
    ended: CancellationToken,
}

impl Proxy {
    /// A proxy to what the client speaks to. The client must not authenticate: callers do that themselves.
    pub async fn start(upstream: Client) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            upstream,
            inner: Mutex::default(),
            stopped: AtomicBool::new(false),
            lists: Arc::default(),
        });
        let ended = CancellationToken::new();
        tokio::spawn(ended.clone().run_until_cancelled_owned(accept(Arc::clone(&shared), listener)));
        Self { url, shared, ended }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn calls(&self) -> Vec<Call> {
        self.shared.inner.lock().unwrap().calls.clone()
    }

    pub fn spoil(&self, rule: Rule) {
        self.shared.spoil(rule);
    }

    /// Whether every rule has spoilt as many requests as it is to, and one at least.
    pub fn has_spoilt(&self) -> bool {
        self.shared.inner.lock().unwrap().rules.iter().all(Rule::is_met)
    }

    /// Everything is passed on untouched from now on.
    pub fn relent(&self) {
        self.shared.inner.lock().unwrap().rules.clear();
        self.shared.stopped.store(false, Ordering::SeqCst);
    }

    /// Breaks all connections off: a watch goes on as long as its connection, whatever has changed meanwhile.
    pub fn disconnect(&self) {
        std::mem::take(&mut self.shared.inner.lock().unwrap().connected).cancel();
    }

    /// The watches that are open stay open and show nothing any more, not even their end. Later ones do.
    pub fn freeze(&self) {
        std::mem::take(&mut self.shared.inner.lock().unwrap().frozen).cancel();
    }

    /// The lists that were answered, to be answered again.
    pub fn lists(&self) -> &Lists {
        &self.shared.lists
    }

    /// The world stops at this moment from now on; what is returned tells when it has.
    pub fn stop_at(&self, moment: Moment) -> CancellationToken {
        let sprung = CancellationToken::new();
        let trap = Trap { moment, left: moment.number, sprung: sprung.clone() };
        self.shared.inner.lock().unwrap().trap = Some(trap);
        sprung
    }

    /// The world no longer stops; whether it had not come to that yet.
    pub fn let_pass(&self) -> bool {
        self.shared.inner.lock().unwrap().trap.take().is_some()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.ended.cancel();
        self.disconnect();
    }
}

/// A request as it was noted.
struct Noted {
    place: usize,
    spoil: Option<Spoil>,
    /// The world stops at it.
    stop: Option<(When, CancellationToken)>,
    /// Where it is a watch, silences it.
    frozen: Option<CancellationToken>,
}

impl Shared {
    fn spoil(&self, rule: Rule) {
        self.inner.lock().unwrap().rules.push(rule);
    }

    fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    /// Notes a request, what is to happen to it, and whether the world stops at it.
    fn note(&self, call: Call) -> Noted {
        let mut inner = self.inner.lock().unwrap();
        let spoil = inner.rules.iter_mut().find_map(|rule| rule.take(&call));
        let mut stop = None;
        if let Some(trap) = inner.trap.as_mut()
            && Written::of(&call) == Some(trap.moment.written)
        {
            trap.left -= 1;
            if trap.left == 0 {
                stop = Some((trap.moment.when, trap.sprung.clone()));
                inner.trap = None;
            }
        }
        let frozen = (call.verb == "watch").then(|| inner.frozen.clone());
        inner.calls.push(call);
        Noted { place: inner.calls.len() - 1, spoil, stop, frozen }
    }

    fn answered(&self, place: usize, answer: &Response) {
        self.inner.lock().unwrap().calls[place].code = Some(answer.status().as_u16());
    }
}

async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let connected = shared.inner.lock().unwrap().connected.clone();
        tokio::spawn(connected.run_until_cancelled_owned(serve(Arc::clone(&shared), stream)));
    }
}

async fn serve(shared: Arc<Shared>, stream: TcpStream) {
    let service = service_fn(move |request| pass(Arc::clone(&shared), request));
    // The controller may go at any time, and what breaks is to break.
    let _ = stream.set_nodelay(true);
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn pass(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response, Broken> {
    if shared.is_stopped() {
        return silence().await;
    }
    let call = Call::parse(&request);
    let Noted { place, spoil, stop, frozen } = shared.note(call.clone());
    let question = request.uri().to_string();
    let in_its_place = match spoil {
        Some(Spoil::Answer(code)) => Some(refused(code)),
        Some(Spoil::Page(code)) => Some(page(code)),
        Some(Spoil::EndWatch) => Some(StatusCode::OK.into_response()),
        Some(Spoil::Expire) => Some(expired()),
        Some(Spoil::Replay(behind)) => {
            if call.verb == "list" {
                shared.spoil(Rule::new(Spoil::Delay(behind)).watching_on().resource(&call.resource).times(1));
            }
            shared.lists.replay(&question, behind)
        }
        Some(Spoil::Delay(delay)) => {
            tokio::time::sleep(delay).await;
            None
        }
        Some(Spoil::LoseReply) | None => None,
    };
    if let Some(answer) = in_its_place {
        shared.answered(place, &answer);
        return Ok(answer);
    }
    if let Some((When::Before, sprung)) = &stop {
        shared.stop();
        sprung.cancel();
        // Whoever was told may have let the world go on by now.
        return silence().await;
    }
    // What came in before the world stopped goes no further either.
    if shared.is_stopped() {
        return silence().await;
    }
    if stop.is_some() {
        shared.stop();
    }
    let answer = forward(&shared.upstream, request).await.map(|answer| {
        shared.answered(place, &answer);
        let answer = shared.lists.keep(question, answer);
        frozen.into_iter().fold(answer, until_frozen)
    });
    match stop {
        Some((When::Answered, sprung)) => return answer.map(|answer| told_after(answer, sprung)),
        Some((When::Before | When::Stored, sprung)) => {
            sprung.cancel();
            return silence().await;
        }
        None => {}
    }
    match spoil {
        Some(Spoil::LoseReply) => answer.map(|_| lost()),
        Some(
            Spoil::Answer(_)
            | Spoil::Page(_)
            | Spoil::EndWatch
            | Spoil::Expire
            | Spoil::Replay(_)
            | Spoil::Delay(_),
        )
        | None => answer,
    }
}

/// An answer that never comes whole: its body breaks off.
fn lost() -> Response {
    let lost = async { Err::<Bytes, _>(std::io::Error::other("lost")) };
    Response::new(Body::from_stream(stream::once(lost)))
}

/// The answer, and word of it once the whole of it was sent.
fn told_after(answer: Response, sprung: CancellationToken) -> Response {
    let (parts, body) = answer.into_parts();
    let end = stream::once(async move {
        sprung.cancel();
        Ok(Bytes::new())
    });
    Response::from_parts(parts, Body::from_stream(body.into_data_stream().chain(end)))
}

/// The answer, silent from the moment on that its watch is frozen.
fn until_frozen(answer: Response, frozen: CancellationToken) -> Response {
    let (parts, body) = answer.into_parts();
    let shown = body.into_data_stream().take_until(frozen.clone().cancelled_owned());
    let end = stream::once(async move {
        if frozen.is_cancelled() {
            return silence().await;
        }
        Ok(Bytes::new())
    });
    Response::from_parts(parts, Body::from_stream(shown.chain(end)))
}

async fn silence<T>() -> T {
    std::future::pending().await
}

fn page(code: u16) -> Response {
    let page = format!("<html><title>{PLANTED}</title><p>Sign in, {PLANTED}, to go on</html>");
    (StatusCode::from_u16(code).unwrap(), [(header::CONTENT_TYPE, "text/html")], page).into_response()
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

/// What the API server answers. Where it does not, its caller fares no better.
async fn forward(upstream: &Client, request: Request<Incoming>) -> Result<Response, Broken> {
    let (mut parts, body) = request.into_parts();
    // The client sets its own.
    for name in [header::HOST, header::CONNECTION, header::CONTENT_LENGTH, header::TRANSFER_ENCODING] {
        parts.headers.remove(name);
    }
    let body = body.collect().await.map_err(|_| Broken)?.to_bytes();
    let request = Request::from_parts(parts, kube::client::Body::from(body.to_vec()));
    let (mut parts, body) = upstream.send(request).await.map_err(|_| Broken)?.into_parts();
    for name in [header::CONNECTION, header::CONTENT_LENGTH, header::TRANSFER_ENCODING] {
        parts.headers.remove(name);
    }
    let stream = body.into_data_stream().map(|chunk| chunk.map_err(std::io::Error::other));
    Ok(Response::from_parts(parts, Body::from_stream(stream)))
}
