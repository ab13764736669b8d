//! Which requests a route takes, with Envoy's meaning of each test.

use http::{HeaderMap, Method};
use regex::Regex;

use super::re2::unknown_to_re2;

/// What matching looks at.
#[derive(Clone, Copy, Debug)]
pub struct RequestParts<'a> {
    /// The method.
    pub method: &'a Method,
    /// `Host` or `:authority`; a port in it is ignored.
    pub host: &'a str,
    /// The path without the query.
    pub path: &'a str,
    /// The query without `?`; empty where there is none.
    pub query: &'a str,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The listener's port as routes name it.
    pub port: u16,
}

/// All tests must hold; an absent one always does.
#[derive(Clone, Debug, PartialEq)]
pub struct Match {
    /// The method.
    pub method: Option<Method>,
    /// The host.
    pub hostname: Option<HostMatch>,
    /// The path, or gRPC's service and method.
    pub path: PathMatch,
    /// Header (gRPC: metadata) tests.
    pub headers: Vec<HeaderMatch>,
    /// Query parameter tests.
    pub query: Vec<QueryMatch>,
    /// The listener's port.
    pub port: Option<u16>,
}

/// A test of the host, without regard to case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostMatch {
    /// The whole host.
    Exact(String),
    /// Its end, with at least one character before it.
    Suffix(String),
}

/// A test of the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathMatch {
    /// Any path.
    Any,
    /// A plain string prefix: `/app` takes `/application` too, as in Envoy.
    Prefix(String),
    /// A prefix of whole elements, without a slash at its end: `/app` takes `/app` and `/app/x`, not `/application`.
    Elements(String),
    /// The whole path.
    Exact(String),
    /// A pattern for the whole path.
    Regex(Pattern),
    /// A gRPC call, by service and method where given.
    Grpc {
        /// The full service name, `package.Service`.
        service: Option<String>,
        /// The method's name.
        method: Option<String>,
    },
}

/// A regular expression that must match the whole value.
#[derive(Clone, Debug)]
pub struct Pattern {
    source: String,
    regex: Regex,
}

/// Why a pattern is none that a gateway could use.
#[derive(Debug, thiserror::Error)]
pub enum PatternError {
    /// It is malformed.
    #[error(transparent)]
    Syntax(#[from] Box<regex_syntax::ast::Error>),
    /// It cannot be compiled.
    #[error(transparent)]
    Compile(#[from] regex::Error),
    /// Envoy would refuse it.
    #[error("the patterns of a gateway (RE2) do not have {0}")]
    Re2(&'static str),
}

/// A test of one header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderMatch {
    /// The header's name.
    pub name: String,
    /// Turns the test round. A header that is absent fails every test but the inverted [`HeaderTest::Present`].
    pub invert: bool,
    /// The test.
    pub test: HeaderTest,
}

/// A test of a header's value; of several values one has to pass, each by itself, as in Envoy since 1.39.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderTest {
    /// The header is there.
    Present,
    /// The whole value.
    Exact(String),
    /// Its start.
    Prefix(String),
    /// Its end.
    Suffix(String),
    /// A pattern for the whole value.
    Regex(Pattern),
    /// A whole number from `start` on and below `end`.
    Range {
        /// The smallest value taken.
        start: i64,
        /// The smallest value above those taken.
        end: i64,
    },
}

/// A test of a query parameter, compared as it stands on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryMatch {
    /// The parameter's name.
    pub name: String,
    /// The test of its first value.
    pub test: QueryTest,
}

/// A test of a query parameter's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueryTest {
    /// The parameter is there.
    Present,
    /// The whole value.
    Exact(String),
    /// A pattern for the whole value.
    Regex(Pattern),
}

/// How specific a match is: the greater is tried first. The tests are compared one after another in the Gateway API's
/// order; App Mesh knows priorities alone, and leaves open what comes first among equal ones.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Specificity {
    host: (u8, usize),
    path: (u8, usize, usize),
    method: bool,
    headers: usize,
    query: usize,
    port: bool,
}

impl Pattern {
    /// Compiles a pattern; the error names what is wrong with it.
    pub fn new(source: &str) -> Result<Self, PatternError> {
        // By itself first: it must be valid without the group around it, whose anchors bind the whole alternation.
        let parsed = regex_syntax::ast::parse::Parser::new().parse(source).map_err(Box::new)?;
        if let Some(what) = unknown_to_re2(&parsed) {
            return Err(PatternError::Re2(what));
        }
        let regex = Regex::new(&format!("^(?:{source})$"))?;
        Ok(Self { source: source.to_owned(), regex })
    }

