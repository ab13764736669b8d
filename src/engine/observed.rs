//! What a decision is taken from, besides spec and status: plain data, read by others.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;

use super::look::{Arms, Look};
use crate::api::{RolloutStatus, RouteRef, Stamp, Target, WorkloadRef};

/// The Rollout object itself, without spec and status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its generation.
    pub generation: i64,
    /// It is being deleted.
    pub deleting: bool,
    /// It carries our finalizer.
    pub finalizer: bool,
    /// The text of the abort annotation.
    pub abort: Option<String>,
    /// The text of the request annotation.
    pub request: Option<String>,
}

/// Everything observed at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    /// The object.
    pub subject: Subject,
    /// Its status as last stored.
    pub stored: Arc<RolloutStatus>,
    /// The object was read from the API server for this decision, not from a cache.
    pub fresh: bool,
    /// The routes of spec and status, each once.
    pub routes: Vec<RouteSeen>,
    /// The workloads that spec and status name or imply, by name.
    pub workloads: BTreeMap<String, WorkloadSeen>,
    /// The other living Rollouts of the namespace: name to UID.
    pub others: BTreeMap<String, String>,
    /// A look that has come back since the last decision.
    pub look: Option<LookDone>,
    /// A look is under way.
    pub looking: bool,
    /// How long the analysis' provider needs to show only what came after a change, by its own account.
    pub settle: Duration,
    /// Providers that the analysis names and the configuration lacks.
    pub unknown_providers: Vec<String>,
}

/// One route.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteSeen {
    /// Which.
    pub route: RouteRef,
    /// How it was found.
    pub state: RouteState,
}

/// How a route was found.
#[derive(Clone, Debug, PartialEq)]
pub enum RouteState {
    /// It stands and can be stepped.
    Present(Arc<RouteView>),
    /// It does not exist.
    Missing,
    /// It stands and can't be stepped.
    Unusable {
        /// The reason in a word, for conditions.
        reason: &'static str,
        /// The same in a sentence, with the remedy.
        message: String,
    },
    /// It can't be read now; the sentence says why.
    Unreadable(String),
    /// It stands, but the API server refuses to have it written; the sentence says why.
    Refused(String),
}

/// A route with weights, as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteView {
    /// The object's UID.
    pub uid: String,
    /// The object's resourceVersion.
    pub resource_version: String,
    /// The JSON pointer of the weighted list.
    pub list: String,
    /// The JSON pointer of the target's name within an entry.
    pub name_field: &'static str,
    /// The entries in their order.
    pub entries: Vec<EntrySeen>,
    /// Stamps by Rollout name, as they are spelled.
    pub stamps: BTreeMap<String, String>,
    /// The object has annotations at all.
    pub annotated: bool,
    /// What its status says of the present generation.
    pub in_effect: InEffect,
    /// The field manager that last wrote the weights, where known.
    pub writer: Option<String>,
}

/// An entry of a weighted list.
#[derive(Clone, Debug, PartialEq)]
pub struct EntrySeen {
    /// The target's name.
    pub name: String,
    /// The port, where one is given.
    pub port: Option<i32>,
    /// The weight; an absent one counts as 0.
    pub weight: i64,
    /// The entry whole.
    pub raw: serde_json::Value,
}

/// What a route's status says of its present generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InEffect {
    /// The data plane has it.
    Yes,
    /// It does not, with the route's own message.
    No(String),
    /// Nothing is reported.
    Unreported,
}

/// A workload as found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkloadSeen {
    /// It stands.
    Present {
        /// Ready pods.
        ready: i32,
        /// The hash of its pod template.
        hash: String,
    },
    /// It does not exist.
    Missing,
    /// It can't be read now; the sentence says why.
    Unreadable(String),
}

/// A look that has come back.
#[derive(Clone, Debug, PartialEq)]
pub struct LookDone {
    /// The run that it was asked for.
    pub run: i64,
    /// The step that it was asked for.
    pub step: i32,
    /// What came back.
    pub look: Look,
}

