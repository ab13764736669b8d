//! Routes, in Envoy's words.
//!
//! Envoy first chooses a virtual host by the request's host, then the first of its routes that matches. The table's order goes over
//! all hosts, so each virtual host has, in that order, every route that could take a request of its hosts.

use std::collections::BTreeSet;

use envoy_types::pb::envoy::{
    config::{
        core::v3::{
            HeaderValue, HeaderValueOption, RuntimeFractionalPercent, header_value_option::HeaderAppendAction,
        },
        route::v3::{
            DirectResponseAction, HeaderMatcher, QueryParameterMatcher, RetryPolicy, Route, RouteAction,
            RouteConfiguration, RouteMatch, VirtualHost, WeightedCluster,
            header_matcher::HeaderMatchSpecifier,
            query_parameter_matcher::QueryParameterMatchSpecifier,
            route::Action,
            route_action::{ClusterSpecifier, HostRewriteSpecifier, RequestMirrorPolicy},
            route_match::{GrpcRouteMatchOptions, PathSpecifier},
            weighted_cluster::{ClusterWeight, cluster_weight},
        },
    },
    r#type::{
        matcher::v3::{StringMatcher, string_matcher::MatchPattern},
        v3::{FractionalPercent, Int64Range, fractional_percent::DenominatorType},
    },
};

use super::{
    any::{duration, limit, number},
    path::{self, Onward, path_header, regex},
};
use crate::dataplane::{
    self, HeaderMatch, HeaderTest, HostMatch, HostRewrite, Match, Mirror, PathMatch, PlannedRoute,
    QueryMatch, QueryTest, Retry, RetryOn,
};

/// What a route that Envoy can't be given is left out for.
pub(super) const NO_ONWARD: &str = "a path.regex of a virtual router behind a route that rewrites the prefix";

/// The routes of a port.
pub(super) fn routes(name: &str, port: u16, planned: &[PlannedRoute]) -> RouteConfiguration {
    let of_port = |route: &&PlannedRoute| route.route.matcher.port.is_none_or(|own| own == port);
    let made: Vec<(Option<&HostMatch>, Route)> = planned
        .iter()
        .filter(of_port)
        .filter_map(|planned| Some((planned.route.matcher.hostname.as_ref(), route(planned)?)))
        .collect();
    let hosts: BTreeSet<Domain> = made.iter().map(|(host, _)| Domain::of(*host)).collect();
    let virtual_host = |domain: &Domain| VirtualHost {
        name: domain.spelt(),
        domains: vec![domain.spelt()],
        routes: made
            .iter()
            .filter(|(host, _)| domain.is_within(*host))
            .map(|(_, route)| route.clone())
            .collect(),
        ..VirtualHost::default()
    };
    RouteConfiguration {
        name: name.to_owned(),
        virtual_hosts: hosts.iter().map(virtual_host).collect(),
        // As App Mesh's hosts are written: without a port.
        ignore_port_in_host_matching: true,
        ..RouteConfiguration::default()
    }
}

/// Whether Envoy can be given a route.
pub(super) fn is_possible(planned: &PlannedRoute) -> bool {
    let rewrite = &planned.route.rewrite.path;
    planned.route.onward.iter().all(|test| path::onward(&test.path, rewrite) != Onward::Unknown)
}

/// Hosts of requests. Envoy chooses an exact one before a suffix, and the longest of suffixes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Domain {
    Exact(String),
    Suffix(String),
    Any,
}

impl Domain {
    fn of(host: Option<&HostMatch>) -> Self {
        match host {
            None => Self::Any,
            Some(HostMatch::Exact(host)) => Self::Exact(host.to_ascii_lowercase()),
            Some(HostMatch::Suffix(suffix)) => Self::Suffix(suffix.to_ascii_lowercase()),
        }
    }

    fn spelt(&self) -> String {
        match self {
            Self::Exact(host) => host.clone(),
            Self::Suffix(suffix) => format!("*{suffix}"),
            Self::Any => "*".to_owned(),
        }
    }

    /// Whether a route for `host` takes requests for all hosts of this. It takes all of them or none: whoever is more specific has
    /// a domain of its own.
    fn is_within(&self, host: Option<&HostMatch>) -> bool {
        match (self, Self::of(host)) {
            (_, Self::Any) => true,
            (Self::Exact(own), Self::Exact(host)) => *own == host,
            (Self::Exact(own), Self::Suffix(suffix)) => own.len() > suffix.len() && own.ends_with(&suffix),
            (Self::Suffix(own), Self::Suffix(suffix)) => own.ends_with(&suffix),
            (Self::Suffix(_) | Self::Any, Self::Exact(_)) | (Self::Any, Self::Suffix(_)) => false,
        }
    }
}

