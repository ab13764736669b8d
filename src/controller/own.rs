//! A Rollout as a value. Its status stands apart: turns decide on a newer one, and the stored one is compared and kept many
//! times without being copied.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta, OwnerReference, Time};
use serde::Deserialize;

use super::stores::version;
use crate::api::{Rollout, RolloutSpec, RolloutStatus};

/// A Rollout as the API server or the watch has shown it. Cheap to clone.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "Shown")]
pub struct Own {
    /// All but the status.
    pub rollout: Arc<Rollout>,
    /// The status; the default where there is none.
    pub status: Arc<RolloutStatus>,
}

impl From<Rollout> for Own {
    fn from(mut rollout: Rollout) -> Self {
        let status = rollout.status.take().unwrap_or_default().into();
        rollout.metadata.managed_fields = None;
        Self { rollout: rollout.into(), status }
    }
}

impl Own {
    /// Its resourceVersion as a number.
    pub fn version(&self) -> u64 {
        version(self.rollout.metadata.resource_version.as_deref())
    }
}

/// A Rollout on the wire.
#[derive(Deserialize)]
struct Shown {
    #[serde(with = "Metadata")]
    metadata: ObjectMeta,
    spec: RolloutSpec,
    #[serde(default)]
    status: Option<RolloutStatus>,
}

impl From<Shown> for Own {
    fn from(Shown { metadata, spec, status }: Shown) -> Self {
        Rollout { metadata, spec, status }.into()
    }
}

/// Metadata as it comes, but for who manages which field: nobody here reads that, and it is as large as the object.
#[derive(Deserialize)]
#[serde(remote = "ObjectMeta", rename_all = "camelCase")]
struct Metadata {
    annotations: Option<BTreeMap<String, String>>,
    creation_timestamp: Option<Time>,
    deletion_grace_period_seconds: Option<i64>,
    deletion_timestamp: Option<Time>,
    finalizers: Option<Vec<String>>,
    generate_name: Option<String>,
    generation: Option<i64>,
    labels: Option<BTreeMap<String, String>>,
    #[serde(skip)]
    managed_fields: Option<Vec<ManagedFieldsEntry>>,
    name: Option<String>,
    namespace: Option<String>,
    owner_references: Option<Vec<OwnerReference>>,
    resource_version: Option<String>,
    self_link: Option<String>,
    uid: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_rollout_comes_without_who_manages_it_and_otherwise_whole() {
        let managed = json!([{"manager": "kubectl", "operation": "Update", "time": "2026-01-01T00:00:00Z"}]);
        let mut object = json!({
            "apiVersion": "tidegate.dev/v1alpha1", "kind": "Rollout",
            "metadata": {
                "name": "color", "namespace": "ns", "uid": "u", "resourceVersion": "7", "generation": 3,
                "generateName": "c", "selfLink": "/color", "labels": {"team": "shop"}, "annotations": {"a": "b"},
                "creationTimestamp": "2026-01-01T00:00:00Z", "deletionTimestamp": "2026-01-02T00:00:00Z",
                "deletionGracePeriodSeconds": 0, "finalizers": ["tidegate.dev/routes"],
                "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "o"}],
            },
            "spec": {
                "routes": [{"group": "appmesh.k8s.aws", "kind": "GatewayRoute", "name": "r"}],
                "target": {"name": "v2"},
                "strategy": {"canary": {"steps": [{"weight": 5}]}},
            },
            "status": {"epoch": 4},
        });
        let want: Own = serde_json::from_value::<Rollout>(object.clone()).unwrap().into();
        object["metadata"]["managedFields"] = managed;
        let typed: Own = serde_json::from_value::<Rollout>(object.clone()).unwrap().into();
        let own: Own = serde_json::from_value(object).unwrap();
        let parts = |own: &Own| (serde_json::to_value(&*own.rollout).unwrap(), (*own.status).clone());
        assert_eq!(parts(&own), parts(&want));
        assert_eq!(parts(&typed), parts(&want));
        assert_eq!((own.status.epoch, &own.rollout.status), (4, &None));
    }
}
