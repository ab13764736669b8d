//! The schemas of the kinds that we know, applied as an API server does: unknown fields, defaults, values, rules.

use kube::CustomResourceExt;
use serde_json::Value;

use super::{finding::Fault, objects::Known, spelling};
use crate::{
    api::{AnalysisTemplate, Rollout, gateway_route_crd, units},
    kubectl::Error,
    schema::{FieldError, Schema},
};

/// Where a CRD has the schema of its only version.
const SCHEMA: &str = "/spec/versions/0/schema/openAPIV3Schema";
/// The reason of what is only told to explain what was left out.
const NOT_CHECKED: &str = "some validation rules were not checked";
/// What the message of a broken rule begins with: the type of the value that it is about.
const OF_RULES: [&str; 4] = ["\"object\": ", "\"array\": ", "\"string\": ", "\"integer\": "];

/// The schemas of all kinds that have one.
pub(super) struct Schemas {
    rollout: Written,
    template: Written,
    gateway_route: Written,
}

/// A schema, and how it is written.
struct Written {
    schema: Schema,
    text: Value,
}

impl Schemas {
    /// Compiles them.
    pub(super) fn new() -> Result<Self, Error> {
        let damaged = |what: &str, why: String| {
            Error::Usage(format!("the {what} CRD of this program is damaged: {why}"))
        };
        let gateway_route = gateway_route_crd::gateway_route_crd();
        let gateway_route = gateway_route.map_err(|error| damaged("GatewayRoute", error.to_string()))?;
        let compile = |what: &str, crd: &Value| {
            let text = crd.pointer(SCHEMA).cloned().unwrap_or_default();
            let compiled = Schema::compile(&text).map_err(|error| damaged(what, error.to_string()))?;
            Ok::<_, Error>(Written { schema: compiled.0, text })
        };
        Ok(Self {
            rollout: compile("Rollout", &serde_json::to_value(Rollout::crd())?)?,
            template: compile("AnalysisTemplate", &serde_json::to_value(AnalysisTemplate::crd())?)?,
            gateway_route: compile("GatewayRoute", &gateway_route)?,
        })
    }

    /// What an API server would refuse of an object. What it doesn't know is taken out, and the defaults are put in.
    pub(super) fn check(&self, known: Known, object: &mut Value) -> Vec<Fault> {
        let Written { schema, text } = match known {
            Known::Rollout => &self.rollout,
            Known::Template => &self.template,
            Known::GatewayRoute => &self.gateway_route,
        };
        let mut faults: Vec<Fault> =
            schema.prune(object).into_iter().map(|path| unknown(text, path)).collect();
        schema.apply_defaults(object);
        let refused = schema.validate(object, None).into_iter();
        faults.extend(refused.map(|error| told(&error)));
        faults
    }
}

fn unknown(schema: &Value, path: String) -> Fault {
    let message = match spelling::meant(schema, &path) {
        Some(field) => format!("there is no such field; {field} is meant perhaps, else remove it"),
        None => "there is no such field; remove it, or correct its name".to_owned(),
    };
    Fault::error(path, message)
}

/// An API server's own words where they say what to do, and ours where they don't.
fn told(error: &FieldError) -> Fault {
    let FieldError { path, reason, message } = error;
    if message.contains(NOT_CHECKED) {
        let message = "the rules between fields are not checked before these errors are put right";
        return Fault::note(path, message);
    }
    if let Some(rest) = message.strip_prefix("Required value") {
        let rest = rest.strip_prefix(": ").map_or(String::new(), |rest| format!(" ({rest})"));
        return Fault::error(path, format!("it is missing{rest}; add it"));
    }
    let message = message.strip_prefix("Invalid value: ").unwrap_or(message);
    let spoken = match *reason {
        "FieldValueTypeInvalid" => of_type(message),
        _ => of_unit(message),
    };
    // Of a rule, the sentence alone says what must be.
    let rule = OF_RULES.iter().find_map(|kind| message.strip_prefix(kind)).unwrap_or(message);
    Fault::error(path, spoken.unwrap_or_else(|| rule.to_owned()))
}

/// `"integer": spec.x in body must be of type string: "integer"`, as people say it.
fn of_type(message: &str) -> Option<String> {
    let (given, expected) = message.split_once(" in body must be of type ")?;
    let (given, _) = given.strip_prefix('"')?.split_once('"')?;
    let (expected, _) = expected.split_once(':')?;
    let quote = if expected == "string" { "; write it in quotes" } else { "" };
    Some(format!("it must be of type {expected}, and is of type {given}{quote}"))
}

/// A text that does not match the pattern of its unit: the unit says what it is like.
fn of_unit(message: &str) -> Option<String> {
    let mut values = serde_json::Deserializer::from_str(message).into_iter::<String>();
    let value = values.next()?.ok()?;
    let (_, pattern) = message.split_once(" in body should match '")?;
    let refused = if pattern.starts_with(units::DURATION_PATTERN) {
        value.parse::<units::Duration>().err()
    } else if pattern.ends_with("%$'") {
        value.parse::<units::Percent>().err()
    } else if pattern.starts_with("^-?[0-9]") {
        value.parse::<units::Decimal>().err()
    } else {
        None
    };
    refused.map(|error| error.to_string())
}
