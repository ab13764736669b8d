//! Rewrites, timeouts and retries out of an object.

use std::time::Duration;

use serde_json::Value;

use super::{
    compile::Reason,
    matching::PathMatch,
    raw::{PrefixRewrite, RetryPolicy, RewriteBlock, Span, Switch, Timeouts, Unit},
    rewrite::{HostRewrite, PathRewrite, Rewrite},
    table::{Retry, RetryOn, Timeout},
};

/// `aws` tells the flat shape, whose absent rewrite means AWS's defaults.
pub(super) fn rewrite(block: Option<RewriteBlock>, path: &PathMatch, aws: bool) -> Result<Rewrite, Reason> {
    let (prefix, target_prefix, exact, hostname) = match block {
        Some(block) => (block.prefix, block.target_prefix, block.path, block.hostname),
        None => (None, None, None, None),
    };
    let enabled = hostname.map_or(aws, |hostname| hostname.default_target_hostname == Switch::Enabled);
    let host = if enabled { HostRewrite::Target } else { HostRewrite::Keep };
    let path = match (prefix, target_prefix, exact) {
        (None, None, Some(exact)) => PathRewrite::Exact(absolute("rewrite.path.exact", exact.exact)?),
        (None, None, None) => match path {
            PathMatch::Prefix(prefix) if aws => to_root(prefix),
            PathMatch::Prefix(_)
            | PathMatch::Elements(_)
            | PathMatch::Any
            | PathMatch::Exact(_)
            | PathMatch::Regex(_)
            | PathMatch::Grpc { .. } => PathRewrite::Keep,
        },
        (Some(prefix), target, None) => prefix_rewrite(prefix, target, path)?,
        (_, _, Some(_)) => {
            return Err(Reason::Conflict("rewrite.prefix and rewrite.path exclude each other"));
        }
        (None, Some(_), None) => return Err(Reason::Missing("rewrite.prefix beside rewrite.targetPrefix")),
    };
    Ok(Rewrite { path, host })
}

fn prefix_rewrite(
    prefix: PrefixRewrite,
    target: Option<String>,
    path: &PathMatch,
) -> Result<PathRewrite, Reason> {
    let PathMatch::Prefix(matched) = path else {
        return Err(Reason::Conflict("rewrite.prefix needs match.prefix"));
    };
    match (prefix, target) {
        (PrefixRewrite::Dialect(from), Some(to)) if matched.starts_with(&from) => {
            Ok(PathRewrite::Prefix { from, to: absolute("rewrite.targetPrefix", to)? })
        }
        (PrefixRewrite::Dialect(_), Some(_)) => {
            Err(Reason::Conflict("rewrite.prefix is not a start of match.prefix"))
        }
        (PrefixRewrite::Dialect(_), None) => {
            Err(Reason::Missing("rewrite.targetPrefix beside rewrite.prefix"))
        }
        (PrefixRewrite::Aws(_), Some(_)) => {
            Err(Reason::Conflict("rewrite.targetPrefix belongs to a rewrite.prefix that is a string"))
        }
        (PrefixRewrite::Aws(aws), None) => match (aws.value, aws.default_prefix) {
            (Some(value), None) => Ok(PathRewrite::Prefix {
                from: matched.clone(),
                to: absolute("rewrite.prefix.value", value)?,
            }),
            (None, Some(Switch::Enabled)) => Ok(to_root(matched)),
            (None, Some(Switch::Disabled)) => Ok(PathRewrite::Keep),
            (Some(_), Some(_)) | (None, None) => {
                Err(Reason::Conflict("rewrite.prefix takes exactly one of value and defaultPrefix"))
            }
        },
    }
}

fn to_root(prefix: &str) -> PathRewrite {
    PathRewrite::Prefix { from: prefix.to_owned(), to: "/".to_owned() }
}

/// The priority of what is tried last, and of what has none.
pub(super) const LAST: u16 = 1000;

/// A priority, where one is given.
pub(super) fn priority(given: Option<&Value>) -> Result<u16, Reason> {
    let Some(value) = given else { return Ok(LAST) };
    let number = value.as_u64().and_then(|number| u16::try_from(number).ok());
    number.filter(|number| *number <= LAST).ok_or(Reason::Priority)
}

pub(super) fn absolute(field: &'static str, path: String) -> Result<String, Reason> {
    if path.starts_with('/') { Ok(path) } else { Err(Reason::Relative { field, path }) }
}

pub(super) fn timeout(block: &Timeouts) -> Timeout {
    let default = Timeout::default();
    let limit = |given: Option<Span>, default| given.map_or(default, duration);
    Timeout {
        per_request: limit(block.per_request, default.per_request),
        idle: limit(block.idle, default.idle),
    }
}

pub(super) fn duration(span: Span) -> Option<Duration> {
    limit(match span.unit {
        Unit::Millis => Duration::from_millis(span.value),
        Unit::Seconds => Duration::from_secs(span.value),
    })
}

/// Zero switches a limit off, as in Envoy and in the Gateway API.
pub(super) fn limit(duration: Duration) -> Option<Duration> {
    (!duration.is_zero()).then_some(duration)
}

/// A duration as the Gateway API writes it, such as `1h30m` or `500ms`.
pub(super) fn span(text: &str) -> Option<Duration> {
    let (mut rest, mut sum) = (text, Duration::ZERO);
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let unit = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        let millis: u32 = match unit {
            "h" => 3_600_000,
            "m" => 60_000,
            "s" => 1000,
            "ms" => 1,
            _ => return None,
        };
        sum += Duration::from_millis(u64::from(number.parse::<u32>().ok()?) * u64::from(millis));
        rest = after;
    }
    (!text.is_empty()).then_some(sum)
}

pub(super) fn retry(policy: RetryPolicy) -> Result<Retry, Reason> {
    let events = policy.http_retry_events.into_iter().chain(policy.tcp_retry_events);
    let on = events.chain(policy.grpc_retry_events).map(retry_on).collect::<Result<_, _>>()?;
    Ok(Retry { max: policy.max_retries, per_try_timeout: policy.per_retry_timeout.and_then(duration), on })
}

fn retry_on(event: String) -> Result<RetryOn, Reason> {
    Ok(match event.as_str() {
        "server-error" => RetryOn::ServerError,
        "gateway-error" => RetryOn::GatewayError,
        "client-error" => RetryOn::ClientError,
        "stream-error" => RetryOn::StreamError,
        "connection-error" => RetryOn::ConnectionError,
        "cancelled" => RetryOn::Cancelled,
        "deadline-exceeded" => RetryOn::DeadlineExceeded,
        "internal" => RetryOn::Internal,
        "resource-exhausted" => RetryOn::ResourceExhausted,
        "unavailable" => RetryOn::Unavailable,
        _ => return Err(Reason::RetryEvent(event)),
    })
}
