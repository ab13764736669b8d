//! The loop that stands in for the controllers of a real control plane, and what its kinds share. There are no pods.

use std::sync::Arc;

use serde_json::Value;

use super::object::{self, number};
use super::resource::Resource;
use super::store::Key;
use super::write::{self, Part, Writing};
use super::{Inner, State, autoscalers, deployments, ids, stateful_sets};

/// Annotation on a Deployment or StatefulSet: at most that many of its replicas become ready.
pub const READY_ANNOTATION: &str = "sandbox.tidegate.dev/ready";

/// The label that tells the ReplicaSets of a Deployment apart.
pub(super) const POD_TEMPLATE_HASH: &str = "pod-template-hash";

/// The hash of a pod template, as in the label `pod-template-hash` of its ReplicaSet.
pub fn pod_template_hash(template: &Value) -> String {
    let mut template = template.clone();
    if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.remove(POD_TEMPLATE_HASH);
    }
    // FNV-1a over the canonical text: stable between runs, as the standard hashers need not be.
    let digest = template
        .to_string()
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    ids::safe_letters(u64::from(digest))
}

/// Follows all writes until the server stops.
pub(super) async fn run(server: Arc<Inner>) {
    let mut changed = server.state().store.subscribe();
    loop {
        reconcile(&mut server.state());
        tokio::select! {
            () = server.stop.cancelled() => return,
            _ = changed.changed() => {}
        }
    }
}

fn reconcile(state: &mut State) {
    deployments::reconcile(state);
    stateful_sets::reconcile(state);
    autoscalers::reconcile(state);
}

/// All objects of a kind that nobody has deleted.
pub(super) fn living(state: &State, storage: &str) -> Vec<Arc<Value>> {
    let all = state.store.list(storage, None).map(|(_, value)| value.clone());
    all.filter(|object| !object::is_terminating(object)).collect()
}

/// How many replicas a workload wants, and how many of them are ready.
pub(super) struct Replicas {
    pub wanted: i64,
    pub ready: i64,
}

impl Replicas {
    pub fn of(workload: &Value) -> Self {
        let wanted = number(workload, "/spec/replicas").unwrap_or(1).max(0);
        let limit =
            workload["metadata"]["annotations"][READY_ANNOTATION].as_str().and_then(|text| text.parse().ok());
        Self { wanted, ready: limit.unwrap_or(wanted).clamp(0, wanted) }
    }
}

/// Stores an object of the loop's own, or what it has to say of one.
pub(super) fn put(state: &mut State, resource: &Resource, wanted: &Value, part: Part) {
    let writing =
        Writing { part, ..Writing::internal(resource, object::namespace(wanted), state.clock.now()) };
    let name = object::name(wanted);
    let key = Key {
        storage: resource.storage.clone(),
        namespace: object::namespace(wanted).to_owned(),
        name: name.to_owned(),
    };
    let written = match state.store.get(&key) {
        Some(_) => write::update(state, &writing, name, wanted.clone()),
        None => write::create(state, &writing, wanted.clone()),
    };
    if let Err(failure) = written {
        tracing::warn!(%name, kind = %resource.kind, status = %failure.status(), "cannot store a controlled object");
    }
}
