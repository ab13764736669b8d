//! What people ask by the two annotations: taken once, accepted or refused with the reason. A request names the
//! run and step that the person saw; anything else is refused.

use kube::core::Duration as Elapsed;

use super::turn::Turn;
use crate::api::{Abort, LastRequest, PauseReason, Request, RequestAction, RequestOutcome, fnv1a};

/// How many ids are remembered.
const REMEMBERED: usize = 100;

impl Turn<'_> {
    /// An abort of the present run that has not been taken yet.
    pub fn take_abort(&mut self) -> Option<Abort> {
        let text = self.seen.subject.abort.as_ref()?;
        let abort = match Abort::parse(text) {
            Ok(abort) => abort,
            Err(error) => {
                self.answer(&digest(text), None, None, Err(error.to_string()));
                return None;
            }
        };
        let active = self.run().filter(|run| run.ended.is_none()).map(|run| run.number);
        if self.taken(&abort.id()) {
            return None;
        }
        let verdict = match active {
            Some(number) if number == abort.run => Ok(format!("run {number} is ended")),
            Some(number) => Err(format!("it names run {}, but run {number} is active", abort.run)),
            None => Err("no run is active".to_owned()),
        };
        let accepted = verdict.is_ok();
        self.answer(&abort.id(), Some(RequestAction::Abort), Some(abort.by.clone()), verdict);
        accepted.then_some(abort)
    }

    /// A request for the present run that has not been taken yet and is acceptable.
    pub fn take_request(&mut self) -> Option<Request> {
        let request = self.unread_request()?;
        let verdict = self.acceptable(&request);
        let accepted = verdict.is_ok();
        self.answer(&request.id, Some(request.action), Some(request.by.clone()), verdict);
        accepted.then_some(request)
    }

    /// Refuses whatever is asked while nothing of it may be done: who asks waits for an answer.
    pub fn refuse_requests(&mut self, why: &str) {
        if let Some(request) = self.unread_request() {
            self.answer(&request.id, Some(request.action), Some(request.by), Err(why.to_owned()));
        }
    }

    /// Takes a request between runs: `retry` of a failed target, `resume` of drift.
    pub fn take_request_at_rest(&mut self, failed: bool) -> Option<RequestAction> {
        self.take_abort();
        let request = self.unread_request()?;
        let number = self.run().map_or(0, |run| run.number);
        let verdict = match request.action {
            _ if request.run != number => {
                Err(format!("it names run {}, but the last run is {number}", request.run))
            }
            // Whatever is asked would be forgotten by the time that it may be done.
            _ if self.spec.suspend => Err("spec.suspend is true: nothing is written to any route".to_owned()),
            RequestAction::Retry if failed => Ok("the target is tried again, from 0".to_owned()),
            RequestAction::Retry => Err("no run of this target has failed".to_owned()),
            RequestAction::Resume => Ok("where weights have drifted, they are restored once more".to_owned()),
            RequestAction::Promote
            | RequestAction::PromoteFull
            | RequestAction::Pause
            | RequestAction::Abort => Err("no run is active".to_owned()),
        };
        let accepted = verdict.is_ok();
        self.answer(&request.id, Some(request.action), Some(request.by), verdict);
        accepted.then_some(request.action)
    }

    fn unread_request(&mut self) -> Option<Request> {
        let text = self.seen.subject.request.as_ref()?;
        match Request::parse(text) {
            Ok(request) => (!self.taken(&request.id)).then_some(request),
            Err(error) => {
                self.answer(&digest(text), None, None, Err(error.to_string()));
                None
            }
        }
    }

    fn taken(&self, id: &str) -> bool {
        self.status.taken.iter().any(|taken| taken == id)
    }

    fn answer(
        &mut self,
        id: &str,
        action: Option<RequestAction>,
        by: Option<String>,
        verdict: Result<String, String>,
    ) {
        if self.taken(id) {
            return;
        }
        let (outcome, message) = match verdict {
            Ok(message) => (RequestOutcome::Accepted, message),
            Err(message) => (RequestOutcome::Refused, message),
        };
        let refused = outcome == RequestOutcome::Refused;
        let word = action.map_or("request", RequestAction::word);
        let told = if refused { format!("{word} refused: {message}") } else { format!("{word}: {message}") };
        let at = self.now;
        self.status.last_request = Some(LastRequest { id: id.to_owned(), action, by, outcome, message, at });
        self.status.taken.push(id.to_owned());
        let surplus = self.status.taken.len().saturating_sub(REMEMBERED);
        self.status.taken.drain(..surplus);
        let ends_the_run = action == Some(RequestAction::Abort) && !refused;
        // The end that it brings has an Event of its own, with the same words.
        if !ends_the_run {
            self.tell(refused, if refused { "RequestRefused" } else { "RequestAccepted" }, told);
        }
    }

    fn acceptable(&self, request: &Request) -> Result<String, String> {
        let number = self.run().map_or(0, |run| run.number);
        let index = self.step_index();
        if request.run != number {
            return Err(format!("it names run {}, but run {number} is active", request.run));
        }
        if request.step != index {
            return Err(format!("it names step {}, but the run is at step {index}", request.step));
        }
        match (request.action, self.paused()) {
            (RequestAction::Promote | RequestAction::PromoteFull, Some(PauseReason::Drifted)) => {
                Err("the run is paused because somebody else changes the weights; resume first".to_owned())
            }
            (RequestAction::Promote | RequestAction::PromoteFull, Some(PauseReason::RouteGone)) => {
                Err("a route is gone; put it back first".to_owned())
            }
            (RequestAction::Promote, _) if self.waits_before(index + 1) => {
                Ok(format!("step {} is entered whatever its gates say", index + 1))
            }
            (RequestAction::Promote, _) if index == 0 => Err("no step has begun yet".to_owned()),
            (RequestAction::Promote, _) => Ok(format!("step {index} is ended")),
            (RequestAction::PromoteFull, _) => Ok("straight to 100".to_owned()),
            (RequestAction::Pause, Some(reason)) if reason.needs_a_person() => Err(format!(
                "the run is paused already ({}), and goes on only when somebody says so",
                reason.word()
            )),
            (RequestAction::Pause, _) => Ok("paused until resume".to_owned()),
            (RequestAction::Resume, None) => Err("the run is not paused".to_owned()),
            (RequestAction::Resume, Some(PauseReason::Approval)) => {
                Err("the step waits for approval: promote, or abort".to_owned())
            }
            (RequestAction::Resume, Some(_)) => Ok("the run goes on".to_owned()),
            (RequestAction::Retry, _) => Err("a run is active".to_owned()),
            (RequestAction::Abort, _) => {
                Err("an abort has an annotation of its own, tidegate.dev/abort".to_owned())
            }
        }
    }

    /// Does what an accepted request asks.
    pub fn follow(&mut self, request: &Request) {
        let paused = self.paused();
        // What it lifts is looked at anew, at once.
        self.wake_at(self.now);
        match request.action {
            RequestAction::Promote => {
                self.unpause();
                let gates_passed = self.waits_before(self.step_index() + 1);
                if let Some(step) = self.step_mut() {
                    step.promoted = true;
                    step.gates_passed = gates_passed;
                }
            }
            RequestAction::PromoteFull => {
                self.unpause();
                if let Some(run) = self.run_mut() {
                    run.promote_full = true;
                }
            }
            RequestAction::Pause => {
                let sentence = format!("paused by {}; resume to go on", request.by);
                self.pause(PauseReason::Requested, sentence);
            }
            RequestAction::Resume => {
                self.unpause();
                match paused {
                    Some(PauseReason::Drifted | PauseReason::RouteGone) => self.restore_step(),
                    Some(PauseReason::Inconclusive | PauseReason::Deadline) => self.start_step_clock_anew(),
                    Some(PauseReason::Requested | PauseReason::Approval | PauseReason::MetricError)
                    | None => {}
                }
                if let Some(run) = self.run_mut() {
                    run.without_progress = Elapsed::from(std::time::Duration::ZERO);
                }
            }
            RequestAction::Retry | RequestAction::Abort => {}
        }
    }

    fn unpause(&mut self) {
        if let Some(run) = self.run_mut() {
            run.pause = None;
        }
    }

    fn restore_step(&mut self) {
        if let Some(step) = self.step_mut() {
            step.restoring = true;
            step.since = None;
        }
        if let Some(run) = self.run_mut() {
            run.corrections = 0;
        }
    }

    fn start_step_clock_anew(&mut self) {
        if let Some(step) = self.step_mut() {
            step.elapsed = Elapsed::from(std::time::Duration::ZERO);
        }
    }
}

/// An id for a text that can't be read, so that the same text is answered once.
fn digest(text: &str) -> String {
    format!("unreadable-{:016x}", fnv1a(text))
}
