//! Defaulting: absent fields get their default; nulls that are not allowed become it, or go.

use serde_json::Value;

use super::node::{Additional, Node};

/// Applies the defaults below `node` to `value`, in place.
pub(super) fn apply(node: &Node, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, property) in &node.properties {
                if let Some(default) = &property.default
                    && fields.get(name).is_none_or(|field| property.refuses_null(field))
                {
                    fields.insert(name.clone(), default.clone());
                }
            }
            if let Additional::Schema(values) = &node.additional
                && let Some(default) = &values.default
            {
                for (name, field) in fields.iter_mut() {
                    if !node.properties.contains_key(name) && values.refuses_null(field) {
                        *field = default.clone();
                    }
                }
            }
            fields.retain(|name, field| !node.field(name).is_some_and(|schema| schema.refuses_null(field)));
            for (name, field) in fields.iter_mut() {
                if let Some(schema) = node.field(name) {
                    apply(schema, field);
                }
            }
        }
        Value::Array(items) => {
            let Some(schema) = node.items.as_deref() else {
                return;
            };
            for item in items {
                if let Some(default) = &schema.default
                    && schema.refuses_null(item)
                {
                    *item = default.clone();
                }
                apply(schema, item);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
