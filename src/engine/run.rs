//! The order in which a run's rules apply. Reading it top to bottom is reading the precedence:
//! abort > `suspend` > Fail, a gate's no > target changed > promote-full > promote > pause > advance (deletion came before).

use super::{claim::Claim, decision::Effect, observed::RouteState, turn::Turn, workloads::Readiness};
use crate::api::{EndReason, Pause, PauseReason, Phase, Transition};

impl Turn<'_> {
    /// One look at an active run.
    pub fn step_through(&mut self) {
        if self.marked() {
            let sentence = "an abort mark stands on a route of this run; it is ended everywhere";
            return self.end(EndReason::Marked, sentence);
        }
        if let Some(abort) = self.take_abort() {
            let reason = abort.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            return self.end(EndReason::Aborted, &format!("aborted by {}{reason}", abort.by));
        }
        self.take_evidence();
        self.take_answers();
        self.note_displaced();
        self.tell_share();
        if self.spec.suspend {
            self.ask_for_evidence();
            let sentence = "spec.suspend is true: nothing is written to any route, and the run stands still";
            self.refuse_requests(sentence);
            return self.say(Phase::Suspended, "Suspended", sentence);
        }
        if let Some(sentence) = self.failed() {
            return self.end(EndReason::Failed, &sentence);
        }
        if let Some(sentence) = self.refused() {
            return self.end(EndReason::GateRefused, &sentence);
        }
        self.learn_revision();
        if let Some((reason, sentence)) = self.overtaken() {
            return self.end(reason, &sentence);
        }
        self.release_left_routes();
        self.remove_previews();
        if self.knows_not_whose() {
            self.effects.push(Effect::Reread);
            return self.say(Phase::Progressing, "Claiming", "finding out whose the routes are");
        }
        match self.claim() {
            Claim::Complete => {}
            Claim::Underway => {
                return self.say(Phase::Progressing, "Claiming", "taking the routes over, weights untouched");
            }
            claim @ (Claim::Forged | Claim::Owned) => {
                let why = self.told.message.clone();
                self.refuse_requests(&why);
                // Nothing is given yet, and nothing goes on until the route is free.
                if matches!(claim, Claim::Owned) && self.step_index() == 0 {
                    return;
                }
                // Held, not blind: a bad canary still goes back.
                self.ask_for_evidence();
                let opinions = self.opinions();
                self.count_towards_deadline(&opinions);
                self.deadline_over();
                return;
            }
        }
        self.judge_drift();
        if let Some(request) = self.take_request() {
            self.follow(&request);
        }
        self.proceed();
    }

    /// A canary whose workload came after the run began gets its revision noted as soon as it is known.
    fn learn_revision(&mut self) {
        let known = self.status.canary.as_ref().and_then(|canary| self.hash_of(canary));
        if let Some(canary) = self.status.canary.as_mut().filter(|canary| canary.hash.is_none()) {
            canary.hash = known;
        }
    }

    /// Whether the run no longer is about what it started for: another target, another revision of the canary,
    /// another object in a route's place.
    fn overtaken(&self) -> Option<(EndReason, String)> {
        let (stable, canary) = self.arms()?;
        let wanted = self.wanted();
        if wanted.same_entry(&stable) {
            let sentence = format!("spec.target is {} again, which is stable", stable.name);
            return Some((EndReason::TargetReturned, sentence));
        }
        if !wanted.same_entry(&canary) {
            let sentence = format!("spec.target is {} now; {} is put back first", wanted.name, canary.name);
            return Some((EndReason::TargetChanged, sentence));
        }
        if let (Some(then), Some(now)) = (&canary.hash, self.hash_of(&canary))
            && *then != now
        {
            let sentence =
                format!("the pod template of {} changed; the new one is judged from 0", canary.name);
            return Some((EndReason::RevisionChanged, sentence));
        }
        for seen in self.run_routes() {
            let noted = self.status.routes.iter().find(|r| r.route.same(&seen.route));
            if let (Some(view), Some(noted)) = (seen.view(), noted)
                && view.uid != noted.uid
            {
                let sentence = format!("{} was deleted and made again; the run starts anew", seen.route);
                return Some((EndReason::RouteReplaced, sentence));
            }
        }
        None
    }

    /// Pauses the run, unless it is paused already for a reason that a person must lift.
    pub fn pause(&mut self, reason: PauseReason, message: String) {
        let now = self.now;
        let Some(run) = self.run_mut() else { return };
        match &mut run.pause {
            Some(pause) if pause.reason == reason => {
                pause.message = message;
                return;
            }
            Some(pause) if !ends_by_itself(pause.reason) => return,
            Some(_) | None => {}
        }
        run.pause = Some(Pause { reason, message: message.clone(), since: now });
        let warning = match reason {
            PauseReason::Requested | PauseReason::Approval => false,
            PauseReason::Drifted
            | PauseReason::Deadline
            | PauseReason::RouteGone
            | PauseReason::Inconclusive
            | PauseReason::MetricError => true,
        };
        self.announce(Transition::Paused, warning, reason.word(), format!("Paused: {message}"));
    }

    /// Why the run is paused, if it is.
    pub fn paused(&self) -> Option<PauseReason> {
        self.run().and_then(|run| run.pause.as_ref()).map(|pause| pause.reason)
    }

    /// Lifts a pause of this reason.
    pub fn lift(&mut self, reason: PauseReason) {
        if self.paused() == Some(reason)
            && let Some(run) = self.run_mut()
        {
            run.pause = None;
        }
    }

    /// Whether every route of the run can be read and stepped.
    pub fn all_present(&self) -> bool {
        self.run_routes().iter().all(|seen| matches!(seen.state, RouteState::Present(_)))
    }

    /// Why the canary can't be given a step's traffic now, if it can't. It is scaled where the step needs that.
    pub fn canary_unready(&mut self, step: i32) -> Option<String> {
        let (_, canary) = self.arms()?;
        if let Some(why) = self.short_of_pods(step) {
            return Some(why);
        }
        match self.readiness(&canary) {
            Readiness::Ready => None,
            Readiness::NoReadyPod(why) | Readiness::Absent(why) => Some(why),
            Readiness::Unknown => {
                let sentence = format!(
                    "no workload is known behind {}; its readiness guards nothing (give target.workloadRef)",
                    canary.name
                );
                self.told.besides.push(("WorkloadUnknown", "NoWorkloadRef", sentence));
                None
            }
        }
    }
}

/// Whether a pause ends without a person.
pub(super) const fn ends_by_itself(reason: PauseReason) -> bool {
    match reason {
        PauseReason::Inconclusive | PauseReason::MetricError => true,
        PauseReason::Requested
        | PauseReason::Approval
        | PauseReason::Drifted
        | PauseReason::Deadline
        | PauseReason::RouteGone => false,
    }
}
