//! Previews: routes of our own beside those of the user, for steps with a match. A preview sends the requests that match
//! to the canary and goes with the run; everybody else's requests never see it.
//!
//! It is raised like a weight: after the intent is stored, once every route shows the step, where the canary has a ready
//! pod. Whatever of ours is there without a step that asks for it goes, whoever left it.

use std::{sync::Arc, time::Duration};

use super::{
    decision::{Effect, PreviewChange, PreviewContent, PreviewWrite},
    observed::{ListSeen, PreviewSeen, RouteState},
    selection::routes,
    turn::Turn,
};
use crate::api::{Phase, PlannedStep, RequestMatch, RolloutSpec, RolloutStatus, RouteRef, fnv1a};

/// What stands in the way of a preview is looked at again this often at least.
const AGAIN: Duration = Duration::from_secs(5);
/// The longest name of an object.
const LONGEST: usize = 253;

/// The previews that runs of this spec and status may have, each behind the route that it is made of.
pub fn previews(spec: &RolloutSpec, status: &RolloutStatus, rollout: &str) -> Vec<(RouteRef, RouteRef)> {
    let strategy = &spec.strategy;
    let steps = strategy.canary.iter().flat_map(|canary| &canary.steps);
    let specified = strategy.blue_green.as_ref().is_some_and(|blue_green| blue_green.preview.is_some())
        || steps.map(|step| &step.matching).any(Option::is_some);
    let planned = status.run.iter().flat_map(|run| run.plan.iter()).any(|step| step.matching.is_some());
    if !specified && !planned {
        return vec![];
    }
    let beside = |route: RouteRef| {
        let name = name(&route, rollout);
        let preview = RouteRef { evidence: route.evidence, ..RouteRef::new(route.kind, name) };
        (route, preview)
    };
    routes(spec, status).into_iter().map(beside).collect()
}

/// What the preview of a route is called.
fn name(route: &RouteRef, rollout: &str) -> String {
    let name = format!("{}-preview-{rollout}", route.name);
    if name.len() <= LONGEST {
        return name;
    }
    let kept = &route.name[..route.name.floor_char_boundary(LONGEST - 26)];
    format!("{kept}-preview-{:016x}", fnv1a(&name))
}

