//! Connections: bytes in, bytes out, and everything that can go wrong between by rule.
//!
//! hyper serves each connection directly, because a fault must be able to close one without an answer.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::Inner;
use super::audit::RequestRecord;
use super::failure::Failure;
use super::faults::Effect;
use super::handlers::{self, Reply};
use super::request::ApiRequest;
use super::watching;

/// The largest body taken, as on a real server.
const BODY_LIMIT: usize = 3 * 1024 * 1024;

/// A fault closes the connection instead of answering.
#[derive(Debug, thiserror::Error)]
#[error("the connection is closed without an answer")]
struct ReplyLost;

/// Accepts connections until the server stops; then all of them are closed.
pub(super) async fn accept(server: Arc<Inner>, listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = server.stop.cancelled() => return,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                connections.spawn(serve(server.clone(), stream));
            }
            Err(error) => tracing::warn!(%error, "cannot accept a connection"),
        }
    }
}

async fn serve(server: Arc<Inner>, stream: TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot disable Nagle's algorithm");
    }
    let service = service_fn(|request| answer(server.clone(), request));
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection ended early");
    }
}

async fn answer(server: Arc<Inner>, request: Request<Incoming>) -> Result<Response<Body>, ReplyLost> {
    let (parts, body) = request.into_parts();
    let body = match Limited::new(body, BODY_LIMIT).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return Ok(refusal(&Failure::injected(413))),
    };
    let request = match ApiRequest::new(&parts, body) {
        Ok(request) => request,
        Err(failure) => return Ok(refusal(&failure)),
    };
    let record = request.record(server.clock.now());
    let number = server.audit.arrived(record.clone());
    let effect = server.faults.for_request(&record);
    let injected = match &effect {
        Some(Effect::Conflict) => Some(refusal(&Failure::injected(409))),
        Some(Effect::Expired) if record.verb == "watch" => Some(expired_watch()),
        Some(Effect::Expired) => Some(refusal(&Failure::injected(410))),
        Some(Effect::TooManyRequests { retry_after }) => {
            Some(refusal(&Failure::too_many_requests(*retry_after)))
        }
        Some(Effect::Status(code)) => Some(refusal(&Failure::injected(*code))),
        Some(Effect::Latency(delay)) => {
            tokio::time::sleep(*delay).await;
            None
        }
        Some(Effect::Timeout) => pending().await,
        Some(Effect::LoseReply | Effect::DropWatch | Effect::FreezeWatch) | None => None,
    };
    let response = injected.unwrap_or_else(|| carry_out(&server, &request, record));
    server.audit.answered(number, response.status().as_u16());
    if effect == Some(Effect::LoseReply) { Err(ReplyLost) } else { Ok(response) }
}

fn carry_out(server: &Arc<Inner>, request: &ApiRequest, record: RequestRecord) -> Response<Body> {
    let reply = handlers::handle(&mut server.state(), request);
    match reply {
        Ok(Reply::Json { code, body, warnings }) => with_warnings(json_response(code, &body), &warnings),
        Ok(Reply::Discovery { body, version }) => {
            let type_ =
                format!("application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList");
            respond(200, &type_, body.to_string().into())
        }
        Ok(Reply::Text(text)) => respond(200, "text/plain", text.into()),
        Ok(Reply::Watch(wanted)) => watch_response(watching::body(server.clone(), record, *wanted)),
        Err(failure) => refusal(&failure),
    }
}

fn refusal(failure: &Failure) -> Response<Body> {
    let mut response = match failure.status() {
        Value::String(text) if text.is_empty() => respond(failure.code, "", Body::empty()),
        Value::String(text) => respond(failure.code, "text/plain; charset=utf-8", text.clone().into()),
        status => json_response(failure.code, status),
    };
    response = with_warnings(response, &failure.warnings);
    if let Some(seconds) = failure.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

fn expired_watch() -> Response<Body> {
    let event = json!({"type": "ERROR", "object": Failure::injected(410).status()});
    let chunk = Ok::<_, Infallible>(Bytes::from(format!("{event}\n")));
    watch_response(Body::from_stream(futures::stream::iter([chunk])))
}

fn watch_response(body: Body) -> Response<Body> {
    respond(200, "application/json", body)
}

fn json_response(code: u16, body: &Value) -> Response<Body> {
    respond(code, "application/json", body.to_string().into())
}

fn respond(code: u16, content_type: &str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Ok(value) = HeaderValue::from_str(content_type)
        && !value.is_empty()
    {
        response.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response
}

/// Kubernetes sends warnings as headers; clients print them.
fn with_warnings(mut response: Response<Body>, warnings: &[String]) -> Response<Body> {
    for warning in warnings {
        let quoted = warning.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{quoted}\"")) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
    response
}
