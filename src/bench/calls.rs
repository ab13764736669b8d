//! The calls that the controller made, counted. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::{api::RouteKind, routes::resource};

/// A call that reached the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// When it was received.
    pub at: Timestamp,
    /// `get`, `list`, `watch`, `create`, `update`, `patch` or `delete`.
    pub verb: String,
    /// The resource's plural, with `/` and the subresource where there is one.
    pub resource: String,
    /// The object's name; empty for lists and creates.
    pub name: String,
}

/// Calls by verb and resource.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// All but lists, watches, and the Lease.
    pub calls: usize,
    /// Lists and watches: what a controller has open, whatever happens.
    pub watching: usize,
    /// What keeps the Lease, or waits for it: once in two seconds for each replica, whatever happens.
    pub leasing: usize,
    /// All of them, by `verb resource`.
    pub by: BTreeMap<String, usize>,
}

impl Counted {
    /// Counts calls.
    pub fn of<'a>(calls: impl IntoIterator<Item = &'a Call>) -> Self {
        let mut counted = Self::default();
        for call in calls {
            let kind = match call {
                call if call.is_of_a_lease() => &mut counted.leasing,
                call if call.watches() => &mut counted.watching,
                _ => &mut counted.calls,
            };
            *kind += 1;
            *counted.by.entry(format!("{} {}", call.verb, call.resource)).or_default() += 1;
        }
        counted
    }

    /// The kinds of calls, most frequent first, as a sentence has them.
    pub fn told(&self) -> String {
        let mut kinds: Vec<(&String, &usize)> = self.by.iter().collect();
        kinds.sort_by(|one, other| other.1.cmp(one.1));
        let kinds: Vec<String> = kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        if kinds.is_empty() { "none".to_owned() } else { kinds.join(", ") }
    }
}

impl Call {
    /// Whether it is part of watching and not of doing.
    pub fn watches(&self) -> bool {
        matches!(self.verb.as_str(), "list" | "watch")
    }

    /// Whether it is about who leads.
    fn is_of_a_lease(&self) -> bool {
        self.resource == "leases"
    }

    fn is(&self, verbs: &[&str], resource: &str) -> bool {
        verbs.contains(&self.verb.as_str()) && self.resource == resource
    }

    /// Whether it changes a route, of whichever kind.
    pub fn patches_a_route(&self) -> bool {
        let is_route = || RouteKind::ALL.into_iter().any(|kind| resource(kind).plural == self.resource);
        self.verb == "patch" && is_route()
    }
}

/// When each step of a run began: with the write of its intent, which is the last write of status before the route
/// was patched. `shown` is when the routes were seen to have each step's weight, in their order.
pub fn step_starts(calls: &[Call], shown: &[Timestamp]) -> Vec<Timestamp> {
    let last = |before: Timestamp, is: &dyn Fn(&Call) -> bool| {
        calls.iter().filter(|call| call.at <= before && is(call)).map(|call| call.at).max()
    };
    shown
        .iter()
        .map(|seen| {
            let patched = last(*seen, &Call::patches_a_route).unwrap_or(*seen);
            last(patched, &|call| call.is(&["update", "patch"], "rollouts/status")).unwrap_or(patched)
        })
        .collect()
}

/// The calls before the first of these times, and from each to the next.
pub fn split(calls: &[Call], starts: &[Timestamp]) -> Vec<Counted> {
    let mut bounds = vec![Timestamp::MIN];
    bounds.extend(starts);
    bounds.push(Timestamp::MAX);
    bounds
        .windows(2)
        .map(|bounds| Counted::of(calls.iter().filter(|call| bounds[0] <= call.at && call.at < bounds[1])))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(millis).unwrap()
    }

    fn call(millis: i64, verb: &str, resource: &str) -> Call {
        Call { at: at(millis), verb: verb.into(), resource: resource.into(), name: String::new() }
    }

    #[test]
    fn watching_and_leading_are_counted_apart() {
        let calls = [
            call(1, "list", "rollouts"),
            call(2, "watch", "rollouts"),
            call(3, "patch", "gatewayroutes"),
            call(4, "update", "leases"),
        ];
        let counted = Counted::of(&calls);
        assert_eq!((counted.calls, counted.watching, counted.leasing), (1, 2, 1));
        assert_eq!(counted.by["patch gatewayroutes"], 1);
        assert_eq!(Counted::default().told(), "none");
        assert_eq!(
            Counted::of(&[calls[0].clone(), calls[0].clone(), calls[1].clone()]).told(),
            "2 list rollouts, 1 watch rollouts"
        );
    }

    #[test]
    fn a_step_begins_with_its_intent() {
        let calls = [
            call(10, "update", "rollouts/status"),
            call(20, "patch", "gatewayroutes"),
            call(30, "update", "rollouts/status"),
            call(40, "patch", "gatewayroutes"),
            call(50, "update", "rollouts/status"),
            call(60, "create", "events"),
            call(70, "update", "rollouts/status"),
            call(80, "patch", "gatewayroutes"),
        ];
        let starts = step_starts(&calls, &[at(41), at(82)]);
        assert_eq!(starts, [at(30), at(70)]);
        let counted: Vec<usize> = split(&calls, &starts).iter().map(|counted| counted.calls).collect();
        assert_eq!(counted, [2, 4, 2]);
    }
}
