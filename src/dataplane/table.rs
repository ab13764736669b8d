//! The table itself: ordered routes, and the weighted choice among a route's destinations.

use std::{collections::BTreeSet, time::Duration};

use super::{
    matching::{Match, RequestParts},
    rewrite::{HeaderChanges, Rewrite},
};

/// Routes in the order in which a gateway tries them; the first that matches is taken.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// Ordered by priority (lower first), then the more specific match, then the older object (Gateway API), then
    /// namespace and name, then as the object lists them.
    pub routes: Vec<Route>,
}

/// A `GatewayRoute`, a route of the virtual router behind one, or a match of an `HTTPRoute` or `GRPCRoute`, ready to be
/// obeyed.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// `metadata.name` of the object.
    pub name: String,
    /// `metadata.namespace` of the object.
    pub namespace: String,
    /// 0–1000; the lower number is tried first. 1000 where the kind has none.
    pub priority: u16,
    /// What its destinations speak.
    pub protocol: Protocol,
    /// Which requests it takes.
    pub matcher: Match,
    /// What these must pass as well once their path is rewritten: the tests of the virtual routers behind the route.
    pub onward: Vec<Match>,
    /// Where they go, in the object's order; weights are relative and may all be zero.
    pub destinations: Vec<Destination>,
    /// Who gets copies of them, and answers nobody.
    pub mirrors: Vec<Mirror>,
    /// How path and host change on the way.
    pub rewrite: Rewrite,
    /// How headers change on the way.
    pub headers: HeaderChanges,
    /// How long a request may take.
    pub timeout: Timeout,
    /// When a failed attempt is made again; absent: never.
    pub retry: Option<Retry>,
}

/// One weighted entry of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The virtual node behind the virtual service, the virtual service itself where nothing is known of it, or the
    /// Service; as the object names it, such as `color-app-v1.default`.
    pub target: String,
    /// The namespace the target is looked up in.
    pub namespace: String,
    /// The full name of the virtual service it was reached by, where that is not the target itself.
    pub virtual_service: Option<String>,
    /// The port, where the entry names one.
    pub port: Option<u16>,
    /// Its share is this over the sum of the route's weights.
    pub weight: u32,
}

/// Copies of some requests of a route go here as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// Where to; its weight says nothing.
    pub to: Destination,
    /// How many are copied: each with this chance, in millionths.
    pub millionths: u32,
}

/// What the destinations of a route speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http,
    /// HTTP/2 without TLS.
    Http2,
    /// gRPC, over HTTP/2 without TLS.
    Grpc,
}

/// Limits of one request. `None` means no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeout {
    /// From the request to the end of the response, retries included; 15 s by default.
    pub per_request: Option<Duration>,
    /// Between two pieces of the response, and before the first; 300 s by default.
    pub idle: Option<Duration>,
}

/// When a failed attempt is made again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Attempts after the first.
    pub max: u32,
    /// Limit of each attempt; absent: only the request's limit.
    pub per_try_timeout: Option<Duration>,
    /// The failures that count.
    pub on: BTreeSet<RetryOn>,
}

/// A failure that may be retried, in App Mesh's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RetryOn {
    /// `server-error`: 500–599, a reset or no answer.
    ServerError,
    /// `gateway-error`: 502, 503, 504 or a reset.
    GatewayError,
    /// `client-error`: 409.
    ClientError,
    /// `stream-error`: the destination refused the stream.
    StreamError,
    /// `connection-error`: no connection could be made.
    ConnectionError,
    /// gRPC status 1.
    Cancelled,
    /// gRPC status 4.
    DeadlineExceeded,
    /// gRPC status 13.
    Internal,
    /// gRPC status 8.
    ResourceExhausted,
    /// gRPC status 14.
    Unavailable,
}

impl Table {
    /// The route that takes a request.
    pub fn route(&self, request: &RequestParts<'_>) -> Option<&Route> {
        self.routes.iter().find(|route| route.takes(request))
    }
}

impl Route {
    /// Whether it takes a request.
    pub fn takes(&self, request: &RequestParts<'_>) -> bool {
        if !self.matcher.matches(request) {
            return false;
        }
        let path = self.rewrite.path.apply(request.path);
        let request = RequestParts { path: &path, ..*request };
        self.onward.iter().all(|matcher| matcher.matches(&request))
    }

    /// The destination for a roll, which should be uniform over all of `u64`; none where all weights are zero.
    pub fn pick(&self, roll: u64) -> Option<&Destination> {
        let total: u64 = self.destinations.iter().map(|entry| u64::from(entry.weight)).sum();
        let mut rest = roll.checked_rem(total)?;
        self.destinations.iter().find(|entry| {
            let weight = u64::from(entry.weight);
            let hit = rest < weight;
            rest = rest.saturating_sub(weight);
            hit
        })
    }
}

impl Mirror {
    /// So many millionths are all.
    pub const ALL: u32 = 1_000_000;

    /// Copies to a destination of so many requests in a hundred; of more than all there are none.
    pub fn percent(to: Destination, percent: u32) -> Self {
        Self { to, millionths: percent.min(100) * (Self::ALL / 100) }
    }

    /// Whether a request is copied, for a roll, which should be uniform over all of `u64`.
    pub fn takes(&self, roll: u64) -> bool {
        roll % u64::from(Self::ALL) < u64::from(self.millionths)
    }
}

impl Destination {
    /// The target's full name, `<name>.<namespace>`, App Mesh's default. A name that has a dot is taken as full.
    pub fn service(&self) -> String {
        if self.target.contains('.') {
            self.target.clone()
        } else {
            format!("{}.{}", self.target, self.namespace)
        }
    }

    /// The host that stands for it under [`HostRewrite::Target`](super::HostRewrite::Target).
    pub fn host(&self) -> String {
        self.virtual_service.clone().unwrap_or_else(|| self.service())
    }
}

impl Protocol {
    /// The blocks of App Mesh's routes, each with what is spoken behind it.
    pub(super) const BLOCKS: [(&'static str, Self); 3] =
        [("httpRoute", Self::Http), ("http2Route", Self::Http2), ("grpcRoute", Self::Grpc)];

    /// App Mesh's word for it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Http2 => "http2",
            Self::Grpc => "grpc",
        }
    }
}

impl Default for Timeout {
    fn default() -> Self {
        Self { per_request: Some(Duration::from_secs(15)), idle: Some(Duration::from_mins(5)) }
    }
}
