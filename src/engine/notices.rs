//! What receivers are to be told. It is kept in status with what it tells of, in the same write, until each receiver has
//! taken it: whoever goes on with the Rollout sends what is left.

use std::time::Duration;

use jiff::Timestamp;

use super::turn::{Turn, later};
use crate::api::{Notice, Phase, Transition};

/// So many wait at most; the oldest go first.
const MOST: usize = 16;
/// A receiver that has not taken a notice for so long is not told any more, nor tried.
pub const PATIENCE: Duration = Duration::from_hours(24);

impl Turn<'_> {
    /// Emits an Event, and tells the receivers that want to know of such.
    pub fn announce(
        &mut self,
        transition: Transition,
        warning: bool,
        reason: &'static str,
        message: impl Into<String>,
    ) {
        let message = message.into();
        self.note(transition, reason, message.clone());
        self.tell(warning, reason, message);
    }

    /// Keeps what is told for the receivers that want to know of such, about things as they are now.
    fn note(&mut self, transition: Transition, reason: &'static str, message: String) {
        let wants = self.seen.receivers.iter().filter(|(_, on)| on.contains(&transition));
        let to: Vec<String> = wants.map(|(name, _)| name.clone()).collect();
        if to.is_empty() {
            return;
        }
        let run = self.run().map(|run| run.number);
        let step = run.map(|_| self.step_index());
        let canary = self.status.canary.as_ref().filter(|_| run.is_some());
        let weight = self.status.step.as_ref().filter(|_| run.is_some());
        let notice = Notice {
            id: id(run, transition, step, self.now, self.announced.len()),
            transition,
            run,
            step,
            reason: reason.to_owned(),
            message,
            target: canary.map_or_else(|| self.spec.target.name.clone(), |canary| canary.name.clone()),
            stable: self.status.stable.as_ref().map(|stable| stable.name.clone()),
            weight: weight.map(|step| i64::from(step.weight.percent())),
            at: self.now,
            to,
        };
        self.announced.push(notice);
    }

    /// Brings the notices up to date: what was taken goes, what happened comes. Before the phase is told: what it was shows
    /// what is new.
    pub fn keep_notices(&mut self) {
        self.forget_taken();
        if let Some(transition) = self.stands_still() {
            let (reason, message) = (self.told.reason, self.told.message.clone());
            self.note(transition, reason, message);
        }
        let announced = std::mem::take(&mut self.announced);
        self.status.notices.extend(announced);
        let surplus = self.status.notices.len().saturating_sub(MOST);
        self.give_up(|at, _| at < surplus);
        if let Some(oldest) = self.status.notices.first() {
            self.wake_at(later(oldest.at, PATIENCE));
        }
    }

    /// What nobody has announced, and waits for somebody: it is Invalid, or held up outside of a pause, for another reason than
    /// before. What can't be read for a moment, as at a start, is not worth a notice.
    fn stands_still(&self) -> Option<Transition> {
        let paused = self.paused().is_some();
        let transition = match self.told.phase? {
            Phase::Invalid if self.told.reason != "RouteUnreadable" => Transition::Invalid,
            Phase::Paused if !paused && self.told.reason != "Drifted" => Transition::Paused,
            Phase::Invalid
            | Phase::Paused
            | Phase::Healthy
            | Phase::Progressing
            | Phase::RollingBack
            | Phase::Failed
            | Phase::Suspended => return None,
        };
        let ready = self.status.conditions.iter().find(|condition| condition.type_ == "Ready");
        let known = self.status.phase == self.told.phase
            && ready.is_some_and(|condition| condition.reason == self.told.reason);
        (!known).then_some(transition)
    }

    /// Forgets what was taken, whom nobody is to tell any more, and what nobody has taken for too long.
    fn forget_taken(&mut self) {
        for notice in &mut self.status.notices {
            let taken = |receiver: &String| {
                let by = (&notice.id, receiver);
                self.seen.taken_by.iter().any(|(id, receiver)| (id, receiver) == by)
            };
            notice.to.retain(|receiver| self.seen.receivers.contains_key(receiver) && !taken(receiver));
        }
        self.status.notices.retain(|notice| !notice.to.is_empty());
        let now = self.now;
        self.give_up(|_, notice| later(notice.at, PATIENCE) <= now);
    }

    /// Takes notices out that nobody will be told any more, and says so.
    fn give_up(&mut self, which: impl Fn(usize, &Notice) -> bool) {
        let mut at = 0;
        let mut lost = Vec::new();
        self.status.notices.retain(|notice| {
            let goes = which(at, notice);
            at += 1;
            if goes {
                lost.push(format!(
                    "{} could not be told to {}",
                    notice.transition.word(),
                    notice.to.join(", ")
                ));
            }
            !goes
        });
        for sentence in lost {
            self.tell(true, "NoticeLost", sentence);
        }
    }
}

/// What no other notice of the Rollout is called: `place` is its place among those of one decision.
fn id(run: Option<i64>, transition: Transition, step: Option<i32>, at: Timestamp, place: usize) -> String {
    let (run, step) = (run.unwrap_or_default(), step.unwrap_or_default());
    format!("{run}-{step}-{}-{}-{place}", transition.word().to_lowercase(), at.as_millisecond())
}
