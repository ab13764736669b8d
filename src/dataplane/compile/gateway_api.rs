//! `HTTPRoute`s and `GRPCRoute`s: each rule is compiled, or left out, by itself.

mod filters;
mod raw;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use self::{
    filters::Filters,
    raw::{
        BackendRef, Filter, GrpcMatch, GrpcRule, HttpMatch, HttpRule, NameTest, PathKind, TestKind, Timeouts,
    },
};
use super::{
    Found, ObjectRef, Reason,
    matcher::{method, pattern},
};
use crate::dataplane::{
    matching::{HeaderMatch, HeaderTest, HostMatch, Match, PathMatch, QueryMatch, QueryTest},
    settings,
    table::{Destination, Protocol, Route, Timeout},
};

/// The API group of both kinds, and of what they name as their parents.
pub(super) const GROUP: &str = "gateway.networking.k8s.io";

/// A rule of either kind.
struct Rule {
    /// Any of them; the host is not in them yet.
    matches: Vec<Match>,
    filters: Vec<Filter>,
    backends: Vec<BackendRef>,
    timeouts: Option<Timeouts>,
}

pub(super) fn http_route(object: &ObjectRef, value: &Value, found: &mut Found) {
    compile(object, value, Protocol::Http, http_rule, found);
}

pub(super) fn grpc_route(object: &ObjectRef, value: &Value, found: &mut Found) {
    compile(object, value, Protocol::Grpc, grpc_rule, found);
}

fn compile<R: DeserializeOwned>(
    object: &ObjectRef,
    value: &Value,
    protocol: Protocol,
    read: impl Fn(R) -> Result<Rule, Reason>,
    found: &mut Found,
) {
    let spec = &value["spec"];
    let hosts: Vec<Option<HostMatch>> = match spec["hostnames"].as_array().map(Vec::as_slice) {
        None | Some([]) => vec![None],
        Some(names) => names.iter().filter_map(Value::as_str).map(|name| Some(host(name))).collect(),
    };
    let created = value["metadata"]["creationTimestamp"].as_str().map(ToOwned::to_owned);
    // Without rules, there is one that takes everything.
    let all = [json!({})];
    let rules = spec["rules"].as_array().map_or(all.as_slice(), Vec::as_slice);
    let mut place = 0;
    for (at, raw) in rules.iter().enumerate() {
        let malformed = |source| Reason::Malformed { field: format!("rules[{at}]"), source };
        let rule = R::deserialize(raw).map_err(malformed).and_then(&read);
        match rule.and_then(|rule| routes(object, protocol, rule, &hosts)) {
            Ok(routes) => {
                for route in routes {
                    found.serve(object, created.clone(), place, route);
                    place += 1;
                }
            }
            Err(reason) => {
                let name = raw["name"].as_str().map_or_else(|| at.to_string(), ToOwned::to_owned);
                found.reject(object, Some(format!("rule {name}")), reason);
            }
        }
    }
}

/// `*.` stands for one label or more.
fn host(name: &str) -> HostMatch {
    match name.strip_prefix('*') {
        Some(suffix) => HostMatch::Suffix(suffix.to_owned()),
        None => HostMatch::Exact(name.to_owned()),
    }
}

/// A route for each host and match of a rule; all have its backends.
fn routes(
    object: &ObjectRef,
    protocol: Protocol,
    rule: Rule,
    hosts: &[Option<HostMatch>],
) -> Result<Vec<Route>, Reason> {
    let Rule { matches, filters, backends, timeouts } = rule;
    let filters = Filters::read(filters, &object.namespace)?;
    let timeout = timeouts.map_or_else(|| Ok(Timeout::default()), timeout)?;
    if backends.is_empty() {
        return Err(Reason::Missing("backendRefs in each rule"));
    }
    let backend = |backend| destination(backend, &object.namespace);
    let destinations: Vec<Destination> = backends.into_iter().map(backend).collect::<Result<_, _>>()?;
    let mut routes = Vec::new();
    for matcher in matches {
        let rewrite = filters.rewrite(&matcher.path)?;
        for host in hosts {
            routes.push(Route {
                name: object.name.clone(),
                namespace: object.namespace.clone(),
                priority: settings::LAST,
                protocol,
                matcher: Match { hostname: host.clone(), ..matcher.clone() },
                onward: Vec::new(),
                destinations: destinations.clone(),
                mirrors: filters.mirrors.clone(),
                rewrite: rewrite.clone(),
                headers: filters.headers.clone(),
                timeout,
                retry: None,
            });
        }
    }
    Ok(routes)
}

