//! Who wants to hear of which object.

use std::{
    collections::{HashMap, HashSet},
    sync::Mutex,
};

use super::{context::lock, stores::Key};
use crate::api::{RouteKind, WorkloadKind};

/// An object that a Rollout depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Interest {
    /// A route.
    Route(RouteKind, Key),
    /// A workload.
    Workload(WorkloadKind, Key),
    /// A template.
    Template(Key),
    /// What scales workloads of a namespace.
    Scalers(String),
}

/// Who wants to hear of which object. A turn registers before it reads, so no change falls in between.
#[derive(Debug, Default)]
pub struct Interests(Mutex<Index>);

#[derive(Debug, Default)]
struct Index {
    by_object: HashMap<Interest, HashSet<Key>>,
    by_rollout: HashMap<Key, HashSet<Interest>>,
}

impl Interests {
    /// Replaces the interests of a Rollout.
    pub fn set(&self, rollout: &Key, interests: HashSet<Interest>) {
        let mut index = lock(&self.0);
        if index.by_rollout.get(rollout) == Some(&interests) {
            return;
        }
        index.drop_rollout(rollout);
        for interest in &interests {
            index.by_object.entry(interest.clone()).or_default().insert(rollout.clone());
        }
        index.by_rollout.insert(rollout.clone(), interests);
    }

    /// Drops a Rollout that is gone and returns what it was interested in.
    pub fn forget(&self, rollout: &Key) -> HashSet<Interest> {
        lock(&self.0).drop_rollout(rollout)
    }

    /// The Rollouts that want to hear of an object.
    pub fn of(&self, interest: &Interest) -> Vec<Key> {
        let index = lock(&self.0);
        index.by_object.get(interest).map(|rollouts| rollouts.iter().cloned().collect()).unwrap_or_default()
    }

    /// All Rollouts that want to hear of anything.
    pub fn everybody(&self) -> Vec<Key> {
        lock(&self.0).by_rollout.keys().cloned().collect()
    }
}

impl Index {
    fn drop_rollout(&mut self, rollout: &Key) -> HashSet<Interest> {
        let interests = self.by_rollout.remove(rollout).unwrap_or_default();
        for interest in &interests {
            if let Some(rollouts) = self.by_object.get_mut(interest) {
                rollouts.remove(rollout);
                if rollouts.is_empty() {
                    self.by_object.remove(interest);
                }
            }
        }
        interests
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        ("ns".to_owned(), name.to_owned())
    }

    fn route(name: &str) -> Interest {
        Interest::Route(RouteKind::GatewayRoute, key(name))
    }

    #[test]
    fn an_object_wakes_those_who_name_it_and_nobody_else() {
        let interests = Interests::default();
        interests.set(
            &key("a"),
            HashSet::from([route("r1"), Interest::Workload(WorkloadKind::Deployment, key("v1"))]),
        );
        interests.set(&key("b"), HashSet::from([route("r2")]));
        assert_eq!(interests.of(&route("r1")), [key("a")]);
        assert_eq!(interests.of(&Interest::Workload(WorkloadKind::Deployment, key("v1"))), [key("a")]);
        assert!(interests.of(&route("r3")).is_empty());
        assert!(
            interests.of(&Interest::Route(RouteKind::GatewayRoute, ("other".into(), "r1".into()))).is_empty()
        );

        interests.set(&key("a"), HashSet::from([route("r2")]));
        assert!(interests.of(&route("r1")).is_empty(), "no longer named");
        let mut both = interests.of(&route("r2"));
        both.sort();
        assert_eq!(both, [key("a"), key("b")]);

        assert_eq!(interests.forget(&key("a")), HashSet::from([route("r2")]));
        assert_eq!(interests.of(&route("r2")), [key("b")]);
        interests.forget(&key("b"));
        assert!(lock(&interests.0).by_object.is_empty(), "nothing is left behind");
    }
}
