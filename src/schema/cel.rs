//! The CEL rules of `x-kubernetes-validations`.
//!
//! Expressions and functions are kube's own (`kube::core::cel`). The walk is ours, since its validator finds old
//! list items by position, where an API server finds them by the keys of a list of type map and nowhere else.

use kube::core::cel::KubeCelExt;
use kube::core::cel::cel::objects::OptionalValue;
use kube::core::cel::cel::{Context, ExecutionError, Program, Value as CelValue};
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;

use super::cel_values::to_cel;
use super::fields::{FieldError, child, index, type_name};
use super::lists::old_item;
use super::node::Node;

/// One rule, ready to run.
#[derive(Debug)]
pub(super) struct Rule {
    text: RuleText,
    program: Result<Program, String>,
    message: Option<Program>,
    reason: &'static str,
    /// Whether the rule is about a change: it runs only where there is an old value.
    pub transition: bool,
}

/// Why an entry of `x-kubernetes-validations` is refused with its schema.
#[derive(Debug, thiserror::Error)]
pub enum RuleError {
    /// Fields that no rule has, or of another type.
    #[error("not a rule")]
    Shape(#[source] serde_json::Error),
    /// A reason outside Kubernetes' list.
    #[error(
        "reason {0} must be FieldValueInvalid, FieldValueForbidden, FieldValueRequired or FieldValueDuplicate"
    )]
    Reason(String),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RuleText {
    rule: String,
    message: Option<String>,
    message_expression: Option<String>,
    reason: Option<String>,
    field_path: Option<String>,
    #[serde(default)]
    optional_old_self: bool,
}

/// Everything that expressions can call; variables are bound in inner scopes.
pub(super) fn context() -> Context<'static> {
    Context::default().with_all()
}

/// Compiles one entry. The second part says why the rule cannot be evaluated here, if so; the rule then fails
/// for every object it applies to.
pub(super) fn compile(entry: &Value, functions: &Context<'_>) -> Result<(Rule, Option<String>), RuleError> {
    let text = RuleText::deserialize(entry).map_err(RuleError::Shape)?;
    let reason = match text.reason.as_deref() {
        None | Some("FieldValueInvalid") => "FieldValueInvalid",
        Some("FieldValueForbidden") => "FieldValueForbidden",
        Some("FieldValueRequired") => "FieldValueRequired",
        Some("FieldValueDuplicate") => "FieldValueDuplicate",
        Some(other) => return Err(RuleError::Reason(other.to_owned())),
    };
    let program = program(&text.rule, functions);
    let message = text.message_expression.as_deref().map(|expression| self::program(expression, functions));
    let warning = match (&program, &message) {
        (Err(why), _) => Some(format!("rule `{}` cannot be evaluated: {why}", text.rule)),
        (Ok(_), Some(Err(why))) => Some(format!("messageExpression cannot be evaluated: {why}")),
        (Ok(_), None | Some(Ok(_))) => None,
    };
    let transition = program.as_ref().is_ok_and(|program| program.references().has_variable("oldSelf"));
    Ok((Rule { text, program, message: message.and_then(Result::ok), reason, transition }, warning))
}

/// The libraries whose functions are called by a qualified name.
const LIBRARIES: [&str; 5] = ["", "sets.", "math.", "base64.", "optional."];

fn program(expression: &str, functions: &Context<'_>) -> Result<Program, String> {
    let program = Program::compile(expression).map_err(|error| error.to_string().replace('\n', " "))?;
    for name in program.references().functions() {
        let is_operator = !name.starts_with(|c: char| c.is_ascii_alphabetic());
        if !is_operator
            && !LIBRARIES.iter().any(|library| has_function(&format!("{library}{name}"), functions))
        {
            return Err(format!("function or macro {name} is not supported"));
        }
    }
    Ok(program)
}

/// A context does not list its functions; calling one without arguments tells whether it is there.
fn has_function(name: &str, functions: &Context<'_>) -> bool {
    Program::compile(&format!("{name}()"))
        .is_ok_and(|call| !matches!(call.execute(functions), Err(ExecutionError::UndeclaredReference(_))))
}

