//! The Rollout goes: routes are put on stable, our stamps go, the routes stay. The finalizer is held only during
//! runs, so that this is seen through; it never blocks for longer than the progress deadline.

use std::time::Duration;

use super::{
    decision::Effect,
    observed::RouteState,
    turn::{Readiness, Turn, since},
};
use crate::api::{EndReason, Ended, Phase};

impl Turn<'_> {
    /// One look at a Rollout that is being deleted.
    pub fn delete(&mut self) {
        if !self.seen.subject.finalizer {
            return self.say(Phase::RollingBack, "Deleted", "the Rollout is being deleted");
        }
        let Some((stable, canary)) = self.arms() else {
            self.effects.push(Effect::Release);
            return self.say(Phase::RollingBack, "Deleted", "nothing was rolled out");
        };
        let promoted =
            self.run().and_then(|run| run.ended.as_ref()).is_some_and(|e| e.reason == EndReason::Promoted);
        let mut writes = Vec::new();
        let mut blocked = Vec::new();
        for seen in self.run_routes() {
            match &seen.state {
                RouteState::Present(view) if view.stamp_of(&self.seen.subject).is_some() && !promoted => {
                    writes.push(self.release(seen, view, &stable, &canary));
                }
                RouteState::Present(view) if view.weight(&canary) > 0 && !promoted => {
                    writes.push(self.release(seen, view, &stable, &canary));
                }
                RouteState::Present(_) => {}
                RouteState::Missing => blocked.push(format!("{} is gone", seen.route)),
                RouteState::Unusable { message, .. } => blocked.push(format!("{}: {message}", seen.route)),
                RouteState::Unreadable(why) => {
                    blocked.push(format!("{} can't be written: {why}", seen.route));
                }
            }
        }
        if writes.is_empty() {
            return self.let_go(blocked);
        }
        if let Readiness::NoReadyPod(why) = self.readiness(&stable) {
            return self.hold_deletion(&why);
        }
        self.mark_deleted();
        self.effects.extend(writes.into_iter().map(Effect::Write));
        self.say(
            Phase::RollingBack,
            "Deleted",
            format!("the Rollout is being deleted; traffic goes back to {}", stable.name),
        );
    }

    /// The finalizer goes; what could not be put right is told.
    fn let_go(&mut self, blocked: Vec<String>) {
        for sentence in blocked {
            self.tell(true, "ReleasedAsItIs", format!("the Rollout is deleted although {sentence}"));
        }
        self.effects.push(Effect::Release);
        self.say(Phase::RollingBack, "Deleted", "the Rollout is being deleted; its routes are on stable");
    }

    /// No stable pod is ready: hold and alarm, but not for longer than the deadline.
    fn hold_deletion(&mut self, why: &str) {
        let began = *self.memory.deletion_held_at.get_or_insert(self.now);
        let deadline = self.run().map_or(Duration::ZERO, |run| run.progress_deadline.span());
        let waited = since(began, self.now);
        if waited >= deadline {
            return self.let_go(vec![format!("{why}; the routes are left as they are")]);
        }
        if waited.is_zero() {
            self.tell(
                true,
                "StableNotReady",
                format!("the Rollout is being deleted, but {why}: traffic is not moved back yet"),
            );
        }
        self.wake_in(deadline.saturating_sub(waited).min(Duration::from_secs(30)));
        self.say(Phase::RollingBack, "StableNotReady", format!("not moved back yet, for {why}"));
    }

    /// Sets the mark in status too, so that no one who reads it raises again.
    fn mark_deleted(&mut self) {
        let at = self.now;
        if let Some(run) = self.run_mut()
            && run.ended.is_none()
        {
            let message = "the Rollout is being deleted".to_owned();
            run.pause = None;
            run.ended = Some(Ended { reason: EndReason::Deleted, message, at, settled: false });
        }
    }
}
