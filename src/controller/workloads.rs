//! The workloads of a scope, and what scales them.

use super::{
    on_demand::OnDemand,
    stores::{Found, Mirror},
};
use crate::{
    api::WorkloadKind,
    engine::observed::{Scaler, ScalerSeen, WorkloadKey, WorkloadSeen},
};

/// The workloads of a scope, and what scales them.
#[derive(Debug)]
pub struct Workloads {
    /// The Deployments.
    pub deployments: Mirror<WorkloadSeen>,
    /// The StatefulSets, once a Rollout names one.
    pub stateful_sets: OnDemand<WorkloadSeen>,
    /// The HorizontalPodAutoscalers, once a Rollout scales anything; none for one that is of no workload of ours.
    pub scalers: OnDemand<Option<ScalerSeen>>,
}

impl Workloads {
    /// Nothing is known yet.
    pub fn new() -> Self {
        Self {
            deployments: Mirror::new("Deployments", false),
            stateful_sets: OnDemand::new("StatefulSets", false),
            scalers: OnDemand::new("HorizontalPodAutoscalers", false),
        }
    }

    /// The mirror of a kind.
    pub fn of(&self, kind: WorkloadKind) -> &Mirror<WorkloadSeen> {
        match kind {
            WorkloadKind::Deployment => &self.deployments,
            WorkloadKind::StatefulSet => self.stateful_sets.mirror(),
        }
    }

    /// A Rollout names a workload of this kind.
    pub fn want(&self, kind: WorkloadKind) {
        match kind {
            WorkloadKind::Deployment => {}
            WorkloadKind::StatefulSet => self.stateful_sets.want(),
        }
    }

    /// A workload as it is known; with what scales it, where that matters.
    pub fn get(&self, namespace: &str, key: &WorkloadKey, with_scaler: bool) -> WorkloadSeen {
        let found = match self.of(key.kind).get(&(namespace.to_owned(), key.name.clone())) {
            Found::Present(seen) => seen,
            Found::Missing => WorkloadSeen::Missing,
            Found::Unreadable(why) => WorkloadSeen::Unreadable(why),
        };
        match found {
            WorkloadSeen::Present(mut pods) if with_scaler => {
                pods.scaler = self.scaler(namespace, key);
                WorkloadSeen::Present(pods)
            }
            WorkloadSeen::Present(_) | WorkloadSeen::Missing | WorkloadSeen::Unreadable(_) => found,
        }
    }

    fn scaler(&self, namespace: &str, key: &WorkloadKey) -> Scaler {
        let is_its = |seen: &Option<ScalerSeen>| seen.as_ref().is_some_and(|seen| seen.workload == *key);
        match self.scalers.mirror().find(namespace, is_its) {
            Found::Present(Some(seen)) => Scaler::Horizontal(seen),
            Found::Present(None) | Found::Missing => Scaler::None,
            Found::Unreadable(why) => Scaler::Unknown(why),
        }
    }

    /// Waits until all that is needed was listed once, or can't be.
    pub async fn answered(&self) {
        tokio::join!(self.deployments.answered(), self.stateful_sets.answered(), self.scalers.answered());
    }

    /// Why what is needed can't be used, in sentences.
    pub fn lacks(&self) -> impl Iterator<Item = String> {
        [self.deployments.lacks(), self.stateful_sets.lacks(), self.scalers.lacks()].into_iter().flatten()
    }
}
