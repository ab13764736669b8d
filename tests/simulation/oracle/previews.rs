//! What is held against previews: they are the Rollout's own, take only what they are there for, and go with the run.

use tidegate::{
    api::RolloutStatus,
    engine::{
        decision::{Decision, Effect, PreviewChange, PreviewWrite},
        observed::{InEffect, Observed, RouteState, WorkloadKey, WorkloadSeen},
    },
};

use super::{
    Oracle, Sender,
    reading::{index, sees_mark, stamp},
};
use crate::{process::Process, server::Server, versions::RouteNow};

impl Oracle {
    /// A preview was made, changed or taken away by a controller.
    pub fn preview_written(
        &mut self,
        server: &Server,
        (rollout, sender): (usize, Sender),
        object: usize,
        before: &RouteNow,
    ) {
        self.wrote(rollout);
        let identity = &server.identities[rollout];
        let stamp = |state: &RouteState| match state {
            RouteState::Present(view) => stamp(identity, view).cloned(),
            _ => None,
        };
        let (was, is) = (stamp(&before.state), stamp(&server.route(object).state));
        let name = &server.objects[object].name;
        self.demand(before.state == RouteState::Missing || was.is_some(), "S4", || {
            format!("{name} is not ours and was written")
        });
        let goes = server.document(object)["metadata"]["deletionTimestamp"].is_string();
        if !server.exists(object) || goes {
            return;
        }
        let shape = server.objects[object].shape;
        let takes = shape.preview_of(server.document(object));
        self.demand(takes.as_ref().is_some_and(|(_, asks)| *asks), "S4", || {
            format!("{name} takes requests that ask for nothing: {takes:?}")
        });
        let Some(is) = is else { return self.violated("S4", format!("{name} bears no stamp of ours")) };
        let owner = self.of[rollout].epochs.get(&is.epoch).copied();
        self.demand(owner == Some(sender), "S3", || {
            format!("controller {sender:?} makes {name} under epoch {}, which is {owner:?}'s", is.epoch)
        });
    }

    /// A preview is made only in a run that goes on, under guard, where the canary can take what comes; and what is not
    /// asked for any more goes with the decision that ends it.
    pub(super) fn previews_decided(&mut self, seen: &Observed, decision: &Decision) {
        for effect in &decision.effects {
            match effect {
                Effect::Preview(PreviewWrite { change: PreviewChange::Remove(_), .. }) => {}
                Effect::Preview(write) => self.may_preview(seen, &decision.after, write),
                _ => {}
            }
        }
        let over = decision.after.run.as_ref().is_some_and(|run| run.ended.is_some());
        if !over || !decision.effects.iter().any(Effect::lowers) {
            return;
        }
        let removed = |name: &str| {
            decision.effects.iter().any(|effect| match effect {
                Effect::Preview(write) => write.route.name == name,
                _ => false,
            })
        };
        let ours = seen.previews.iter().find(|preview| {
            let view = preview.seen.view().filter(|view| !view.deleting);
            view.is_some_and(|view| view.stamp_of(&seen.subject).is_some())
                && !removed(&preview.seen.route.name)
        });
        if let Some(preview) = ours {
            self.violated("L1", format!("{} does not go with the run that is ended", preview.seen.route));
        }
    }

    fn may_preview(&mut self, seen: &Observed, after: &RolloutStatus, write: &PreviewWrite) {
        let (number, ended) = after.run.as_ref().map_or((0, true), |run| (run.number, run.ended.is_some()));
        let asked = after
            .run
            .as_ref()
            .is_some_and(|run| run.step(index(after)).is_some_and(|step| step.matching.is_some()));
        let route = &write.route;
        self.demand(asked && !ended, "S1", || format!("{route} is made although nothing asks for it"));
        self.demand(seen.subject.finalizer, "S1", || format!("{route} is made without a guard"));
        self.demand(!sees_mark(seen, number), "S2", || format!("{route} is made although a mark is seen"));
        let canary = after.canary.as_ref().map(|canary| WorkloadKey::deployment(canary.name.clone()));
        let ready = canary.and_then(|key| seen.workloads.get(&key));
        let none = matches!(ready, Some(WorkloadSeen::Present(pods)) if pods.ready == 0);
        self.demand(!none, "S5", || format!("{route} sends requests where there is no pod"));
    }
}

/// Whether a step's previews are there, as a process knows them or, where there is none, in truth; where `effect`
/// says so, also in effect.
pub fn previewed(
    server: &Server,
    rollout: usize,
    process: Option<&Process>,
    step: i32,
    effect: bool,
) -> bool {
    let identity = &server.identities[rollout];
    let status = &server.rollout(rollout).status;
    let Some((run, canary)) = status.run.as_ref().zip(status.canary.as_ref()) else { return false };
    if run.step(step).is_none_or(|step| step.matching.is_none()) {
        return true;
    }
    identity.previews.iter().all(|preview| {
        let known =
            process.map_or_else(|| server.route(preview.object), |process| &process.routes[preview.object]);
        let RouteState::Present(view) = &known.state else { return false };
        let shape = server.objects[preview.object].shape;
        let mut entries = view.lists.iter().flat_map(|list| &list.entries);
        entries.all(|entry| shape.version(&entry.name) == canary.name)
            && (!effect || view.in_effect == InEffect::Yes)
    })
}

/// The Rollout's previews that stand and bear its stamp, each with whom it sends its requests to.
pub fn previews_standing(server: &Server, rollout: usize) -> Vec<(String, Option<String>)> {
    let identity = &server.identities[rollout];
    let stands = identity.previews.iter().filter_map(|preview| {
        let RouteState::Present(view) = &server.route(preview.object).state else { return None };
        stamp(identity, view)?;
        let shape = server.objects[preview.object].shape;
        let to = shape
            .preview_of(server.document(preview.object))
            .map(|(name, _)| shape.version(&name).to_owned());
        Some((preview.name.clone(), to))
    });
    stands.collect()
}
