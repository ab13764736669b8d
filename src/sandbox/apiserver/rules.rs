//! The rules of names, namespaces and preconditions, and what the server itself puts into objects.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::builtins::{self, NAMESPACES};
use super::failure::Failure;
use super::object;
use super::resource::Resource;
use super::store::Key;
use super::write::Writing;
use super::{State, crds};
use crate::sandbox::schema::FieldError;

/// Refuses an update whose name, UID or version is not the stored object's.
pub(super) fn check_preconditions_of_update(
    resource: &Resource,
    name: &str,
    current: &Value,
    new: &Value,
) -> Result<(), Failure> {
    if object::name(new) != name {
        return Err(Failure::bad_request(format!(
            "the name of the object ({}) does not match the name on the URL ({name})",
            object::name(new)
        )));
    }
    let uid = object::uid(new);
    if !uid.is_empty() && uid != object::uid(current) {
        let why = format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            object::uid(current)
        );
        return Err(Failure::conflict(resource, name, &why));
    }
    let version = object::resource_version(new);
    if version.is_empty() && resource.is_custom() {
        let error = FieldError {
            path: "metadata.resourceVersion".to_owned(),
            reason: "FieldValueInvalid",
            message: "Invalid value: 0: must be specified for an update".to_owned(),
        };
        return Err(Failure::invalid(resource, name, &[error]));
    }
    if !version.is_empty() && version != object::resource_version(current) {
        return Err(Failure::stale(resource, name));
    }
    Ok(())
}

pub(super) fn keep_field(new: &mut Value, from: &Value, field: &str) {
    let Some(fields) = new.as_object_mut() else { return };
    match from.get(field) {
        Some(value) => fields.insert(field.to_owned(), value.clone()),
        None => fields.remove(field),
    };
}

pub(super) fn check_name(resource: &Resource, name: &str) -> Result<(), Failure> {
    let fits = |label: &str| {
        let inner = |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit();
        label.bytes().all(|letter| inner(letter) || letter == b'-')
            && label.bytes().next().is_some_and(inner)
            && label.bytes().last().is_some_and(inner)
    };
    let (reason, message) = if name.is_empty() {
        ("FieldValueRequired", "Required value: name or generateName is required".to_owned())
    } else if name.len() > 253 || !name.split('.').all(fits) {
        let rule = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
                    and must start and end with an alphanumeric character";
        ("FieldValueInvalid", format!("Invalid value: {name:?}: {rule}"))
    } else {
        return Ok(());
    };
    Err(Failure::invalid(resource, name, &[FieldError { path: "metadata.name".to_owned(), reason, message }]))
}

pub(super) fn check_namespace(state: &State, writing: &Writing<'_>, name: &str) -> Result<(), Failure> {
    if !writing.resource.namespaced {
        return Ok(());
    }
    let namespaces = state.registry.by_storage(NAMESPACES);
    let key =
        Key { storage: NAMESPACES.to_owned(), namespace: String::new(), name: writing.namespace.to_owned() };
    match (state.store.get(&key), namespaces) {
        (Some(namespace), _) if object::is_terminating(namespace) => {
            Err(Failure::namespace_terminating(writing.resource, name, writing.namespace))
        }
        (Some(_), _) | (None, None) => Ok(()),
        (None, Some(namespaces)) => Err(Failure::not_found(&namespaces, writing.namespace)),
    }
}

/// What the server itself writes into new objects of some kinds.
pub(super) fn initialise(resource: &Resource, new: &mut Value, now: Timestamp) {
    match resource.storage.as_str() {
        NAMESPACES => {
            let name = object::name(new).to_owned();
            if let Some(labels) =
                new.pointer_mut("/metadata").and_then(|metadata| object::child(metadata, "labels"))
            {
                labels.insert("kubernetes.io/metadata.name".to_owned(), name.into());
            }
            new["status"] = json!({"phase": "Active"});
        }
        builtins::DEFINITIONS => crds::establish(new, Some(now)),
        _ => {}
    }
}

/// The few defaults of built-in kinds that readers rely on.
pub(super) fn default_built_in(resource: &Resource, sent: &mut Value) {
    let (field, default) = match resource.storage.as_str() {
        builtins::DEPLOYMENTS | builtins::REPLICA_SETS => ("replicas", json!(1)),
        "/services" => ("type", json!("ClusterIP")),
        _ => return,
    };
    if let Some(spec) = object::child(sent, "spec") {
        spec.entry(field).or_insert(default);
    }
}
