//! Makes StatefulSets ready.
//!
//! It does what users of StatefulSets see of the real controller: revisions of the pod template by name, of which the
//! newer one becomes the current one once all replicas have it and are ready, and a status that reaches the wanted
//! replicas at once. There are no pods, and no ControllerRevisions behind the names.

use serde_json::{Value, json};

use super::State;
use super::builtins::STATEFUL_SETS;
use super::controllers::{Replicas, living, pod_template_hash, put};
use super::object::{self, number, text};
use super::write::Part;

pub(super) fn reconcile(state: &mut State) {
    let Some(resource) = state.registry.by_storage(STATEFUL_SETS) else {
        return;
    };
    for set in living(state, STATEFUL_SETS) {
        let mut wanted = (*set).clone();
        wanted["status"] = status(&set);
        put(state, &resource, &wanted, Part::Status);
    }
}

fn status(set: &Value) -> Value {
    let Replicas { wanted, ready } = Replicas::of(set);
    let newest = format!("{}-{}", object::name(set), pod_template_hash(&set["spec"]["template"]));
    let before = Some(text(set, "/status/currentRevision")).filter(|revision| !revision.is_empty());
    // The first revision is the current one from the start.
    let before = before.unwrap_or(&newest).to_owned();
    let kept = if before == newest { 0 } else { kept(&set["spec"]["updateStrategy"], wanted) };
    let current = if kept == 0 && ready == wanted { newest.clone() } else { before };
    let mut status = json!({
        "observedGeneration": set["metadata"]["generation"], "replicas": wanted, "availableReplicas": ready,
        "currentRevision": current, "updateRevision": newest, "collisionCount": 0,
    });
    for (field, count) in [
        ("readyReplicas", ready),
        ("updatedReplicas", wanted - kept),
        ("currentReplicas", if current == newest { wanted } else { kept }),
    ] {
        // None of them is told by leaving it out.
        if count > 0 {
            status[field] = count.into();
        }
    }
    if let Some(conditions) = set["status"].get("conditions") {
        status["conditions"] = conditions.clone();
    }
    status
}

/// How many replicas stay with the revision before: those below the partition, or all where only a deletion of their
/// pods would bring the newest.
fn kept(strategy: &Value, wanted: i64) -> i64 {
    match text(strategy, "/type") {
        "OnDelete" => wanted,
        _ => number(strategy, "/rollingUpdate/partition").unwrap_or_default().clamp(0, wanted),
    }
}
