//! The patch types: JSON Patch, merge patch, and strategic merge patch as far as it only touches maps.

use serde_json::Value;

use super::failure::Failure;
use super::operations;
use super::resource::Resource;

/// A parsed patch.
#[derive(Debug)]
pub(super) enum Patch {
    Json(Vec<Value>),
    Merge(Value),
}

impl Patch {
    /// Reads a patch body by its content type.
    pub fn parse(resource: &Resource, content_type: &str, body: &[u8]) -> Result<Self, Failure> {
        let undecodable = |_: serde_json::Error| Failure::bad_request("invalid JSON patch");
        match content_type {
            "application/json-patch+json" => json_patch(serde_json::from_slice(body).map_err(undecodable)?),
            "application/merge-patch+json" => {
                object_patch(serde_json::from_slice(body).map_err(undecodable)?)
            }
            "application/strategic-merge-patch+json" if resource.is_custom() => {
                Err(Failure::unsupported_media_type(
                    "the body of the request was in an unknown format - accepted media types include: \
                 application/json-patch+json, application/merge-patch+json",
                ))
            }
            "application/strategic-merge-patch+json" => {
                let patch = serde_json::from_slice(body).map_err(undecodable)?;
                if needs_list_keys(&patch) {
                    return Err(Failure::unsupported_media_type(
                        "the embedded API server serves strategic merge patches of maps and plain values only, \
                         not of lists or with directives; send a merge patch or a JSON patch",
                    ));
                }
                object_patch(patch)
            }
            "application/apply-patch+yaml" | "application/apply-patch+cbor" => {
                Err(Failure::unsupported_media_type(
                    "the embedded API server does not serve server-side apply; use client-side apply, a merge patch \
                 or a JSON patch, or a real control plane",
                ))
            }
            _ => Err(Failure::no_patch_type(resource)),
        }
    }

    /// The object with the patch applied.
    pub fn apply(&self, current: &Value) -> Result<Value, Failure> {
        let mut patched = current.clone();
        match self {
            Self::Json(list) => {
                operations::apply(&mut patched, list).map_err(|_| Failure::patch_does_not_apply())?;
            }
            Self::Merge(patch) => merge(&mut patched, patch),
        }
        Ok(patched)
    }
}

/// Merges as upstream does: nulls that remove nothing go too, even those inside of lists.
fn merge(target: &mut Value, patch: &Value) {
    match (target, patch) {
        (Value::Object(fields), Value::Object(changes)) => {
            for (field, change) in changes {
                match (fields.get_mut(field), change) {
                    (_, Value::Null) => {
                        fields.remove(field);
                    }
                    (Some(current), change) if !current.is_null() => merge(current, change),
                    (_, change) => {
                        fields.insert(field.clone(), without_nulls(change));
                    }
                }
            }
        }
        (target @ Value::Object(_), patch) => *target = patch.clone(),
        (target, patch) => *target = without_nulls(patch),
    }
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(_, value)| !value.is_null());
            kept.map(|(field, value)| (field.clone(), without_nulls(value))).collect()
        }
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// A list of operations, which are looked at when they are carried out.
fn json_patch(operations: Value) -> Result<Patch, Failure> {
    match operations {
        Value::Null => Ok(Patch::Json(Vec::new())),
        Value::Array(operations) => Ok(Patch::Json(operations)),
        _ => Err(Failure::bad_request(
            "error decoding patch: json: cannot unmarshal it into a list of operations",
        )),
    }
}

fn object_patch(patch: Value) -> Result<Patch, Failure> {
    if patch.is_object() {
        Ok(Patch::Merge(patch))
    } else {
        Err(Failure::bad_request("error decoding patch: it must be a JSON object"))
    }
}

/// Lists merge by keys that only the Go types know, and directives change how.
fn needs_list_keys(patch: &Value) -> bool {
    match patch {
        Value::Array(_) => true,
        Value::Object(fields) => {
            fields.iter().any(|(field, value)| field.starts_with('$') || needs_list_keys(value))
        }
        _ => false,
    }
}
