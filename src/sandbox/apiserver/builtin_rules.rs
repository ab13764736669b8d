//! The rules of built-in kinds that people break most. The rest of a real server's validation is not here.

use serde_json::{Map, Value};

use super::builtins::{
    AUTOSCALERS, DEFINITIONS, DEPLOYMENTS, NAMESPACES, REPLICA_SETS, SERVICES, STATEFUL_SETS,
};
use super::names;
use super::object::{self, number, text};
use super::resource::{Model, Resource};
use super::{autoscaler_rules, crds, event_rules, workload_rules};
use crate::schema::FieldError;

/// What is wrong with a built-in object in its stored shape; `old` is what it replaces.
pub(super) fn check(resource: &Resource, new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    match resource.storage.as_str() {
        "/configmaps" => config_map(new, old),
        SERVICES => service(new, old),
        DEPLOYMENTS => workload_rules::deployment(new, old),
        REPLICA_SETS => workload_rules::replica_set(new, old),
        STATEFUL_SETS => workload_rules::stateful_set(new, old),
        AUTOSCALERS => autoscaler_rules::check(new, old),
        "coordination.k8s.io/leases" => lease(new),
        "/events" => event_rules::check(new, old, matches!(resource.model, Model::NewEvent(_))),
        DEFINITIONS => crds::check(new),
        NAMESPACES => namespace(new),
        _ => Vec::new(),
    }
}

pub(super) fn invalid(path: impl Into<String>, why: &str) -> FieldError {
    FieldError { path: path.into(), reason: "FieldValueInvalid", message: format!("Invalid value: {why}") }
}

/// Refuses a value, which the message shows.
pub(super) fn invalid_value(path: impl Into<String>, value: &Value, why: &str) -> FieldError {
    invalid(path, &format!("{value}: {why}"))
}

pub(super) fn required(path: impl Into<String>) -> FieldError {
    FieldError { path: path.into(), reason: "FieldValueRequired", message: "Required value".to_owned() }
}

pub(super) fn forbidden(path: impl Into<String>, why: &str) -> FieldError {
    FieldError { path: path.into(), reason: "FieldValueForbidden", message: format!("Forbidden: {why}") }
}

fn duplicate(path: impl Into<String>, value: &Value) -> FieldError {
    let message = format!("Duplicate value: {value}");
    FieldError { path: path.into(), reason: "FieldValueDuplicate", message }
}

/// A value outside the list of those there are; absent is fine.
pub(super) fn one_of(path: impl Into<String>, value: &Value, options: &[&str]) -> Option<FieldError> {
    if value.as_str().is_none_or(str::is_empty) { None } else { is_one_of(path, value, options) }
}

/// A value outside the list of those there are, absent ones included.
pub(super) fn is_one_of(path: impl Into<String>, value: &Value, options: &[&str]) -> Option<FieldError> {
    let found = value.as_str().unwrap_or_default();
    if options.contains(&found) {
        return None;
    }
    let options: Vec<String> = options.iter().map(|option| format!("{option:?}")).collect();
    let message = format!("Unsupported value: {found:?}: supported values: {}", options.join(", "));
    Some(FieldError { path: path.into(), reason: "FieldValueNotSupported", message })
}

/// A number that must not be negative.
pub(super) fn not_negative(object: &Value, pointer: &str, errors: &mut Vec<FieldError>) {
    if let Some(value) = object.pointer(pointer).filter(|value| value.as_i64().is_some_and(|count| count < 0))
    {
        let at = pointer[1..].replace('/', ".");
        errors.push(invalid_value(at, value, "must be greater than or equal to 0"));
    }
}

fn fields<'v>(object: &'v Value, field: &str) -> impl Iterator<Item = (&'v String, &'v Value)> {
    object[field].as_object().into_iter().flat_map(Map::iter)
}

