//! A route as a decision sees it: its weighted lists, their entries, and whom copies of requests go to.

use std::{collections::BTreeMap, sync::Arc};

use super::Subject;
use crate::api::{RawEntry, RouteRef, SpelledStamp, Stamp, Target};

/// One route.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteSeen {
    /// Which.
    pub route: RouteRef,
    /// How it was found.
    pub state: RouteState,
}

/// A route of ours beside one of the user's: it sends the requests that match to the canary.
#[derive(Clone, Debug, PartialEq)]
pub struct PreviewSeen {
    /// The route that it is made of.
    pub of: RouteRef,
    /// The preview itself.
    pub seen: RouteSeen,
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
    /// Its other lists: they are not stepped, and may send traffic to the same versions.
    pub beside: Vec<ListSeen>,
    /// The rules that the run took and that are not to be found any more, or can't be read, in words.
    pub gone: Vec<String>,
    /// The JSON pointer of the target's name within an entry.
    pub name_field: &'static str,
    /// Targets that the entries don't call by their name: the name, and what they call it. Everywhere else here the
    /// target's own name stands.
    pub called: Vec<(String, String)>,
    /// Stamps by Rollout name.
    pub stamps: BTreeMap<String, SpelledStamp>,
    /// Its deletion has begun, and something holds it.
    pub deleting: bool,
    /// The object has annotations at all.
    pub annotated: bool,
    /// Why no route of ours can take requests before it, in a sentence; none where one can.
    pub no_preview: Option<&'static str>,
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
    /// Why the list can't be stepped: the reason in a word, and in a sentence with the remedy. It has no entries then,
    /// unless it is a lone target.
    pub unusable: Option<(&'static str, String)>,
    /// It is no list but a single target, which all traffic goes to: it can be switched, and nothing else.
    pub lone: bool,
    /// The headers (of gRPC: metadata) that its rule tells requests apart by, in lower case.
    pub headers: Vec<String>,
    /// Whom copies of its rule's requests go to; none where its kind has no mirrors.
    pub mirrors: Option<Mirrors>,
}

/// The mirrors of a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Mirrors {
    /// The JSON pointer of the list that they stand in, perhaps with other things.
    pub path: String,
    /// How many elements that list has; none where it is not there.
    pub length: Option<usize>,
    /// The mirrors among them, in their order.
    pub entries: Vec<MirrorSeen>,
    /// The field manager that last wrote the list, where it is known by itself and not with the weights.
    pub writer: Option<String>,
}

/// Copies of requests go to a target, which answers nobody.
#[derive(Clone, Debug, PartialEq)]
pub struct MirrorSeen {
    /// Its place in the list.
    pub index: usize,
    /// The target's name.
    pub name: String,
    /// The port, where one is given.
    pub port: Option<i32>,
    /// How many of all requests are copied, in millionths.
    pub millionths: i64,
    /// The element whole.
    pub raw: RawEntry,
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
    pub raw: RawEntry,
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
            beside: self.beside.clone(),
            gone: self.gone.clone(),
            name_field: self.name_field,
            called: self.called.clone(),
            stamps: self.stamps.clone(),
            deleting: self.deleting,
            annotated: self.annotated,
            no_preview: self.no_preview,
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
    pub fn stamp(&self, rollout: &str) -> Option<&Stamp> {
        self.stamps.get(rollout).and_then(SpelledStamp::says)
    }

    /// The stamps that others than this Rollout left, by their names; none where one can't be read.
    pub fn stamps_of_others(&self, subject: &Subject) -> impl Iterator<Item = (&String, Option<&Stamp>)> {
        let others = self.stamps.iter().filter(|(name, _)| **name != subject.name);
        others.map(|(name, spelled)| (name, spelled.says()))
    }

    /// A Rollout's stamp, if it is of this UID.
    pub fn stamp_of(&self, subject: &Subject) -> Option<&Stamp> {
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

    /// The mirrors to a target.
    pub fn mirrors_to(&self, target: &Target) -> impl Iterator<Item = &MirrorSeen> {
        let all = self.mirrors.iter().flat_map(|mirrors| &mirrors.entries);
        all.filter(|mirror| mirror.is_called(&target.name, target.port))
    }

    /// How many copies of its requests a target gets, in percent of them.
    pub fn mirrored(&self, target: &Target) -> f64 {
        self.mirrors_to(target).map(|mirror| mirror.millionths).sum::<i64>() as f64 / 10_000.0
    }

    /// Whether just so many requests are copied to a target, in percent: by one mirror, and for 0 by none at all.
    pub fn copies(&self, target: &Target, percent: i64) -> bool {
        let mut all = self.mirrors_to(target).map(|mirror| mirror.millionths);
        let first = all.next();
        if percent == 0 { first.is_none() } else { first == Some(percent * 10_000) && all.next().is_none() }
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

impl MirrorSeen {
    /// Whether it is a mirror to that target, by name and port.
    pub fn is_called(&self, name: &str, port: Option<i32>) -> bool {
        is_called((&self.name, self.port), (name, port))
    }
}

impl EntrySeen {
    /// Whether the entry is that of a target.
    pub fn is(&self, target: &Target) -> bool {
        self.is_called(&target.name, target.port)
    }

    /// The same by name and port.
    pub fn is_called(&self, name: &str, port: Option<i32>) -> bool {
        is_called((&self.name, self.port), (name, port))
    }
}

/// Whether what has a name and a port is what is asked for by both; the port counts only where one is asked for.
fn is_called(own: (&str, Option<i32>), asked: (&str, Option<i32>)) -> bool {
    own.0 == asked.0 && (asked.1.is_none() || own.1 == asked.1)
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
