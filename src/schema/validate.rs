//! Value validation: types, limits, required fields and the `allOf` family.

use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

use super::fields::{FieldError, child, index};
use super::formats::Format;
use super::node::{Bound, Checks, Kind, Node};

/// Adds everything that `node` refuses about `value` and what is below it.
pub(super) fn validate(node: &Node, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    if value.is_null() && (node.nullable || (node.kind.is_none() && !node.int_or_string)) {
        return;
    }
    if !has_type(node, value) {
        let expected = node.kind.map_or("integer or string", Kind::name);
        errors.push(FieldError::wrong_type(path, value, expected));
    }
    let checks = &node.checks;
    if !checks.options.is_empty() && !checks.options.iter().any(|option| same(option, value)) {
        errors.push(FieldError::not_supported(path.to_owned(), value, &checks.options));
    }
    check_format(checks.format, value, path, errors);
    match value {
        Value::Number(number) => check_number(checks, number, path, errors),
        Value::String(text) => check_string(checks, text, value, path, errors),
        Value::Array(items) => check_array(node, items, value, path, errors),
        Value::Object(fields) => check_object(node, fields, value, path, errors),
        Value::Null | Value::Bool(_) => {}
    }
    check_junctors(checks, value, path, errors);
}

fn has_type(node: &Node, value: &Value) -> bool {
    if node.int_or_string {
        return value.is_string() || is_integer(value);
    }
    match node.kind {
        None => true,
        Some(Kind::Object) => value.is_object(),
        Some(Kind::Array) => value.is_array(),
        Some(Kind::String) => value.is_string(),
        Some(Kind::Boolean) => value.is_boolean(),
        Some(Kind::Number) => value.is_number(),
        Some(Kind::Integer) => is_integer(value),
    }
}

/// `1.0` counts, as upstream.
fn is_integer(value: &Value) -> bool {
    value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0)
}

/// Equality in which `1` and `1.0` are the same.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => compare(a, b) == Some(Ordering::Equal),
        _ => a == b,
    }
}

fn compare(a: &Number, b: &Number) -> Option<Ordering> {
    match (a.as_i64(), b.as_i64()) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
    }
}

fn check_format(format: Option<Format>, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let Some(format) = format else { return };
    if format.accepts(value) {
        return;
    }
    if value.is_number() {
        // Upstream tells a number out of its format's range without its field.
        let detail = format!("Checked value must be of type number with format {} in {path}", format.name());
        errors.push(FieldError::invalid(String::new(), value, &detail));
    } else {
        errors.push(FieldError::wrong_type(path, value, format.name()));
    }
}

fn check_number(checks: &Checks, number: &Number, path: &str, errors: &mut Vec<FieldError>) {
    let mut refuse = |detail: String| {
        let detail = format!("{path} in body should be {detail}");
        errors.push(FieldError::invalid(path.to_owned(), &Value::Number(number.clone()), &detail));
    };
    if let Some(Bound { value, exclusive }) = &checks.minimum {
        match compare(number, value) {
            Some(Ordering::Greater) => {}
            Some(Ordering::Equal) if !exclusive => {}
            _ if *exclusive => refuse(format!("greater than {value}")),
            _ => refuse(format!("greater than or equal to {value}")),
        }
    }
    if let Some(Bound { value, exclusive }) = &checks.maximum {
        match compare(number, value) {
            Some(Ordering::Less) => {}
            Some(Ordering::Equal) if !exclusive => {}
            _ if *exclusive => refuse(format!("less than {value}")),
            _ => refuse(format!("less than or equal to {value}")),
        }
    }
    if let Some(divisor) = checks.multiple_of
        && !is_multiple(number, divisor)
    {
        refuse(format!("a multiple of {divisor}"));
    }
}

/// A whole number is divided by the whole part of the divisor, and by none below one: upstream's reckoning.
#[expect(clippy::cast_possible_truncation, reason = "the whole part is what is meant")]
fn is_multiple(number: &Number, divisor: f64) -> bool {
    match number.as_i64() {
        Some(number) => {
            let divisor = divisor.trunc() as i64;
            divisor > 0 && number % divisor == 0
        }
        None => number.as_f64().is_some_and(|number| (number / divisor).fract() == 0.0),
    }
}

/// The first thing that is wrong with a string.
fn check_string(checks: &Checks, text: &str, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let length = text.chars().count() as u64;
    let mut refuse = |detail: String| {
        errors.push(FieldError::invalid(path.to_owned(), value, &format!("{path} in body should {detail}")));
    };
    if let Some(max) = checks.max_length.filter(|max| length > *max) {
        errors.push(FieldError::too_long(path.to_owned(), max));
    } else if let Some(min) = checks.min_length.filter(|min| length < *min) {
        refuse(format!("be at least {min} chars long"));
    } else if let Some(pattern) = checks.pattern.as_ref().filter(|pattern| !pattern.regex.is_match(text)) {
        refuse(format!("match '{}'", pattern.source));
    }
}

