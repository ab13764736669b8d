//! Notices: what receivers of the controller's configuration are told of a Rollout. They are kept in status from the moment
//! in which what they tell of is stored until each receiver has taken them, so that none is lost with a process.

use std::collections::BTreeSet;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The annotation by which a Rollout keeps receivers from being told of it: their names with commas between, or `*`.
pub const MUTE_ANNOTATION: &str = "tidegate.dev/mute";

/// What a notice tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Transition {
    /// A run began.
    Started,
    /// The next step of a run: the canary gets its weight.
    Step,
    /// A run waits for a person or for evidence.
    Paused,
    /// The target is live: its run came to its end.
    Promoted,
    /// A run ended with all traffic on stable, for whatever reason.
    RolledBack,
    /// Somebody else changed weights, and the Rollout does not agree with its routes.
    Drifted,
    /// The spec or the routes allow nothing.
    Invalid,
}

impl Transition {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Started,
        Self::Step,
        Self::Paused,
        Self::Promoted,
        Self::RolledBack,
        Self::Drifted,
        Self::Invalid,
    ];

    /// The word, as configuration and messages have it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Started => "Started",
            Self::Step => "Step",
            Self::Paused => "Paused",
            Self::Promoted => "Promoted",
            Self::RolledBack => "RolledBack",
            Self::Drifted => "Drifted",
            Self::Invalid => "Invalid",
        }
    }

    /// Whether somebody should look at it.
    pub const fn is_warning(self) -> bool {
        match self {
            Self::Started | Self::Step | Self::Promoted => false,
            Self::Paused | Self::RolledBack | Self::Drifted | Self::Invalid => true,
        }
    }
}

/// Something to tell the receivers, until they have taken it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Notice {
    /// The same for each time that it is sent; no other notice of the Rollout has it.
    pub id: String,
    /// What it tells of.
    pub transition: Transition,
    /// The run that it is about, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<i64>,
    /// The step that the run was at, where it is about a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<i32>,
    /// The reason in a word, as conditions have it.
    pub reason: String,
    /// What the run is about; of no run, what should be live.
    pub target: String,
    /// What is stable, once something is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable: Option<String>,
    /// The canary's share in percent, where it is about a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<i64>,
    /// The sentence.
    pub message: String,
    /// When it happened.
    pub at: Timestamp,
    /// The receivers that have not taken it yet.
    pub to: Vec<String>,
}

/// Who is told, by the controller's configuration: what has to be known of a receiver to decide which notices are for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receiver {
    /// Its name, a DNS label.
    pub name: String,
    /// What it is told of; at least one.
    pub on: BTreeSet<Transition>,
    /// The namespaces whose Rollouts it is told of; empty means all.
    pub namespaces: Vec<String>,
}

impl Receiver {
    /// Whether it is told of Rollouts in that namespace.
    pub fn is_for(&self, namespace: &str) -> bool {
        self.namespaces.is_empty() || self.namespaces.iter().any(|known| known == namespace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_is_for_the_namespaces_that_it_names() {
        for (namespaces, want) in [(vec![], true), (vec!["shop"], true), (vec!["web"], false)] {
            let namespaces = namespaces.into_iter().map(str::to_owned).collect();
            let receiver = Receiver { name: "team".into(), on: [Transition::Paused].into(), namespaces };
            assert_eq!(receiver.is_for("shop"), want, "{receiver:?}");
        }
    }
}
