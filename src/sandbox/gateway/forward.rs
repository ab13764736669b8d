//! One request: its route, its attempts, its answer.

use std::{net::SocketAddr, pin::Pin, sync::Arc, sync::atomic::Ordering::Relaxed, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header, request::Parts};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use tokio::time::{Sleep, sleep};

use super::{
    Shared,
    body::{Done, Limited},
    local::{Local, local},
};
use crate::{
    dataplane::{Destination, HostRewrite, Protocol, RequestParts, Retry, RetryOn, Route, is_grpc},
    sandbox::{
        serve::{Body, full},
        stats::ClusterStats,
    },
};

/// A request body up to this size is kept, so that it can be sent again; a larger or unmeasured one is sent once.
const REPLAY_LIMIT: u64 = 64 * 1024;
/// Mean wait before a first retry, as in Envoy.
const BACKOFF: Duration = Duration::from_millis(25);
/// These speak of one connection and must not be passed on.
const HOP_BY_HOP: [&str; 7] =
    ["connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"];

/// What an attempt came to.
enum Outcome {
    Answer(Response<Incoming>),
    /// No connection.
    Refused,
    /// The connection ended before an answer.
    Reset,
    TryTimeout,
    Deadline,
    /// Nothing came for too long.
    Idle,
}

/// What is left of a request's time.
struct Left {
    deadline: Option<Pin<Box<Sleep>>>,
    /// Until the answer begins.
    idle: Option<Pin<Box<Sleep>>>,
}

/// A request body that is sent once or many times.
enum Payload {
    Kept(Bytes),
    Once(Option<Body>),
}

pub(super) async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Response<Body> {
    let grpc = is_grpc(request.headers());
    let mut response = route(&shared, request).await;
    if let Some(local) = response.extensions_mut().remove::<Local>()
        && grpc
    {
        response = local.to_call();
    }
    shared.stats.downstream.add(response.status());
    response
}

async fn route(shared: &Arc<Shared>, request: Request<Incoming>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let active = shared.active.borrow().clone();
    let Some(route) = active.table.route(&seen(&parts, shared.config.port)) else {
        return local(StatusCode::NOT_FOUND, "no route takes this request\n");
    };
    let Some(chosen) = route.pick(shared.roll()) else {
        return local(StatusCode::SERVICE_UNAVAILABLE, "the route gives no destination any weight\n");
    };
    let at = active.table.routes.iter().position(|other| std::ptr::eq(other, route));
    let entry = route.destinations.iter().position(|other| std::ptr::eq(other, chosen));
    let clusters = at.and_then(|at| active.clusters.get(at));
    let stats = clusters.zip(entry).and_then(|(clusters, entry)| clusters.destinations.get(entry));
    let (Some(clusters), Some(stats)) = (clusters, stats) else {
        return local(StatusCode::SERVICE_UNAVAILABLE, "the destination has no cluster\n");
    };
    let payload = payload(body, route.retry.is_some() || !route.mirrors.is_empty()).await;
    if let Payload::Kept(bytes) = &payload {
        for (mirror, stats) in route.mirrors.iter().zip(&clusters.mirrors) {
            if mirror.takes(shared.roll()) {
                let copy = Copy {
                    shared: Arc::clone(shared),
                    route: Route { retry: None, ..route.clone() },
                    to: mirror.to.clone(),
                    stats: Arc::clone(stats),
                    parts: parts.clone(),
                };
                tokio::spawn(copy.send(bytes.clone()));
            }
        }
    }
    let response = Call { shared, route, chosen, stats, parts }.run(payload).await;
    stats.answers.add(response.status());
    response
}

/// Its host; HTTP/2 tells it as the authority.
fn host(parts: &Parts) -> &str {
    let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    host.or_else(|| parts.uri.authority().map(http::uri::Authority::as_str)).unwrap_or_default()
}

fn seen(parts: &Parts, port: u16) -> RequestParts<'_> {
    RequestParts {
        method: &parts.method,
        host: host(parts),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        headers: &parts.headers,
        port,
    }
}

async fn payload(body: Incoming, replay: bool) -> Payload {
    if body.is_end_stream() {
        return Payload::Kept(Bytes::new());
    }
    if replay && body.size_hint().exact().is_some_and(|size| size <= REPLAY_LIMIT) {
        return match body.collect().await {
            Ok(body) => Payload::Kept(body.to_bytes()),
            // The client went away: the attempt fails with its body missing, and nobody reads the answer.
            Err(_) => Payload::Once(None),
        };
    }
    Payload::Once(Some(body.map_err(Into::into).boxed()))
}

