//! The configuration file as it is written. Nothing is judged here beyond keys and types.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_saphyr::{Options, Spanned};

use super::{LogFormat, Problem, Severity};
use crate::api::{Transition, units::Duration};

/// A place in the file.
#[derive(Debug)]
pub(super) struct Place {
    pub line: u64,
    pub key: String,
}

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct ConfigFile {
    /// Where metrics come from, by the names that Rollouts use.
    pub providers: BTreeMap<String, Spanned<ProviderEntry>>,
    /// What holds where a Rollout says nothing.
    pub defaults: Defaults,
    /// What steps can wait for, by the names that Rollouts use.
    pub gates: BTreeMap<String, Spanned<GateEntry>>,
    /// Who is told what.
    pub notifications: Notifications,
    /// The namespaces whose Rollouts are served; empty means all.
    pub namespaces: Vec<Spanned<String>>,
    /// Whether routes may be created beside those of users, and deleted again, for previews and steps with a match;
    /// default: no.
    pub previews: bool,
    /// Whether workloads may be scaled, before a canary's steps and once a version has no traffic any more; default: no.
    pub scaling: bool,
    /// Where `/livez`, `/readyz` and `/metrics` are served; default `0.0.0.0:8080`.
    pub listen: Option<Spanned<String>>,
    /// By what several controllers agree which of them acts; absent: there is one.
    pub leader_election: Option<LeaderElection>,
    /// How the log is written.
    pub log: Log,
    /// What the controller tells of itself at `/metrics`.
    pub metrics: Metrics,
}

/// What the controller tells of itself at `/metrics`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Metrics {
    /// Whether each Rollout has series of its own; default: yes.
    pub per_rollout: Option<bool>,
}

/// By what several controllers agree which of them acts.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct LeaderElection {
    /// The Lease's name; default `tidegate`.
    pub lease: Option<Spanned<String>>,
    /// Its namespace; default: the controller's own.
    pub namespace: Option<Spanned<String>>,
}

/// What holds where a Rollout says nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Defaults {
    /// The provider; absent: the one called `default`, or the only one.
    pub provider: Option<Spanned<String>>,
}

/// How the log is written.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Log {
    /// `text` (default) or `json`.
    pub format: LogFormat,
    /// A `tracing` filter, like `info` (default) or `info,kube=debug`.
    pub level: Option<Spanned<String>>,
}

/// A provider: exactly one of the fields.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct ProviderEntry {
    /// A Prometheus, or what speaks its HTTP API.
    pub prometheus: Option<PrometheusEntry>,
    /// Gateway Envoys' own statistics.
    pub envoy: Option<EnvoyEntry>,
    /// CloudWatch.
    pub cloud_watch: Option<CloudWatchEntry>,
    /// JSON over HTTP.
    pub web: Option<WebEntry>,
}

/// A Prometheus.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PrometheusEntry {
    /// Its base address, `http://prometheus.monitoring:9090`; a path prefix is kept.
    pub url: Spanned<String>,
    /// How often it scrapes the gateways; default 15s.
    pub scrape_interval: Option<Duration>,
    /// How old what is asked for is; default `scrapeInterval`. More where samples arrive late, as by remote write.
    pub lag: Option<Spanned<Duration>>,
    /// The deadline of one look; default 5s, at most 30s.
    pub timeout: Option<Spanned<Duration>>,
    /// The most queries at once, of all Rollouts together; default 16. Namespaces share them evenly.
    pub max_concurrent: Option<Spanned<u16>>,
    /// Whose series are asked for, where there are several tenants.
    pub tenant: Option<Spanned<TenantEntry>>,
    /// Headers of every request, none of them secret.
    #[serde(default)]
    pub headers: BTreeMap<String, Spanned<String>>,
    /// How it is reached over TLS.
    pub tls: Option<Spanned<Tls>>,
    /// How the controller proves who it is.
    pub auth: Option<Spanned<AuthEntry>>,
}

/// A tenant.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct TenantEntry {
    /// Who it is; `{{namespace}}` is the Rollout's namespace.
    pub id: String,
    /// The header that says it; default `X-Scope-OrgID`, as Mimir reads it. Thanos reads `THANOS-TENANT`.
    pub header: Option<String>,
}

/// Gateway Envoys.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct EnvoyEntry {
    /// The addresses of the statistics of every gateway pod, `http://gw-0:9901/stats/prometheus`. A `?filter=`
    /// keeps the answer of a big Envoy below 1 MiB.
    pub urls: Option<Spanned<Vec<Spanned<String>>>>,
    /// In place of `urls`: the list of Envoys of the gateways' control plane, `http://tidegate-gateway.tidegate:18001/envoys`.
    /// Credentials are for it alone; Envoys are asked without.
    pub registry: Option<Spanned<String>>,
    /// The gateway whose Envoys are read, `namespace/name`; default: those of all gateways of the registry.
    pub gateway: Option<Spanned<String>>,
    /// The nodes whose own Envoys, those beside their pods, are read besides, `namespace/name` each: callers of what a
    /// VirtualRouter weighs.
    pub virtual_nodes: Option<Spanned<Vec<Spanned<String>>>>,
    /// The shortest time between two scrapes, which all Rollouts share; default 1s.
    pub scrape_interval: Option<Duration>,
    /// The deadline of one look; default 2s, at most 30s.
    pub timeout: Option<Spanned<Duration>>,
    /// How they are reached over TLS.
    pub tls: Option<Spanned<Tls>>,
    /// How the controller proves who it is.
    pub auth: Option<Spanned<AuthEntry>>,
}

