//! A route write as a JSON Patch. Pure.
//!
//! The patch changes the weights of the entries it names, entries that are ours, and our stamp; nothing else. What
//! the decision was taken from stands before it as `test` operations, so that a route which is no longer the one
//! seen refuses the whole patch.

use std::collections::BTreeSet;

use json_patch::{
    AddOperation, Patch, PatchOperation, RemoveOperation, TestOperation,
    jsonptr::{Pointer, PointerBuf},
};
use serde_json::{Value, json};

use crate::{
    api::stamp_annotation,
    engine::{
        decision::{Fence, NewEntry, RouteWrite, StampChange},
        observed::{EntrySeen, RouteView},
    },
};

#[cfg(test)]
mod tests;

/// Why a write can't be made a patch. Each is a decision that contradicts the view it was taken from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// An index beyond the list.
    #[error("there is no entry {0} in the list that was seen")]
    NoEntry(usize),
    /// Two changes of one entry.
    #[error("entry {0} would be changed twice")]
    Twice(usize),
    /// An entry to append is listed already.
    #[error("{0} is listed already")]
    Listed(String),
    /// A negative weight.
    #[error("the weight {0} is negative")]
    Negative(i64),
    /// An entry to take out has weight.
    #[error("{0} still has weight and can't be taken out")]
    HasWeight(String),
    /// Nothing would have weight afterwards.
    #[error("no entry would have weight")]
    NoWeight,
    /// A field in the way of a weight, a name or a port.
    #[error("the entry to copy has no place for {0}")]
    Shape(&'static str),
    /// A pointer of the view is none.
    #[error("{0:?} is not a JSON pointer")]
    Pointer(String),
}

/// The patch of a write: first every `test`, then weights, appended entries, the removal, the stamp.
pub fn patch(write: &RouteWrite) -> Result<Patch, PatchError> {
    check(write)?;
    let mut patch = Builder::default();
    fence(write, &mut patch)?;
    for &(index, weight) in &write.weights {
        patch.add(&format!("{}/weight", place(&write.view, index)), json!(weight))?;
    }
    for new in &write.add {
        patch.add(
            &format!("{}/-", write.view.list),
            copied(new, write.view.name_field)?,
        )?;
    }
    if let Some(index) = write.remove {
        patch.remove(&place(&write.view, index))?;
    }
    stamp(write, &mut patch)?;
    Ok(Patch(patch.0))
}

/// Refuses what no view can justify.
fn check(write: &RouteWrite) -> Result<(), PatchError> {
    let mut seen = BTreeSet::new();
    for index in touched(write) {
        entry(&write.view, index)?;
        if !seen.insert(index) {
            return Err(PatchError::Twice(index));
        }
    }
    let set = write.weights.iter().map(|&(_, weight)| weight);
    if let Some(weight) = set.chain(write.add.iter().map(|new| new.weight)).find(|w| *w < 0) {
        return Err(PatchError::Negative(weight));
    }
    for (place, new) in write.add.iter().enumerate() {
        let port = port(new);
        let listed = write
            .view
            .entries
            .iter()
            .any(|e| e.name == new.name && e.port == port);
        let twice = write.add[..place]
            .iter()
            .any(|other| other.name == new.name && self::port(other) == port);
        if listed || twice {
            return Err(PatchError::Listed(new.name.clone()));
        }
    }
    if let Some(index) = write.remove {
        let entry = entry(&write.view, index)?;
        if entry.weight != 0 {
            return Err(PatchError::HasWeight(entry.name.clone()));
        }
    }
    let changes_weights = !write.weights.is_empty() || write.remove.is_some();
    if changes_weights && own_weight(write) == 0 && carriers(write).next().is_none() {
        return Err(PatchError::NoWeight);
    }
    Ok(())
}

/// Everything that must not have changed meanwhile.
fn fence(write: &RouteWrite, patch: &mut Builder) -> Result<(), PatchError> {
    let view = &write.view;
    let stamp = view.stamps.get(write.stamp.rollout());
    let unchanged = match write.fence {
        Fence::Unchanged => true,
        // A removal needs it too: where a weight is left out, that it still is can't be tested.
        Fence::Stamp => stamp.is_none() || write.remove.is_some(),
    };
    if unchanged {
        patch.test("/metadata/resourceVersion", json!(view.resource_version))?;
    }
    if let Some(text) = stamp {
        patch.test(&annotation(write.stamp.rollout()), json!(text))?;
    }
    for index in touched(write) {
        identity(view, index, patch)?;
        if unchanged {
            weight_as_seen(view, index, patch)?;
        }
    }
    if unchanged {
        return Ok(());
    }
    if !write.add.is_empty() {
        // Somebody else may have put the same entry back meanwhile; twice in the list it would count twice.
        let list: Vec<&Value> = view.entries.iter().map(|entry| &entry.raw).collect();
        patch.test(&view.list, json!(list))?;
    } else if !write.weights.is_empty() && own_weight(write) == 0 {
        // The weight that remains is somebody else's: it has to be there still, or nobody would have any.
        for index in carriers(write) {
            identity(view, index, patch)?;
            weight_as_seen(view, index, patch)?;
        }
    }
    Ok(())
}

