//! From `GatewayRoute` objects to the table of one gateway.

use http::Method;
use serde::Deserialize;
use serde_json::Value;

use super::{
    matching::{HeaderMatch, HeaderTest, HostMatch, Match, PathMatch, Pattern, QueryMatch},
    raw::{Action, Block, Header, HeaderValue, Hostname, Matcher, ServiceRef, VirtualService},
    settings,
    table::{Destination, Protocol, Route, Table},
};

/// The gateway whose routes are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayRef {
    /// Compared with `virtualGatewayRef.name`.
    pub name: String,
    /// Compared with `virtualGatewayRef.namespace`, which defaults to the route's own.
    pub namespace: String,
    /// Whether it also serves routes without a `virtualGatewayRef`. AWS's webhook fills that field; where the webhook
    /// is absent, the flat shape arrives without one.
    pub takes_unclaimed: bool,
}

/// What became of the objects that name the gateway.
#[derive(Debug, Default)]
pub struct Compiled {
    /// The routes that are served.
    pub table: Table,
    /// Those left out, in the order given.
    pub rejected: Vec<Rejected>,
}

/// An object that could not be compiled.
#[derive(Debug)]
pub struct Rejected {
    /// `metadata.name`; empty where there is none.
    pub name: String,
    /// `metadata.namespace`; empty where there is none.
    pub namespace: String,
    /// Why.
    pub reason: Reason,
}