/// CloudWatch. Credentials are found as the AWS SDKs find them: the pod's role, the environment, a profile.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct CloudWatchEntry {
    /// The region, `eu-central-1`; default: that of the pod's environment.
    pub region: Option<Spanned<String>>,
    /// A role to assume with what is found.
    pub role_arn: Option<Spanned<String>>,
    /// An address in place of the region's own, as for a VPC endpoint.
    pub endpoint: Option<Spanned<String>>,
    /// The period of the sums that are read; default 60s.
    pub period: Option<Spanned<Duration>>,
    /// The deadline of one look; default 10s, at most 30s.
    pub timeout: Option<Spanned<Duration>>,
}

/// JSON over HTTP.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct WebEntry {
    /// The address that Rollouts' paths are below, `https://metrics.example/api/v1`.
    pub url: Spanned<String>,
    /// Headers of every request, none of them secret.
    #[serde(default)]
    pub headers: BTreeMap<String, Spanned<String>>,
    /// The deadline of one look; default 5s, at most 30s.
    pub timeout: Option<Spanned<Duration>>,
    /// How it is reached over TLS.
    pub tls: Option<Spanned<Tls>>,
    /// How the controller proves who it is.
    pub auth: Option<Spanned<AuthEntry>>,
}

/// A gate.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct GateEntry {
    /// Where questions are sent, `https://gates.example/change-window`.
    pub url: Spanned<String>,
    /// How soon it is asked again; default 10s, at least 1s.
    pub interval: Option<Spanned<Duration>>,
    /// The deadline of one question; default 5s, at most 30s.
    pub timeout: Option<Spanned<Duration>>,
    /// Headers of every request, none of them secret.
    #[serde(default)]
    pub headers: BTreeMap<String, Spanned<String>>,
    /// How it is reached over TLS.
    pub tls: Option<Spanned<Tls>>,
    /// How the controller proves who it is.
    pub auth: Option<Spanned<AuthEntry>>,
}

/// Who is told what.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Notifications {
    /// What messages call the cluster; absent: they don't name it.
    pub cluster_name: Option<Spanned<String>>,
    /// The receivers by name.
    pub receivers: BTreeMap<String, Spanned<ReceiverEntry>>,
}

/// A receiver: exactly one of the kinds, and what it is told of.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct ReceiverEntry {
    /// A Slack channel.
    pub slack: Option<HookEntry>,
    /// A Teams channel or chat.
    pub teams: Option<HookEntry>,
    /// A PagerDuty service.
    pub pager_duty: Option<PagerDutyEntry>,
    /// Whoever takes CloudEvents.
    pub cloud_events: Option<CloudEventsEntry>,
    /// Whoever takes JSON.
    pub webhook: Option<WebhookEntry>,
    /// What it is told of; default: Paused, RolledBack, Promoted.
    pub on: Option<Spanned<Vec<Transition>>>,
    /// The namespaces whose Rollouts it is told of; empty means all.
    pub namespaces: Vec<Spanned<String>>,
}

/// An address that is a secret.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct HookEntry {
    /// The file with the address. White space around it is cut off.
    pub url_file: String,
    /// The deadline of one attempt; default 10s, at most 30s.
    pub timeout: Option<Spanned<Duration>>,
    /// How it is reached over TLS.
    pub tls: Option<Spanned<Tls>>,
}

/// A PagerDuty service.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PagerDutyEntry {
    /// The file with the integration's routing key. White space around it is cut off.
    pub routing_key_file: String,
    /// Where events are sent; default `https://events.pagerduty.com/v2/enqueue`.
    pub url: Option<Spanned<String>>,
    /// The severity of all alerts; default: by what happened.
    pub severity: Option<Severity>,
    /// The deadline of one attempt; default 10s, at most 30s.
    pub timeout: Option<Spanned<Duration>>,
    /// How it is reached over TLS.
    pub tls: Option<Spanned<Tls>>,
}

/// Whoever takes CloudEvents.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CloudEventsEntry {
    /// Where events are sent.
    pub url: Spanned<String>,
    /// Their `source`; default `tidegate`, or `tidegate/` and `clusterName`.
    pub source: Option<Spanned<String>>,
    /// The deadline of one attempt; default 10s, at most 30s.
    pub timeout: Option<Spanned<Duration>>,
    /// Headers of every request, none of them secret.
    #[serde(default)]
    pub headers: BTreeMap<String, Spanned<String>>,
    /// How it is reached over TLS.
    pub tls: Option<Spanned<Tls>>,
    /// How the controller proves who it is.
    pub auth: Option<Spanned<AuthEntry>>,
}

