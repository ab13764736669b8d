//! Which step stands on the routes, since when it is in effect, for how long somebody had it under his eyes, and how often
//! the metrics told something of it. The truth, by what is stored.

use std::{collections::BTreeMap, rc::Rc};

use tidegate::{
    api::Target,
    engine::observed::{InEffect, RouteView},
};

use super::{
    mirrors::{mirrors, planned_mirror},
    previews::previewed,
    reading::{index, planned, share},
};
use crate::{process::Process, server::Server, versions::RouteNow};

/// A step of a run.
pub type Step = (i64, i32);

#[derive(Default)]
pub struct Standing {
    /// The share that each route gives the canary and what it copies to it, where the run does that, and whether that has been
    /// in effect since it was given.
    shares: Vec<(Option<(i64, i64)>, bool)>,
    /// The step that is in effect on all routes.
    effect: Option<Step>,
    /// The step whose shares are, whatever somebody has made of its previews.
    given: Option<Step>,
    /// The last one that was in effect, or that whoever holds the run took for it: what somebody has just made of a preview he
    /// can't know yet.
    begun: Option<Step>,
    /// For how many milliseconds each was in effect under the eyes of who holds the run.
    held: BTreeMap<Step, u64>,
    /// Looks that told something of each.
    looks: BTreeMap<Step, u32>,
}

impl Standing {
    /// Time goes on; `owner` is the process that holds the run, if it lives.
    pub fn pass(&mut self, span: u64, server: &Server, rollout: usize, owner: Option<&Process>) {
        let known =
            |step: &Step| owner.is_some_and(|owner| previewed(server, rollout, Some(owner), step.1, true));
        self.begun = self.given.filter(known).or(self.begun);
        let Some(step) = self.begun else { return };
        let in_effect = self.effect == Some(step);
        if owner.is_some_and(|process| in_effect || shows(server, process, rollout, step)) {
            *self.held.entry(step).or_default() += span;
        }
    }

    /// A route or the status has changed.
    pub fn weights_changed(&mut self, server: &Server, rollout: usize) {
        let status = &server.rollout(rollout).status;
        let canary = status.canary.as_ref();
        let mirroring = status.run.as_ref().is_some_and(|run| planned_mirror(run, 0).is_some());
        self.shares.resize(server.identities[rollout].places.len(), (None, false));
        for (known, view) in self.shares.iter_mut().zip(server.views(rollout)) {
            // Lists of one object that differ are no step.
            let share = view.and_then(|view| {
                let canary = canary?;
                let share = share(view, canary);
                let copied = if mirroring { copied(view, canary)? } else { 0 };
                view.lists.iter().all(|list| list.weight(canary) == share).then_some((share, copied))
            });
            if known.0 != share {
                *known = (share, false);
            }
            known.1 |= view.is_some_and(|view| view.in_effect == InEffect::Yes);
        }
        self.given = given(server, rollout, &self.shares);
        self.effect = self.given.filter(|step| previewed(server, rollout, None, step.1, true));
        self.begun = self.effect.or(self.begun);
    }

    /// A look that tells something, asked for while the step's share was on the routes, as far as the process can know.
    pub fn looked(&mut self, server: &Server, process: &Process, rollout: usize, step: Step) {
        if written(server, rollout, step) || shows(server, process, rollout, step) {
            *self.looks.entry(step).or_default() += 1;
        }
    }

    pub fn held(&self, step: Step) -> u64 {
        self.held.get(&step).copied().unwrap_or(0)
    }

    pub fn looks(&self, step: Step) -> u32 {
        self.looks.get(&step).copied().unwrap_or(0)
    }
}

/// What all lists of a route copy to a version, in percent; none where they differ, or it is no share of ours.
fn copied(view: &RouteView, canary: &Target) -> Option<i64> {
    let first = view.lists.first()?.mirrored(canary) as i64;
    view.lists.iter().all(|list| list.copies(canary, first)).then_some(first)
}

/// The step whose shares are in effect on all routes.
fn given(server: &Server, rollout: usize, shares: &[(Option<(i64, i64)>, bool)]) -> Option<Step> {
    let status = &server.rollout(rollout).status;
    let run = status.run.as_ref().filter(|run| run.ended.is_none())?;
    let step = index(status);
    let share = (Some((planned(run, step), planned_mirror(run, step).unwrap_or(0))), true);
    let given = step >= 1 && shares.iter().all(|known| *known == share);
    given.then_some((run.number, step))
}

/// Whether a process sees a step's share on every route; what somebody just changed there it can't know yet.
fn shows(server: &Server, process: &Process, rollout: usize, step: Step) -> bool {
    stands(server, rollout, process.views(&server.identities[rollout]), step)
        && previewed(server, rollout, Some(process), step.1, false)
}

/// Whether a step's share stands on every route.
fn written(server: &Server, rollout: usize, step: Step) -> bool {
    let places = server.identities[rollout].places.iter();
    stands(server, rollout, places.map(|place| server.route(place.object)), step)
        && previewed(server, rollout, None, step.1, false)
}

fn stands<'a>(
    server: &Server,
    rollout: usize,
    mut routes: impl Iterator<Item = &'a Rc<RouteNow>>,
    (number, step): Step,
) -> bool {
    let status = &server.rollout(rollout).status;
    let Some((run, canary)) = status.run.as_ref().zip(status.canary.as_ref()) else { return false };
    let share = planned(run, step);
    let seen = |route: &Rc<RouteNow>| {
        route.view(rollout).is_some_and(|view| {
            view.lists.iter().all(|list| list.weight(canary) == share) && mirrors(view, canary, run, step)
        })
    };
    run.number == number && index(status) == step && routes.all(seen)
}
