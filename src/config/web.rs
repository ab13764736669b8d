//! A `web` provider, resolved: an address without a query, and headers that hold no credentials.

use std::collections::BTreeMap;

use reqwest::{
    Url,
    header::{HeaderName, HeaderValue},
};
use serde_saphyr::Spanned;

use super::{
    HttpConfig, Problem,
    file::WebEntry,
    providers::{resolve_auth, resolve_base, resolve_tls, span},
};

/// Headers with credentials in them, which come from files.
const SECRET_HEADERS: [&str; 3] = ["authorization", "proxy-authorization", "cookie"];
/// Headers that the program sets itself.
const OWN_HEADERS: [&str; 7] =
    ["accept", "host", "connection", "content-length", "content-type", "transfer-encoding", "user-agent"];

/// JSON over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebConfig {
    /// The address that Rollouts' paths are below.
    pub url: Url,
    /// Headers of every request.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// How it is reached.
    pub http: HttpConfig,
}

pub(super) fn resolve(entry: WebEntry, key: &str) -> Result<WebConfig, Problem> {
    let url = resolve_base(&entry.url, &format!("{key}.url"))?;
    Ok(WebConfig {
        headers: resolve_headers(entry.headers, key)?,
        http: HttpConfig {
            timeout: span(entry.timeout.as_ref(), 5),
            tls: resolve_tls(entry.tls, std::slice::from_ref(&url), key)?,
            auth: entry.auth.map(|auth| resolve_auth(auth, key)).transpose()?,
        },
        url,
    })
}

/// The errors never repeat a value: it could be a secret all the same.
fn resolve_headers(
    written: BTreeMap<String, Spanned<String>>,
    key: &str,
) -> Result<Vec<(HeaderName, HeaderValue)>, Problem> {
    let mut headers: Vec<(HeaderName, HeaderValue)> = Vec::new();
    for (name, value) in written {
        let problem =
            |text: &str| Problem::new(value.referenced.line(), format!("{key}.headers.{name}"), text);
        let parsed = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| problem("this is not the name of an HTTP header; correct it"))?;
        if SECRET_HEADERS.contains(&parsed.as_str()) {
            return Err(problem("this header holds credentials; use auth, which reads them from files"));
        }
        if OWN_HEADERS.contains(&parsed.as_str()) {
            return Err(problem("this header is the program's own; remove it"));
        }
        if headers.iter().any(|(known, _)| *known == parsed) {
            return Err(problem("this header is given twice; remove one"));
        }
        let value = HeaderValue::from_str(&value.value)
            .map_err(|_| problem("an HTTP header can't have such a value; it must be one line of text"))?;
        headers.push((parsed, value));
    }
    Ok(headers)
}
