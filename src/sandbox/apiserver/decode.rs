//! From what a client sent to an object of a known kind: types, identity, unknown fields.

use serde_json::Value;

use super::failure::Failure;
use super::object::{self, text};
use super::options::FieldValidation;
use super::resource::Resource;
use crate::schema::FieldError;

/// Where an object comes from, which decides how it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Body,
    /// The result of a patch.
    Patch,
}

/// An object without unknown fields, and what to warn the client of.
#[derive(Debug)]
pub(super) struct Decoded {
    pub object: Value,
    pub warnings: Vec<String>,
    /// The refusal of a custom resource that says it is of another kind; it is due once its version is right.
    pub mistaken: Option<Failure>,
}

/// Reads an object as one of this resource's kind. `doubled` names the fields that the body has twice.
pub(super) fn decode(
    resource: &Resource,
    mut object: Value,
    doubled: &[String],
    source: Source,
    validation: FieldValidation,
) -> Result<Decoded, Failure> {
    if object.is_null() && !resource.is_custom() {
        object = Value::Object(serde_json::Map::new());
    }
    let sent = object.clone();
    let refuse = |why: &str| refusal(resource, &sent, source, why);
    let unrecognized = |why: &str| match source {
        Source::Patch => Failure::invalid_patch(&sent, why),
        Source::Body => Failure::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): {why}",
            resource.kind
        )),
    };
    if !object.is_object() {
        return Err(unrecognized(
            "couldn't get version/kind; json parse error: json: cannot unmarshal it into a Go struct",
        ));
    }
    let mistaken = check_identity(resource, &object, source, &unrecognized)?;
    object::check_shape(&object).map_err(|why| refuse(&why))?;
    let unknown = resource.prune(&mut object).map_err(|why| refuse(&why))?;
    let doubled = doubled.iter().map(|path| format!("duplicate field {path:?}"));
    let reports: Vec<String> =
        doubled.chain(unknown.iter().map(|path| format!("unknown field {path:?}"))).collect();
    let warnings = match validation {
        FieldValidation::Strict if !reports.is_empty() => {
            return Err(refuse(&format!("strict decoding error: {}", reports.join(", "))));
        }
        FieldValidation::Warn => reports,
        FieldValidation::Strict | FieldValidation::Ignore => Vec::new(),
    };
    object["apiVersion"] = resource.api_version().into();
    object["kind"] = resource.kind.as_str().into();
    Ok(Decoded { object, warnings, mistaken })
}

fn refusal(resource: &Resource, sent: &Value, source: Source, why: &str) -> Failure {
    match source {
        Source::Patch => Failure::invalid_patch(sent, why),
        Source::Body => {
            let Resource { kind, version, .. } = resource;
            Failure::bad_request(format!(
                "{kind} in version {version:?} cannot be handled as a {kind}: {why}"
            ))
        }
    }
}

/// Refuses what says it is of another kind. Built-in kinds need not say what they are.
fn check_identity(
    resource: &Resource,
    object: &Value,
    source: Source,
    unrecognized: &impl Fn(&str) -> Failure,
) -> Result<Option<Failure>, Failure> {
    let typed = |field: &str| object[field].is_null() || object[field].is_string();
    if !typed("apiVersion") || !typed("kind") {
        return Err(unrecognized("couldn't get version/kind; json parse error: it must be of type string"));
    }
    let (version, kind) = (text(object, "/apiVersion"), text(object, "/kind"));
    let expected = resource.api_version();
    if !resource.is_custom() {
        let differs = |found: &str, wanted: &str| !found.is_empty() && found != wanted;
        if differs(version, &expected) || differs(kind, &resource.kind) {
            return Err(match source {
                Source::Patch => {
                    let why = format!("no kind {kind:?} is registered for version {version:?}");
                    Failure::invalid_patch(object, &why)
                }
                Source::Body => Failure::bad_request(format!(
                    "{} in version {:?} cannot be handled as a {0}: no kind {kind:?} is registered for version {version:?}",
                    resource.kind, resource.version
                )),
            });
        }
        return Ok(None);
    }
    if kind.is_empty() {
        return Err(unrecognized("Object 'Kind' is missing"));
    }
    if source == Source::Body && version != expected {
        return Err(Failure::bad_request(format!(
            "the API version in the data ({version}) does not match the expected API version ({expected})"
        )));
    }
    let mut errors = Vec::new();
    for (field, found, wanted) in [("kind", kind, resource.kind.as_str()), ("apiVersion", version, &expected)]
    {
        if found != wanted {
            let message = format!("Invalid value: {found:?}: must be {wanted}");
            errors.push(FieldError { path: field.to_owned(), reason: "FieldValueInvalid", message });
        }
    }
    let group = version.split_once('/').map_or("", |(group, _)| group);
    let mistaken = || Failure::invalid_kind(group, kind, object::name(object), &errors);
    Ok((!errors.is_empty()).then(mistaken))
}
