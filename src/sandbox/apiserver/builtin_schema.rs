//! Types of the built-in kinds, read from the schemas that k8s-openapi carries.
//!
//! A real server decodes built-in kinds into Go types: unknown fields are dropped (or refused under strict
//! validation) and a value of the wrong type is a bad request. Walking the schema does the same.

use std::sync::Arc;

use jiff::Timestamp;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value};

/// Where OpenAPI documents keep their schemas.
const DEFINITIONS: &str = "/components/schemas";

/// The schemas of all built-in kinds, by name such as `io.k8s.api.apps.v1.Deployment`.
#[derive(Debug)]
pub(super) struct Definitions(Map<String, Value>);

/// Collects the schemas of the kinds that a server serves.
pub(super) struct Collector(SchemaGenerator);

/// The schema of one built-in kind.
#[derive(Clone, Debug)]
pub(super) struct BuiltinSchema {
    name: String,
    definitions: Arc<Definitions>,
}

impl Collector {
    pub fn new() -> Self {
        let settings =
            SchemaSettings::draft07().with(|settings| settings.definitions_path = DEFINITIONS.into());
        Self(settings.into_generator())
    }

    /// Adds a kind and tells its name.
    pub fn add<T: JsonSchema>(&mut self) -> String {
        self.0.subschema_for::<T>();
        T::schema_name().into_owned()
    }

    pub fn finish(mut self) -> Arc<Definitions> {
        Arc::new(Definitions(self.0.take_definitions(true)))
    }
}

impl BuiltinSchema {
    pub fn new(name: String, definitions: Arc<Definitions>) -> Self {
        Self { name, definitions }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// All schemas that this one may refer to.
    pub fn definitions(&self) -> &Map<String, Value> {
        &self.definitions.0
    }

    /// Drops nulls and unknown fields below the root; returns the unknown paths, or the first type error.
    pub fn prune(&self, object: &mut Value) -> Result<Vec<String>, String> {
        let mut unknown = Vec::new();
        if let Some(schema) = self.definitions.0.get(&self.name) {
            self.walk(object, schema, "", &mut unknown)?;
        }
        Ok(unknown)
    }

    fn walk(
        &self,
        value: &mut Value,
        schema: &Value,
        path: &str,
        unknown: &mut Vec<String>,
    ) -> Result<(), String> {
        if let Some(name) = referenced(schema) {
            check_text(name, value).map_err(|why| format!("{path}: {why}"))?;
        }
        let schema = self.resolve(schema);
        if schema["format"] == "byte" && value.as_str().is_some_and(|text| !is_base64(text)) {
            return Err(format!("{path}: illegal base64 data"));
        }
        let kind = schema["type"].as_str().unwrap_or_default();
        let fits = match kind {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            _ => true,
        };
        if !fits {
            return Err(format!("json: cannot unmarshal {path}: it must be of type {kind}"));
        }
        match value {
            Value::Object(fields) => self.walk_fields(fields, schema, path, unknown),
            Value::Array(items) => items.iter_mut().enumerate().try_for_each(|(index, item)| {
                self.walk(item, &schema["items"], &format!("{path}[{index}]"), unknown)
            }),
            _ => Ok(()),
        }
    }

    fn walk_fields(
        &self,
        fields: &mut Map<String, Value>,
        schema: &Value,
        path: &str,
        unknown: &mut Vec<String>,
    ) -> Result<(), String> {
        let Some(properties) = schema["properties"].as_object() else {
            let each = &schema["additionalProperties"];
            if self.resolve(each)["type"] == "string" {
                // A null in a map of strings is the empty string to Go.
                fields.values_mut().filter(|value| value.is_null()).for_each(|value| *value = "".into());
            }
            fields.retain(|_, value| !value.is_null());
            return fields
                .iter_mut()
                .try_for_each(|(name, value)| self.walk(value, each, &below(path, name), unknown));
        };
        fields.retain(|_, value| !value.is_null());
        // Unknown metadata is reported for every kind alike, by `object::prune_metadata`.
        let in_metadata = path == "metadata";
        fields.retain(|name, _| {
            let known = in_metadata || properties.contains_key(name);
            if !known {
                unknown.push(below(path, name));
            }
            known
        });
        fields.retain(|name, value| {
            // To leave out the policies of an autoscaler is to take the defaults, to list none is refused.
            name == "policies"
                || !properties.get(name).is_some_and(|property| self.is_left_out(property, value))
        });
        for (name, value) in fields.iter_mut() {
            // Compiling it says more than walking it; k8s-openapi also types its free-form values as objects.
            if name == "openAPIV3Schema" {
                continue;
            }
            if let Some(property) = properties.get(name) {
                self.walk(value, property, &below(path, name), unknown)?;
            }
        }
        Ok(())
    }

    /// Whether Go leaves out this value of a list or map, which are empty where they are absent.
    fn is_left_out(&self, schema: &Value, value: &Value) -> bool {
        let schema = self.resolve(schema);
        let is_map = schema.get("additionalProperties").is_some();
        (schema["type"] == "array" && value.as_array().is_some_and(Vec::is_empty))
            || (is_map && value.as_object().is_some_and(Map::is_empty))
    }

    fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        referenced(schema).and_then(|name| self.definitions.0.get(name)).unwrap_or(schema)
    }
}

/// The name of the type that a schema refers to.
fn referenced(schema: &Value) -> Option<&str> {
    let reference = schema["$ref"].as_str().or_else(|| schema["allOf"][0]["$ref"].as_str());
    reference?.rsplit('/').next()
}

/// Reads texts that are more than texts, and puts times as Go writes them.
fn check_text(type_name: &str, value: &mut Value) -> Result<(), String> {
    let Some(text) = value.as_str() else {
        return Ok(());
    };
    let parsed =
        || text.parse::<Timestamp>().map_err(|_| format!("parsing time {text:?}: it is no RFC 3339 time"));
    let written = match type_name.rsplit('.').next() {
        Some("Time") => parsed()?.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        Some("MicroTime") => {
            let digits = text
                .split_once('.')
                .map_or(0, |(_, rest)| rest.bytes().take_while(u8::is_ascii_digit).count());
            if digits < 6 {
                return Err(format!("parsing time {text:?}: it needs six digits of a second"));
            }
            parsed()?.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
        }
        Some("Quantity") if !is_quantity(text) => {
            return Err("quantities must match the regular expression \
                        '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
                .to_owned());
        }
        _ => return Ok(()),
    };
    *value = written.into();
    Ok(())
}

fn is_quantity(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let suffix = unsigned.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == '.');
    suffix.len() < unsigned.len()
        && (["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"]
            .contains(&suffix)
            || suffix.strip_prefix(['e', 'E']).is_some_and(|exponent| exponent.parse::<i32>().is_ok()))
}

fn is_base64(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    text.len().is_multiple_of(4)
        && text.len() - body.len() <= 2
        && body.bytes().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, b'+' | b'/'))
}

fn below(path: &str, field: &str) -> String {
    if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") }
}
