//! How statuses, routes and stamps are read.

use tidegate::{
    api::{EndReason, RolloutStatus, Run, Stamp, Target},
    engine::observed::{Observed, RouteView},
};

use crate::setup::Identity;

pub fn canary(status: &RolloutStatus) -> Option<&str> {
    status.canary.as_ref().map(|canary: &Target| canary.name.as_str())
}

pub fn ended(status: &RolloutStatus) -> Option<(i64, EndReason)> {
    let run = status.run.as_ref()?;
    Some((run.number, run.ended.as_ref()?.reason))
}

pub fn index(status: &RolloutStatus) -> i32 {
    status.step.as_ref().map_or(0, |step| step.index)
}

pub fn planned(run: &Run, step: i32) -> i64 {
    run.step(step).map_or(0, |step| i64::from(step.weight.percent()))
}

/// A Rollout's stamp on a route.
pub fn stamp<'a>(identity: &Identity, view: &'a RouteView) -> Option<&'a Stamp> {
    view.stamp(identity.name).filter(|stamp| stamp.uid == identity.uid)
}

/// Whether a route carries the mark of a Rollout's run.
pub fn is_marked(identity: &Identity, view: &RouteView, run: i64) -> bool {
    stamp(identity, view).is_some_and(|stamp| stamp.run == run && stamp.aborted)
}

/// Whether a process sees the mark of a run on any route.
pub fn sees_mark(seen: &Observed, run: i64) -> bool {
    let views = seen.routes.iter().filter_map(|route| route.view());
    let mut stamps = views.filter_map(|view| view.stamp_of(&seen.subject));
    stamps.any(|stamp| stamp.run == run && stamp.aborted)
}

/// The greatest share that a list of a route gives a version.
pub fn share(view: &RouteView, target: &Target) -> i64 {
    view.lists.iter().map(|list| list.weight(target)).max().unwrap_or(0)
}
