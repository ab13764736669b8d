//! Fault injection by rule: the first rule that matches a request takes effect, a given number of times.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::audit::RequestRecord;

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// 409 Conflict, nothing stored.
    Conflict,
    /// 410 Expired; a watch answers 200 and carries it as an ERROR event.
    Expired,
    /// 429 with `Retry-After`.
    TooManyRequests {
        /// Seconds that the client is asked to wait.
        retry_after: u64,
    },
    /// Any other status code, nothing stored.
    Status(u16),
    /// A watch, running or new, loses its connection.
    DropWatch,
    /// A watch, running or new, stays open and says nothing more.
    FreezeWatch,
    /// The request is carried out after a delay.
    Latency(Duration),
    /// The request is carried out, then the connection is closed without an answer.
    LoseReply,
    /// The request is neither carried out nor answered; the connection stays open.
    Timeout,
}

impl Effect {
    fn is_for_watches(&self) -> bool {
        match self {
            Self::DropWatch | Self::FreezeWatch => true,
            Self::Conflict
            | Self::Expired
            | Self::TooManyRequests { .. }
            | Self::Status(_)
            | Self::Latency(_)
            | Self::LoseReply
            | Self::Timeout => false,
        }
    }
}

/// A rule: which requests suffer which effect, and how often. Fields that are `None` match everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Verb, as in [`RequestRecord::verb`].
    pub verb: Option<String>,
    /// Plural of the resource.
    pub resource: Option<String>,
    /// Name in the URL.
    pub name: Option<String>,
    /// Subresource; the empty string means the object itself.
    pub subresource: Option<String>,
    /// Part of the user agent.
    pub user_agent: Option<String>,
    /// How many requests suffer it.
    pub times: u32,
    /// What happens.
    pub effect: Effect,
}

impl Fault {
    /// A rule for the next request of any kind.
    pub fn once(effect: Effect) -> Self {
        Self { verb: None, resource: None, name: None, subresource: None, user_agent: None, times: 1, effect }
    }

    /// Only requests with this verb.
    #[must_use]
    pub fn verb(mut self, verb: &str) -> Self {
        self.verb = Some(verb.to_owned());
        self
    }

    /// Only requests for this resource (its plural).
    #[must_use]
    pub fn resource(mut self, resource: &str) -> Self {
        self.resource = Some(resource.to_owned());
        self
    }

    /// Only requests that name this object.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// Only requests for this subresource; the empty string means the object itself.
    #[must_use]
    pub fn subresource(mut self, subresource: &str) -> Self {
        self.subresource = Some(subresource.to_owned());
        self
    }

    /// Only clients whose user agent contains this text.
    #[must_use]
    pub fn user_agent(mut self, part: &str) -> Self {
        self.user_agent = Some(part.to_owned());
        self
    }

    /// For that many requests; `u32::MAX` is for good.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }

    fn matches(&self, request: &RequestRecord) -> bool {
        let equal =
            |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
        equal(&self.verb, &request.verb)
            && equal(&self.resource, &request.resource)
            && equal(&self.name, &request.name)
            && equal(&self.subresource, &request.subresource)
            && self.user_agent.as_deref().is_none_or(|part| request.user_agent.contains(part))
    }
}

/// The rules in force.
#[derive(Debug)]
pub struct Faults {
    rules: Mutex<Vec<Fault>>,
    added: watch::Sender<()>,
}

impl Faults {
    pub(super) fn new() -> Self {
        Self { rules: Mutex::new(Vec::new()), added: watch::channel(()).0 }
    }

    /// Adds a rule, behind those already there.
    pub fn add(&self, fault: Fault) {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner).push(fault);
        self.added.send_replace(());
    }

    /// Takes all rules away. Watches that are frozen stay so.
    pub fn clear(&self) {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The rules that still have requests to hit.
    pub fn pending(&self) -> Vec<Fault> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Wakes running watches when a rule comes.
    pub(super) fn subscribe(&self) -> watch::Receiver<()> {
        self.added.subscribe()
    }

    /// What happens to this request, which uses the rule up by one.
    pub(super) fn for_request(&self, request: &RequestRecord) -> Option<Effect> {
        self.take(request, false)
    }

    /// What happens to this watch, running or new.
    pub(super) fn for_watch(&self, request: &RequestRecord) -> Option<Effect> {
        self.take(request, true)
    }

    fn take(&self, request: &RequestRecord, watching: bool) -> Option<Effect> {
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        let hit = |rule: &Fault| rule.effect.is_for_watches() == watching && rule.matches(request);
        let at = rules.iter().position(hit)?;
        let effect = rules[at].effect.clone();
        if rules[at].times != u32::MAX {
            rules[at].times = rules[at].times.saturating_sub(1);
        }
        rules.retain(|rule| rule.times > 0);
        Some(effect)
    }
}
