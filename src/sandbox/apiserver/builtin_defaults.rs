//! What a real server fills into built-in kinds.

use serde_json::{Map, Value, json};

use super::builtins::{DEPLOYMENTS, REPLICA_SETS, SERVICES};
use super::object::{self, text};
use super::resource::Resource;

/// Fills in the defaults of a built-in object in its stored shape.
pub(super) fn apply(resource: &Resource, object: &mut Value) {
    match resource.storage.as_str() {
        DEPLOYMENTS => {
            if let Some(spec) = object::child(object, "spec") {
                spec.entry("replicas").or_insert(json!(1));
                default(spec, "revisionHistoryLimit", json!(10));
                default(spec, "progressDeadlineSeconds", json!(600));
                strategy(spec);
                template(spec);
            }
        }
        REPLICA_SETS => {
            if let Some(spec) = object::child(object, "spec") {
                spec.entry("replicas").or_insert(json!(1));
                template(spec);
            }
        }
        SERVICES => service(object),
        "/events" => {
            if let Some(fields) = object.as_object_mut() {
                // These have no `omitempty` upstream.
                for (field, empty) in [
                    ("eventTime", Value::Null),
                    ("firstTimestamp", Value::Null),
                    ("lastTimestamp", Value::Null),
                    ("reportingComponent", "".into()),
                    ("reportingInstance", "".into()),
                    ("involvedObject", json!({})),
                    ("source", json!({})),
                ] {
                    default(fields, field, empty);
                }
            }
        }
        "coordination.k8s.io/leases" => {
            if let Some(fields) = object.as_object_mut() {
                default(fields, "spec", json!({}));
            }
        }
        _ => {}
    }
}

fn default(fields: &mut Map<String, Value>, field: &str, value: Value) {
    fields.entry(field).or_insert(value);
}

fn strategy(spec: &mut Map<String, Value>) {
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

fn service(object: &mut Value) {
    let Some(spec) = object::child(object, "spec") else {
        return;
    };
    default(spec, "type", json!("ClusterIP"));
    default(spec, "sessionAffinity", json!("None"));
    if spec["sessionAffinity"] == "ClientIP" {
        default(spec, "sessionAffinityConfig", json!({"clientIP": {"timeoutSeconds": 10_800}}));
    }
    for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        let number = port["port"].clone();
        if let Some(port) = port.as_object_mut() {
            default(port, "protocol", json!("TCP"));
            default(port, "targetPort", number);
        }
    }
    if spec["type"] == "ExternalName" {
        return;
    }
    default(spec, "internalTrafficPolicy", json!("Cluster"));
    if matches!(spec["type"].as_str(), Some("NodePort" | "LoadBalancer")) {
        default(spec, "externalTrafficPolicy", json!("Cluster"));
    }
    if spec["type"] == "LoadBalancer" {
        default(spec, "allocateLoadBalancerNodePorts", json!(true));
    }
    default(spec, "ipFamilies", json!(["IPv4"]));
    default(spec, "ipFamilyPolicy", json!("SingleStack"));
}

/// Gives a service its address, unless it has or wants none.
pub(super) fn allocate_address(object: &mut Value) {
    let wanted = text(object, "/spec/clusterIP").to_owned();
    if object["spec"]["type"] == "ExternalName" {
        return;
    }
    let address = if wanted.is_empty() {
        // Of the uid, which is random: nothing is ever reached there.
        let bits =
            object::uid(object).bytes().fold(7_u32, |bits, byte| bits.wrapping_mul(31) ^ u32::from(byte));
        format!("10.96.{}.{}", bits >> 8 & 0xff, (bits & 0xff).max(1))
    } else {
        wanted
    };
    if let Some(spec) = object::child(object, "spec") {
        spec.insert("clusterIP".to_owned(), json!(address));
        default(spec, "clusterIPs", json!([address]));
    }
}

/// Carries the address over from the stored service to a change that leaves it out.
pub(super) fn keep_address(new: &mut Value, current: &Value) {
    if new["spec"]["type"] == "ExternalName" {
        return;
    }
    for field in ["clusterIP", "clusterIPs"] {
        if let Some(spec) = object::child(new, "spec")
            && let Some(value) = current["spec"].get(field)
        {
            default(spec, field, value.clone());
        }
    }
}
