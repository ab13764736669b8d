//! A `web` provider, resolved: an address without a query.

use reqwest::Url;

use super::{
    HttpConfig, Problem,
    file::WebEntry,
    http::{Written, resolve_base},
};

/// JSON over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebConfig {
    /// The address that Rollouts' paths are below.
    pub url: Url,
    /// How it is reached.
    pub http: HttpConfig,
}

pub(super) fn resolve(entry: WebEntry, key: &str) -> Result<WebConfig, Problem> {
    let url = resolve_base(&entry.url, &format!("{key}.url"))?;
    let written =
        Written { timeout: entry.timeout, tls: entry.tls, auth: entry.auth, headers: entry.headers };
    Ok(WebConfig { http: written.resolve(5, std::slice::from_ref(&url), key)?, url })
}
