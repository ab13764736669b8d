//! What is done about an object that Envoy refuses. Pure.
//!
//! Envoy refuses all routes of a port, or all clusters, for one that it cannot take; and until it takes them, no other weight
//! of the gateway changes, not even back to stable. So where every Envoy that has answered refuses, the objects that are newer
//! than what they have are held: each is served as it was when it was taken last, and one that never was, not at all. Once
//! that is taken they are tried one after the other, and the one that is refused again is held until it changes.
//!
//! Nothing is held for the sake of one Envoy where another has taken it: it is of another version, or it lies, and is not heard
//! until it takes something. Nor is one heard that refuses what has nothing new in it. An Envoy that has taken nothing yet from
//! this control plane has no say either: nobody could tell what it would take, and nothing may be left out that it serves from
//! before. It keeps what it has, and its refusal is told.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::Value;

use crate::dataplane::ObjectRef;

/// How long Envoy's words may be, in bytes.
const WORDS: usize = 600;

/// What tells an object as it stands from itself at another time, and from another one of its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edition {
    uid: String,
    generation: i64,
}

/// An object as it is served, or would be.
#[derive(Clone, Debug)]
struct Carried {
    edition: Edition,
    /// The number of the first publication that serves it so; `None` while there is none.
    since: Option<u64>,
    form: Arc<Value>,
    /// As it was when it was taken last.
    good: Option<Arc<Value>>,
}

/// Why an object is not served as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    edition: Edition,
    /// Envoy's words.
    pub words: String,
    /// Whether it is known to be this one; else it is one of several, and will be tried.
    pub is_sure: bool,
    /// What is served in its place; absent: nothing.
    instead: Option<Arc<Value>>,
}

/// How an Envoy stands to the present publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voter {
    /// What names it.
    pub number: u64,
    /// The newest publication that it has all of.
    pub has: u64,
    /// Why it refuses the present one, if it does.
    pub refusal: Option<String>,
}

/// The objects of one fleet.
#[derive(Debug, Default)]
pub struct Quarantine {
    carried: BTreeMap<ObjectRef, Carried>,
    held: BTreeMap<ObjectRef, Held>,
    /// The newest publication that all Envoys had all of that are heard.
    taken: u64,
    /// Envoys that are not heard.
    unheard: BTreeSet<u64>,
}

impl Quarantine {
    /// What is to be served of an object: itself, or what it was before; `None`: nothing.
    pub fn form<'a>(&'a self, named: &ObjectRef, object: &'a Arc<Value>) -> Option<&'a Arc<Value>> {
        match self.held(named, object) {
            Some(held) => held.instead.as_ref(),
            None => Some(object),
        }
    }

    /// How an object stands now. `number` is the publication that serves it; `None` where none does.
    pub fn publish(&mut self, named: &ObjectRef, object: Option<&Arc<Value>>, number: Option<u64>) {
        let Some(object) = object else {
            self.carried.remove(named);
            self.held.remove(named);
            return;
        };
        if self.held(named, object).is_some() {
            return;
        }
        self.held.remove(named);
        let edition = Edition::of(object);
        let good = match self.carried.get_mut(named) {
            Some(known) if known.edition == edition => {
                known.since = number.map(|number| known.since.unwrap_or(number));
                return;
            }
            // Another object of that name is none of its business.
            Some(known) if known.edition.uid != edition.uid => None,
            Some(known) if known.since.is_some_and(|since| since <= self.taken) => {
                Some(Arc::clone(&known.form))
            }
            Some(known) => known.good.clone(),
            None => None,
        };
        let carried = Carried { edition, since: number, form: Arc::clone(object), good };
        self.carried.insert(named.clone(), carried);
    }

    /// The number of the first publication with an object as it stands; `None` where there is none, or it is held.
    pub fn since(&self, named: &ObjectRef, object: &Value) -> Option<u64> {
        let carried = self.carried.get(named).filter(|_| !self.held.contains_key(named))?;
        carried.since.filter(|_| carried.edition == Edition::of(object))
    }

    /// Whether any object is held.
    pub fn holds_any(&self) -> bool {
        !self.held.is_empty()
    }

    /// Why an object is not served as it stands.
    pub fn held(&self, named: &ObjectRef, object: &Value) -> Option<&Held> {
        self.held.get(named).filter(|held| held.edition == Edition::of(object))
    }

