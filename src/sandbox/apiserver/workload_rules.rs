//! The rules of Deployments, ReplicaSets and their pod templates.

use serde_json::Value;

use super::builtin_rules::{forbidden, invalid, not_negative, one_of, required};
use super::names;
use super::object::{number, text};
use crate::sandbox::schema::FieldError;

pub(super) fn deployment(new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = selection(new, old, "deployment");
    for field in ["replicas", "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"] {
        not_negative(new, &format!("/spec/{field}"), &mut errors);
    }
    let ready = number(new, "/spec/minReadySeconds").unwrap_or_default();
    if number(new, "/spec/progressDeadlineSeconds").is_some_and(|deadline| deadline <= ready) {
        errors.push(invalid("spec.progressDeadlineSeconds", "must be greater than minReadySeconds"));
    }
    let strategy = &new["spec"]["strategy"];
    errors.extend(one_of("spec.strategy", &strategy["type"], &["Recreate", "RollingUpdate"]));
    if strategy["type"] == "Recreate" && !strategy["rollingUpdate"].is_null() {
        let why = "may not be specified when strategy `type` is 'Recreate'";
        errors.push(forbidden("spec.strategy.rollingUpdate", why));
    }
    errors.extend(counts(new));
    errors
}

/// The counts of a status, which are parts of one another.
fn counts(new: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (part, whole) in [
        ("updatedReplicas", "replicas"),
        ("readyReplicas", "replicas"),
        ("availableReplicas", "replicas"),
        ("availableReplicas", "readyReplicas"),
    ] {
        not_negative(new, &format!("/status/{part}"), &mut errors);
        let count = |field: &str| number(new, &format!("/status/{field}")).unwrap_or_default();
        if count(part) > count(whole) {
            let why = format!("cannot be greater than {whole}");
            errors.push(invalid(format!("status.{part}"), &why));
        }
    }
    errors
}

pub(super) fn replica_set(new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = selection(new, old, "replicaset");
    not_negative(new, "/spec/replicas", &mut errors);
    errors
}

/// The selector, which stays as it was made, and the template that it must select.
fn selection(new: &Value, old: Option<&Value>, kind: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let spec = &new["spec"];
    let wanted = spec["selector"]["matchLabels"].as_object();
    if spec["selector"].is_null() {
        errors.push(required("spec.selector"));
    } else if wanted.is_none_or(serde_json::Map::is_empty) && spec["selector"]["matchExpressions"].is_null() {
        errors.push(invalid("spec.selector", &format!("empty selector is invalid for {kind}")));
    }
    let labels = &spec["template"]["metadata"]["labels"];
    let selected = !spec["selector"].is_null()
        && wanted.into_iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    if !selected {
        errors.push(invalid("spec.template.metadata.labels", "`selector` does not match template `labels`"));
    }
    errors.extend(pod(&spec["template"]["spec"]));
    if old.is_some_and(|old| old["spec"]["selector"] != spec["selector"]) {
        errors.push(invalid("spec.selector", "field is immutable"));
    }
    errors
}

fn pod(pod: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let containers: Vec<&Value> = pod["containers"].as_array().into_iter().flatten().collect();
    if containers.is_empty() {
        errors.push(required("spec.template.spec.containers"));
    }
    for (index, container) in containers.iter().enumerate() {
        let at = |field: &str| format!("spec.template.spec.containers[{index}].{field}");
        let name = text(container, "/name");
        if name.is_empty() {
            errors.push(required(at("name")));
        } else {
            errors.extend(names::label(name).map(|why| invalid(at("name"), &why)));
        }
        if text(container, "/image").is_empty() {
            errors.push(required(at("image")));
        }
        errors.extend(one_of(
            at("imagePullPolicy"),
            &container["imagePullPolicy"],
            &["Always", "IfNotPresent", "Never"],
        ));
        for (index, port) in container["ports"].as_array().into_iter().flatten().enumerate() {
            let at = |field: &str| at(&format!("ports[{index}].{field}"));
            match port["containerPort"].as_i64() {
                None | Some(0) => errors.push(required(at("containerPort"))),
                Some(1..=65535) => {}
                Some(_) => {
                    errors.push(invalid(at("containerPort"), "must be between 1 and 65535, inclusive"));
                }
            }
            errors.extend(one_of(at("protocol"), &port["protocol"], &["SCTP", "TCP", "UDP"]));
        }
    }
    if pod["restartPolicy"] != "Always" {
        errors.extend(one_of("spec.template.spec.restartPolicy", &pod["restartPolicy"], &["Always"]));
    }
    errors
}
