//! The step cursor: when a weight rises, and when the run is through. It moves forward one planned step at a
//! time (or to the last one by an accepted `promote-full`), and never back.

use std::time::Duration;

use kube::core::Duration as Elapsed;

use super::{
    decision::Effect,
    gates::is_decided_by_others,
    judge::Opinions,
    observed::{InEffect, RouteSeen},
    run::ends_by_itself,
    turn::{Turn, later, since},
};
use crate::{
    analysis::{self, Proof, StepDecision, StepFacts, ThresholdState},
    api::{
        Approval, EndReason, EvidenceRule, OnInconclusive, PauseReason, Phase, PlannedStep, StageName, Step,
        Transition,
        units::{Weight, spell},
    },
};

/// How long a stored weight may wait for its evidence before that is told.
const EVIDENCE_PATIENCE: Duration = Duration::from_mins(1);
/// A step in progress is looked at this often at least; a longer gap counts as unobserved.
const OBSERVE_EVERY: Duration = Duration::from_secs(30);

impl Turn<'_> {
    /// Takes the run one look further.
    pub fn proceed(&mut self) {
        let opinions = self.opinions();
        self.count_towards_deadline(&opinions);
        if self.deadline_over() {
            return;
        }
        if self.run().is_some_and(|run| run.promote_full) && self.step_index() < self.last_index() {
            return self.advance_to(self.last_index());
        }
        if self.step_index() == 0 {
            if self.held_back(1) {
                return self.say_waiting();
            }
            return self.advance_to(1);
        }
        if !self.in_place() {
            self.ask_for_evidence();
            return self.raise_where_needed();
        }
        if !self.in_effect() {
            return;
        }
        self.ask_for_evidence();
        self.ask_during();
        self.observe_step(&opinions);
        self.judge_step(&opinions);
    }

    fn last_index(&self) -> i32 {
        i32::try_from(self.run().map_or(0, |run| run.plan.len())).unwrap_or(i32::MAX)
    }

    /// Whether anything holds the raise to a step, and why.
    pub fn held_back(&mut self, step: i32) -> bool {
        let phase = if self.paused().is_some() { Phase::Paused } else { Phase::Progressing };
        if !self.seen.subject.finalizer {
            self.effects.push(Effect::Hold);
            self.say(phase, "Claiming", "taking the Rollout under guard before anything is raised");
            return true;
        }
        if let Some(pause) = self.run().and_then(|run| run.pause.clone()) {
            self.say(Phase::Paused, pause.reason.word(), pause.message);
            return true;
        }
        if let Some(sentence) = self.obstacle.clone() {
            self.say(Phase::Paused, PauseReason::Drifted.word(), sentence);
            return true;
        }
        if let Some(why) = self.canary_unready(step) {
            let next = self.traffic(step);
            self.say(phase, "CanaryNotReady", format!("waiting to go to {next}: {why}"));
            return true;
        }
        if !self.all_present() {
            self.say(phase, "RouteUnreadable", "waiting until every route can be read");
            return true;
        }
        false
    }

    fn say_waiting(&mut self) {
        if self.told.phase.is_none() {
            self.say(Phase::Progressing, "Waiting", "waiting to start");
        }
    }

    /// Moves the intent to a step and raises the routes to it.
    fn advance_to(&mut self, index: i32) {
        let Some(of) = self.run().map(|run| i32::try_from(run.plan.len()).unwrap_or(i32::MAX)) else {
            return;
        };
        if index > 0 && self.held_back(index) {
            return;
        }
        if !self.may_enter(index) {
            return self.say_gates(index);
        }
        let share = self.planned(index);
        if share == 100 {
            self.fix_baseline();
        }
        let what = self.what_happens(index);
        let weight = Weight::try_from(i32::try_from(share).unwrap_or(0)).unwrap_or_default();
        self.status.step = Some(Step::begin(index, of, weight));
        self.memory.due.clear();
        self.memory.waiting_for_evidence = None;
        self.memory.scaled = None;
        let passed = self.proofs();
        self.status.analysis.clear();
        self.forget_gates();
        if let Some(run) = self.run_mut() {
            run.without_progress = Elapsed::from(Duration::ZERO);
        }
        self.judge_anew();
        self.intent = true;
        let sentence = format!("Step {index}/{of}: {what}.{passed}");
        self.announce(Transition::Step, false, "Step", sentence);
        self.raise_where_needed();
    }

    /// What a step does, for its Event.
    fn what_happens(&self, index: i32) -> String {
        let at = |index: i32| self.run()?.step(index);
        let share = self.planned(index);
        let Some(step) = at(index) else { return format!("{share}% to the canary") };
        if let Some(percent) = step.mirror {
            return format!("copies of {percent} of all requests to the canary, which answers nobody");
        }
        let new = step
            .matching
            .as_ref()
            .filter(|_| at(index - 1).is_none_or(|last| last.matching != step.matching));
        match (step.stage, new) {
            (Some(StageName::Before), Some(matching)) => {
                format!("before the switch, only requests with {matching} go to the canary")
            }
            (Some(StageName::Before), None) => "before the switch, the canary has no traffic".to_owned(),
            (Some(StageName::After), _) => "the switch, 100% to the canary".to_owned(),
            (None, Some(matching)) if share > 0 => {
                format!("requests with {matching} to the canary, besides {share}%")
            }
            (None, Some(matching)) => format!("requests with {matching} to the canary"),
            (None, None) => format!("{share}% to the canary"),
        }
    }

    /// Takes nothing that was seen before for a word about the weight that is written now. The sequences go on: they are
    /// about the run.
    fn judge_anew(&mut self) {
        self.memory.displaced = false;
        self.forget_share();
        self.memory.good_from = None;
        self.forget(|_| true);
    }

    /// The canary has had another share than the step's: no good word from then counts for the step. Harm stays harm.
    fn forget_good(&mut self) {
        self.memory.good_from = Some(later(self.now, self.settling()));
        self.forget(|state| state.bad == 0);
    }

    /// Forgets what the looks so far have shown, of plain numbers only where `which` says so.
    fn forget(&mut self, which: impl Fn(&ThresholdState) -> bool) {
        self.memory.forget_looks();
        if let Some(run) = self.run_mut() {
            for metric in run.evidence.metrics.values_mut() {
                metric.threshold.take_if(|state| which(state));
            }
        }
    }

    /// What the metrics said of the step that is left behind, for its Event.
    fn proofs(&self) -> String {
        self.status.analysis.iter().map(|metric| format!(" {}", metric.sentence)).collect()
    }

    /// Sees whether the stored weight is in effect; the hold starts there.
    fn in_effect(&mut self) -> bool {
        let now = self.now;
        let given = self.traffic(self.step_index());
        if std::mem::take(&mut self.memory.displaced) || self.restoring() {
            self.forget_good();
        }
        if let Some(step) = self.step_mut() {
            step.restoring = false;
            step.stored_at.get_or_insert(now);
        }
        self.note_added();
        let waited = self.memory.waiting_for_evidence.map_or(Duration::ZERO, |then| since(then, now));
        let seen = |seen: &RouteSeen| Some((seen.route.to_string(), missing_evidence(seen)?));
        let of_routes = self.run_routes().into_iter().find_map(seen);
        let missing = of_routes.or_else(|| {
            self.wanted_previews().into_iter().find_map(|preview| {
                let route = self.seen.routes.iter().find(|seen| seen.route.same(&preview.of));
                Some((preview.seen.route.to_string(), missing_of_preview(&preview.seen, route?, waited)?))
            })
        });
        let Some((route, why)) = missing else {
            self.memory.waiting_for_evidence = None;
            if let Some(step) = self.step_mut() {
                step.since.get_or_insert(now);
            }
            return true;
        };
        // A later write to the route asks for evidence anew, but a hold that has begun goes on.
        if self.status.step.as_ref().is_some_and(|step| step.since.is_some()) {
            return true;
        }
        self.ask_for_evidence();
        let waiting = *self.memory.waiting_for_evidence.get_or_insert(now);
        let sentence = format!("{given} is written to {route} but not known to be in effect: {why}");
        if since(waiting, now) >= EVIDENCE_PATIENCE {
            self.told.out_of_sync = Some(("NotProgrammed", sentence.clone()));
        } else {
            self.wake_at(later(waiting, EVIDENCE_PATIENCE));
        }
        self.say(Phase::Progressing, "NotProgrammed", sentence);
        false
    }

    /// Counts the time under observation.
    fn observe_step(&mut self, opinions: &Opinions) {
        let observed = self.observing_since.map_or(Duration::ZERO, |then| since(then, self.now));
        let observed = observed.min(OBSERVE_EVERY * 2);
        self.wake_in(OBSERVE_EVERY);
        let Some(settled) = self.settled_at() else { return };
        let now = self.now;
        let Some(step) = &self.status.step else { return };
        let from = step.since.map_or(settled, |at| at.max(settled));
        if now < from {
            return self.wake_at(from);
        }
        if opinions.error() {
            return;
        }
        self.memory.observing_since = Some(now);
        let held_by_gates = self.held_by_gates;
        let hold = self.planned_step().map_or(Duration::ZERO, |planned| planned.hold.span());
        let Some(step) = self.step_mut() else { return };
        // What waits for gates has been held for long enough, and has not to prove itself for longer than its maxHold.
        let counts = held_by_gates.is_none() || Duration::from(step.elapsed) < hold;
        let counted = if counts { observed.min(since(from, now)) } else { Duration::ZERO };
        step.elapsed = Elapsed::from(Duration::from(step.elapsed) + counted);
    }

    /// The intended step of the plan.
    pub fn planned_step(&self) -> Option<&PlannedStep> {
        self.run()?.step(self.step_index())
    }

    /// Decides what the step's evidence and clock allow.
    fn judge_step(&mut self, opinions: &Opinions) {
        let (Some(planned), Some(step)) = (self.planned_step().cloned(), self.status.step.clone()) else {
            return;
        };
        let elapsed = Duration::from(step.elapsed);
        if !opinions.error() {
            self.lift(PauseReason::MetricError);
        }
        let promoted = step.promoted || self.run().is_some_and(|run| run.promote_full);
        if promoted && self.paused().is_none() {
            return self.go_on(&planned, true);
        }
        for due in [planned.hold.span(), planned.max_hold.span()] {
            if elapsed < due {
                self.wake_in(due.saturating_sub(elapsed));
            }
        }
        match self.step_decision(opinions, &planned, elapsed) {
            // What holds the next step is told all the while, and not only between two looks.
            StepDecision::Advance if self.is_unseen(opinions) => {
                if !self.held_back(self.next_step(&planned, false)) {
                    match self.held_by_gates {
                        // What held it before this look was asked for holds it still.
                        Some(step) => self.say_gates(step),
                        None => self.say_step(opinions, &planned, elapsed),
                    }
                }
            }
            StepDecision::Advance => {
                self.lift(PauseReason::Inconclusive);
                self.go_on(&planned, false);
            }
            StepDecision::Rollback => {
                let sentence = format!("nothing was proved in {}{}", planned.max_hold, self.proofs());
                self.end(EndReason::Inconclusive, &sentence);
            }
            StepDecision::Pause => {
                let (reason, sentence) = self.inconclusive(opinions, &planned);
                self.pause(reason, sentence);
                self.say_step(opinions, &planned, elapsed);
            }
            StepDecision::Hold | StepDecision::Wait | StepDecision::Extend => {
                if self.errors_for(opinions, planned.max_hold.span()) {
                    let (reason, sentence) = self.inconclusive(opinions, &planned);
                    self.pause(reason, sentence);
                }
                self.say_step(opinions, &planned, elapsed);
            }
        }
    }

    fn step_decision(&self, opinions: &Opinions, planned: &PlannedStep, elapsed: Duration) -> StepDecision {
        let analysis = self.run().and_then(|run| run.analysis.as_ref());
        let enforced = opinions.enforced();
        let instant = self.run().is_some_and(|run| run.instant_return);
        let over = elapsed >= planned.hold.span();
        if instant || !opinions.expected {
            return if over { StepDecision::Advance } else { StepDecision::Wait };
        }
        if enforced.is_empty() && is_decided_by_others(planned) {
            // Nothing applies to this step, and a person or a gate decides.
            return if over { StepDecision::Advance } else { StepDecision::Wait };
        }
        if enforced.is_empty() {
            // Metrics are configured, but none applies to this step: never a pass.
            return if over { StepDecision::Pause } else { StepDecision::Wait };
        }
        // Nobody is answered by what gets copies only.
        let relaxed =
            planned.mirror.is_some() || analysis.is_some_and(|analysis| planned.weight < analysis.prove_from);
        let on_inconclusive = match analysis.map(|analysis| analysis.on_inconclusive).unwrap_or_default() {
            OnInconclusive::Pause => analysis::OnInconclusive::Pause,
            OnInconclusive::Advance => analysis::OnInconclusive::Advance,
            OnInconclusive::Rollback => analysis::OnInconclusive::Rollback,
        };
        let canary_requests = opinions.canary_requests;
        analysis::decide_step(&StepFacts {
            metrics: &enforced,
            elapsed,
            duration: planned.hold.span(),
            max_duration: planned.max_hold.span(),
            baseline_unhealthy: opinions.stable_sick,
            on_inconclusive,
            proof: if relaxed { Proof::Relaxed { canary_requests } } else { Proof::Required },
        })
    }

    /// Whether there is a look to wait for, where metrics apply: a process that has just taken over has its predecessor's
    /// proof, but has not looked itself yet; and what is being asked for right now is waited for. But not where a look has
    /// just come in: metrics that take longer to answer than the interval are asked again in the same moment, each time.
    fn is_unseen(&self, opinions: &Opinions) -> bool {
        let asked = self.effects.iter().any(|effect| matches!(effect, Effect::Look { .. }));
        let awaited = self.seen.looking || asked && self.seen.look.is_none();
        let instant = self.run().is_some_and(|run| run.instant_return);
        let applies = !instant && opinions.expected && !opinions.enforced().is_empty();
        applies && (!self.memory.looked || awaited)
    }

    /// The step whose pods are needed next: they come once somebody has agreed to it.
    fn next_step(&self, planned: &PlannedStep, promoted: bool) -> i32 {
        if asks(planned, promoted) {
            self.step_index()
        } else {
            (self.step_index() + 1).min(self.last_index())
        }
    }

    /// Whether an enforced metric has given nothing for this long.
    fn errors_for(&self, opinions: &Opinions, span: Duration) -> bool {
        let error = |m: &&crate::api::MetricStatus| m.verdict == analysis::Verdict::Error;
        opinions.error()
            && self.status.analysis.iter().filter(error).any(|m| since(m.since, self.now) >= span)
    }

    fn inconclusive(&self, opinions: &Opinions, planned: &PlannedStep) -> (PauseReason, String) {
        if opinions.error() {
            return (PauseReason::MetricError, format!("the metrics are down:{}", self.proofs()));
        }
        if opinions.list.iter().all(|o| !o.enforced) {
            let sentence = if planned.weight < Weight::FULL {
                "no metric applies before the switch: nothing has the target's traffic to be compared with (give max, a plain \
                 metric, or promote)"
            } else {
                "no metric applies at 100%: stable had too little traffic in the hour before (give max, a plain metric, or \
                 promote)"
            };
            return (PauseReason::Inconclusive, sentence.to_owned());
        }
        (PauseReason::Inconclusive, format!("nothing is proved in {}:{}", planned.max_hold, self.proofs()))
    }

    /// The step is over: the next one, approval, or promotion.
    fn go_on(&mut self, planned: &PlannedStep, promoted: bool) {
        if self.held_back(self.next_step(planned, promoted)) {
            return;
        }
        if !self.may_leave() {
            return self.say_gates(self.step_index());
        }
        if asks(planned, promoted) {
            let what = match planned.stage {
                Some(StageName::Before) => "the stage before the switch".to_owned(),
                Some(StageName::After) => "the stage after the switch".to_owned(),
                None => planned.traffic().to_string(),
            };
            let sentence = format!("{what} is through; promote to go on, or abort");
            self.pause(PauseReason::Approval, sentence.clone());
            return self.say(Phase::Paused, PauseReason::Approval.word(), sentence);
        }
        if self.step_index() >= self.last_index() {
            return self.promote();
        }
        self.advance_to(self.step_index() + 1);
    }

    /// Says where the step stands.
    fn say_step(&mut self, opinions: &Opinions, planned: &PlannedStep, elapsed: Duration) {
        if let Some(pause) = self.run().and_then(|run| run.pause.clone()) {
            if ends_by_itself(pause.reason) {
                self.wake_in(OBSERVE_EVERY);
            }
            return self.say(Phase::Paused, pause.reason.word(), pause.message);
        }
        let share = planned.weight;
        if opinions.stable_sick
            && let Some(sentence) = self.stable_sick_sentence()
        {
            return self.say(Phase::Progressing, "StableSick", sentence);
        }
        let (hold, max) = (planned.hold.span(), planned.max_hold.span());
        let clock = if elapsed < hold {
            format!("held for {} of {}", spell(elapsed), spell(hold))
        } else {
            format!("hold is over, waiting for proof up to {}", spell(max))
        };
        let place = match (planned.stage, &planned.matching) {
            (Some(StageName::Before), None) => "Before the switch".to_owned(),
            (Some(StageName::Before), Some(matching)) => {
                format!("Before the switch, with {matching} to the canary")
            }
            (Some(StageName::After), _) => "After the switch".to_owned(),
            (None, Some(matching)) if share < Weight::FULL => format!("At {share} and {matching}"),
            (None, Some(_) | None) => format!("At {}", planned.traffic()),
        };
        let message = format!("{place}, {clock}.{}", self.proofs());
        self.say(Phase::Progressing, "Holding", message);
    }
}

