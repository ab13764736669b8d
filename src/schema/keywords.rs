//! The keywords of a schema node, read by shape, and the combinations that structural schemas forbid.

use serde_json::{Map, Number, Value};

use super::compile::SchemaError;
use super::fields::child;
use super::node::{Bound, Kind, ListType, Node, Pattern};
use super::pattern;

/// Where in the schema a node stands.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub rooted: bool,
    /// Inside `allOf`, `anyOf`, `oneOf` or `not`: value validations only.
    pub junctor: bool,
    /// Whether an old value can be found for `oldSelf`: not below a list that is no map.
    pub correlatable: bool,
}

/// What must stand outside `allOf` and its like. `type` is allowed there in the int-or-string idiom only.
const NOT_IN_JUNCTORS: [&str; 9] = [
    "default",
    "nullable",
    "additionalProperties",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-embedded-resource",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-validations",
];

/// The keywords of one schema node, read by shape.
pub(super) struct Keywords<'a> {
    pub object: &'a Map<String, Value>,
    pub path: &'a str,
}

impl<'a> Keywords<'a> {
    fn read<T>(
        &self,
        name: &str,
        expected: &'static str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, SchemaError> {
        let Some(value) = self.object.get(name) else {
            return Ok(None);
        };
        read(value).map(Some).ok_or_else(|| malformed(&child(self.path, name), expected))
    }

    pub fn flag(&self, name: &str) -> Result<bool, SchemaError> {
        Ok(self.read(name, "true or false", Value::as_bool)?.unwrap_or_default())
    }

    pub fn text(&self, name: &str) -> Result<Option<&'a str>, SchemaError> {
        self.read(name, "a string", Value::as_str)
    }

    pub fn count(&self, name: &str) -> Result<Option<u64>, SchemaError> {
        self.read(name, "a whole number, not negative", Value::as_u64)
    }

    pub fn number(&self, name: &str) -> Result<Option<&'a Number>, SchemaError> {
        self.read(name, "a number", Value::as_number)
    }

    pub fn list(&self, name: &str) -> Result<&'a [Value], SchemaError> {
        Ok(self.read(name, "a list", Value::as_array)?.map_or(&[], Vec::as_slice))
    }

    pub fn texts(&self, name: &str) -> Result<Vec<String>, SchemaError> {
        let texts = self.list(name)?.iter().map(|text| text.as_str().map(str::to_owned));
        texts.collect::<Option<_>>().ok_or_else(|| malformed(&child(self.path, name), "a list of strings"))
    }

    pub fn kind(&self) -> Result<Option<Kind>, SchemaError> {
        self.read("type", "one OpenAPI type", |value| Kind::parse(value.as_str()?))
    }

    pub fn bound(&self, name: &str, exclusive: &str) -> Result<Option<Bound>, SchemaError> {
        let exclusive = self.flag(exclusive)?;
        Ok(self.number(name)?.map(|value| Bound { value: value.clone(), exclusive }))
    }

    pub fn pattern(&self) -> Result<Option<Pattern>, SchemaError> {
        let Some(source) = self.text("pattern")? else {
            return Ok(None);
        };
        pattern::compile(source).map(Some).map_err(|source| SchemaError::Pattern {
            path: child(self.path, "pattern"),
            source: Box::new(source),
        })
    }

    pub fn list_type(&self) -> Result<ListType, SchemaError> {
        Ok(match self.text("x-kubernetes-list-type")? {
            None | Some("atomic") => ListType::Atomic,
            Some("set") => ListType::Set,
            Some("map") => ListType::Map(self.texts("x-kubernetes-list-map-keys")?),
            Some(_) => {
                return Err(malformed(&child(self.path, "x-kubernetes-list-type"), "atomic, set or map"));
            }
        })
    }

    pub fn refuse_unstructural(&self, node: &Node, place: Place) -> Result<(), SchemaError> {
        let forbid = |rule| Err(SchemaError::Forbidden { path: self.path.to_owned(), rule });
        if place.junctor {
            return match NOT_IN_JUNCTORS.iter().find(|name| self.object.contains_key(**name)) {
                Some(_) => forbid("allOf, anyOf, oneOf and not may hold value validations only"),
                None if node.kind.is_some_and(|kind| !matches!(kind, Kind::Integer | Kind::String)) => {
                    forbid("type must stand outside allOf, anyOf, oneOf and not")
                }
                None => Ok(()),
            };
        }
        if node.kind.is_none() && !node.int_or_string && !node.preserve_unknown {
            return Err(SchemaError::MissingType { path: self.path.to_owned() });
        }
        if place.rooted && node.kind != Some(Kind::Object) {
            return forbid("the root must be of type object");
        }
        if self.object.contains_key("$ref") {
            return forbid("$ref is not supported");
        }
        if self.object.contains_key("properties") && self.object.contains_key("additionalProperties") {
            return forbid("properties and additionalProperties exclude each other");
        }
        if self.object.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(false)) {
            return forbid("x-kubernetes-preserve-unknown-fields must be true or absent");
        }
        if node.resource && node.kind != Some(Kind::Object) {
            return forbid("an embedded resource must be of type object");
        }
        if node.resource && !node.preserve_unknown && !self.object.contains_key("properties") {
            return forbid("an embedded resource needs properties or x-kubernetes-preserve-unknown-fields");
        }
        if node.int_or_string && (node.preserve_unknown || node.kind.is_some()) {
            return forbid(
                "x-kubernetes-int-or-string excludes a type and x-kubernetes-preserve-unknown-fields",
            );
        }
        if node.kind == Some(Kind::Array) && !self.object.contains_key("items") {
            return forbid("an array needs items");
        }
        if node.list != ListType::Atomic && node.kind != Some(Kind::Array) {
            return forbid("x-kubernetes-list-type is for arrays");
        }
        if matches!(&node.list, ListType::Map(keys) if keys.is_empty()) {
            return forbid("a list of type map needs x-kubernetes-list-map-keys");
        }
        Ok(())
    }
}

pub(super) fn malformed(path: &str, expected: &'static str) -> SchemaError {
    SchemaError::Malformed { path: path.to_owned(), expected }
}
