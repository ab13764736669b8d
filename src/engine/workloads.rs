//! The workloads behind targets: which they are, whether they can bear traffic, and in which revision they run.

use super::{
    observed::{Pods, WorkloadKey, WorkloadSeen, workload_keys},
    turn::Turn,
};
use crate::api::{Target, WorkloadRef};

/// Whether a target may be given traffic, by its workload.
pub(super) enum Readiness {
    /// It has ready pods.
    Ready,
    /// It has none.
    NoReadyPod(String),
    /// Its workload is named but absent or unreadable.
    Absent(String),
    /// No workload is known.
    Unknown,
}

impl Turn<'_> {
    /// The workloads that a target may have, in order.
    pub fn keys(&self, target: &Target) -> Vec<WorkloadKey> {
        workload_keys(&target.name, &self.seen.subject.namespace, target.workload_ref.as_ref())
    }

    /// The workload behind a target.
    pub fn workload(&self, target: &Target) -> Option<(WorkloadKey, &WorkloadSeen)> {
        let found = self.keys(target).into_iter();
        let found = found.filter_map(|key| self.seen.workloads.get(&key).map(|seen| (key, seen)));
        // A guessed name that finds nothing is no workload; a named one is a missing workload.
        let is_one = |(_, seen): &(WorkloadKey, &WorkloadSeen)| {
            target.workload_ref.is_some() || !matches!(seen, WorkloadSeen::Missing)
        };
        let mut found = found.filter(is_one);
        found.next()
    }

    /// What the workload behind a target wants and has, where it stands.
    pub fn pods(&self, target: &Target) -> Option<(WorkloadKey, &Pods)> {
        match self.workload(target)? {
            (key, WorkloadSeen::Present(pods)) => Some((key, pods)),
            (_, WorkloadSeen::Missing | WorkloadSeen::Unreadable(_)) => None,
        }
    }

    /// The revision of a target as it runs now.
    pub fn hash_of(&self, target: &Target) -> Option<String> {
        self.pods(target).map(|(_, pods)| pods.hash.clone())
    }

    /// The same by name and workload.
    pub fn hash(&self, name: &str, workload: Option<&WorkloadRef>) -> Option<String> {
        self.hash_of(&Target { name: name.to_owned(), workload_ref: workload.cloned(), ..Target::default() })
    }

    /// Whether a target may be given traffic.
    pub fn readiness(&self, target: &Target) -> Readiness {
        match self.workload(target) {
            Some((_, WorkloadSeen::Present(pods))) if pods.ready > 0 => Readiness::Ready,
            Some((_, WorkloadSeen::Present(_))) => {
                Readiness::NoReadyPod(format!("{} has no ready pod", target.name))
            }
            Some((key, WorkloadSeen::Missing)) => {
                Readiness::Absent(format!("the {key} of {} does not exist", target.name))
            }
            Some((key, WorkloadSeen::Unreadable(why))) => {
                Readiness::Absent(format!("the {key} of {} can't be read: {why}", target.name))
            }
            None => Readiness::Unknown,
        }
    }
}