impl Step {
    /// A step that is intended and nothing more yet.
    pub(super) fn begin(index: i32, of: i32, weight: Weight) -> Self {
        Self {
            index,
            of,
            label: format!("{index}/{of}"),
            weight,
            stored_at: None,
            since: None,
            elapsed: Elapsed::from(Duration::ZERO),
            promoted: false,
            gates_passed: false,
            restoring: false,
        }
    }
}

/// Whether a person has to agree before the run leaves a step.
fn asks(planned: &PlannedStep, promoted: bool) -> bool {
    planned.approval == Some(Approval::Required) && !promoted
}

/// Why a route's weight is not known to be in effect, if it is not.
fn missing_evidence(seen: &RouteSeen) -> Option<String> {
    let view = seen.view()?;
    match (&view.in_effect, seen.route.evidence_rule()) {
        (InEffect::Yes, _) | (InEffect::Unreported, EvidenceRule::WhenReported) => None,
        (InEffect::No(why), _) => Some(why.clone()),
        (InEffect::Unreported, EvidenceRule::Required) => Some(
            "its status reports nothing; is a data plane running? (evidence: WhenReported does without)"
                .to_owned(),
        ),
    }
}

/// The same of a preview. Where its route's status reports anything that of a new one is about to, unless it has not for so
/// long: what stands there may be left over from an implementation that is gone.
fn missing_of_preview(preview: &RouteSeen, route: &RouteSeen, waited: Duration) -> Option<String> {
    let reports = route.view().is_some_and(|view| view.in_effect != InEffect::Unreported);
    let unreported = preview.view().is_some_and(|view| view.in_effect == InEffect::Unreported);
    if reports && unreported && waited < EVIDENCE_PATIENCE {
        return Some("its status reports nothing yet".to_owned());
    }
    missing_evidence(preview)
}