impl Payload {
    fn take(&mut self) -> Option<Body> {
        match self {
            Self::Kept(bytes) => Some(full(bytes.clone())),
            Self::Once(body) => body.take(),
        }
    }

    fn again(&self) -> bool {
        matches!(self, Self::Kept(_))
    }
}

/// A copy of a request for a mirror: it is sent once, and its answer is dropped. As in Envoy it is counted where it goes,
/// and nobody waits for it. Of a request whose body is too large to be kept there is none.
struct Copy {
    shared: Arc<Shared>,
    route: Route,
    to: Destination,
    stats: Arc<ClusterStats>,
    parts: Parts,
}

impl Copy {
    async fn send(self, body: Bytes) {
        let Self { shared, route, to, stats, parts } = self;
        let call = Call { shared: &shared, route: &route, chosen: &to, stats: &stats, parts };
        let answer = call.run(Payload::Kept(body)).await;
        stats.answers.add(answer.status());
        // What is left unread would end the connection; a broken answer is no concern of anybody's.
        let _ = answer.into_body().collect().await;
    }
}

struct Call<'a> {
    shared: &'a Shared,
    route: &'a Route,
    chosen: &'a Destination,
    stats: &'a Arc<ClusterStats>,
    parts: Parts,
}

impl Call<'_> {
    async fn run(self, mut payload: Payload) -> Response<Body> {
        let started = self.shared.clock.now();
        let timer = |limit: Duration| Box::pin(sleep(limit));
        let timeout = self.route.timeout;
        let mut left = Left { deadline: timeout.per_request.map(timer), idle: timeout.idle.map(timer) };
        let mut attempt = 0;
        loop {
            let outcome = match payload.take() {
                Some(body) => self.attempt(body, &mut left).await,
                None => Outcome::Reset,
            };
            let retry = self.route.retry.as_ref();
            let retry =
                retry.filter(|retry| payload.again() && attempt < retry.max && outcome.retriable(retry));
            if retry.is_some() {
                self.stats.retried.add(outcome.status());
                self.stats.retries.fetch_add(1, Relaxed);
                attempt += 1;
                let Some(ended) = self.back_off(attempt, &mut left).await else { continue };
                return self.finish(ended, left, started);
            }
            return self.finish(outcome, left, started);
        }
    }

    /// Waits a random time that doubles with the attempts; what the request comes to if its time ran out.
    async fn back_off(&self, attempt: u32, left: &mut Left) -> Option<Outcome> {
        let most = BACKOFF.saturating_mul(1 << attempt.min(4));
        let share = self.shared.roll() as f64 / u64::MAX as f64;
        tokio::select! {
            ended = left.is_over() => Some(ended),
            () = sleep(most.mul_f64(share)) => None,
        }
    }

    async fn attempt(&self, body: Body, left: &mut Left) -> Outcome {
        let addresses = self.shared.endpoints.of(self.chosen);
        let at = self.shared.roll().checked_rem(addresses.len() as u64).unwrap_or_default();
        let Some(address) = usize::try_from(at).ok().and_then(|at| addresses.get(at)) else {
            return Outcome::Refused;
        };
        let http2 = self.shared.endpoints.spoken(self.chosen, self.route.protocol) != Protocol::Http;
        let Some(request) = self.request(*address, http2, body) else {
            return Outcome::Reset;
        };
        let answer = if http2 {
            self.shared.http2.to(*address).request(request)
        } else {
            self.shared.http1.request(request)
        };
        let per_try = self.route.retry.as_ref().and_then(|retry| retry.per_try_timeout);
        let mut per_try = per_try.map(|limit| Box::pin(sleep(limit)));
        let outcome = tokio::select! {
            answer = answer => match answer {
                Ok(response) => Outcome::Answer(response),
                Err(error) if error.is_connect() => Outcome::Refused,
                Err(_) => Outcome::Reset,
            },
            ended = left.is_over() => ended,
            () = expiry(&mut per_try) => Outcome::TryTimeout,
        };
        if !matches!(outcome, Outcome::Refused) {
            self.stats.sent.fetch_add(1, Relaxed);
        }
        if matches!(outcome, Outcome::TryTimeout) {
            self.stats.try_timeouts.fetch_add(1, Relaxed);
        }
        outcome
    }

    fn request(&self, address: SocketAddr, http2: bool, body: Body) -> Option<Request<Body>> {
        let path = self.route.rewrite.path.apply(self.parts.uri.path());
        let query = self.parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        let host = match &self.route.rewrite.host {
            HostRewrite::Keep => host(&self.parts).to_owned(),
            HostRewrite::Target => self.chosen.host(),
            HostRewrite::Exact(host) => host.clone(),
        };
        let authority = if http2 { host.clone() } else { address.to_string() };
        let uri: Uri = format!("http://{authority}{path}{query}").parse().ok()?;
        let mut request = Request::new(body);
        *request.method_mut() = self.parts.method.clone();
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        *headers = passed_on(&self.parts.headers);
        if http2 {
            headers.remove(header::HOST);
        } else {
            headers.insert(header::HOST, HeaderValue::from_str(&host).ok()?);
        }
        if http2 && takes_trailers(&self.parts.headers) {
            headers.insert(header::TE, HeaderValue::from_static("trailers"));
        }
        self.route.headers.apply(headers);
        Some(request)
    }

    fn finish(&self, outcome: Outcome, left: Left, started: jiff::Timestamp) -> Response<Body> {
        match outcome {
            Outcome::Answer(response) => {
                let (mut parts, body) = response.into_parts();
                parts.headers = passed_on(&parts.headers);
                let done = Done { stats: self.stats.clone(), clock: self.shared.clock, started };
                let body = Limited::new(body, left.deadline, self.route.timeout.idle, done);
                Response::from_parts(parts, body.boxed())
            }
            Outcome::Refused => {
                local(outcome.status(), "the destination has no endpoint that takes connections\n")
            }
            Outcome::Reset => local(outcome.status(), "the destination ended the connection\n"),
            Outcome::TryTimeout | Outcome::Idle => local(outcome.status(), "the destination took too long\n"),
            Outcome::Deadline => {
                self.stats.timeouts.fetch_add(1, Relaxed);
                local(outcome.status(), "the destination took too long\n")
            }
        }
    }
}

