//! The configured receivers: one attempt to tell one of them of one notice.
//!
//! Addresses and keys that are secrets are read from their files for each attempt, so that a rotated one needs no restart. No
//! error holds an address, a key or a byte of what came back: the body of an answer is not even read.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use reqwest::{StatusCode, Url, header::CONTENT_TYPE};

use super::{
    About,
    render::{self, Message, Told},
};
use crate::{
    api::{Notice, Receiver},
    config::{NotificationsConfig, ReceiverConfig, ReceiverKind},
    outbound::{self, CallError, Http, Receipt},
};

/// The longest time that a receiver's `Retry-After` is honoured for.
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// All configured receivers. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Receivers {
    cluster: Option<Arc<str>>,
    entries: Arc<BTreeMap<String, Entry>>,
}

/// Why a configured receiver can't serve. It stops the start.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up the receiver {name}: {reason}")]
pub struct ReceiverError {
    name: String,
    reason: String,
}

/// Why an attempt did not deliver, as a sentence without address, key or byte of an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryError {
    /// Another attempt may do.
    #[error("{sentence}")]
    Later {
        /// Why.
        sentence: String,
        /// How long the receiver asks to be left alone; an hour at most.
        after: Option<Duration>,
    },
    /// The receiver will not take it, however often it is sent.
    #[error("{0}")]
    Refused(String),
}

#[derive(Debug)]
struct Entry {
    config: ReceiverConfig,
    http: Http,
}

impl Receivers {
    /// Sets all receivers up and reads what they name once, so that a missing file stops the start.
    pub fn new(config: &NotificationsConfig) -> Result<Self, ReceiverError> {
        let set_up = |(name, config): (&String, &ReceiverConfig)| {
            let entry = Entry::new(config).map_err(|error| ReceiverError {
                name: name.clone(),
                reason: error.sentence("the receiver"),
            })?;
            Ok((name.clone(), entry))
        };
        let entries = config.receivers.iter().map(set_up).collect::<Result<_, _>>()?;
        Ok(Self { cluster: config.cluster_name.as_deref().map(Arc::from), entries: Arc::new(entries) })
    }

    /// Who they are and what they take.
    pub fn list(&self) -> Vec<Receiver> {
        let plain = |(name, entry): (&String, &Entry)| Receiver {
            name: name.clone(),
            on: entry.config.on.clone(),
            namespaces: entry.config.namespaces.clone(),
        };
        self.entries.iter().map(plain).collect()
    }

    /// Tries once to tell a receiver of a notice.
    pub async fn deliver(&self, receiver: &str, about: &About, notice: &Notice) -> Result<(), DeliveryError> {
        let entry = self.entries.get(receiver).ok_or_else(|| {
            DeliveryError::Refused(format!("no receiver named {receiver:?} is configured any more"))
        })?;
        entry.deliver(Told { notice, about, cluster: self.cluster.as_deref() }).await
    }
}

impl Entry {
    fn new(config: &ReceiverConfig) -> Result<Self, CallError> {
        let (http, over_tls) = match &config.kind {
            // Only the file knows, and may say otherwise tomorrow.
            ReceiverKind::Slack(hook) | ReceiverKind::Teams(hook) => (&hook.http, true),
            ReceiverKind::PagerDuty(pager) => (&pager.http, is_tls(&pager.url)),
            ReceiverKind::CloudEvents(events) => (&events.http, is_tls(&events.url)),
            ReceiverKind::Webhook(webhook) => (&webhook.http, is_tls(&webhook.url)),
        };
        let http = Http::new(http, over_tls)?;
        match &config.kind {
            ReceiverKind::Slack(hook) => drop(address("slack.urlFile", &hook.url_file)?),
            ReceiverKind::Teams(hook) => drop(address("teams.urlFile", &hook.url_file)?),
            ReceiverKind::PagerDuty(pager) => drop(routing_key(&pager.routing_key_file)?),
            ReceiverKind::CloudEvents(_) | ReceiverKind::Webhook(_) => {}
        }
        Ok(Self { config: config.clone(), http })
    }

    async fn deliver(&self, told: Told<'_>) -> Result<(), DeliveryError> {
        let (url, Message { content_type, body }) = self.message(told).map_err(|error| failed(&error))?;
        let sent = self
            .http
            .tell(|client| client.post(url).header(CONTENT_TYPE, content_type).body(body.to_string()));
        judge(sent.await.map_err(|error| failed(&error))?)
    }

    /// Where a notice goes, and as what. This reads the secrets.
    fn message(&self, told: Told<'_>) -> Result<(Url, Message), CallError> {
        Ok(match &self.config.kind {
            ReceiverKind::Slack(hook) => (address("slack.urlFile", &hook.url_file)?, render::slack(told)),
            ReceiverKind::Teams(hook) => (address("teams.urlFile", &hook.url_file)?, render::teams(told)),
            ReceiverKind::PagerDuty(pager) => {
                let key = routing_key(&pager.routing_key_file)?;
                (pager.url.clone(), render::pager_duty(told, &key, pager.severity))
            }
            ReceiverKind::CloudEvents(events) => {
                (events.url.clone(), render::cloud_events(told, &events.source))
            }
            ReceiverKind::Webhook(webhook) => {
                (webhook.url.clone(), render::webhook(told, webhook.body.as_ref()))
            }
        })
    }
}

fn is_tls(url: &Url) -> bool {
    url.scheme() == "https"
}

fn routing_key(path: &Path) -> Result<String, CallError> {
    outbound::secret("pagerDuty.routingKeyFile", path)
}

/// The address that a file holds.
fn address(key: &str, path: &Path) -> Result<Url, CallError> {
    let written = outbound::secret(key, path)?;
    Url::parse(&written).ok().filter(|url| matches!(url.scheme(), "http" | "https")).ok_or_else(|| {
        CallError::Credentials(format!(
            "{} of {key} does not hold an address that begins with https:// or http://; correct it",
            path.display()
        ))
    })
}

/// What a call that brought no status means.
fn failed(error: &CallError) -> DeliveryError {
    let sentence = error.sentence("the receiver");
    match error {
        CallError::Redirect => DeliveryError::Refused(sentence),
        CallError::Timeout(_)
        | CallError::Unreachable
        | CallError::Misled
        | CallError::Status(_)
        | CallError::Refused { .. }
        | CallError::TooLarge
        | CallError::Credentials(_) => DeliveryError::Later { sentence, after: None },
    }
}

/// What a status means.
fn judge(receipt: Receipt) -> Result<(), DeliveryError> {
    let Receipt { status, retry_after } = receipt;
    if status.is_success() {
        return Ok(());
    }
    let sentence = format!("the receiver answered HTTP {}", status.as_u16());
    let is_passing = matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
    if is_passing || status.is_server_error() {
        let after = retry_after.map(|after| after.min(LONGEST_WAIT));
        return Err(DeliveryError::Later { sentence, after });
    }
    Err(DeliveryError::Refused(format!(
        "{sentence}: it refuses the notice for good; check its address, its credentials and what it takes"
    )))
}

#[cfg(test)]
mod tests;
