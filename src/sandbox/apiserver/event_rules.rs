//! The rules of events. Those written through `events.k8s.io` are held to more of them than core ones.

use serde_json::Value;

use super::builtin_rules::{invalid, required};
use super::names;
use super::object::{self, text};
use crate::schema::FieldError;

const NAME_LIMIT: usize = 128;
const NOTE_LIMIT: usize = 1024;

/// What an event of the newer kind never changes.
const IMMUTABLE: [&str; 13] = [
    "involvedObject",
    "reason",
    "message",
    "source",
    "firstTimestamp",
    "lastTimestamp",
    "count",
    "type",
    "eventTime",
    "action",
    "related",
    "reportingComponent",
    "reportingInstance",
];

/// What is wrong with an event in its core shape.
pub(super) fn check(new: &Value, old: Option<&Value>, is_new_kind: bool) -> Vec<FieldError> {
    let mut errors = common(new, is_new_kind);
    if !is_new_kind {
        return errors;
    }
    match old {
        None => {
            series(new, &mut errors);
            created(new, &mut errors);
        }
        Some(old) => {
            if new.get("series") != old.get("series") {
                series(new, &mut errors);
            }
            let changed = IMMUTABLE.into_iter().filter(|field| new.get(*field) != old.get(*field));
            errors.extend(changed.map(|field| invalid(shown(field), "field is immutable")));
        }
    }
    errors
}

/// What holds for both kinds: more of an event that brings its own time.
fn common(new: &Value, is_new_kind: bool) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let (namespace, regarded) = (object::namespace(new), text(new, "/involvedObject/namespace"));
    let is_timed = !new["eventTime"].is_null();
    let fits = if regarded.is_empty() {
        namespace == "default" || (is_timed && namespace == "kube-system")
    } else {
        is_timed || regarded == namespace
    };
    if !fits {
        errors.push(invalid("involvedObject.namespace", "does not match event.namespace"));
    }
    if !is_timed {
        return errors;
    }
    let controller = if is_new_kind { "reportingController" } else { "reportingComponent" };
    let component = text(new, "/reportingComponent");
    if component.is_empty() {
        errors.push(required(controller));
    }
    errors.extend(names::qualified(component).map(|why| invalid(controller, &why)));
    for field in ["reportingInstance", "action", "reason"] {
        let value = text(new, &format!("/{field}"));
        if value.is_empty() {
            errors.push(required(field));
        } else if value.len() > NAME_LIMIT {
            errors.push(invalid(field, &format!("can have at most {NAME_LIMIT} characters")));
        }
    }
    if text(new, "/message").len() > NOTE_LIMIT {
        errors.push(invalid("message", &format!("can have at most {NOTE_LIMIT} characters")));
    }
    errors
}

fn created(new: &Value, errors: &mut Vec<FieldError>) {
    if new["eventTime"].is_null() {
        errors.push(required("eventTime"));
    }
    if !matches!(text(new, "/type"), "Normal" | "Warning") {
        errors.push(invalid("type", "has invalid value"));
    }
    for field in ["firstTimestamp", "lastTimestamp", "count", "source"] {
        let value = &new[field];
        let is_set =
            !value.is_null() && value != 0 && !value.as_object().is_some_and(serde_json::Map::is_empty);
        if is_set {
            errors.push(invalid(field, "needs to be unset"));
        }
    }
}

fn series(new: &Value, errors: &mut Vec<FieldError>) {
    let Some(series) = new.get("series").filter(|series| series.is_object()) else {
        return;
    };
    if series["count"].as_i64().unwrap_or_default() < 2 {
        errors.push(invalid("series.count", "should be at least 2"));
    }
    if series["lastObservedTime"].is_null() {
        errors.push(required("series.lastObservedTime"));
    }
}

/// A field of the core shape, as refusals name it.
fn shown(field: &str) -> &str {
    if field == "reportingComponent" { "reportingController" } else { field }
}
