//! What each kind of receiver is sent: pure functions of a notice. Texts out of specs are escaped as the format has it, or put
//! where it knows no markup.

mod cloud_events;
mod document;
mod pager_duty;
mod slack;
mod teams;
mod webhook;

use serde_json::Value;

use super::About;
use crate::api::{Notice, Transition, text::one_line};

pub(super) use cloud_events::cloud_events;
pub(super) use pager_duty::pager_duty;
pub(super) use slack::slack;
pub(super) use teams::teams;
pub(super) use webhook::webhook;

/// The plain type of a body.
const JSON: &str = "application/json";
/// The most characters of a name in the small print.
const LONGEST_FACT: usize = 300;

/// What there is to tell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told<'a> {
    /// The notice.
    pub notice: &'a Notice,
    /// Whom it is about.
    pub about: &'a About,
    /// What messages call the cluster.
    pub cluster: Option<&'a str>,
}

/// What is sent. No `Debug`: there may be a secret in the body.
#[derive(PartialEq, Eq)]
pub(super) struct Message {
    /// The body's type.
    pub content_type: &'static str,
    /// The body.
    pub body: Value,
}

impl Message {
    const fn json(body: Value) -> Self {
        Self { content_type: JSON, body }
    }
}

impl Told<'_> {
    /// The same for each attempt; no other notice of any Rollout has it.
    fn id(self) -> String {
        format!("{}/{}", self.about.uid, self.notice.id)
    }

    /// What everybody who reads of it looks for first: `RolledBack: shop/color`.
    fn title(self) -> String {
        let About { namespace, rollout, .. } = self.about;
        format!("{}: {namespace}/{rollout}", self.notice.transition.word())
    }

    /// The small print, as names and values.
    fn facts(self) -> Vec<(&'static str, String)> {
        let run = self.notice.run.map(|run| run.to_string());
        let step = self.notice.step.map(|step| step.to_string());
        let weight = self.notice.weight.map(|weight| format!("{weight}%"));
        let facts = [
            ("target", Some(self.notice.target.clone())),
            ("stable", self.notice.stable.clone()),
            ("weight", weight),
            ("run", run),
            ("step", step),
            ("reason", Some(self.notice.reason.clone())),
            ("cluster", self.cluster.map(str::to_owned)),
            ("at", Some(self.notice.at.to_string())),
        ];
        facts.into_iter().filter_map(|(name, value)| Some((name, one_line(&value?, LONGEST_FACT)))).collect()
    }
}

/// A picture before the title.
const fn emoji(transition: Transition) -> &'static str {
    match transition {
        Transition::Started | Transition::Step => "🚀",
        Transition::Paused => "⏸️",
        Transition::Promoted => "✅",
        Transition::RolledBack => "⏪",
        Transition::Drifted | Transition::Invalid => "⚠️",
    }
}

#[cfg(test)]
mod tests;
