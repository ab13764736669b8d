//! How a run ended, and whether its canary's share kept to the plan on the way there.

use std::{collections::BTreeMap, time::Duration};

use tidegate::api::{EndReason, Phase, Rollout};

use crate::{
    cluster::Cluster,
    history::{History, held, shares},
};

/// What is left of a run when it is over.
#[derive(Clone, Debug, PartialEq)]
pub struct End {
    pub phase: Option<Phase>,
    stable: Option<String>,
    outcomes: Vec<(i64, EndReason)>,
    pub weights: BTreeMap<String, i64>,
    finalizers: Vec<String>,
}

/// The end of a run, once it is let go of.
pub async fn end(cluster: &Cluster, phase: Phase) -> End {
    cluster.phase(phase).await;
    let let_go = |rollout: &Rollout| rollout.metadata.finalizers.clone().unwrap_or_default().is_empty();
    let rollout = cluster.until("color", "let go of", let_go).await;
    let status = rollout.status.unwrap();
    End {
        phase: status.phase,
        stable: status.stable.map(|stable| stable.name),
        outcomes: status.history.iter().map(|run| (run.run, run.outcome)).collect(),
        weights: cluster.weights("color").await,
        finalizers: rollout.metadata.finalizers.unwrap_or_default(),
    }
}

impl End {
    /// Routes are lowered, with their mark, beside the status that tells why. Whoever finds the mark alone ends the run
    /// as well, and can only say that it was marked; after a death that is as good.
    pub fn after_a_death(mut self) -> Self {
        for (_, outcome) in &mut self.outcomes {
            if *outcome == EndReason::Marked {
                *outcome = EndReason::Failed;
            }
        }
        self
    }
}

/// The canary's share never left the plan, and no step was cut short.
pub fn keeps_to(plan: &[i64], hold: Duration, cluster: &Cluster, history: &History) {
    let seen = history.seen(cluster);
    assert_eq!(shares(&seen, "v2"), plan, "{}", cluster.logged());
    for share in plan.iter().copied().filter(|share| plan.contains(&100) && ![0, 100].contains(share)) {
        let lasted = held(&seen, "v2", share).unwrap();
        assert!(lasted >= hold, "{share}% was held for {lasted:?} only: {}", cluster.logged());
    }
}
