//! Mirrors: copies of requests for the canary, which answers nobody, in the steps before it answers anybody.
//!
//! A mirror is given and taken in the same write as the weights, under the same stamp, so that a step is there whole or not
//! at all. In a run whose plan has none, mirrors are the user's and nobody looks at them.

use super::{
    decision::MirrorChange,
    drift::{remedy_at, writer},
    observed::{ListSeen, RouteSeen, RouteView},
    turn::Turn,
};
use crate::api::{PauseReason, PlannedStep, Target};

impl Turn<'_> {
    /// How many requests a step copies to the canary, in percent; none where the run has nothing to do with mirrors.
    fn planned_mirror(&self, step: i32) -> Option<i64> {
        let run = self.run()?;
        let percent =
            run.step(step).and_then(|step| step.mirror).map_or(0, |percent| percent.percent().into());
        run.plan.iter().any(|step| step.mirror.is_some()).then_some(percent)
    }

    /// Whether a list copies to the canary what a step does. Step 0 copies nothing.
    pub fn mirrors_as_planned(&self, list: &ListSeen, canary: &Target, step: i32) -> bool {
        self.planned_mirror(step).is_none_or(|percent| list.mirrored(canary) == percent)
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
            let like = self.noted(&seen.route, list)?.stable_entry.clone();
            Some(MirrorChange { list: at, like, name: canary.name.clone(), port: canary.port, percent })
        };
        view.placed().filter(|(_, list)| list.mirrored(canary) != percent).filter_map(change).collect()
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
                        "{place} can't copy requests to the canary, for its kind has no mirrors; leave the steps with mirror \
                         out, or name a route before it that can"
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
        let path = list.mirrors.as_ref().map_or("", |mirrors| &mirrors.path);
        let sentence = format!(
            "{}: {} has {}% of requests copied to the canary, where {}% is ours; it is left so until resume. {}",
            list.of(&seen.route),
            writer(view),
            list.mirrored(canary),
            self.planned_mirror(step).unwrap_or(0),
            remedy_at(view, path)
        );
        self.told.out_of_sync = Some(("Drifted", sentence.clone()));
        self.obstruct(PauseReason::Drifted, sentence);
    }
}