fn check_array(node: &Node, items: &[Value], value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let checks = &node.checks;
    if let Some(min) = checks.min_items
        && (items.len() as u64) < min
    {
        let detail = format!("{path} in body should have at least {min} items");
        errors.push(FieldError::invalid(path.to_owned(), value, &detail));
    }
    if let Some(max) = checks.max_items
        && items.len() as u64 > max
    {
        errors.push(FieldError::too_many(path.to_owned(), items.len(), max));
    }
    let repeats =
        || items.iter().enumerate().any(|(i, item)| items[..i].iter().any(|other| same(other, item)));
    if checks.unique_items && repeats() {
        let detail = format!("{path} in body shouldn't contain duplicates");
        errors.push(FieldError::invalid(path.to_owned(), value, &detail));
    }
    if let Some(schema) = node.items.as_deref() {
        for (i, item) in items.iter().enumerate() {
            validate(schema, item, &index(path, i), errors);
        }
    }
}

fn check_object(
    node: &Node,
    fields: &Map<String, Value>,
    value: &Value,
    path: &str,
    errors: &mut Vec<FieldError>,
) {
    let checks = &node.checks;
    if let Some(min) = checks.min_properties
        && (fields.len() as u64) < min
    {
        let detail = format!("{path} in body should have at least {min} properties");
        errors.push(FieldError::invalid(path.to_owned(), value, &detail));
        return;
    }
    if let Some(max) = checks.max_properties
        && fields.len() as u64 > max
    {
        errors.push(FieldError::too_many(path.to_owned(), fields.len(), max));
        return;
    }
    for name in checks.required.iter().filter(|name| !fields.contains_key(*name)) {
        errors.push(FieldError::required(child(path, name), ""));
    }
    if node.resource && !path.is_empty() {
        check_embedded(fields, path, errors);
    }
    for (name, field) in fields {
        if let Some(schema) = node.field(name) {
            validate(schema, field, &child(path, name), errors);
        }
    }
}

/// An embedded resource names its kind, though its schema need not say so.
fn check_embedded(fields: &Map<String, Value>, path: &str, errors: &mut Vec<FieldError>) {
    for name in ["apiVersion", "kind"] {
        match fields.get(name) {
            None => errors.push(FieldError::required(child(path, name), "must not be empty")),
            Some(Value::String(text)) if text.is_empty() => {
                errors.push(FieldError::required(child(path, name), "must not be empty"));
            }
            Some(Value::String(_)) => {}
            Some(other) => errors.push(FieldError::wrong_type(&child(path, name), other, "string")),
        }
    }
    if let Some(metadata) = fields.get("metadata").filter(|metadata| !metadata.is_object()) {
        errors.push(FieldError::wrong_type(&child(path, "metadata"), metadata, "object"));
    }
}

fn check_junctors(checks: &Checks, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let attempt = |branch: &Node| {
        let mut errors = Vec::new();
        validate(branch, value, path, &mut errors);
        errors
    };
    // Upstream tells these without the field, which stands in the text only.
    let refused =
        |detail: &str| FieldError::invalid(String::new(), value, &format!("{path:?} must {detail}"));

    let failed: Vec<FieldError> = checks.all_of.iter().flat_map(attempt).collect();
    if !failed.is_empty() {
        errors.push(refused("validate all the schemas (allOf)"));
        errors.extend(failed);
    }
    if !checks.any_of.is_empty() {
        let attempts: Vec<_> = checks.any_of.iter().map(attempt).collect();
        if attempts.iter().all(|errors| !errors.is_empty()) {
            errors.push(refused("validate at least one schema (anyOf)"));
            errors.extend(closest(attempts));
        }
    }
    if !checks.one_of.is_empty() {
        let attempts: Vec<_> = checks.one_of.iter().map(attempt).collect();
        match attempts.iter().filter(|errors| errors.is_empty()).count() {
            1 => {}
            0 => {
                errors.push(refused("validate one and only one schema (oneOf). Found none valid"));
                errors.extend(closest(attempts));
            }
            several => errors.push(refused(&format!(
                "validate one and only one schema (oneOf). Found {several} valid alternatives"
            ))),
        }
    }
    if let Some(not) = &checks.not
        && attempt(not).is_empty()
    {
        errors.push(refused("not validate the schema (not)"));
    }
}

/// The errors of the branch that came nearest, which most likely tell what was meant.
fn closest(attempts: Vec<Vec<FieldError>>) -> Vec<FieldError> {
    attempts.into_iter().min_by_key(Vec::len).unwrap_or_default()
}
