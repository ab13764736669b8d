//! How a run ends: all routes and status at once, none waiting for another, each retried until stored: stable
//! 100, canary 0, marked. Promotion is the other end: there the weights already are what they should be.

use std::sync::Arc;

use super::{
    decision::{Effect, Fence, NewEntry, Purpose, RouteWrite},
    observed::{ListSeen, Place, RouteSeen, RouteState, RouteView},
    turn::Turn,
    workloads::Readiness,
};
use crate::api::{EndReason, Ended, HistoryEntry, Phase, RolloutStatus, Target, Transition, units::Weight};

/// A pod of stable that becomes ready gives a turn; this is for one that was missed.
const STABLE_BACK: std::time::Duration = std::time::Duration::from_secs(30);

/// What an ended run still has to lower.
struct Left {
    /// Every route is.
    lowered: bool,
    /// The writes for those that are not and can be.
    writes: Vec<RouteWrite>,
    /// One can't be that could before.
    stuck_anew: bool,
}

impl Turn<'_> {
    /// Ends the run with everything back on stable.
    pub fn end(&mut self, reason: EndReason, message: &str) {
        let sentence = self.end_sentence(reason, message);
        self.close(reason, sentence.clone(), false);
        if let Some(step) = self.step_mut() {
            step.weight = Weight::ZERO;
        }
        self.announce(Transition::RolledBack, reason.fails_target(), reason.word(), sentence);
        self.go_on_lowering();
    }

    /// Ends the run with the canary as the new stable.
    pub fn promote(&mut self) {
        let Some((stable, canary)) = self.arms() else {
            return;
        };
        let sentence =
            format!("{} is live: it took 100% and passed; {} was stable before", canary.name, stable.name);
        self.close(EndReason::Promoted, sentence.clone(), true);
        self.announce(Transition::Promoted, false, EndReason::Promoted.word(), sentence);
        self.take_back_up(&canary);
        self.status.stable = Some(canary);
        self.status.restored.clear();
        self.forget_gates();
        // The record of it comes before anything that follows from it.
        self.intent = true;
        self.rest();
    }

    fn end_sentence(&self, reason: EndReason, message: &str) -> String {
        let at = self.traffic(self.step_index());
        match reason {
            EndReason::Failed | EndReason::GateRefused | EndReason::Inconclusive | EndReason::Deadline => {
                format!("Rolled back at {at}: {message}")
            }
            EndReason::Aborted
            | EndReason::Marked
            | EndReason::TargetChanged
            | EndReason::TargetReturned
            | EndReason::RevisionChanged
            | EndReason::RouteReplaced
            | EndReason::Deleted
            | EndReason::Promoted => format!("Run ended at {at}: {message}"),
        }
    }

    fn close(&mut self, reason: EndReason, message: String, settled: bool) {
        let at = self.now;
        let arms = self.arms();
        let Some(run) = self.run_mut() else { return };
        run.pause = None;
        run.ended = Some(Ended { reason, message: message.clone(), at, settled, left: false });
        let number = run.number;
        if let Some((stable, target)) = arms {
            let entry = HistoryEntry { run: number, target, stable, outcome: reason, message, at };
            self.status.history.insert(0, entry);
            self.status.history.truncate(RolloutStatus::HISTORY);
        }
    }

    /// Goes on with the lowering of an ended run until it is stored on every route.
    pub fn settle(&mut self) {
        self.refuse_requests("the run has ended; traffic is on its way back to stable");
        self.take_abort();
        self.go_on_lowering();
    }

    /// Lowers what is left; once nothing is, the run is over. That can be so from the first: a crash may have come
    /// after the routes and before the status.
    fn go_on_lowering(&mut self) {
        if self.lower() {
            if let Some(ended) = self.run_mut().and_then(|run| run.ended.as_mut()) {
                ended.settled = true;
            }
            self.intent = true;
            self.rest();
        }
    }

    /// Lowers every route that is not yet. Returns whether nothing was left to lower.
    fn lower(&mut self) -> bool {
        let Some(ended) = self.run().and_then(|run| run.ended.clone()) else {
            return true;
        };
        let Some((stable, canary)) = self.arms() else {
            return true;
        };
        let Left { lowered, writes, stuck_anew } = self.left_to_lower(&stable, &canary);
        self.say(Phase::RollingBack, ended.reason.word(), ended.message.clone());
        if !writes.is_empty()
            && let Some(why) = self.unready(&stable)
        {
            self.tell_unready(&ended.message, &why);
            return false;
        }
        let idle = writes.is_empty();
        self.effects.extend(writes.into_iter().map(Effect::Write));
        let done = !self.remove_previews() && lowered;
        self.tell_stuck(&ended.message, stuck_anew);
        if idle && !done {
            self.wake_in(std::time::Duration::from_secs(5));
        }
        idle && done
    }

    /// Looks at what is left to lower; why a route can't be is remembered until it is.
    fn left_to_lower(&mut self, stable: &Target, canary: &Target) -> Left {
        let mut left = Left { lowered: true, writes: Vec::new(), stuck_anew: false };
        for seen in self.run_routes() {
            if let Some(what) = seen.view().and_then(|view| view.gone.first()) {
                self.told.out_of_sync = Some(("RouteGone", format!("{}: {what}", seen.route)));
            }
            let route = seen.route.to_string();
            let stuck = match &seen.state {
                RouteState::Present(view)
                    if !self.is_anothers(seen, view) && !self.lowered(view, stable, canary) =>
                {
                    left.lowered = false;
                    left.writes.push(self.lowering(seen, view, stable, canary));
                    // What refused it is told until it is lowered: it would be told anew after each attempt otherwise.
                    continue;
                }
                RouteState::Unreadable(why) => Some(("Unreadable", format!("{route} can't be read: {why}"))),
                RouteState::Refused(why) => Some(("RouteRefused", why.clone())),
                RouteState::Present(_) | RouteState::Missing | RouteState::Unusable { .. } => None,
            };
            match stuck {
                Some(told) => {
                    left.lowered = false;
                    left.stuck_anew |= self.memory.stuck.insert(route, told).is_none();
                }
                None => drop(self.memory.stuck.remove(&route)),
            }
        }
        left
    }

    /// Why traffic can't go back to stable now.
    fn unready(&mut self, stable: &Target) -> Option<String> {
        match self.readiness(stable) {
            Readiness::NoReadyPod(why) => Some(why),
            Readiness::Absent(why) => {
                let sentence = format!("traffic goes back to {} although {why}", stable.name);
                self.told.besides.push(("WorkloadUnknown", "StableUnreadable", sentence));
                None
            }
            Readiness::Ready | Readiness::Unknown => None,
        }
    }

    fn tell_unready(&mut self, ended: &str, why: &str) {
        let sentence = format!("{}; not moved back yet, for {why}", unstopped(ended));
        if self.status.message.as_deref() != Some(&sentence) {
            self.tell(true, "StableNotReady", sentence.clone());
        }
        self.say(Phase::RollingBack, "StableNotReady", sentence);
        self.wake_in(STABLE_BACK);
    }

    /// Says of which routes the canary keeps its share, and why: whoever reads the status must not take the end of a run for
    /// the end of its traffic. An Event tells of each route once.
    fn tell_stuck(&mut self, ended: &str, anew: bool) {
        let stuck = &self.memory.stuck;
        let Some((reason, _)) = stuck.values().next().cloned() else { return };
        let whys: Vec<&str> = stuck.values().map(|(_, why)| why.as_str()).collect();
        let whys = whys.join("; ");
        let sentence = format!("{}; not moved back on every route yet: {whys}", unstopped(ended));
        if anew && self.status.message.as_deref() != Some(&sentence) {
            self.tell(true, reason, sentence.clone());
        }
        self.told.out_of_sync = Some((reason, whys));
        self.say(Phase::RollingBack, reason, sentence);
    }

    /// Whether a route carries the mark of this run, gives the canary nothing, no copies either, and stable something.
    fn lowered(&self, view: &RouteView, stable: &Target, canary: &Target) -> bool {
        let number = self.run().map_or(0, |run| run.number);
        let stamp = view.stamp_of(&self.seen.subject);
        let marked = stamp.is_some_and(|stamp| stamp.run == number && stamp.aborted);
        let back = |list: &ListSeen| list.weight(canary) == 0 && list.weight(stable) > 0;
        marked && view.lists.iter().all(|list| back(list) && self.mirrors_as_planned(list, canary, 0))
    }

    /// Stable 100, canary 0, marked. It does not test resourceVersion where our stamp can be tested instead: an
    /// unrelated write must not delay it.
    fn lowering(
        &self,
        seen: &RouteSeen,
        view: &Arc<RouteView>,
        stable: &Target,
        canary: &Target,
    ) -> RouteWrite {
        let mut write = self.back_on_stable(seen, view, stable, canary, Purpose::Lower);
        let step = view.stamp_of(&self.seen.subject).map_or(self.step_index(), |stamp| stamp.step);
        write.stamp = self.set_stamp(self.stamp(step, true, self.added(seen, view)));
        write
    }

    /// Stable 100, canary 0 and no mirror of ours on one route, stable's entry put back where somebody took it out.
    pub fn back_on_stable(
        &self,
        seen: &RouteSeen,
        view: &Arc<RouteView>,
        stable: &Target,
        canary: &Target,
        purpose: Purpose,
    ) -> RouteWrite {
        let ours = view.stamp_of(&self.seen.subject).is_some();
        let fence = if ours && purpose.lowers() { Fence::Stamp } else { Fence::Unchanged };
        let mut write = self.write(seen, view, purpose, fence);
        for (at, list) in view.placed() {
            let place = |entry| Place { list: at, entry };
            let home = list.index(stable);
            if let Some(index) = list.index(canary).filter(|index| Some(*index) != home) {
                write.weights.push((place(index), 0));
            }
            if let Some(index) = home {
                write.weights.push((place(index), 100));
            } else if let Some(noted) = self.noted(&seen.route, list) {
                let (like, name) = (noted.stable_entry.clone(), stable.name.clone());
                write.add.push(NewEntry { list: at, like, name, port: stable.port, weight: 100 });
            }
        }
        write.mirrors = self.mirror_changes(seen, view, canary, 0);
        write
    }
}

/// A sentence that goes on.
fn unstopped(sentence: &str) -> &str {
    sentence.trim_end_matches('.')
}
