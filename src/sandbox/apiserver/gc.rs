//! What a deletion brings with it: finalizers, dependants by owner reference, and the contents of namespaces
//! and CustomResourceDefinitions. All of it happens within the request that causes it.

use jiff::Timestamp;
use serde_json::Value;

use super::builtins::{DEFINITIONS, NAMESPACES};
use super::managed_fields::seconds;
use super::object;
use super::store::Key;
use super::{State, crds};

/// Whether objects of this storage own what is in them.
pub(super) fn is_container(key: &Key) -> bool {
    matches!(key.storage.as_str(), NAMESPACES | DEFINITIONS)
}

/// The object as it is while its deletion waits; `None` where nothing holds it.
pub(super) fn ending(key: &Key, current: &Value, now: Timestamp) -> Option<Value> {
    if object::finalizers(current).next().is_none() && !is_container(key) {
        return None;
    }
    let mut ending = current.clone();
    if object::is_terminating(current) {
        return Some(ending);
    }
    object::set_metadata(&mut ending, "deletionTimestamp", seconds(now).into());
    if !is_container(key) {
        object::set_metadata(&mut ending, "deletionGracePeriodSeconds", 0.into());
    }
    if let Some(generation) = object::number(current, "/metadata/generation") {
        object::set_metadata(&mut ending, "generation", (generation + 1).into());
    }
    if key.storage == NAMESPACES {
        ending["status"]["phase"] = "Terminating".into();
    }
    Some(ending)
}

/// Marks an object as being deleted, and removes it unless something holds it.
pub(super) fn begin_delete(state: &mut State, key: &Key, now: Timestamp) {
    let Some(current) = state.store.get(key).cloned() else {
        return;
    };
    let Some(ending) = ending(key, &current, now) else {
        remove(state, key);
        return;
    };
    if !object::is_terminating(&current) {
        state.store.put(key.clone(), ending);
    }
    if is_container(key) {
        for inside in contents(state, key) {
            begin_delete(state, &inside, now);
        }
        sweep(state);
    }
}

/// Removes an object and what depended on it alone.
pub(super) fn remove(state: &mut State, key: &Key) {
    let Some(gone) = state.store.remove(key) else {
        return;
    };
    let uid = object::uid(&gone).to_owned();
    let is_dependant =
        |value: &Value| object::owner_references(value).any(|owner| owner["uid"] == uid.as_str());
    let dependants: Vec<Key> = state
        .store
        .everything()
        .filter(|(_, value)| is_dependant(value))
        .map(|(key, _)| key.clone())
        .collect();
    for dependant in dependants {
        release(state, &dependant, &uid);
    }
    sweep(state);
}

/// Deletes a dependant of an owner that is gone, or takes the reference away where others still own it.
fn release(state: &mut State, key: &Key, gone: &str) {
    let Some(current) = state.store.get(key).cloned() else {
        return;
    };
    let others: Vec<Value> = object::owner_references(&current)
        .filter(|owner| owner["uid"] != gone)
        .filter(|owner| state.store.everything().any(|(_, value)| owner["uid"] == object::uid(value)))
        .cloned()
        .collect();
    if others.is_empty() {
        let now = state.clock.now();
        begin_delete(state, key, now);
    } else {
        let mut kept = (*current).clone();
        object::set_metadata(&mut kept, "ownerReferences", others.into());
        state.store.put(key.clone(), kept);
    }
}

/// Removes namespaces and definitions that are being deleted and have become empty.
pub(super) fn sweep(state: &mut State) {
    let emptied: Vec<Key> = [NAMESPACES, DEFINITIONS]
        .into_iter()
        .flat_map(|storage| state.store.list(storage, None))
        .filter(|(_, value)| object::is_terminating(value) && object::finalizers(value).next().is_none())
        .map(|(key, _)| key.clone())
        .filter(|key| contents(state, key).is_empty())
        .collect();
    for key in emptied {
        state.store.remove(&key);
        state.registry.forget(&key);
    }
}

fn contents(state: &State, container: &Key) -> Vec<Key> {
    let instances = match container.storage.as_str() {
        DEFINITIONS => state.store.get(container).map(|definition| crds::storage(definition)),
        _ => None,
    };
    let inside = |key: &Key| match &instances {
        Some(storage) => key.storage == *storage,
        None => key.namespace == container.name,
    };
    state.store.everything().map(|(key, _)| key).filter(|key| inside(key)).cloned().collect()
}