impl Left {
    /// What it comes to once it has run out.
    async fn is_over(&mut self) -> Outcome {
        tokio::select! {
            () = expiry(&mut self.deadline) => Outcome::Deadline,
            () = expiry(&mut self.idle) => Outcome::Idle,
        }
    }
}

impl Outcome {
    fn status(&self) -> StatusCode {
        match self {
            Self::Answer(response) => response.status(),
            Self::Refused | Self::Reset => StatusCode::SERVICE_UNAVAILABLE,
            Self::TryTimeout | Self::Deadline | Self::Idle => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    fn retriable(&self, retry: &Retry) -> bool {
        retry.on.iter().any(|on| self.is(*on))
    }

    fn is(&self, on: RetryOn) -> bool {
        let answer = match self {
            Self::Answer(response) => response,
            Self::Refused => {
                return matches!(on, RetryOn::ServerError | RetryOn::GatewayError | RetryOn::ConnectionError);
            }
            Self::Reset | Self::TryTimeout => {
                return matches!(on, RetryOn::ServerError | RetryOn::GatewayError);
            }
            Self::Deadline | Self::Idle => return false,
        };
        let grpc = |code: &str| answer.headers().get("grpc-status").is_some_and(|status| status == code);
        match on {
            RetryOn::ServerError => answer.status().is_server_error(),
            RetryOn::GatewayError => matches!(answer.status().as_u16(), 502..=504),
            RetryOn::ClientError => answer.status() == StatusCode::CONFLICT,
            RetryOn::StreamError | RetryOn::ConnectionError => false,
            RetryOn::Cancelled => grpc("1"),
            RetryOn::DeadlineExceeded => grpc("4"),
            RetryOn::ResourceExhausted => grpc("8"),
            RetryOn::Internal => grpc("13"),
            RetryOn::Unavailable => grpc("14"),
        }
    }
}

/// Ends when the timer does; never without one.
async fn expiry(timer: &mut Option<Pin<Box<Sleep>>>) {
    match timer {
        Some(timer) => timer.as_mut().await,
        None => std::future::pending().await,
    }
}

fn passed_on(headers: &HeaderMap) -> HeaderMap {
    let mut passed = headers.clone();
    for name in HOP_BY_HOP {
        passed.remove(name);
    }
    passed
}

/// Whether who asks takes trailers. That is of one connection too, but a gRPC server wants to be told.
fn takes_trailers(headers: &HeaderMap) -> bool {
    headers.get_all(header::TE).iter().any(|value| value == "trailers")
}
