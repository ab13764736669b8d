//! The workloads behind the targets: how many pods are ready, which version of the pods it is, and what scales them.

mod scale;
mod scaler;

pub use scale::{ScaleError, resource, scale};
pub use scaler::scaler;
use serde_json::Value;

use crate::{api::fnv1a, engine::observed::WorkloadSeen};

/// A Deployment or a StatefulSet as the API server shows it. Only `spec.replicas`, `spec.template` and
/// `status.readyReplicas` are read.
pub fn seen(workload: &Value) -> WorkloadSeen {
    let number =
        |pointer| workload.pointer(pointer).and_then(Value::as_i64).and_then(|n| i32::try_from(n).ok());
    // An API server writes the default in.
    let replicas = number("/spec/replicas").unwrap_or(1);
    let hash = template_hash(workload.pointer("/spec/template").unwrap_or(&Value::Null));
    WorkloadSeen::present(replicas, number("/status/readyReplicas").unwrap_or(0), hash)
}

/// The hash of a pod template: 64-bit FNV-1a, as 16 hexadecimal digits, over its canonical JSON.
///
/// Canonical JSON has no spaces, members sorted by name, and no member that is null: API servers of different age
/// write `creationTimestamp: null` or leave it out. It is taken from the JSON as served and not from a typed
/// object, so that neither field order nor the fields that this program knows change it. The hash tells versions
/// apart in status; it protects against nothing.
pub fn template_hash(template: &Value) -> String {
    let mut text = String::new();
    write_canonical(template, &mut text);
    format!("{:016x}", fnv1a(&text))
}

fn write_canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().filter(|(_, value)| !value.is_null()).collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            text.push('{');
            for (place, (name, value)) in members.into_iter().enumerate() {
                if place > 0 {
                    text.push(',');
                }
                text.push_str(&Value::from(name.as_str()).to_string());
                text.push(':');
                write_canonical(value, text);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    text.push(',');
                }
                write_canonical(item, text);
            }
            text.push(']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            text.push_str(&value.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ready_pods() {
        let cases = [
            ("no status", json!({"spec": {"template": {}}}), 0),
            ("no ready pod", json!({"status": {"replicas": 3}}), 0),
            ("null", json!({"status": {"readyReplicas": null}}), 0),
            ("not a number", json!({"status": {"readyReplicas": "2"}}), 0),
            ("ready", json!({"status": {"readyReplicas": 2}}), 2),
        ];
        for (name, deployment, want) in cases {
            let WorkloadSeen::Present(pods) = seen(&deployment) else {
                panic!("{name}: not present");
            };
            assert_eq!(pods.ready, want, "{name}");
        }
    }

    #[test]
    fn only_the_template_counts() {
        let deployment = |generation: i32, template: Value| {
            seen(
                &json!({"metadata": {"generation": generation}, "spec": {"replicas": 2, "template": template}}),
            )
        };
        let v1 = json!({"spec": {"containers": [{"image": "app:1", "name": "app"}]}});
        let v2 = json!({"spec": {"containers": [{"image": "app:2", "name": "app"}]}});
        assert_eq!(deployment(1, v1.clone()), deployment(5, v1.clone()));
        assert_ne!(deployment(1, v1), deployment(1, v2));
    }

    #[test]
    fn the_same_template_has_the_same_hash() {
        let hash = |text: &str| template_hash(&serde_json::from_str(text).unwrap());
        assert_eq!(
            hash(r#"{"a":1,"b":[{"c":2,"d":3}]}"#),
            hash(r#"{"b":[{"d":3,"c":2}],"a":1}"#),
            "order of members"
        );
        assert_eq!(hash(r#"{"a":1,"creationTimestamp":null}"#), hash(r#"{"a":1}"#), "null is absent");
        assert_ne!(hash(r#"{"a":[1,2]}"#), hash(r#"{"a":[2,1]}"#), "order of items");
        assert_ne!(hash(r#"{"a":"1"}"#), hash(r#"{"a":1}"#), "text is no number");
        assert_ne!(hash(r#"{"a":"b\",\"c"}"#), hash(r#"{"a":"b","c":""}"#), "quotes are escaped");
    }

    #[test]
    fn the_hash_is_fnv_1a() {
        // It is kept in status, so that it must never change from one version of this program to the next.
        assert_eq!(template_hash(&json!("")), "07cc7607b4949e25");
        assert_eq!(template_hash(&json!({"b": 1, "a": [true, null, "x"]})), "8efc364b3052045e");
    }
}
