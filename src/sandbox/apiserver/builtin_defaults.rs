//! What a real server fills into built-in kinds.

use serde_json::{Map, Value, json};

use super::builtins::{AUTOSCALERS, DEPLOYMENTS, REPLICA_SETS, SERVICES, STATEFUL_SETS};
use super::object::{self, text};
use super::resource::Resource;
use super::{autoscaler_defaults, workload_defaults};

/// Fills in the defaults of a built-in object in its stored shape.
pub(super) fn apply(resource: &Resource, object: &mut Value) {
    match resource.storage.as_str() {
        DEPLOYMENTS => workload_defaults::deployment(object),
        REPLICA_SETS => workload_defaults::replica_set(object),
        STATEFUL_SETS => workload_defaults::stateful_set(object),
        AUTOSCALERS => autoscaler_defaults::apply(object),
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
    if let Some(Value::Object(empty)) = empty_status(resource)
        && let Some(status) = object::child(object, "status")
    {
        for (field, value) in empty {
            default(status, &field, value);
        }
    }
}

/// The status of a kind before anybody writes one: the counts that have no `omitempty` upstream.
pub(super) fn empty_status(resource: &Resource) -> Option<Value> {
    match resource.storage.as_str() {
        DEPLOYMENTS => Some(json!({})),
        REPLICA_SETS => Some(json!({"replicas": 0})),
        STATEFUL_SETS => Some(json!({"replicas": 0, "availableReplicas": 0})),
        AUTOSCALERS => Some(json!({"desiredReplicas": 0, "currentMetrics": null})),
        SERVICES => Some(json!({"loadBalancer": {}})),
        _ => None,
    }
}

pub(super) fn default(fields: &mut Map<String, Value>, field: &str, value: Value) {
    fields.entry(field).or_insert(value);
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
