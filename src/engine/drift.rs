//! Weights that somebody else changed: people, GitOps tools.
//!
//! In a run a share that was raised goes back to ours at once, the third time with a pause; a share that was
//! lowered is left, and the run pauses. A raised share may only ever go down here, and a lowered one is never
//! raised without a person.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{
    decision::{Effect, Fence, Purpose, RouteWrite},
    observed::{ListSeen, Place, RouteSeen, RouteState, RouteView},
    turn::{CORRECTION_PAUSE, Turn, since},
    workloads::Readiness,
};
use crate::api::{PauseReason, Target, Transition};

/// How often a raised share is put back in a run before it pauses.
const CORRECTIONS: i32 = 3;

impl Turn<'_> {
    /// Looks at every route of the run for changes that are not ours.
    pub fn judge_drift(&mut self) {
        let Some((stable, canary)) = self.arms() else {
            return;
        };
        let mut gone = None;
        for seen in self.run_routes() {
            match &seen.state {
                RouteState::Missing => {
                    gone = Some(format!("{} does not exist any more; put it back, or abort", seen.route));
                }
                RouteState::Unusable { message, .. } => gone = Some(message.clone()),
                RouteState::Unreadable(why) | RouteState::Refused(why) => {
                    let sentence = format!("{} can't be stepped: {why}", seen.route);
                    self.told.out_of_sync = Some(("Unreadable", sentence));
                    self.wake_in(Duration::from_secs(5));
                }
                RouteState::Present(view) => {
                    if let Some(what) = view.gone.first() {
                        gone = Some(format!("{}: {what}; put it back, or abort", seen.route));
                    }
                    self.judge_route(seen, view, &stable, &canary);
                }
            }
        }
        match gone {
            Some(sentence) => {
                self.told.out_of_sync = Some(("RouteGone", sentence.clone()));
                self.obstruct(PauseReason::RouteGone, sentence);
            }
            None => self.lift(PauseReason::RouteGone),
        }
    }

    /// Notes that the canary has another share than the step's, even where nothing may be done about it: harm that is
    /// seen then is harm, but no good word is one about the step.
    pub fn note_displaced(&mut self) {
        let stored = self.status.step.as_ref().is_some_and(|step| step.stored_at.is_some());
        self.memory.displaced |= stored && self.is_displaced();
    }

    fn judge_route(&mut self, seen: &RouteSeen, view: &Arc<RouteView>, stable: &Target, canary: &Target) {
        let step = view.stamp_of(&self.seen.subject).map_or(0, |stamp| stamp.step);
        // Until the step has begun, a route may still show what it had before.
        let last = if self.begun() { self.step_index() } else { step.min(self.step_index()) };
        let (intended, ours) = (self.planned(self.step_index()), self.planned(last));
        let mut raised = Vec::new();
        for (at, list) in view.placed() {
            let Some(entry) = list.entry(stable) else {
                self.stable_entry_gone(seen, list);
                continue;
            };
            let (share, rest, total) = (list.weight(canary), entry.weight, list.total());
            let strange = self.judge_strangers(seen, view, list, (stable, canary));
            let whole = |share: i64| total > 0 && rest + share == total;
            let in_place = |wanted: i64| {
                share == wanted && whole(share) && (rest + share == 100 || (wanted == 0 && rest > 0))
            };
            let mirrors = |step: i32| self.mirrors_as_planned(list, canary, step);
            if (in_place(ours) && mirrors(last)) || (in_place(intended) && mirrors(self.step_index())) {
                self.memory.correcting.remove(&list.of(&seen.route));
                continue;
            }
            if in_place(ours) || in_place(intended) {
                self.mirror_drifted(seen, view, list, canary, last);
                continue;
            }
            // The canary's part of the whole, against ours: cross-multiplied, no rounding.
            if share * 100 > ours * total.max(1) && share > 0 {
                raised.push(at);
            } else if !strange && !self.restoring() {
                let sentence = format!(
                    "{}: {} set the canary to {share} of {total}, where {ours}% is ours; it is left so until resume. {}",
                    list.of(&seen.route),
                    writer(view),
                    remedy(view)
                );
                self.told.out_of_sync = Some(("Drifted", sentence.clone()));
                self.obstruct(PauseReason::Drifted, sentence);
            }
        }
        if !raised.is_empty() {
            self.put_back(seen, view, &raised, (stable, canary), ours, step);
        }
    }

    /// Pauses where a list gives weight to anybody else. Returns whether it does.
    fn judge_strangers(
        &mut self,
        seen: &RouteSeen,
        view: &RouteView,
        list: &ListSeen,
        (stable, canary): (&Target, &Target),
    ) -> bool {
        let Some(stranger) = list.stranger(stable, canary) else { return false };
        let (place, name, writer) = (list.of(&seen.route), &stranger.name, writer(view));
        let what = if list.lone {
            format!(
                "{place}: {writer} set its target to {name}; set it to {}, which is stable",
                view.name_of(&stable.name)
            )
        } else {
            format!("{place}: {name} got weight {} from {writer}; take it out", stranger.weight)
        };
        let sentence = format!("{what}, then resume. {}", remedy(view));
        self.told.out_of_sync = Some(("Drifted", sentence.clone()));
        self.obstruct(PauseReason::Drifted, sentence);
        true
    }

    /// Pauses for something that stands in the way now, and sees to it that nothing is raised over it, even where
    /// the run is paused for something else that a person is just lifting.
    pub fn obstruct(&mut self, reason: PauseReason, sentence: String) {
        self.obstacle = Some(sentence.clone());
        self.pause(reason, sentence);
    }

    fn stable_entry_gone(&mut self, seen: &RouteSeen, list: &ListSeen) {
        let noted = self.noted(&seen.route, list);
        let entry = noted.map(|r| r.stable_entry.0.to_string()).unwrap_or_default();
        let sentence =
            format!("{}: stable's entry was taken out; put it back: {entry}", list.of(&seen.route));
        if self.told.out_of_sync.is_none() {
            self.told.out_of_sync = Some(("StableEntryGone", sentence.clone()));
        }
        self.obstruct(PauseReason::Drifted, sentence);
    }

    /// Takes raised shares of one route back to ours.
    fn put_back(
        &mut self,
        seen: &RouteSeen,
        view: &Arc<RouteView>,
        raised: &[usize],
        (stable, canary): (&Target, &Target),
        ours: i64,
        step: i32,
    ) {
        let paused = self.paused() == Some(PauseReason::Drifted);
        let last = self.run().and_then(|run| run.corrected_at).filter(|_| paused);
        let (mut told, mut news) = (None, false);
        let mut write = self.write(seen, view, Purpose::Correct, Fence::Unchanged);
        for (at, list) in view.placed().filter(|(at, _)| raised.contains(at)) {
            let share = list.weight(canary);
            let sentence = format!(
                "{}: {} raised the canary to {share}, which goes back to {ours}. {}",
                list.of(&seen.route),
                writer(view),
                remedy(view)
            );
            told = told.or(Some(sentence));
            let Some(new) = self.correct_now(&list.of(&seen.route), share, last) else { continue };
            news |= new;
            for (target, weight) in [(canary, ours), (stable, 100 - ours)] {
                if let Some(entry) = list.index(target) {
                    write.weights.push((Place { list: at, entry }, weight));
                }
            }
        }
        let Some(sentence) = told else { return };
        self.told.out_of_sync = Some(("Drifted", sentence.clone()));
        if write.weights.is_empty() {
            return;
        }
        let now = self.now;
        write.stamp = self.set_stamp(self.stamp(step, false, self.added(seen, view)));
        let Some(run) = self.run_mut() else { return };
        if news {
            run.corrections += 1;
        }
        run.corrected_at = Some(now);
        let insisting = run.corrections >= CORRECTIONS;
        self.effects.push(Effect::Write(write));
        if news {
            self.announce(Transition::Drifted, true, "Drifted", sentence.clone());
        }
        if insisting {
            self.pause(PauseReason::Drifted, sentence);
        }
    }

    /// Whether a share is to be corrected now, and whether that is a new incident: `last` is when one was corrected
    /// before, where only one a minute may be. A correction that did not land is sent again at once.
    pub fn correct_now(&mut self, place: &str, share: i64, last: Option<Timestamp>) -> Option<bool> {
        if self.memory.correcting.get(place) == Some(&share) {
            return Some(false);
        }
        let waited = last.map_or(CORRECTION_PAUSE, |last| since(last, self.now));
        if waited < CORRECTION_PAUSE {
            self.wake_in(CORRECTION_PAUSE.saturating_sub(waited));
            return None;
        }
        self.memory.correcting.insert(place.to_owned(), share);
        Some(true)
    }

    /// The step's weight was seen in effect: from then on every route must show it.
    pub fn begun(&self) -> bool {
        self.status.step.as_ref().is_some_and(|step| step.since.is_some())
    }

    /// A person resumed a drifted run: lowered shares are to be raised to ours again.
    pub fn restoring(&self) -> bool {
        self.status.step.as_ref().is_some_and(|step| step.restoring)
    }

    /// Restores stable 100 outside a run, where the rules allow it. Returns the sentence that tells of it.
    pub fn restore_stable(&mut self, stable: &Target) -> Option<String> {
        let off = |seen: &&RouteSeen| seen.view().is_some_and(|view| !view.all_on(stable));
        let named = |seen: &&RouteSeen| self.spec.routes.iter().any(|r| r.same(&seen.route));
        let drifted: Vec<&RouteSeen> = self.seen.routes.iter().filter(named).filter(off).collect();
        let Some(first) = drifted.first().and_then(|seen| Some((seen.route.clone(), seen.view()?))) else {
            self.memory.correcting.clear();
            return None;
        };
        let (route, view) = first;
        if let Some(seen) =
            drifted.iter().find(|seen| seen.view().is_some_and(|view| !view.lists_everywhere(stable)))
        {
            return Some(format!(
                "{}: the entry of {}, which is stable, was taken out; put it back with weight 100",
                seen.route, stable.name
            ));
        }
        let day = Duration::from_hours(24);
        let now = self.now;
        self.status.restored.retain(|at| since(*at, now) < day);
        let underway = self.memory.correcting.contains_key(&route.to_string());
        let allowed = if underway { self.stable_ready(stable) } else { self.may_restore(stable, view) };
        let what = format!("{route}: {} changed the weights, and {} has not all", writer(view), stable.name);
        let what_then = match &allowed {
            Ok(()) => "stable 100 is put back".to_owned(),
            Err(why) => format!("they are left, for {why}"),
        };
        let sentence = format!("{what}; {what_then}. {}", remedy(view));
        if allowed.is_ok() {
            let weight = view.lists.iter().map(|list| list.weight(stable)).min().unwrap_or(0);
            let known = self.memory.correcting.insert(route.to_string(), weight).is_some();
            for seen in &drifted {
                if let Some(view) = seen.view() {
                    let write = self.restoration(seen, view, stable);
                    self.effects.push(Effect::Write(write));
                }
            }
            if !known {
                self.status.restored.push(now);
                self.status.restored.truncate(3);
                self.announce(Transition::Drifted, true, "Drifted", sentence.clone());
            }
        }
        if self.status.restored.len() >= 3
            && let Some(first) = self.status.restored.first()
        {
            self.wake_at(super::turn::later(*first, day));
        }
        Some(sentence)
    }

    /// Whether stable may be given traffic, else why not.
    pub fn stable_ready(&self, stable: &Target) -> Result<(), String> {
        match self.readiness(stable) {
            Readiness::NoReadyPod(why) | Readiness::Absent(why) => Err(why),
            Readiness::Ready | Readiness::Unknown => Ok(()),
        }
    }

    fn may_restore(&self, stable: &Target, view: &RouteView) -> Result<(), String> {
        self.stable_ready(stable)?;
        if self.status.restored.len() < 3 {
            return Ok(());
        }
        let dead = |entry: &&super::observed::EntrySeen| {
            let target = Target { name: entry.name.clone(), port: entry.port, ..Target::default() };
            !entry.is(stable) && matches!(self.readiness(&target), Readiness::NoReadyPod(_))
        };
        let entries = view.lists.iter().filter(|list| !list.all_on(stable)).flat_map(|list| &list.entries);
        let holders: Vec<_> = entries.filter(|entry| entry.weight > 0 && !entry.is(stable)).collect();
        if !holders.is_empty() && holders.iter().all(dead) {
            return Ok(());
        }
        Err("that was done three times in 24 hours; resume to have it done once more".into())
    }

    fn restoration(&self, seen: &RouteSeen, view: &Arc<RouteView>, stable: &Target) -> RouteWrite {
        let mut write = self.write(seen, view, Purpose::Correct, Fence::Unchanged);
        for (at, list) in view.placed() {
            for (index, entry) in list.entries.iter().enumerate() {
                let weight = if entry.is(stable) { 100 } else { 0 };
                if entry.weight != weight {
                    write.weights.push((Place { list: at, entry: index }, weight));
                }
            }
        }
        write
    }
}

