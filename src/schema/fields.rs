//! Errors about fields, worded as the causes of a Kubernetes `Status`.

use serde_json::Value;

/// One thing that is wrong with one field: a cause of a Kubernetes `Status` of reason `Invalid`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The field, such as `spec.routes[0].weight`; empty for the object itself.
    pub path: String,
    /// Kubernetes' cause type: `FieldValueInvalid`, `FieldValueRequired`, `FieldValueTypeInvalid`, …
    pub reason: &'static str,
    /// What is wrong, in a sentence that also shows the value.
    pub message: String,
}

impl FieldError {
    pub(super) fn required(path: String, detail: &str) -> Self {
        let message =
            if detail.is_empty() { "Required value".into() } else { format!("Required value: {detail}") };
        Self { path, reason: "FieldValueRequired", message }
    }

    pub(super) fn invalid(path: String, value: &Value, detail: &str) -> Self {
        Self { path, reason: "FieldValueInvalid", message: format!("Invalid value: {value}: {detail}") }
    }

    /// A value whose JSON type, or whose number format, is not the schema's.
    pub(super) fn wrong_type(path: &str, value: &Value, expected: &str) -> Self {
        let message = format!(
            "Invalid value: {shown}: {path} in body must be of type {expected}: {shown}",
            shown = Value::from(type_name(value))
        );
        Self { path: path.to_owned(), reason: "FieldValueTypeInvalid", message }
    }

    pub(super) fn not_supported(path: String, value: &Value, supported: &[Value]) -> Self {
        let supported: Vec<String> = supported.iter().map(Value::to_string).collect();
        let message = format!("Unsupported value: {value}: supported values: {}", supported.join(", "));
        Self { path, reason: "FieldValueNotSupported", message }
    }

    pub(super) fn too_long(path: String, max: u64) -> Self {
        Self {
            path,
            reason: "FieldValueTooLong",
            message: format!("Too long: may not be more than {max} bytes"),
        }
    }

    pub(super) fn too_many(path: String, actual: usize, max: u64) -> Self {
        let message = format!("Too many: {actual}: must have at most {max} items");
        Self { path, reason: "FieldValueTooMany", message }
    }

    pub(super) fn duplicate(path: String, value: &Value) -> Self {
        Self { path, reason: "FieldValueDuplicate", message: format!("Duplicate value: {value}") }
    }

    pub(super) fn rules_not_checked() -> Self {
        let detail = "some validation rules were not checked because the object was invalid; correct the existing \
                      errors to complete validation";
        Self::invalid(String::new(), &Value::Null, detail)
    }

    /// Whether CEL rules could fail for this error's sake alone, so that upstream does not run them.
    pub(super) fn blocks_rules(&self) -> bool {
        matches!(
            self.reason,
            "FieldValueNotSupported"
                | "FieldValueRequired"
                | "FieldValueTooLong"
                | "FieldValueTooMany"
                | "FieldValueTypeInvalid"
        )
    }
}

/// The JSON type of a value, in OpenAPI's words.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// `base.name`, or `name` at the root.
pub(super) fn child(base: &str, name: &str) -> String {
    if base.is_empty() { name.to_owned() } else { format!("{base}.{name}") }
}

/// `base[index]`.
pub(super) fn index(base: &str, index: usize) -> String {
    format!("{base}[{index}]")
}
