//! The scale subresource: an `autoscaling/v1` Scale over fields of the object.

use serde_json::{Map, Value, json};

use super::decode::Source;
use super::failure::Failure;
use super::jsonpath;
use super::object;
use super::resource::{Resource, Scale};
use crate::schema::FieldError;

/// The Scale of an object.
pub(super) fn of(resource: &Resource, scale: &Scale, stored: &Value) -> Value {
    let at =
        |path: &str| stored.pointer(&jsonpath::pointer(path)).and_then(Value::as_i64).unwrap_or_default();
    let metadata = &stored["metadata"];
    let replicas = at(&scale.spec_replicas);
    let mut status = json!({"replicas": at(&scale.status_replicas)});
    let selector = match &scale.label_selector {
        Some(path) => stored.pointer(&jsonpath::pointer(path)).and_then(Value::as_str).map(str::to_owned),
        None if resource.is_custom() => None,
        None => Some(match_labels(stored)),
    };
    if let Some(selector) = selector {
        status["selector"] = selector.into();
    }
    json!({
        "apiVersion": "autoscaling/v1", "kind": "Scale",
        "metadata": {
            "name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"], "creationTimestamp": metadata["creationTimestamp"],
        },
        "spec": if replicas == 0 { json!({}) } else { json!({"replicas": replicas}) }, "status": status,
    })
}

/// The object with the replicas, and the version if given, that a Scale asks for.
pub(super) fn apply(scale: &Scale, stored: &Value, sent: &Value) -> Result<Value, Failure> {
    let wanted = sent["spec"]["replicas"].as_i64().unwrap_or_default();
    let mut changed = stored.clone();
    if let Some(version) = sent["metadata"]["resourceVersion"].as_str().filter(|version| !version.is_empty())
    {
        changed["metadata"]["resourceVersion"] = version.into();
    }
    let pointer = jsonpath::pointer(&scale.spec_replicas);
    let mut slot = &mut changed;
    for field in pointer.split('/').skip(1) {
        if slot.is_null() {
            *slot = Value::Object(Map::new());
        }
        let fields =
            slot.as_object_mut().ok_or_else(|| Failure::internal("the scale path leads through no map"))?;
        slot = fields.entry(field).or_insert(Value::Null);
    }
    *slot = wanted.into();
    Ok(changed)
}

/// Refuses what is no Scale, or one of another object.
pub(super) fn decode(sent: &Value, name: &str, source: Source) -> Result<(), Failure> {
    let replicas = &sent["spec"]["replicas"];
    let fits = sent.is_object()
        && (sent["spec"].is_null() || sent["spec"].is_object())
        && (replicas.is_null() || replicas.as_i64().is_some_and(|replicas| i32::try_from(replicas).is_ok()));
    if !fits {
        let why = "json: cannot unmarshal it into a Scale";
        return Err(match source {
            Source::Patch => Failure::invalid_patch(sent, why),
            Source::Body => {
                Failure::bad_request(format!("Scale in version \"v1\" cannot be handled as a Scale: {why}"))
            }
        });
    }
    if object::name(sent) != name {
        return Err(Failure::bad_request(format!(
            "the name of the object ({}) does not match the name on the URL ({name})",
            object::name(sent)
        )));
    }
    Ok(())
}

/// What is wrong with the fields of a custom resource that a Scale is made of.
pub(super) fn check(resource: &Resource, object: &Value) -> Vec<FieldError> {
    let Some(scale) = &resource.scale else {
        return Vec::new();
    };
    let mut errors = Vec::new();
    let mut refuse = |path: &str, why: &str| {
        let message = format!("Invalid value: {why}");
        errors.push(FieldError { path: path.to_owned(), reason: "FieldValueInvalid", message });
    };
    for path in [&scale.spec_replicas, &scale.status_replicas] {
        match reach(object, path) {
            Ok(None) => {}
            Ok(Some(value)) => match value.as_i64() {
                Some(replicas) if replicas < 0 => {
                    refuse(path, &format!("{replicas}: should be a non-negative integer"));
                }
                Some(replicas) if replicas > i64::from(i32::MAX) => {
                    refuse(path, &format!("{replicas}: should be less than or equal to {}", i32::MAX));
                }
                Some(_) => {}
                None => refuse(path, "accessor error: it is not of the type int64"),
            },
            Err(()) => refuse(path, "accessor error: it leads through no map"),
        }
    }
    if let Some(path) = &scale.label_selector
        && reach(object, path).map_or(true, |value| value.is_some_and(|value| !value.is_string()))
    {
        refuse(path, "accessor error: it is not of the type string");
    }
    errors
}

/// The value at a path; an error where the path leads through something that is no map.
fn reach<'v>(object: &'v Value, path: &str) -> Result<Option<&'v Value>, ()> {
    let mut at = object;
    for field in path.trim_start_matches('.').split('.') {
        match at.as_object().ok_or(())?.get(field) {
            Some(value) => at = value,
            None => return Ok(None),
        }
    }
    Ok(Some(at))
}

fn match_labels(stored: &Value) -> String {
    let labels = stored["spec"]["selector"]["matchLabels"].as_object().into_iter().flatten();
    labels
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect::<Vec<_>>()
        .join(",")
}
