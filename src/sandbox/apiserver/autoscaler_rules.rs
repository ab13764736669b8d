//! The rules of HorizontalPodAutoscalers.

use serde_json::Value;

use super::builtin_rules::{forbidden, invalid_value, is_one_of, not_negative, one_of, required};
use super::names;
use super::object::{number, text};
use crate::schema::FieldError;

/// The longest period of a policy, in seconds.
const LONGEST_PERIOD: i64 = 1800;
/// The longest window of stabilization, in seconds.
const LONGEST_WINDOW: i64 = 3600;

/// Types of metrics, and the fields that describe them.
const SOURCES: [(&str, &str); 5] = [
    ("ContainerResource", "containerResource"),
    ("External", "external"),
    ("Object", "object"),
    ("Pods", "pods"),
    ("Resource", "resource"),
];

pub(super) fn check(new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let spec = &new["spec"];
    let least = number(spec, "/minReplicas").unwrap_or(1);
    replicas(new, least, &mut errors);
    let target = &spec["scaleTargetRef"];
    reference(target, "spec.scaleTargetRef", &mut errors);
    // What was let in before is let be.
    let same = |old: &Value| {
        let before = &old["spec"]["scaleTargetRef"];
        before["apiVersion"] == target["apiVersion"] && before["kind"] == target["kind"]
    };
    if !old.is_some_and(same) {
        let may_be_core = target["kind"] == "ReplicationController";
        errors.extend(api_version(target, "spec.scaleTargetRef", may_be_core));
    }
    let metrics: Vec<&Value> = spec["metrics"].as_array().into_iter().flatten().collect();
    for (index, one) in metrics.iter().enumerate() {
        metric(one, &format!("spec.metrics[{index}]"), &mut errors);
    }
    let tells_of_none = |metric: &&Value| metric["type"] == "Object" || metric["type"] == "External";
    if least == 0 && !metrics.iter().any(tells_of_none) {
        let why = "must specify at least one Object or External metric to support scaling to zero replicas";
        errors.push(forbidden("spec.metrics", why));
    }
    for direction in ["scaleUp", "scaleDown"] {
        let rules = &spec["behavior"][direction];
        if rules.is_object() {
            scaling(rules, &format!("spec.behavior.{direction}"), &mut errors);
        }
    }
    errors
}

fn replicas(new: &Value, least: i64, errors: &mut Vec<FieldError>) {
    for count in ["/spec/minReplicas", "/status/currentReplicas", "/status/desiredReplicas"] {
        not_negative(new, count, errors);
    }
    let at = "spec.maxReplicas";
    let most = number(new, "/spec/maxReplicas").unwrap_or_default();
    match most {
        0 => errors.push(required(at)),
        ..0 => errors.push(invalid_value(at, &most.into(), "must be greater than or equal to 1")),
        _ => {}
    }
    if most < least {
        errors.push(invalid_value(at, &most.into(), "must be greater than or equal to `minReplicas`"));
    }
}

/// What another object is named by.
fn reference(reference: &Value, at: &str, errors: &mut Vec<FieldError>) {
    for field in ["kind", "name"] {
        path_segment(text(reference, &format!("/{field}")), &format!("{at}.{field}"), errors);
    }
}

/// A name that is there, and can be a part of a path.
fn path_segment(name: &str, at: &str, errors: &mut Vec<FieldError>) {
    match name {
        "" => errors.push(required(at)),
        "." | ".." => errors.push(invalid_value(at, &name.into(), &format!("may not be '{name}'"))),
        _ => {
            let parts = ["/", "%"].into_iter().filter(|part| name.contains(part));
            let refusal = |part| invalid_value(at, &name.into(), &format!("may not contain '{part}'"));
            errors.extend(parts.map(refusal));
        }
    }
}

fn api_version(reference: &Value, at: &str, may_be_core: bool) -> Option<FieldError> {
    let version = text(reference, "/apiVersion");
    let why = match version.split_once('/') {
        Some((_, rest)) if rest.contains('/') => format!("unexpected GroupVersion string: {version}"),
        None | Some(("", _)) if !may_be_core => "apiVersion must specify API group".to_owned(),
        None | Some(_) => return None,
    };
    Some(invalid_value(format!("{at}.apiVersion"), &version.into(), &why))
}

fn metric(metric: &Value, at: &str, errors: &mut Vec<FieldError>) {
    let named = text(metric, "/type");
    if named.is_empty() {
        errors.push(required(format!("{at}.type")));
    }
    errors.extend(is_one_of(format!("{at}.type"), &metric["type"], &SOURCES.map(|(type_, _)| type_)));
    let wanted = SOURCES.iter().find(|(known, _)| *known == named).map(|(_, field)| *field);
    if let Some(field) = wanted.filter(|field| !metric[*field].is_object()) {
        errors.push(required(format!("{at}.{field}")));
    }
    // Upstream looks into the first alone.
    let order = ["object", "external", "pods", "resource", "containerResource"];
    let given: Vec<&str> = order.into_iter().filter(|field| metric[*field].is_object()).collect();
    if let Some(field) = given.first() {
        source(field, &metric[*field], &format!("{at}.{field}"), errors);
    }
    if given.len() > 1 {
        let others = given.iter().filter(|field| Some(**field) != wanted);
        let why = "must populate the given metric source only";
        errors.extend(others.map(|field| forbidden(format!("{at}.{field}"), why)));
    }
}

