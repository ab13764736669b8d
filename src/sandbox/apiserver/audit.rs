//! The audit log: every request, in a bounded ring.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

/// Requests remembered; older ones are forgotten.
const LENGTH: usize = 100_000;

/// One request, as the server understood it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestRecord {
    /// When it arrived.
    pub time: Timestamp,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete` or `deletecollection`.
    pub verb: String,
    /// API group; empty for the core group and for paths that are not resources.
    pub group: String,
    /// Plural of the resource; empty for paths that are not resources.
    pub resource: String,
    /// Such as `status` or `scale`; empty for the object itself.
    pub subresource: String,
    /// Empty for cluster-scoped requests and for all namespaces.
    pub namespace: String,
    /// Name in the URL; empty where there is none, as in a create.
    pub name: String,
    /// Path without the query.
    pub path: String,
    /// The `User-Agent` header.
    pub user_agent: String,
    /// Whom `managedFields` names for a write: the `fieldManager` parameter, or else the user agent's first word.
    pub field_manager: String,
    /// Whether it was a dry run.
    pub dry_run: bool,
    /// HTTP status of the answer; `None` where none was sent, or not yet. The code of a lost reply is the
    /// one that was to be sent.
    pub code: Option<u16>,
}

/// The ring of records.
#[derive(Debug, Default)]
pub(super) struct Audit {
    ring: Mutex<Ring>,
}

#[derive(Debug, Default)]
struct Ring {
    records: VecDeque<RequestRecord>,
    forgotten: usize,
}

impl Audit {
    /// Notes a request as it arrives; [`Self::answered`] completes it.
    pub fn arrived(&self, record: RequestRecord) -> usize {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.records.push_back(record);
        if ring.records.len() > LENGTH {
            ring.records.pop_front();
            ring.forgotten += 1;
        }
        ring.forgotten + ring.records.len() - 1
    }

    pub fn answered(&self, number: usize, code: u16) {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let at = number.checked_sub(ring.forgotten);
        if let Some(record) = at.and_then(|at| ring.records.get_mut(at)) {
            record.code = Some(code);
        }
    }

    pub fn records(&self) -> Vec<RequestRecord> {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.records.iter().cloned().collect()
    }
}
