//! Which step stands on the routes, since when it is in effect, for how long somebody had it under his eyes, and how often
//! the metrics told something of it. The truth, by what is stored.

use std::{collections::BTreeMap, rc::Rc};

use tidegate::engine::observed::InEffect;

use crate::{
    oracle::{index, planned, share},
    process::Process,
    server::{RouteNow, Server},
};

/// A step of a run.
pub type Step = (i64, i32);

#[derive(Default)]
pub struct Standing {
    /// The share that each route gives the canary, and whether it has been in effect since it was given.
    shares: Vec<(Option<i64>, bool)>,
    /// The step that is in effect on all routes.
    effect: Option<Step>,
    /// The last step that was.
    begun: Option<Step>,
    /// For how many milliseconds each was in effect under the eyes of who holds the run.
    held: BTreeMap<Step, u64>,
    /// Looks that told something of each.
    looks: BTreeMap<Step, u32>,
}

impl Standing {
    /// Time goes on; `owner` is the process that holds the run, if it lives.
    pub fn pass(&mut self, span: u64, server: &Server, owner: Option<&Process>) {
        let Some(step) = self.begun else { return };
        let in_effect = self.effect == Some(step);
        if owner.is_some_and(|process| in_effect || shows(server, process, step)) {
            *self.held.entry(step).or_default() += span;
        }
    }

    /// A route or the status has changed.
    pub fn weights_changed(&mut self, server: &Server) {
        let canary = server.rollout().status.canary.as_ref();
        self.shares.resize(server.routes.len(), (None, false));
        for (route, known) in self.shares.iter_mut().enumerate() {
            let view = server.route(route).view();
            // Lists of one object that differ are no step.
            let share = view.and_then(|view| {
                let share = share(view, canary?);
                view.lists.iter().all(|list| list.weight(canary.as_ref().unwrap()) == share).then_some(share)
            });
            if known.0 != share {
                *known = (share, false);
            }
            known.1 |= view.is_some_and(|view| view.in_effect == InEffect::Yes);
        }
        self.effect = in_effect(server, &self.shares);
        self.begun = self.effect.or(self.begun);
    }

    /// A look that tells something, asked for while the step's share was on the routes, as far as the process can know.
    pub fn looked(&mut self, server: &Server, process: &Process, step: Step) {
        if written(server, step) || shows(server, process, step) {
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

fn in_effect(server: &Server, shares: &[(Option<i64>, bool)]) -> Option<Step> {
    let status = &server.rollout().status;
    let run = status.run.as_ref().filter(|run| run.ended.is_none())?;
    let step = index(status);
    let share = (Some(planned(run, step)), true);
    (step >= 1 && shares.iter().all(|known| *known == share)).then_some((run.number, step))
}

/// Whether a process sees a step's share on every route; what somebody just changed there it can't know yet.
fn shows(server: &Server, process: &Process, step: Step) -> bool {
    stands(server, process.routes.iter(), step)
}

/// Whether a step's share stands on every route.
fn written(server: &Server, step: Step) -> bool {
    stands(server, (0..server.routes.len()).map(|route| server.route(route)), step)
}

fn stands<'a>(
    server: &Server,
    mut routes: impl Iterator<Item = &'a Rc<RouteNow>>,
    (number, step): Step,
) -> bool {
    let status = &server.rollout().status;
    let Some((run, canary)) = status.run.as_ref().zip(status.canary.as_ref()) else { return false };
    let share = planned(run, step);
    let seen = |route: &Rc<RouteNow>| {
        route.view().is_some_and(|view| view.lists.iter().all(|list| list.weight(canary) == share))
    };
    run.number == number && index(status) == step && routes.all(seen)
}
