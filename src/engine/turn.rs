//! One decision in the making: what is known, and what has been decided so far.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};

use super::{
    decision::{Decision, Effect, Fence, Note, Purpose, RouteWrite, StampChange},
    memory::Memory,
    observed::{EntrySeen, ListSeen, Observed, RouteSeen, RouteView},
    record::Due,
};
use crate::{
    analysis::sentence::Traffic,
    api::{
        Called, EntryWeight, Notice, Phase, PlannedStep, RolloutSpec, RolloutStatus, RouteRef, RouteStatus,
        RouteWeights, Run, Stamp, Step, Target, TargetRef,
    },
};

/// So many lists of weights are told in status; the schema takes no more.
pub(super) const MOST_LISTS: usize = 32;
/// How long a corrected share is left alone before it is corrected again, where people or tools insist.
pub(super) const CORRECTION_PAUSE: Duration = Duration::from_mins(1);

/// One decision in the making.
pub(super) struct Turn<'a> {
    pub spec: &'a RolloutSpec,
    pub seen: &'a Observed,
    pub now: Timestamp,
    /// Since when this process has been counting towards the deadline, without a break.
    pub counting_since: Option<Timestamp>,
    /// Since when it has been observing the step, without a break.
    pub observing_since: Option<Timestamp>,
    /// The step that the last decision was kept from, or kept in, by gates alone.
    pub held_by_gates: Option<i32>,
    pub status: RolloutStatus,
    pub memory: Memory,
    pub effects: Vec<Effect>,
    /// What receivers want to know of this decision.
    pub announced: Vec<Notice>,
    /// The status must be stored before the effects run.
    pub intent: bool,
    /// What is wrong with the routes at this moment, whatever the run is paused for: nothing is raised over it.
    pub obstacle: Option<String>,
    pub wake: Option<Timestamp>,
    /// What is told: phase, reason word and sentence.
    pub told: Told,
}

/// What this decision tells people.
#[derive(Default)]
pub(super) struct Told {
    pub phase: Option<Phase>,
    pub reason: &'static str,
    pub message: String,
    /// Routes and status disagree: reason and sentence.
    pub out_of_sync: Option<(&'static str, String)>,
    /// Facts told by conditions of their own while they hold: type, reason, sentence.
    pub besides: Vec<(&'static str, &'static str, String)>,
}

impl<'a> Turn<'a> {
    pub fn new(
        spec: &'a RolloutSpec,
        status: &RolloutStatus,
        seen: &'a Observed,
        memory: &Memory,
        now: Timestamp,
    ) -> Self {
        let mut memory = memory.clone();
        // A clock that this decision does not keep running has stopped.
        let counting_since = memory.counting_since.take();
        let observing_since = memory.observing_since.take();
        let held_by_gates = std::mem::take(&mut memory.gates.held);
        let told = Told::default();
        let mut status = status.clone();
        none_ahead(&mut status, now);
        Self {
            spec,
            seen,
            now,
            counting_since,
            observing_since,
            held_by_gates,
            status,
            memory,
            effects: vec![],
            announced: vec![],
            intent: false,
            obstacle: None,
            wake: None,
            told,
        }
    }

    /// Closes the decision.
    pub fn finish(mut self) -> Decision {
        self.keep_notices();
        self.tell_conditions();
        let due = if self.status == *self.seen.stored {
            Due::Never
        } else {
            // What has not changed can still be read by whoever wrote it.
            self.status.format = RolloutStatus::FORMAT;
            super::record::store_due(&self.seen.stored, &self.status, &self.memory, self.now)
        };
        if let Due::At(at) = due {
            self.wake_at(at);
        }
        let after = Arc::new(self.status);
        // A lowering waits for nothing, so its record is written beside it, never before it.
        let before = self.intent.then(|| Arc::clone(&after));
        let store = before.is_none() && due == Due::Now;
        if before.is_some() || store {
            self.memory.stored_at = Some(self.now);
        }
        Decision { before, effects: self.effects, after, store, memory: self.memory, wake: self.wake }
    }

