//! Between runs: healthy or failed, drift put right, entries of retired versions taken out, and the next run
//! started when the spec wants another target.

use std::sync::Arc;

use super::{
    decision::{Effect, Fence, Purpose, RouteWrite},
    observed::{ListSeen, Place, PreviewSeen, RouteSeen, RouteState, RouteView},
    plan,
    turn::{Turn, entry_name},
};
use crate::api::{Phase, RawEntry, RequestAction, RouteRef, Target, Transition};

impl Turn<'_> {
    /// What there is to do while no run is active.
    pub fn rest(&mut self) {
        if let Some(sentence) = plan::refuse(self.spec) {
            return self.say(Phase::Invalid, "InvalidSpec", sentence);
        }
        let failed = self.target_failed();
        let asked = self.take_request_at_rest(failed);
        if self.spec.suspend {
            let sentence = "spec.suspend is true: nothing is written to any route";
            return self.say(Phase::Suspended, "Suspended", sentence);
        }
        let Some(stable) = self.status.stable.clone() else {
            return self.adopt();
        };
        if asked == Some(RequestAction::Resume) {
            self.status.restored.clear();
            self.memory.corrected_at = None;
        }
        self.release_left_routes();
        self.remove_previews();
        self.retire_entries(&stable);
        self.retire_workloads(failed);
        let wanted = self.wanted();
        if self.one_entry(&wanted, &stable) {
            if let Some(sentence) = self.renamed(&wanted, &stable) {
                return self.say(Phase::Invalid, "NameChanged", sentence);
            }
            self.status.stable = Some(Target { hash: stable.hash.clone(), ..wanted.clone() });
            self.healthy(&stable, &wanted);
        } else if failed && asked != Some(RequestAction::Retry) {
            self.stay_failed(&stable);
        } else {
            self.start(None);
        }
    }

    /// Where the spec calls what is live otherwise than the route does: followed, it would take all traffic to what was never
    /// judged.
    fn renamed(&self, wanted: &Target, stable: &Target) -> Option<String> {
        self.spec_routes().into_iter().find_map(|seen| {
            let (there, says) = (seen.view()?.name_of(&stable.name), wanted.name_on(&seen.route));
            (wanted.name == stable.name && there != says).then(|| {
                format!(
                    "spec.routes: target of {} is {says}, but {}, which is live, is called {there} there; put that back, or \
                     change spec.target.name with it",
                    seen.route, stable.name
                )
            })
        })
    }

    /// Whether both are one target: by name and port, or because every route resolves them to the same entry.
    fn one_entry(&self, wanted: &Target, stable: &Target) -> bool {
        let one = |list: &ListSeen| list.index(wanted).is_some() && list.index(wanted) == list.index(stable);
        let place = |view: &Arc<RouteView>| view.lists.iter().all(one);
        let mut views = self.spec_routes().into_iter().filter_map(|seen| seen.view()).peekable();
        wanted.same_entry(stable) || (views.peek().is_some() && views.all(place))
    }

    /// Whether the last run failed for the very target that the spec names, and has named since.
    fn target_failed(&self) -> bool {
        let ended = self.run().and_then(|run| run.ended.as_ref());
        let failed = ended.is_some_and(|ended| ended.reason.fails_target() && !ended.left);
        failed && self.status.canary.as_ref().is_some_and(|canary| canary.same_entry(&self.wanted()))
    }

    /// The guard of a run goes with the run.
    fn unguard(&mut self) {
        if self.seen.subject.finalizer {
            self.effects.push(Effect::Release);
        }
    }

    fn healthy(&mut self, stable: &Target, wanted: &Target) {
        self.unguard();
        if let Some(ended) = self.run_mut().and_then(|run| run.ended.as_mut()) {
            ended.left |= ended.reason.fails_target();
        }
        if let Some(stable) = &mut self.status.stable {
            stable.workload_ref.clone_from(&wanted.workload_ref);
            if stable.hash.is_none() {
                stable.hash.clone_from(&wanted.hash);
            }
        }
        if let (Some(then), Some(now)) = (&stable.hash, &wanted.hash)
            && then != now
        {
            let sentence = format!(
                "the pod template of {} changed while it is stable; the new one was never judged",
                stable.name
            );
            self.tell_once("Unjudged", &sentence);
            self.told.besides.push(("Unjudged", "RevisionChanged", sentence));
        }
        if let Some((reason, sentence)) = self.routes_refused() {
            return self.say(Phase::Invalid, reason, sentence);
        }
        if let Some(sentence) = self.restore_stable(stable) {
            self.told.out_of_sync = Some(("Drifted", sentence.clone()));
            return self.say(Phase::Healthy, "Drifted", sentence);
        }
        self.say(Phase::Healthy, "Healthy", format!("{} is live", stable.name));
    }

    fn stay_failed(&mut self, stable: &Target) {
        self.unguard();
        let ended = self.run().and_then(|run| run.ended.clone());
        let message = ended.as_ref().map(|ended| ended.message.clone()).unwrap_or_default();
        let reason = ended.map_or("RolledBack", |ended| ended.reason.word());
        let Some(canary) = self.status.canary.clone() else {
            return;
        };
        let (mut drifted, mut unusable) = (None, None);
        let mut writes = Vec::new();
        for seen in self.spec_routes() {
            if let RouteState::Unusable { reason, message } = &seen.state {
                let doubt = format!("whether {} still has traffic there is not known", canary.name);
                unusable = Some((*reason, format!("{}: {message}; {doubt}", seen.route)));
            }
            let Some(view) = seen.view().filter(|view| !self.is_anothers(seen, view)) else { continue };
            if let Some(list) = view.lists.iter().find(|list| list.weight(&canary) > 0) {
                let sentence = format!(
                    "{}: {} gave the failed {} weight {}, which goes back to 0. {}",
                    list.of(&seen.route),
                    super::drift::writer(view),
                    canary.name,
                    list.weight(&canary),
                    super::drift::remedy(view)
                );
                drifted = Some(sentence);
                writes.push(self.back_on_stable(seen, view, stable, &canary, Purpose::Correct));
            }
        }
        self.told.out_of_sync = unusable.or(self.told.out_of_sync.take());
        match drifted {
            None => self.memory.correcting.clear(),
            Some(sentence) => self.take_back(sentence, stable, &canary, writes),
        }
        self.say(Phase::Failed, reason, message);
    }

    /// Takes a share back that somebody gave the failed canary: at most once a minute, and only where stable can
    /// bear it.
    fn take_back(&mut self, sentence: String, stable: &Target, canary: &Target, writes: Vec<RouteWrite>) {
        if let Err(why) = self.stable_ready(stable) {
            self.told.out_of_sync = Some(("StableNotReady", format!("{sentence}; not yet, for {why}")));
            return;
        }
        self.told.out_of_sync = Some(("Drifted", sentence.clone()));
        let mut news = false;
        for write in writes {
            let share = write.view.lists.iter().map(|list| list.weight(canary)).max().unwrap_or(0);
            if let Some(new) = self.correct_now(&write.route.to_string(), share, self.memory.corrected_at) {
                news |= new;
                self.effects.push(Effect::Write(write));
            }
        }
        if news {
            self.memory.corrected_at = Some(self.now);
            self.announce(Transition::Drifted, true, "Drifted", sentence);
        }
    }

    /// Routes that the spec no longer names are put on stable, and our stamp goes.
    pub fn release_left_routes(&mut self) {
        let Some((stable, canary)) = self.arms() else {
            return;
        };
        let mut kept = self.status.routes.clone();
        let left = |r: &crate::api::RouteStatus| !self.spec.routes.iter().any(|spec| spec.same(&r.route));
        let mut gone: Vec<RouteRef> = Vec::new();
        for noted in kept.iter().filter(|r| left(r)) {
            if !gone.iter().any(|known| known.same(&noted.route)) {
                gone.push(noted.route.clone());
            }
        }
        for route in gone {
            let Some(seen) = self.seen.routes.iter().find(|seen| seen.route.same(&route)) else {
                continue;
            };
            let previewed =
                |preview: &PreviewSeen| preview.of.same(&route) && preview.seen.state != RouteState::Missing;
            if self.seen.previews.iter().any(previewed) {
                // It is looked for as long as its route is kept.
                continue;
            }
            match &seen.state {
                RouteState::Present(view) if view.stamp_of(&self.seen.subject).is_some() => {
                    if view.gives(&canary) && self.stable_ready(&stable).is_err() {
                        continue;
                    }
                    let write = self.release(seen, view, &stable, &canary);
                    self.effects.push(Effect::Write(write));
                }
                RouteState::Unreadable(_) | RouteState::Refused(_) => {}
                RouteState::Present(_) | RouteState::Missing | RouteState::Unusable { .. } => {
                    kept.retain(|r| !r.route.same(&route));
                }
            }
        }
        self.status.routes = kept;
    }

    /// Stable 100 and our stamp gone.
    pub fn release(
        &self,
        seen: &RouteSeen,
        view: &Arc<RouteView>,
        stable: &Target,
        canary: &Target,
    ) -> RouteWrite {
        let promoted = canary.same_entry(stable);
        let given = view.lists.iter().any(|list| {
            list.weight(canary) > 0 || list.weight(stable) == 0 || !self.mirrors_as_planned(list, canary, 0)
        });
        let mut write = if !promoted && given {
            self.back_on_stable(seen, view, stable, canary, Purpose::Release)
        } else {
            self.write(seen, view, Purpose::Release, Fence::Stamp)
        };
        write.stamp = super::decision::StampChange::Remove(self.seen.subject.name.clone());
        write
    }

    /// Where an entry stands that we added. Of several with the name it is the one that we noted.
    fn added_place(&self, seen: &RouteSeen, list: &ListSeen, name: &str) -> Option<usize> {
        let named: Vec<usize> = (0..list.entries.len()).filter(|at| list.entries[*at].name == name).collect();
        let [one] = named.as_slice() else {
            let noted = self.noted(&seen.route, list)?;
            let ours = |at: &usize| {
                noted.added.iter().any(|raw| *raw.0 == super::raise::without_weight(&list.entries[*at].raw))
            };
            return named.iter().copied().find(ours);
        };
        Some(*one)
    }

    /// What the stamps no longer list as added is no longer kept.
    fn forget_retired(&mut self) {
        let seen = self.seen;
        for noted in &mut self.status.routes {
            let found = seen.routes.iter().find(|found| found.route.same(&noted.route));
            let Some(view) = found.and_then(RouteSeen::view) else { continue };
            let Some(stamp) = view.stamp_of(&seen.subject) else { continue };
            let Some(list) = view.lists.iter().find(|list| list.rule == noted.route.rule) else { continue };
            let listed = |raw: &RawEntry| {
                entry_name(view, &raw.0).is_none_or(|name| stamp.added.contains(&list.key(&name)))
            };
            noted.added.retain(listed);
        }
    }

    /// Takes out entries that we added for versions that are retired, where the weights are in order. An entry that a user
    /// wrote never goes.
    fn retire_entries(&mut self, stable: &Target) {
        let wanted = self.wanted();
        let failed = self.target_failed();
        self.forget_retired();
        let mut writes = Vec::new();
        let mut ends = Vec::new();
        for seen in self.spec_routes() {
            let Some(view) = seen.view().filter(|view| view.all_on(stable)) else { continue };
            let Some(stamp) = view.stamp_of(&self.seen.subject) else {
                continue;
            };
            // What stands on a rule that is not stepped now is still ours, and stays noted.
            let names = stamp.added.iter().map(|key| key.rsplit('/').next().unwrap_or_default().to_owned());
            let in_view =
                |name: &str| -> Vec<String> { view.lists.iter().map(|list| list.key(name)).collect() };
            let retired =
                names.filter(|name| in_view(name).iter().any(|key| stamp.added.contains(key))).find(|name| {
                    let live = *name == stable.name || (*name == wanted.name && !failed);
                    let end = self.window_end(name);
                    ends.extend(end);
                    !live && end.is_none()
                });
            let Some(name) = retired else { continue };
            let mut stamp = stamp.clone();
            let mut write = self.write(seen, view, Purpose::Retire, Fence::Unchanged);
            let ours = |list: &ListSeen| stamp.added.contains(&list.key(&name));
            let places = view.placed().filter(|(_, list)| ours(list)).filter_map(|(at, list)| {
                Some((Place { list: at, entry: self.added_place(seen, list, &name)? }, list))
            });
            let places: Vec<_> = places.collect();
            if places.iter().any(|(place, list)| list.entries[place.entry].weight > 0) {
                continue;
            }
            write.remove = places.into_iter().map(|(place, _)| place).collect();
            let in_view = in_view(&name);
            stamp.added.retain(|key| !in_view.contains(key));
            write.stamp = self.set_stamp(stamp);
            writes.push(Effect::Write(write));
        }
        self.effects.extend(writes);
        for end in ends {
            self.wake_at(end);
        }
    }
}
