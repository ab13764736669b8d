//! The controller's configuration: a YAML file, read once at the start.
//!
//! It is parsed as written (`file`), then resolved into values that cannot be wrong (`providers`, `gates`, `notifications`,
//! and here).
//! Whatever is wrong stops the start, with the file, the line, the key and the remedy. The file holds no
//! secret: credentials are named by path and read when they are used.

mod body;
mod cloudwatch;
mod file;
mod gates;
mod http;
mod notifications;
mod prometheus;
mod providers;
mod web;

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
};

pub use body::{Body, Part, Placeholder};
pub use cloudwatch::CloudWatchConfig;
pub use gates::GateConfig;
pub use http::{Auth, HttpConfig, TlsConfig};
pub use notifications::{
    CloudEventsConfig, HookConfig, NotificationsConfig, PagerDutyConfig, ReceiverConfig, ReceiverKind,
    Severity, WebhookConfig,
};
pub use prometheus::{PrometheusConfig, Tenant};
pub use providers::{EnvoyConfig, EnvoySource, ProviderConfig, ProvidersConfig};
pub use web::WebConfig;

use file::{ConfigFile, Place};
use serde_saphyr::Spanned;

/// The whole configuration. Its default is what serves without a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where metrics come from.
    pub providers: ProvidersConfig,
    /// What steps can wait for, by the names that Rollouts use, which are DNS labels.
    pub gates: BTreeMap<String, GateConfig>,
    /// Who is told what.
    pub notifications: NotificationsConfig,
    /// The namespaces whose Rollouts are served; empty means all.
    pub namespaces: Vec<String>,
    /// Whether routes may be created beside those of users, and deleted again, for previews and steps with a match.
    pub previews: bool,
    /// Whether workloads may be scaled, before a canary's steps and once a version has no traffic any more.
    pub scaling: bool,
    /// Where `/livez`, `/readyz` and `/metrics` are served.
    pub listen: SocketAddr,
    /// How many controllers there are, and how they agree.
    pub replicas: Replicas,
    /// How the log is written.
    pub log: LogConfig,
    /// What the controller tells of itself at `/metrics`.
    pub metrics: MetricsConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            providers: ProvidersConfig::default(),
            gates: BTreeMap::new(),
            notifications: NotificationsConfig::default(),
            namespaces: Vec::new(),
            previews: false,
            scaling: false,
            listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8080)),
            replicas: Replicas::One,
            log: LogConfig::default(),
            metrics: MetricsConfig::default(),
        }
    }
}

/// How many controllers there are, and how they agree who acts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Replicas {
    /// One, which always acts.
    #[default]
    One,
    /// Several, one of which acts: who holds the Lease. The others are ready to.
    Led(LeaderElection),
    /// Several that share the Rollouts: each holds a Lease of its own.
    Sharing(LeaderElection),
}

/// The Lease that several controllers agree by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderElection {
    /// The Lease's name. Where the Rollouts are shared, their Leases' names begin with it, and their label has it.
    pub lease: String,
    /// Its namespace; `None` is the controller's own.
    pub namespace: Option<String>,
}

impl Default for LeaderElection {
    fn default() -> Self {
        Self { lease: "tidegate".to_owned(), namespace: None }
    }
}

/// How the log is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// One line of text or one JSON object an event.
    pub format: LogFormat,
    /// A `tracing` filter, like `info` or `info,kube=debug`.
    pub level: String,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".to_owned() }
    }
}

/// What the controller tells of itself at `/metrics`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricsConfig {
    /// Each Rollout has series of its own: one at rest, about ten in a run. Without them only counts of all are told.
    pub per_rollout: bool,
}

impl Default for MetricsConfig {
    fn default() -> Self {
        Self { per_rollout: true }
    }
}

/// The shape of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines.
    Json,
}

/// Why the configuration can't be used. The texts name the file, the line, the key and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("cannot read the configuration {file}")]
    Read {
        /// The file.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// Something in it is wrong.
    #[error("{file}:{line}: {key}: {problem}")]
    Invalid {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u64,
        /// The key with the keys above it, `providers.default.prometheus.url`.
        key: String,
        /// What is wrong and what to do.
        problem: String,
    },
}

impl Config {
    /// The same, with several controllers that share the Rollouts, by Leases where the configured one would be.
    #[must_use]
    pub fn sharing(self) -> Self {
        let leases = match self.replicas {
            Replicas::One => LeaderElection::default(),
            Replicas::Led(leases) | Replicas::Sharing(leases) => leases,
        };
        Self { replicas: Replicas::Sharing(leases), ..self }
    }

    /// Reads, parses and resolves a file.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let file = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text, &file),
            Err(source) => Err(ConfigError::Read { file, source }),
        }
    }

    /// Parses and resolves a text; `file` is what errors call it.
    pub fn parse(text: &str, file: &str) -> Result<Self, ConfigError> {
        file::parse(text).and_then(resolve).map_err(|Problem { place, problem }| ConfigError::Invalid {
            file: file.to_owned(),
            line: place.line,
            key: place.key,
            problem,
        })
    }
}

