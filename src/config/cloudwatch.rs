//! A `cloudWatch` provider, resolved: a region that could be one, a role's ARN, a period that divides an hour.

use std::time::Duration;

use reqwest::Url;
use serde_saphyr::Spanned;

use super::{Problem, file::CloudWatchEntry, http::resolve_timeout};
use crate::api::units;

/// The longest period: a longer one would leave the hour that is read too few sums to tell anything.
const LONGEST_PERIOD: Duration = Duration::from_mins(15);

/// CloudWatch of an AWS account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloudWatchConfig {
    /// The region; `None` is that of the environment.
    pub region: Option<String>,
    /// The role to assume.
    pub role_arn: Option<String>,
    /// The address in place of the region's own.
    pub endpoint: Option<Url>,
    /// The period of the sums that are read: whole minutes, and a whole number of it makes an hour.
    pub period: Duration,
    /// The deadline of one look.
    pub timeout: Duration,
}

pub(super) fn resolve(entry: CloudWatchEntry, key: &str) -> Result<CloudWatchConfig, Problem> {
    Ok(CloudWatchConfig {
        region: entry.region.map(|region| resolve_region(region, key)).transpose()?,
        role_arn: entry.role_arn.map(|role| resolve_role(role, key)).transpose()?,
        endpoint: entry.endpoint.map(|endpoint| resolve_endpoint(&endpoint, key)).transpose()?,
        period: resolve_period(entry.period.as_ref(), key)?,
        timeout: resolve_timeout(entry.timeout.as_ref(), 10, key)?,
    })
}

fn resolve_region(region: Spanned<String>, key: &str) -> Result<String, Problem> {
    if super::is_dns_label(&region.value) {
        return Ok(region.value);
    }
    Err(Problem::new(
        region.referenced.line(),
        format!("{key}.region"),
        format!("{:?} is not a region; it must be like eu-central-1", region.value),
    ))
}

/// `arn:PARTITION:iam::ACCOUNT:role/NAME`, the name with its path.
fn resolve_role(role: Spanned<String>, key: &str) -> Result<String, Problem> {
    let parts: Vec<&str> = role.value.splitn(6, ':').collect();
    let is_role = match parts.as_slice() {
        ["arn", partition, "iam", "", account, name] => {
            partition.starts_with("aws")
                && account.len() == 12
                && account.bytes().all(|b| b.is_ascii_digit())
                && name.strip_prefix("role/").is_some_and(|name| !name.is_empty())
                && name.bytes().all(|b| b.is_ascii_graphic() && b != b':')
        }
        _ => false,
    };
    if is_role {
        return Ok(role.value);
    }
    Err(Problem::new(
        role.referenced.line(),
        format!("{key}.roleArn"),
        format!("{:?} is not a role; it must be like arn:aws:iam::123456789012:role/tidegate", role.value),
    ))
}

/// The error never repeats the address: it could hold a password.
fn resolve_endpoint(endpoint: &Spanned<String>, key: &str) -> Result<Url, Problem> {
    let plain = |url: &Url| {
        matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    };
    Url::parse(&endpoint.value).ok().filter(plain).ok_or_else(|| {
        Problem::new(
            endpoint.referenced.line(),
            format!("{key}.endpoint"),
            "this is not an endpoint; it must be like https://monitoring.eu-central-1.amazonaws.com, without \
             credentials, query and fragment",
        )
    })
}

fn resolve_period(period: Option<&Spanned<units::Duration>>, key: &str) -> Result<Duration, Problem> {
    let Some(written) = period else { return Ok(Duration::from_mins(1)) };
    let period = written.value.span();
    let whole = period.subsec_nanos() == 0 && period.as_secs() > 0 && period.as_secs().is_multiple_of(60);
    if whole && 3600_u64.is_multiple_of(period.as_secs()) && period <= LONGEST_PERIOD {
        return Ok(period);
    }
    Err(Problem::new(
        written.referenced.line(),
        format!("{key}.period"),
        format!(
            "{} is not a period that can be read; it must be one of 1m, 2m, 3m, 4m, 5m, 6m, 10m, 12m and 15m",
            units::spell(period)
        ),
    ))
}
