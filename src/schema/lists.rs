//! Lists that are sets or maps: no item twice, and the old item that a new one continues.

use serde_json::Value;

use super::fields::{FieldError, child, index};
use super::node::{ListType, Node};

/// Adds an error for every repeated item of the sets and maps below `node`.
pub(super) fn check_unique(node: &Node, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                if let Some(schema) = node.field(name) {
                    check_unique(schema, field, &child(path, name), errors);
                }
            }
        }
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                if node.list.is_map() && !item.is_object() && !item.is_null() {
                    let detail = "must be an object for an array of list-type map";
                    errors.push(FieldError::invalid(index(path, i), item, detail));
                    continue;
                }
                if items[..i].iter().any(|earlier| same_item(node, earlier, item)) {
                    errors.push(FieldError::duplicate(index(path, i), &identity(node, item)));
                }
                if let Some(schema) = node.items.as_deref() {
                    check_unique(schema, item, &index(path, i), errors);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The item of the old list that `item` continues; only lists of type map tell.
pub(super) fn old_item<'a>(node: &Node, old: Option<&'a Value>, item: &Value) -> Option<&'a Value> {
    match node.list {
        ListType::Map(_) => old?.as_array()?.iter().find(|earlier| same_item(node, earlier, item)),
        ListType::Atomic | ListType::Set => None,
    }
}

fn same_item(node: &Node, a: &Value, b: &Value) -> bool {
    match &node.list {
        ListType::Atomic => false,
        ListType::Set => a == b,
        ListType::Map(keys) => keys.iter().all(|key| a.get(key) == b.get(key)),
    }
}

/// What an error shows of a repeated item: the item of a set, the keys of a map's item.
fn identity(node: &Node, item: &Value) -> Value {
    match &node.list {
        ListType::Atomic | ListType::Set => item.clone(),
        ListType::Map(keys) => {
            keys.iter().filter_map(|key| Some((key.clone(), item.get(key)?.clone()))).collect()
        }
    }
}
