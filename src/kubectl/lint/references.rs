//! The workloads and the template that a Rollout names.

use std::sync::Arc;

use super::{
    finding::Fault,
    objects::{Found, Object, Objects},
};
use crate::{
    api::{Analysis, AnalysisTemplateSpec, RolloutSpec},
    engine::template::{self, TemplateSeen},
};

/// By what a Rollout's steps are judged.
pub(super) enum Judged {
    /// By this.
    By {
        /// The analysis, with what a template gives it.
        analysis: Box<Analysis>,
        /// A template gives it.
        of_template: bool,
    },
    /// By nothing: they go by their holds alone.
    ByHolds,
    /// It can't be told.
    Unknown,
}

/// Finds the workloads that are not there.
pub(super) fn workloads(object: &Object, spec: &RolloutSpec, objects: &Objects, faults: &mut Vec<Fault>) {
    let targets = [("spec.target", Some(&spec.target)), ("spec.stable", spec.stable.as_ref())];
    for (field, target) in targets {
        let Some(workload) = target.and_then(|target| target.workload_ref.as_ref()) else { continue };
        let told = format!("{} {}", workload.kind.word(), workload.name);
        let found = objects.workload(object, workload.kind, &workload.name);
        faults.extend(absent(found, &told, &format!("{field}.workloadRef")));
    }
}

/// What there is to tell of an object that is not among the files.
pub(super) fn absent(found: Found<'_>, told: &str, field: &str) -> Option<Fault> {
    match found {
        Found::Object(_) => None,
        Found::Others => {
            let message = format!(
                "{told} is not among these files, where others of its kind are; not checked. See that its name and namespace \
                 are right"
            );
            Some(Fault::warning(field, message))
        }
        Found::None => Some(Fault::note(field, format!("{told} is not among these files; not checked"))),
    }
}

/// By what the Rollout is judged, with what its template gives it.
pub(super) fn analysis(
    object: &Object,
    spec: &RolloutSpec,
    objects: &Objects,
    faults: &mut Vec<Fault>,
) -> Judged {
    let Some(own) = &spec.analysis else { return Judged::ByHolds };
    let Some(named) = &own.template_ref else {
        return Judged::By { analysis: Box::new(own.clone()), of_template: false };
    };
    let field = "spec.analysis.templateRef";
    let found = objects.template(object, &named.name);
    let template = match &found {
        // What is wrong with itself is told of it.
        Found::Object(found) => match &found.template {
            Some(template) => seen(template),
            None => return Judged::Unknown,
        },
        Found::Others | Found::None => {
            faults.extend(absent(found, &format!("AnalysisTemplate {}", named.name), field));
            return Judged::Unknown;
        }
    };
    match template::analysis(spec, &template) {
        Ok(Some(analysis)) => Judged::By { analysis: Box::new(analysis.into_owned()), of_template: true },
        Ok(None) => Judged::ByHolds,
        Err((_, _, sentence)) => {
            faults.push(Fault::error(field, sentence));
            Judged::Unknown
        }
    }
}

/// A template, as the engine sees it.
pub(super) fn seen(template: &AnalysisTemplateSpec) -> TemplateSeen {
    TemplateSeen::Present(Arc::new(template.clone()))
}