/// A route; none where it can't be given to Envoy, or no request can pass its tests.
fn route(planned: &PlannedRoute) -> Option<Route> {
    let own = &planned.route;
    let mut headers: Vec<HeaderMatcher> = of_match(&own.matcher);
    let mut query: Vec<QueryParameterMatcher> = own.matcher.query.iter().map(parameter).collect();
    for test in &own.onward {
        match path::onward(&test.path, &own.rewrite.path) {
            Onward::Always => {}
            Onward::Never | Onward::Unknown => return None,
            Onward::Matches(pattern) => headers.push(path_header(pattern)),
        }
        headers.extend(of_match(test));
        query.extend(test.query.iter().map(parameter));
    }
    // A router's route takes calls alone, too, whatever the gateway's route takes that leads there.
    let mut tested = std::iter::once(&own.matcher).chain(&own.onward);
    let grpc = tested.any(|test| matches!(test.path, PathMatch::Grpc { .. }));
    let tests = RouteMatch {
        path_specifier: Some(specifier(&own.matcher.path)),
        headers,
        query_parameters: query,
        grpc: grpc.then(GrpcRouteMatchOptions::default),
        ..RouteMatch::default()
    };
    let changes = &own.headers;
    let added = |action: HeaderAppendAction| {
        move |(name, value): &(http::HeaderName, http::HeaderValue)| HeaderValueOption {
            header: Some(HeaderValue {
                key: name.as_str().to_owned(),
                raw_value: value.as_bytes().to_vec(),
                ..HeaderValue::default()
            }),
            append_action: action.into(),
            ..HeaderValueOption::default()
        }
    };
    let set = changes.set.iter().map(added(HeaderAppendAction::OverwriteIfExistsOrAdd));
    let add = changes.add.iter().map(added(HeaderAppendAction::AppendIfExistsOrAdd));
    Some(Route {
        name: format!("{}/{}", own.namespace, own.name),
        r#match: Some(tests),
        request_headers_to_add: set.chain(add).collect(),
        request_headers_to_remove: changes.remove.iter().map(|name| name.as_str().to_owned()).collect(),
        action: Some(action(planned)),
        ..Route::default()
    })
}

fn action(planned: &PlannedRoute) -> Action {
    let own = &planned.route;
    let Some(shares) = shares(own) else {
        return Action::DirectResponse(DirectResponseAction {
            status: 503,
            ..DirectResponseAction::default()
        });
    };
    let entries = planned.clusters.iter().zip(&own.destinations).zip(shares);
    let clusters = entries.map(|((cluster, entry), weight)| ClusterWeight {
        name: cluster.clone(),
        weight: Some(number(weight)),
        host_rewrite_specifier: (own.rewrite.host == HostRewrite::Target)
            .then(|| cluster_weight::HostRewriteSpecifier::HostRewriteLiteral(entry.host())),
        ..ClusterWeight::default()
    });
    let clusters = WeightedCluster { clusters: clusters.collect(), ..WeightedCluster::default() };
    let host = match &own.rewrite.host {
        HostRewrite::Exact(host) => Some(HostRewriteSpecifier::HostRewriteLiteral(host.clone())),
        HostRewrite::Keep | HostRewrite::Target => None,
    };
    let mirrors = planned.mirrors.iter().zip(&own.mirrors);
    let mirrors = mirrors.map(|(cluster, mirror)| copied(cluster, mirror, &own.rewrite.host));
    Action::Route(RouteAction {
        cluster_specifier: Some(ClusterSpecifier::WeightedClusters(clusters)),
        regex_rewrite: path::rewrite(&own.rewrite.path),
        host_rewrite_specifier: host,
        timeout: Some(limit(own.timeout.per_request)),
        idle_timeout: Some(limit(own.timeout.idle)),
        retry_policy: own.retry.as_ref().map(retry),
        request_mirror_policies: mirrors.collect(),
        ..RouteAction::default()
    })
}

/// A copy is what the mirror's own requests are: it is not told apart from them by its host.
fn copied(cluster: &str, mirror: &Mirror, rewrite: &HostRewrite) -> RequestMirrorPolicy {
    let share =
        FractionalPercent { numerator: mirror.millionths, denominator: DenominatorType::Million.into() };
    RequestMirrorPolicy {
        cluster: cluster.to_owned(),
        runtime_fraction: Some(RuntimeFractionalPercent {
            default_value: Some(share),
            ..RuntimeFractionalPercent::default()
        }),
        disable_shadow_host_suffix_append: true,
        host_rewrite_literal: match rewrite {
            HostRewrite::Target => mirror.to.host(),
            HostRewrite::Keep | HostRewrite::Exact(_) => String::new(),
        },
        ..RequestMirrorPolicy::default()
    }
}

/// The weights, of which Envoy takes no greater sum than 2³²−1; none where all are zero.
fn shares(route: &dataplane::Route) -> Option<Vec<u32>> {
    let sum: u64 = route.destinations.iter().map(|entry| u64::from(entry.weight)).sum();
    let scale = sum.div_ceil(u64::from(u32::MAX)).max(1);
    let scaled = |weight: u32| u32::try_from(u64::from(weight) / scale).unwrap_or(u32::MAX);
    (sum > 0).then(|| route.destinations.iter().map(|entry| scaled(entry.weight)).collect())
}

