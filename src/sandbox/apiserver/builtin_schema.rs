//! Types of the built-in kinds, read from the schemas that k8s-openapi carries.
//!
//! A real server decodes built-in kinds into Go types: unknown fields are dropped (or refused under strict
//! validation) and a value of the wrong type is a bad request. Walking the schema does the same.

use std::sync::Arc;

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
        let schema = self.resolve(schema);
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
            return Err(format!("cannot decode {path}: it must be of type {kind}"));
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
        fields.retain(|_, value| !value.is_null());
        let Some(properties) = schema["properties"].as_object() else {
            let each = &schema["additionalProperties"];
            return fields
                .iter_mut()
                .try_for_each(|(name, value)| self.walk(value, each, &below(path, name), unknown));
        };
        // Unknown metadata is reported for every kind alike, by `object::prune_metadata`.
        let in_metadata = path == "metadata";
        fields.retain(|name, _| {
            let known = in_metadata || properties.contains_key(name);
            if !known {
                unknown.push(below(path, name));
            }
            known
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

    fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        let reference = schema["$ref"].as_str().or_else(|| schema["allOf"][0]["$ref"].as_str());
        reference
            .and_then(|reference| reference.rsplit('/').next())
            .and_then(|name| self.definitions.0.get(name))
            .unwrap_or(schema)
    }
}

fn below(path: &str, field: &str) -> String {
    if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") }
}
