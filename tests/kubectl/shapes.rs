//! The shape of JSON: which fields there are, and of which type. Pipelines build on it.

use std::collections::BTreeSet;

use serde_json::Value;

/// A line a field, in order; all items of a list count as one.
pub fn shape(value: &Value) -> String {
    let mut lines = BTreeSet::new();
    walk("", value, &mut lines);
    lines.into_iter().collect::<Vec<_>>().join("\n")
}

fn walk(path: &str, value: &Value, lines: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, value)| walk(&format!("{path}.{name}"), value, lines));
        }
        Value::Array(items) if items.is_empty() => drop(lines.insert(format!("{path}[]"))),
        Value::Array(items) => items.iter().for_each(|item| walk(&format!("{path}[]"), item, lines)),
        Value::Null => drop(lines.insert(format!("{path}: null"))),
        Value::Bool(_) => drop(lines.insert(format!("{path}: bool"))),
        Value::Number(_) => drop(lines.insert(format!("{path}: number"))),
        Value::String(_) => drop(lines.insert(format!("{path}: string"))),
    }
}