    /// Hears how the Envoys stand to the publication of this number. Who has not answered is waited for, unless that has taken too
    /// long already. The objects that are to be published otherwise now.
    pub fn hear(&mut self, voters: &[Voter], number: u64, too_long: bool) -> BTreeSet<ObjectRef> {
        self.unheard.retain(|known| voters.iter().any(|voter| voter.number == *known && voter.has < number));
        let heard: Vec<&Voter> =
            voters.iter().filter(|voter| voter.has > 0 && !self.unheard.contains(&voter.number)).collect();
        if let Some(least) = heard.iter().map(|voter| voter.has).min() {
            self.taken = least;
        }
        let (taking, rest): (Vec<&Voter>, Vec<&Voter>) = heard.iter().partition(|voter| voter.has >= number);
        let (refusing, silent): (Vec<&Voter>, Vec<&Voter>) =
            rest.into_iter().partition(|voter| voter.refusal.is_some());
        if !silent.is_empty() && !too_long {
            return BTreeSet::new();
        }
        let Some(words) = refusing.iter().find_map(|voter| voter.refusal.as_deref()) else {
            // Where Envoys are connected, one of them has to be able to say whether it is taken.
            let can_be_tried = !taking.is_empty() || voters.is_empty();
            return if can_be_tried { self.try_next() } else { BTreeSet::new() };
        };
        let had = refusing.iter().map(|voter| voter.has).max().unwrap_or_default();
        let is_newer = |carried: &Carried| carried.since.is_some_and(|since| since > had);
        let mut suspects = BTreeSet::new();
        if taking.is_empty() {
            let newer = self.carried.iter().filter(|(_, carried)| is_newer(carried));
            suspects
                .extend(newer.map(|(named, _)| named.clone()).filter(|named| !self.held.contains_key(named)));
        }
        if suspects.is_empty() {
            self.unheard.extend(refusing.iter().map(|voter| voter.number));
            return BTreeSet::new();
        }
        let is_sure = suspects.len() == 1;
        let words = &words[..words.floor_char_boundary(WORDS)];
        for named in &suspects {
            let Some(carried) = self.carried.get_mut(named) else { continue };
            // Nobody has it, whatever is taken from now on.
            carried.since = None;
            let (edition, instead) = (carried.edition.clone(), carried.good.clone());
            self.held.insert(named.clone(), Held { edition, words: words.to_owned(), is_sure, instead });
        }
        suspects
    }

    /// One after the other, those of which nobody knows whether they are to blame.
    fn try_next(&mut self) -> BTreeSet<ObjectRef> {
        let next = self.held.iter().find(|(_, held)| !held.is_sure).map(|(named, _)| named.clone());
        let Some(next) = next else { return BTreeSet::new() };
        self.held.remove(&next);
        [next].into()
    }
}

