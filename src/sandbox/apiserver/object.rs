//! Reading and writing the fields that every Kubernetes object has.
//!
//! Objects are JSON values. [`check_shape`] is asked at the door, so that everywhere else `metadata` is known
//! to be a map whose fields have their types.

use serde_json::{Map, Value};

/// The fields of `metadata` that Kubernetes knows; others are dropped.
const METADATA_FIELDS: [&str; 15] = [
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// The fields of an owner reference.
const OWNER_FIELDS: [&str; 6] = ["apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion"];

/// A string at a JSON pointer, or the empty string.
pub(super) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A whole number at a JSON pointer.
pub(super) fn number(object: &Value, pointer: &str) -> Option<i64> {
    object.pointer(pointer).and_then(Value::as_i64)
}

pub(super) fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}

pub(super) fn namespace(object: &Value) -> &str {
    text(object, "/metadata/namespace")
}

pub(super) fn uid(object: &Value) -> &str {
    text(object, "/metadata/uid")
}

pub(super) fn resource_version(object: &Value) -> &str {
    text(object, "/metadata/resourceVersion")
}

/// Whether deletion has begun and waits for finalizers.
pub(super) fn is_terminating(object: &Value) -> bool {
    object.pointer("/metadata/deletionTimestamp").is_some_and(Value::is_string)
}

pub(super) fn finalizers(object: &Value) -> impl Iterator<Item = &str> {
    object
        .pointer("/metadata/finalizers")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

pub(super) fn owner_references(object: &Value) -> impl Iterator<Item = &Value> {
    object.pointer("/metadata/ownerReferences").and_then(Value::as_array).into_iter().flatten()
}

/// A nested map, created where it is absent or null; `None` where something else is in its place.
pub(super) fn child<'a>(object: &'a mut Value, field: &str) -> Option<&'a mut Map<String, Value>> {
    let slot = object.as_object_mut()?.entry(field).or_insert(Value::Null);
    if slot.is_null() {
        *slot = Value::Object(Map::new());
    }
    slot.as_object_mut()
}

/// Sets a field of `metadata`, or removes it where the value is null.
pub(super) fn set_metadata(object: &mut Value, field: &str, value: Value) {
    let Some(metadata) = child(object, "metadata") else {
        return;
    };
    if value.is_null() {
        metadata.remove(field);
    } else {
        metadata.insert(field.to_owned(), value);
    }
}

/// Takes over a field of `metadata` from another object, absence included.
pub(super) fn keep_metadata(object: &mut Value, from: &Value, field: &str) {
    set_metadata(
        object,
        field,
        from.pointer("/metadata").map_or(Value::Null, |metadata| metadata[field].clone()),
    );
}

/// Writes whole numbers without a fraction, as Go does: `1` for `1.0`.
pub(super) fn shorten_numbers(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(shorten_numbers),
        Value::Object(fields) => fields.values_mut().for_each(shorten_numbers),
        Value::Number(number) if number.is_f64() => {
            let whole = number.as_f64().filter(|number| number.fract() == 0.0 && number.abs() < 1e15);
            if let Some(whole) = whole.and_then(|whole| format!("{whole:.0}").parse::<i64>().ok()) {
                *value = whole.into();
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The object without the fields that differ at every write.
pub(super) fn without_bookkeeping(object: &Value) -> Value {
    let mut plain = object.clone();
    set_metadata(&mut plain, "managedFields", Value::Null);
    set_metadata(&mut plain, "resourceVersion", Value::Null);
    plain
}

/// Drops fields of `metadata` that Kubernetes does not know, and those that say nothing; returns the paths of the
/// unknown ones.
pub(super) fn prune_metadata(object: &mut Value) -> Vec<String> {
    let Some(metadata) = child(object, "metadata") else {
        return Vec::new();
    };
    let mut unknown: Vec<String> = metadata
        .keys()
        .filter(|field| !METADATA_FIELDS.contains(&field.as_str()))
        .map(|field| format!("metadata.{field}"))
        .collect();
    for map in ["labels", "annotations"] {
        // A null in a map of strings is the empty string to Go.
        let values =
            metadata.get_mut(map).and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut);
        values.filter(|value| value.is_null()).for_each(|value| *value = "".into());
    }
    metadata.retain(|field, value| !says_nothing(value) && METADATA_FIELDS.contains(&field.as_str()));
    metadata.remove("selfLink");
    let owners = metadata.get_mut("ownerReferences").and_then(Value::as_array_mut).into_iter().flatten();
    for (index, owner) in
        owners.enumerate().filter_map(|(index, owner)| Some((index, owner.as_object_mut()?)))
    {
        owner.retain(|field, value| {
            let known = OWNER_FIELDS.contains(&field.as_str());
            if !known {
                unknown.push(format!("metadata.ownerReferences[{index}].{field}"));
            }
            known && !value.is_null()
        });
    }
    unknown
}

/// Whether the Go type of this field would leave it out.
fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Refuses a body whose `metadata` could not be an `ObjectMeta`.
pub(super) fn check_shape(object: &Value) -> Result<(), String> {
    let Some(metadata) = object.get("metadata").filter(|metadata| !metadata.is_null()) else {
        return Ok(());
    };
    let Some(metadata) = metadata.as_object() else {
        return Err("json: cannot unmarshal metadata: it must be an object".to_owned());
    };
    for (field, value) in metadata.iter().filter(|(_, value)| !value.is_null()) {
        let fits = match field.as_str() {
            "labels" | "annotations" => value
                .as_object()
                .is_some_and(|map| map.values().all(|value| value.is_string() || value.is_null())),
            "finalizers" => value.as_array().is_some_and(|list| list.iter().all(Value::is_string)),
            "ownerReferences" | "managedFields" => {
                value.as_array().is_some_and(|list| list.iter().all(Value::is_object))
            }
            "name" | "namespace" | "generateName" | "uid" | "resourceVersion" | "selfLink" => {
                value.is_string()
            }
            "creationTimestamp" | "deletionTimestamp" => {
                value.as_str().is_some_and(|time| time.parse::<jiff::Timestamp>().is_ok())
            }
            "generation" | "deletionGracePeriodSeconds" => value.is_i64() || value.is_u64(),
            _ => true,
        };
        if !fits {
            return Err(format!("json: cannot unmarshal metadata.{field}: it has the wrong type"));
        }
    }
    Ok(())
}
