//! The rules of `metadata`: of new objects, and of changes.

use serde_json::Value;

use super::names;
use super::object::{self, text};
use super::resource::Resource;
use crate::schema::FieldError;

/// All keys and values of the annotations together, in bytes.
const ANNOTATIONS_LIMIT: usize = 256 * 1024;
/// Finalizers that need no domain.
const STANDARD_FINALIZERS: [&str; 3] = ["orphan", "foregroundDeletion", "kubernetes"];

/// What is wrong with the metadata of a new object.
pub(super) fn check_new(resource: &Resource, new: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let prefix = text(new, "/metadata/generateName");
    if !prefix.is_empty() {
        errors.extend(invalid("generateName", prefix, resource.name_rule.refusal(prefix, true)));
    }
    let name = object::name(new);
    if name.is_empty() {
        let message = "Required value: name or generateName is required".to_owned();
        errors.push(FieldError { path: "metadata.name".to_owned(), reason: "FieldValueRequired", message });
    } else {
        errors.extend(invalid("name", name, resource.name_rule.refusal(name, false)));
    }
    errors.extend(check_content(resource, new));
    errors
}

/// What is wrong with the metadata of a change.
pub(super) fn check_change(resource: &Resource, new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if object::is_terminating(old) {
        let known: Vec<&str> = object::finalizers(old).collect();
        let extra: Vec<String> = object::finalizers(new)
            .filter(|name| !known.contains(name))
            .map(|name| format!("{name:?}"))
            .collect();
        if !extra.is_empty() {
            let message = format!(
                "Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers \
                 []string{{{}}}",
                extra.join(", ")
            );
            let path = "metadata.finalizers".to_owned();
            errors.push(FieldError { path, reason: "FieldValueForbidden", message });
        }
    }
    for field in ["uid", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        let value = |object: &Value| object["metadata"].get(field).cloned();
        if value(new) != value(old) {
            let shown = value(new).unwrap_or_default();
            let message = format!("Invalid value: {shown}: field is immutable");
            errors.push(FieldError {
                path: format!("metadata.{field}"),
                reason: "FieldValueInvalid",
                message,
            });
        }
    }
    errors.extend(check_content(resource, new));
    errors
}

/// Finalizers that a server warns about, since they may mean something else to somebody else.
pub(super) fn finalizer_warnings(resource: &Resource, new: &Value, old: Option<&Value>) -> Vec<String> {
    if !resource.is_custom() {
        return Vec::new();
    }
    let known: Vec<&str> = old.into_iter().flat_map(object::finalizers).collect();
    object::finalizers(new)
        .filter(|name| !known.contains(name) && !name.contains('/') && !STANDARD_FINALIZERS.contains(name))
        .map(|name| {
            let path = if name.contains('.') { " including a path (/)" } else { "" };
            format!(
                "metadata.finalizers: {name:?}: prefer a domain-qualified finalizer name{path} to avoid accidental \
                 conflicts with other finalizer writers"
            )
        })
        .collect()
}

fn check_content(resource: &Resource, new: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if object::number(new, "/metadata/generation").is_some_and(|generation| generation < 0) {
        errors.extend(invalid("generation", "", Some("must be greater than or equal to 0".to_owned())));
    }
    for (key, value) in entries(new, "labels") {
        errors.extend(invalid("labels", key, names::qualified(key)));
        errors.extend(invalid("labels", value, names::label_value(value)));
    }
    let mut size = 0;
    for (key, value) in entries(new, "annotations") {
        errors.extend(invalid("annotations", key, names::qualified(&key.to_lowercase())));
        size += key.len() + value.len();
    }
    if size > ANNOTATIONS_LIMIT {
        let message = format!("Too long: may not be more than {ANNOTATIONS_LIMIT} bytes");
        let path = "metadata.annotations".to_owned();
        errors.push(FieldError { path, reason: "FieldValueTooLong", message });
    }
    for (index, name) in object::finalizers(new).enumerate() {
        errors.extend(invalid("finalizers", name, names::qualified(name)));
        if !resource.is_custom() && !name.contains('/') && !STANDARD_FINALIZERS.contains(&name) {
            let why = "name is neither a standard finalizer name nor is it fully qualified".to_owned();
            errors.extend(invalid(&format!("finalizers[{index}]"), name, Some(why)));
        }
    }
    errors.extend(check_owners(new));
    errors
}

fn check_owners(new: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut controllers = 0;
    for (index, owner) in object::owner_references(new).enumerate() {
        let at = format!("ownerReferences[{index}]");
        for field in ["apiVersion", "kind", "name", "uid"] {
            if owner[field].as_str().is_none_or(str::is_empty) {
                let message = "Required value: must not be empty".to_owned();
                let path = format!("metadata.{at}.{field}");
                errors.push(FieldError { path, reason: "FieldValueRequired", message });
            }
        }
        let version = text(owner, "/apiVersion");
        if version.split('/').count() > 2 || version.ends_with('/') {
            let why = "must be <group>/<version> or <version>".to_owned();
            errors.extend(invalid(&format!("{at}.apiVersion"), version, Some(why)));
        }
        if (version, &owner["kind"]) == ("v1", &Value::from("Event")) {
            let why = "/v1, Kind=Event is disallowed from being an owner".to_owned();
            errors.extend(invalid(&at, "", Some(why)));
        }
        controllers += usize::from(owner["controller"] == true);
    }
    if controllers > 1 {
        let why = "Only one reference can have Controller set to true".to_owned();
        errors.extend(invalid("ownerReferences", "", Some(why)));
    }
    errors
}

fn entries<'a>(object: &'a Value, field: &str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let map = object["metadata"][field].as_object().into_iter().flatten();
    map.map(|(key, value)| (key.as_str(), value.as_str().unwrap_or_default()))
}

fn invalid(field: &str, value: &str, why: Option<String>) -> Option<FieldError> {
    why.map(|why| FieldError {
        path: format!("metadata.{field}"),
        reason: "FieldValueInvalid",
        message: format!("Invalid value: {value:?}: {why}"),
    })
}
