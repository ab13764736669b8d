//! Raising: the writes that give the canary the weight of the intended step, and whether they are there.

use std::sync::Arc;

use super::{
    decision::{Effect, Fence, Purpose, RouteWrite},
    observed::{ListSeen, Place, RouteSeen, RouteState, RouteView},
    turn::Turn,
};
use crate::api::{Phase, RawEntry, RouteStatus, Target};

impl Turn<'_> {
    /// Whether every route shows the intended step, stamp and weights, and the previews are there that it asks for.
    pub fn in_place(&self) -> bool {
        let Some((stable, canary)) = self.arms() else { return false };
        let shown = |view: &Arc<RouteView>| self.shows(view, &stable, &canary);
        self.run_routes().iter().all(|seen| seen.view().is_some_and(shown)) && self.previewed()
    }

    /// Whether a route is known not to give the canary what the intended step does, whatever its stamp. One that is gone, or has lost a
    /// rule, gives nothing there.
    pub fn is_displaced(&self) -> bool {
        let Some((stable, canary)) = self.arms() else { return false };
        self.run_routes().iter().any(|seen| match &seen.state {
            RouteState::Present(view) => !view.gone.is_empty() || !self.gives(view, &stable, &canary),
            RouteState::Missing | RouteState::Unusable { .. } => true,
            RouteState::Unreadable(_) | RouteState::Refused(_) => false,
        })
    }

    fn shows(&self, view: &RouteView, stable: &Target, canary: &Target) -> bool {
        let stamped = view.stamp_of(&self.seen.subject).is_some_and(|stamp| stamp.step == self.step_index());
        stamped && view.gone.is_empty() && self.gives(view, stable, canary)
    }

    fn gives(&self, view: &RouteView, stable: &Target, canary: &Target) -> bool {
        let step = self.step_index();
        let share = self.planned(step);
        let weighs = |list: &ListSeen| list.weight(canary) == share && list.weight(stable) == 100 - share;
        view.lists.iter().all(|list| weighs(list) && self.mirrors_as_planned(list, canary, step))
    }

    /// Raises the first route that does not show the intended step yet. A write takes its time, and meanwhile a pod may
    /// go or a person abort: so a raise is never sent on what was known before another write, be it the intent or
    /// another route; the next decision sends it, or does not.
    pub fn raise_where_needed(&mut self) {
        if self.held_back(self.step_index()) {
            return;
        }
        let Some((stable, canary)) = self.arms() else {
            return;
        };
        let given = self.traffic(self.step_index());
        self.say(Phase::Progressing, "Raising", format!("giving the canary {given}"));
        if self.intent || self.effects.iter().any(Effect::writes) {
            return;
        }
        let lacks = |seen: &&RouteSeen| seen.view().is_some_and(|view| !self.shows(view, &stable, &canary));
        let next = self.run_routes().into_iter().find(lacks);
        match next.and_then(|seen| Some((seen, seen.view()?))) {
            Some((seen, view)) => {
                let raise = self.raise(seen, view, &stable, &canary);
                self.effects.push(Effect::Write(raise));
            }
            None => self.raise_preview(),
        }
    }

    /// The write that gives the canary on one route what the intended step does.
    pub fn raise(
        &self,
        seen: &RouteSeen,
        view: &Arc<RouteView>,
        stable: &Target,
        canary: &Target,
    ) -> RouteWrite {
        let share = self.planned(self.step_index());
        let mut write = self.write(seen, view, Purpose::Raise, Fence::Unchanged);
        let mut added = self.added(seen, view);
        for (at, list) in view.placed() {
            let place = |entry| Place { list: at, entry };
            if let Some(index) = list.index(stable) {
                write.weights.push((place(index), 100 - share));
            }
            if let Some(index) = list.index(canary) {
                write.weights.push((place(index), share));
            } else if let Some(entry) = self.new_canary_entry(seen, (at, list), share) {
                let key = list.key(&entry.name);
                if !added.contains(&key) {
                    added.push(key);
                }
                write.add.push(entry);
            }
        }
        write.mirrors = self.mirror_changes(seen, view, canary, self.step_index());
        write.stamp = self.set_stamp(self.stamp(self.step_index(), false, added));
        write
    }

    /// Keeps the content of the entries that we added, for the record.
    pub fn note_added(&mut self) {
        let mut added = Vec::new();
        for seen in self.run_routes() {
            let Some(view) = seen.view() else { continue };
            let keys = self.added(seen, view);
            for list in &view.lists {
                let entries = list.entries.iter().filter(|entry| keys.contains(&list.key(&entry.name)));
                let raw: Vec<RawEntry> = entries.map(|e| without_weight(&e.raw).into()).collect();
                added.push((seen.route.clone(), list.rule.clone(), raw));
            }
        }
        for (route, rule, raw) in added {
            let of_list = |r: &&mut RouteStatus| r.route.same(&route) && r.route.rule == rule;
            if let Some(noted) = self.status.routes.iter_mut().find(of_list) {
                noted.added = raw;
            }
        }
    }
}

/// An entry without its weight: what stays the same of it while it is stepped.
pub(super) fn without_weight(entry: &RawEntry) -> serde_json::Value {
    let mut raw = serde_json::Value::clone(&entry.0);
    if let Some(fields) = raw.as_object_mut() {
        fields.remove("weight");
    }
    raw
}
