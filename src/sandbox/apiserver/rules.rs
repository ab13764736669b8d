//! The rules of names, namespaces and preconditions, and what the server itself puts into objects.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::builtins::{self, NAMESPACES};
use super::failure::Failure;
use super::object;
use super::resource::Resource;
use super::store::Key;
use super::write::Writing;
use super::{State, builtin_defaults, crds};

/// Refuses an update that is based on another object or version than the stored one.
pub(super) fn check_preconditions(
    resource: &Resource,
    is_patch: bool,
    current: &Value,
    new: &Value,
) -> Result<(), Failure> {
    let name = object::name(current);
    let uid = object::uid(new);
    if !is_patch && !uid.is_empty() && uid != object::uid(current) {
        let why = format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            object::uid(current)
        );
        return Err(Failure::conflict(resource, name, &why));
    }
    let version = object::resource_version(new);
    let number: u64 = match version {
        "" => 0,
        version => version.parse().map_err(|_| {
            Failure::unexpected(format!("strconv.ParseUint: parsing {version:?}: invalid syntax"))
        })?,
    };
    if number == 0 {
        return if resource.updates.unconditional {
            Ok(())
        } else {
            Err(Failure::version_required(resource, name))
        };
    }
    if number.to_string() != object::resource_version(current) {
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

/// What the server itself keeps through changes of some kinds.
pub(super) fn carry_over(resource: &Resource, new: &mut Value, current: &Value) {
    match resource.storage.as_str() {
        builtins::SERVICES => builtin_defaults::keep_address(new, current),
        NAMESPACES => label_namespace(new),
        _ => {}
    }
}

/// Every namespace is labelled with its name.
fn label_namespace(namespace: &mut Value) {
    let name = object::name(namespace).to_owned();
    if let Some(labels) =
        namespace.pointer_mut("/metadata").and_then(|metadata| object::child(metadata, "labels"))
    {
        labels.insert("kubernetes.io/metadata.name".to_owned(), name.into());
    }
}

/// What the server itself writes into new objects of some kinds.
pub(super) fn initialise(resource: &Resource, new: &mut Value, now: Timestamp) {
    match resource.storage.as_str() {
        NAMESPACES => {
            label_namespace(new);
            new["spec"] = json!({"finalizers": ["kubernetes"]});
            new["status"] = json!({"phase": "Active"});
        }
        builtins::DEFINITIONS => crds::establish(new, Some(now)),
        builtins::SERVICES => builtin_defaults::allocate_address(new),
        _ => {}
    }
    if let Some(empty) = builtin_defaults::empty_status(resource) {
        new["status"] = empty;
    }
}