fn retry(retry: &Retry) -> RetryPolicy {
    let mut on: Vec<&str> = retry.on.iter().flat_map(|event| events(*event)).copied().collect();
    on.sort_unstable();
    on.dedup();
    RetryPolicy {
        retry_on: on.join(","),
        num_retries: Some(number(retry.max)),
        per_try_timeout: retry.per_try_timeout.map(duration),
        ..RetryPolicy::default()
    }
}

fn events(event: RetryOn) -> &'static [&'static str] {
    match event {
        RetryOn::ServerError => &["5xx", "reset"],
        RetryOn::GatewayError => &["gateway-error", "reset"],
        RetryOn::ClientError => &["retriable-4xx"],
        RetryOn::StreamError => &["refused-stream"],
        RetryOn::ConnectionError => &["connect-failure"],
        RetryOn::Cancelled => &["cancelled"],
        RetryOn::DeadlineExceeded => &["deadline-exceeded"],
        RetryOn::Internal => &["internal"],
        RetryOn::ResourceExhausted => &["resource-exhausted"],
        RetryOn::Unavailable => &["unavailable"],
    }
}

fn specifier(path: &PathMatch) -> PathSpecifier {
    match path {
        PathMatch::Any | PathMatch::Grpc { service: None, method: None } => {
            PathSpecifier::Prefix("/".to_owned())
        }
        PathMatch::Prefix(prefix) => PathSpecifier::Prefix(prefix.clone()),
        PathMatch::Elements(elements) if elements.is_empty() => PathSpecifier::Prefix("/".to_owned()),
        PathMatch::Elements(elements) => PathSpecifier::PathSeparatedPrefix(elements.clone()),
        PathMatch::Exact(path) => PathSpecifier::Path(path.clone()),
        PathMatch::Regex(pattern) => PathSpecifier::SafeRegex(regex(pattern.source())),
        PathMatch::Grpc { service: Some(service), method: None } => {
            PathSpecifier::Prefix(format!("/{service}/"))
        }
        PathMatch::Grpc { service: Some(service), method: Some(method) } => {
            PathSpecifier::Path(format!("/{service}/{method}"))
        }
        PathMatch::Grpc { service: None, method: Some(method) } => {
            PathSpecifier::SafeRegex(regex(format!("/[^/]*/{}", regex::escape(method))))
        }
    }
}

/// The tests of method and headers.
fn of_match(matcher: &Match) -> Vec<HeaderMatcher> {
    let method = matcher.method.as_ref().map(|method| {
        let test = MatchPattern::Exact(method.as_str().to_owned());
        HeaderMatcher {
            name: ":method".to_owned(),
            header_match_specifier: Some(HeaderMatchSpecifier::StringMatch(string(test))),
            ..HeaderMatcher::default()
        }
    });
    method.into_iter().chain(matcher.headers.iter().map(header)).collect()
}

fn header(test: &HeaderMatch) -> HeaderMatcher {
    let value = |pattern: MatchPattern| HeaderMatchSpecifier::StringMatch(string(pattern));
    let specifier = match &test.test {
        HeaderTest::Present => HeaderMatchSpecifier::PresentMatch(true),
        HeaderTest::Exact(wanted) => value(MatchPattern::Exact(wanted.clone())),
        HeaderTest::Prefix(wanted) => value(MatchPattern::Prefix(wanted.clone())),
        HeaderTest::Suffix(wanted) => value(MatchPattern::Suffix(wanted.clone())),
        HeaderTest::Regex(pattern) => value(MatchPattern::SafeRegex(regex(pattern.source()))),
        HeaderTest::Range { start, end } => {
            HeaderMatchSpecifier::RangeMatch(Int64Range { start: *start, end: *end })
        }
    };
    HeaderMatcher {
        name: test.name.clone(),
        invert_match: test.invert,
        header_match_specifier: Some(specifier),
        ..HeaderMatcher::default()
    }
}

fn parameter(test: &QueryMatch) -> QueryParameterMatcher {
    let value = |pattern: MatchPattern| QueryParameterMatchSpecifier::StringMatch(string(pattern));
    let specifier = match &test.test {
        QueryTest::Present => QueryParameterMatchSpecifier::PresentMatch(true),
        QueryTest::Exact(wanted) => value(MatchPattern::Exact(wanted.clone())),
        QueryTest::Regex(pattern) => value(MatchPattern::SafeRegex(regex(pattern.source()))),
    };
    QueryParameterMatcher { name: test.name.clone(), query_parameter_match_specifier: Some(specifier) }
}

fn string(pattern: MatchPattern) -> StringMatcher {
    StringMatcher { match_pattern: Some(pattern), ..StringMatcher::default() }
}

#[cfg(test)]
mod tests;
