//! All checks of all objects.

use serde_json::Value;

use super::{
    finding::{Fault, Report},
    first_turn, holds,
    input::Document,
    objects::{Object, Objects},
    queries,
    references::{self, Judged},
    routes,
    schemas::Schemas,
};
use crate::{
    api::{AnalysisTemplateSpec, RolloutSpec},
    config::Config,
};

/// Where a Rollout's steps have queries of their own.
const OF_STEPS: &str = "spec.strategy";

/// What is known besides the files.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// The controller's configuration.
    pub config: Option<&'a Config>,
    /// Requests a second on the routes in all.
    pub rate: Option<f64>,
}

/// Finds all that is wrong with the documents.
pub(super) fn all(documents: Vec<Document>, schemas: &Schemas, wanted: Wanted<'_>, report: &mut Report) {
    let objects = Objects::of(documents, schemas, report);
    for object in &objects.all {
        let faults = match (&object.rollout, &object.template) {
            (Some(spec), _) => rollout(object, spec, &objects, wanted),
            (None, Some(spec)) => template(object, spec, wanted),
            (None, None) => continue,
        };
        for fault in faults.into_iter().chain(placeholders(&object.value)) {
            report.add(&object.place, Some(object.told()), fault);
        }
    }
    routes::contested(&objects, report);
}

fn rollout(object: &Object, spec: &RolloutSpec, objects: &Objects, wanted: Wanted<'_>) -> Vec<Fault> {
    let mut faults = Vec::new();
    faults.extend(unserved(object, wanted.config));
    let seen = routes::of(object, spec, objects, &mut faults);
    references::workloads(object, spec, objects, &mut faults);
    let judged = references::analysis(object, spec, objects, &mut faults);
    faults.extend(first_turn::refused(object, spec, &seen, &judged, objects, wanted.config));
    if let Judged::By { analysis, of_template } = &judged {
        // What is wrong with a template's queries is told of the template; those of steps are the Rollout's own.
        let own = |fault: &Fault| !of_template || fault.field.starts_with(OF_STEPS);
        faults.extend(queries::of_rollout(object, spec, analysis, wanted.config).into_iter().filter(own));
        faults.extend(holds::of_rollout(spec, analysis, wanted));
    }
    faults
}

fn template(object: &Object, spec: &AnalysisTemplateSpec, wanted: Wanted<'_>) -> Vec<Fault> {
    queries::of_template(object, spec, wanted.config)
}

/// What `migrate` left for people to fill in.
fn placeholders(value: &Value) -> Vec<Fault> {
    let mut found = Vec::new();
    walk(String::new(), value, &mut found);
    found
}

fn walk(path: String, value: &Value, found: &mut Vec<Fault>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let dot = if path.is_empty() { "" } else { "." };
                walk(format!("{path}{dot}{name}"), value, found);
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                walk(format!("{path}[{at}]"), item, found);
            }
        }
        Value::String(text) if ["REPLACE-ME", "REPLACE_ME"].iter().any(|mark| text.contains(mark)) => {
            found.push(Fault::warning(
                path,
                format!("{text} is a placeholder; put in its place what you have"),
            ));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// That nobody follows a Rollout there.
fn unserved(object: &Object, config: Option<&Config>) -> Option<Fault> {
    let served = &config?.namespaces;
    let known = object.namespace.is_empty() || served.is_empty() || served.contains(&object.namespace);
    (!known).then(|| {
        let served = served.join(", ");
        Fault::warning(
            "metadata.namespace",
            format!("the controller of --config serves {served} alone, so nobody follows this Rollout; add {} to its namespaces", object.namespace),
        )
    })
}
