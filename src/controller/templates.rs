//! The AnalysisTemplates of a scope, once a Rollout names one.

use serde::Deserialize;
use serde_json::Value;

use super::{
    on_demand::OnDemand,
    stores::{Found, Key},
};
use crate::{
    api::{AnalysisTemplateSpec, INSTALL_CRDS, Rollout, text::why_unreadable},
    engine::template::TemplateSeen,
};

/// The AnalysisTemplates of a scope.
#[derive(Debug)]
pub struct Templates(OnDemand<TemplateSeen>);

impl Templates {
    /// Nothing is known yet.
    pub fn new() -> Self {
        Self(OnDemand::new("AnalysisTemplates", false))
    }

    /// Those that are followed from when a Rollout names the first.
    pub const fn on_demand(&self) -> &OnDemand<TemplateSeen> {
        &self.0
    }

    /// The template that a Rollout names, where it names one.
    pub fn key(rollout: &Rollout, namespace: &str) -> Option<Key> {
        let template = rollout.spec.analysis.as_ref()?.template_ref.as_ref()?;
        Some((namespace.to_owned(), template.name.clone()))
    }

    /// A template as it is known.
    pub fn get(&self, key: Option<&Key>) -> TemplateSeen {
        match key.map(|key| self.0.mirror().get(key)) {
            Some(Found::Present(seen)) => seen,
            Some(Found::Unreadable(_)) if self.0.mirror().is_pending() => TemplateSeen::Pending,
            Some(Found::Unreadable(why)) => TemplateSeen::Unreadable(why),
            Some(Found::Missing) | None => TemplateSeen::Missing,
        }
    }
}

/// What is kept of a template.
pub fn seen(object: &Value) -> TemplateSeen {
    match object.get("spec").map(AnalysisTemplateSpec::deserialize) {
        Some(Ok(spec)) => TemplateSeen::Present(spec.into()),
        Some(Err(error)) => TemplateSeen::Unreadable(format!(
            "its spec is not what this controller knows ({}); the installed CRD may be older or newer than the \
             controller: {INSTALL_CRDS}",
            why_unreadable(&error)
        )),
        None => TemplateSeen::Unreadable("it has no spec".to_owned()),
    }
}
