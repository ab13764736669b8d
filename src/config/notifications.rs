//! Receivers of notices, resolved: each of one kind, told of something, and its secrets named by file.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use reqwest::Url;
use serde_saphyr::Spanned;

use super::{
    Body, Entry, HttpConfig, Problem, body,
    file::{CloudEventsEntry, HookEntry, Notifications, PagerDutyEntry, ReceiverEntry, WebhookEntry},
    http::{Written, resolve_url},
    resolve_namespaces,
};
use crate::api::Transition;

/// What a receiver is told of that does not say.
const DEFAULT_ON: [Transition; 3] = [Transition::Paused, Transition::RolledBack, Transition::Promoted];
/// The deadline of an attempt, in seconds, where nothing is said.
const TIMEOUT: u64 = 10;
/// Where PagerDuty takes events.
const PAGER_DUTY: &str = "https://events.pagerduty.com/v2/enqueue";

/// Who is told what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotificationsConfig {
    /// What messages call the cluster.
    pub cluster_name: Option<String>,
    /// The receivers by name, a DNS label.
    pub receivers: BTreeMap<String, ReceiverConfig>,
}

/// A receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiverConfig {
    /// What it is told of; at least one.
    pub on: BTreeSet<Transition>,
    /// The namespaces whose Rollouts it is told of; empty means all.
    pub namespaces: Vec<String>,
    /// How it is told.
    pub kind: ReceiverKind,
}

/// How a receiver is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReceiverKind {
    /// An incoming webhook of Slack.
    Slack(HookConfig),
    /// A webhook of a Teams workflow.
    Teams(HookConfig),
    /// An alert of PagerDuty.
    PagerDuty(PagerDutyConfig),
    /// A CloudEvent over HTTP.
    CloudEvents(CloudEventsConfig),
    /// JSON over HTTP.
    Webhook(WebhookConfig),
}

/// An address that is a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookConfig {
    /// The file with the address.
    pub url_file: PathBuf,
    /// How it is reached.
    pub http: HttpConfig,
}

/// A PagerDuty service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PagerDutyConfig {
    /// The file with the routing key.
    pub routing_key_file: PathBuf,
    /// Where events are sent.
    pub url: Url,
    /// The severity of all alerts; `None` follows what happened.
    pub severity: Option<Severity>,
    /// How it is reached.
    pub http: HttpConfig,
}

/// How bad an alert is, in PagerDuty's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// The worst.
    Critical,
    /// Something failed.
    Error,
    /// Something may be about to.
    Warning,
    /// Good to know.
    Info,
}

/// Whoever takes CloudEvents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloudEventsConfig {
    /// Where events are sent.
    pub url: Url,
    /// Their `source`.
    pub source: String,
    /// How it is reached.
    pub http: HttpConfig,
}

/// Whoever takes JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookConfig {
    /// Where notices are sent.
    pub url: Url,
    /// What is sent; `None`: all that is known.
    pub body: Option<Body>,
    /// How it is reached.
    pub http: HttpConfig,
}

pub(super) fn resolve(written: Notifications) -> Result<NotificationsConfig, Problem> {
    let line = |text: &Spanned<String>| !text.value.is_empty() && !text.value.contains(char::is_control);
    if let Some(name) = written.cluster_name.as_ref().filter(|name| !line(name)) {
        let text = "the name must be one line of text; correct it or leave it out";
        return Err(Problem::new(name.referenced.line(), "notifications.clusterName", text));
    }
    let cluster_name = written.cluster_name.map(|name| name.value);
    let resolve = |(name, entry): (String, Spanned<ReceiverEntry>)| {
        let receiver = resolve_entry(&name, entry, cluster_name.as_deref())?;
        Ok((name, receiver))
    };
    let receivers = written.receivers.into_iter().map(resolve).collect::<Result<_, _>>()?;
    Ok(NotificationsConfig { cluster_name, receivers })
}

