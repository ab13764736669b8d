//! What the watches have seen, reduced to the little that decisions need.
//!
//! A mirror is never behind our own writes: what a write returned is learnt at once, and an older event that
//! still comes in does not undo it. resourceVersions of one kind are compared as the numbers that they are.

use std::{
    collections::{HashMap, HashSet},
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use kube::runtime::watcher::Event;

/// An object's namespace and name.
pub type Key = (String, String);

/// An object as a watch or a write returned it.
#[derive(Clone, Debug, PartialEq)]
pub struct Versioned<V> {
    /// Which object.
    pub key: Key,
    /// Its resourceVersion as a number; 0 where it is none.
    pub version: u64,
    /// What is kept of it.
    pub value: V,
}

/// What a mirror says about one object.
#[derive(Clone, Debug, PartialEq)]
pub enum Found<V> {
    /// It stands.
    Present(V),
    /// It does not exist.
    Missing,
    /// Nothing is known; the sentence says why.
    Unreadable(String),
}

/// The objects of one kind in one scope.
#[derive(Debug)]
pub struct Mirror<V> {
    what: &'static str,
    readable: bool,
    answered: tokio::sync::watch::Sender<bool>,
    state: RwLock<State<V>>,
}

/// What a list that has come in has changed.
#[derive(Debug, Default, PartialEq)]
pub struct Listed {
    /// Whose value is another one.
    pub changed: Vec<Key>,
    /// What we know in a newer version than the list has, and in which. It may come from an API server that is behind, or versions may
    /// have begun anew, as after a restored backup: the object itself has to be read. Until then ours counts.
    pub doubted: Vec<(Key, u64)>,
}

#[derive(Debug)]
struct State<V> {
    objects: HashMap<Key, (u64, V)>,
    /// What reads of our own did not find, until there is a list.
    absent: HashSet<Key>,
    /// The objects of a list that is coming in.
    filling: Option<HashMap<Key, (u64, V)>>,
    /// The greatest version that the watch has shown: it has seen everything up to there.
    seen: u64,
    health: Health,
}

#[derive(Debug, PartialEq)]
enum Health {
    Pending,
    Ready,
    Unavailable(String),
    /// The API server has no such kind.
    Absent(String),
}

impl<V: Clone + PartialEq> Mirror<V> {
    /// An empty mirror of objects that sentences call `what`, in the plural. Whether they can be read one by one says
    /// whether a list that is behind may be doubted.
    pub fn new(what: &'static str, readable: bool) -> Self {
        Self {
            what,
            readable,
            answered: tokio::sync::watch::Sender::new(false),
            state: RwLock::new(State {
                objects: HashMap::new(),
                absent: HashSet::new(),
                filling: None,
                seen: 0,
                health: Health::Pending,
            }),
        }
    }

    /// The object, where one is known: before the first list is whole, by a read or write of our own.
    pub fn get(&self, key: &Key) -> Found<V> {
        let state = self.read();
        match (&state.health, state.objects.get(key)) {
            (Health::Ready | Health::Pending, Some((_, value))) => Found::Present(value.clone()),
            (Health::Ready, None) => Found::Missing,
            (Health::Pending, None) if state.absent.contains(key) => Found::Missing,
            (Health::Pending, None) => {
                Found::Unreadable(format!("the {} have not been listed yet", self.what))
            }
            (Health::Unavailable(why) | Health::Absent(why), _) => Found::Unreadable(why.clone()),
        }
    }

    /// The first object of a namespace that is one of those looked for.
    pub fn find(&self, namespace: &str, is_one: impl Fn(&V) -> bool) -> Found<V> {
        let state = self.read();
        match &state.health {
            Health::Pending => Found::Unreadable(format!("the {} have not been listed yet", self.what)),
            Health::Unavailable(why) | Health::Absent(why) => Found::Unreadable(why.clone()),
            Health::Ready => {
                let here = state.objects.iter().filter(|(key, _)| key.0 == namespace);
                let mut found = here.map(|(_, (_, value))| value).filter(|value| is_one(value));
                found.next().cloned().map_or(Found::Missing, Found::Present)
            }
        }
    }

    /// Why the mirror can't be used, in a sentence; `None` where it can.
    pub fn lacks(&self) -> Option<String> {
        match &self.read().health {
            Health::Ready => None,
            Health::Pending => Some(format!("the {} have not been listed yet", self.what)),
            Health::Unavailable(why) | Health::Absent(why) => Some(why.clone()),
        }
    }

    /// Whether it has not been listed yet.
    pub fn is_pending(&self) -> bool {
        self.read().health == Health::Pending
    }

    /// Whether the API server has no such kind.
    pub fn is_absent(&self) -> bool {
        matches!(self.read().health, Health::Absent(_))
    }

    /// Waits until the kind was listed once, or can't be.
    pub async fn answered(&self) {
        let mut answered = self.answered.subscribe();
        // The sender lives in self, so this ends by the answer alone.
        let _ = answered.wait_for(|answered| *answered).await;
    }

    /// Takes an event of the watch in and says what came of it.
    pub fn take(&self, event: Event<Versioned<V>>) -> Listed {
        let mut state = self.write();
        match event {
            Event::Init => {
                state.filling = Some(HashMap::new());
                Listed::default()
            }
            Event::InitApply(object) => {
                state.seen = state.seen.max(object.version);
                // Told when the list is whole.
                keep_newer(state.filling.get_or_insert_default(), object);
                Listed::default()
            }
            Event::InitDone => {
                self.answered.send_replace(true);
                state.finish_list(self.readable)
            }
            Event::Apply(object) => {
                state.seen = state.seen.max(object.version);
                Listed::of(keep_newer(&mut state.objects, object))
            }
            Event::Delete(object) => {
                state.seen = state.seen.max(object.version);
                let newer =
                    state.objects.get(&object.key).is_some_and(|(version, _)| *version > object.version);
                if newer || state.objects.remove(&object.key).is_none() {
                    return Listed::default();
                }
                Listed::of(Some(object.key))
            }
        }
    }

    /// Takes in what our own write or read returned, unless the watch is already past it.
    pub fn learn(&self, object: Versioned<V>) {
        let mut state = self.write();
        if object.version <= state.seen && state.filling.is_none() {
            return;
        }
        if let Some(filling) = &mut state.filling {
            keep_newer(filling, object.clone());
        }
        state.absent.remove(&object.key);
        keep_newer(&mut state.objects, object);
    }

    /// Takes in what a read of a doubted object returned, whatever its version: it is how the object stands. Returns whether
    /// its value changed by that.
    pub fn settle(&self, object: Versioned<V>, doubted: u64) -> bool {
        let mut state = self.write();
        let Versioned { key, version, value } = object;
        let Some((known, old)) = state.objects.get_mut(&key).filter(|(known, _)| *known == doubted) else {
            return false;
        };
        *known = version;
        let changed = *old != value;
        *old = value;
        changed
    }

    /// Takes in that a read of our own did not find the object.
    pub fn forget(&self, key: &Key) {
        let mut state = self.write();
        state.objects.remove(key);
        if state.health == Health::Pending {
            state.absent.insert(key.clone());
        }
        if let Some(filling) = &mut state.filling {
            filling.remove(key);
        }
    }

    /// The kind can't be listed or watched; the sentence says why. Returns whether that is news.
    pub fn fail(&self, why: String) -> bool {
        self.set(Health::Unavailable(why))
    }

    /// The API server has no such kind; the sentence says where it comes from. Returns whether that is news.
    pub fn miss(&self, why: String) -> bool {
        self.set(Health::Absent(why))
    }

    fn set(&self, health: Health) -> bool {
        let mut state = self.write();
        self.answered.send_replace(true);
        let news = state.health != health;
        state.health = health;
        news
    }

    fn read(&self) -> RwLockReadGuard<'_, State<V>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State<V>> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listed {
    fn of(changed: Option<Key>) -> Self {
        Self { changed: changed.into_iter().collect(), doubted: Vec::new() }
    }
}

impl<V: Clone + PartialEq> State<V> {
    fn finish_list(&mut self, readable: bool) -> Listed {
        let mut listed = self.filling.take().unwrap_or_default();
        self.absent.clear();
        let mut doubted = Vec::new();
        for (key, (version, value)) in self.objects.iter().filter(|_| readable) {
            if let Some(older) = listed.get_mut(key).filter(|(listed, _)| listed < version) {
                *older = (*version, value.clone());
                doubted.push((key.clone(), *version));
            }
        }
        let before = std::mem::replace(&mut self.objects, listed);
        let was_ready = std::mem::replace(&mut self.health, Health::Ready) == Health::Ready;
        let gone = before.keys().filter(|key| !self.objects.contains_key(*key)).cloned();
        let changed = self.objects.iter().filter_map(|(key, (_, value))| {
            let same = before.get(key).is_some_and(|(_, old)| old == value);
            (!was_ready || !same).then(|| key.clone())
        });
        Listed { changed: gone.chain(changed).collect(), doubted }
    }
}

/// Keeps the newer of two versions; the key if its value changed by that.
fn keep_newer<V: PartialEq>(objects: &mut HashMap<Key, (u64, V)>, object: Versioned<V>) -> Option<Key> {
    let Versioned { key, version, value } = object;
    match objects.get_mut(&key) {
        Some((known, _)) if *known > version => None,
        Some((known, old)) => {
            let changed = *old != value;
            *known = version;
            *old = value;
            changed.then_some(key)
        }
        None => {
            objects.insert(key.clone(), (version, value));
            Some(key)
        }
    }
}

/// A resourceVersion as the number that it is; 0 where it is none.
pub fn version(text: Option<&str>) -> u64 {
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(name: &str, version: u64, value: i32) -> Versioned<i32> {
        Versioned { key: key(name), version, value }
    }

    fn key(name: &str) -> Key {
        ("ns".to_owned(), name.to_owned())
    }

    fn listed(objects: &[Versioned<i32>]) -> Mirror<i32> {
        let mirror = Mirror::new("routes", true);
        mirror.take(Event::Init);
        for object in objects {
            mirror.take(Event::InitApply(object.clone()));
        }
        mirror.take(Event::InitDone);
        mirror
    }

    #[test]
    fn nothing_is_missing_before_the_first_list_is_whole() {
        let mirror = Mirror::new("routes", true);
        assert!(matches!(mirror.get(&key("a")), Found::Unreadable(_)));
        mirror.take(Event::Init);
        mirror.take(Event::InitApply(object("a", 3, 1)));
        assert!(matches!(mirror.get(&key("a")), Found::Unreadable(_)));
        assert_eq!(mirror.take(Event::InitDone).changed, [key("a")]);
        assert_eq!(mirror.get(&key("a")), Found::Present(1));
        assert_eq!(mirror.get(&key("b")), Found::Missing);
        assert_eq!(mirror.lacks(), None);
    }

    #[test]
    fn before_the_first_list_what_was_read_one_by_one_is_known() {
        let mirror = Mirror::new("routes", true);
        mirror.learn(object("a", 3, 1));
        mirror.forget(&key("b"));
        mirror.take(Event::Init);
        mirror.learn(object("a", 5, 2));
        mirror.take(Event::InitApply(object("a", 3, 1)));
        assert_eq!(mirror.get(&key("a")), Found::Present(2));
        assert_eq!(mirror.get(&key("b")), Found::Missing);
        assert!(matches!(mirror.get(&key("c")), Found::Unreadable(_)));
        assert!(mirror.lacks().is_some(), "the others have not been listed");
        mirror.learn(object("b", 4, 1));
        assert_eq!(mirror.get(&key("b")), Found::Present(1), "made meanwhile");
        mirror.take(Event::InitDone);
        assert_eq!(mirror.get(&key("a")), Found::Present(2));
    }

    #[test]
    fn an_older_event_does_not_undo_our_own_write() {
        let mirror = listed(&[object("a", 3, 1)]);
        mirror.learn(object("a", 9, 2));
        assert!(mirror.take(Event::Apply(object("a", 5, 7))).changed.is_empty());
        assert_eq!(mirror.get(&key("a")), Found::Present(2));
        assert!(mirror.take(Event::Apply(object("a", 9, 2))).changed.is_empty(), "our own echo is no news");
        assert_eq!(mirror.take(Event::Apply(object("a", 10, 3))).changed, [key("a")]);
    }

    #[test]
    fn versions_are_numbers() {
        assert_eq!(version(Some("10")), 10);
        assert!(version(Some("10")) > version(Some("9")));
        assert_eq!(version(Some("not a number")), 0);
        assert_eq!(version(None), 0);
    }

    #[test]
    fn a_late_answer_does_not_bring_a_deleted_object_back() {
        let mirror = listed(&[object("a", 3, 1)]);
        assert_eq!(mirror.take(Event::Delete(object("a", 12, 1))).changed, [key("a")]);
        mirror.learn(object("a", 9, 2));
        assert_eq!(mirror.get(&key("a")), Found::Missing);
    }

    #[test]
    fn a_list_takes_away_what_it_lacks_and_keeps_what_was_written_meanwhile() {
        let mirror = listed(&[object("a", 3, 1), object("b", 4, 1)]);
        mirror.take(Event::Init);
        mirror.learn(object("b", 8, 2));
        mirror.take(Event::InitApply(object("b", 4, 1)));
        assert_eq!(mirror.take(Event::InitDone).changed, [key("a")]);
        assert_eq!(mirror.get(&key("a")), Found::Missing);
        assert_eq!(mirror.get(&key("b")), Found::Present(2));
    }

    #[test]
    fn a_list_that_is_behind_is_doubted_and_a_read_settles_it() {
        for (readable, listed_value) in [(true, 2), (false, 1)] {
            let mirror = Mirror::new("objects", readable);
            for version in [3, 9] {
                mirror.take(Event::Init);
                mirror.take(Event::InitApply(object("a", version, i32::from(version == 9) + 1)));
                mirror.take(Event::InitDone);
            }
            mirror.take(Event::Init);
            mirror.take(Event::InitApply(object("a", 4, 1)));
            let listed = mirror.take(Event::InitDone);
            assert_eq!(mirror.get(&key("a")), Found::Present(listed_value), "readable: {readable}");
            assert_eq!(listed.doubted.is_empty(), !readable);
            assert_eq!(listed.changed.is_empty(), readable);
        }
        let mirror = listed(&[object("a", 9, 2)]);
        assert!(!mirror.settle(object("a", 4, 1), 8), "it has changed since it was doubted");
        assert!(mirror.settle(object("a", 4, 1), 9), "versions have begun anew");
        assert_eq!(mirror.get(&key("a")), Found::Present(1));
        assert!(!mirror.settle(object("a", 4, 1), 4), "as it was");
        assert_eq!(mirror.take(Event::Apply(object("a", 5, 3))).changed, [key("a")]);
    }

    #[test]
    fn a_failing_kind_is_unreadable_until_it_is_listed_again() {
        let mirror = listed(&[object("a", 3, 1)]);
        assert!(mirror.fail("the CRD is not installed".to_owned()));
        assert!(!mirror.fail("the CRD is not installed".to_owned()), "told once");
        assert_eq!(mirror.get(&key("a")), Found::Unreadable("the CRD is not installed".to_owned()));
        mirror.take(Event::Init);
        mirror.take(Event::InitApply(object("a", 3, 1)));
        assert_eq!(mirror.take(Event::InitDone).changed, [key("a")], "what was unreadable is news");
        assert_eq!(mirror.get(&key("a")), Found::Present(1));
    }

    #[test]
    fn what_a_read_did_not_find_is_gone() {
        let mirror = listed(&[object("a", 3, 1)]);
        mirror.forget(&key("a"));
        assert_eq!(mirror.get(&key("a")), Found::Missing);
    }
}