/// What describes a metric, under the field of its type.
fn source(field: &str, source: &Value, at: &str, errors: &mut Vec<FieldError>) {
    match field {
        "resource" | "containerResource" => {
            if text(source, "/name").is_empty() {
                errors.push(required(format!("{at}.name")));
            }
        }
        _ => path_segment(text(source, "/metric/name"), &format!("{at}.metric.name"), errors),
    }
    if field == "containerResource" {
        match text(source, "/container") {
            "" => errors.push(required(format!("{at}.container"))),
            name => errors.extend(
                names::label(name)
                    .map(|why| invalid_value(format!("{at}.container"), &source["container"], &why)),
            ),
        }
    }
    if field == "object" {
        let object = &source["describedObject"];
        reference(object, &format!("{at}.describedObject"), errors);
        errors.extend(api_version(object, &format!("{at}.describedObject"), true));
    }
    target(field, &source["target"], &format!("{at}.target"), errors);
}

/// The value that a metric is to have.
fn target(field: &str, target: &Value, at: &str, errors: &mut Vec<FieldError>) {
    let below = |name: &str| format!("{at}.{name}");
    let type_ = text(target, "/type");
    if type_.is_empty() {
        errors.push(required(below("type")));
    }
    if !["Utilization", "Value", "AverageValue"].contains(&type_) {
        errors.push(invalid_value(
            below("type"),
            &type_.into(),
            "must be either Utilization, Value, or AverageValue",
        ));
    }
    for name in ["value", "averageValue"] {
        let amount = text(target, &format!("/{name}"));
        if amount.starts_with('-')
            || !amount.is_empty() && !amount.contains(|letter| ('1'..='9').contains(&letter))
        {
            errors.push(invalid_value(below(name), &target[name], "must be positive"));
        }
    }
    if number(target, "/averageUtilization").is_some_and(|percent| percent < 1) {
        errors.push(invalid_value(
            below("averageUtilization"),
            &target["averageUtilization"],
            "must be greater than 0",
        ));
    }
    let has = |name: &str| !target[name].is_null();
    match field {
        "pods" if !has("averageValue") => errors.push(required(below("averageValue"))),
        "object" | "external" if !has("value") && !has("averageValue") => {
            errors.push(required(below("averageValue")));
        }
        "external" if has("value") && has("averageValue") => {
            let why = "may not set both a target value for metric and a per-pod target";
            errors.push(forbidden(below("value"), why));
        }
        "resource" | "containerResource" => match (has("averageUtilization"), has("averageValue")) {
            (false, false) => errors.push(required(below("averageUtilization"))),
            (true, true) => {
                let why = "may not set both a target raw value and a target utilization";
                errors.push(forbidden(below("averageValue"), why));
            }
            _ => {}
        },
        _ => {}
    }
}

/// How fast the replicas may change in one direction.
fn scaling(rules: &Value, at: &str, errors: &mut Vec<FieldError>) {
    let window = number(rules, "/stabilizationWindowSeconds").unwrap_or_default();
    if !(0..=LONGEST_WINDOW).contains(&window) {
        let why = format!("must be between 0 and {LONGEST_WINDOW}");
        errors.push(invalid_value(format!("{at}.stabilizationWindowSeconds"), &window.into(), &why));
    }
    errors.extend(one_of(format!("{at}.selectPolicy"), &rules["selectPolicy"], &["Disabled", "Max", "Min"]));
    if text(rules, "/tolerance").starts_with('-') {
        errors.push(invalid_value(
            format!("{at}.tolerance"),
            &rules["tolerance"],
            "must be greater than or equal to 0",
        ));
    }
    let policies = rules["policies"].as_array().map(Vec::as_slice).unwrap_or_default();
    if policies.is_empty() {
        errors.push(required(format!("{at}.policies")));
    }
    for (index, policy) in policies.iter().enumerate() {
        let at = |field: &str| format!("{at}.policies[{index}].{field}");
        errors.extend(is_one_of(at("type"), &policy["type"], &["Percent", "Pods"]));
        let amount = number(policy, "/value").unwrap_or_default();
        if amount <= 0 {
            errors.push(invalid_value(at("value"), &amount.into(), "must be greater than zero"));
        }
        let period = number(policy, "/periodSeconds").unwrap_or_default();
        if !(1..=LONGEST_PERIOD).contains(&period) {
            let why = format!("must be between 1 and {LONGEST_PERIOD}");
            errors.push(invalid_value(at("periodSeconds"), &period.into(), &why));
        }
    }
}
