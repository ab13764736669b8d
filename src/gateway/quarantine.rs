//! What is done about an object that Envoy refuses. Pure.
//!
//! Envoy refuses all routes of a port, or all clusters, for one that it cannot take; and until it takes them, no other weight
//! of the gateway changes, not even back to stable. So the objects that are newer than what was taken last are held: each is
//! served as it was when it was taken last, and one that never was, not at all. Once that is taken they are tried one after the
//! other, and the one that is refused again is held until it changes.
//!
//! An Envoy that has taken nothing yet from this control plane is not heard: nobody could tell what it would take, and nothing
//! may be left out that it serves from before. It keeps what it has, and its refusal is told. Nor is one heard that refuses what
//! has nothing new in it: what it says is not about an object.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::Value;

use crate::dataplane::ObjectRef;

/// How long Envoy's words may be, in bytes.
const WORDS: usize = 600;

/// An object as it is served.
#[derive(Clone, Debug)]
pub struct Carried {
    /// Its generation.
    pub generation: i64,
    /// The number of the first publication with it; `None` until there is one.
    pub since: Option<u64>,
    form: Arc<Value>,
    /// As it was when it was taken last.
    good: Option<Arc<Value>>,
}

/// Why an object is not served as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The generation that is not served.
    pub generation: i64,
    /// Envoy's words.
    pub words: String,
    /// Whether it is known to be this one; else it is one of several, and will be tried.
    pub is_sure: bool,
    /// What is served in its place; absent: nothing.
    instead: Option<Arc<Value>>,
}

/// How an Envoy stands to what it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voter {
    /// What names it.
    pub number: u64,
    /// The newest publication that it has all of.
    pub has: u64,
    /// Why it refuses the present one.
    pub refusal: Option<String>,
}

/// The objects of one gateway.
#[derive(Debug, Default)]
pub struct Quarantine {
    carried: BTreeMap<ObjectRef, Carried>,
    held: BTreeMap<ObjectRef, Held>,
    /// The newest publication that all Envoys had all of that are heard.
    taken: u64,
    /// Envoys that refuse what has nothing new in it.
    unheard: BTreeSet<u64>,
}

impl Quarantine {
    /// What is to be served of an object: itself, or what it was before; `None`: nothing.
    pub fn form<'a>(&'a self, named: &ObjectRef, object: &'a Arc<Value>) -> Option<&'a Arc<Value>> {
        match self.held.get(named) {
            Some(held) if held.generation == generation(object) => held.instead.as_ref(),
            Some(_) | None => Some(object),
        }
    }

    /// An object was changed, made or deleted, and stands so in a publication.
    pub fn publish(&mut self, named: &ObjectRef, object: Option<&Arc<Value>>, number: u64) {
        let Some(object) = object else {
            self.carried.remove(named);
            self.held.remove(named);
            return;
        };
        let new = generation(object);
        if self.held.get(named).is_some_and(|held| held.generation == new) {
            return;
        }
        self.held.remove(named);
        let good = match self.carried.get_mut(named) {
            Some(known) if known.generation == new => {
                known.since.get_or_insert(number);
                return;
            }
            Some(known) if known.since.is_some_and(|since| since <= self.taken) => {
                Some(Arc::clone(&known.form))
            }
            Some(known) => known.good.clone(),
            None => None,
        };
        let carried = Carried { generation: new, since: Some(number), form: Arc::clone(object), good };
        self.carried.insert(named.clone(), carried);
    }

    /// An object as it is served; `None` where it is not, or is held.
    pub fn carried(&self, named: &ObjectRef) -> Option<&Carried> {
        self.carried.get(named).filter(|_| !self.held.contains_key(named))
    }

    /// Why an object is not served as it stands.
    pub fn held(&self, named: &ObjectRef) -> Option<&Held> {
        self.held.get(named)
    }

