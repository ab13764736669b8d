//! One Envoy's stream of discovery (ADS, state of the world): what it asks for, what it was sent, what it has. Pure: requests come in,
//! responses go out.
//!
//! Changes are made before they are broken: clusters come before the routes that name them, and go when the routes have gone. A
//! response of a type waits until the one before it was answered, so that a burst of changes is one, and an Envoy that is stuck
//! holds up nobody but itself. What Envoy refuses is not sent again; it keeps what it had.
//!
//! A new stream knows nothing of what Envoy has but its version. Where that is not the present one, clusters that are in no plan any
//! more go before the routes that named them have gone. Few are: a gateway's plan keeps all nodes of its namespaces, so it is nodes
//! that were deleted, or changed their port, while nobody served; a node's own keeps what its routers list, with or without weight.
//!
//! An acknowledgement says that a cluster was taken, not that its endpoints are found and well. Where DNS or a health check has to
//! answer first, a cluster that is as new as the route to it answers 503 until then.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::snapshot::{Kind, Resources, Snapshot};

/// A request of Envoy's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// The names it wants; empty: all there are.
    pub names: BTreeSet<String>,
    /// The response that it answers; empty at the beginning of a stream.
    pub nonce: String,
    /// The version that it has.
    pub version: String,
    /// Why it refuses the response, in its own words.
    pub refusal: Option<String>,
}

/// A response to Envoy.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The type.
    pub kind: Kind,
    /// What Envoy will name it by.
    pub nonce: String,
    /// The resources, and their version.
    pub content: Resources,
}

/// How an Envoy stands to the version of a type that it should have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has it.
    Has,
    /// It does not yet.
    Lags,
    /// It refuses it, for this reason.
    Refuses(String),
}

/// What the Envoys of a fleet are to have, and the how-manieth such it is.
#[derive(Debug)]
pub struct Published {
    /// Counted from 1.
    pub number: u64,
    /// The resources.
    pub snapshot: Snapshot,
}

/// The state of a stream.
#[derive(Debug)]
pub struct Session {
    target: Arc<Published>,
    asked: BTreeMap<Kind, Subscription>,
    /// By type, the number of the newest target before the present one whose resources of it Envoy is known to have had.
    had: BTreeMap<Kind, u64>,
    sent: u64,
}

#[derive(Debug, Default)]
struct Subscription {
    names: BTreeSet<String>,
    /// The last response, and whether Envoy has answered it.
    last: Option<Sent>,
    /// The version that it is known to have, and its resources.
    has: Option<Resources>,
    refused: Option<(String, String)>,
}

#[derive(Debug)]
struct Sent {
    nonce: String,
    /// Of the target at that time.
    number: u64,
    content: Resources,
    answered: bool,
    /// It has nothing in it: Envoy may say nothing to that, and nobody waits for it.
    silent: bool,
}

impl Session {
    /// A stream at its beginning.
    pub fn new(target: Arc<Published>) -> Self {
        Self { target, asked: BTreeMap::new(), had: BTreeMap::new(), sent: 0 }
    }

    /// What Envoy is to have from now on.
    pub fn aim(&mut self, target: Arc<Published>) {
        for kind in Kind::ALL {
            self.had.insert(kind, self.has(kind));
        }
        self.target = target;
    }

    /// The number of the present target.
    pub fn at(&self) -> u64 {
        self.target.number
    }

    /// The number of the newest target that Envoy has all of; 0: none. In a burst of changes it has older ones than the present
    /// all the time, and each counts.
    pub fn up_to(&self) -> u64 {
        Kind::ALL.into_iter().map(|kind| self.has(kind)).min().unwrap_or_default()
    }

    /// What it refuses of the present target, and why, in its own words.
    pub fn refusals(&self) -> BTreeMap<Kind, String> {
        let refusal = |kind| match self.standing(kind) {
            Standing::Refuses(words) => Some((kind, words)),
            Standing::Has | Standing::Lags => None,
        };
        Kind::ALL.into_iter().filter_map(refusal).collect()
    }

    fn has(&self, kind: Kind) -> u64 {
        match self.standing(kind) {
            Standing::Has => self.target.number,
            Standing::Lags | Standing::Refuses(_) => self.had.get(&kind).copied().unwrap_or_default(),
        }
    }

    /// Takes in a request.
    pub fn take(&mut self, kind: Kind, ask: Ask) {
        let first = !self.asked.contains_key(&kind);
        let subscription = self.asked.entry(kind).or_default();
        if first {
            let whole = self.target.snapshot.resources(kind);
            // Versions are made of the content: who has this one from another stream has it.
            if ask.names.is_empty() && ask.nonce.is_empty() && ask.version == whole.version {
                subscription.has = Some(whole.clone());
            }
            subscription.names = ask.names;
            return;
        }
        let Some(last) = subscription.last.as_mut().filter(|last| last.nonce == ask.nonce) else {
            // It answers a response that another one has followed, or none: what it wants has not been heard of otherwise.
            if subscription.last.is_none() {
                subscription.names = ask.names;
            }
            return;
        };
        let again = last.answered && !last.silent;
        (last.answered, last.silent) = (true, false);
        match ask.refusal {
            Some(words) => subscription.refused = Some((last.content.version.clone(), words)),
            None if !again && ask.version == last.content.version => {
                subscription.has = Some(last.content.clone());
                subscription.refused = None;
                self.had.insert(kind, last.number);
            }
            // Envoy begins to watch a name, or begins again, as for the endpoints of a cluster that was changed: it waits for a
            // response, whatever it has.
            None if again && kind.is_named() && subscription.refused.is_none() => subscription.has = None,
            None => {}
        }
        subscription.names = ask.names;
    }

