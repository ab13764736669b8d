//! Publish: writes to the Rollout itself. Every one carries the resourceVersion that it was decided on, so that a
//! decision from a stale cache fails here, before it reaches a route.

use std::{borrow::Cow, sync::Arc, time::Duration};

use http::Request;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{
    Api, Resource, ResourceExt,
    api::{Patch, PatchParams, PostParams},
};
use serde::Serialize;
use serde_json::{Value, json};

use super::{context::Context, error::TurnError, own::Own};
use crate::{
    api::{FINALIZER, Rollout, RolloutSpec, RolloutStatus},
    routes::{self, FIELD_MANAGER, without_body},
};

/// An API call on a Rollout that takes longer has an unknown outcome.
const DEADLINE: Duration = Duration::from_secs(10);
/// What is attempted, for sentences.
const READ: &str = "read the Rollout";

/// A Rollout with another status, as it is sent.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Next<'a> {
    api_version: Cow<'static, str>,
    kind: Cow<'static, str>,
    metadata: &'a ObjectMeta,
    spec: &'a RolloutSpec,
    status: &'a RolloutStatus,
}

/// Stores a status; the answer is the Rollout as it is now.
pub async fn store_status(
    context: &Context,
    rollout: &Rollout,
    status: &Arc<RolloutStatus>,
) -> Result<Own, TurnError> {
    let request = replace_status(rollout, status).map_err(TurnError::StoreStatus)?;
    let _few = context.precedence.give_way().await;
    if !context.leadership.leads_for(&rollout.uid().unwrap_or_default()) {
        return Err(TurnError::NotLeading);
    }
    let answer = tokio::time::timeout(DEADLINE, context.client.request::<Own>(request)).await;
    context.meters.write("status", matches!(answer, Ok(Ok(_))));
    let mut stored = match answer {
        Ok(Ok(stored)) => stored,
        Ok(Err(error)) => return Err(status_error(error)),
        Err(_) => return Err(TurnError::StatusUnknown(None)),
    };
    if stored.status == *status {
        // One copy of it is enough.
        stored.status = Arc::clone(status);
        return Ok(stored);
    }
    // Only now is it worth the work to find out what is missing.
    let plain = |status: &RolloutStatus| serde_json::to_value(status).unwrap_or_default();
    match lost(&plain(status), &plain(&stored.status)) {
        Some(field) => Err(TurnError::Pruned { field }),
        None => Ok(stored),
    }
}

/// What kube's `Api::replace_status` sends, without a copy of the Rollout to put the status in.
fn replace_status(rollout: &Rollout, status: &RolloutStatus) -> kube::Result<Request<Vec<u8>>> {
    let next = Next {
        api_version: Rollout::api_version(&()),
        kind: Rollout::kind(&()),
        metadata: &rollout.metadata,
        spec: &rollout.spec,
        status,
    };
    let body = serde_json::to_vec(&next).map_err(kube::Error::SerdeError)?;
    let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
    let collection = kube::core::Request::new(Rollout::url_path(&(), rollout.metadata.namespace.as_deref()));
    let request = collection.replace_subresource("status", &rollout.name_any(), &params, body);
    request.map_err(kube::Error::BuildRequest)
}

/// Puts our finalizer on a Rollout or takes it off.
pub async fn set_finalizer(context: &Context, rollout: &Rollout, hold: bool) -> Result<Own, TurnError> {
    let (verb, attempt) = if hold {
        ("add", "add the finalizer of the Rollout")
    } else {
        ("remove", "remove the finalizer of the Rollout")
    };
    let others = rollout.finalizers().iter().map(String::as_str).filter(|name| *name != FINALIZER);
    let finalizers: Vec<&str> = others.chain(hold.then_some(FINALIZER)).collect();
    let patch = json!({
        "metadata": { "resourceVersion": rollout.resource_version(), "finalizers": finalizers }
    });
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let (api, name) = (api(context, rollout), rollout.name_any());
    let _few = context.precedence.give_way().await;
    if !context.leadership.leads_for(&rollout.uid().unwrap_or_default()) {
        return Err(TurnError::NotLeading);
    }
    let answer = tokio::time::timeout(DEADLINE, api.patch(&name, &params, &Patch::Merge(&patch))).await;
    context.meters.write("finalizer", matches!(answer, Ok(Ok(_))));
    match answer {
        Ok(Ok(stored)) => Ok(stored.into()),
        Ok(Err(error)) => Err(forbidden(attempt, &error)
            .unwrap_or_else(|| TurnError::Finalizer { verb, source: without_body(error) })),
        Err(_) => Err(late(attempt)),
    }
}

/// Reads a Rollout from the API server; `None` where that very one is gone.
pub async fn read(context: &Context, rollout: &ObjectMeta) -> Result<Option<Own>, TurnError> {
    let namespace = rollout.namespace.as_deref().unwrap_or_default();
    let api: Api<Rollout> = Api::namespaced(context.client.clone(), namespace);
    let name = rollout.name.as_deref().unwrap_or_default();
    match tokio::time::timeout(DEADLINE, api.get_opt(name)).await {
        Ok(Ok(read)) => Ok(read.filter(|read| read.metadata.uid == rollout.uid).map(Own::from)),
        Ok(Err(error)) => {
            Err(forbidden(READ, &error).unwrap_or_else(|| TurnError::ReadRollout(without_body(error))))
        }
        Err(_) => Err(late(READ)),
    }
}