    /// Hears how the Envoys stand to the publication of this number. The objects that are to be published otherwise now.
    pub fn hear(&mut self, voters: &[Voter], number: u64) -> BTreeSet<ObjectRef> {
        self.unheard.retain(|known| voters.iter().any(|voter| voter.number == *known && voter.has < number));
        let heard: Vec<&Voter> =
            voters.iter().filter(|voter| voter.has > 0 && !self.unheard.contains(&voter.number)).collect();
        if let Some(least) = heard.iter().map(|voter| voter.has).min() {
            self.taken = least;
        }
        let refusing = heard.iter().find_map(|voter| Some((*voter, voter.refusal.as_ref()?)));
        let Some((voter, words)) = refusing else {
            let all_have = heard.iter().all(|voter| voter.has >= number);
            return if all_have { self.try_next() } else { BTreeSet::new() };
        };
        let is_newer = |carried: &Carried| carried.since.is_some_and(|since| since > voter.has);
        let suspects: Vec<(ObjectRef, Carried)> = self
            .carried
            .iter()
            .filter(|(named, carried)| is_newer(carried) && !self.held.contains_key(*named))
            .map(|(named, carried)| (named.clone(), carried.clone()))
            .collect();
        if suspects.is_empty() {
            self.unheard.insert(voter.number);
            // Whatever was held for it may be innocent.
            for held in self.held.values_mut() {
                held.is_sure = false;
            }
            return BTreeSet::new();
        }
        let is_sure = suspects.len() == 1;
        let words = &words[..words.floor_char_boundary(WORDS)];
        for (named, Carried { generation, good, .. }) in &suspects {
            let (words, instead) = (words.to_owned(), good.clone());
            self.held.insert(named.clone(), Held { generation: *generation, words, is_sure, instead });
        }
        suspects.into_iter().map(|(named, _)| named).collect()
    }

    /// One after the other, those of which nobody knows whether they are to blame.
    fn try_next(&mut self) -> BTreeSet<ObjectRef> {
        let next = self.held.iter().find(|(_, held)| !held.is_sure).map(|(named, _)| named.clone());
        let Some(next) = next else { return BTreeSet::new() };
        self.held.remove(&next);
        // It comes back as something new.
        if let Some(carried) = self.carried.get_mut(&next) {
            carried.since = None;
        }
        [next].into()
    }
}