/// Who wrote the weights, for a sentence.
pub(super) fn writer(view: &RouteView) -> String {
    view.writer.clone().unwrap_or_else(|| "somebody".to_owned())
}

/// What keeps that writer from doing it again to the weights.
pub(super) fn remedy(view: &RouteView) -> String {
    let list = view.lists.first().map(|list| list.path.as_str()).unwrap_or_default();
    remedy_at(view.writer.as_deref(), list)
}

/// What keeps a writer from doing it again to the list at a pointer.
pub(super) fn remedy_at(writer: Option<&str>, list: &str) -> String {
    match writer {
        Some("kustomize-controller") => {
            format!("Let Flux ignore it: spec.ignore of the Kustomization with the path {list}")
        }
        Some(manager) if manager.starts_with("argocd") => format!(
            "Let Argo CD ignore it: ignoreDifferences with {} and RespectIgnoreDifferences=true",
            jq_path(list)
        ),
        Some(manager) if manager.starts_with("helm") => {
            format!("Keep {list} out of the chart's changes while a run is active")
        }
        Some(_) | None => "For work by hand set spec.suspend: true".to_owned(),
    }
}

/// A JSON pointer as the jq path that Argo CD's ignore rules take.
fn jq_path(pointer: &str) -> String {
    let segment = |s: &str| {
        if s.parse::<usize>().is_ok() { "[]".to_owned() } else { format!(".{s}") }
    };
    pointer.split('/').skip(1).map(segment).collect()
}

#[cfg(test)]
mod tests {
    use super::jq_path;

    #[test]
    fn pointers_as_jq_paths() {
        assert_eq!(
            jq_path("/spec/routeSpec/httpRoute/action/targets"),
            ".spec.routeSpec.httpRoute.action.targets"
        );
        assert_eq!(jq_path("/spec/rules/0/backendRefs"), ".spec.rules[].backendRefs");
    }
}
