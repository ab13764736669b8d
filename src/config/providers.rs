//! Providers, resolved: each of one kind, and the default exists.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use reqwest::Url;
use serde_saphyr::Spanned;

use super::{
    Entry, Problem,
    cloudwatch::{self, CloudWatchConfig},
    file::{EnvoyEntry, ProviderEntry},
    http::{HttpConfig, Written, resolve_url, span},
    prometheus::{self, PrometheusConfig},
    web::{self, WebConfig},
};

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

/// Gateway Envoys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvoyConfig {
    /// Where they are.
    pub source: EnvoySource,
    /// The shortest time between two scrapes.
    pub scrape_interval: Duration,
    /// How they are reached.
    pub http: HttpConfig,
}

/// Where the statistics of gateway Envoys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvoySource {
    /// There; at least one.
    Urls(Vec<Url>),
    /// Where the gateways' control plane says.
    Registry {
        /// The address of its list.
        url: Url,
        /// The gateway whose Envoys are read, as `<namespace>/<name>`; absent: those of all.
        gateway: Option<String>,
        /// The nodes whose own Envoys are read besides, written alike.
        nodes: BTreeSet<String>,
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
    let place = Entry { what: "a provider", line: entry.referenced.line(), key: key.as_str() };
    place.check_name(name)?;
    let ProviderEntry { prometheus, envoy, cloud_watch, web } = entry.value;
    let kinds = [
        prometheus.map(|entry| {
            prometheus::resolve(entry, &format!("{key}.prometheus")).map(ProviderConfig::Prometheus)
        }),
        envoy.map(|entry| resolve_envoy(entry, &format!("{key}.envoy"), place.line)),
        cloud_watch.map(|entry| {
            cloudwatch::resolve(entry, &format!("{key}.cloudWatch")).map(ProviderConfig::CloudWatch)
        }),
        web.map(|entry| web::resolve(entry, &format!("{key}.web")).map(ProviderConfig::Web)),
    ];
    place.only_one("prometheus, envoy, cloudWatch and web", kinds)
}

fn resolve_envoy(entry: EnvoyEntry, key: &str, line: u64) -> Result<ProviderConfig, Problem> {
    let source = match (&entry.urls, &entry.registry) {
        (Some(urls), None) => EnvoySource::Urls(resolve_urls(urls, key)?),
        (None, Some(registry)) => {
            let url = resolve_url(registry, &format!("{key}.registry"))?;
            let (gateway, nodes) = resolve_of(&entry, key)?;
            EnvoySource::Registry { url, gateway, nodes }
        }
        (Some(urls), Some(_)) => {
            let told = "urls and registry are two ways to find the same Envoys; keep one of them";
            return Err(Problem::new(urls.referenced.line(), key, told));
        }
        (None, None) => {
            let told = "it must have urls (every gateway pod's, like http://gw-0:9901/stats/prometheus) or registry (the list of \
                        the gateways' control plane, like http://tidegate-gateway.tidegate:18001/envoys)";
            return Err(Problem::new(line, key, told));
        }
    };
    let chosen = [
        ("gateway", entry.gateway.as_ref().map(|gateway| gateway.referenced.line())),
        ("virtualNodes", entry.virtual_nodes.as_ref().map(|nodes| nodes.referenced.line())),
    ];
    for (field, line) in chosen {
        if let (EnvoySource::Urls(_), Some(line)) = (&source, line) {
            let told =
                format!("{field} chooses among the Envoys of a registry, and there is none; remove it");
            return Err(Problem::new(line, format!("{key}.{field}"), told));
        }
    }
    let urls = match &source {
        EnvoySource::Urls(urls) => urls.clone(),
        EnvoySource::Registry { url, .. } => vec![url.clone()],
    };
    let written =
        Written { timeout: entry.timeout, tls: entry.tls, auth: entry.auth, headers: BTreeMap::new() };
    Ok(ProviderConfig::Envoy(EnvoyConfig {
        scrape_interval: span(entry.scrape_interval.as_ref(), 1),
        http: written.resolve(2, &urls, key)?,
        source,
    }))
}

fn resolve_urls(listed: &Spanned<Vec<Spanned<String>>>, key: &str) -> Result<Vec<Url>, Problem> {
    let mut urls = Vec::new();
    for (index, written) in listed.value.iter().enumerate() {
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
            listed.referenced.line(),
            format!("{key}.urls"),
            "there must be at least one address; list every gateway pod's, like http://gw-0:9901/stats/prometheus",
        ));
    }
    Ok(urls)
}

/// The gateway and the nodes whose Envoys are read.
fn resolve_of(entry: &EnvoyEntry, key: &str) -> Result<(Option<String>, BTreeSet<String>), Problem> {
    let named = |written: &Spanned<String>, key: String, told: &str| match written.value.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
            Ok(written.value.clone())
        }
        Some(_) | None => Err(Problem::new(written.referenced.line(), key, told)),
    };
    let gateway = entry.gateway.as_ref().map(|gateway| {
        let told = "it must be the namespace and the name of a VirtualGateway, like default/color-gateway";
        named(gateway, format!("{key}.gateway"), told)
    });
    let nodes = entry.virtual_nodes.as_ref().map(|nodes| {
        let key = format!("{key}.virtualNodes");
        if nodes.value.is_empty() {
            let told = "it names no VirtualNode; name those whose Envoys are to be read, or remove it";
            return Err(Problem::new(nodes.referenced.line(), key, told));
        }
        let told = "it must be the namespace and the name of a VirtualNode, like default/front";
        let each = nodes.value.iter().enumerate();
        each.map(|(place, node)| named(node, format!("{key}[{place}]"), told)).collect()
    });
    Ok((gateway.transpose()?, nodes.transpose()?.unwrap_or_default()))
}
