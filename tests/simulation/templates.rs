//! The AnalysisTemplate that the first Rollout of some worlds names, and what people make of it.

use std::time::Duration;

use tidegate::{
    api::{AnalysisTemplateSpec, RolloutSpec, units},
    engine::template::TemplateSeen,
};

use crate::{chance::Chance, concern::Concern, event::Event, world::World};

/// Which worlds have one: one in eight. Under this number no seed that once found something is one of them.
const TEMPLATED: u64 = 0x7465_6d70;

/// Puts the Rollout's analysis into a template, in those worlds.
pub fn of_seed(seed: u64, spec: &mut RolloutSpec) -> Vec<TemplateSeen> {
    let mut chance = Chance::new(seed ^ TEMPLATED);
    if chance.below(8) != 0 {
        return Vec::new();
    }
    let Some(analysis) = spec.analysis.take() else { return Vec::new() };
    spec.analysis = Some(serde_saphyr::from_str("{templateRef: {name: common}}").unwrap());
    vec![TemplateSeen::Present(AnalysisTemplateSpec { args: vec![], analysis }.into())]
}

impl World {
    /// Somebody edits the template, deletes it, or makes it anew.
    pub fn befalls_the_template(&mut self) {
        if self.server.templates.is_empty() || !self.befalls(Concern::One(0)) {
            return;
        }
        let next = match (self.chance.below(2), &self.server.templates[0]) {
            (0, TemplateSeen::Present(first)) => {
                let mut edited = (**first).clone();
                let seconds = [5, 8, 13][self.chance.below(3)];
                edited.analysis.interval = units::Duration::of(Duration::from_secs(seconds));
                TemplateSeen::Present(edited.into())
            }
            _ => TemplateSeen::Missing,
        };
        self.set_template(next);
    }

    /// People make it as it was in the beginning.
    pub fn repair_template(&mut self) {
        let templates = &self.server.templates;
        if let Some(first) = templates.first().filter(|first| templates.last() != Some(first)).cloned() {
            self.set_template(first);
        }
    }

    fn set_template(&mut self, next: TemplateSeen) {
        self.server.templates.push(next);
        let version = self.server.templates.len() - 1;
        for process in 0..self.processes.len() {
            let (life, lag) = (self.processes[process].life, self.lag(Concern::One(0)));
            self.later(lag, Event::ShowsTemplate { process, life, version });
        }
    }

    pub fn shows_template(&mut self, id: usize, life: u32, version: usize) {
        if !self.hears(id, life) || self.processes[id].template >= version {
            return;
        }
        self.processes[id].template = version;
        self.wake(crate::kept::Actor { process: id, rollout: 0 });
    }
}
