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
    /// The other living Rollouts of the namespace, of those that left a stamp on these routes, by name.
    pub others: BTreeMap<String, Other>,
    /// A look that has come back since the last decision.
    pub look: Option<LookDone>,
    /// A look is under way.
    pub looking: bool,
    /// How long the analysis' provider needs to show only what came after a change, by its own account.
    pub settle: Duration,
    /// Providers that the analysis names and the configuration lacks.
    pub unknown_providers: Vec<String>,
}

/// Another Rollout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Other {
    /// Its UID.
    pub uid: String,
    /// The routes that its spec names, or that it still has in its status; none where it can't be read.
    pub routes: Vec<RouteRef>,
}

impl Other {
    /// The rules of an object that it steps, by name; empty where it may step any of them, none where it does not name
    /// the object, and so may have to do with all of it.
    pub fn rules_of(&self, route: &RouteRef) -> Option<Vec<String>> {
        let named = self.routes.iter().filter(|other| other.same(route));
        let rules: Vec<Option<&String>> = named.map(|other| other.rule.as_ref()).collect();
        if rules.is_empty() {
            return None;
        }
        let named: Option<Vec<String>> = rules.into_iter().map(Option::<&String>::cloned).collect();
        let mut named = named.unwrap_or_default();
        named.sort();
        named.dedup();
        Some(named)
    }
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

/// A route with weights, as it stands: an object, and those of its weighted lists that a Rollout steps.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteView {
    /// The object's UID.
    pub uid: String,
    /// The object's resourceVersion.
    pub resource_version: String,
    /// The lists in their order; at least one.
    pub lists: Vec<ListSeen>,
    /// The rules that the run took and that are not to be found any more, or can't be read, in words.
    pub gone: Vec<String>,
    /// The JSON pointer of the target's name within an entry.
    pub name_field: &'static str,
    /// Targets that the entries don't call by their name: the name, and what they call it. Everywhere else here the
    /// target's own name stands.
    pub called: Vec<(String, String)>,
    /// Stamps by Rollout name, as they are spelled.
    pub stamps: BTreeMap<String, String>,
    /// The object has annotations at all.
    pub annotated: bool,
    /// What its status says of the present generation.
    pub in_effect: InEffect,
    /// The field manager that last wrote the weights, where known.
    pub writer: Option<String>,
}

/// One weighted list of a route: its only one, or that of a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct ListSeen {
    /// The JSON pointer of the list.
    pub path: String,
    /// What tells the rule from the others of its object, wherever it stands: its name, or `#` and a digest of all that it
    /// says besides the list. None where the kind has no rules.
    pub rule: Option<String>,
    /// What sentences call it: its name or `#` and its place, counted from 1. None where the object has but one.
    pub told: Option<String>,
    /// The JSON pointer of the rule's name, where it has one.
    pub rule_field: Option<String>,
    /// The entries in their order.
    pub entries: Vec<EntrySeen>,
    /// Why the list can't be stepped: the reason in a word, and in a sentence with the remedy. It has no entries then.
    pub unusable: Option<(&'static str, String)>,
}

/// The place of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The list, by its place in the view.
    pub list: usize,
    /// The entry, by its place in the list.
    pub entry: usize,
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
    /// The same object with other lists in view. None of its own is copied for it.
    #[must_use]
    pub fn with_lists(&self, lists: Vec<ListSeen>) -> Self {
        Self {
            uid: self.uid.clone(),
            resource_version: self.resource_version.clone(),
            lists,
            gone: self.gone.clone(),
            name_field: self.name_field,
            called: self.called.clone(),
            stamps: self.stamps.clone(),
            annotated: self.annotated,
            in_effect: self.in_effect.clone(),
            writer: self.writer.clone(),
        }
    }

    /// Whether a target has weight on any list.
    pub fn gives(&self, target: &Target) -> bool {
        self.lists.iter().any(|list| list.weight(target) > 0)
    }

    /// Whether this target has all the weight there is, on every list.
    pub fn all_on(&self, target: &Target) -> bool {
        self.lists.iter().all(|list| list.all_on(target))
    }

    /// Whether every list has an entry of this target.
    pub fn lists_everywhere(&self, target: &Target) -> bool {
        self.lists.iter().all(|list| list.entry(target).is_some())
    }

    /// The lists with their places.
    pub fn placed(&self) -> impl Iterator<Item = (usize, &ListSeen)> {
        self.lists.iter().enumerate()
    }

    /// What a target is called in the entries.
    pub fn name_of<'a>(&'a self, target: &'a str) -> &'a str {
        self.called.iter().find(|(name, _)| name == target).map_or(target, |(_, called)| called)
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

impl ListSeen {
    /// The entry of a target; the port counts only where the target names one.
    pub fn entry(&self, target: &Target) -> Option<&EntrySeen> {
        self.entries.iter().find(|entry| entry.is(target))
    }

    /// The entry's place in the list.
    pub fn index(&self, target: &Target) -> Option<usize> {
        self.entries.iter().position(|entry| entry.is(target))
    }

    /// The weight of a target; 0 where it is not listed.
    pub fn weight(&self, target: &Target) -> i64 {
        self.entry(target).map_or(0, |entry| entry.weight)
    }

    /// The total weight of everything listed.
    pub fn total(&self) -> i64 {
        self.entries.iter().map(|entry| entry.weight).sum()
    }

    /// The first entry with weight that is neither of these two.
    pub fn stranger(&self, stable: &Target, canary: &Target) -> Option<&EntrySeen> {
        self.entries.iter().find(|entry| entry.weight > 0 && !entry.is(stable) && !entry.is(canary))
    }

    /// Whether this target has all the weight there is.
    pub fn all_on(&self, target: &Target) -> bool {
        let weight = self.weight(target);
        weight > 0 && weight == self.total()
    }

    /// How stamps call an entry of this list that we added: its name, behind the rule's where the kind has rules.
    pub fn key(&self, name: &str) -> String {
        match &self.rule {
            Some(rule) => format!("{rule}/{name}"),
            None => name.to_owned(),
        }
    }

    /// The route, and the rule where it has several, as sentences call it.
    pub fn of(&self, route: &RouteRef) -> String {
        match &self.told {
            Some(rule) => format!("{route}, rule {rule}"),
            None => route.to_string(),
        }
    }
}

impl EntrySeen {
    /// Whether the entry is that of a target; the port counts only where the target names one.
    pub fn is(&self, target: &Target) -> bool {
        self.is_called(&target.name, target.port)
    }

    /// The same by name and port.
    pub fn is_called(&self, name: &str, port: Option<i32>) -> bool {
        self.name == name && (port.is_none() || self.port == port)
    }
}

impl Target {
    /// What it is called in the entries of a route.
    pub fn name_on(&self, route: &RouteRef) -> &str {
        let there = self.called.iter().find(|called| called.route == route.to_string());
        there.map_or(&self.name, |there| &there.name)
    }

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
