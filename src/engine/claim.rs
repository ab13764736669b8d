//! Whose the routes are.
//!
//! A process that starts a run or takes an active one over raises the epoch by a conditional status write and then
//! stamps every route in the fixed order, weights untouched. Nothing is raised before all are stamped; lowering
//! waits for none of it.

use super::{
    decision::{Effect, Fence, NewEntry, Purpose, RouteWrite},
    memory::Aside,
    observed::{ListSeen, RouteSeen, RouteView},
    turn::{Turn, later, since},
};
use crate::api::{Phase, RolloutStatus, Stamp};
use std::{sync::Arc, time::Duration};

/// Another process is taken for dead when nothing was heard of it for so long.
const HEARD_OF: Duration = Duration::from_mins(3);

/// No Rollout comes to so many runs. A stamp with a greater number is not of our making, and a run counted on from it would soon
/// have no number left that is greater than the one before.
const GREATEST_RUN: i64 = 1_000_000_000;

/// How a process stands to the epoch.
pub(super) enum Claim {
    /// It holds it, and every route is stamped with it.
    Complete,
    /// It is on the way there.
    Underway,
    /// A route carries an epoch that no status ever had: nothing is raised.
    Forged,
    /// Another Rollout has claimed a route first: nothing is written until it lets go of it.
    Owned,
}

