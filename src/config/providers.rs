//! Providers, resolved: addresses are addresses, credentials are of one kind, and the default exists.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use reqwest::Url;
use serde_saphyr::Spanned;

use super::{
    Problem,
    cloudwatch::{self, CloudWatchConfig},
    file::{AuthEntry, EnvoyEntry, PrometheusEntry, ProviderEntry, Tls},
    is_dns_label,
    web::{self, WebConfig},
};
use crate::api::units;

/// All providers by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProvidersConfig {
    /// The provider that serves where a Rollout names none; it is among the entries.
    pub default: Option<String>,
    /// By the name that Rollouts use, a DNS label.
    pub entries: BTreeMap<String, ProviderConfig>,
}

/// One provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProviderConfig {
    /// A Prometheus, or what speaks its HTTP API.
    Prometheus(PrometheusConfig),
    /// Gateway Envoys' own statistics.
    Envoy(EnvoyConfig),
    /// CloudWatch.
    CloudWatch(CloudWatchConfig),
    /// JSON over HTTP.
    Web(WebConfig),
}

/// A Prometheus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrometheusConfig {
    /// Its base address.
    pub url: Url,
    /// How often it scrapes the gateways.
    pub scrape_interval: Duration,
    /// How it is reached.
    pub http: HttpConfig,
}

/// Gateway Envoys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvoyConfig {
    /// The statistics of every gateway pod; at least one.
    pub urls: Vec<Url>,
    /// The shortest time between two scrapes.
    pub scrape_interval: Duration,
    /// How they are reached.
    pub http: HttpConfig,
}

/// How a provider is reached over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpConfig {
    /// The deadline of one look.
    pub timeout: Duration,
    /// TLS, where an address is `https`.
    pub tls: Option<TlsConfig>,
    /// Credentials.
    pub auth: Option<Auth>,
}

/// TLS towards a provider.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsConfig {
    /// The authorities to trust, in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// The client certificate and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Accept any certificate.
    pub insecure_skip_verify: bool,
}

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

pub(super) fn resolve(
    written: BTreeMap<String, Spanned<ProviderEntry>>,
    default: Option<Spanned<String>>,
) -> Result<ProvidersConfig, Problem> {
    let mut entries = BTreeMap::new();
    for (name, entry) in written {
        let provider = resolve_entry(&name, entry)?;
        entries.insert(name, provider);
    }
    let default = match default {
        Some(name) if entries.contains_key(&name.value) => Some(name.value),
        Some(name) => {
            return Err(Problem::new(
                name.referenced.line(),
                "defaults.provider",
                format!("no provider is called {:?}; name one listed under providers", name.value),
            ));
        }
        None if entries.contains_key("default") => Some("default".to_owned()),
        None if entries.len() == 1 => entries.keys().next().cloned(),
        None => None,
    };
    Ok(ProvidersConfig { default, entries })
}

fn resolve_entry(name: &str, entry: Spanned<ProviderEntry>) -> Result<ProviderConfig, Problem> {
    let key = format!("providers.{name}");
    let line = entry.referenced.line();
    let problem = |text: &str| Problem::new(line, key.as_str(), text);
    if !is_dns_label(name) {
        return Err(problem(
            "a provider's name must be a DNS label of at most 63 lower-case letters, digits and hyphens; rename it",
        ));
    }
    let ProviderEntry { prometheus, envoy, cloud_watch, web } = entry.value;
    let kinds = [
        prometheus.map(|entry| resolve_prometheus(entry, &format!("{key}.prometheus"))),
        envoy.map(|entry| resolve_envoy(entry, &format!("{key}.envoy"))),
        cloud_watch.map(|entry| {
            cloudwatch::resolve(entry, &format!("{key}.cloudWatch")).map(ProviderConfig::CloudWatch)
        }),
        web.map(|entry| web::resolve(entry, &format!("{key}.web")).map(ProviderConfig::Web)),
    ];
    let mut given = kinds.into_iter().flatten();
    match (given.next(), given.next()) {
        (Some(provider), None) => provider,
        (Some(_), Some(_)) => Err(problem(
            "a provider must be only one of prometheus, envoy, cloudWatch and web; make an entry of each",
        )),
        (None, _) => {
            Err(problem("a provider must have one of prometheus, envoy, cloudWatch and web; add it"))
        }
    }
}

fn resolve_prometheus(entry: PrometheusEntry, key: &str) -> Result<ProviderConfig, Problem> {
    let url = resolve_base(&entry.url, &format!("{key}.url"))?;
    let tls = resolve_tls(entry.tls, std::slice::from_ref(&url), key)?;
    Ok(ProviderConfig::Prometheus(PrometheusConfig {
        url,
        scrape_interval: span(entry.scrape_interval.as_ref(), 15),
        http: HttpConfig {
            timeout: span(entry.timeout.as_ref(), 5),
            tls,
            auth: entry.auth.map(|auth| resolve_auth(auth, key)).transpose()?,
        },
    }))
}

fn resolve_envoy(entry: EnvoyEntry, key: &str) -> Result<ProviderConfig, Problem> {
    let mut urls = Vec::new();
    for (index, written) in entry.urls.value.iter().enumerate() {
        let url_key = format!("{key}.urls[{index}]");
        let url = resolve_url(written, &url_key)?;
        if urls.contains(&url) {
            return Err(Problem::new(
                written.referenced.line(),
                url_key,
                "the address is listed twice, and its requests would count twice; remove one",
            ));
        }
        urls.push(url);
    }
    if urls.is_empty() {
        return Err(Problem::new(
            entry.urls.referenced.line(),
            format!("{key}.urls"),
            "there must be at least one address; list every gateway pod's, like http://gw-0:9901/stats/prometheus",
        ));
    }
    let tls = resolve_tls(entry.tls, &urls, key)?;
    Ok(ProviderConfig::Envoy(EnvoyConfig {
        urls,
        scrape_interval: span(entry.scrape_interval.as_ref(), 1),
        http: HttpConfig {
            timeout: span(entry.timeout.as_ref(), 2),
            tls,
            auth: entry.auth.map(|auth| resolve_auth(auth, key)).transpose()?,
        },
    }))
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
fn resolve_url(written: &Spanned<String>, key: &str) -> Result<Url, Problem> {
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

pub(super) fn resolve_tls(
    tls: Option<Spanned<Tls>>,
    urls: &[Url],
    key: &str,
) -> Result<Option<TlsConfig>, Problem> {
    let Some(tls) = tls else { return Ok(None) };
    let problem = |text: &str| Problem::new(tls.referenced.line(), format!("{key}.tls"), text);
    if urls.iter().all(|url| url.scheme() == "http") {
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

pub(super) fn resolve_auth(auth: Spanned<AuthEntry>, key: &str) -> Result<Auth, Problem> {
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