    /// The pattern as written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether it matches a whole value.
    pub(crate) fn matches(&self, value: &str) -> bool {
        self.regex.is_match(value)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Pattern {}

impl Match {
    /// Whether a request passes every test.
    pub fn matches(&self, request: &RequestParts<'_>) -> bool {
        self.method.as_ref().is_none_or(|method| method == request.method)
            && self.port.is_none_or(|port| port == request.port)
            && self.path.matches(request)
            && self.hostname.as_ref().is_none_or(|host| host.matches(request.host))
            && self.headers.iter().all(|header| header.matches(request.headers))
            && self.query.iter().all(|query| query.matches(request.query))
    }

    /// Whether it takes every request, or every gRPC call.
    pub(super) fn tests_nothing(&self) -> bool {
        let any = match &self.path {
            PathMatch::Any | PathMatch::Grpc { service: None, method: None } => true,
            PathMatch::Prefix(_)
            | PathMatch::Elements(_)
            | PathMatch::Exact(_)
            | PathMatch::Regex(_)
            | PathMatch::Grpc { .. } => false,
        };
        any && self.hostname.is_none()
    }

    pub(super) fn specificity(&self) -> Specificity {
        let host = match &self.hostname {
            None => (0, 0),
            Some(HostMatch::Suffix(suffix)) => (1, suffix.len()),
            Some(HostMatch::Exact(host)) => (2, host.len()),
        };
        let path = match &self.path {
            PathMatch::Any => (0, 0, 0),
            PathMatch::Grpc { service: None, method } => (0, 0, method.as_ref().map_or(0, String::len)),
            PathMatch::Prefix(prefix) | PathMatch::Elements(prefix) => (1, prefix.len(), 0),
            PathMatch::Grpc { service: Some(service), method: None } => (1, service.len() + 2, 0),
            PathMatch::Regex(pattern) => (2, pattern.source.len(), 0),
            PathMatch::Grpc { service: Some(service), method: Some(method) } => {
                (3, service.len(), method.len())
            }
            PathMatch::Exact(path) => (3, path.len(), 0),
        };
        Specificity {
            host,
            path,
            method: self.method.is_some(),
            headers: self.headers.len(),
            query: self.query.len(),
            port: self.port.is_some(),
        }
    }
}

impl HostMatch {
    fn matches(&self, host: &str) -> bool {
        let host = without_port(host);
        match self {
            Self::Exact(want) => want.eq_ignore_ascii_case(host),
            Self::Suffix(want) => host
                .len()
                .checked_sub(want.len())
                .filter(|before| *before > 0)
                .and_then(|before| host.get(before..))
                .is_some_and(|end| want.eq_ignore_ascii_case(end)),
        }
    }
}

impl PathMatch {
    fn matches(&self, request: &RequestParts<'_>) -> bool {
        match self {
            Self::Any => true,
            Self::Prefix(prefix) => request.path.starts_with(prefix),
            Self::Elements(prefix) => {
                let rest = request.path.strip_prefix(prefix.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
            Self::Exact(path) => request.path == path,
            Self::Regex(pattern) => pattern.matches(request.path),
            Self::Grpc { service, method } => {
                let called = request.path.strip_prefix('/').and_then(|path| path.split_once('/'));
                is_grpc(request.headers)
                    && called.is_some_and(|(called_service, called_method)| {
                        service.as_ref().is_none_or(|want| want == called_service)
                            && method.as_ref().is_none_or(|want| want == called_method)
                    })
            }
        }
    }
}

impl HeaderMatch {
    fn matches(&self, headers: &HeaderMap) -> bool {
        let values: Vec<&str> =
            headers.get_all(&self.name).iter().map(|value| value.to_str().unwrap_or_default()).collect();
        if values.is_empty() {
            return self.invert && self.test == HeaderTest::Present;
        }
        values.iter().any(|value| self.test.matches(value)) != self.invert
    }
}

impl HeaderTest {
    fn matches(&self, value: &str) -> bool {
        match self {
            Self::Present => true,
            Self::Exact(want) => value == want,
            Self::Prefix(want) => value.starts_with(want),
            Self::Suffix(want) => value.ends_with(want),
            Self::Regex(pattern) => pattern.matches(value),
            Self::Range { start, end } => {
                value.parse::<i64>().is_ok_and(|number| (*start..*end).contains(&number))
            }
        }
    }
}

impl QueryMatch {
    fn matches(&self, query: &str) -> bool {
        let first = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .find(|(name, _)| *name == self.name);
        first.is_some_and(|(_, value)| match &self.test {
            QueryTest::Present => true,
            QueryTest::Exact(want) => want == value,
            QueryTest::Regex(pattern) => pattern.matches(value),
        })
    }
}

/// Whether a request is a gRPC call. What is called `application/grpc-web`, say, is none.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let rest = kind.and_then(|kind| kind.strip_prefix("application/grpc"));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('+'))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        Some(_) | None => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_said_to_be_a_call_is_one() {
        for (kind, is_call) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc-web", false),
            ("application/grpc;charset=utf-8", false),
            ("application/json", false),
        ] {
            let headers = [(http::header::CONTENT_TYPE, kind.parse().unwrap())].into_iter().collect();
            assert_eq!(is_grpc(&headers), is_call, "{kind}");
        }
        assert!(!is_grpc(&HeaderMap::new()));
    }
}
