//! One node of a compiled schema.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::{Number, Value};

use super::cel::Rule;
use super::formats::Format;

/// A schema node: what the value is, and what must hold of it.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "they mirror the schema's own independent flags")]
pub(super) struct Node {
    /// Absent where the schema may be untyped: int-or-string, preserved unknown fields, inside `allOf` and its like.
    pub kind: Option<Kind>,
    pub nullable: bool,
    pub int_or_string: bool,
    pub preserve_unknown: bool,
    /// A whole Kubernetes object: the root, or `x-kubernetes-embedded-resource`.
    pub resource: bool,
    pub properties: BTreeMap<String, Node>,
    pub additional: Additional,
    pub items: Option<Box<Node>>,
    pub default: Option<Value>,
    pub list: ListType,
    pub checks: Checks,
    pub rules: Vec<Rule>,
    /// Whether this node or one below it has CEL rules.
    pub any_rules: bool,
}

/// OpenAPI's types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
}

/// `additionalProperties`.
#[derive(Debug, Default)]
pub(super) enum Additional {
    /// Absent: a key that is not a property is unknown.
    #[default]
    None,
    /// `true`: any key; the values have no schema.
    Any,
    /// A map whose values have this schema.
    Schema(Box<Node>),
}

/// `x-kubernetes-list-type`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum ListType {
    #[default]
    Atomic,
    Set,
    /// Items are told apart by these keys.
    Map(Vec<String>),
}

/// The value validations of a node.
#[derive(Debug, Default)]
pub(super) struct Checks {
    pub format: Option<Format>,
    pub options: Vec<Value>,
    pub minimum: Option<Bound>,
    pub maximum: Option<Bound>,
    pub multiple_of: Option<f64>,
    pub min_length: Option<u64>,
    pub max_length: Option<u64>,
    pub pattern: Option<Pattern>,
    pub min_items: Option<u64>,
    pub max_items: Option<u64>,
    pub unique_items: bool,
    pub min_properties: Option<u64>,
    pub max_properties: Option<u64>,
    pub required: Vec<String>,
    pub all_of: Vec<Node>,
    pub any_of: Vec<Node>,
    pub one_of: Vec<Node>,
    pub not: Option<Box<Node>>,
}

/// A numeric limit.
#[derive(Debug)]
pub(super) struct Bound {
    pub value: Number,
    pub exclusive: bool,
}

/// A pattern as the schema writes it, and compiled.
#[derive(Debug)]
pub(super) struct Pattern {
    pub source: String,
    pub regex: Regex,
}

impl Node {
    /// The schema of a field of an object: a property's own, or that of every map value.
    pub fn field(&self, name: &str) -> Option<&Node> {
        self.properties.get(name).or(match &self.additional {
            Additional::Schema(values) => Some(values),
            Additional::None | Additional::Any => None,
        })
    }

    /// Whether this node or one below it has CEL rules.
    pub fn has_rules(&self) -> bool {
        self.any_rules
    }

    /// Whether `value` is a null that this node does not allow.
    pub fn refuses_null(&self, value: &Value) -> bool {
        value.is_null() && !self.nullable
    }
}

impl Kind {
    /// The type by its OpenAPI name.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "object" => Self::Object,
            "array" => Self::Array,
            "string" => Self::String,
            "integer" => Self::Integer,
            "number" => Self::Number,
            "boolean" => Self::Boolean,
            _ => return None,
        })
    }

    /// The type's OpenAPI name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
        }
    }
}

impl ListType {
    /// Whether items are told apart by keys.
    pub fn is_map(&self) -> bool {
        match self {
            Self::Map(_) => true,
            Self::Atomic | Self::Set => false,
        }
    }
}
