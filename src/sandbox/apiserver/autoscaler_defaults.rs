//! What a real server fills into HorizontalPodAutoscalers.

use serde_json::{Map, Value, json};

use super::builtin_defaults::default;
use super::object;

pub(super) fn apply(object: &mut Value) {
    let Some(spec) = object::child(object, "spec") else {
        return;
    };
    default(spec, "minReplicas", json!(1));
    let cpu = json!({"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}});
    default(spec, "metrics", json!([{"type": "Resource", "resource": cpu}]));
    // Who says nothing of the behavior leaves it to the controller; who says something is told all of it.
    if let Some(behavior) = spec.get_mut("behavior") {
        let percent = json!({"type": "Percent", "value": 100, "periodSeconds": 15});
        if let Some(up) = object::child(behavior, "scaleUp") {
            default(up, "stabilizationWindowSeconds", json!(0));
            let pods = json!({"type": "Pods", "value": 4, "periodSeconds": 15});
            policies(up, json!([pods, percent]));
        }
        if let Some(down) = object::child(behavior, "scaleDown") {
            policies(down, json!([percent]));
        }
    }
}

fn policies(rules: &mut Map<String, Value>, policies: Value) {
    default(rules, "selectPolicy", json!("Max"));
    default(rules, "policies", policies);
}
