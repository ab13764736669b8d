//! Values as CEL sees them: typed by the schema, with Kubernetes' escaped field names, without unknown fields.

use std::collections::HashMap;
use std::sync::Arc;

use kube::core::cel::cel::objects::{Key, Map as CelMap};
use kube::core::cel::cel::{Context, Program, Value as CelValue};
use serde_json::{Map, Number, Value};

use super::formats::Format;
use super::node::{Additional, Node};

/// What of `metadata` rules may see.
const METADATA_FIELDS: [&str; 2] = ["name", "generateName"];

/// Converts a value with what its schema says about it.
pub(super) fn to_cel(node: &Node, value: &Value, functions: &Context<'_>) -> CelValue {
    match value {
        Value::Null => CelValue::Null,
        Value::Bool(flag) => CelValue::Bool(*flag),
        Value::Number(number) => number_to_cel(node, number),
        Value::String(text) => text_to_cel(node, text, functions),
        Value::Array(items) => {
            let item = |item| match node.items.as_deref() {
                Some(schema) => to_cel(schema, item, functions),
                None => CelValue::Null,
            };
            CelValue::List(Arc::new(items.iter().map(item).collect()))
        }
        Value::Object(fields) => object_to_cel(node, fields, functions),
    }
}

fn object_to_cel(node: &Node, fields: &Map<String, Value>, functions: &Context<'_>) -> CelValue {
    let mut entries: HashMap<Key, CelValue> = HashMap::with_capacity(fields.len());
    for (name, field) in fields {
        if let Some(property) = node.properties.get(name).filter(|property| is_visible(property)) {
            entries.insert(key(&escape(name)), to_cel(property, field, functions));
        } else if let Additional::Schema(values) = &node.additional
            && is_visible(values)
        {
            // The keys of a map are data, and stay as they are.
            entries.insert(key(name), to_cel(values, field, functions));
        }
    }
    if node.resource {
        for name in ["apiVersion", "kind"] {
            if let Some(Value::String(text)) = fields.get(name) {
                entries.insert(key(name), string(text));
            }
        }
        let metadata = fields.get("metadata").and_then(Value::as_object);
        let visible = METADATA_FIELDS
            .iter()
            .filter_map(|name| Some((key(name), string(metadata?.get(*name)?.as_str()?))))
            .collect();
        entries.insert(key("metadata"), CelValue::Map(CelMap { map: Arc::new(visible) }));
    }
    CelValue::Map(CelMap { map: Arc::new(entries) })
}

/// Rules see no value whose type is unknown.
fn is_visible(node: &Node) -> bool {
    if node.int_or_string {
        return true;
    }
    let values_visible = match &node.additional {
        Additional::None => true,
        Additional::Any => false,
        Additional::Schema(values) => is_visible(values),
    };
    node.kind.is_some() && values_visible && node.items.as_deref().is_none_or(is_visible)
}

fn number_to_cel(node: &Node, number: &Number) -> CelValue {
    let as_float = CelValue::Float(number.as_f64().unwrap_or(f64::NAN));
    if node.kind == Some(super::node::Kind::Number) {
        return as_float;
    }
    number.as_i64().map_or(as_float, CelValue::Int)
}

/// Strings of some formats are values of their own in CEL; the expression language itself reads them.
fn text_to_cel(node: &Node, text: &str, functions: &Context<'_>) -> CelValue {
    let reader = match node.checks.format {
        Some(Format::DateTime) => "timestamp(text)",
        Some(Format::Duration) => "duration(text)",
        Some(Format::Byte) => "base64.decode(text)",
        _ => return string(text),
    };
    let mut scope = functions.new_inner_scope();
    scope.add_variable_from_value("text", string(text));
    let read = Program::compile(reader).ok().and_then(|reader| reader.execute(&scope).ok());
    read.unwrap_or_else(|| string(text))
}

fn string(text: &str) -> CelValue {
    CelValue::String(Arc::new(text.to_owned()))
}

fn key(name: &str) -> Key {
    Key::String(Arc::new(name.to_owned()))
}

/// CEL's keywords, which a field name must not be.
const KEYWORDS: [&str; 21] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// A field name as rules write it: `__namespace__`, `a__dash__b`.
fn escape(name: &str) -> String {
    if KEYWORDS.contains(&name) {
        return format!("__{name}__");
    }
    name.replace("__", "__underscores__")
        .replace('.', "__dot__")
        .replace('-', "__dash__")
        .replace('/', "__slash__")
}
