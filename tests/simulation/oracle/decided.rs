//! What is held against decisions, and against what leaves a process for them.

use std::sync::Arc;

use tidegate::{
    api::{EndReason, RolloutStatus, RouteRef},
    engine::{
        decision::{Decision, Effect, Purpose, RouteWrite},
        observed::{Observed, RouteSeen, RouteState, RouteView, WorkloadKey, WorkloadSeen},
    },
};

use super::{
    Oracle,
    mirrors::mirrors,
    reading::{ended, sees_mark},
};
use crate::{mutants::stamp_of, process::Process, server::Server, setup::Neighbours};

impl Oracle {
    pub fn decided(&mut self, rollout: usize, process: &Process, seen: &Observed, decision: &Decision) {
        let acts = decision.before.is_some() || decision.store || decision.effects.iter().any(Effect::writes);
        self.demand(!acts || process.kept[rollout].status().format <= RolloutStatus::FORMAT, "S3", || {
            format!("controller {} acts on what a newer version keeps", process.id)
        });
        for effect in &decision.effects {
            match effect {
                Effect::Write(write) if write.purpose == Purpose::Lower => {
                    self.of[rollout].owed.push(write.route.to_string());
                }
                Effect::Write(write) if write.purpose == Purpose::Raise => {
                    self.may_raise(process, seen, write);
                }
                Effect::Scale(write) => self.scales(process, seen, write),
                _ => {}
            }
        }
        self.previews_decided(seen, decision);
        self.tells_what_is_left(seen, decision);
        if seen.subject.deleting && decision.effects.contains(&Effect::Release) {
            self.lets_go(seen);
        }
        if decision.effects.iter().any(Effect::lowers)
            && let Some((run, ended)) = ended(&decision.after)
        {
            // What is ended is ended on every route that it is on.
            let lowered = |route: &RouteRef| {
                decision.effects.iter().any(|effect| match effect {
                    Effect::Write(write) => write.route.same(route),
                    _ => false,
                })
            };
            let canary = decision.after.canary.as_ref();
            let missed = seen.routes.iter().find(|route| {
                let known = decision.after.routes.iter().any(|known| known.route.same(&route.route));
                let run = decision.after.run.as_ref();
                let gives = |view: &RouteView| {
                    let copies = |canary| run.is_some_and(|run| !mirrors(view, canary, run, 0));
                    canary.is_some_and(|canary| view.gives(canary) || copies(canary))
                };
                let up = route.view().is_some_and(|view| gives(view) && self.has_part_in(seen, view));
                known && up && ended != EndReason::Promoted && !lowered(&route.route)
            });
            if let Some(missed) = missed {
                self.violated(
                    "L1",
                    format!("run {run} is ended and {} is not lowered with the others", missed.route),
                );
            }
        }
    }

    /// What an ended run could not take from its canary is told where people look.
    fn tells_what_is_left(&mut self, seen: &Observed, decision: &Decision) {
        let after = &decision.after;
        let ended = after.run.as_ref().and_then(|run| run.ended.as_ref());
        let open = ended.is_some_and(|ended| !ended.settled && ended.reason != EndReason::Promoted);
        let refused = |route: &&RouteSeen| {
            let is_of_the_run = after.routes.iter().any(|known| known.route.same(&route.route));
            is_of_the_run && matches!(route.state, RouteState::Refused(_))
        };
        let Some(left) = seen.routes.iter().find(refused).filter(|_| open && !seen.subject.deleting) else {
            return;
        };
        let told = after.conditions.iter().any(|c| c.type_ == "RoutesInSync" && c.status == "False");
        self.demand(told, "L5", || {
            format!(
                "{} refuses to be lowered, and the status does not say so: {:?}",
                left.route, after.message
            )
        });
    }

    /// A Rollout that is deleted is let go only once its canary has nothing, where stable could take it.
    fn lets_go(&mut self, seen: &Observed) {
        let (status, views) = (&seen.stored, || seen.routes.iter().filter_map(|route| route.view()));
        let Some((stable, canary)) = status.stable.as_ref().zip(status.canary.as_ref()) else { return };
        let ready = seen.workloads.get(&WorkloadKey::deployment(&stable.name));
        let ready = ready.is_some_and(|seen| matches!(seen, WorkloadSeen::Present(pods) if pods.ready > 0));
        let given = |view: &Arc<RouteView>| view.gives(canary) && self.has_part_in(seen, view);
        let left = stable.name != canary.name && views().any(given);
        self.demand(!(left && ready), "L1", || {
            format!("a deleted Rollout is let go although {} has traffic", canary.name)
        });
    }

    fn may_raise(&mut self, process: &Process, seen: &Observed, write: &RouteWrite) {
        let Some(stamp) = stamp_of(write) else { return };
        self.demand(!sees_mark(seen, stamp.run), "S2", || {
            format!("controller {} raises run {} although it sees a mark", process.id, stamp.run)
        });
    }

    /// A change of a route leaves a process.
    pub fn sends(&mut self, server: &Server, process: &Process, rollout: usize, write: &RouteWrite) {
        let owed = &mut self.of[rollout].owed;
        if write.purpose == Purpose::Lower
            && let Some(place) = owed.iter().position(|known| *known == write.route.to_string())
        {
            owed.swap_remove(place);
        }
        if write.purpose != Purpose::Raise {
            return;
        }
        let canary = server.rollout(rollout).status.canary.clone();
        let name = canary.as_ref().map(|canary| canary.name.as_str());
        let ready =
            process.workloads.iter().find(|(known, _)| Some(*known) == name).map(|(_, now)| &now.seen);
        let gone = matches!(ready, Some(WorkloadSeen::Present(pods)) if pods.ready == 0);
        self.demand(!gone, "S5", || {
            format!("controller {} gives traffic to {name:?}, which it knows to have no pod", process.id)
        });
    }

    /// Whether what a route gives is the Rollout's doing: where two name the same rule, only its stamp tells.
    fn has_part_in(&self, seen: &Observed, view: &RouteView) -> bool {
        self.neighbours != Neighbours::Rivals || view.stamp_of(&seen.subject).is_some()
    }
}
