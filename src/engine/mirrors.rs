//! Mirrors: copies of requests for the canary, which answers nobody, in the steps before it answers anybody.
//!
//! A mirror is given and taken in the same write as the weights, under the same stamp, so that a step is there whole or not
//! at all. In a run whose plan has none, and once a run is over, mirrors are the user's and nobody looks at them.

use super::{
    decision::MirrorChange,
    drift::remedy_at,
    observed::{ListSeen, RouteSeen, RouteView},
    turn::Turn,
};
use crate::api::{PauseReason, PlannedStep, Run, Target};

/// What we are called among those who write.
const US: &str = "tidegate";

impl Turn<'_> {
    /// How many requests a step copies to the canary, in percent; none where the run has nothing to do with mirrors.
    fn planned_mirror(&self, step: i32) -> Option<i64> {
        let over = |run: &&Run| run.ended.as_ref().is_some_and(|ended| ended.settled);
        let run = self.run().filter(|run| !over(run))?;
        let percent =
            run.step(step).and_then(|step| step.mirror).map_or(0, |percent| percent.percent().into());
        run.plan.iter().any(|step| step.mirror.is_some()).then_some(percent)
    }

    /// Whether a list copies to the canary what a step does. Step 0 copies nothing.
    pub fn mirrors_as_planned(&self, list: &ListSeen, canary: &Target, step: i32) -> bool {
        self.planned_mirror(step).is_none_or(|percent| list.copies(canary, percent))
    }

    /// Whether a route gives the canary anything at all, be it copies.
    pub fn gives_or_copies(&self, view: &RouteView, canary: &Target) -> bool {
        view.gives(canary) || view.lists.iter().any(|list| !self.mirrors_as_planned(list, canary, 0))
    }

    /// What has to become of the mirrors on a route so that they are those of a step.
    pub fn mirror_changes(
        &self,
        seen: &RouteSeen,
        view: &RouteView,
        canary: &Target,
        step: i32,
    ) -> Vec<MirrorChange> {
        let Some(percent) = self.planned_mirror(step) else { return vec![] };
        let change = |(at, list): (usize, &ListSeen)| {
            // What the canary is called and where it listens is known by its own entry, where there is one.
            let own = list.entry(canary).map(|entry| entry.raw.clone());
            let like = own.or_else(|| Some(self.noted(&seen.route, list)?.stable_entry.clone()))?;
            Some(MirrorChange { list: at, like, name: canary.name.clone(), port: canary.port, percent })
        };
        view.placed().filter(|(_, list)| !list.copies(canary, percent)).filter_map(change).collect()
    }

    /// Why this run can't have the mirrors that its plan asks for, with the reason's word.
    pub fn mirrors_refused(&self, plan: &[PlannedStep]) -> Option<(&'static str, String)> {
        if plan.iter().all(|step| step.mirror.is_none()) {
            return None;
        }
        let canary = self.wanted();
        self.views().into_iter().find_map(|(seen, view)| {
            view.lists.iter().find_map(|list| {
                let place = list.of(&seen.route);
                if list.mirrors.is_none() {
                    let sentence = format!(
                        "{place} can't copy requests to the canary: a VirtualRouter, and a route with a single target, has no \
                         mirrors; leave the steps with mirror out, or name a route before it that can"
                    );
                    return Some(("NoMirror", sentence));
                }
                (list.mirrors_to(&canary).next().is_some()).then(|| {
                    let sentence = format!(
                        "{place} copies requests to {} already; take that out of the route, or the steps with mirror out of \
                         the strategy",
                        canary.name
                    );
                    ("MirrorTaken", sentence)
                })
            })
        })
    }

    /// Pauses where somebody changed a mirror and left the weights. Nobody's answers depend on it, so it is left as it is
    /// until a person says to go on.
    pub fn mirror_drifted(
        &mut self,
        seen: &RouteSeen,
        view: &RouteView,
        list: &ListSeen,
        canary: &Target,
        step: i32,
    ) {
        if self.restoring() {
            return;
        }
        let mirrors = list.mirrors.as_ref();
        let path = mirrors.map_or("", |mirrors| &mirrors.path);
        // Rules are written whole, a list beside the weights by itself. We are not who changed it, though we may have written last.
        let of_list = mirrors.and_then(|mirrors| mirrors.writer.clone());
        let writer = if list.rule.is_some() { view.writer.clone() } else { of_list };
        let writer = writer.filter(|writer| writer != US);
        let sentence = format!(
            "{}: {} has {}% of requests copied to the canary, where {}% is ours; it is left so until resume. {}",
            list.of(&seen.route),
            writer.as_deref().unwrap_or("somebody"),
            list.mirrored(canary),
            self.planned_mirror(step).unwrap_or(0),
            remedy_at(writer.as_deref(), path)
        );
        self.told.out_of_sync = Some(("Drifted", sentence.clone()));
        self.obstruct(PauseReason::Drifted, sentence);
    }
}
