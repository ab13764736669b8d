//! What is held against scaling: nothing that serves loses its pods, nothing else that scales is fought, and nobody's
//! change is written over.

use tidegate::{
    api::RolloutStatus,
    engine::{
        decision::ScaleWrite,
        observed::{Scaler, WorkloadSeen},
    },
};

use super::Oracle;
use crate::{process::Process, server::Server, versions::WorkloadNow};

impl Oracle {
    /// A scaling leaves a process.
    pub fn scales(&mut self, process: &Process, write: &ScaleWrite) {
        let known = process.workloads.iter().find(|(name, _)| *name == write.workload.name);
        let Some(WorkloadSeen::Present(pods)) = known.map(|(_, now)| &now.seen) else { return };
        // One that is scaled to nothing is left alone by an autoscaler.
        let fought = match &pods.scaler {
            Scaler::None => false,
            Scaler::Horizontal(scaler) => scaler.keda.is_some() || (write.to != 0 && pods.replicas != 0),
            Scaler::Unknown(_) | Scaler::Refused(_) => true,
        };
        self.demand(!fought, "W2", || {
            format!("controller {} scales {}, which {:?} does", process.id, write.workload, pods.scaler)
        });
    }

    /// A workload was scaled by a controller.
    pub fn scaled(
        &mut self,
        server: &Server,
        rollout: usize,
        workload: usize,
        before: &WorkloadNow,
        write: &ScaleWrite,
    ) {
        self.wrote(rollout);
        let WorkloadSeen::Present(was) = &before.seen else { return };
        self.demand(was.replicas == write.from, "W3", || {
            format!("{} was scaled over somebody's {}", write.workload, was.replicas)
        });
        if write.to >= was.replicas {
            return;
        }
        let (name, _) = server.workloads[workload];
        for (other, identity) in server.identities.iter().enumerate() {
            let status = &server.rollout(other).status;
            if server.rollout(other).is_gone() || !serves(status, name) {
                continue;
            }
            let given = server.views(other).flatten().any(|view| {
                let mut entries = view.lists.iter().flat_map(|list| &list.entries);
                entries.any(|entry| entry.name == name && entry.weight > 0)
            });
            self.demand(!given, "W1", || {
                format!(
                    "{} is scaled down to {} while {} gives it traffic",
                    write.workload, write.to, identity.name
                )
            });
        }
    }
}

/// Whether a version has its traffic by a Rollout's own doing, and not by somebody else's.
fn serves(status: &RolloutStatus, name: &str) -> bool {
    let active = status.run.as_ref().is_some_and(|run| run.ended.is_none());
    let is =
        |target: &Option<tidegate::api::Target>| target.as_ref().is_some_and(|target| target.name == name);
    is(&status.stable) || (active && is(&status.canary))
}
