//! An object that is read once something leads to it. A mesh has many, and most plans few of them.

use std::cell::OnceCell;

use serde_json::Value;

/// An object, and what was read of it.
pub(super) struct Lazy<'a, T> {
    object: &'a Value,
    read: OnceCell<T>,
}

impl<'a, T> Lazy<'a, T> {
    pub(super) fn new(object: &'a Value) -> Self {
        Self { object, read: OnceCell::new() }
    }

    /// What `read` makes of it; only the first reads.
    pub(super) fn get(&self, read: impl FnOnce(&'a Value) -> T) -> &T {
        self.read.get_or_init(|| read(self.object))
    }

    /// What was read of it; none where nothing led to it.
    pub(super) fn into_read(self) -> Option<T> {
        self.read.into_inner()
    }
}
