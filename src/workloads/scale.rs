//! Scales a workload, once, if it still wants what it was seen to want.

use std::time::Duration;

use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, Patch, PatchParams},
    core::Resource,
};
use serde_json::json;

use crate::{
    api::WorkloadKind,
    engine::{decision::ScaleWrite, observed::WorkloadKey},
};

/// An answer that takes longer is not waited for.
const DEADLINE: Duration = Duration::from_secs(5);
/// The API server's text goes into our status; this many bytes of it are enough.
const TEXT_LIMIT: usize = 512;
/// Our name in `managedFields`, as that of the routes.
const FIELD_MANAGER: &str = "tidegate";

/// Why a workload was not scaled, or not for sure.
#[derive(Debug, thiserror::Error)]
pub enum ScaleError {
    /// It wants another number by now.
    #[error("{workload} was not scaled, for it wants {replicas} replicas by now; it is decided anew")]
    Changed {
        /// Which.
        workload: WorkloadKey,
        /// How many it wants.
        replicas: i32,
    },
    /// Another Rollout uses it, or can't be read and may; no list had shown that yet.
    #[error("{workload} was not scaled down, for the Rollout {rollout} uses it, or may; it is decided anew")]
    Used {
        /// Which.
        workload: WorkloadKey,
        /// The other's name.
        rollout: String,
    },
    /// The API server did not do it, or did not say that it did.
    #[error("cannot scale {workload}")]
    Request {
        /// Which.
        workload: WorkloadKey,
        /// The client's error.
        source: Box<kube::Error>,
    },
    /// No answer came in time.
    #[error("cannot scale {workload}: no answer within {deadline:?}")]
    Timeout {
        /// Which.
        workload: WorkloadKey,
        /// How long the answer was waited for.
        deadline: Duration,
    },
    /// It was not sent: another controller leads, or it was decided too long ago.
    #[error(
        "{0} was not scaled, for this controller does not lead any more, or could not send it in time; it is decided anew"
    )]
    Withheld(WorkloadKey),
}

impl ScaleError {
    /// Why it will be refused as long as nothing else changes, in a sentence; none where it may pass.
    pub fn refusal(&self) -> Option<String> {
        let Self::Request { workload, source } = self else { return None };
        let kube::Error::Api(status) = source.as_ref() else { return None };
        let said = match status.message.as_str() {
            "" => format!("HTTP {}", status.code),
            said => said[..said.floor_char_boundary(TEXT_LIMIT)].to_owned(),
        };
        matches!(status.code, 400 | 401 | 403 | 404 | 422).then(|| format!("cannot scale {workload}: {said}"))
    }
}

/// Scales a workload through its subresource. `may` is asked just before that is written.
pub async fn scale(
    client: &Client,
    namespace: &str,
    write: &ScaleWrite,
    may: impl Fn() -> bool,
) -> Result<(), ScaleError> {
    let workload = &write.workload;
    let failed = |source| ScaleError::Request { workload: workload.clone(), source: Box::new(source) };
    let resource = resource(workload.kind);
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    let sent = async {
        let now = api.get_scale(&workload.name).await.map_err(failed)?;
        // Nothing is left out but a zero.
        let replicas = now.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(0);
        if replicas != write.from {
            return Err(ScaleError::Changed { workload: workload.clone(), replicas });
        }
        if !may() {
            return Err(ScaleError::Withheld(workload.clone()));
        }
        let version = now.meta().resource_version.clone();
        let patch = json!({"metadata": {"resourceVersion": version}, "spec": {"replicas": write.to}});
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
        api.patch_scale(&workload.name, &params, &Patch::Merge(patch)).await.map(drop).map_err(failed)
    };
    match tokio::time::timeout(DEADLINE, sent).await {
        Ok(outcome) => outcome,
        Err(_) => Err(ScaleError::Timeout { workload: workload.clone(), deadline: DEADLINE }),
    }
}

/// Where a kind of workload is served.
pub fn resource(kind: WorkloadKind) -> ApiResource {
    match kind {
        WorkloadKind::Deployment => ApiResource::erase::<k8s_openapi::api::apps::v1::Deployment>(&()),
        WorkloadKind::StatefulSet => ApiResource::erase::<k8s_openapi::api::apps::v1::StatefulSet>(&()),
    }
}