fn resolve_entry(
    name: &str,
    entry: Spanned<ReceiverEntry>,
    cluster: Option<&str>,
) -> Result<ReceiverConfig, Problem> {
    let key = format!("notifications.receivers.{name}");
    let place = Entry { what: "a receiver", line: entry.referenced.line(), key: &key };
    place.check_name(name)?;
    let ReceiverEntry { slack, teams, pager_duty, cloud_events, webhook, on, namespaces } = entry.value;
    let kinds = [
        slack.map(|entry| resolve_hook(entry, &format!("{key}.slack")).map(ReceiverKind::Slack)),
        teams.map(|entry| resolve_hook(entry, &format!("{key}.teams")).map(ReceiverKind::Teams)),
        pager_duty.map(|entry| resolve_pager_duty(entry, &format!("{key}.pagerDuty"))),
        cloud_events.map(|entry| resolve_cloud_events(entry, &format!("{key}.cloudEvents"), cluster)),
        webhook.map(|entry| resolve_webhook(entry, &format!("{key}.webhook"))),
    ];
    let on = match on {
        None => DEFAULT_ON.into(),
        Some(on) if on.value.is_empty() => {
            let text =
                "there must be at least one transition, like RolledBack; leave the key out for the default";
            return Err(Problem::new(on.referenced.line(), format!("{key}.on"), text));
        }
        Some(on) => on.value.into_iter().collect(),
    };
    Ok(ReceiverConfig {
        on,
        namespaces: resolve_namespaces(namespaces, &format!("{key}.namespaces"))?,
        kind: place.only_one("slack, teams, pagerDuty, cloudEvents and webhook", kinds)?,
    })
}

fn resolve_hook(entry: HookEntry, key: &str) -> Result<HookConfig, Problem> {
    let written = Written { timeout: entry.timeout, tls: entry.tls, auth: None, headers: BTreeMap::new() };
    Ok(HookConfig { url_file: entry.url_file.into(), http: written.resolve(TIMEOUT, &[], key)? })
}

fn resolve_pager_duty(entry: PagerDutyEntry, key: &str) -> Result<ReceiverKind, Problem> {
    let url_key = format!("{key}.url");
    let url = match entry.url {
        Some(url) => resolve_url(&url, &url_key)?,
        None => Url::parse(PAGER_DUTY).map_err(|_| Problem::new(1, url_key, "the default is no address"))?,
    };
    let written = Written { timeout: entry.timeout, tls: entry.tls, auth: None, headers: BTreeMap::new() };
    Ok(ReceiverKind::PagerDuty(PagerDutyConfig {
        routing_key_file: entry.routing_key_file.into(),
        severity: entry.severity,
        http: written.resolve(TIMEOUT, std::slice::from_ref(&url), key)?,
        url,
    }))
}

fn resolve_cloud_events(
    entry: CloudEventsEntry,
    key: &str,
    cluster: Option<&str>,
) -> Result<ReceiverKind, Problem> {
    let url = resolve_url(&entry.url, &format!("{key}.url"))?;
    let source = match entry.source {
        None => cluster.map_or_else(|| "tidegate".to_owned(), |cluster| format!("tidegate/{cluster}")),
        Some(source) if is_uri_reference(&source.value) => source.value,
        Some(source) => {
            let text =
                "this is not a source; it must be a URI without spaces, like https://tidegate.example/prod";
            return Err(Problem::new(source.referenced.line(), format!("{key}.source"), text));
        }
    };
    let written =
        Written { timeout: entry.timeout, tls: entry.tls, auth: entry.auth, headers: entry.headers };
    let http = written.resolve(TIMEOUT, std::slice::from_ref(&url), key)?;
    Ok(ReceiverKind::CloudEvents(CloudEventsConfig { url, source, http }))
}

fn resolve_webhook(entry: WebhookEntry, key: &str) -> Result<ReceiverKind, Problem> {
    let url = resolve_url(&entry.url, &format!("{key}.url"))?;
    let body = entry.body.map(|written| {
        let line = written.referenced.line();
        body::resolve(written.value, &format!("{key}.body"), line)
    });
    let written =
        Written { timeout: entry.timeout, tls: entry.tls, auth: entry.auth, headers: entry.headers };
    let http = written.resolve(TIMEOUT, std::slice::from_ref(&url), key)?;
    Ok(ReceiverKind::Webhook(WebhookConfig { url, body: body.transpose()?, http }))
}

/// Whether a text can be a URI or the relative part of one.
fn is_uri_reference(text: &str) -> bool {
    const BESIDES: &[u8] = b"-._~:/?#[]@!$&'()*+,;=%";
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || BESIDES.contains(&b))
}
