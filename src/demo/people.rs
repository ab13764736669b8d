//! What people do in the demo: name another target, agree to a switch, ask for another try.

use jiff::Timestamp;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

use super::{manifests::MANAGER, routes::ROLLOUT, world::NAMESPACE};
use crate::api::{REQUEST_ANNOTATION, Request, RequestAction, Rollout, RolloutStatus};

/// Why somebody could not do what was to be done.
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    /// The Rollout's target could not be changed.
    #[error("cannot make {target} the target of the Rollout {ROLLOUT}")]
    Target {
        /// The target.
        target: String,
        /// What the API server said.
        source: Box<kube::Error>,
    },
    /// The annotation could not be written.
    #[error("cannot ask the Rollout {ROLLOUT} for {action}")]
    Ask {
        /// What was to be asked.
        action: &'static str,
        /// What the API server said.
        source: Box<kube::Error>,
    },
    /// The annotation could not be spelled.
    #[error("cannot spell a request")]
    Spell(#[from] serde_json::Error),
}

/// Names a version as the Rollout's target; the generation that has it.
pub async fn release(client: &Client, target: String, workload: &str) -> Result<i64, PeopleError> {
    let workload = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": workload});
    let spec = json!({"spec": {"target": {"name": target, "workloadRef": workload}}});
    match patch(client, spec).await {
        Ok(rollout) => Ok(rollout.metadata.generation.unwrap_or_default()),
        Err(source) => Err(PeopleError::Target { target, source: Box::new(source) }),
    }
}

/// Asks something of the run and the step that a status shows.
pub async fn ask(
    client: &Client,
    action: RequestAction,
    status: &RolloutStatus,
    at: Timestamp,
) -> Result<(), PeopleError> {
    let request = Request {
        action,
        run: status.run.as_ref().map_or(0, |run| run.number),
        step: status.step.as_ref().map_or(0, |step| step.index),
        by: MANAGER.to_owned(),
        at,
        id: format!("{}-{at}", action.word()),
    };
    let annotations = json!({REQUEST_ANNOTATION: serde_json::to_string(&request)?});
    match patch(client, json!({"metadata": {"annotations": annotations}})).await {
        Ok(_) => Ok(()),
        Err(source) => Err(PeopleError::Ask { action: action.word(), source: Box::new(source) }),
    }
}

async fn patch(client: &Client, change: Value) -> kube::Result<Rollout> {
    let api: Api<Rollout> = Api::namespaced(client.clone(), NAMESPACE);
    let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    api.patch(ROLLOUT, &params, &Patch::Merge(change)).await
}