fn config_map(new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for field in ["data", "binaryData"] {
        for (key, _) in fields(new, field) {
            let letters =
                key.bytes().all(|letter| letter.is_ascii_alphanumeric() || b"-._".contains(&letter));
            if key.is_empty() || key.len() > 253 || !letters || key == "." || key.starts_with("..") {
                errors.push(invalid(
                    format!("{field}[{key}]"),
                    "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
                ));
            }
        }
    }
    for (key, _) in fields(new, "data").filter(|(key, _)| new["binaryData"].get(*key).is_some()) {
        errors.push(invalid(format!("data[{key}]"), "duplicate of key present in binaryData"));
    }
    if let Some(old) = old.filter(|old| old["immutable"] == true) {
        for field in ["immutable", "data", "binaryData"] {
            if new.get(field) != old.get(field) {
                errors.push(forbidden(field, "field is immutable when `immutable` is set"));
            }
        }
    }
    errors
}

fn namespace(new: &Value) -> Vec<FieldError> {
    let phase = text(new, "/status/phase");
    let (wanted, when) = if object::is_terminating(new) { ("Terminating", "not ") } else { ("Active", "") };
    if phase.is_empty() || phase == wanted {
        return Vec::new();
    }
    vec![invalid("status.Phase", &format!("may only be '{wanted}' if `deletionTimestamp` is {when}empty"))]
}

fn lease(new: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if number(new, "/spec/leaseDurationSeconds").is_some_and(|seconds| seconds <= 0) {
        errors.push(invalid("spec.leaseDurationSeconds", "must be greater than 0"));
    }
    not_negative(new, "/spec/leaseTransitions", &mut errors);
    errors
}

fn service(new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let spec = &new["spec"];
    let external = spec["type"] == "ExternalName";
    let ports: Vec<&Value> = spec["ports"].as_array().into_iter().flatten().collect();
    if ports.is_empty() && !external && text(spec, "/clusterIP") != "None" {
        errors.push(required("spec.ports"));
    }
    if external && text(spec, "/externalName").is_empty() {
        errors.push(required("spec.externalName"));
    }
    errors.extend(one_of(
        "spec.type",
        &spec["type"],
        &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"],
    ));
    errors.extend(one_of("spec.sessionAffinity", &spec["sessionAffinity"], &["ClientIP", "None"]));
    service_ports(&ports, &mut errors);
    for (key, value) in fields(spec, "selector") {
        let refusal =
            names::qualified(key).or_else(|| names::label_value(value.as_str().unwrap_or_default()));
        errors.extend(refusal.map(|why| invalid("spec.selector", &why)));
    }
    let address = text(spec, "/clusterIP");
    if !external && !matches!(address, "" | "None") && address.parse::<std::net::IpAddr>().is_err() {
        errors.push(invalid(
            "spec.clusterIPs[0]",
            "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
        ));
    }
    if let Some(old) = old
        && old["spec"]["type"] == spec["type"]
        && !external
        && old["spec"]["clusterIP"] != spec["clusterIP"]
    {
        errors.push(invalid("spec.clusterIPs[0]", "may not change once set"));
    }
    if spec["type"] != "LoadBalancer" && new.pointer("/status/loadBalancer/ingress").is_some() {
        errors.push(forbidden(
            "status.loadBalancer.ingress",
            "may only be used when `spec.type` is 'LoadBalancer'",
        ));
    }
    errors
}

fn service_ports(ports: &[&Value], errors: &mut Vec<FieldError>) {
    for (index, port) in ports.iter().enumerate() {
        let at = |field: &str| format!("spec.ports[{index}].{field}");
        let name = text(port, "/name");
        if name.is_empty() && ports.len() > 1 {
            errors.push(required(at("name")));
        } else if !name.is_empty() {
            errors.extend(names::label(name).map(|why| invalid(at("name"), &why)));
            if ports[..index].iter().any(|earlier| earlier["name"] == port["name"]) {
                errors.push(duplicate(at("name"), &port["name"]));
            }
        }
        for field in ["port", "targetPort"] {
            if port[field].as_i64().is_some_and(|number| !(1..=65535).contains(&number)) {
                errors.push(invalid(at(field), "must be between 1 and 65535, inclusive"));
            }
        }
        errors.extend(one_of(at("protocol"), &port["protocol"], &["SCTP", "TCP", "UDP"]));
        let same =
            |earlier: &&&Value| earlier["port"] == port["port"] && earlier["protocol"] == port["protocol"];
        if ports[..index].iter().any(|earlier| same(&earlier)) {
            errors.push(duplicate(format!("spec.ports[{index}]"), port));
        }
    }
}