fn identity(view: &RouteView, index: usize, patch: &mut Builder) -> Result<(), PatchError> {
    let (entry, place) = (entry(view, index)?, place(view, index));
    patch.test(&format!("{place}{}", view.name_field), json!(entry.name))?;
    match entry.port {
        Some(port) => patch.test(&format!("{place}/port"), json!(port)),
        None => Ok(()),
    }
}

/// Tests a weight where one is written; that none is can't be tested.
fn weight_as_seen(view: &RouteView, index: usize, patch: &mut Builder) -> Result<(), PatchError> {
    match entry(view, index)?.raw.get("weight") {
        Some(weight) => patch.test(&format!("{}/weight", place(view, index)), weight.clone()),
        None => Ok(()),
    }
}

fn stamp(write: &RouteWrite, patch: &mut Builder) -> Result<(), PatchError> {
    match &write.stamp {
        StampChange::Set(rollout, stamp) if write.view.annotated => {
            patch.add(&annotation(rollout), json!(stamp.spelled()))
        }
        StampChange::Set(rollout, stamp) => patch.add(
            "/metadata/annotations",
            json!({ stamp_annotation(rollout): stamp.spelled() }),
        ),
        StampChange::Remove(rollout) if write.view.stamps.contains_key(rollout) => {
            patch.remove(&annotation(rollout))
        }
        StampChange::Keep(_) | StampChange::Remove(_) => Ok(()),
    }
}

/// The entry to append. Everything of the copied one stays but name, port and weight.
fn copied(new: &NewEntry, name_field: &str) -> Result<Value, PatchError> {
    let mut entry = new.like.0.clone();
    *entry.pointer_mut(name_field).ok_or(PatchError::Shape("a name"))? = json!(new.name);
    let fields = entry.as_object_mut().ok_or(PatchError::Shape("a weight"))?;
    if let Some(port) = new.port {
        fields.insert("port".into(), json!(port));
    }
    fields.insert("weight".into(), json!(new.weight));
    Ok(entry)
}

/// The port that an appended entry will have.
fn port(new: &NewEntry) -> Option<i32> {
    let copied = || i32::try_from(new.like.0.get("port")?.as_i64()?).ok();
    new.port.or_else(copied)
}

fn touched(write: &RouteWrite) -> impl Iterator<Item = usize> {
    write.weights.iter().map(|&(index, _)| index).chain(write.remove)
}

/// The weight that the write itself gives.
fn own_weight(write: &RouteWrite) -> i64 {
    let set = write.weights.iter().map(|&(_, weight)| weight);
    set.chain(write.add.iter().map(|new| new.weight))
        .fold(0, i64::saturating_add)
}

/// The entries with weight that the write leaves alone.
fn carriers(write: &RouteWrite) -> impl Iterator<Item = usize> {
    let untouched = |index: &usize| touched(write).all(|touched| touched != *index);
    let entries = write.view.entries.iter().enumerate();
    entries
        .filter(|(_, entry)| entry.weight > 0)
        .map(|(index, _)| index)
        .filter(untouched)
}

fn entry(view: &RouteView, index: usize) -> Result<&EntrySeen, PatchError> {
    view.entries.get(index).ok_or(PatchError::NoEntry(index))
}

fn place(view: &RouteView, index: usize) -> String {
    format!("{}/{index}", view.list)
}

/// The JSON pointer of a Rollout's stamp.
fn annotation(rollout: &str) -> String {
    let key = stamp_annotation(rollout).replace('~', "~0").replace('/', "~1");
    format!("/metadata/annotations/{key}")
}

#[derive(Default)]
struct Builder(Vec<PatchOperation>);

impl Builder {
    fn test(&mut self, path: &str, value: Value) -> Result<(), PatchError> {
        let path = pointer(path)?;
        self.0.push(PatchOperation::Test(TestOperation { path, value }));
        Ok(())
    }

    fn add(&mut self, path: &str, value: Value) -> Result<(), PatchError> {
        let path = pointer(path)?;
        self.0.push(PatchOperation::Add(AddOperation { path, value }));
        Ok(())
    }

    fn remove(&mut self, path: &str) -> Result<(), PatchError> {
        let path = pointer(path)?;
        self.0.push(PatchOperation::Remove(RemoveOperation { path }));
        Ok(())
    }
}

fn pointer(path: &str) -> Result<PointerBuf, PatchError> {
    match Pointer::parse(path) {
        Ok(pointer) => Ok(pointer.to_buf()),
        Err(_) => Err(PatchError::Pointer(path.to_owned())),
    }
}
