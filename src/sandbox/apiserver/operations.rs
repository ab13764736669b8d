//! JSON Patch as upstream applies it, which is more forgiving than RFC 6902: a field that is not there can be
//! replaced and tested for null, and an index may count from the end.

use serde_json::{Map, Value};

/// The operation that could not be carried out; upstream tells no more either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DoesNotApply;

/// Applies a list of operations in order.
pub(super) fn apply(document: &mut Value, operations: &[Value]) -> Result<(), DoesNotApply> {
    operations.iter().try_for_each(|operation| apply_one(document, operation))
}

fn apply_one(document: &mut Value, operation: &Value) -> Result<(), DoesNotApply> {
    let text = |field: &str| operation.get(field).and_then(Value::as_str).ok_or(DoesNotApply);
    let path = text("path")?;
    let value = || operation.get("value").cloned().unwrap_or_default();
    match text("op")? {
        "add" => add(document, path, value()),
        "remove" => remove(document, path).map(|_| ()),
        "replace" if path.is_empty() => {
            *document = value();
            Ok(())
        }
        "replace" => replace(document, path, value()),
        "move" => {
            let moved = remove(document, text("from")?)?;
            add(document, path, moved)
        }
        "copy" => {
            let copied = read(document, text("from")?)?.unwrap_or_default();
            add(document, path, copied)
        }
        "test" if path.is_empty() => {
            if *document == value() {
                Ok(())
            } else {
                Err(DoesNotApply)
            }
        }
        "test" if read(document, path)?.unwrap_or_default() == value() => Ok(()),
        _ => Err(DoesNotApply),
    }
}

/// Where a path ends: a map and its key, or a list and its index as written.
enum Place<'d> {
    Field(&'d mut Map<String, Value>, String),
    Item(&'d mut Vec<Value>, String),
}

/// What precedes the first slash counts for nothing.
fn place<'d>(document: &'d mut Value, path: &str) -> Result<Place<'d>, DoesNotApply> {
    let mut parts: Vec<String> =
        path.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~")).collect();
    let last = parts.pop().ok_or(DoesNotApply)?;
    let mut at = document;
    for part in &parts {
        at = match at {
            Value::Object(fields) => fields.get_mut(part).ok_or(DoesNotApply)?,
            Value::Array(items) => {
                let index = existing(part, items.len())?;
                items.get_mut(index).ok_or(DoesNotApply)?
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return Err(DoesNotApply),
        };
    }
    match at {
        Value::Object(fields) => Ok(Place::Field(fields, last)),
        Value::Array(items) => Ok(Place::Item(items, last)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Err(DoesNotApply),
    }
}

/// The index of an item that is there; a negative one counts from the end.
fn existing(index: &str, length: usize) -> Result<usize, DoesNotApply> {
    let index: i64 = index.parse().map_err(|_| DoesNotApply)?;
    let length = i64::try_from(length).map_err(|_| DoesNotApply)?;
    let index = if index < 0 { index + length } else { index };
    if (0..length).contains(&index) {
        usize::try_from(index).map_err(|_| DoesNotApply)
    } else {
        Err(DoesNotApply)
    }
}

fn add(document: &mut Value, path: &str, value: Value) -> Result<(), DoesNotApply> {
    match place(document, path)? {
        Place::Field(fields, key) => {
            fields.insert(key, value);
        }
        Place::Item(items, index) if index == "-" => items.push(value),
        // The list is one longer once the item is in it.
        Place::Item(items, index) => items.insert(existing(&index, items.len() + 1)?, value),
    }
    Ok(())
}

fn remove(document: &mut Value, path: &str) -> Result<Value, DoesNotApply> {
    match place(document, path)? {
        Place::Field(fields, key) => fields.remove(&key).ok_or(DoesNotApply),
        Place::Item(items, index) => Ok(items.remove(existing(&index, items.len())?)),
    }
}

fn replace(document: &mut Value, path: &str, value: Value) -> Result<(), DoesNotApply> {
    match place(document, path)? {
        Place::Field(fields, key) => {
            fields.insert(key, value);
        }
        Place::Item(items, index) => {
            let index = existing(&index, items.len())?;
            items[index] = value;
        }
    }
    Ok(())
}

/// The value at a path; a field that is not there is no mistake, an item that is not there is one.
fn read(document: &mut Value, path: &str) -> Result<Option<Value>, DoesNotApply> {
    match place(document, path)? {
        Place::Field(fields, key) => Ok(fields.get(&key).cloned()),
        Place::Item(items, index) => Ok(Some(items[existing(&index, items.len())?].clone())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn operations_apply_as_upstream_has_them() {
        let document = json!({"a": 1, "list": [1, 2], "x/y": {"~": 0}});
        for (operation, want) in [
            (json!({"op": "add", "path": "/b", "value": 2}), Some(json!({"b": 2}))),
            (json!({"op": "replace", "path": "/absent", "value": 2}), Some(json!({"absent": 2}))),
            (json!({"op": "add", "path": "nonsense/c", "value": 2}), Some(json!({"c": 2}))),
            (json!({"op": "add", "path": "/list/-", "value": 3}), Some(json!({"list": [1, 2, 3]}))),
            (json!({"op": "add", "path": "/list/0", "value": 3}), Some(json!({"list": [3, 1, 2]}))),
            (json!({"op": "replace", "path": "/list/-1", "value": 3}), Some(json!({"list": [1, 3]}))),
            (json!({"op": "remove", "path": "/list/0"}), Some(json!({"list": [2]}))),
            (json!({"op": "test", "path": "/absent", "value": null}), Some(json!({}))),
            (json!({"op": "test", "path": "/x~1y/~0", "value": 0}), Some(json!({}))),
            (json!({"op": "copy", "from": "/a", "path": "/d"}), Some(json!({"d": 1}))),
            (json!({"op": "test", "path": "/a", "value": 1.0}), None),
            (json!({"op": "remove", "path": "/absent"}), None),
            (json!({"op": "add", "path": "/absent/deeper", "value": 1}), None),
            (json!({"op": "add", "path": "/list/9", "value": 1}), None),
            (json!({"op": "add", "path": "/a/deeper", "value": 1}), None),
            (json!({"op": "made-up", "path": "/a"}), None),
            (json!({"path": "/a"}), None),
            (json!({"op": "remove"}), None),
        ] {
            let mut patched = document.clone();
            let applied = apply(&mut patched, std::slice::from_ref(&operation));
            let wanted = want.map(|changes| {
                let mut wanted = document.clone();
                changes.as_object().unwrap().iter().for_each(|(field, value)| wanted[field] = value.clone());
                wanted
            });
            assert_eq!(applied.is_ok().then_some(patched), wanted, "{operation}");
        }
    }
}