/// The generation of an object.
pub fn generation(object: &Value) -> i64 {
    object["metadata"]["generation"].as_i64().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::dataplane::ObjectKind;

    fn named(name: &str) -> ObjectRef {
        ObjectRef { kind: ObjectKind::GatewayRoute, namespace: "shop".into(), name: name.into() }
    }

    fn object(generation: i64) -> Arc<Value> {
        Arc::new(json!({"metadata": {"generation": generation}}))
    }

    fn voter(number: u64, has: u64, refusal: Option<&str>) -> Voter {
        Voter { number, has, refusal: refusal.map(str::to_owned) }
    }

    /// Three routes that all Envoys have.
    fn settled() -> Quarantine {
        let mut quarantine = Quarantine::default();
        for name in ["a", "b", "c"] {
            quarantine.publish(&named(name), Some(&object(1)), 1);
        }
        assert!(quarantine.hear(&[voter(1, 1, None)], 1).is_empty());
        quarantine
    }

    fn served(quarantine: &Quarantine, name: &str, newest: i64) -> Option<i64> {
        quarantine.form(&named(name), &object(newest)).map(|form| generation(form))
    }

    #[test]
    fn what_is_refused_is_served_as_it_was_until_it_changes() {
        let mut quarantine = settled();
        quarantine.publish(&named("a"), Some(&object(2)), 2);
        let changed = quarantine.hear(&[voter(1, 1, Some("no such thing"))], 2);
        assert_eq!(changed, [named("a")].into());
        assert_eq!(served(&quarantine, "a", 2), Some(1));
        let held = quarantine.held(&named("a")).unwrap();
        assert_eq!((held.generation, held.words.as_str(), held.is_sure), (2, "no such thing", true));
        assert!(quarantine.carried(&named("a")).is_none());
        // It stays so, whatever else changes.
        quarantine.publish(&named("b"), Some(&object(2)), 3);
        assert!(quarantine.hear(&[voter(1, 3, None)], 3).is_empty());
        quarantine.publish(&named("a"), Some(&object(3)), 4);
        assert_eq!(served(&quarantine, "a", 3), Some(3));
        assert!(quarantine.hear(&[voter(1, 4, None)], 4).is_empty());
        assert_eq!(quarantine.carried(&named("a")).unwrap().since, Some(4));
    }

    #[test]
    fn of_several_the_one_that_is_to_blame_is_found_and_the_others_are_served() {
        let mut quarantine = settled();
        for name in ["a", "b", "new"] {
            quarantine.publish(&named(name), Some(&object(2)), 2);
        }
        let held = quarantine.hear(&[voter(1, 1, Some("bad"))], 2);
        assert_eq!(held, ["a", "b", "new"].map(named).into());
        assert_eq!(["a", "b", "new"].map(|name| served(&quarantine, name, 2)), [Some(1), Some(1), None]);
        // The publication without them is the first one again, by another number.
        let mut number = 3;
        let mut next = quarantine.hear(&[voter(1, number, None)], number);
        let mut tried = Vec::new();
        while let Some(one) = next.pop_first() {
            assert!(next.is_empty(), "one at a time");
            number += 1;
            quarantine.publish(&one, Some(&object(2)), number);
            let is_bad = one == named("b");
            let voter = if is_bad { voter(1, number - 1, Some("bad")) } else { voter(1, number, None) };
            next = quarantine.hear(&[voter], number);
            if is_bad {
                assert_eq!(next, [named("b")].into());
                number += 1;
                next = quarantine.hear(&[super::Voter { number: 1, has: number, refusal: None }], number);
            }
            tried.push(one.name);
        }
        assert_eq!(tried, ["a", "b", "new"]);
        assert_eq!(["a", "b", "new"].map(|name| served(&quarantine, name, 2)), [Some(2), Some(1), Some(2)]);
    }

    #[test]
    fn who_has_taken_nothing_yet_takes_nothing_from_others() {
        let mut quarantine = Quarantine::default();
        quarantine.publish(&named("a"), Some(&object(1)), 1);
        assert!(quarantine.hear(&[voter(1, 0, Some("bad"))], 1).is_empty());
        assert_eq!(served(&quarantine, "a", 1), Some(1));
        let mut quarantine = settled();
        assert!(quarantine.hear(&[voter(1, 1, None), voter(2, 0, Some("bad"))], 1).is_empty());
        assert_eq!(served(&quarantine, "a", 1), Some(1));
    }

    #[test]
    fn who_refuses_everything_is_not_heard() {
        let mut quarantine = settled();
        let both = |has, mine| [voter(1, has, None), voter(2, 1, mine)];
        assert!(quarantine.hear(&both(1, None), 1).is_empty());
        quarantine.publish(&named("a"), Some(&object(2)), 2);
        assert_eq!(quarantine.hear(&both(2, Some("never")), 2), [named("a")].into());
        // It refuses the one without it as well; the other has it, and the object is served again.
        assert!(quarantine.hear(&both(3, Some("never")), 3).is_empty());
        assert!(quarantine.unheard.contains(&2));
        assert_eq!(quarantine.hear(&both(3, Some("never")), 3), [named("a")].into());
        quarantine.publish(&named("a"), Some(&object(2)), 4);
        assert!(quarantine.hear(&both(4, Some("never")), 4).is_empty());
        assert_eq!(served(&quarantine, "a", 2), Some(2));
        // It comes to its senses.
        assert!(quarantine.hear(&[voter(1, 4, None), voter(2, 4, None)], 4).is_empty());
        assert!(quarantine.unheard.is_empty());
    }
}