    /// Does only this, and says nothing.
    pub fn stand_aside(self, effects: Vec<Effect>) -> Decision {
        let after = Arc::new(self.status);
        Decision { before: None, effects, after, store: false, memory: self.memory, wake: self.wake }
    }

    /// Notes the weights as they stand on the routes.
    pub fn note_weights(&mut self) {
        let entry = |e: &EntrySeen| EntryWeight { name: e.name.clone(), port: e.port, weight: e.weight };
        let of_list = |route: &RouteRef, list: &ListSeen| RouteWeights {
            route: route.to_string(),
            rule: list.rule.clone(),
            entries: list.entries.iter().map(entry).collect(),
        };
        let present = self.seen.routes.iter().filter_map(|seen| Some((&seen.route, seen.view()?)));
        self.status.weights = present
            .flat_map(|(route, view)| view.lists.iter().map(move |list| of_list(route, list)))
            .take(MOST_LISTS)
            .collect();
    }

    /// Decide again at this time at the latest.
    pub fn wake_at(&mut self, at: Timestamp) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }

    /// Decide again after this time at the latest.
    pub fn wake_in(&mut self, span: Duration) {
        self.wake_at(later(self.now, span));
    }

    /// Says where the Rollout stands.
    pub fn say(&mut self, phase: Phase, reason: &'static str, message: impl Into<String>) {
        self.told.phase = Some(phase);
        self.told.reason = reason;
        self.told.message = message.into();
    }

    /// Emits an Event.
    pub fn tell(&mut self, warning: bool, reason: &'static str, message: impl Into<String>) {
        let step = self.status.step.as_ref().map(|step| step.index).filter(|index| *index > 0);
        let run = self.run().map(|run| run.number);
        self.effects.push(Effect::Tell(Note { warning, reason, message: message.into(), run, step }));
    }

    /// Tells a Warning only when its condition is not told already.
    pub fn tell_once(&mut self, condition: &'static str, sentence: &str) {
        let told = self.seen.stored.conditions.iter().any(|c| c.type_ == condition && c.status == "True");
        if !told {
            self.tell(true, condition, sentence);
        }
    }

    /// The target of the spec, with the workload and revision known now.
    pub fn wanted(&self) -> Target {
        self.of_ref(&self.spec.target, |route| route.target.as_ref())
    }

    /// A target of the spec, and how the routes call it.
    pub fn of_ref(&self, target: &TargetRef, called: impl Fn(&RouteRef) -> Option<&String>) -> Target {
        let differing = self.spec.routes.iter().filter_map(|route| Some((route, called(route)?)));
        let mut called: Vec<Called> = differing
            .filter(|(_, name)| **name != target.name)
            .map(|(route, name)| Called { route: route.to_string(), name: name.clone() })
            .collect();
        called.dedup();
        Target {
            name: target.name.clone(),
            port: target.port,
            workload_ref: target.workload_ref.clone(),
            hash: self.hash(&target.name, target.workload_ref.as_ref()),
            called,
        }
    }