/// The UID of the Rollout of this name at the API server; `None` where there is none.
pub async fn uid_of(context: &Context, namespace: &str, name: &str) -> Result<Option<String>, TurnError> {
    let api: Api<Rollout> = Api::namespaced(context.client.clone(), namespace);
    match tokio::time::timeout(DEADLINE, api.get_metadata_opt(name)).await {
        Ok(Ok(read)) => Ok(read.and_then(|read| read.metadata.uid)),
        Ok(Err(error)) => {
            Err(forbidden(READ, &error).unwrap_or_else(|| TurnError::ReadRollout(without_body(error))))
        }
        Err(_) => Err(late(READ)),
    }
}

fn api(context: &Context, rollout: &Rollout) -> Api<Rollout> {
    Api::namespaced(context.client.clone(), &rollout.namespace().unwrap_or_default())
}

fn late(attempt: &'static str) -> TurnError {
    TurnError::Late { attempt, seconds: DEADLINE.as_secs() }
}

/// A 4xx, 429 and 503 say that nothing was stored; after anything else it may have been.
fn status_error(error: kube::Error) -> TurnError {
    if let Some(forbidden) = forbidden("store the status of the Rollout", &error) {
        return forbidden;
    }
    let code = match &error {
        kube::Error::Api(status) => status.code,
        _ => 0,
    };
    let error = without_body(error);
    match code {
        409 => TurnError::StatusConflict,
        400..=499 | 503 => TurnError::StoreStatus(error),
        _ => TurnError::StatusUnknown(Some(Box::new(error))),
    }
}

fn forbidden(attempt: &'static str, error: &kube::Error) -> Option<TurnError> {
    routes::forbidden(error).map(|said| TurnError::Forbidden { attempt, said })
}

/// The first field that was sent and did not come back: an older CRD prunes what it does not know, and a
/// controller that went on would write it again for ever.
fn lost(sent: &Value, got: &Value) -> Option<String> {
    match (sent, got) {
        (Value::Object(sent), Value::Object(got)) => {
            sent.iter().find_map(|(name, value)| match got.get(name) {
                None if value.is_null() => None,
                None => Some(name.clone()),
                Some(other) => lost(value, other).map(|field| format!("{name}.{field}")),
            })
        }
        (Value::Array(sent), Value::Array(got)) => sent
            .iter()
            .zip(got)
            .enumerate()
            .find_map(|(place, (sent, got))| lost(sent, got).map(|field| format!("{place}.{field}"))),
        (Value::Object(sent), _) => sent.keys().next().cloned(),
        (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_), _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pruned_field_is_found_and_another_value_is_not() {
        let cases = [
            (json!({"a": 1}), json!({"a": 1}), None),
            (json!({"a": 1}), json!({}), Some("a")),
            (json!({"a": null}), json!({}), None),
            (json!({"a": 0.1}), json!({"a": 0.2}), None),
            (
                json!({"run": {"plan": [{"x": 1, "y": 2}]}}),
                json!({"run": {"plan": [{"x": 1}]}}),
                Some("run.plan.0.y"),
            ),
            (json!({"run": {"x": 1}}), Value::Null, Some("run")),
        ];
        for (sent, got, want) in cases {
            assert_eq!(lost(&sent, &got).as_deref(), want, "{sent} → {got}");
        }
    }

    #[test]
    fn what_is_sent_is_the_rollout_with_the_status() {
        let mut rollout: Rollout = serde_json::from_value(json!({
            "apiVersion": "tidegate.dev/v1alpha1", "kind": "Rollout",
            "metadata": {"name": "color", "namespace": "ns", "uid": "u", "resourceVersion": "7", "labels": {"a": "b"}},
            "spec": {
                "routes": [{"group": "appmesh.k8s.aws", "kind": "GatewayRoute", "name": "r"}],
                "target": {"name": "v2"},
                "strategy": {"canary": {"steps": [{"weight": 5}]}},
            },
        }))
        .unwrap();
        let status = RolloutStatus { epoch: 3, ..RolloutStatus::default() };
        let request = replace_status(&rollout, &status).unwrap();
        rollout.status = Some(status);
        let sent: Value = serde_json::from_slice(request.body()).unwrap();
        assert_eq!(sent, serde_json::to_value(&rollout).unwrap());
        assert_eq!(
            (request.method().as_str(), request.uri().path()),
            ("PUT", "/apis/tidegate.dev/v1alpha1/namespaces/ns/rollouts/color/status")
        );
    }

    #[test]
    fn only_an_answer_that_says_so_means_not_stored() {
        let answered = |code| {
            let status = kube::core::Status::failure("", "").with_code(code);
            status_error(kube::Error::Api(Box::new(status))).label()
        };
        assert_eq!(answered(403), "Forbidden");
        assert_eq!(answered(409), "StatusConflict");
        assert_eq!(answered(422), "StoreStatus");
        assert_eq!(answered(429), "StoreStatus");
        assert_eq!(answered(503), "StoreStatus");
        assert_eq!(answered(500), "StatusUnknown");
        assert_eq!(answered(504), "StatusUnknown");
        let broken = kube::Error::ReadEvents(std::io::Error::other("broken"));
        assert_eq!(status_error(broken).label(), "StatusUnknown");
    }
}
