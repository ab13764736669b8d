//! What receivers are to be told. It is kept in status with what it tells of, in the same write, until each receiver has
//! taken it: whoever goes on with the Rollout sends what is left.

use std::time::Duration;

use jiff::Timestamp;

use super::turn::{Turn, later};
use crate::api::{Notice, Phase, Transition};

/// So many wait at most; the oldest go first.
const MOST: usize = 16;
/// A receiver that has not taken a notice for so long is not told any more.
const PATIENCE: Duration = Duration::from_hours(24);

/// Something that receivers may want to know, before it is known which of them do.
pub(super) struct Announced {
    pub transition: Transition,
    pub reason: &'static str,
    pub message: String,
}

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
        self.announced.push(Announced { transition, reason, message: message.clone() });
        self.tell(warning, reason, message);
    }

    /// Brings the notices up to date: what was taken goes, what happened comes. Before the phase is told: what it was shows
    /// what is new.
    pub fn keep_notices(&mut self) {
        self.forget_taken();
        if self.told.phase == Some(Phase::Invalid) && self.status.phase != Some(Phase::Invalid) {
            let (reason, message) = (self.told.reason, self.told.message.clone());
            self.announced.push(Announced { transition: Transition::Invalid, reason, message });
        }
        for Announced { transition, reason, message } in std::mem::take(&mut self.announced) {
            let wants = self.seen.receivers.iter().filter(|(_, on)| on.contains(&transition));
            let to: Vec<String> = wants.map(|(name, _)| name.clone()).collect();
            if to.is_empty() {
                continue;
            }
            let run = self.run().map(|run| run.number);
            let step = run.map(|_| self.step_index());
            let id = id(run, transition, step, self.now);
            let reason = reason.to_owned();
            let notice = Notice { id, transition, run, step, reason, message, at: self.now, to };
            self.status.notices.push(notice);
        }
        let surplus = self.status.notices.len().saturating_sub(MOST);
        self.give_up(|at, _| at < surplus);
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

/// What no other notice of the Rollout is called: not even one of the same step tells of it at the same time.
fn id(run: Option<i64>, transition: Transition, step: Option<i32>, at: Timestamp) -> String {
    let (run, step) = (run.unwrap_or_default(), step.unwrap_or_default());
    format!("{run}-{step}-{}-{}", transition.word().to_lowercase(), at.as_millisecond())
}
