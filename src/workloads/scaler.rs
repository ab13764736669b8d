//! What else scales workloads: HorizontalPodAutoscalers, those of KEDA among them.

use serde_json::Value;

use crate::{
    api::WorkloadKind,
    engine::observed::{ScalerSeen, WorkloadKey},
};

/// A HorizontalPodAutoscaler of a Deployment or StatefulSet, as the API server shows it; none of anything else.
pub fn scaler(object: &Value) -> Option<ScalerSeen> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    let kind = match text("/spec/scaleTargetRef/kind")? {
        "Deployment" => WorkloadKind::Deployment,
        "StatefulSet" => WorkloadKind::StatefulSet,
        _ => return None,
    };
    if text("/spec/scaleTargetRef/apiVersion").is_some_and(|version| !version.starts_with("apps/")) {
        return None;
    }
    let number = |pointer: &str, default| {
        object.pointer(pointer).and_then(Value::as_i64).and_then(|n| i32::try_from(n).ok()).unwrap_or(default)
    };
    let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array).into_iter().flatten();
    let mut scaled_objects = owners.filter(|owner| owner["kind"] == "ScaledObject");
    let keda = scaled_objects.next().and_then(|owner| owner["name"].as_str()).map(str::to_owned);
    let min = number("/spec/minReplicas", 1);
    Some(ScalerSeen {
        workload: WorkloadKey { kind, name: text("/spec/scaleTargetRef/name")?.to_owned() },
        name: text("/metadata/name").unwrap_or_default().to_owned(),
        min,
        max: number("/spec/maxReplicas", min).max(min),
        keda,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn those_of_workloads_are_known_with_their_bounds() {
        let of = |kind: &str, version: &str, owners: Value| {
            scaler(&json!({
                "metadata": {"name": "h", "ownerReferences": owners},
                "spec": {
                    "scaleTargetRef": {"apiVersion": version, "kind": kind, "name": "v2"},
                    "minReplicas": 2, "maxReplicas": 7,
                },
            }))
        };
        let seen = of("Deployment", "apps/v1", json!([])).unwrap();
        assert_eq!((seen.workload, seen.min, seen.max), (WorkloadKey::deployment("v2"), 2, 7));
        assert_eq!((seen.name.as_str(), seen.keda), ("h", None));
        assert_eq!(of("StatefulSet", "apps/v1", json!([])).unwrap().workload.kind, WorkloadKind::StatefulSet);
        let keda = json!([{"kind": "ScaledObject", "name": "queue"}]);
        assert_eq!(of("Deployment", "apps/v1", keda).unwrap().keda.as_deref(), Some("queue"));
        assert_eq!(of("Rollout", "argoproj.io/v1alpha1", json!([])), None);
        assert_eq!(of("Deployment", "example.com/v1", json!([])), None);
        assert_eq!(scaler(&json!({})), None);
    }
}
