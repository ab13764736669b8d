//! What a real server fills into Deployments, ReplicaSets, StatefulSets and their pod templates.

use serde_json::{Map, Value, json};

use super::builtin_defaults::default;
use super::object;

pub(super) fn deployment(object: &mut Value) {
    if let Some(spec) = object::child(object, "spec") {
        default(spec, "replicas", json!(1));
        default(spec, "revisionHistoryLimit", json!(10));
        default(spec, "progressDeadlineSeconds", json!(600));
        deployment_strategy(spec);
        template(spec);
    }
}

pub(super) fn replica_set(object: &mut Value) {
    if let Some(spec) = object::child(object, "spec") {
        default(spec, "replicas", json!(1));
        template(spec);
    }
}

pub(super) fn stateful_set(object: &mut Value) {
    let Some(spec) = object::child(object, "spec") else {
        return;
    };
    default(spec, "replicas", json!(1));
    default(spec, "revisionHistoryLimit", json!(10));
    // It has no `omitempty` upstream.
    default(spec, "serviceName", json!(""));
    default_text(spec, "podManagementPolicy", "OrderedReady");
    stateful_set_strategy(spec);
    let retention = spec.entry("persistentVolumeClaimRetentionPolicy").or_insert_with(|| json!({}));
    if let Some(retention) = retention.as_object_mut() {
        default_text(retention, "whenDeleted", "Retain");
        default_text(retention, "whenScaled", "Retain");
    }
    for claim in spec.get_mut("volumeClaimTemplates").and_then(Value::as_array_mut).into_iter().flatten() {
        volume_claim(claim);
    }
    template(spec);
}

/// Fills in a text, which is absent to Go where it is empty.
fn default_text(fields: &mut Map<String, Value>, field: &str, text: &str) {
    if fields.get(field).and_then(Value::as_str).is_none_or(str::is_empty) {
        fields.insert(field.to_owned(), text.into());
    }
}

/// Who names the strategy and leaves out how to roll leaves out the partition, too.
fn stateful_set_strategy(spec: &mut Map<String, Value>) {
    let strategy = spec.entry("updateStrategy").or_insert_with(|| json!({}));
    if strategy["type"].as_str().is_none_or(str::is_empty) {
        strategy["type"] = "RollingUpdate".into();
        object::child(strategy, "rollingUpdate");
    }
    if strategy["type"] == "RollingUpdate"
        && let Some(rolling) = strategy.get_mut("rollingUpdate").and_then(Value::as_object_mut)
    {
        default(rolling, "partition", json!(0));
        default(rolling, "maxUnavailable", json!(1));
    }
}

fn volume_claim(claim: &mut Value) {
    claim["apiVersion"] = "v1".into();
    claim["kind"] = "PersistentVolumeClaim".into();
    object::child(claim, "metadata");
    if let Some(spec) = object::child(claim, "spec") {
        default(spec, "resources", json!({}));
        default(spec, "volumeMode", json!("Filesystem"));
    }
    if let Some(status) = object::child(claim, "status") {
        default_text(status, "phase", "Pending");
    }
}

fn deployment_strategy(spec: &mut Map<String, Value>) {
    let strategy = spec.entry("strategy").or_insert_with(|| json!({}));
    if strategy["type"].as_str().is_none_or(str::is_empty) {
        strategy["type"] = "RollingUpdate".into();
    }
    if strategy["type"] == "RollingUpdate"
        && let Some(rolling) = object::child(strategy, "rollingUpdate")
    {
        default(rolling, "maxUnavailable", json!("25%"));
        default(rolling, "maxSurge", json!("25%"));
    }
}

fn template(spec: &mut Map<String, Value>) {
    let template = spec.entry("template").or_insert_with(|| json!({}));
    for field in ["metadata", "spec"] {
        object::child(template, field);
    }
    if let Some(metadata) = template["metadata"].as_object_mut() {
        metadata.retain(|_, value| !value.as_object().is_some_and(Map::is_empty));
    }
    let Some(pod) = object::child(template, "spec") else {
        return;
    };
    for (field, value) in [
        ("restartPolicy", json!("Always")),
        ("terminationGracePeriodSeconds", json!(30)),
        ("dnsPolicy", json!("ClusterFirst")),
        ("securityContext", json!({})),
        ("schedulerName", json!("default-scheduler")),
    ] {
        default(pod, field, value);
    }
    if let Some(account) = pod.get("serviceAccountName").cloned() {
        default(pod, "serviceAccount", account);
    }
    for list in ["containers", "initContainers"] {
        let containers = pod.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten();
        containers.filter_map(Value::as_object_mut).for_each(container);
    }
}

fn container(container: &mut Map<String, Value>) {
    let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
    let last = image.rsplit('/').next().unwrap_or_default();
    let floats = !image.contains('@') && (last.ends_with(":latest") || !last.contains(':'));
    let policy = if floats { "Always" } else { "IfNotPresent" };
    for (field, value) in [
        ("imagePullPolicy", json!(policy)),
        ("resources", json!({})),
        ("terminationMessagePath", json!("/dev/termination-log")),
        ("terminationMessagePolicy", json!("File")),
    ] {
        default(container, field, value);
    }
    let ports = container.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten();
    for port in ports.filter_map(Value::as_object_mut) {
        default(port, "protocol", json!("TCP"));
    }
    for probe in ["readinessProbe", "livenessProbe", "startupProbe"] {
        let Some(probe) = container.get_mut(probe).and_then(Value::as_object_mut) else {
            continue;
        };
        for (field, value) in
            [("failureThreshold", 3), ("periodSeconds", 10), ("successThreshold", 1), ("timeoutSeconds", 1)]
        {
            default(probe, field, json!(value));
        }
        if let Some(get) = probe.get_mut("httpGet").and_then(Value::as_object_mut) {
            default(get, "path", json!("/"));
            default(get, "scheme", json!("HTTP"));
        }
    }
}
