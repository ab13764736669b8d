//! What is asked outside of turns: a task of its own asks, leaves what came back in the Rollout's entry, and gives it a turn.

use std::sync::{Arc, Mutex};

use super::context::{Context, Entry, lock};

/// Something that is asked: under way, come back, or neither.
#[derive(Debug)]
pub struct Slot<T> {
    /// It is under way.
    pub under_way: bool,
    /// It came back, and no decision has seen it.
    pub done: Option<Box<T>>,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self { under_way: false, done: None }
    }
}

impl<T: Clone> Slot<T> {
    /// What came back, taken.
    pub fn take(&mut self) -> Option<T> {
        self.done.take().map(|done| *done)
    }

    /// The same, left for who takes it.
    pub fn peek(&self) -> Option<T> {
        self.done.as_deref().cloned()
    }

    /// Keeps what a decision had, and that came to nothing, for the next one; what is newer stays.
    pub fn give_back(&mut self, had: Option<&T>) {
        if self.done.is_none() && !self.under_way {
            self.done = had.cloned().map(Box::new);
        }
    }
}

/// Which slot of an entry it is about.
type Of<T> = fn(&Entry) -> &Mutex<Slot<T>>;

/// Ends what is under way however its task ends: else nothing of the kind would ever start again.
pub struct End<T> {
    pub context: Arc<Context>,
    entry: Arc<Entry>,
    slot: Of<T>,
    namespace: String,
    rollout: String,
    /// What came back, if anything did.
    pub done: Option<T>,
}

impl<T> End<T> {
    /// The end of what begins now; none where something of the kind is under way.
    pub fn begin(
        context: &Arc<Context>,
        entry: &Arc<Entry>,
        slot: Of<T>,
        (namespace, rollout): (&str, &str),
    ) -> Option<Self> {
        if std::mem::replace(&mut lock(slot(entry)).under_way, true) {
            return None;
        }
        Some(Self {
            context: Arc::clone(context),
            entry: Arc::clone(entry),
            slot,
            namespace: namespace.to_owned(),
            rollout: rollout.to_owned(),
            done: None,
        })
    }
}

impl<T> Drop for End<T> {
    fn drop(&mut self) {
        let mut slot = lock((self.slot)(&self.entry));
        slot.under_way = false;
        if let Some(done) = self.done.take() {
            slot.done = Some(Box::new(done));
        }
        drop(slot);
        self.entry.news.notify_one();
        self.context.wake(&self.namespace, &self.rollout);
    }
}
