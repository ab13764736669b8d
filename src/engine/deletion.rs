//! The Rollout goes: routes are put on stable, our stamps go, the routes stay. The finalizer is held only during
//! runs, so that this is seen through; it never blocks for longer than the progress deadline.

use std::time::Duration;

use super::{
    decision::Effect,
    observed::{PreviewSeen, RouteSeen, RouteState},
    turn::{Turn, since},
    workloads::Readiness,
};
use crate::api::{EndReason, Ended, Phase, Transition};

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
        let ended = self.run().and_then(|run| run.ended.as_ref());
        let promoted = ended.is_some_and(|ended| ended.reason == EndReason::Promoted);
        let (mut writes, mut blocked, mut unread) = (Vec::new(), Vec::new(), None);
        let noted = |seen: &&RouteSeen| self.status.routes.iter().any(|noted| noted.route.same(&seen.route));
        for seen in self.seen.routes.iter().filter(noted) {
            match &seen.state {
                RouteState::Present(view) if self.is_anothers(seen, view) => {}
                RouteState::Present(view) => {
                    let ours =
                        view.stamp_of(&self.seen.subject).is_some() || self.gives_or_copies(view, &canary);
                    if ours && !promoted {
                        writes.push(self.release(seen, view, &stable, &canary));
                    }
                }
                RouteState::Missing => blocked.push(format!("{} is gone", seen.route)),
                RouteState::Unusable { message, .. } => blocked.push(format!("{}: {message}", seen.route)),
                RouteState::Refused(why) => blocked.push(why.clone()),
                RouteState::Unreadable(why) => unread = Some(format!("{} can't be read: {why}", seen.route)),
            }
        }
        if writes.is_empty() {
            return match unread {
                Some(why) => self.hold_deletion(&why),
                None => self.let_go(blocked),
            };
        }
        if let Readiness::NoReadyPod(why) = self.readiness(&stable) {
            return self.hold_deletion(&why);
        }
        self.mark_deleted("the Rollout is being deleted".to_owned());
        self.effects.extend(writes.into_iter().map(Effect::Write));
        self.remove_previews();
        self.say(
            Phase::RollingBack,
            "Deleted",
            format!("the Rollout is being deleted; traffic goes back to {}", stable.name),
        );
    }

    /// The finalizer goes; what could not be put right is told.
    fn let_go(&mut self, blocked: Vec<String>) {
        let held = |preview: &PreviewSeen| match &preview.seen.state {
            RouteState::Refused(_) => true,
            RouteState::Present(view) => view.deleting,
            RouteState::Missing | RouteState::Unusable { .. } | RouteState::Unreadable(_) => false,
        };
        // One that can't be deleted now goes with the Rollout, which is its owner.
        if self.remove_previews() && !self.seen.previews.iter().any(held) {
            return self.say(
                Phase::RollingBack,
                "Deleted",
                "the Rollout is being deleted; its preview goes first",
            );
        }
        let sentence = blocked.first().map_or_else(
            || "the Rollout is being deleted".to_owned(),
            |sentence| format!("the Rollout is deleted although {sentence}"),
        );
        self.mark_deleted(sentence);
        for sentence in blocked {
            self.tell(true, "ReleasedAsItIs", format!("the Rollout is deleted although {sentence}"));
        }
        self.effects.push(Effect::Release);
        self.say(Phase::RollingBack, "Deleted", "the Rollout is being deleted; its routes are on stable");
    }

    /// Traffic can't be moved back now: hold and alarm, but not for longer than the deadline.
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
        self.say(Phase::RollingBack, "DeletionHeld", format!("not moved back yet, for {why}"));
    }

    /// Sets the mark in status too, so that no one who reads it raises again.
    fn mark_deleted(&mut self, message: String) {
        let at = self.now;
        if let Some(run) = self.run_mut()
            && run.ended.is_none()
        {
            run.pause = None;
            run.ended = Some(Ended {
                reason: EndReason::Deleted,
                message: message.clone(),
                at,
                settled: false,
                left: false,
            });
            self.announce(Transition::RolledBack, false, EndReason::Deleted.word(), message);
        }
    }
}