/// What one process remembers of a Rollout between decisions and loses when it ends. Losing it may delay a
/// step; it never lets one come early.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    /// The epoch that this process holds.
    pub held: Option<i64>,
    /// Up to when the time without a step forward is counted.
    pub counting_since: Option<Timestamp>,
    /// Up to when the time under observation is counted.
    pub observing_since: Option<Timestamp>,
    /// When status was last stored.
    pub stored_at: Option<Timestamp>,
    /// The last counters of both arms, with the run and step they belong to.
    pub arms: Option<(i64, i32, Arms)>,
    /// A look came back in this step under this process.
    pub looked: bool,
    /// A route was seen to give another share than the step's after all had given that.
    pub displaced: bool,
    /// From when on a look is a good word for the step; none where its share has not been another one.
    pub good_from: Option<Timestamp>,
    /// When each part of the next look is due: the arms under the empty name, plain metrics under theirs.
    pub due: BTreeMap<String, Timestamp>,
    /// Since when a stored weight waits for its evidence.
    pub waiting_for_evidence: Option<Timestamp>,
    /// When a share given to a failed or paused canary was last taken back.
    pub corrected_at: Option<Timestamp>,
    /// Changes of weights that are being put right, by route: the canary's share (in a run) or stable's (at rest) as
    /// it was changed to. Until they are seen right, another attempt is still the same incident.
    pub correcting: BTreeMap<String, i64>,
    /// That a newer version of the controller keeps the Rollout, and was told of.
    pub newer: bool,
    /// The epoch of a stamp that the API server itself knows nothing of: forged.
    pub forged: Option<i64>,
    /// That another process has taken the run over, and since when its status is as it is.
    pub aside: Option<Aside>,
    /// Since when a deletion waits for a ready stable pod.
    pub deletion_held_at: Option<Timestamp>,
}

/// What a process that stands aside has seen of the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Aside {
    /// The status as last stored.
    pub stored: Arc<RolloutStatus>,
    /// When it was first seen so.
    pub since: Timestamp,
}

impl RouteSeen {
    /// The route's view, where it can be stepped.
    pub fn view(&self) -> Option<&Arc<RouteView>> {
        match &self.state {
            RouteState::Present(view) => Some(view),
            RouteState::Missing
            | RouteState::Unusable { .. }
            | RouteState::Unreadable(_)
            | RouteState::Refused(_) => None,
        }
    }
}

impl RouteView {
    /// The entry of a target; the port counts only where the target names one.
    pub fn entry(&self, name: &str, port: Option<i32>) -> Option<&EntrySeen> {
        self.entries.iter().find(|entry| entry.is(name, port))
    }

    /// The entry's place in the list.
    pub fn index(&self, name: &str, port: Option<i32>) -> Option<usize> {
        self.entries.iter().position(|entry| entry.is(name, port))
    }

    /// The weight of a target; 0 where it is not listed.
    pub fn weight(&self, target: &Target) -> i64 {
        self.entry(&target.name, target.port).map_or(0, |entry| entry.weight)
    }

    /// The total weight of everything listed.
    pub fn total(&self) -> i64 {
        self.entries.iter().map(|entry| entry.weight).sum()
    }

    /// The first entry with weight that is neither of these two.
    pub fn stranger(&self, stable: &Target, canary: &Target) -> Option<&EntrySeen> {
        let ours = |e: &EntrySeen| e.is(&stable.name, stable.port) || e.is(&canary.name, canary.port);
        self.entries.iter().find(|entry| entry.weight > 0 && !ours(entry))
    }

    /// Whether this target has all the weight there is.
    pub fn all_on(&self, target: &Target) -> bool {
        let weight = self.weight(target);
        weight > 0 && weight == self.total()
    }

    /// A Rollout's stamp, if it is there and readable.
    pub fn stamp(&self, rollout: &str) -> Option<Stamp> {
        self.stamps.get(rollout).and_then(|text| Stamp::parse(text))
    }

    /// A Rollout's stamp, if it is of this UID.
    pub fn stamp_of(&self, subject: &Subject) -> Option<Stamp> {
        self.stamp(&subject.name).filter(|stamp| stamp.uid == subject.uid)
    }
}

impl EntrySeen {
    /// Whether the entry is that of a target.
    pub fn is(&self, name: &str, port: Option<i32>) -> bool {
        self.name == name && (port.is_none() || self.port == port)
    }
}

impl Target {
    /// Whether both are the same entry of a route.
    pub fn same_entry(&self, other: &Self) -> bool {
        self.name == other.name && self.port == other.port
    }
}

/// The workload behind a target: the one it names, else the Deployments that its name suggests, in order.
pub fn workload_names(name: &str, namespace: &str, workload: Option<&WorkloadRef>) -> Vec<String> {
    if let Some(workload) = workload {
        return vec![workload.name.clone()];
    }
    let suffix = format!(".{namespace}");
    let short = name.strip_suffix(&suffix).map(str::to_owned);
    short.into_iter().chain([name.to_owned()]).collect()
}
