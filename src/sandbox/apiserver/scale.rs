//! The scale subresource: an `autoscaling/v1` Scale over fields of the object.

use serde_json::{Map, Value, json};

use super::failure::Failure;
use super::jsonpath;
use super::resource::{Resource, Scale};

/// The Scale of an object.
pub(super) fn of(resource: &Resource, scale: &Scale, stored: &Value) -> Value {
    let at =
        |path: &str| stored.pointer(&jsonpath::pointer(path)).and_then(Value::as_i64).unwrap_or_default();
    let metadata = &stored["metadata"];
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
        "spec": {"replicas": at(&scale.spec_replicas)}, "status": status,
    })
}

/// The object with the replicas, and the version if given, that a Scale asks for.
pub(super) fn apply(scale: &Scale, stored: &Value, sent: &Value) -> Result<Value, Failure> {
    let wanted = sent["spec"]["replicas"].as_i64().unwrap_or_default();
    if wanted < 0 {
        return Err(Failure::bad_request("spec.replicas must be greater than or equal to 0"));
    }
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

fn match_labels(stored: &Value) -> String {
    let labels = stored["spec"]["selector"]["matchLabels"].as_object().into_iter().flatten();
    labels
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect::<Vec<_>>()
        .join(",")
}
