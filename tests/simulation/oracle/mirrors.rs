//! What is held against mirrors: they are as the step says, and go with it and with the run.

use tidegate::{
    api::{Run, Stamp, Target},
    engine::{
        decision::Purpose,
        observed::{ListSeen, RouteView},
    },
};

use super::{Landed, Oracle};

/// How many percent of all requests a step copies; none where the run has nothing to do with mirrors.
pub fn planned_mirror(run: &Run, step: i32) -> Option<i64> {
    let percent =
        run.step(step).and_then(|step| step.mirror).map_or(0, |percent| i64::from(percent.percent()));
    run.plan.iter().any(|step| step.mirror.is_some()).then_some(percent)
}

/// Whether a route copies to the canary what a step does.
pub fn mirrors(view: &RouteView, canary: &Target, run: &Run, step: i32) -> bool {
    let as_planned = |percent| view.lists.iter().all(|list| list.copies(canary, percent));
    planned_mirror(run, step).is_none_or(as_planned)
}

/// What a list of a route copies to a version at most: the share, and how many mirrors there are, since one of nothing is one.
pub fn mirrored(view: &RouteView, target: &Target) -> i64 {
    let of = |list: &ListSeen| list.mirrors_to(target).map(|mirror| mirror.millionths + 1).sum();
    view.lists.iter().map(of).max().unwrap_or(0)
}

/// How many elements beside the mirrors to a version stand where those do, in each list.
fn beside(view: &RouteView, target: &Target) -> Vec<usize> {
    let of = |list: &ListSeen| {
        let all = list.mirrors.as_ref().and_then(|mirrors| mirrors.length).unwrap_or(0);
        all - list.mirrors_to(target).count()
    };
    view.lists.iter().map(of).collect()
}

impl Oracle {
    /// A raise copies what its step does, a lowering leaves no copies, and nothing else makes any.
    pub(super) fn mirrors_written(
        &mut self,
        landed: &Landed,
        was: &RouteView,
        is: &RouteView,
        stamp: Option<&Stamp>,
    ) {
        let status = &landed.server.rollout(landed.rollout).status;
        let Some((run, canary)) = status.run.as_ref().zip(status.canary.as_ref()) else { return };
        let (before, after) = (mirrored(was, canary), mirrored(is, canary));
        let own = stamp.is_some_and(|stamp| stamp.run == run.number && stamp.epoch >= status.epoch);
        let holds = match landed.write.purpose {
            Purpose::Raise => stamp.is_none_or(|stamp| mirrors(is, canary, run, stamp.step)),
            // What its sender did not see it can't take; it sees that in the answer, and is not done.
            Purpose::Lower if own && mirrored(&landed.write.view, canary) > 0 => mirrors(is, canary, run, 0),
            Purpose::Lower | Purpose::Release | Purpose::Correct => after <= before,
            Purpose::Claim | Purpose::Retire => after == before,
        };
        self.demand(beside(was, canary) == beside(is, canary), "S4", || {
            format!("to {} took or added what stands beside mirrors", landed.write.purpose.verb())
        });
        self.demand(holds, "S1", || {
            format!("to {} copied {after} to {}, after {before}", landed.write.purpose.verb(), canary.name)
        });
    }
}