impl Edition {
    fn of(object: &Value) -> Self {
        let uid = object["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        Self { uid, generation: generation(object) }
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

    #[derive(Clone, Default)]
    struct Envoy {
        /// The publication that it has.
        has: u64,
        /// The generations of routes that it refuses.
        refuses: Vec<(&'static str, i64)>,
        /// It refuses everything.
        lies: bool,
    }

    /// A gateway whose Envoys hold to the protocol: each takes a publication whole or keeps what it has.
    struct World {
        quarantine: Quarantine,
        generations: BTreeMap<String, i64>,
        number: u64,
        envoys: Vec<Envoy>,
        /// What the publications served.
        served: Vec<BTreeMap<String, i64>>,
    }

    impl World {
        /// Three routes that all Envoys have.
        fn new(envoys: usize) -> Self {
            let mut world = Self {
                quarantine: Quarantine::default(),
                generations: BTreeMap::new(),
                number: 0,
                envoys: vec![Envoy::default(); envoys],
                served: vec![BTreeMap::new()],
            };
            world.edit(&["a", "b", "c"], 1);
            world
        }

        fn edit(&mut self, names: &[&str], generation: i64) {
            for name in names {
                self.generations.insert((*name).to_owned(), generation);
            }
            self.publish();
            for _ in 0..20 {
                if !self.answer() {
                    return;
                }
            }
            panic!("it never comes to rest");
        }

        fn publish(&mut self) {
            self.number += 1;
            let objects: Vec<_> = self
                .generations
                .iter()
                .map(|(name, generation)| (named(name), object(*generation)))
                .collect();
            let served = objects.iter().filter_map(|(named, object)| {
                Some((named.name.clone(), generation(self.quarantine.form(named, object)?)))
            });
            self.served.push(served.collect());
            for (named, object) in &objects {
                self.quarantine.publish(named, Some(object), Some(self.number));
            }
        }

        /// All Envoys answer; whether something was published for that.
        fn answer(&mut self) -> bool {
            let now = self.served.last().unwrap().clone();
            let number = self.number;
            let mut voters = Vec::new();
            for (place, Envoy { has, refuses, lies }) in self.envoys.iter_mut().enumerate() {
                // It is not sent what it has.
                let same = *has > 0 && self.served[usize::try_from(*has).unwrap()] == now;
                let bad =
                    *lies || refuses.iter().any(|(name, generation)| now.get(*name) == Some(generation));
                let refuses = bad && !same;
                if !refuses {
                    *has = number;
                }
                let refusal = refuses.then(|| "no such thing".to_owned());
                voters.push(Voter { number: place as u64 + 1, has: *has, refusal });
            }
            let changed = self.quarantine.hear(&voters, number, false);
            if !changed.is_empty() {
                self.publish();
            }
            !changed.is_empty()
        }

        fn now(&self, name: &str) -> Option<i64> {
            self.served.last().unwrap().get(name).copied()
        }

        fn is_held(&self, name: &str) -> Option<bool> {
            let object = object(self.generations[name]);
            self.quarantine.held(&named(name), &object).map(|held| held.is_sure)
        }
    }

    #[test]
    fn what_is_refused_is_served_as_it_was_until_it_changes() {
        let mut world = World::new(2);
        for envoy in &mut world.envoys {
            envoy.refuses = vec![("a", 2), ("a", 3), ("a", 4)];
        }
        for bad in 2..=4 {
            world.edit(&["a"], bad);
            assert_eq!((world.now("a"), world.is_held("a")), (Some(1), Some(true)), "edit {bad}");
            assert_eq!(world.quarantine.since(&named("a"), &object(bad)), None);
            // Others go on, all the while.
            world.edit(&["b"], bad);
            assert_eq!(world.now("b"), Some(bad));
            assert_eq!(world.quarantine.since(&named("b"), &object(bad)), Some(world.number));
        }
        world.edit(&["a"], 5);
        assert_eq!((world.now("a"), world.is_held("a")), (Some(5), None));
        assert_eq!(world.quarantine.since(&named("a"), &object(5)), Some(world.number));
        assert!(world.quarantine.unheard.is_empty());
    }

    #[test]
    fn of_several_the_one_that_is_to_blame_is_found_and_the_others_are_served() {
        let mut world = World::new(1);
        world.envoys[0].refuses = vec![("b", 2), ("new", 2)];
        world.edit(&["a", "b", "c", "new"], 2);
        assert_eq!(["a", "b", "c", "new"].map(|name| world.now(name)), [Some(2), Some(1), Some(2), None]);
        assert_eq!(
            ["a", "b", "c", "new"].map(|name| world.is_held(name)),
            [None, Some(true), None, Some(true)]
        );
    }

    #[test]
    fn what_one_envoy_takes_is_not_held_for_another() {
        let mut world = World::new(2);
        world.envoys[1].lies = true;
        for generation in 2..6 {
            world.edit(&["a"], generation);
            assert_eq!((world.now("a"), world.is_held("a")), (Some(generation), None));
        }
        assert_eq!(world.envoys[0].has, world.number);
        // It comes to its senses.
        world.envoys[1].lies = false;
        world.edit(&["a"], 6);
        assert_eq!(world.envoys[1].has, world.number);
        world.answer();
        assert!(world.quarantine.unheard.is_empty());
    }

    #[test]
    fn who_has_taken_nothing_yet_takes_nothing_from_others() {
        let mut quarantine = Quarantine::default();
        quarantine.publish(&named("a"), Some(&object(1)), Some(1));
        let refusing = |has| Voter { number: 1, has, refusal: Some("bad".into()) };
        assert!(quarantine.hear(&[refusing(0)], 1, true).is_empty());
        assert!(quarantine.held(&named("a"), &object(1)).is_none());
    }

    #[test]
    fn who_has_not_answered_is_waited_for_but_not_for_ever() {
        let mut world = World::new(1);
        world.generations.insert("a".into(), 2);
        world.publish();
        let number = world.number;
        let one = |has, refusal: Option<&str>| Voter { number: 1, has, refusal: refusal.map(str::to_owned) };
        let silent = Voter { number: 2, has: number - 1, refusal: None };
        let voters = [one(number - 1, Some("bad")), silent];
        assert!(world.quarantine.hear(&voters, number, false).is_empty());
        assert_eq!(world.quarantine.hear(&voters, number, true), [named("a")].into());
    }

    #[test]
    fn another_object_of_the_same_name_is_another_one() {
        let object = |uid: &str| Arc::new(json!({"metadata": {"uid": uid, "generation": 1}}));
        let mut quarantine = Quarantine::default();
        quarantine.publish(&named("a"), Some(&object("1")), Some(1));
        assert_eq!(quarantine.since(&named("a"), &object("1")), Some(1));
        assert_eq!(quarantine.since(&named("a"), &object("2")), None);
        quarantine.publish(&named("a"), Some(&object("2")), Some(2));
        assert_eq!(quarantine.since(&named("a"), &object("2")), Some(2));
    }

    #[test]
    fn what_no_publication_serves_is_in_none() {
        let mut quarantine = Quarantine::default();
        quarantine.publish(&named("a"), Some(&object(1)), None);
        assert_eq!(quarantine.since(&named("a"), &object(1)), None);
        quarantine.publish(&named("a"), Some(&object(1)), Some(3));
        assert_eq!(quarantine.since(&named("a"), &object(1)), Some(3));
        quarantine.publish(&named("a"), Some(&object(1)), Some(4));
        assert_eq!(quarantine.since(&named("a"), &object(1)), Some(3));
        quarantine.publish(&named("a"), Some(&object(1)), None);
        assert_eq!(quarantine.since(&named("a"), &object(1)), None);
    }
}