/// Whoever takes JSON.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct WebhookEntry {
    /// Where notices are sent.
    pub url: Spanned<String>,
    /// What is sent: any value, with placeholders in its texts; default: all that is known.
    pub body: Option<Spanned<serde_json::Value>>,
    /// The deadline of one attempt; default 10s, at most 30s.
    pub timeout: Option<Spanned<Duration>>,
    /// Headers of every request, none of them secret.
    #[serde(default)]
    pub headers: BTreeMap<String, Spanned<String>>,
    /// How it is reached over TLS.
    pub tls: Option<Spanned<Tls>>,
    /// How the controller proves who it is.
    pub auth: Option<Spanned<AuthEntry>>,
}

/// TLS towards whoever is called. Files are PEM, and read again when they change.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Tls {
    /// The authorities to trust, in place of the system's.
    pub ca_file: Option<String>,
    /// The client certificate; needs `keyFile`.
    pub cert_file: Option<String>,
    /// The client certificate's key; needs `certFile`.
    pub key_file: Option<String>,
    /// Accept any certificate. Whoever is on the way can then forge metrics and answers.
    pub insecure_skip_verify: bool,
}

/// How the controller proves who it is: exactly one of the fields.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct AuthEntry {
    /// A name and a password.
    pub basic: Option<BasicEntry>,
    /// A token.
    pub bearer: Option<BearerEntry>,
}

/// A name and a password.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct BasicEntry {
    /// The name; or `usernameFile`.
    pub username: Option<String>,
    /// A file with the name; or `username`.
    pub username_file: Option<String>,
    /// A file with the password. White space around it is cut off.
    pub password_file: String,
}

/// A token.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct BearerEntry {
    /// A file with the token. White space around it is cut off.
    pub token_file: String,
}

/// Parses a text. An empty one is an empty configuration.
pub(super) fn parse(text: &str) -> Result<ConfigFile, Problem> {
    let blank =
        text.lines().map(str::trim).all(|line| line.is_empty() || line.starts_with('#') || line == "---");
    if blank {
        return Ok(ConfigFile::default());
    }
    let mut path = None;
    serde_saphyr::with_deserializer_from_str_with_options(text, Options::default(), |yaml| {
        serde_path_to_error::deserialize(yaml).map_err(|error| {
            path = Some(error.path().to_string());
            error.into_inner()
        })
    })
    .map_err(|error| {
        let line = error.location().map_or(1, |location| location.line());
        Problem::new(line, key_of(path), explain(&error))
    })
}

/// A path without the wrappers that remember lines; they add a `value` of their own, before the index where there is a list.
fn key_of(path: Option<String>) -> String {
    let mut key = String::new();
    for part in path.unwrap_or_default().split('.').filter(|part| !matches!(*part, "value" | "?" | "")) {
        match part.strip_prefix("value[") {
            Some(index) => key.extend(["[", index]),
            None if key.is_empty() => key.push_str(part),
            None => key.extend([".", part]),
        }
    }
    if key.is_empty() { "the file".to_owned() } else { key }
}

/// What is wrong and what to do, without the parser's snippet: the line is told anyhow.
fn explain(error: &serde_saphyr::Error) -> String {
    match error.without_snippet() {
        serde_saphyr::Error::SerdeUnknownField { field, expected, .. } => {
            format!("there is no key {field:?} here; the keys are {}", expected.join(", "))
        }
        serde_saphyr::Error::SerdeMissingField { field, .. } => {
            format!("the key {field:?} is missing; add it")
        }
        serde_saphyr::Error::DuplicateMappingKey { key, .. } => {
            let key = key.as_deref().unwrap_or("a key");
            format!("{key:?} is given twice; remove one")
        }
        serde_saphyr::Error::SerdeUnknownVariant { variant, expected, .. } => {
            format!("{variant:?} is not known; it must be one of {}", expected.join(", "))
        }
        serde_saphyr::Error::Unexpected { expected, .. } => match *expected {
            "mapping start" => "there must be keys with values here; write them as key: value".to_owned(),
            "sequence start" => "there must be a list here; write it as [a, b]".to_owned(),
            "string scalar" => {
                "there must be a single text here; quote it if it has special characters".to_owned()
            }
            other => format!("there must be a {other} here"),
        },
        serde_saphyr::Error::InvalidScalar { ty: "boolean", .. } => "it must be true or false".to_owned(),
        serde_saphyr::Error::Message { msg, .. } => msg.clone(),
        other => other.render_with_options(plain()),
    }
}

/// Renders without a snippet of the file.
fn plain() -> serde_saphyr::RenderOptions<'static> {
    let mut options = serde_saphyr::RenderOptions::default();
    options.snippets = serde_saphyr::SnippetMode::Off;
    options
}
