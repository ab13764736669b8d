//! From an `openAPIV3Schema` to its nodes, refusing what is not structural.

use std::collections::BTreeMap;

use serde_json::{Number, Value};

use super::cel::{self, RuleError};
use super::defaults;
use super::fields::child;
use super::formats::Format;
use super::keywords::{Keywords, Place, malformed};
use super::node::{Additional, Checks, Kind, Node};
use super::validate::validate;

/// Why a schema is refused. Paths are of schema keywords, such as `properties[spec].type`.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// A keyword holds a value of another shape than it may.
    #[error("cannot read {path}: must be {expected}")]
    Malformed {
        /// The keyword.
        path: String,
        /// What it must hold.
        expected: &'static str,
    },
    /// Every node needs a type, unless it is int-or-string or preserves unknown fields.
    #[error("schema is not structural: {path}.type must not be empty")]
    MissingType {
        /// The node without a type.
        path: String,
    },
    /// A keyword or a combination that structural schemas do not allow.
    #[error("schema is not structural: {path}: {rule}")]
    Forbidden {
        /// The node or keyword.
        path: String,
        /// What is not allowed.
        rule: &'static str,
    },
    /// A pattern that is no regular expression.
    #[error("cannot compile the pattern at {path}")]
    Pattern {
        /// The keyword.
        path: String,
        /// What the compiler says.
        source: Box<regex::Error>,
    },
    /// A default that its own schema refuses.
    #[error("default at {path} is refused by its schema: {message}")]
    Default {
        /// The keyword.
        path: String,
        /// The first refusal.
        message: String,
    },
    /// An entry of `x-kubernetes-validations` that is no rule at all.
    #[error("cannot read the rule at {path}")]
    Rule {
        /// The entry.
        path: String,
        /// What is wrong with it.
        source: RuleError,
    },
}

/// Compiles a root schema, and lists the rules that cannot be evaluated.
pub(super) fn compile(schema: &Value) -> Result<(Node, Vec<String>), SchemaError> {
    let mut compiler = Compiler { warnings: Vec::new(), functions: cel::context() };
    let mut root = compiler.node(schema, "", Place { rooted: true, junctor: false, correlatable: true })?;
    root.resource = true;
    Ok((root, compiler.warnings))
}

struct Compiler {
    warnings: Vec<String>,
    functions: kube::core::cel::cel::Context<'static>,
}

impl Compiler {
    fn node(&mut self, schema: &Value, path: &str, place: Place) -> Result<Node, SchemaError> {
        let Some(object) = schema.as_object() else {
            return Err(malformed(path, "an object"));
        };
        let keywords = Keywords { object, path };
        let mut node = Node {
            kind: keywords.kind()?,
            nullable: keywords.flag("nullable")?,
            int_or_string: keywords.flag("x-kubernetes-int-or-string")?,
            preserve_unknown: keywords.flag("x-kubernetes-preserve-unknown-fields")?,
            resource: keywords.flag("x-kubernetes-embedded-resource")?,
            default: object.get("default").cloned(),
            list: keywords.list_type()?,
            ..Node::default()
        };
        keywords.refuse_unstructural(&node, place)?;
        let below = Place {
            rooted: false,
            correlatable: place.correlatable && (node.kind != Some(Kind::Array) || node.list.is_map()),
            ..place
        };
        node.properties = self.properties(&keywords, below)?;
        node.items = match object.get("items") {
            Some(items) => Some(Box::new(self.node(items, &child(path, "items"), below)?)),
            None => None,
        };
        node.additional = match object.get("additionalProperties") {
            None | Some(Value::Bool(false)) => Additional::None,
            Some(Value::Bool(true)) => Additional::Any,
            Some(values) => Additional::Schema(Box::new(self.node(
                values,
                &child(path, "additionalProperties"),
                below,
            )?)),
        };
        node.checks = self.checks(&keywords, place)?;
        self.rules(&mut node, &keywords, place)?;
        check_default(&node, path)?;
        Ok(node)
    }

