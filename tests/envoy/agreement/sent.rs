//! Requests and what comes of them; routes that lead to `v1`.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tidegate::clock::Clock;
use tokio::net::TcpStream;

use super::echo::FROM;
use crate::gateway::object;

/// More than any limit of a route here and what a busy machine adds, and less than a backend that stalls takes.
const SOON: Duration = Duration::from_secs(15);

/// Headers of a request.
pub type Headers = &'static [(&'static str, &'static str)];
/// A request: method, path with query, headers.
pub type Plain = (&'static str, &'static str, Headers);

/// A request to a gateway.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    method: &'static str,
    path: &'static str,
    headers: Headers,
    /// Whether it is sent by HTTP/2.
    http2: bool,
    /// At which of the gateway's ports.
    pub port: usize,
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Came {
    pub status: u16,
    /// Which backend answered, and what it said; nothing where the gateway answered by itself, whose words are its own affair.
    pub seen: Option<String>,
    /// gRPC's status, in headers or in trailers.
    pub call: Option<(String, &'static str)>,
    /// Whether the answer came to its end.
    whole: bool,
    /// Whether it did so, or broke off, long before a backend that stalls would have answered.
    soon: bool,
}

impl From<Plain> for Sent {
    fn from((method, path, headers): Plain) -> Self {
        Self { method, path, headers, http2: false, port: 0 }
    }
}

impl Sent {
    pub fn get(path: &'static str, headers: Headers) -> Self {
        ("GET", path, headers).into()
    }

    /// A gRPC call, unless the headers say otherwise.
    pub fn call(path: &'static str, headers: Headers) -> Self {
        Self { http2: true, ..("POST", path, headers).into() }
    }

    pub fn http2(self) -> Self {
        Self { http2: true, ..self }
    }

    pub fn at(self, port: usize) -> Self {
        Self { port, ..self }
    }

    fn header(&self, name: &str) -> Option<&'static str> {
        self.headers.iter().find(|(own, _)| *own == name).map(|(_, value)| *value)
    }

    fn request(&self, id: &str) -> Request<Full<Bytes>> {
        let host = self.header("host").unwrap_or("gateway.example");
        let method: Method = self.method.parse().unwrap();
        // Of a message as gRPC frames it; what it is to others does not matter.
        let body: &[u8] = if method == Method::POST { b"\0\0\0\0\x05hello" } else { b"" };
        let uri = if self.http2 { format!("http://{host}{}", self.path) } else { self.path.to_owned() };
        let mut request = Request::builder().method(method).uri(uri).header("x-id", id);
        if !self.http2 {
            request = request.header("host", host);
        }
        for (name, value) in self.headers.iter().filter(|(name, _)| *name != "host") {
            request = request.header(*name, *value);
        }
        request.body(Full::new(Bytes::from_static(body))).unwrap()
    }

    /// Sends it to a gateway.
    pub async fn send(&self, to: SocketAddr, id: &str) -> Came {
        let clock = Clock::start();
        let stream = TokioIo::new(TcpStream::connect(to).await.unwrap());
        let request = self.request(id);
        let response = if self.http2 {
            let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
            tokio::spawn(connection);
            sender.send_request(request).await
        } else {
            let (mut sender, connection) = http1::handshake(stream).await.unwrap();
            tokio::spawn(connection);
            sender.send_request(request).await
        };
        Came::of(response.unwrap(), clock).await
    }
}

impl Came {
    async fn of(response: Response<Incoming>, clock: Clock) -> Self {
        let (parts, mut body) = response.into_parts();
        let text = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
        let mut call = parts.headers.get("grpc-status").map(|status| (text(status), "headers"));
        let (mut said, mut whole) = (Vec::new(), true);
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) if frame.is_data() => said.extend(frame.into_data().unwrap()),
                Ok(frame) => {
                    let trailers = frame.into_trailers().unwrap();
                    call = trailers.get("grpc-status").map(|status| (text(status), "trailers")).or(call);
                }
                Err(_) => {
                    whole = false;
                    break;
                }
            }
        }
        let from = parts.headers.get(FROM).map(text);
        // Before a call's answer is how long it is.
        let said = if call.is_some() { said.get(5..).unwrap_or_default() } else { &said };
        let said = String::from_utf8_lossy(said);
        let seen = from.map(|from| format!("{from}: {said}"));
        let soon = clock.elapsed() < SOON;
        Self { status: parts.status.as_u16(), seen, call, whole, soon }
    }
}

pub fn to(service: &str) -> Value {
    json!({"virtualServiceRef": {"name": service}})
}

/// In AWS's shape, with AWS's defaults.
pub fn flat(name: &str, matcher: Value, rewrite: Value, more: Value) -> Value {
    let mut action = json!({"target": to("v1")});
    if !rewrite.is_null() {
        action["rewrite"] = rewrite;
    }
    let mut block = json!({"match": matcher, "action": action});
    for (field, value) in more.as_object().into_iter().flatten() {
        block[field] = value.clone();
    }
    object(name, json!({"httpRoute": block}))
}

/// In the dialect, which keeps path and host.
pub fn kept(name: &str, matcher: Value) -> Value {
    kept_with(name, matcher, json!({}))
}

/// The same with more beside its match.
pub fn kept_with(name: &str, matcher: Value, more: Value) -> Value {
    let mut block = json!({"match": matcher, "action": {"target": to("v1")}});
    for (field, value) in more.as_object().into_iter().flatten() {
        block[field] = value.clone();
    }
    object(name, json!({"routeSpec": {"httpRoute": block}}))
}

pub fn prioritized(mut route: Value, priority: u16) -> Value {
    route["spec"]["priority"] = json!(priority);
    route
}
