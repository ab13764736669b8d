//! Who wrote which field last: `metadata.managedFields`.
//!
//! Every write is recorded as an `Update` of its manager. A field belongs to whoever changed it last, a map (apart from
//! what is in it) to whoever brought it; lists are atomic, as they are in the routes that the product cares about.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::object;

/// The path of a leaf, or of a map itself: map keys from the root.
type Path = Vec<String>;

/// Fields that the server itself keeps, which nobody owns.
const SERVER_FIELDS: [&str; 10] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "name",
    "namespace",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// The one map of the built-in kinds here that belongs to one writer whole.
const SELECTOR: [&str; 2] = ["spec", "selector"];

/// Who writes, and through which door.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    pub manager: String,
    pub subresource: Option<String>,
    pub api_version: String,
    /// Whether the kind's `spec` and `status` are always there, as in Go types, so that nobody brings them.
    pub is_built_in: bool,
}

/// Sets `managedFields` of `new`, given what was there before.
pub(super) fn record(old: Option<&Value>, new: &mut Value, writer: &Writer, now: Timestamp) {
    // An object that nobody is recorded for stays so, as upstream has it.
    if old.is_some_and(|old| old.pointer("/metadata/managedFields").is_none()) {
        object::set_metadata(new, "managedFields", Value::Null);
        return;
    }
    let before = old.map(|old| owned(old, writer.is_built_in)).unwrap_or_default();
    let after = owned(new, writer.is_built_in);
    let changed: BTreeSet<Path> = after
        .iter()
        .filter(|(path, value)| before.get(*path) != Some(value))
        .map(|(path, _)| path.clone())
        .collect();
    let lost = |path: &Path| changed.contains(path) || !after.contains_key(path);

    let mut entries = Vec::new();
    let mut own = changed.clone();
    let mut own_time = Value::Null;
    for entry in old.and_then(|old| old.pointer("/metadata/managedFields")?.as_array()).into_iter().flatten()
    {
        let mut paths = BTreeSet::new();
        collect_paths(&entry["fieldsV1"], &mut Vec::new(), &mut paths);
        paths.retain(|path| !lost(path));
        if is_of(entry, writer) {
            own_time = entry["time"].clone();
            own.extend(paths);
        } else if !paths.is_empty() {
            let mut kept = entry.clone();
            kept["fieldsV1"] = fields_v1(&paths);
            entries.push(kept);
        }
    }
    if !own.is_empty() {
        let time = if changed.is_empty() && !own_time.is_null() { own_time } else { json!(seconds(now)) };
        let mut entry = json!({
            "manager": writer.manager, "operation": "Update", "apiVersion": writer.api_version, "time": time,
            "fieldsType": "FieldsV1", "fieldsV1": fields_v1(&own),
        });
        if let Some(subresource) = &writer.subresource {
            entry["subresource"] = subresource.as_str().into();
        }
        entries.push(entry);
    }
    object::set_metadata(new, "managedFields", if entries.is_empty() { Value::Null } else { entries.into() });
}

/// Whether somebody is recorded as the owner of a field.
pub(super) fn is_owned(object: &Value, path: &[&str]) -> bool {
    let pointer: String = path.iter().map(|field| format!("/f:{field}")).collect();
    let entries = object.pointer("/metadata/managedFields").and_then(Value::as_array).into_iter().flatten();
    entries.into_iter().any(|entry| entry["fieldsV1"].pointer(&pointer).is_some())
}

/// Sets `managedFields` of `new` to what was there before, but for one field that nobody owns any more.
pub(super) fn disown(old: &Value, new: &mut Value, path: &[&str]) {
    let mut entries = Vec::new();
    for entry in old.pointer("/metadata/managedFields").and_then(Value::as_array).into_iter().flatten() {
        let mut paths = BTreeSet::new();
        collect_paths(&entry["fieldsV1"], &mut Vec::new(), &mut paths);
        paths.remove(path.iter().map(ToString::to_string).collect::<Path>().as_slice());
        if !paths.is_empty() {
            let mut kept = entry.clone();
            kept["fieldsV1"] = fields_v1(&paths);
            entries.push(kept);
        }
    }
    object::set_metadata(new, "managedFields", if entries.is_empty() { Value::Null } else { entries.into() });
}