/// Something wrong at a place of the file.
#[derive(Debug)]
struct Problem {
    place: Place,
    problem: String,
}

impl Problem {
    fn new(line: u64, key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { place: Place { line, key: key.into() }, problem: problem.into() }
    }
}

/// One of several entries that have names and are of one of some kinds.
#[derive(Clone, Copy)]
struct Entry<'a> {
    /// What such an entry is, "a provider".
    what: &'static str,
    line: u64,
    /// With the keys above it.
    key: &'a str,
}

impl Entry<'_> {
    fn check_name(self, name: &str) -> Result<(), Problem> {
        if is_dns_label(name) {
            return Ok(());
        }
        Err(self.problem(format!(
            "{}'s name must be a DNS label of at most 63 lower-case letters, digits and hyphens; rename it",
            self.what
        )))
    }

    /// The one kind that is given of those that `kinds` lists.
    fn only_one<T>(
        self,
        kinds: &str,
        given: impl IntoIterator<Item = Option<Result<T, Problem>>>,
    ) -> Result<T, Problem> {
        let mut given = given.into_iter().flatten();
        match (given.next(), given.next()) {
            (Some(only), None) => only,
            (Some(_), Some(_)) => {
                Err(self.problem(format!("{} must be only one of {kinds}; make an entry of each", self.what)))
            }
            (None, _) => Err(self.problem(format!("{} must have one of {kinds}; add it", self.what))),
        }
    }

    fn problem(self, text: String) -> Problem {
        Problem::new(self.line, self.key, text)
    }
}

fn resolve(file: ConfigFile) -> Result<Config, Problem> {
    let default = Config::default();
    let providers = providers::resolve(file.providers, file.defaults.provider)?;
    let gates = gates::resolve(file.gates)?;
    let notifications = notifications::resolve(file.notifications)?;
    let namespaces = resolve_namespaces(file.namespaces, "namespaces")?;
    let listen = match file.listen {
        None => default.listen,
        Some(listen) => listen.value.parse().map_err(|_| {
            Problem::new(
                listen.referenced.line(),
                "listen",
                format!(
                    "{:?} is not an address; it must be an IP address and a port, like 0.0.0.0:8080",
                    listen.value
                ),
            )
        })?,
    };
    let leader_election = file.leader_election.map(leader_election).transpose()?;
    let replicas = leader_election.map_or(Replicas::One, Replicas::Led);
    let level = match file.log.level {
        None => default.log.level,
        Some(level) => {
            level.value.parse::<tracing_subscriber::filter::EnvFilter>().map_err(|_| {
                Problem::new(
                    level.referenced.line(),
                    "log.level",
                    format!("{:?} is not a log filter; it must be like info or info,kube=debug", level.value),
                )
            })?;
            level.value
        }
    };
    let (previews, scaling) = (file.previews, file.scaling);
    let log = LogConfig { format: file.log.format, level };
    let metrics =
        MetricsConfig { per_rollout: file.metrics.per_rollout.unwrap_or(default.metrics.per_rollout) };
    Ok(Config {
        providers,
        gates,
        notifications,
        namespaces,
        previews,
        scaling,
        listen,
        replicas,
        log,
        metrics,
    })
}

fn resolve_namespaces(written: Vec<Spanned<String>>, key: &str) -> Result<Vec<String>, Problem> {
    let resolve = |(index, namespace): (usize, Spanned<String>)| {
        if is_dns_label(&namespace.value) {
            return Ok(namespace.value);
        }
        Err(Problem::new(
            namespace.referenced.line(),
            format!("{key}[{index}]"),
            format!("{:?} is not a namespace; it must be a DNS label like \"shop\"", namespace.value),
        ))
    };
    written.into_iter().enumerate().map(resolve).collect()
}

fn leader_election(written: file::LeaderElection) -> Result<LeaderElection, Problem> {
    let label = |value: Option<Spanned<String>>, key: &str| {
        let Some(value) = value else { return Ok(None) };
        if is_dns_label(&value.value) {
            return Ok(Some(value.value));
        }
        Err(Problem::new(
            value.referenced.line(),
            format!("leaderElection.{key}"),
            format!("{:?} is not a name; it must be a DNS label like \"tidegate\"", value.value),
        ))
    };
    let lease = label(written.lease, "lease")?.unwrap_or_else(|| LeaderElection::default().lease);
    Ok(LeaderElection { lease, namespace: label(written.namespace, "namespace")? })
}

/// Lower-case letters, digits and inner hyphens, at most 63: what Kubernetes calls a DNS label.
fn is_dns_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod docs_tests;
#[cfg(test)]
mod tests;
