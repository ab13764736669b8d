//! The matches of App Mesh, in gateway routes and in virtual routers.

use http::Method;

use super::Reason;
use crate::dataplane::{
    matching::{HeaderMatch, HeaderTest, HostMatch, Match, PathMatch, Pattern, QueryMatch, QueryTest},
    raw::{Header, HeaderValue, Hostname, Matcher, Query},
    settings,
    table::Protocol,
};

/// Reads a match, which may be without any test.
pub(super) fn matcher(raw: Matcher, protocol: Protocol) -> Result<Match, Reason> {
    let grpc = protocol == Protocol::Grpc;
    if grpc && (raw.prefix.is_some() || raw.path.is_some() || raw.method.is_some()) {
        return Err(Reason::Conflict("a grpcRoute matches serviceName, hostname and metadata"));
    }
    if !grpc && (raw.service_name.is_some() || raw.method_name.is_some() || !raw.metadata.is_empty()) {
        return Err(Reason::Conflict("serviceName, methodName and metadata belong to a grpcRoute"));
    }
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
    let headers = raw.headers.into_iter().chain(raw.metadata);
    Ok(Match {
        method: raw.method.map(method).transpose()?,
        hostname: raw.hostname.map(hostname).transpose()?,
        path,
        headers: headers.map(header).collect::<Result<_, _>>()?,
        query: raw.query_parameters.into_iter().map(query).collect(),
        port: raw.port,
    })
}

pub(super) fn method(name: String) -> Result<Method, Reason> {
    Method::from_bytes(name.as_bytes()).map_err(|_| Reason::Method(name))
}

pub(super) fn pattern(field: &'static str, source: &str) -> Result<Pattern, Reason> {
    Pattern::new(source).map_err(|source| Reason::Regex { field, source })
}

fn hostname(raw: Hostname) -> Result<HostMatch, Reason> {
    if [&raw.exact, &raw.suffix].into_iter().flatten().any(|host| host.contains('*')) {
        return Err(Reason::Conflict(
            "match.hostname takes a host as exact, or the end of one as suffix, and no *",
        ));
    }
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

fn query(raw: Query) -> QueryMatch {
    let exact = raw.r#match.and_then(|test| test.exact);
    QueryMatch { name: raw.name, test: exact.map_or(QueryTest::Present, QueryTest::Exact) }
}