/// A time as `metadata` spells it: whole seconds.
pub(super) fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn is_of(entry: &Value, writer: &Writer) -> bool {
    entry["manager"] == writer.manager.as_str()
        && entry["operation"] == "Update"
        && entry.get("subresource").and_then(Value::as_str) == writer.subresource.as_deref()
}

/// What can be owned: leaves with their values, and maps without a value of their own.
fn owned(object: &Value, is_built_in: bool) -> BTreeMap<Path, Option<&Value>> {
    let mut found = BTreeMap::new();
    for (field, value) in object.as_object().into_iter().flatten() {
        match (field.as_str(), value.as_object()) {
            ("apiVersion" | "kind", _) => {}
            ("metadata", Some(metadata)) => {
                for (field, value) in
                    metadata.iter().filter(|(field, _)| !SERVER_FIELDS.contains(&field.as_str()))
                {
                    collect(value, &mut vec!["metadata".to_owned(), field.clone()], &mut found);
                }
            }
            _ => collect(value, &mut vec![field.clone()], &mut found),
        }
    }
    if is_built_in {
        for field in ["spec", "status"] {
            found.remove([field.to_owned()].as_slice());
        }
        if let Some(selector) = object.pointer("/spec/selector") {
            let path = SELECTOR.map(str::to_owned);
            found.retain(|inside, _| !inside.starts_with(&path));
            found.insert(path.into(), Some(selector));
        }
    }
    found
}

fn collect<'v>(value: &'v Value, path: &mut Path, found: &mut BTreeMap<Path, Option<&'v Value>>) {
    match value.as_object() {
        Some(fields) if !fields.is_empty() => {
            found.insert(path.clone(), None);
            for (field, value) in fields {
                path.push(field.clone());
                collect(value, path, found);
                path.pop();
            }
        }
        Some(_) => {
            found.insert(path.clone(), None);
        }
        None => {
            found.insert(path.clone(), Some(value));
        }
    }
}

/// `{}` is an owned leaf, `"."` beside other fields the map itself.
fn fields_v1(paths: &BTreeSet<Path>) -> Value {
    let mut root = Map::new();
    for path in paths {
        let mut at = &mut root;
        for (depth, field) in path.iter().enumerate() {
            if depth > 0 && paths.contains(&path[..depth]) {
                at.entry(".").or_insert_with(|| Value::Object(Map::new()));
            }
            let slot = at.entry(format!("f:{field}")).or_insert_with(|| Value::Object(Map::new()));
            match slot.as_object_mut() {
                Some(inside) => at = inside,
                None => break,
            }
        }
    }
    Value::Object(root)
}

fn collect_paths(fields: &Value, path: &mut Path, found: &mut BTreeSet<Path>) {
    let Some(fields) = fields.as_object().filter(|fields| !fields.is_empty()) else {
        found.insert(path.clone());
        return;
    };
    for (field, inside) in fields {
        if field == "." {
            found.insert(path.clone());
            continue;
        }
        path.push(field.strip_prefix("f:").unwrap_or(field).to_owned());
        collect_paths(inside, path, found);
        path.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer(manager: &str) -> Writer {
        Writer {
            manager: manager.to_owned(),
            subresource: None,
            api_version: "v1".to_owned(),
            is_built_in: false,
        }
    }

    fn managers_of(object: &Value, pointer: &str) -> Vec<String> {
        let entries = object["metadata"]["managedFields"].as_array().unwrap().iter();
        entries
            .filter(|entry| entry["fieldsV1"].pointer(pointer).is_some())
            .map(|entry| entry["manager"].as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn a_changed_field_moves_to_its_last_writer() {
        let now = Timestamp::UNIX_EPOCH;
        let mut first = json!({"metadata": {"labels": {"a": "1"}}, "spec": {"weights": [1, 2], "mesh": "m"}});
        record(None, &mut first, &writer("git"), now);
        let mut second = first.clone();
        second["spec"]["weights"] = json!([3, 4]);
        record(Some(&first), &mut second, &writer("tidegate"), now);
        assert_eq!(managers_of(&second, "/f:spec/f:weights"), ["tidegate"]);
        assert_eq!(managers_of(&second, "/f:spec/f:mesh"), ["git"]);
        let mut third = second.clone();
        third["spec"]["weights"] = json!([1, 2]);
        record(Some(&second), &mut third, &writer("git"), now);
        assert_eq!(managers_of(&third, "/f:spec/f:weights"), ["git"]);
        assert_eq!(third["metadata"]["managedFields"].as_array().unwrap().len(), 1);
    }
}