    /// The routes of the present or last run that the spec still names, in the fixed order.
    pub fn run_routes(&self) -> Vec<&'a RouteSeen> {
        let named = |seen: &&RouteSeen| {
            self.status.routes.iter().any(|r| r.route.same(&seen.route))
                && self.spec.routes.iter().any(|r| r.same(&seen.route))
        };
        self.seen.routes.iter().filter(named).collect()
    }

    /// Both arms of the present or last run.
    pub fn arms(&self) -> Option<(Target, Target)> {
        Some((self.status.stable.clone()?, self.status.canary.clone()?))
    }

    pub fn run(&self) -> Option<&Run> {
        self.status.run.as_ref()
    }

    pub fn run_mut(&mut self) -> Option<&mut Run> {
        self.status.run.as_mut()
    }

    pub fn step_mut(&mut self) -> Option<&mut Step> {
        self.status.step.as_mut()
    }

    /// The index of the intended step; 0 before the first.
    pub fn step_index(&self) -> i32 {
        self.status.step.as_ref().map_or(0, |step| step.index)
    }

    /// The planned canary share of a step.
    pub fn planned(&self, index: i32) -> i64 {
        let step = self.run().and_then(|run| run.step(index));
        step.map_or(0, |step| i64::from(step.weight.percent()))
    }

    /// What the canary gets in a step, as sentences say it.
    pub fn traffic(&self, index: i32) -> Traffic {
        self.run().and_then(|run| run.step(index)).map_or(Traffic::Weight(0), PlannedStep::traffic)
    }

    /// A stamp of ours for the present run.
    pub fn stamp(&self, step: i32, aborted: bool, added: Vec<String>) -> Stamp {
        let run = self.run().map_or(0, |run| run.number);
        let uid = self.seen.subject.uid.clone();
        Stamp { uid, epoch: self.status.epoch, run, step, aborted, added }
    }

    /// The entries that we added to a route, by its stamp or by status, as [`ListSeen::key`] calls them.
    pub fn added(&self, seen: &RouteSeen, view: &RouteView) -> Vec<String> {
        if let Some(stamp) = view.stamp_of(&self.seen.subject) {
            return stamp.added.clone();
        }
        let of_list = |list: &ListSeen| {
            let noted = self.noted(&seen.route, list).map(|noted| noted.added.as_slice()).unwrap_or_default();
            let names = noted.iter().filter_map(|entry| entry_name(view, &entry.0));
            names.map(|name| list.key(&name)).collect::<Vec<_>>()
        };
        view.lists.iter().flat_map(of_list).collect()
    }

    /// What status keeps of a list. A rule that has got a name meanwhile, or another place, is still that of the object.
    pub fn noted(&self, route: &RouteRef, list: &ListSeen) -> Option<&RouteStatus> {
        let of_object = || self.status.routes.iter().filter(|noted| noted.route.same(route));
        of_object().find(|noted| noted.route.rule == list.rule).or_else(|| of_object().next())
    }

    /// A write that changes weights of entries listed, and nothing listed otherwise.
    pub fn write(
        &self,
        seen: &RouteSeen,
        view: &Arc<RouteView>,
        purpose: Purpose,
        fence: Fence,
    ) -> RouteWrite {
        RouteWrite {
            route: seen.route.clone(),
            purpose,
            view: Arc::clone(view),
            weights: vec![],
            add: vec![],
            remove: vec![],
            mirrors: vec![],
            stamp: StampChange::Keep(self.seen.subject.name.clone()),
            fence,
        }
    }

    /// `StampChange::Set` for this Rollout.
    pub fn set_stamp(&self, stamp: Stamp) -> StampChange {
        StampChange::Set(self.seen.subject.name.clone(), stamp)
    }
}

/// The target's name in an entry as it is kept whole.
pub(super) fn entry_name(view: &RouteView, raw: &serde_json::Value) -> Option<String> {
    let name = raw.pointer(view.name_field)?.as_str()?;
    let known = view.called.iter().find(|(_, called)| called == name);
    Some(known.map_or(name, |(target, _)| target).to_owned())
}

/// What a predecessor noted by a clock that was ahead of ours begins now: waiting until our clock is there would leave a bad
/// canary unjudged for as long. It costs a hold the time that it had, and shortens none.
fn none_ahead(status: &mut RolloutStatus, now: Timestamp) {
    let noted = status.step.iter_mut().flat_map(|step| [&mut step.stored_at, &mut step.since]);
    let corrected = status.run.iter_mut().map(|run| &mut run.corrected_at);
    let ahead = |at: &Timestamp| *at > now;
    for at in noted.chain(corrected).filter(|at| at.as_ref().is_some_and(ahead)) {
        *at = Some(now);
    }
    for metric in status.analysis.iter_mut().filter(|metric| ahead(&metric.since)) {
        metric.since = now;
    }
    for at in status.restored.iter_mut().filter(|at| ahead(at)) {
        *at = now;
    }
}

/// The time from `then` to `now`, never negative.
pub(super) fn since(then: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(then)).unwrap_or(Duration::ZERO)
}

/// `at` plus `span`.
pub(super) fn later(at: Timestamp, span: Duration) -> Timestamp {
    let span = SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX);
    at.saturating_add(span).unwrap_or(Timestamp::MAX)
}
