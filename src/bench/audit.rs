//! The audit log of a real API server: one JSON object a line. Pure.

use std::collections::HashSet;

use jiff::Timestamp;
use serde::Deserialize;

use super::calls::Call;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    #[serde(rename = "auditID")]
    audit_id: String,
    verb: String,
    #[serde(default)]
    user_agent: String,
    #[serde(default, rename = "requestURI")]
    request_uri: String,
    #[serde(default)]
    object_ref: Option<ObjectRef>,
    request_received_timestamp: Timestamp,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ObjectRef {
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

/// The calls of a user agent in a namespace or in none, in the order of their arrival, each once however many stages of
/// it were logged. A line that is no event is left out: the last one may not be whole yet.
pub fn calls(log: &str, agent: &str, namespace: &str) -> Vec<Call> {
    let mut known = HashSet::new();
    let mut calls: Vec<Call> = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Event>(line).ok())
        .filter(|event| event.user_agent.starts_with(agent))
        .filter_map(|event| {
            let about = event.object_ref.unwrap_or_default();
            (concerns(namespace, &about.namespace) && known.insert(event.audit_id)).then(|| Call {
                at: event.request_received_timestamp,
                verb: event.verb,
                resource: resource(&about.resource, &about.subresource, &event.request_uri),
                name: about.name,
            })
        })
        .collect();
    calls.sort_by_key(|call| call.at);
    calls
}

/// Whether a call in a namespace, or in none, is counted for one.
pub fn concerns(counted: &str, namespace: &str) -> bool {
    namespace.is_empty() || namespace == counted
}

/// A resource with its subresource, as RBAC spells it; the path of what is no resource.
pub fn resource(resource: &str, subresource: &str, uri: &str) -> String {
    if resource.is_empty() {
        return uri.split('?').next().unwrap_or_default().to_owned();
    }
    if subresource.is_empty() { resource.to_owned() } else { format!("{resource}/{subresource}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(id: &str, stage: &str, agent: &str, namespace: &str, at: &str) -> String {
        json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": id, "stage": stage,
            "verb": "patch", "user": {"username": "admin"}, "userAgent": agent,
            "objectRef": {"resource": "rollouts", "namespace": namespace, "name": "r", "subresource": "status"},
            "requestReceivedTimestamp": at, "stageTimestamp": at,
        })
        .to_string()
    }

    #[test]
    fn one_call_a_request_of_ours_in_order() {
        let log = [
            line("b", "ResponseStarted", "tidegate/1", "ns", "2026-11-01T10:00:02.000001Z"),
            line("b", "ResponseComplete", "tidegate/1", "ns", "2026-11-01T10:00:02.000001Z"),
            line("a", "ResponseComplete", "tidegate/1", "ns", "2026-11-01T10:00:01.5Z"),
            line("c", "ResponseComplete", "kubectl/1", "ns", "2026-11-01T10:00:01Z"),
            line("d", "ResponseComplete", "tidegate/1", "other", "2026-11-01T10:00:01Z"),
            r#"{"verb":"get","auditID":"e","requestReceivedTimestamp":"2026-11-01T10:00:00Z","userAgent":"tidegate/1","requestURI":"/version?timeout=5s"}"#.to_owned(),
            r#"{"auditID": "cut of"#.to_owned(),
        ]
        .join("\n");
        let calls = calls(&log, "tidegate/", "ns");
        let told: Vec<(&str, &str, &str)> = calls
            .iter()
            .map(|call| (call.verb.as_str(), call.resource.as_str(), call.name.as_str()))
            .collect();
        let ours = ("patch", "rollouts/status", "r");
        assert_eq!(told, [("get", "/version", ""), ours, ours]);
        assert_eq!(calls[1].at, "2026-11-01T10:00:01.5Z".parse().unwrap());
    }
}
