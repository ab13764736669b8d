//! What `kubectl get` shows of HorizontalPodAutoscalers, after the name.

use serde_json::{Value, json};

use super::builtin_columns::{age, computed};
use super::object::{number, text};
use super::resource::Column;

/// Metrics that are shown; the others are counted.
const SHOWN: usize = 2;

const UNKNOWN: &str = "<unknown>";

pub(super) fn autoscaler() -> Vec<Column> {
    vec![
        computed("Reference", |object| {
            let target = &object["spec"]["scaleTargetRef"];
            json!(format!("{}/{}", text(target, "/kind"), text(target, "/name")))
        }),
        computed("Targets", |object| json!(targets(object))),
        computed("MinPods", |object| {
            let least = number(object, "/spec/minReplicas");
            json!(least.map_or_else(|| "<unset>".to_owned(), |least| least.to_string()))
        }),
        computed("MaxPods", |object| json!(number(object, "/spec/maxReplicas").unwrap_or_default())),
        computed("Replicas", |object| json!(number(object, "/status/currentReplicas").unwrap_or_default())),
        age(),
    ]
}

fn targets(object: &Value) -> String {
    let metrics = object["spec"]["metrics"].as_array().map(Vec::as_slice).unwrap_or_default();
    if metrics.is_empty() {
        return "<none>".to_owned();
    }
    let seen = &object["status"]["currentMetrics"];
    let shown: Vec<String> =
        metrics.iter().enumerate().take(SHOWN).map(|(index, metric)| target(metric, &seen[index])).collect();
    let shown = shown.join(", ");
    match metrics.len() - metrics.len().min(SHOWN) {
        0 => shown,
        more => format!("{shown} + {more} more..."),
    }
}

/// A metric as `CURRENT/TARGET`; `seen` is its status.
fn target(metric: &Value, seen: &Value) -> String {
    let source = match text(metric, "/type") {
        "External" => "external",
        "Pods" => "pods",
        "Object" => "object",
        "Resource" => "resource",
        "ContainerResource" => "containerResource",
        _ => return "<unknown type>".to_owned(),
    };
    let (wanted, current) = (&metric[source]["target"], &seen[source]["current"]);
    let pair = |field: &str| {
        let shown = |value: &Value| value.as_str().unwrap_or(UNKNOWN).to_owned();
        format!("{}/{}", shown(&current[field]), shown(&wanted[field]))
    };
    let is_average = wanted["averageValue"].is_string();
    match source {
        "pods" => pair("averageValue"),
        "external" | "object" if is_average => format!("{} (avg)", pair("averageValue")),
        "external" | "object" => pair("value"),
        _ if is_average => format!("{}: {}", text(&metric[source], "/name"), pair("averageValue")),
        _ => {
            let percent = |values: &Value, otherwise: &str| {
                let found = number(values, "/averageUtilization");
                found.map_or_else(|| otherwise.to_owned(), |found| format!("{found}%"))
            };
            let name = text(&metric[source], "/name");
            format!("{name}: {}/{}", percent(current, UNKNOWN), percent(wanted, "<auto>"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_read_like_kubectls() {
        let cpu = |target: Value| json!({"type": "Resource", "resource": {"name": "cpu", "target": target}});
        let object =
            |target: Value| json!({"type": "Object", "object": {"metric": {"name": "m"}, "target": target}});
        let pods = json!({"type": "Pods", "pods": {"target": {"type": "AverageValue", "averageValue": "4"}}});
        let half = cpu(json!({"type": "Utilization", "averageUtilization": 50}));
        let seen =
            json!([{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 7}}}]);
        for (metrics, seen, wanted) in [
            (json!(null), json!(null), "<none>"),
            (json!([half]), json!(null), "cpu: <unknown>/50%"),
            (json!([half]), seen.clone(), "cpu: 7%/50%"),
            (json!([cpu(json!({"averageValue": "1"}))]), json!(null), "cpu: <unknown>/1"),
            (json!([cpu(json!({}))]), json!(null), "cpu: <unknown>/<auto>"),
            (json!([object(json!({"value": "3"})), pods]), seen, "<unknown>/3, <unknown>/4"),
            (json!([object(json!({"averageValue": "3"}))]), json!(null), "<unknown>/3 (avg)"),
            (json!([pods, half, half, half]), json!(null), "<unknown>/4, cpu: <unknown>/50% + 2 more..."),
            (json!([{"type": "Odd"}]), json!(null), "<unknown type>"),
        ] {
            let shown = json!({"spec": {"metrics": metrics}, "status": {"currentMetrics": seen}});
            assert_eq!(targets(&shown), wanted, "{shown}");
        }
    }
}
