//! The ports of a gateway.

use serde::Deserialize;
use serde_json::Value;

use super::{
    cluster::Limits,
    raw,
    tls::{self, ServerTls},
};
use crate::dataplane::{compile::Reason, table::Protocol};

/// A port of a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The port.
    pub port: u16,
    /// What clients speak there: HTTP/1.1 and, where they ask for it, HTTP/2; or HTTP/2 alone, and gRPC over it.
    pub protocol: Protocol,
    /// How it is encrypted; absent: not at all.
    pub tls: Option<ServerTls>,
}

/// A listener, and how much it lets through to each cluster at once.
pub(super) struct Read {
    pub(super) listener: Listener,
    pub(super) limits: Limits,
}

/// Reads one. A gateway's own health check is for the load balancer before it, which asks by itself.
pub(super) fn read(value: &Value) -> Result<Read, Reason> {
    let raw = raw::Listener::deserialize(value)
        .map_err(|source| Reason::Malformed { field: "listeners[]".to_owned(), source })?;
    let protocol =
        spoken(raw.port_mapping.protocol).ok_or(Reason::Unsupported("a tcp listener of a gateway"))?;
    let tls = raw.tls.map(tls::server).transpose()?.flatten();
    let limits = limits(raw.connection_pool);
    Ok(Read { listener: Listener { port: raw.port_mapping.port, protocol, tls }, limits })
}

/// What is spoken over HTTP; none where it is not HTTP.
pub(super) fn spoken(raw: raw::Spoken) -> Option<Protocol> {
    match raw {
        raw::Spoken::Http => Some(Protocol::Http),
        raw::Spoken::Http2 => Some(Protocol::Http2),
        raw::Spoken::Grpc => Some(Protocol::Grpc),
        raw::Spoken::Tcp => None,
    }
}

/// The limits of a connection pool.
pub(super) fn limits(pool: Option<raw::ConnectionPool>) -> Limits {
    let Some(raw::ConnectionPool { http, http2, grpc, tcp }) = pool else { return Limits::default() };
    Limits {
        connections: http.map(|pool| pool.max_connections).or(tcp.map(|pool| pool.max_connections)),
        pending: http.and_then(|pool| pool.max_pending_requests),
        requests: http2.or(grpc).map(|pool| pool.max_requests),
    }
}
