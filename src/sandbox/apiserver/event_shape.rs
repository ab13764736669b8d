//! Events have two shapes, core `v1` and `events.k8s.io/v1`, over one store kept in the core shape.

use serde_json::Value;

/// Field names: core, then `events.k8s.io`.
const RENAMED: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
];

/// A stored event as `events.k8s.io/v1` shows it.
pub(super) fn to_new(core: &Value) -> Value {
    let mut new = rename(core, RENAMED);
    if let Some(fields) = new.as_object_mut() {
        for optional in ["reportingController", "reportingInstance"] {
            if fields.get(optional).is_some_and(|value| value == "") {
                fields.remove(optional);
            }
        }
    }
    new
}

/// An `events.k8s.io/v1` event as it is stored.
pub(super) fn to_core(new: &Value) -> Value {
    let mut core = rename(new, RENAMED.map(|(core, new)| (new, core)));
    core["apiVersion"] = "v1".into();
    core
}

fn rename(event: &Value, names: [(&str, &str); 7]) -> Value {
    let mut renamed = event.clone();
    if let Some(fields) = renamed.as_object_mut() {
        for (from, to) in names {
            if let Some(value) = fields.remove(from) {
                fields.insert(to.to_owned(), value);
            }
        }
    }
    renamed
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_new_event_comes_back_as_it_was_sent() {
        let sent = json!({
            "apiVersion": "events.k8s.io/v1", "kind": "Event", "regarding": {"name": "a"}, "note": "n",
            "reportingController": "c", "series": {"count": 2}, "deprecatedCount": 3,
        });
        let core = to_core(&sent);
        assert_eq!(core["involvedObject"]["name"], "a");
        assert_eq!(core["message"], "n");
        let mut back = to_new(&core);
        back["apiVersion"] = "events.k8s.io/v1".into();
        assert_eq!(back, sent);
    }
}