/// Adds an error for every rule at or below `node` that `new` breaks.
pub(super) fn check(node: &Node, new: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    if node.has_rules() {
        Checker { functions: context(), errors }.walk(node, new, old, "");
    }
}

struct Checker<'a> {
    functions: Context<'static>,
    errors: &'a mut Vec<FieldError>,
}

impl Checker<'_> {
    fn walk(&mut self, node: &Node, new: &Value, old: Option<&Value>, path: &str) {
        // Nulls are for the rules of the surrounding object.
        if !node.has_rules() || new.is_null() {
            return;
        }
        if !node.rules.is_empty() {
            self.run_rules(node, new, old.filter(|old| !old.is_null()), path);
        }
        match new {
            Value::Object(fields) => {
                for (name, field) in fields {
                    if let Some(schema) = node.field(name) {
                        let old = old.and_then(|old| old.get(name));
                        self.walk(schema, field, old, &child(path, name));
                    }
                }
            }
            Value::Array(items) => {
                let Some(schema) = node.items.as_deref() else {
                    return;
                };
                for (i, item) in items.iter().enumerate() {
                    self.walk(schema, item, old_item(node, old, item), &index(path, i));
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn run_rules(&mut self, node: &Node, new: &Value, old: Option<&Value>, path: &str) {
        let mut scope = self.functions.new_inner_scope();
        scope.add_variable_from_value("self", to_cel(node, new, &self.functions));
        let old = old.map(|old| to_cel(node, old, &self.functions));
        for rule in &node.rules {
            let mut scope = scope.new_inner_scope();
            if rule.text.optional_old_self {
                let optional = old.clone().map_or_else(OptionalValue::none, OptionalValue::of);
                scope.add_variable_from_value("oldSelf", CelValue::Opaque(Arc::new(optional)));
            } else if let Some(old) = &old {
                scope.add_variable_from_value("oldSelf", old.clone());
            } else if rule.transition {
                continue;
            }
            self.errors.extend(rule.run(&scope, new, path));
        }
    }
}

impl Rule {
    /// The rule's verdict: an error if it does not hold, or cannot be told to hold.
    fn run(&self, scope: &Context<'_>, value: &Value, path: &str) -> Option<FieldError> {
        let result = match &self.program {
            Ok(program) => program.execute(scope),
            Err(why) => return Some(self.error(value, path, &format!("cannot evaluate rule: {why}"))),
        };
        match result {
            Ok(CelValue::Bool(true)) => None,
            Ok(CelValue::Bool(false)) => Some(self.error(value, path, &self.message(scope))),
            Ok(_) => {
                Some(self.error(value, path, &format!("rule `{}` must evaluate to a bool", self.text.rule)))
            }
            Err(error) => {
                let detail = format!("rule `{}` could not be evaluated: {error}", self.text.rule);
                Some(self.error(value, path, &detail))
            }
        }
    }

    fn message(&self, scope: &Context<'_>) -> String {
        if let Some(expression) = &self.message
            && let Ok(CelValue::String(message)) = expression.execute(scope)
            && !message.trim().is_empty()
            && !message.contains('\n')
        {
            return message.trim().to_owned();
        }
        match self.text.message.as_deref().map(str::trim) {
            Some(message) if !message.is_empty() => message.to_owned(),
            _ => format!("failed rule: {}", self.text.rule),
        }
    }

    fn error(&self, value: &Value, path: &str, detail: &str) -> FieldError {
        let path = match self.text.field_path.as_deref() {
            Some(field) if path.is_empty() => field.trim_start_matches('.').to_owned(),
            Some(field) => format!("{path}{field}"),
            None => path.to_owned(),
        };
        // Upstream shows the type here, not the value.
        let shown = Value::from(type_name(value));
        let message = match self.reason {
            "FieldValueRequired" => return FieldError::required(path, detail),
            "FieldValueForbidden" => format!("Forbidden: {detail}"),
            "FieldValueDuplicate" => format!("Duplicate value: {shown}: {detail}"),
            _ => return FieldError::invalid(path, &shown, detail),
        };
        FieldError { path, reason: self.reason, message }
    }
}
