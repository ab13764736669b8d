//! All objects, one revision counter for every write, and the log of changes that watches and old lists read.
//!
//! Every change gets the next revision, which becomes the object's `resourceVersion`. The log is bounded: what
//! it no longer covers has expired (HTTP 410).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::watch;

use super::object;

/// Changes remembered for watches and for lists at an older revision.
const LOG_LENGTH: usize = 20_000;

/// The identity of an object. Resources that are versions or shapes of one another share their `storage`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    /// Group and plural, such as `apps/deployments` or `/pods`.
    pub storage: String,
    /// Empty for cluster-scoped objects.
    pub namespace: String,
    pub name: String,
}

/// One write: an addition has no `before`, a deletion no `after`.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub revision: u64,
    pub key: Key,
    pub before: Option<Arc<Value>>,
    pub after: Option<Arc<Value>>,
}

/// The revision asked for is older than the log.
#[derive(Debug)]
pub(super) struct Compacted {
    pub oldest: u64,
}

#[derive(Debug)]
pub(super) struct Store {
    objects: BTreeMap<Key, Arc<Value>>,
    /// The objects in which a default shows that no write has stored yet.
    unwritten: BTreeSet<Key>,
    log: VecDeque<Change>,
    revision: u64,
    compacted: u64,
    told: watch::Sender<u64>,
}

impl Store {
    pub fn new() -> Self {
        Self {
            objects: BTreeMap::new(),
            unwritten: BTreeSet::new(),
            log: VecDeque::new(),
            revision: 0,
            compacted: 0,
            told: watch::channel(0).0,
        }
    }

    /// The revision of the last write.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Wakes its holder after every write.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.told.subscribe()
    }

    pub fn get(&self, key: &Key) -> Option<&Arc<Value>> {
        self.objects.get(key)
    }

    /// Stores an object under the next revision.
    pub fn put(&mut self, key: Key, mut value: Value) -> Arc<Value> {
        let revision = self.revision + 1;
        object::set_metadata(&mut value, "resourceVersion", revision.to_string().into());
        let value = Arc::new(value);
        self.unwritten.remove(&key);
        let before = self.objects.insert(key.clone(), value.clone());
        self.record(Change { revision, key, before, after: Some(value.clone()) });
        value
    }

    /// Removes an object; its deletion has a revision of its own.
    pub fn remove(&mut self, key: &Key) -> Option<Arc<Value>> {
        let before = self.objects.remove(key)?;
        self.unwritten.remove(key);
        let revision = self.revision + 1;
        self.record(Change { revision, key: key.clone(), before: Some(before.clone()), after: None });
        Some(before)
    }

    /// Notes that a default shows in an object which only its next write will store.
    pub fn note_unwritten(&mut self, key: Key) {
        self.unwritten.insert(key);
    }

    /// Whether a write that changes nothing makes a version all the same: it stores a default that showed before.
    pub fn has_unwritten(&self, key: &Key) -> bool {
        self.unwritten.contains(key)
    }

    fn record(&mut self, change: Change) {
        self.revision = change.revision;
        self.log.push_back(change);
        if self.log.len() > LOG_LENGTH
            && let Some(dropped) = self.log.pop_front()
        {
            self.compacted = dropped.revision;
        }
        self.told.send_replace(self.revision);
    }

    /// Objects of one storage in key order; all namespaces where none is given.
    pub fn list(&self, storage: &str, namespace: Option<&str>) -> impl Iterator<Item = (&Key, &Arc<Value>)> {
        let start = Key {
            storage: storage.to_owned(),
            namespace: namespace.unwrap_or_default().to_owned(),
            name: String::new(),
        };
        let namespace = namespace.map(str::to_owned);
        self.objects.range(start.clone()..).take_while(move |(key, _)| {
            key.storage == start.storage && namespace.as_ref().is_none_or(|wanted| *wanted == key.namespace)
        })
    }

    /// Every object of every storage.
    pub fn everything(&self) -> impl Iterator<Item = (&Key, &Arc<Value>)> {
        self.objects.iter()
    }

    /// The objects of one storage as they were at an earlier revision: later changes undone.
    pub fn list_at(
        &self,
        revision: u64,
        storage: &str,
        namespace: Option<&str>,
    ) -> Result<BTreeMap<Key, Arc<Value>>, Compacted> {
        let mut objects: BTreeMap<Key, Arc<Value>> =
            self.list(storage, namespace).map(|(key, value)| (key.clone(), value.clone())).collect();
        let later: Vec<&Change> = self.changes_after(revision)?.collect();
        for change in later.into_iter().rev() {
            let inside = change.key.storage == storage
                && namespace.is_none_or(|namespace| change.key.namespace == namespace);
            match (&change.before, inside) {
                (_, false) => {}
                (Some(before), true) => {
                    objects.insert(change.key.clone(), before.clone());
                }
                (None, true) => {
                    objects.remove(&change.key);
                }
            }
        }
        Ok(objects)
    }

    /// The changes after a revision, oldest first.
    pub fn changes_after(&self, revision: u64) -> Result<impl Iterator<Item = &Change>, Compacted> {
        if revision < self.compacted {
            return Err(Compacted { oldest: self.compacted });
        }
        let first = self.log.partition_point(|change| change.revision <= revision);
        Ok(self.log.range(first..))
    }

    /// Forgets the log: what reads from an older revision expires.
    pub fn compact(&mut self) {
        self.log.clear();
        self.compacted = self.revision;
        self.told.send_replace(self.revision);
    }

    /// Takes over objects saved earlier, without their history.
    pub fn restore(&mut self, revision: u64, objects: impl IntoIterator<Item = (Key, Value)>) {
        self.objects = objects.into_iter().map(|(key, value)| (key, Arc::new(value))).collect();
        self.revision = revision;
        self.compact();
    }
}