    fn properties(
        &mut self,
        keywords: &Keywords,
        place: Place,
    ) -> Result<BTreeMap<String, Node>, SchemaError> {
        let mut properties = BTreeMap::new();
        let Some(declared) = keywords.object.get("properties") else {
            return Ok(properties);
        };
        let path = child(keywords.path, "properties");
        for (name, schema) in declared.as_object().ok_or_else(|| malformed(&path, "an object"))? {
            properties.insert(name.clone(), self.node(schema, &format!("{path}[{name}]"), place)?);
        }
        Ok(properties)
    }

    fn checks(&mut self, keywords: &Keywords, place: Place) -> Result<Checks, SchemaError> {
        let junctor = Place { rooted: false, junctor: true, ..place };
        let not = match keywords.object.get("not") {
            Some(schema) => Some(Box::new(self.node(schema, &child(keywords.path, "not"), junctor)?)),
            None => None,
        };
        Ok(Checks {
            format: keywords.text("format")?.and_then(Format::parse),
            options: keywords.list("enum")?.to_vec(),
            minimum: keywords.bound("minimum", "exclusiveMinimum")?,
            maximum: keywords.bound("maximum", "exclusiveMaximum")?,
            multiple_of: keywords.number("multipleOf")?.and_then(Number::as_f64),
            min_length: keywords.count("minLength")?,
            max_length: keywords.count("maxLength")?,
            pattern: keywords.pattern()?,
            min_items: keywords.count("minItems")?,
            max_items: keywords.count("maxItems")?,
            unique_items: keywords.flag("uniqueItems")?,
            min_properties: keywords.count("minProperties")?,
            max_properties: keywords.count("maxProperties")?,
            required: keywords.texts("required")?,
            all_of: self.branches(keywords, "allOf", junctor)?,
            any_of: self.branches(keywords, "anyOf", junctor)?,
            one_of: self.branches(keywords, "oneOf", junctor)?,
            not,
        })
    }

    fn branches(&mut self, keywords: &Keywords, name: &str, place: Place) -> Result<Vec<Node>, SchemaError> {
        let path = child(keywords.path, name);
        let schemas = keywords.list(name)?.iter().enumerate();
        schemas.map(|(i, schema)| self.node(schema, &format!("{path}[{i}]"), place)).collect()
    }

    fn rules(&mut self, node: &mut Node, keywords: &Keywords, place: Place) -> Result<(), SchemaError> {
        let path = child(keywords.path, "x-kubernetes-validations");
        for (i, rule) in keywords.list("x-kubernetes-validations")?.iter().enumerate() {
            let path = format!("{path}[{i}]");
            let (rule, warning) = cel::compile(rule, &self.functions)
                .map_err(|source| SchemaError::Rule { path: path.clone(), source })?;
            if rule.transition && !place.correlatable {
                let rule = "oldSelf cannot be found below a list that is not of type map";
                return Err(SchemaError::Forbidden { path, rule });
            }
            self.warnings.extend(warning.map(|warning| format!("{path}: {warning}")));
            node.rules.push(rule);
        }
        let below = match &node.additional {
            Additional::Schema(values) => values.any_rules,
            Additional::None | Additional::Any => false,
        };
        node.any_rules = !node.rules.is_empty()
            || below
            || node.properties.values().any(|property| property.any_rules)
            || node.items.as_ref().is_some_and(|items| items.any_rules);
        Ok(())
    }
}

fn check_default(node: &Node, path: &str) -> Result<(), SchemaError> {
    let Some(mut default) = node.default.clone() else {
        return Ok(());
    };
    defaults::apply(node, &mut default);
    let mut errors = Vec::new();
    validate(node, &default, "", &mut errors);
    match errors.into_iter().next() {
        Some(error) => Err(SchemaError::Default { path: child(path, "default"), message: error.message }),
        None => Ok(()),
    }
}
