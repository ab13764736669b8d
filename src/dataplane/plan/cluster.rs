//! What an Envoy connects to.

use std::time::Duration;

use super::tls::ClientTls;
use crate::dataplane::table::Protocol;

/// A virtual node at one of its ports, as a gateway sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// What is spoken there.
    pub protocol: Protocol,
    /// Where it is.
    pub endpoints: Endpoints,
    /// How it is encrypted; absent: not at all.
    pub tls: Option<ClientTls>,
    /// How often it is asked whether it is well; absent: never.
    pub health: Option<HealthCheck>,
    /// How much it is given at once.
    pub limits: Limits,
    /// When one of its endpoints is left alone for a while; absent: never.
    pub outliers: Option<Outliers>,
}

/// Where the endpoints of a cluster are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoints {
    /// DNS tells.
    Dns {
        /// The name that is asked for.
        host: String,
        /// The port at each address.
        port: u16,
        /// Whether every address is an endpoint (`ENDPOINTS`), or each new connection takes what is told then
        /// (`LOADBALANCER`).
        each: bool,
    },
    /// The ready endpoints of a Service.
    Service {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// The port of its pods.
        port: u16,
    },
    /// The pod that the Envoy stands beside, on its loopback address.
    Local {
        /// The port.
        port: u16,
    },
    /// There are none: what is sent there is answered 503.
    Nowhere,
}

/// How a node is asked whether it is well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// What is asked.
    pub probe: Probe,
    /// Another port than that of the traffic.
    pub port: Option<u16>,
    /// How often.
    pub interval: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// So many good answers in a row make it well again.
    pub healthy: u32,
    /// So many bad ones in a row make it unwell.
    pub unhealthy: u32,
}

/// A question to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// `GET` of a path over HTTP/1.1, or HTTP/2, that is answered 200.
    Http {
        /// The path.
        path: String,
        /// Whether it is HTTP/2.
        http2: bool,
    },
    /// The gRPC health service.
    Grpc,
    /// A connection.
    Tcp,
}

/// How much a cluster is given at once; absent: as much as comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Connections.
    pub connections: Option<u32>,
    /// Requests that wait for a connection.
    pub pending: Option<u32>,
    /// Requests.
    pub requests: Option<u32>,
}

/// When an endpoint is left alone for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outliers {
    /// So many answers of 5xx in a row.
    pub errors: u32,
    /// How often they are looked at.
    pub interval: Duration,
    /// For how long at first; each time longer.
    pub ejection: Duration,
    /// At most that share of the endpoints, in percent.
    pub most: u32,
}