fn http_rule(raw: HttpRule) -> Result<Rule, Reason> {
    let HttpRule { mut matches, filters, backend_refs, timeouts, .. } = raw;
    if matches.is_empty() {
        matches.push(HttpMatch::default());
    }
    let matches = matches.into_iter().map(http_match).collect::<Result<_, _>>()?;
    Ok(Rule { matches, filters, backends: backend_refs, timeouts })
}

fn grpc_rule(raw: GrpcRule) -> Result<Rule, Reason> {
    let GrpcRule { mut matches, filters, backend_refs, .. } = raw;
    if matches.is_empty() {
        matches.push(GrpcMatch::default());
    }
    let matches = matches.into_iter().map(grpc_match).collect::<Result<_, _>>()?;
    Ok(Rule { matches, filters, backends: backend_refs, timeouts: None })
}

fn http_match(raw: HttpMatch) -> Result<Match, Reason> {
    let (kind, value) = raw.path.map_or((None, None), |path| (path.r#type, path.value));
    let value = value.unwrap_or_else(|| "/".to_owned());
    let path = match kind.unwrap_or(PathKind::PathPrefix) {
        PathKind::Exact => PathMatch::Exact(settings::absolute("path.value", value)?),
        PathKind::PathPrefix => {
            let prefix = settings::absolute("path.value", value)?;
            PathMatch::Elements(prefix.trim_end_matches('/').to_owned())
        }
        PathKind::RegularExpression => PathMatch::Regex(pattern("path.value", &value)?),
    };
    let method = raw.method.map(method).transpose()?;
    let query = raw.query_params.into_iter().map(query).collect::<Result<_, _>>()?;
    Ok(Match { method, hostname: None, path, headers: headers(raw.headers)?, query, port: None })
}

fn grpc_match(raw: GrpcMatch) -> Result<Match, Reason> {
    let (service, method) = match raw.method {
        None => (None, None),
        Some(test) => match test.r#type {
            TestKind::Exact => (test.service, test.method),
            TestKind::RegularExpression => {
                return Err(Reason::Unsupported("a method match of type RegularExpression"));
            }
        },
    };
    Ok(Match {
        method: None,
        hostname: None,
        path: PathMatch::Grpc { service, method },
        headers: headers(raw.headers)?,
        query: Vec::new(),
        port: None,
    })
}

/// Of tests whose names differ in case alone, the first holds.
fn headers(tests: Vec<NameTest>) -> Result<Vec<HeaderMatch>, Reason> {
    let mut headers: Vec<HeaderMatch> = Vec::new();
    for NameTest { r#type, name, value } in tests {
        if headers.iter().any(|known| known.name.eq_ignore_ascii_case(&name)) {
            continue;
        }
        let test = match r#type {
            TestKind::Exact => HeaderTest::Exact(value),
            TestKind::RegularExpression => HeaderTest::Regex(pattern("headers[].value", &value)?),
        };
        headers.push(HeaderMatch { name, invert: false, test });
    }
    Ok(headers)
}

fn query(raw: NameTest) -> Result<QueryMatch, Reason> {
    let NameTest { r#type, name, value } = raw;
    let test = match r#type {
        TestKind::Exact => QueryTest::Exact(value),
        TestKind::RegularExpression => QueryTest::Regex(pattern("queryParams[].value", &value)?),
    };
    Ok(QueryMatch { name, test })
}

fn destination(backend: BackendRef, namespace: &str) -> Result<Destination, Reason> {
    let BackendRef { group, kind, name, namespace: named, port, weight, filters } = backend;
    if !group.is_empty() || kind != "Service" {
        return Err(Reason::BackendKind(kind));
    }
    if let Some(other) = named.filter(|named| named != namespace) {
        return Err(Reason::BackendNamespace(other));
    }
    if !filters.is_empty() {
        return Err(Reason::Unsupported("a filter of a backendRef"));
    }
    let port = port.ok_or(Reason::Missing("a port in each backendRef"))?;
    let namespace = namespace.to_owned();
    Ok(Destination { target: name, namespace, port: Some(port), weight, virtual_service: None })
}

/// Nothing is sent again, so the limit of an attempt is one of the request.
fn timeout(raw: Timeouts) -> Result<Timeout, Reason> {
    let read = |text: Option<String>| {
        text.map(|text| settings::span(&text).ok_or(Reason::Duration(text))).transpose()
    };
    let default = Timeout::default();
    let whole = read(raw.request)?.map_or(default.per_request, settings::limit);
    let attempt = read(raw.backend_request)?.and_then(settings::limit);
    Ok(Timeout { per_request: whole.into_iter().chain(attempt).min(), ..default })
}

#[cfg(test)]
mod tests;
