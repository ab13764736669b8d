//! The Rollout of a file, with its template put in where it names one of the same file.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::Error;
use crate::{
    api::{Analysis, AnalysisTemplate, Rollout, RolloutSpec},
    engine::template::{self, TemplateSeen},
};

/// The Rollout of a file; `anywhere` lets it name no provider.
pub(super) fn rollout(file: &Path, anywhere: bool) -> Result<Rollout, Error> {
    let named = || file.display().to_string();
    let text = super::read(file)?;
    let objects: Vec<Value> = serde_saphyr::from_multiple(&text)
        .map_err(|source| Error::Yaml { file: named(), source: Box::new(source) })?;
    let of_kind = |kind: &'static str| objects.iter().filter(move |object| object["kind"] == kind);
    let mut rollouts = of_kind("Rollout");
    let (Some(found), None) = (rollouts.next(), rollouts.next()) else {
        return Err(Error::Nothing(
            "the file of --rollout must hold one Rollout, and may hold AnalysisTemplates",
        ));
    };
    let manifest = |source| Error::Manifest { file: named(), source };
    let mut rollout = Rollout::deserialize(found).map_err(manifest)?;
    let wanted = rollout.spec.analysis.as_ref().and_then(|analysis| analysis.template_ref.as_ref());
    let seen = match wanted {
        None => TemplateSeen::Missing,
        Some(wanted) => {
            let mut templates = of_kind("AnalysisTemplate");
            match templates.find(|template| template["metadata"]["name"] == wanted.name.as_str()) {
                None => TemplateSeen::Missing,
                Some(found) => {
                    let template = AnalysisTemplate::deserialize(found).map_err(manifest)?;
                    TemplateSeen::Present(template.spec.into())
                }
            }
        }
    };
    let analysis = template::analysis(&rollout.spec, &seen)
        .map_err(|(_, _, sentence)| Error::Template { file: named(), sentence })?;
    rollout.spec.analysis = analysis.map(|analysis| Analysis { template_ref: None, ..analysis.into_owned() });
    if anywhere {
        forget_providers(&mut rollout.spec);
    }
    Ok(rollout)
}

fn forget_providers(spec: &mut RolloutSpec) {
    let RolloutSpec { analysis, strategy, .. } = spec;
    let steps = strategy.canary.iter_mut().flat_map(|canary| &mut canary.steps);
    let of_steps = steps.filter_map(|step| step.analysis.as_mut()).flat_map(|step| &mut step.metrics);
    let own = analysis.iter_mut().flat_map(|analysis| &mut analysis.metrics);
    of_steps.chain(own).for_each(|metric| metric.provider = None);
    if let Some(analysis) = analysis {
        analysis.provider = None;
    }
}
