//! Conditions of objects that are not ours, as whoever serves them writes them. Pure.

use jiff::Timestamp;
use serde_json::{Value, json};

/// What a condition should say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition<'a> {
    /// Its type.
    pub kind: &'static str,
    /// Whether its status is `True`, or `False`.
    pub holds: bool,
    /// A word for machines.
    pub reason: &'a str,
    /// A sentence for people.
    pub message: String,
    /// The generation that it is about; absent where the kind has no place for it.
    pub generation: Option<i64>,
}

impl Condition<'_> {
    /// Puts the condition among the `conditions` of `parent`. One whose status stays keeps its time.
    pub fn put(&self, parent: &mut Value, now: Timestamp) {
        let mut wanted = json!({
            "type": self.kind, "status": if self.holds { "True" } else { "False" }, "reason": self.reason,
            "message": self.message,
        });
        if let Some(generation) = self.generation {
            wanted["observedGeneration"] = json!(generation);
        }
        let Some(conditions) = parent["conditions"].as_array_mut() else { return };
        let old = conditions.iter_mut().find(|condition| condition["type"] == self.kind);
        let since = old.as_ref().filter(|old| old["status"] == wanted["status"]);
        let since = since.and_then(|old| old.get("lastTransitionTime")).cloned();
        // Whole seconds, as every API server stores them.
        wanted["lastTransitionTime"] = since.unwrap_or_else(|| json!(format!("{now:.0}")));
        match old {
            Some(old) => *old = wanted,
            None => conditions.push(wanted),
        }
    }
}

/// The conditions of an object's status, or of an entry in it.
pub fn conditions(parent: &Value) -> Vec<Value> {
    parent["conditions"].as_array().cloned().unwrap_or_default()
}

/// The merge patch that makes the fields of an object's status say `wanted`; none where they do already. It is refused where the
/// object is no longer of this version: lists are replaced whole, and others write to them.
pub fn patch(version: Option<&str>, status: &Value, wanted: &Value) -> Option<Value> {
    let fields = wanted.as_object()?;
    if fields.iter().all(|(field, value)| status[field] == *value) {
        return None;
    }
    Some(json!({"metadata": {"resourceVersion": version}, "status": wanted}))
}
