//! Deleting objects: one, or a collection.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::State;
use super::builtins::NAMESPACES;
use super::failure::Failure;
use super::gc;
use super::object;
use super::options::DeleteOptions;
use super::resource::Resource;
use super::store::Key;

/// How a deletion ended.
#[derive(Debug)]
pub(super) enum Deleted {
    Gone(Arc<Value>),
    /// Finalizers or contents still hold it.
    Waiting(Arc<Value>),
}

/// Deletes an object, or begins to where finalizers or contents hold it.
pub(super) fn delete(
    state: &mut State,
    resource: &Resource,
    key: &Key,
    options: &DeleteOptions,
    now: Timestamp,
) -> Result<Deleted, Failure> {
    let name = key.name.as_str();
    let current = state.store.get(key).cloned().ok_or_else(|| Failure::not_found(resource, name))?;
    let demands = [
        ("UID", &options.uid, object::uid(&current), "deleted and then recreated"),
        ("ResourceVersion", &options.resource_version, object::resource_version(&current), "modified"),
    ];
    for (what, demanded, found, happened) in demands {
        if let Some(demanded) = demanded.as_deref().filter(|demanded| *demanded != found) {
            let why = format!(
                "the {what} in the precondition ({demanded}) does not match the {what} in record ({found}). The object \
                 might have been {happened}"
            );
            // Namespaces have a deletion of their own upstream, which names the resource.
            return Err(if key.storage == NAMESPACES {
                Failure::conflict(resource, name, &why)
            } else {
                Failure::precondition(resource, name, &why)
            });
        }
    }
    if options.dry_run {
        return Ok(match gc::ending(key, &current, now) {
            Some(ending) => Deleted::Waiting(Arc::new(ending)),
            None => Deleted::Gone(current),
        });
    }
    let marked = state.store.revision() + 1;
    gc::begin_delete(state, key, now);
    if let Some(held) = state.store.get(key) {
        return Ok(Deleted::Waiting(held.clone()));
    }
    // A namespace or a definition that was empty is told of as it was while it ended.
    Ok(match gc::ending(key, &current, now) {
        Some(mut ending) if gc::is_container(key) => {
            object::set_metadata(&mut ending, "resourceVersion", marked.to_string().into());
            Deleted::Waiting(Arc::new(ending))
        }
        _ => Deleted::Gone(current),
    })
}
