//! What is held against scaling: nothing that serves loses its pods, nothing else that scales is fought, and nobody's
//! change is written over.

use std::sync::Arc;

use tidegate::{
    api::RolloutStatus,
    engine::{
        decision::ScaleWrite,
        observed::{EntrySeen, Observed, RouteState, RouteView, Scaler, WorkloadSeen},
    },
};

use super::{Oracle, previews::previews_standing, reading::stamp};
use crate::{process::Process, server::Server, setup::Identity, versions::WorkloadNow};

impl Oracle {
    /// A scaling is decided, on what the process knows.
    pub(super) fn scales(&mut self, process: &Process, seen: &Observed, write: &ScaleWrite) {
        let known = process.workloads.iter().find(|(name, _)| *name == write.workload.name);
        let Some(WorkloadSeen::Present(pods)) = known.map(|(_, now)| &now.seen) else { return };
        // All that the process knows of, whatever the engine looks at; however the entries call it.
        let is = |entry: &EntrySeen| entry.name.ends_with(&write.workload.name) && entry.weight > 0;
        let mut ours = process.routes.iter().filter_map(|route| match &route.state {
            RouteState::Present(view) => view.stamp_of(&seen.subject).is_some().then_some(view),
            _ => None,
        });
        let all_of_it = |view: &Arc<RouteView>| view.lists.iter().flat_map(|list| &list.entries).all(is);
        let served = ours.any(all_of_it);
        self.demand(write.to >= pods.replicas || !served, "W1", || {
            format!(
                "{} is to be scaled down to {} while a route of ours sends it all",
                write.workload, write.to
            )
        });
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
            if server.rollout(other).is_gone() {
                continue;
            }
            let status = &server.rollout(other).status;
            let given = server.views(other).flatten().any(|view| {
                let mut entries = view.lists.iter().flat_map(|list| &list.entries);
                let has = entries.any(|entry| entry.name == name && entry.weight > 0);
                has && (serves(status, name) || is_to_be_lowered(identity, view, status, name))
            });
            // Of a run that is ended one may have come since, by a request that was on its way twice.
            let goes_on = status.run.as_ref().is_some_and(|run| run.ended.is_none());
            let previewed = goes_on
                && previews_standing(server, other).into_iter().any(|(_, to)| to.as_deref() == Some(name));
            self.demand(!given && !previewed, "W1", || {
                format!(
                    "{} is scaled down to {} while {} gives it traffic",
                    write.workload, write.to, identity.name
                )
            });
        }
    }
}

/// Whether a run that is ended has still to take its canary's traffic away on a route.
fn is_to_be_lowered(identity: &Identity, view: &RouteView, status: &RolloutStatus, name: &str) -> bool {
    let is_canary = status.canary.as_ref().is_some_and(|canary| canary.name == name);
    let run = status.run.as_ref().filter(|run| run.ended.is_some()).map(|run| run.number);
    is_canary && stamp(identity, view).is_some_and(|stamp| Some(stamp.run) == run && !stamp.aborted)
}

/// Whether a version has its traffic by a Rollout's own doing, and not by somebody else's.
fn serves(status: &RolloutStatus, name: &str) -> bool {
    let active = status.run.as_ref().is_some_and(|run| run.ended.is_none());
    let is =
        |target: &Option<tidegate::api::Target>| target.as_ref().is_some_and(|target| target.name == name);
    is(&status.stable) || (active && is(&status.canary))
}
