//! What may stand in a field, in words.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps;
use serde_json::Value;

use crate::api::units::{DURATION_PATTERN, NUMBER_PATTERN, PERCENT_PATTERN};

/// Patterns with a name that says more.
const UNITS: [(&str, &str); 3] =
    [(DURATION_PATTERN, "duration"), (PERCENT_PATTERN, "percentage"), (NUMBER_PATTERN, "decimal")];

/// A single value: its type or its choices, its bounds, its default.
pub fn single(schema: &JSONSchemaProps) -> String {
    let unit = UNITS.iter().find(|(pattern, _)| schema.pattern.as_deref() == Some(*pattern));
    let mut parts = vec![match unit {
        Some((_, unit)) => (*unit).to_owned(),
        None => kind(schema),
    }];
    parts.extend(between(schema.minimum, schema.maximum, ""));
    if unit.is_none() {
        parts.extend(between(schema.min_length.filter(|least| *least > 0), schema.max_length, " characters"));
        parts.extend(schema.pattern.as_ref().map(|pattern| format!("like {}", code(pattern))));
    }
    parts.extend(schema.default.as_ref().map(|default| format!("default {}", code(&spelled(&default.0)))));
    parts.join(", ")
}

/// How many there may be.
pub fn count(least: Option<i64>, most: Option<i64>) -> String {
    between(least.filter(|least| *least > 0), most, "")
        .map_or_else(String::new, |bounds| format!(", {bounds}"))
}

fn kind(schema: &JSONSchemaProps) -> String {
    let choices = schema.enum_.iter().flatten().filter(|choice| !choice.0.is_null());
    let choices: Vec<String> = choices.map(|choice| code(&spelled(&choice.0))).collect();
    if !choices.is_empty() {
        return choices.join(", ");
    }
    let kind = schema.type_.clone().unwrap_or_else(|| "any value".to_owned());
    match schema.format.as_deref() {
        Some("date-time") => "time".to_owned(),
        _ => kind,
    }
}

fn between<T: std::fmt::Display>(least: Option<T>, most: Option<T>, unit: &str) -> Option<String> {
    match (least, most) {
        (Some(least), Some(most)) => Some(format!("{least} to {most}{unit}")),
        (Some(least), None) => Some(format!("at least {least}{unit}")),
        (None, Some(most)) => Some(format!("at most {most}{unit}")),
        (None, None) => None,
    }
}

fn spelled(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn code(text: &str) -> String {
    if text.contains('`') { format!("`` {text} ``") } else { format!("`{text}`") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_told_with_its_bounds() {
        let of = |schema: Value| single(&serde_json::from_value(schema).unwrap());
        let cases = [
            (serde_json::json!({"type": "boolean", "default": false}), "boolean, default `false`"),
            (serde_json::json!({"type": "integer", "minimum": 1, "maximum": 9}), "integer, 1 to 9"),
            (
                serde_json::json!({"type": "string", "maxLength": 9, "pattern": "^`"}),
                "string, at most 9 characters, like `` ^` ``",
            ),
            (serde_json::json!({"type": "string", "maxLength": 24, "pattern": DURATION_PATTERN}), "duration"),
            (serde_json::json!({"type": "string", "enum": ["A", "B", null]}), "`A`, `B`"),
            (serde_json::json!({"x-kubernetes-preserve-unknown-fields": true}), "any value"),
        ];
        for (schema, want) in cases {
            assert_eq!(of(schema), want);
        }
        assert_eq!(count(Some(1), Some(16)), ", 1 to 16");
        assert_eq!(count(Some(0), None), "");
    }
}
