//! A notice as one document: what a webhook is sent, and what the others have besides.

use serde_json::{Value, json};

use super::Told;

/// All that is known of a notice, as a plain document. What is not known is null, so that a reader finds every key.
pub(super) fn document(told: Told<'_>) -> Value {
    let Told { notice, about, cluster } = told;
    json!({
        "apiVersion": "tidegate.dev/v1alpha1",
        "kind": "Notice",
        "id": told.id(),
        "clusterName": cluster,
        "namespace": about.namespace,
        "rollout": about.rollout,
        "uid": about.uid,
        "transition": notice.transition.word(),
        "warning": notice.transition.is_warning(),
        "run": notice.run,
        "step": notice.step,
        "reason": notice.reason,
        "message": notice.message,
        "target": notice.target,
        "stable": notice.stable,
        "weight": notice.weight,
        "at": notice.at,
    })
}
