//! A `prometheus` provider, resolved: times that fit together, and a tenant that is a header's value.

use std::time::Duration;

use reqwest::{
    Url,
    header::{HeaderName, HeaderValue},
};
use serde_saphyr::Spanned;

use super::{
    HttpConfig, Problem,
    file::{PrometheusEntry, TenantEntry},
    http::{self, Written, resolve_base, span},
};

/// The header that Mimir, Loki and Cortex read the tenant from.
const TENANT_HEADER: &str = "X-Scope-OrgID";
/// What a tenant may have in place of a part of it.
const NAMESPACE: &str = "{{namespace}}";

/// A Prometheus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrometheusConfig {
    /// Its base address.
    pub url: Url,
    /// How often it scrapes the gateways.
    pub scrape_interval: Duration,
    /// How old what is asked for is, at least a scrape interval: by then every target has been scraped, and what was
    /// scraped can be read.
    pub lag: Duration,
    /// The most queries at once, of all Rollouts together; at least 1.
    pub max_concurrent: usize,
    /// Whose series are asked for, where there are several tenants.
    pub tenant: Option<Tenant>,
    /// How it is reached.
    pub http: HttpConfig,
}

/// The tenant whose series are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// The header that says it.
    pub header: HeaderName,
    /// What it says, `{{namespace}}` included; with a namespace in its place it is always a header's value.
    pub template: String,
}

impl Tenant {
    /// The tenant of a namespace, a DNS label.
    pub fn of(&self, namespace: &str) -> String {
        self.template.replace(NAMESPACE, namespace)
    }
}

pub(super) fn resolve(entry: PrometheusEntry, key: &str) -> Result<PrometheusConfig, Problem> {
    let url = resolve_base(&entry.url, &format!("{key}.url"))?;
    let scrape_interval = span(entry.scrape_interval.as_ref(), 15);
    let lag = match entry.lag {
        None => scrape_interval,
        Some(lag) if lag.value.span() >= scrape_interval => lag.value.span(),
        Some(lag) => {
            return Err(Problem::new(
                lag.referenced.line(),
                format!("{key}.lag"),
                "lag must not be shorter than scrapeInterval, or some targets would not have been scraped yet; \
                 lengthen it or leave it out",
            ));
        }
    };
    let max_concurrent = match entry.max_concurrent {
        None => 16,
        Some(most) if most.value >= 1 => usize::from(most.value),
        Some(most) => {
            return Err(Problem::new(
                most.referenced.line(),
                format!("{key}.maxConcurrent"),
                "maxConcurrent must be at least 1, or nothing could ever be asked",
            ));
        }
    };
    let tenant = entry.tenant.map(|tenant| resolve_tenant(tenant, &format!("{key}.tenant"))).transpose()?;
    let of_tenant =
        |name: &str| tenant.as_ref().is_some_and(|tenant| name.eq_ignore_ascii_case(tenant.header.as_str()));
    if let Some((name, value)) = entry.headers.iter().find(|(name, _)| of_tenant(name)) {
        let line = value.referenced.line();
        return Err(Problem::new(
            line,
            format!("{key}.headers.{name}"),
            "tenant sets this header; remove one of them",
        ));
    }
    let written =
        Written { timeout: entry.timeout, tls: entry.tls, auth: entry.auth, headers: entry.headers };
    let http = written.resolve(5, std::slice::from_ref(&url), key)?;
    Ok(PrometheusConfig { url, scrape_interval, lag, max_concurrent, tenant, http })
}

fn resolve_tenant(tenant: Spanned<TenantEntry>, key: &str) -> Result<Tenant, Problem> {
    let line = tenant.referenced.line();
    let TenantEntry { id, header } = tenant.value;
    let header = http::resolve_header(header.as_deref().unwrap_or(TENANT_HEADER))
        .map_err(|text| Problem::new(line, format!("{key}.header"), text))?;
    let problem = |text: &str| Problem::new(line, format!("{key}.id"), text);
    let filled = id.replace(NAMESPACE, "a");
    if filled.contains("{{") {
        return Err(problem("the only placeholder here is {{namespace}}, the Rollout's; correct it"));
    }
    if filled.is_empty() || HeaderValue::from_str(&filled).is_err() {
        return Err(problem("an HTTP header can't have such a value; it must be one line of text"));
    }
    Ok(Tenant { header, template: id })
}
