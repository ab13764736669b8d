//! Pruning: unknown fields go, and their paths are told.

use serde_json::Value;

use super::fields::{child, index};
use super::node::{Additional, Node};

/// The fields of a whole Kubernetes object that its schema does not govern.
const OBJECT_FIELDS: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// Removes what `node` does not know from `object` and returns the removed paths.
pub(super) fn prune(node: &Node, object: &mut Value) -> Vec<String> {
    let mut removed = Vec::new();
    prune_value(Some(node), object, "", &mut removed);
    removed
}

fn prune_value(node: Option<&Node>, value: &mut Value, path: &str, removed: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, field| {
                if node.is_some_and(|node| node.resource) && OBJECT_FIELDS.contains(&name.as_str()) {
                    return true;
                }
                let at = child(path, name);
                if let Some(known) = node.and_then(|node| node.field(name)) {
                    prune_value(Some(known), field, &at, removed);
                    return true;
                }
                if node.is_some_and(|node| node.preserve_unknown) {
                    return true;
                }
                if node.is_some_and(|node| matches!(node.additional, Additional::Any)) {
                    // The key is allowed, but nothing says what may be in it.
                    prune_value(None, field, &at, removed);
                    return true;
                }
                removed.push(at);
                false
            });
        }
        Value::Array(items) => {
            let schema = node.and_then(|node| node.items.as_deref());
            if schema.is_none() && node.is_some_and(|node| node.preserve_unknown) {
                return;
            }
            for (i, item) in items.iter_mut().enumerate() {
                prune_value(schema, item, &index(path, i), removed);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
