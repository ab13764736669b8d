//! The progress deadline: a run that makes no step forward for too long goes back, or waits for a person.

use std::time::Duration;

use kube::core::Duration as Elapsed;

use super::{
    judge::Opinions,
    turn::{Turn, later, since},
};
use crate::api::{EndReason, OnDeadline, PauseReason};

impl Turn<'_> {
    /// Counts the time without a step forward, where it counts.
    pub fn count_towards_deadline(&mut self, opinions: &Opinions) {
        let passed = self.counting_since.map_or(Duration::ZERO, |then| since(then, self.now));
        self.memory.counting_since = Some(self.now);
        let exempt = opinions.stable_sick
            || opinions.error()
            || self.paused().is_some()
            || self.held_by_gates.is_some();
        let now = self.now;
        let Some(run) = self.run_mut() else { return };
        let so_far = Duration::from(run.without_progress);
        let total = if exempt { so_far } else { so_far + passed };
        run.without_progress = Elapsed::from(total);
        let left = run.progress_deadline.span().saturating_sub(total);
        if !exempt {
            self.wake_at(later(now, left));
        }
    }

    pub fn deadline_over(&mut self) -> bool {
        let Some(run) = self.run() else { return false };
        let over = Duration::from(run.without_progress) >= run.progress_deadline.span();
        if !over || run.pause.is_some() {
            return false;
        }
        let why = self.status.message.clone().unwrap_or_default();
        let sentence = format!("no step forward for {}; last: {why}", run.progress_deadline);
        match run.on_deadline {
            OnDeadline::Rollback => {
                self.end(EndReason::Deadline, &sentence);
                true
            }
            OnDeadline::Pause => {
                self.pause(PauseReason::Deadline, sentence);
                false
            }
        }
    }
}
