//! The objects that the model knows, each as one version of it stands.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::Value;
use tidegate::{
    api::{RolloutSpec, RolloutStatus},
    engine::observed::{ListSeen, RouteState, RouteView, WorkloadKey, WorkloadSeen},
    routes,
};

use crate::{setup::Identity, shapes::Shape};

/// Whether a Rollout exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    Exists,
    /// It is deleted, and is there as long as its finalizer is.
    Ends,
    /// It does not exist, not yet or not any more.
    None,
}

/// A Rollout as one version of it stands.
#[derive(Clone, Debug)]
pub struct RolloutNow {
    pub version: u64,
    pub generation: i64,
    pub spec: Arc<RolloutSpec>,
    pub status: Arc<RolloutStatus>,
    pub finalizer: bool,
    pub abort: Option<String>,
    pub request: Option<String>,
    /// Somebody has made something of it that can't be read as a Rollout.
    pub unreadable: bool,
    pub life: Life,
}

impl RolloutNow {
    pub fn is_gone(&self) -> bool {
        self.life == Life::None
    }

    /// The workloads that it names or implies; none where it can't be read.
    pub fn uses(&self) -> Option<Vec<WorkloadKey>> {
        let Self { spec, status, .. } = self;
        if self.is_gone() {
            return Some(Vec::new());
        }
        if self.unreadable {
            return None;
        }
        let known = status.stable.iter().chain(&status.canary).map(|target| &target.name);
        let past = status.history.iter().filter(|_| spec.retire.is_some());
        let past = past.flat_map(|entry| [&entry.target.name, &entry.stable.name]);
        let named = [Some(&spec.target.name), spec.stable.as_ref().map(|stable| &stable.name)];
        let named = named.into_iter().flatten().chain(known).chain(past);
        Some(named.map(|name| WorkloadKey::deployment(name.clone())).collect())
    }
}

/// A route as one version of it stands.
#[derive(Clone, Debug)]
pub struct RouteNow {
    pub version: u64,
    /// The whole object, as the controllers read it.
    pub state: RouteState,
    /// What of it is each Rollout's own, by the names that the Rollout knows.
    own: Vec<Option<Arc<RouteView>>>,
}

impl RouteNow {
    /// What of the route is a Rollout's own; none where the route does not exist, or the Rollout does not name it.
    pub fn view(&self, rollout: usize) -> Option<&Arc<RouteView>> {
        self.own.get(rollout)?.as_ref()
    }

    /// It does not exist.
    pub fn gone(version: u64) -> Self {
        Self { version, state: RouteState::Missing, own: Vec::new() }
    }

    pub fn shown(
        identities: &[Identity],
        shape: Shape,
        object: usize,
        version: u64,
        document: &Value,
    ) -> Self {
        let state = routes::state(shape.kind, document);
        let own = |identity: &Identity| {
            let RouteState::Present(view) = &state else { return None };
            let own = identity.own(object)?;
            if shape == Shape::PLAIN {
                return Some(Arc::clone(view));
            }
            let paths = shape.paths(document, own);
            let mut lists: Vec<ListSeen> =
                view.lists.iter().filter(|list| paths.contains(&list.path)).cloned().collect();
            for entry in lists.iter_mut().flat_map(|list| &mut list.entries).filter(|_| shape.calls) {
                entry.name = shape.version(&entry.name).to_owned();
            }
            let mirrors = lists.iter_mut().filter_map(|list| list.mirrors.as_mut());
            for mirror in mirrors.flat_map(|mirrors| &mut mirrors.entries).filter(|_| shape.calls) {
                mirror.name = shape.version(&mirror.name).to_owned();
            }
            Some(Arc::new(view.with_lists(lists)))
        };
        Self { version, own: identities.iter().map(own).collect(), state }
    }
}

/// A workload as one version of it stands.
#[derive(Clone, Debug)]
pub struct WorkloadNow {
    pub version: u64,
    pub seen: WorkloadSeen,
}

/// Who leads, or holds a share, as a Lease says.
#[derive(Clone, Debug, Default)]
pub struct LeaseNow {
    pub version: u64,
    pub holder: Option<String>,
    /// Whom the holder knows.
    pub knows: BTreeSet<String>,
}
