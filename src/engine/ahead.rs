//! What the next step would write, for people who want to see it before it happens. Nothing is decided by it.

use jiff::Timestamp;

use super::{
    decision::RouteWrite,
    memory::Memory,
    observed::{Observed, RouteSeen, Subject},
    turn::Turn,
};
use crate::api::{RolloutSpec, RolloutStatus};

/// The next step of a run, if there is one.
#[derive(Clone, Debug, PartialEq)]
pub enum Ahead {
    /// The step's number, and what it writes to each route as the routes are now.
    Step(i32, Vec<RouteWrite>),
    /// The run is at its last step: nothing more is written but, in the end, our stamp's record.
    Last,
    /// No run is under way.
    Resting,
}

/// What the next step would write if it came now.
pub fn ahead(
    spec: &RolloutSpec,
    status: &RolloutStatus,
    subject: Subject,
    routes: Vec<RouteSeen>,
    now: Timestamp,
) -> Ahead {
    let Some(run) = status.active_run() else { return Ahead::Resting };
    let next = status.step.as_ref().map_or(0, |step| step.index) + 1;
    if run.step(next).is_none() {
        return Ahead::Last;
    }
    let mut status = status.clone();
    if let Some(step) = &mut status.step {
        step.index = next;
    }
    let seen = Observed { subject, routes, ..Observed::default() };
    let turn = Turn::new(spec, &status, &seen, &Memory::default(), now);
    let Some((stable, canary)) = turn.arms() else { return Ahead::Resting };
    let write = |route: &RouteSeen| Some(turn.raise(route, route.view()?, &stable, &canary));
    Ahead::Step(next, turn.run_routes().into_iter().filter_map(write).collect())
}