impl Turn<'_> {
    /// Which requests the intended step sends to the canary besides its share.
    fn matching(&self) -> Option<&RequestMatch> {
        self.matching_at(self.step_index())
    }

    fn matching_at(&self, step: i32) -> Option<&RequestMatch> {
        self.run()?.step(step)?.matching.as_ref()
    }

    /// The previews that the intended step asks for.
    pub fn wanted_previews(&self) -> Vec<&PreviewSeen> {
        let over = self.run().is_none_or(|run| run.ended.is_some());
        if over || self.matching().is_none() {
            return vec![];
        }
        let routes = self.run_routes();
        let of_run = |preview: &&PreviewSeen| routes.iter().any(|seen| seen.route.same(&preview.of));
        self.seen.previews.iter().filter(of_run).collect()
    }

    /// Whether every preview of the intended step is there.
    pub fn previewed(&self) -> bool {
        let wanted = self.wanted_previews();
        // One that was not looked for is not there.
        (!wanted.is_empty() || self.matching().is_none())
            && wanted.into_iter().all(|preview| self.is_shown(preview))
    }

    /// Whether a preview sends all that matches now to the canary.
    fn is_shown(&self, preview: &PreviewSeen) -> bool {
        let (Some((_, canary)), Some(view)) = (self.arms(), preview.seen.view()) else { return false };
        let number = self.run().map_or(0, |run| run.number);
        let stamp = view.stamp_of(&self.seen.subject).filter(|stamp| stamp.run == number);
        let name = canary.name_on(&preview.of);
        // One that no longer asks for the headers would take everybody's requests.
        let asks = |list: &ListSeen| {
            let headers = self.matching().into_iter().flat_map(|matching| &matching.headers);
            headers.map(|header| header.name.to_lowercase()).all(|header| list.headers.contains(&header))
        };
        let sends = |list: &ListSeen| {
            !list.entries.is_empty() && list.entries.iter().all(|entry| entry.is_called(name, canary.port))
        };
        stamp.is_some_and(|stamp| self.matching_at(stamp.step) == self.matching())
            && view.lists.iter().all(|list| asks(list) && sends(list))
            && !view.deleting
    }

    /// Why this run can't have the previews that its plan asks for, with the reason's word.
    pub fn previews_refused(&self, plan: &[PlannedStep]) -> Option<(&'static str, String)> {
        let mut matches = plan.iter().filter_map(|step| step.matching.as_ref()).peekable();
        matches.peek()?;
        if !self.seen.allowed.previews {
            let sentence = "a preview, or a step with a match, needs a route of our own beside each route, and this controller \
                            creates none: set previews: true in its configuration, and grant what `tidegate rbac \
                            --previews` prints";
            return Some(("PreviewsOff", sentence.to_owned()));
        }
        let names: Vec<&str> =
            matches.flat_map(|one| &one.headers).map(|header| header.name.as_str()).collect();
        for preview in &self.seen.previews {
            let stepped = self.spec.routes.iter().any(|route| route.same(&preview.of));
            let of = self.seen.routes.iter().find(|seen| seen.route.same(&preview.of));
            let Some(view) = of.and_then(|seen| seen.view()).filter(|_| stepped) else { continue };
            let route = &preview.of;
            if let Some(why) = view.no_preview {
                return Some(("NoPreview", format!("{route} can have no preview: {why}")));
            }
            let used = names
                .iter()
                .find(|name| view.lists.iter().any(|list| list.headers.contains(&name.to_lowercase())));
            if let Some(header) = used {
                let sentence = format!(
                    "{route} tells requests apart by the header {header} itself; take another header for the preview"
                );
                return Some(("PreviewHeaderUsed", sentence));
            }
            if self.is_taken(preview) {
                let sentence = format!(
                    "{} is what the preview of {route} would be called, and it is not of this Rollout; delete it, or rename it",
                    preview.seen.route
                );
                return Some(("PreviewNameTaken", sentence));
            }
        }
        None
    }

    /// Whether something stands there that is not ours.
    fn is_taken(&self, preview: &PreviewSeen) -> bool {
        match &preview.seen.state {
            RouteState::Present(view) => view.stamp_of(&self.seen.subject).is_none(),
            RouteState::Unusable { .. } => true,
            RouteState::Missing | RouteState::Unreadable(_) | RouteState::Refused(_) => false,
        }
    }

    /// Puts the first preview there that the intended step asks for and that is not.
    pub fn raise_preview(&mut self) {
        let Some(matching) = self.matching().cloned() else { return };
        let wanted = self.wanted_previews();
        let lacks = |preview: &&PreviewSeen| !self.is_shown(preview);
        let Some(preview) = wanted.into_iter().find(lacks).cloned() else { return };
        let route = preview.seen.route.clone();
        let change = match &preview.seen.state {
            RouteState::Missing => self.content(&preview.of, &matching).map(PreviewChange::Create),
            RouteState::Present(view) if view.deleting => {
                let sentence = format!("{route} is being deleted; it is made again once it is gone");
                return self.wait_for_preview("PreviewRefused", sentence);
            }
            RouteState::Present(view) if !self.is_taken(&preview) => {
                let view = Arc::clone(view);
                self.content(&preview.of, &matching).map(|content| PreviewChange::Replace { view, content })
            }
            RouteState::Present(_) | RouteState::Unusable { .. } => {
                let sentence =
                    format!("{route} was put in the preview's place; delete it to go on, or abort");
                return self.wait_for_preview("PreviewNameTaken", sentence);
            }
            RouteState::Unreadable(why) | RouteState::Refused(why) => {
                return self.wait_for_preview("PreviewRefused", format!("{route} can't be written: {why}"));
            }
        };
        let sentence = format!("sending the requests with {matching} to the canary");
        self.say(Phase::Progressing, "Raising", sentence);
        let write = change.map(|change| PreviewWrite { of: preview.of.clone(), route, change });
        self.effects.extend(write.map(Effect::Preview));
    }

    fn wait_for_preview(&mut self, reason: &'static str, sentence: String) {
        self.told.out_of_sync = Some((reason, sentence.clone()));
        self.wake_in(AGAIN);
        self.say(Phase::Progressing, reason, sentence);
    }

    fn content(&self, of: &RouteRef, matching: &RequestMatch) -> Option<PreviewContent> {
        let (_, canary) = self.arms()?;
        let noted = self.status.routes.iter().filter(|noted| noted.route.same(of));
        let lists = noted.map(|noted| (noted.route.rule.clone(), noted.stable_entry.clone()));
        Some(PreviewContent {
            lists: lists.collect(),
            name: canary.name_on(of).to_owned(),
            port: canary.port,
            matching: matching.clone(),
            owner: (self.seen.subject.name.clone(), self.seen.subject.uid.clone()),
            stamp: self.stamp(self.step_index(), false, vec![]),
        })
    }

    /// The previews of ours that no step asks for.
    fn leftovers(&self) -> Vec<PreviewSeen> {
        let wanted = self.wanted_previews();
        let ours = |preview: &&PreviewSeen| match &preview.seen.state {
            RouteState::Present(view) => view.stamp_of(&self.seen.subject).is_some(),
            RouteState::Refused(_) => true,
            RouteState::Missing | RouteState::Unusable { .. } | RouteState::Unreadable(_) => false,
        };
        let unasked = |preview: &&PreviewSeen| wanted.iter().all(|wanted| wanted.of != preview.of);
        self.seen.previews.iter().filter(unasked).filter(ours).cloned().collect()
    }

    /// Whether a preview of ours is still there that no step asks for.
    pub fn has_leftovers(&self) -> bool {
        !self.leftovers().is_empty()
    }

    /// Takes out the previews of ours that no step asks for. Returns whether any is still there.
    pub fn remove_previews(&mut self) -> bool {
        let leftovers = self.leftovers();
        for PreviewSeen { of, seen } in &leftovers {
            match &seen.state {
                RouteState::Present(view) if view.deleting => {
                    let sentence = format!(
                        "{} is deleted, and held by a finalizer of somebody else's; take that off, for until then it sends \
                         its requests on",
                        seen.route
                    );
                    self.told.out_of_sync = Some(("PreviewRefused", sentence));
                    self.wake_in(AGAIN);
                }
                RouteState::Present(view) => {
                    let change = PreviewChange::Remove(Arc::clone(view));
                    let write = PreviewWrite { of: of.clone(), route: seen.route.clone(), change };
                    self.effects.push(Effect::Preview(write));
                }
                RouteState::Refused(why) => {
                    let sentence = format!("{} can't be deleted: {why}", seen.route);
                    self.told.out_of_sync = Some(("PreviewRefused", sentence));
                    self.wake_in(AGAIN);
                }
                RouteState::Missing | RouteState::Unusable { .. } | RouteState::Unreadable(_) => {}
            }
        }
        !leftovers.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::RouteKind;

    #[test]
    fn a_preview_has_a_name_of_its_own_that_is_not_too_long() {
        let route = RouteRef::new(RouteKind::HttpRoute, "color");
        assert_eq!(name(&route, "shop"), "color-preview-shop");
        let long = RouteRef::new(RouteKind::HttpRoute, "c".repeat(250));
        assert_eq!(name(&long, "shop").len(), LONGEST - 1);
        assert_ne!(name(&long, "shop"), name(&long, "cart"));
    }
}
