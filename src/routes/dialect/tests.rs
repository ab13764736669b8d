use serde_json::{Value, json};

use super::*;
use crate::routes::scripted::{Answer, server};

fn route(spec: &Value) -> Answer {
    let object = json!({
        "apiVersion": "appmesh.k8s.aws/v1beta2", "kind": "GatewayRoute",
        "metadata": {"name": "color", "namespace": "shop"}, "spec": spec,
    });
    Answer::Send(200, object.to_string())
}

fn lone() -> Answer {
    let target = json!({"virtualService": {"virtualServiceRef": {"name": "v1"}}, "port": 80});
    route(&json!({"httpRoute": {"action": {"target": target}}}))
}

fn refused(code: u16, message: &str, causes: &Value) -> Answer {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": "Invalid",
        "message": message, "details": {"causes": causes},
    });
    Answer::Send(code, status.to_string())
}

/// What an API server says to a field that it does not know; the refused object comes first.
const UNKNOWN: &str = r#"patch: Invalid value: "{\"weightedTargets\":[]}": strict decoding error: unknown field "spec.httpRoute.action.weightedTargets""#;

#[tokio::test]
async fn the_crd_is_told_by_its_refusal() {
    let missed = json!([{"reason": "FieldValueRequired", "field": "spec.httpRoute.action.target", "message": "Required value"}]);
    let other =
        json!([{"reason": "FieldValueInvalid", "field": "spec.priority", "message": "Invalid value"}]);
    let elsewhere = r#"patch: Invalid value: "{\"a\":\".weightedTargets\"}": strict decoding error: unknown field "spec.extra""#;
    let cases = [
        ("forbidden", refused(403, "cannot patch", &json!([])), None),
        ("invalid for another reason", refused(422, "is invalid", &other), None),
        ("another unknown field", refused(422, elsewhere, &json!([])), None),
        ("connection lost", Answer::Drop, None),
        ("unknown field", refused(422, UNKNOWN, &json!([])), Some(Dialect::Aws)),
        ("unknown field, as a bad request", refused(400, UNKNOWN, &json!([])), Some(Dialect::Aws)),
        (
            "unknown field, in a cause",
            refused(422, "is invalid", &json!([{"field": "patch", "message": UNKNOWN}])),
            Some(Dialect::Aws),
        ),
        ("pruned", refused(422, "is invalid", &missed), Some(Dialect::Aws)),
        ("taken", lone(), Some(Dialect::Weighted)),
    ];
    for (name, answer, want) in cases {
        let (client, _) = server(vec![lone(), answer]).await;
        let told = probe_dialect(&client, "shop", "color").await;
        match want {
            Some(want) => assert_eq!(told.ok(), Some(want), "{name}"),
            None => assert!(matches!(told, Err(ProbeError::Undecided { .. })), "{name}"),
        }
    }
}

#[tokio::test]
async fn a_route_that_can_not_be_asked_about() {
    let by_arn = json!({"virtualService": {"virtualServiceARN": "arn:aws:x"}});
    let weighted = json!([{"virtualServiceRef": {"name": "v1"}, "weight": 1}]);
    for spec in [
        json!({}),
        json!({"httpRoute": {"action": {"target": by_arn}}}),
        json!({"httpRoute": {"action": {"targets": weighted}}}),
    ] {
        let (client, asked) = server(vec![route(&spec)]).await;
        let told = probe_dialect(&client, "shop", "color").await;
        assert!(matches!(told, Err(ProbeError::NoLoneTarget { .. })), "{spec}");
        assert_eq!(asked.lock().unwrap().len(), 1, "nothing is patched");
    }
    let (client, _) = server(vec![refused(404, "not found", &json!([]))]).await;
    let told = probe_dialect(&client, "shop", "color").await;
    assert!(matches!(told, Err(ProbeError::Read { .. })));
}

#[tokio::test]
async fn nothing_is_stored() {
    let (client, asked) = server(vec![lone(), lone()]).await;
    probe_dialect(&client, "shop", "color").await.unwrap();
    let asked = asked.lock().unwrap();
    let query = asked[1].uri.query().unwrap();
    assert!(query.contains("dryRun=All") && query.contains("fieldValidation=Strict"), "{query}");
    assert_eq!(
        asked[1].body,
        json!([
            {"op": "remove", "path": "/spec/httpRoute/action/target"},
            {"op": "add", "path": "/spec/httpRoute/action/weightedTargets", "value": [
                {"virtualServiceRef": {"name": "v1"}, "port": 80, "weight": 100},
            ]},
        ])
    );
}
