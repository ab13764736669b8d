//! How a provider, a gate or a receiver is reached over HTTP, resolved: addresses are addresses, credentials are of one kind and come from
//! files, and no header holds any.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use reqwest::{
    Url,
    header::{HeaderName, HeaderValue},
};
use serde_saphyr::Spanned;

use super::{
    Problem,
    file::{AuthEntry, Tls},
};
use crate::api::units;

/// Headers with credentials in them, which come from files.
const SECRET_HEADERS: [&str; 3] = ["authorization", "proxy-authorization", "cookie"];
/// Headers that the program sets itself.
const OWN_HEADERS: [&str; 7] =
    ["accept", "host", "connection", "content-length", "content-type", "transfer-encoding", "user-agent"];

/// How a provider, a gate or a receiver is reached over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpConfig {
    /// The deadline of one call.
    pub timeout: Duration,
    /// TLS, where an address is `https`.
    pub tls: Option<TlsConfig>,
    /// Credentials.
    pub auth: Option<Auth>,
    /// Headers of every request.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// TLS towards whoever is called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsConfig {
    /// The authorities to trust, in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// The client certificate and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Accept any certificate.
    pub insecure_skip_verify: bool,
}

/// Who hangs is given up after so long at the latest: a look, a question or a notice that waits for it waits no longer.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Credentials; secrets are named by file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// HTTP basic authentication with a name of the configuration.
    Basic {
        /// The name.
        username: String,
        /// The file with the password.
        password_file: PathBuf,
    },
    /// HTTP basic authentication with a name out of a file.
    BasicFiles {
        /// The file with the name.
        username_file: PathBuf,
        /// The file with the password.
        password_file: PathBuf,
    },
    /// A bearer token.
    Bearer {
        /// The file with the token.
        token_file: PathBuf,
    },
}

/// What an entry says of HTTP.
pub(super) struct Written {
    pub timeout: Option<Spanned<units::Duration>>,
    pub tls: Option<Spanned<Tls>>,
    pub auth: Option<Spanned<AuthEntry>>,
    pub headers: BTreeMap<String, Spanned<String>>,
}

impl Written {
    /// `timeout` in seconds holds where nothing is said; `urls` are all that is reached so, as far as they are known, `key` is
    /// the entry's.
    pub(super) fn resolve(self, timeout: u64, urls: &[Url], key: &str) -> Result<HttpConfig, Problem> {
        Ok(HttpConfig {
            timeout: resolve_timeout(self.timeout.as_ref(), timeout, key)?,
            tls: resolve_tls(self.tls, urls, key)?,
            auth: self.auth.map(|auth| resolve_auth(auth, key)).transpose()?,
            headers: resolve_headers(self.headers, key)?,
        })
    }
}

/// A deadline; `default` is in seconds.
pub(super) fn resolve_timeout(
    written: Option<&Spanned<units::Duration>>,
    default: u64,
    key: &str,
) -> Result<Duration, Problem> {
    let Some(written) = written else { return Ok(Duration::from_secs(default)) };
    let timeout = written.value.span();
    if timeout <= LONGEST_TIMEOUT {
        return Ok(timeout);
    }
    let text = format!("timeout must be at most {}; shorten it", units::spell(LONGEST_TIMEOUT));
    Err(Problem::new(written.referenced.line(), format!("{key}.timeout"), text))
}

pub(super) fn span(written: Option<&units::Duration>, default_seconds: u64) -> Duration {
    written.map_or(Duration::from_secs(default_seconds), units::Duration::span)
}

/// An address that paths are put behind.
pub(super) fn resolve_base(written: &Spanned<String>, key: &str) -> Result<Url, Problem> {
    let url = resolve_url(written, key)?;
    if url.query().is_some() {
        let line = written.referenced.line();
        return Err(Problem::new(line, key, "the address must have no query; remove what follows the ?"));
    }
    Ok(url)
}

/// An address. The errors never repeat it: it could hold a password.
pub(super) fn resolve_url(written: &Spanned<String>, key: &str) -> Result<Url, Problem> {
    let problem = |text: &str| Problem::new(written.referenced.line(), key, text);
    let url = Url::parse(&written.value)
        .map_err(|_| problem("this is not an address; it must be like http://prometheus.monitoring:9090"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(problem("the address must begin with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(problem("the address must hold no credentials; use auth, which reads them from files"));
    }
    if url.fragment().is_some() {
        return Err(problem("the address must have no fragment; remove what follows the #"));
    }
    Ok(url)
}

fn resolve_tls(tls: Option<Spanned<Tls>>, urls: &[Url], key: &str) -> Result<Option<TlsConfig>, Problem> {
    let Some(tls) = tls else { return Ok(None) };
    let problem = |text: &str| Problem::new(tls.referenced.line(), format!("{key}.tls"), text);
    if !urls.is_empty() && urls.iter().all(|url| url.scheme() == "http") {
        return Err(problem("tls has no effect on an http:// address; make it https:// or remove tls"));
    }
    let identity = match (tls.value.cert_file, tls.value.key_file) {
        (Some(cert), Some(key)) => Some((cert.into(), key.into())),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => {
            return Err(problem("certFile and keyFile must be given together; add the other one"));
        }
    };
    if tls.value.insecure_skip_verify && tls.value.ca_file.is_some() {
        return Err(problem("caFile has no effect beside insecureSkipVerify; remove one of them"));
    }
    Ok(Some(TlsConfig {
        ca_file: tls.value.ca_file.map(PathBuf::from),
        identity,
        insecure_skip_verify: tls.value.insecure_skip_verify,
    }))
}

fn resolve_auth(auth: Spanned<AuthEntry>, key: &str) -> Result<Auth, Problem> {
    let problem = |text: &str| Problem::new(auth.referenced.line(), format!("{key}.auth"), text);
    match (auth.value.basic, auth.value.bearer) {
        (None, Some(bearer)) => Ok(Auth::Bearer { token_file: bearer.token_file.into() }),
        (Some(basic), None) => match (basic.username, basic.username_file) {
            (Some(username), None) => Ok(Auth::Basic { username, password_file: basic.password_file.into() }),
            (None, Some(file)) => {
                Ok(Auth::BasicFiles { username_file: file.into(), password_file: basic.password_file.into() })
            }
            (Some(_), Some(_)) | (None, None) => {
                Err(problem("basic must have exactly one of username and usernameFile"))
            }
        },
        (Some(_), Some(_)) => Err(problem("auth must be either basic or bearer; remove one")),
        (None, None) => Err(problem("auth must have one of basic and bearer; add it")),
    }
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
        let parsed = resolve_header(&name).map_err(problem)?;
        if headers.iter().any(|(known, _)| *known == parsed) {
            return Err(problem("this header is given twice; remove one"));
        }
        let value = HeaderValue::from_str(&value.value)
            .map_err(|_| problem("an HTTP header can't have such a value; it must be one line of text"))?;
        headers.push((parsed, value));
    }
    Ok(headers)
}

/// The name of a header that an admin may set; the error is the sentence.
pub(super) fn resolve_header(name: &str) -> Result<HeaderName, &'static str> {
    let parsed = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| "this is not the name of an HTTP header; correct it")?;
    if SECRET_HEADERS.contains(&parsed.as_str()) {
        return Err("this header holds credentials; use auth, which reads them from files");
    }
    if OWN_HEADERS.contains(&parsed.as_str()) {
        return Err("this header is the program's own; remove it");
    }
    Ok(parsed)
}
