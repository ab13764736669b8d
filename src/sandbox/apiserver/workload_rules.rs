//! The rules of Deployments, ReplicaSets, StatefulSets and their pod templates.

use serde_json::Value;

use super::builtin_rules::{forbidden, invalid, invalid_value, not_negative, one_of, required};
use super::names;
use super::object::{number, text};
use crate::schema::FieldError;

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
    counts(new, &["updatedReplicas", "readyReplicas", "availableReplicas"], &mut errors);
    errors
}

/// The counts of a status, which are parts of all replicas; only what is ready is available.
fn counts(new: &Value, parts: &[&str], errors: &mut Vec<FieldError>) {
    not_negative(new, "/status/replicas", errors);
    let of_all = parts.iter().map(|part| (*part, "replicas"));
    for (part, whole) in of_all.chain([("availableReplicas", "readyReplicas")]) {
        not_negative(new, &format!("/status/{part}"), errors);
        let count = |field: &str| number(new, &format!("/status/{field}")).unwrap_or_default();
        if count(part) > count(whole) {
            let why = format!("cannot be greater than {whole}");
            errors.push(invalid(format!("status.{part}"), &why));
        }
    }
}

pub(super) fn replica_set(new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = selection(new, old, "replicaset");
    not_negative(new, "/spec/replicas", &mut errors);
    errors
}

pub(super) fn stateful_set(new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = selection(new, old, "statefulset");
    let spec = &new["spec"];
    for field in ["/spec/replicas", "/spec/minReadySeconds", "/spec/ordinals/start"] {
        not_negative(new, field, &mut errors);
    }
    if !["OrderedReady", "Parallel"].contains(&text(spec, "/podManagementPolicy")) {
        let why = "must be 'OrderedReady' or 'Parallel'";
        errors.push(invalid_value("spec.podManagementPolicy", &spec["podManagementPolicy"], why));
    }
    stateful_set_strategy(new, &mut errors);
    for when in ["whenDeleted", "whenScaled"] {
        let policy = &spec["persistentVolumeClaimRetentionPolicy"][when];
        let at = format!("spec.persistentVolumeClaimRetentionPolicy.{when}");
        errors.extend(one_of(at, policy, &["Retain", "Delete"]));
    }
    match old {
        None => {
            let service = text(spec, "/serviceName");
            let refusal = names::label(service).filter(|_| !service.is_empty());
            errors.extend(refusal.map(|why| invalid("spec.serviceName", &why)));
            volume_claims(&spec["volumeClaimTemplates"], &mut errors);
        }
        Some(old) => {
            for field in ["volumeClaimTemplates", "serviceName", "podManagementPolicy"] {
                if old["spec"][field] != spec[field] {
                    errors.push(invalid_value(format!("spec.{field}"), &spec[field], "field is immutable"));
                }
            }
            let collisions = |object: &Value| number(object, "/status/collisionCount");
            if collisions(new) < collisions(old) {
                errors.push(invalid("status.collisionCount", "cannot be decremented"));
            }
        }
    }
    let parts = ["readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"];
    counts(new, &parts, &mut errors);
    errors
}

fn stateful_set_strategy(new: &Value, errors: &mut Vec<FieldError>) {
    let strategy = &new["spec"]["updateStrategy"];
    match text(strategy, "/type") {
        "RollingUpdate" => {
            not_negative(new, "/spec/updateStrategy/rollingUpdate/partition", errors);
            let at = "spec.updateStrategy.rollingUpdate.maxUnavailable";
            let most = &strategy["rollingUpdate"]["maxUnavailable"];
            if most.as_i64().is_some_and(|most| most < 1) {
                errors.push(invalid(at, "must be greater than 0"));
            }
            if let Some(share) = most.as_str() {
                let percent = share.strip_suffix('%').and_then(|number| number.parse::<u32>().ok());
                if !percent.is_some_and(|percent| (1..=100).contains(&percent)) {
                    errors.push(invalid(at, "must be between 1% and 100%"));
                }
            }
        }
        "OnDelete" => {
            if !strategy["rollingUpdate"].is_null() {
                let why = "only allowed for updateStrategy 'RollingUpdate'";
                errors.push(invalid("spec.updateStrategy.rollingUpdate", why));
            }
        }
        _ => errors.push(invalid("spec.updateStrategy", "must be 'RollingUpdate' or 'OnDelete'")),
    }
}

fn volume_claims(templates: &Value, errors: &mut Vec<FieldError>) {
    for (index, claim) in templates.as_array().into_iter().flatten().enumerate() {
        let at = format!("spec.volumeClaimTemplates[{index}].spec");
        if claim["spec"]["accessModes"].is_null() {
            errors.push(required(format!("{at}.accessModes")));
        }
        if claim["spec"]["resources"]["requests"]["storage"].is_null() {
            errors.push(required(format!("{at}.resources[storage]")));
        }
    }
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
    if !pod["activeDeadlineSeconds"].is_null() {
        errors.push(forbidden("spec.template.spec.activeDeadlineSeconds", "it is for pods that end"));
    }
    errors
}