/// Why an object could not be compiled.
#[derive(Debug, thiserror::Error)]
pub enum Reason {
    /// A needed field is absent.
    #[error("the route needs {0}")]
    Missing(&'static str),
    /// Fields that do not go together.
    #[error("{0}")]
    Conflict(&'static str),
    /// A field that is unknown or has the wrong type.
    #[error("cannot read spec.{field}: {source}")]
    Malformed {
        /// The block it is in.
        field: String,
        /// What the decoder says.
        source: serde_json::Error,
    },
    /// A path that does not start with `/`.
    #[error("{field} must start with /, not be {path:?}")]
    Relative {
        /// The field.
        field: &'static str,
        /// What it says.
        path: String,
    },
    /// A pattern that cannot be compiled.
    #[error("{field} is no regular expression: {source}")]
    Regex {
        /// The field.
        field: &'static str,
        /// What the pattern compiler says.
        source: regex::Error,
    },
    /// A priority outside 0–1000.
    #[error("the priority must be a whole number from 0 to 1000")]
    Priority,
    /// An unknown method.
    #[error("match.method {0:?} is no HTTP method")]
    Method(String),
    /// An unknown retry event.
    #[error("the retry event {0:?} is not known")]
    RetryEvent(String),
    /// A target outside the cluster.
    #[error("a virtualServiceARN names nothing that can be found in the cluster; use virtualServiceRef")]
    Arn,
    /// A number of weighted entries outside 1–10.
    #[error("the route lists {0} weighted targets; 1 to 10 are allowed")]
    Entries(usize),
}

/// Compiles the objects that name `gateway`; others are passed over in silence.
pub fn compile<'a>(gateway: &GatewayRef, objects: impl IntoIterator<Item = &'a Value>) -> Compiled {
    let mut routes = Vec::new();
    let mut rejected = Vec::new();
    for object in objects.into_iter().filter(|object| gateway.takes(object)) {
        let text = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (name, namespace) = (text("/metadata/name"), text("/metadata/namespace"));
        match route(&name, &namespace, object) {
            Ok(route) => routes.push(route),
            Err(reason) => rejected.push(Rejected { name, namespace, reason }),
        }
    }
    Compiled { table: Table::new(routes), rejected }
}

impl GatewayRef {
    /// Whether an object names this gateway.
    pub fn takes(&self, object: &Value) -> bool {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let of = |field: &str| {
            let flat = text(&format!("/spec/virtualGatewayRef/{field}"));
            flat.or_else(|| text(&format!("/spec/routeSpec/virtualGatewayRef/{field}")))
        };
        match of("name") {
            None => self.takes_unclaimed,
            Some(name) => {
                let namespace = of("namespace").or_else(|| text("/metadata/namespace"));
                name == self.name && namespace == Some(self.namespace.as_str())
            }
        }
    }
}

fn route(name: &str, namespace: &str, object: &Value) -> Result<Route, Reason> {
    if name.is_empty() || namespace.is_empty() {
        return Err(Reason::Missing("a name and a namespace"));
    }
    let spec = object.get("spec").ok_or(Reason::Missing("spec"))?;
    let (protocol, aws, field, value) = block(spec)?;
    let block = Block::deserialize(value).map_err(|source| Reason::Malformed { field, source })?;
    let matcher = matcher(block.r#match, protocol)?;
    let mut action = block.action;
    let rewrite = settings::rewrite(action.rewrite.take(), &matcher.path, aws)?;
    Ok(Route {
        name: name.to_owned(),
        namespace: namespace.to_owned(),
        priority: priority(spec)?,
        protocol,
        destinations: destinations(action, namespace)?,
        rewrite,
        timeout: settings::timeout(block.timeout.as_ref()),
        retry: block.retry_policy.map(settings::retry).transpose()?,
        matcher,
    })
}

/// The one route block, whether it is in the flat shape, and where it stands.
fn block(spec: &Value) -> Result<(Protocol, bool, String, &Value), Reason> {
    let mut found = Vec::new();
    for (parent, prefix, aws) in [(Some(spec), "", true), (spec.get("routeSpec"), "routeSpec.", false)] {
        for (key, protocol) in
            [("httpRoute", Protocol::Http), ("http2Route", Protocol::Http2), ("grpcRoute", Protocol::Grpc)]
        {
            if let Some(value) = parent.and_then(|parent| parent.get(key)).filter(|value| !value.is_null()) {
                found.push((protocol, aws, format!("{prefix}{key}"), value));
            }
        }
    }
    match found.pop() {
        None => Err(Reason::Missing("one of httpRoute, http2Route and grpcRoute")),
        Some(block) if found.is_empty() => Ok(block),
        Some(_) => Err(Reason::Conflict("httpRoute, http2Route and grpcRoute exclude each other")),
    }
}

fn priority(spec: &Value) -> Result<u16, Reason> {
    let given = |pointer| spec.pointer(pointer).filter(|value| !value.is_null());
    let value = match (given("/priority"), given("/routeSpec/priority")) {
        (None, None) => return Ok(1000),
        (Some(value), None) | (None, Some(value)) => value,
        (Some(_), Some(_)) => return Err(Reason::Conflict("the priority is given twice")),
    };
    let number = value.as_u64().filter(|number| *number <= 1000).ok_or(Reason::Priority)?;
    u16::try_from(number).map_err(|_| Reason::Priority)
}

fn matcher(raw: Matcher, protocol: Protocol) -> Result<Match, Reason> {
    let grpc = protocol == Protocol::Grpc;
    if grpc && (raw.prefix.is_some() || raw.path.is_some() || raw.method.is_some()) {
        return Err(Reason::Conflict("a grpcRoute matches serviceName, hostname and metadata"));
    }
    if !grpc && (raw.service_name.is_some() || raw.method_name.is_some() || !raw.metadata.is_empty()) {
        return Err(Reason::Conflict("serviceName, methodName and metadata belong to a grpcRoute"));
    }
    let has_metadata = !raw.metadata.is_empty();
    let path = match (grpc, raw.prefix, raw.path.map(|path| (path.exact, path.regex))) {
        (true, _, _) => PathMatch::Grpc { service: raw.service_name, method: raw.method_name },
        (false, Some(prefix), None) => PathMatch::Prefix(settings::absolute("match.prefix", prefix)?),
        (false, None, Some((Some(exact), None))) => {
            PathMatch::Exact(settings::absolute("match.path.exact", exact)?)
        }
        (false, None, Some((None, Some(regex)))) => PathMatch::Regex(pattern("match.path.regex", &regex)?),
        (false, None, None) => PathMatch::Any,
        (false, Some(_), Some(_)) => {
            return Err(Reason::Conflict("match.prefix and match.path exclude each other"));
        }
        (false, None, Some(_)) => {
            return Err(Reason::Conflict("match.path takes exactly one of exact and regex"));
        }
    };
    let hostname = raw.hostname.map(hostname).transpose()?;
    let grpc_any = path == PathMatch::Grpc { service: None, method: None } && !has_metadata;
    if hostname.is_none() && (path == PathMatch::Any || grpc_any) {
        return Err(Reason::Missing("a match by path, service or hostname"));
    }
    let method = |name: String| Method::from_bytes(name.as_bytes()).map_err(|_| Reason::Method(name));
    let headers = raw.headers.into_iter().chain(raw.metadata);
    Ok(Match {
        method: raw.method.map(method).transpose()?,
        hostname,
        path,
        headers: headers.map(header).collect::<Result<_, _>>()?,
        query: raw
            .query_parameters
            .into_iter()
            .map(|query| QueryMatch { name: query.name, exact: query.r#match.and_then(|test| test.exact) })
            .collect(),
        port: raw.port,
    })
}

fn hostname(raw: Hostname) -> Result<HostMatch, Reason> {
    match (raw.exact, raw.suffix) {
        (Some(exact), None) => Ok(HostMatch::Exact(exact)),
        (None, Some(suffix)) => Ok(HostMatch::Suffix(suffix)),
        (Some(_), Some(_)) | (None, None) => {
            Err(Reason::Conflict("match.hostname takes exactly one of exact and suffix"))
        }
    }
}

fn header(raw: Header) -> Result<HeaderMatch, Reason> {
    let test = match raw.r#match {
        None => HeaderTest::Present,
        Some(HeaderValue::Exact(value)) => HeaderTest::Exact(value),
        Some(HeaderValue::Prefix(value)) => HeaderTest::Prefix(value),
        Some(HeaderValue::Suffix(value)) => HeaderTest::Suffix(value),
        Some(HeaderValue::Regex(value)) => HeaderTest::Regex(pattern("match.headers[].match.regex", &value)?),
        Some(HeaderValue::Range { start, end }) => HeaderTest::Range { start, end },
    };
    Ok(HeaderMatch { name: raw.name, invert: raw.invert, test })
}

fn pattern(field: &'static str, source: &str) -> Result<Pattern, Reason> {
    Pattern::new(source).map_err(|source| Reason::Regex { field, source })
}

fn destinations(action: Action, namespace: &str) -> Result<Vec<Destination>, Reason> {
    let list = match (action.target, action.weighted_targets, action.targets) {
        (Some(target), None, None) => {
            let service = service(target.virtual_service, target.virtual_service_ref)?;
            return Ok(vec![destination(service, namespace, target.port, 1)]);
        }
        (None, Some(list), None) | (None, None, Some(list)) => list,
        (None, None, None) => return Err(Reason::Missing("action.target or action.weightedTargets")),
        _ => {
            return Err(Reason::Conflict("action takes exactly one of target, weightedTargets and targets"));
        }
    };
    if !(1..=10).contains(&list.len()) {
        return Err(Reason::Entries(list.len()));
    }
    list.into_iter()
        .map(|entry| {
            let service = service(entry.virtual_service, entry.virtual_service_ref)?;
            Ok(destination(service, namespace, entry.port, entry.weight))
        })
        .collect()
}

fn service(nested: Option<VirtualService>, direct: Option<ServiceRef>) -> Result<ServiceRef, Reason> {
    let (reference, arn) = nested.map_or((None, None), |nested| (nested.reference, nested.arn));
    match (direct, reference, arn) {
        (Some(found), None, None) | (None, Some(found), None) => Ok(found),
        (None, None, Some(_)) => Err(Reason::Arn),
        (None, None, None) => Err(Reason::Missing("a virtualServiceRef in each target")),
        _ => Err(Reason::Conflict("a target names its virtual service twice")),
    }
}

fn destination(service: ServiceRef, namespace: &str, port: Option<u16>, weight: u32) -> Destination {
    let namespace = service.namespace.unwrap_or_else(|| namespace.to_owned());
    Destination { target: service.name, namespace, port, weight }
}

#[cfg(test)]
mod tests;
