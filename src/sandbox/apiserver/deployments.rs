//! Makes Deployments ready, with the ReplicaSets that carry their pod template hashes.
//!
//! It does what users of Deployments see of the real controllers: a ReplicaSet per pod template, labelled
//! `pod-template-hash`, and a status that reaches the wanted replicas at once. There are no pods.

use std::sync::Arc;

use serde_json::{Value, json};

use super::State;
use super::builtins::{DEPLOYMENTS, REPLICA_SETS};
use super::controllers::{POD_TEMPLATE_HASH, Replicas, living, pod_template_hash, put};
use super::managed_fields::seconds;
use super::object::{self, number};
use super::resource::Resource;
use super::write::Part;

/// Annotation of Deployments and ReplicaSets: the revision of the pod template, counted from 1.
const REVISION: &str = "deployment.kubernetes.io/revision";

pub(super) fn reconcile(state: &mut State) {
    let (Some(deployments), Some(sets)) =
        (state.registry.by_storage(DEPLOYMENTS), state.registry.by_storage(REPLICA_SETS))
    else {
        return;
    };
    for deployment in living(state, DEPLOYMENTS) {
        let revision = roll_replica_sets(state, &sets, &deployment);
        let mut wanted = (*deployment).clone();
        annotate_revision(&mut wanted, revision);
        wanted["status"] = status(&deployment, &seconds(state.clock.now()));
        // The real controller writes the revision with the status, too.
        put(state, &deployments, &wanted, Part::Status);
    }
}

/// Makes the ReplicaSet of the present template and scales the others down; returns its revision.
fn roll_replica_sets(state: &mut State, sets: &Resource, deployment: &Value) -> i64 {
    let hash = pod_template_hash(&deployment["spec"]["template"]);
    let own =
        |value: &Value| object::owner_references(value).any(|owner| owner["uid"] == object::uid(deployment));
    let known: Vec<Arc<Value>> = state
        .store
        .list(REPLICA_SETS, Some(object::namespace(deployment)))
        .map(|(_, value)| value.clone())
        .filter(|value| own(value))
        .collect();
    let is_present = |set: &Value| set["metadata"]["labels"][POD_TEMPLATE_HASH] == hash.as_str();
    let newest = known.iter().map(|set| revision_of(set)).max().unwrap_or_default();
    let revision = match known.iter().find(|set| is_present(set)) {
        Some(set) if revision_of(set) == newest => newest,
        _ => newest + 1,
    };
    for old in known.iter().filter(|set| !is_present(set)) {
        let mut scaled = (**old).clone();
        scaled["spec"]["replicas"] = 0.into();
        scaled["status"] = json!({"replicas": 0, "observedGeneration": old["metadata"]["generation"]});
        put(state, sets, &scaled, Part::Whole);
    }
    let existing = known.iter().find(|set| is_present(set));
    let mut set = existing.map_or_else(|| new_replica_set(deployment, &hash), |set| (**set).clone());
    annotate_revision(&mut set, revision);
    let Replicas { wanted, ready } = Replicas::of(deployment);
    set["spec"]["replicas"] = wanted.into();
    let generation = number(&set, "/metadata/generation").unwrap_or(1);
    set["status"] = json!({
        "replicas": wanted, "fullyLabeledReplicas": wanted, "readyReplicas": ready, "availableReplicas": ready,
        "observedGeneration": generation,
    });
    put(state, sets, &set, Part::Whole);
    revision
}

fn new_replica_set(deployment: &Value, hash: &str) -> Value {
    let mut template = deployment["spec"]["template"].clone();
    let mut selector = deployment["spec"]["selector"].clone();
    let labels = template.pointer_mut("/metadata").and_then(|metadata| object::child(metadata, "labels"));
    if let Some(labels) = labels {
        labels.insert(POD_TEMPLATE_HASH.to_owned(), hash.into());
    }
    if let Some(labels) = object::child(&mut selector, "matchLabels") {
        labels.insert(POD_TEMPLATE_HASH.to_owned(), hash.into());
    }
    let name = object::name(deployment);
    json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {
            "name": format!("{name}-{hash}"), "namespace": object::namespace(deployment),
            "labels": template["metadata"]["labels"],
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "Deployment", "name": name, "uid": object::uid(deployment),
                "controller": true, "blockOwnerDeletion": true,
            }],
        },
        "spec": {"selector": selector, "template": template},
    })
}

fn annotate_revision(value: &mut Value, revision: i64) {
    if let Some(annotations) =
        value.pointer_mut("/metadata").and_then(|metadata| object::child(metadata, "annotations"))
    {
        annotations.insert(REVISION.to_owned(), revision.to_string().into());
    }
}

fn revision_of(set: &Value) -> i64 {
    set["metadata"]["annotations"][REVISION].as_str().and_then(|text| text.parse().ok()).unwrap_or_default()
}

fn status(deployment: &Value, now: &str) -> Value {
    let Replicas { wanted, ready } = Replicas::of(deployment);
    let available = ready == wanted;
    let condition = |type_: &str, holds: bool, reason: &str, message: &str| {
        let status = if holds { "True" } else { "False" };
        let conditions = deployment["status"]["conditions"].as_array().into_iter().flatten();
        let before = conditions.into_iter().find(|condition| condition["type"] == type_);
        let time = |field: &str, same: bool| match before {
            Some(before) if same => before[field].clone(),
            _ => json!(now),
        };
        let same = before.is_some_and(|before| before["status"] == status);
        json!({
            "type": type_, "status": status, "reason": reason, "message": message,
            "lastTransitionTime": time("lastTransitionTime", same),
            "lastUpdateTime": time("lastUpdateTime", same),
        })
    };
    let (reason, message) = if available {
        ("MinimumReplicasAvailable", "Deployment has minimum availability.")
    } else {
        ("MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    };
    let (rolled, told) = if available {
        ("NewReplicaSetAvailable", "has successfully progressed.")
    } else {
        ("ReplicaSetUpdated", "is progressing.")
    };
    let set = format!("{}-{}", object::name(deployment), pod_template_hash(&deployment["spec"]["template"]));
    let told = format!("ReplicaSet \"{set}\" {told}");
    let mut status = json!({
        "observedGeneration": deployment["metadata"]["generation"], "terminatingReplicas": 0,
        "conditions": [condition("Available", available, reason, message), condition("Progressing", true, rolled, &told)],
    });
    for (field, count) in [
        ("replicas", wanted),
        ("updatedReplicas", wanted),
        ("readyReplicas", ready),
        ("availableReplicas", ready),
        ("unavailableReplicas", wanted - ready),
    ] {
        // None of them is told by leaving it out.
        if count > 0 {
            status[field] = count.into();
        }
    }
    status
}