impl Turn<'_> {
    /// Our stamps, as far as routes can be read and carry one.
    fn stamps(&self) -> impl Iterator<Item = &Stamp> {
        self.seen.routes.iter().filter_map(|seen| seen.view()?.stamp_of(&self.seen.subject))
    }

    /// Whether an abort mark for the present run stands on any route.
    pub fn marked(&self) -> bool {
        let number = self.run().map_or(0, |run| run.number);
        self.stamps().any(|stamp| stamp.run == number && stamp.aborted)
    }

    /// The greatest run number in status or any stamp of ours that can be true.
    pub fn greatest_run(&self) -> i64 {
        let noted = self.run().map_or(0, |run| run.number);
        let told = self.stamps().map(|stamp| stamp.run).filter(|run| *run <= GREATEST_RUN);
        told.fold(noted, i64::max)
    }

    /// The greatest epoch in any stamp of ours.
    fn greatest_epoch(&self) -> i64 {
        self.stamps().map(|stamp| stamp.epoch).max().unwrap_or(0)
    }

    /// What there is to tell where a newer version of the controller keeps this Rollout. It knows more than can be read
    /// here, and what is not known would be dropped with the next write: so nothing is decided, a lowering neither.
    pub fn is_newer(&mut self) -> Option<Vec<Effect>> {
        let (theirs, ours) = (self.status.format, RolloutStatus::FORMAT);
        if theirs <= ours {
            self.memory.newer = false;
            return None;
        }
        if !std::mem::replace(&mut self.memory.newer, true) {
            let sentence = format!(
                "The status of this Rollout was written by a newer version of the controller (format {theirs}; this one \
                 knows {ours}): it and its routes are left as they are until that version runs again"
            );
            self.tell(true, "NewerStatus", sentence);
        }
        Some(std::mem::take(&mut self.effects))
    }

    /// Whether a route tells of an epoch that the status does not know. The Rollout's cache may be behind the one who
    /// stamped, and then everything decided from it, a lowering too, would be about what is long over: the API server is
    /// asked first. If it knows nothing of that epoch either, the stamp is forged.
    pub fn is_behind(&mut self) -> bool {
        let greatest = self.greatest_epoch();
        if greatest <= self.status.epoch || self.memory.forged == Some(greatest) {
            return false;
        }
        if self.seen.fresh {
            self.memory.forged = Some(greatest);
        }
        !self.seen.fresh
    }

    /// Whether a route that is to be claimed carries the stamp of a Rollout that is not listed. It may be gone, and its stamp
    /// binds nobody; or it was just made, and the list is of an API server that is behind: that is asked first. A UID that is
    /// gone never comes back.
    pub fn knows_not_whose(&mut self) -> bool {
        let unlisted: Vec<String> = self
            .seen
            .routes
            .iter()
            .filter_map(RouteSeen::view)
            .flat_map(|view| view.stamps_of_others(&self.seen.subject))
            .filter(|(name, _)| !self.seen.others.contains_key(*name))
            .filter_map(|(_, stamp)| Some(&stamp?.uid))
            .filter(|uid| !self.memory.gone.contains(*uid))
            .cloned()
            .collect();
        let under_way = self.run().is_some_and(|run| run.ended.is_none());
        if unlisted.is_empty() || under_way && self.unstamped().is_empty() {
            return false;
        }
        if self.seen.fresh {
            self.memory.gone.extend(unlisted);
        }
        !self.seen.fresh
    }

    /// Whether another process has taken this Rollout's run over. It tells people what there is to tell: two that both
    /// do would write over each other for ever. Where nothing is heard of it for a while it is taken for dead: as long as a
    /// run is judged, its evidence is saved each minute.
    pub fn is_deposed(&mut self) -> bool {
        let over = self.run().is_none_or(|run| run.ended.as_ref().is_some_and(|ended| ended.settled));
        let deposed = !over && self.memory.held.is_some_and(|held| held < self.status.epoch);
        if !deposed || self.seen.subject.deleting {
            self.memory.aside = None;
            return false;
        }
        let heard = match &self.memory.aside {
            Some(aside) if aside.stored == self.seen.stored => aside.since,
            Some(_) | None => self.now,
        };
        if since(heard, self.now) >= HEARD_OF {
            (self.memory.aside, self.memory.held) = (None, None);
            return false;
        }
        self.memory.aside = Some(Aside { stored: Arc::clone(&self.seen.stored), since: heard });
        self.wake_at(later(heard, HEARD_OF));
        true
    }

    /// Sees to it that this process holds the epoch and every route says so.
    pub fn claim(&mut self) -> Claim {
        let greatest = self.greatest_epoch();
        if greatest > self.status.epoch {
            let sentence = format!(
                "a route's stamp has epoch {greatest}, above the Rollout's own {}: it was not written by Tidegate; \
                 remove the annotation to go on",
                self.status.epoch
            );
            self.told.out_of_sync = Some(("ForgedStamp", sentence.clone()));
            self.say(Phase::Paused, "ForgedStamp", sentence);
            return Claim::Forged;
        }
        let owned = self.run_routes().into_iter().find_map(|seen| self.came_second(seen, seen.view()?));
        if let Some(owned) = owned {
            self.say(Phase::Paused, "RouteOwned", owned.sentence);
            return Claim::Owned;
        }
        if self.memory.held.is_none() {
            self.raise_epoch();
            return Claim::Underway;
        }
        let unstamped = self.unstamped();
        if unstamped.is_empty() {
            return Claim::Complete;
        }
        if unstamped.iter().any(|(_, view)| self.lost_stamp(view)) {
            // Somebody took our stamp away while we held the run: a new epoch, so that nothing that was sent
            // before can still land.
            self.raise_epoch();
            return Claim::Underway;
        }
        let claims: Vec<_> = unstamped.into_iter().map(|(seen, view)| self.claim_write(seen, view)).collect();
        self.effects.extend(claims.into_iter().map(Effect::Write));
        Claim::Underway
    }

    fn raise_epoch(&mut self) {
        self.status.epoch += 1;
        self.memory.held = Some(self.status.epoch);
        self.memory.forget_looks();
        self.intent = true;
        let claims: Vec<_> =
            self.unstamped().into_iter().map(|(seen, view)| self.claim_write(seen, view)).collect();
        self.effects.extend(claims.into_iter().map(Effect::Write));
    }

    fn unstamped(&self) -> Vec<(&RouteSeen, &Arc<RouteView>)> {
        let number = self.run().map_or(0, |run| run.number);
        let ours = |view: &RouteView| {
            let stamp = view.stamp_of(&self.seen.subject);
            stamp.is_some_and(|stamp| stamp.epoch == self.status.epoch && stamp.run == number)
        };
        let present = self.run_routes().into_iter().filter_map(|seen| Some((seen, seen.view()?)));
        present.filter(|(_, view)| !ours(view)).collect()
    }

    /// Whether a stamp was on this route under the present epoch and is gone: other than a claim that has not
    /// reached the route yet, the step has begun since.
    fn lost_stamp(&self, view: &RouteView) -> bool {
        let begun = self.status.step.as_ref().is_some_and(|step| step.stored_at.is_some());
        begun && view.stamp_of(&self.seen.subject).is_none()
    }

    /// The claim of one route. It leaves `step` as the route's own stamp has it, so that a crash between intent
    /// and route is not taken for drift; without a stamp it is the planned step whose weights the route shows.
    fn claim_write(&self, seen: &RouteSeen, view: &Arc<RouteView>) -> RouteWrite {
        let mut write = self.write(seen, view, Purpose::Claim, Fence::Unchanged);
        let Some((_, canary)) = self.arms() else {
            return write;
        };
        let number = self.run().map_or(0, |run| run.number);
        let stamp = view.stamp_of(&self.seen.subject).filter(|stamp| stamp.run == number);
        let mut added = self.added(seen, view);
        let listed = |key: &String, list: &ListSeen| list.entries.iter().any(|e| list.key(&e.name) == *key);
        added.retain(|key| view.lists.iter().any(|list| listed(key, list)));
        for (at, list) in view.placed().filter(|(_, list)| list.entry(&canary).is_none()) {
            if let Some(entry) = self.new_canary_entry(seen, (at, list), 0) {
                added.push(list.key(&entry.name));
                write.add.push(entry);
            }
        }
        let step = stamp.map_or_else(|| self.step_shown(view), |stamp| stamp.step);
        write.stamp = self.set_stamp(self.stamp(step, false, added));
        write
    }

    /// The canary's entry as a copy of stable's as it was found.
    pub fn new_canary_entry(
        &self,
        seen: &RouteSeen,
        (at, list): (usize, &ListSeen),
        weight: i64,
    ) -> Option<NewEntry> {
        let (_, canary) = self.arms()?;
        let like = self.noted(&seen.route, list)?.stable_entry.clone();
        Some(NewEntry { list: at, like, name: canary.name, port: canary.port, weight })
    }

    /// The planned step whose weights and mirrors a route shows, not above the intended one; 0 if none.
    fn step_shown(&self, view: &RouteView) -> i32 {
        let Some((_, canary)) = self.arms() else { return 0 };
        let shows = |step: i32| {
            let given = |list: &ListSeen| list.weight(&canary) == self.planned(step);
            view.lists.iter().all(|list| given(list) && self.mirrors_as_planned(list, &canary, step))
        };
        (1..=self.step_index()).rev().find(|step| shows(*step)).unwrap_or(0)
    }
}