    /// The next response that is due, if any is now.
    pub fn answer(&mut self) -> Option<Answer> {
        let kind = Kind::ALL.into_iter().find(|kind| self.is_due(*kind))?;
        let content = self.wanted(kind)?;
        self.sent += 1;
        let nonce = self.sent.to_string();
        let subscription = self.asked.get_mut(&kind)?;
        let silent = kind.is_named() && content.resources.is_empty();
        if silent {
            subscription.has = Some(content.clone());
        }
        let number = self.target.number;
        let sent = Sent { nonce: nonce.clone(), number, content: content.clone(), answered: silent, silent };
        subscription.last = Some(sent);
        Some(Answer { kind, nonce, content })
    }

    /// How it stands to the target's resources of a type.
    pub fn standing(&self, kind: Kind) -> Standing {
        let Some(subscription) = self.asked.get(&kind) else {
            // Nobody asks for what nothing names.
            let nothing = self.target.snapshot.resources(kind).resources.is_empty();
            return if nothing { Standing::Has } else { Standing::Lags };
        };
        let Some(wanted) = self.wanted(kind) else { return Standing::Lags };
        let under_way = subscription.last.as_ref().filter(|last| !last.answered);
        if under_way.is_some_and(|last| last.content.version != wanted.version) {
            // Whatever it has, it is about to have something else.
            return Standing::Lags;
        }
        match (&subscription.has, &subscription.refused) {
            (Some(has), _) if has.version == wanted.version => Standing::Has,
            (_, Some((version, words))) if *version == wanted.version => Standing::Refuses(words.clone()),
            (Some(_) | None, Some(_) | None) => Standing::Lags,
        }
    }

    /// Whether Envoy is to be sent something of a type now.
    fn is_due(&self, kind: Kind) -> bool {
        let Some(subscription) = self.asked.get(&kind) else { return false };
        let waits = subscription.last.as_ref().is_some_and(|last| !last.answered);
        if waits || self.standing(kind) != Standing::Lags {
            return false;
        }
        match kind {
            Kind::Secret | Kind::Cluster | Kind::Endpoints => true,
            Kind::Listener => self.is_answered(Kind::Cluster),
            Kind::Routes => {
                let before = [Kind::Cluster, Kind::Endpoints, Kind::Listener];
                before.into_iter().all(|kind| self.is_answered(kind)) && self.knows_its_endpoints()
            }
        }
    }

    /// Whether Envoy has asked for the endpoints of all clusters that it was given: it does so a moment after it has taken them, and a
    /// route to one that it knows no endpoints of would be answered 503. Of clusters that it refuses it asks for none.
    fn knows_its_endpoints(&self) -> bool {
        let asked = self.asked.get(&Kind::Endpoints);
        let wanted = &self.target.snapshot.resources(Kind::Endpoints).resources;
        self.standing(Kind::Cluster) != Standing::Has
            || wanted.keys().all(|name| asked.is_some_and(|asked| asked.names.contains(name)))
    }

    /// Whether Envoy has, or has refused, what the target has of a type; one that it never asked for is not waited for.
    fn is_answered(&self, kind: Kind) -> bool {
        !self.asked.contains_key(&kind) || self.standing(kind) != Standing::Lags
    }

    /// What Envoy should have of a type now: the target's, and clusters that its present routes and listeners may still name.
    fn wanted(&self, kind: Kind) -> Option<Resources> {
        let subscription = self.asked.get(&kind)?;
        let target = self.target.snapshot.resources(kind);
        match kind {
            Kind::Listener => Some(target.clone()),
            Kind::Cluster => {
                let Some(has) = subscription.has.as_ref().filter(|_| !self.is_led_anew()) else {
                    return Some(target.clone());
                };
                if has.resources.keys().all(|name| target.resources.contains_key(name)) {
                    return Some(target.clone());
                }
                let mut resources = BTreeMap::clone(&has.resources);
                resources.extend(BTreeMap::clone(&target.resources));
                Some(Resources::new(resources))
            }
            Kind::Secret | Kind::Endpoints | Kind::Routes => {
                let is_named = |name: &String| subscription.names.contains(name);
                if target.resources.keys().all(is_named) {
                    return Some(target.clone());
                }
                let named = target.resources.iter().filter(|(name, _)| is_named(name));
                Some(Resources::new(named.map(|(name, any)| (name.clone(), any.clone())).collect()))
            }
        }
    }

    /// Whether Envoy's routes and listeners, which may have routes in them, are the target's, so that they name no other clusters.
    fn is_led_anew(&self) -> bool {
        let is_there = |kind| !self.asked.contains_key(&kind) || self.standing(kind) == Standing::Has;
        is_there(Kind::Routes) && is_there(Kind::Listener)
    }
}

#[cfg(test)]
mod tests;
