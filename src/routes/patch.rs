//! A route write as a JSON Patch. Pure.
//!
//! The patch changes the weights of the entries it names, entries and mirrors that are ours, and our stamp; nothing else. What
//! the decision was taken from stands before it as `test` operations, so that a route which is no longer the one
//! seen refuses the whole patch.

use std::collections::BTreeSet;

use json_patch::{
    AddOperation, Patch, PatchOperation, RemoveOperation, TestOperation,
    jsonptr::{Pointer, PointerBuf},
};
use serde_json::{Value, json};

use super::mirror;
use crate::{
    api::{RouteKind, stamp_annotation},
    engine::{
        decision::{Fence, MirrorChange, NewEntry, RouteWrite, StampChange},
        observed::{EntrySeen, ListSeen, MirrorSeen, Mirrors, Place, RouteView},
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
    /// A single target would have to share its traffic.
    #[error("a single target can't have the weight {0}: it has all traffic or none")]
    Shared(i64),
    /// A mirror of more than all requests, or fewer than none.
    #[error("{0}% of requests can't be copied")]
    NoShare(i64),
    /// Two changes of one list's mirrors.
    #[error("the mirrors of a list would be changed twice")]
    MirroredTwice,
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

/// The patch of a write: first every `test`, then weights, appended entries, removals, mirrors, the stamp.
pub fn patch(write: &RouteWrite) -> Result<Patch, PatchError> {
    check(write)?;
    let mut patch = Builder::default();
    fence(write, &mut patch)?;
    for &(place, weight) in &write.weights {
        if !list(&write.view, place.list)?.lone {
            patch.add(&format!("{}/weight", pointer_to(&write.view, place)?), json!(weight))?;
        } else if weight > 0 {
            switch(&write.view, place, &mut patch)?;
        }
    }
    for new in &write.add {
        let list = list(&write.view, new.list)?;
        patch.add(&format!("{}/-", list.path), copied(new, &write.view)?)?;
    }
    for place in &write.remove {
        patch.remove(&pointer_to(&write.view, *place)?)?;
    }
    for change in &write.mirrors {
        mirrored(write.route.kind, change, &write.view, &mut patch)?;
    }
    stamp(write, &mut patch)?;
    Ok(Patch(patch.0))
}

/// Sends all traffic of a single target to an entry: its name takes the place of the other one's, and its port.
fn switch(view: &RouteView, place: Place, patch: &mut Builder) -> Result<(), PatchError> {
    let (target, entry) = (&list(view, place.list)?.path, entry(view, place)?);
    let name = entry.raw.0.pointer(view.name_field).cloned().ok_or(PatchError::Shape("a name"))?;
    patch.add(&format!("{target}{}", view.name_field), name)?;
    let seen = list(view, place.list)?.entries.iter().find(|entry| entry.weight > 0);
    match (entry.port, seen.and_then(|seen| seen.port)) {
        (Some(port), _) => patch.add(&format!("{target}/port"), json!(port)),
        (None, Some(_)) => patch.remove(&format!("{target}/port")),
        (None, None) => Ok(()),
    }
}

/// Refuses what no view can justify.
fn check(write: &RouteWrite) -> Result<(), PatchError> {
    let mut seen = BTreeSet::new();
    for place in touched(write) {
        entry(&write.view, place)?;
        if !seen.insert(place) {
            return Err(PatchError::Twice(place.entry));
        }
    }
    let set = write.weights.iter().map(|&(_, weight)| weight);
    if let Some(weight) = set.chain(write.add.iter().map(|new| new.weight)).find(|w| *w < 0) {
        return Err(PatchError::Negative(weight));
    }
    for &(place, weight) in &write.weights {
        if list(&write.view, place.list)?.lone && ![0, 100].contains(&weight) {
            return Err(PatchError::Shared(weight));
        }
    }
    for (at, new) in write.add.iter().enumerate() {
        if list(&write.view, new.list)?.lone {
            return Err(PatchError::Shared(new.weight));
        }
        let port = port(new);
        let same =
            |other: &NewEntry| (other.list, &other.name, self::port(other)) == (new.list, &new.name, port);
        let entries = &list(&write.view, new.list)?.entries;
        // By what they are called there: two targets may go by one name.
        let called = json!(write.view.name_of(&new.name));
        let listed = |e: &EntrySeen| {
            e.port == port && (e.name == new.name || e.raw.0.pointer(write.view.name_field) == Some(&called))
        };
        if entries.iter().any(listed) || write.add[..at].iter().any(same) {
            return Err(PatchError::Listed(new.name.clone()));
        }
    }
    for (at, change) in write.mirrors.iter().enumerate() {
        if !(0..=100).contains(&change.percent) {
            return Err(PatchError::NoShare(change.percent));
        }
        if write.mirrors[..at].iter().any(|other| other.list == change.list) {
            return Err(PatchError::MirroredTwice);
        }
    }
    for (at, place) in write.remove.iter().enumerate() {
        let entry = entry(&write.view, *place)?;
        if entry.weight != 0 {
            return Err(PatchError::HasWeight(entry.name.clone()));
        }
        // The first removal would move what the second one means.
        if write.remove[..at].iter().any(|other| other.list == place.list) {
            return Err(PatchError::Twice(place.entry));
        }
    }
    for at in 0..write.view.lists.len() {
        if changes_weights(write, at) && own_weight(write, at) == 0 && carriers(write, at).next().is_none() {
            return Err(PatchError::NoWeight);
        }
    }
    Ok(())
}

/// Makes the mirrors of a list to a target what the change says.
fn mirrored(
    kind: RouteKind,
    change: &MirrorChange,
    view: &RouteView,
    patch: &mut Builder,
) -> Result<(), PatchError> {
    let Some(mirrors) = &list(view, change.list)?.mirrors else { return Err(PatchError::Shape("a mirror")) };
    let there = ours(mirrors, change);
    if change.percent == 0 && mirrors.length == Some(there.len()) {
        // An empty list would be something that the user's manifest does not have. Nobody else's may go with it.
        let all: Vec<&Value> = there.iter().map(|mirror| &*mirror.raw.0).collect();
        patch.test(&mirrors.path, json!(all))?;
        return patch.remove(&mirrors.path);
    }
    // From the last on: each removal moves what comes after it.
    for gone in there.iter().rev() {
        patch.remove(&format!("{}/{}", mirrors.path, gone.index))?;
    }
    if change.percent == 0 {
        return Ok(());
    }
    let called = view.name_of(&change.name);
    let element = mirror::element(kind, &change.like.0, called, change.port, change.percent)
        .ok_or(PatchError::Shape("a name"))?;
    match (there.first(), mirrors.length) {
        (Some(first), _) => patch.add(&format!("{}/{}", mirrors.path, first.index), element),
        (None, Some(_)) => patch.add(&format!("{}/-", mirrors.path), element),
        (None, None) => patch.add(&mirrors.path, json!([element])),
    }
}

/// The mirrors of a list that a change is about.
fn ours<'a>(mirrors: &'a Mirrors, change: &MirrorChange) -> Vec<&'a MirrorSeen> {
    mirrors.entries.iter().filter(|mirror| mirror.is_called(&change.name, change.port)).collect()
}

/// Everything that must not have changed meanwhile.
fn fence(write: &RouteWrite, patch: &mut Builder) -> Result<(), PatchError> {
    let view = &write.view;
    let stamp = view.stamps.get(write.stamp.rollout());
    let unchanged = match write.fence {
        Fence::Unchanged => true,
        // A removal needs it too: where a weight is left out, that it still is can't be tested.
        Fence::Stamp => stamp.is_none() || !write.remove.is_empty(),
    };
    if unchanged {
        patch.test("/metadata/resourceVersion", json!(view.resource_version))?;
    }
    if let Some(stamp) = stamp {
        patch.test(&annotation(write.stamp.rollout()), json!(stamp.text()))?;
    }
    for (at, list) in view.placed().filter(|(at, _)| changes(write, *at)) {
        rule(list, patch)?;
        for change in write.mirrors.iter().filter(|change| change.list == at) {
            mirrors_as_seen(change, view, patch)?;
        }
        if list.lone {
            // Who stands there is all that there is to know of it.
            holder(view, at, patch)?;
            continue;
        }
        for place in touched(write).filter(|place| place.list == at) {
            identity(view, place, patch)?;
            if unchanged {
                weight_as_seen(view, place, patch)?;
            }
        }
        if unchanged {
            continue;
        }
        if write.add.iter().any(|new| new.list == at) {
            // Somebody else may have put the same entry back meanwhile; twice in the list it would count twice.
            let entries: Vec<&Value> = list.entries.iter().map(|entry| &*entry.raw.0).collect();
            patch.test(&list.path, json!(entries))?;
        } else if changes_weights(write, at) && own_weight(write, at) == 0 {
            // The weight that remains is somebody else's: it has to be there still, or nobody would have any.
            for place in carriers(write, at) {
                identity(view, place, patch)?;
                weight_as_seen(view, place, patch)?;
            }
        }
    }
    Ok(())
}

/// Tests that the mirrors that are changed are those that were seen.
fn mirrors_as_seen(change: &MirrorChange, view: &RouteView, patch: &mut Builder) -> Result<(), PatchError> {
    let Some(mirrors) = &list(view, change.list)?.mirrors else { return Ok(()) };
    for mirror in ours(mirrors, change) {
        patch.test(&format!("{}/{}", mirrors.path, mirror.index), Value::clone(&mirror.raw.0))?;
    }
    Ok(())
}

/// Tests that it is the rule that was meant: its neighbour may list the same targets, and be somebody else's.
fn rule(list: &ListSeen, patch: &mut Builder) -> Result<(), PatchError> {
    match (&list.rule_field, &list.rule) {
        (Some(field), Some(name)) => patch.test(field, json!(name)),
        (Some(_) | None, _) => Ok(()),
    }
}

/// Tests that a single target is the one that was seen.
fn holder(view: &RouteView, at: usize, patch: &mut Builder) -> Result<(), PatchError> {
    let list = list(view, at)?;
    let holder = list.entries.iter().find(|entry| entry.weight > 0).ok_or(PatchError::NoEntry(0))?;
    let name = holder.raw.0.pointer(view.name_field).cloned().unwrap_or_default();
    patch.test(&format!("{}{}", list.path, view.name_field), name)
}

fn identity(view: &RouteView, place: Place, patch: &mut Builder) -> Result<(), PatchError> {
    let seen = entry(view, place)?;
    let at = pointer_to(view, place)?;
    let name = seen.raw.0.pointer(view.name_field).cloned().unwrap_or_default();
    patch.test(&format!("{at}{}", view.name_field), name)?;
    match seen.port {
        Some(port) => patch.test(&format!("{at}/port"), json!(port)),
        None => Ok(()),
    }
}

/// Tests a weight where one is written; that none is can't be tested.
fn weight_as_seen(view: &RouteView, place: Place, patch: &mut Builder) -> Result<(), PatchError> {
    match entry(view, place)?.raw.0.get("weight") {
        Some(weight) => patch.test(&format!("{}/weight", pointer_to(view, place)?), weight.clone()),
        None => Ok(()),
    }
}

fn stamp(write: &RouteWrite, patch: &mut Builder) -> Result<(), PatchError> {
    match &write.stamp {
        StampChange::Set(rollout, stamp) if write.view.annotated => {
            patch.add(&annotation(rollout), json!(stamp.spelled()))
        }
        StampChange::Set(rollout, stamp) => {
            patch.add("/metadata/annotations", json!({ stamp_annotation(rollout): stamp.spelled() }))
        }
        StampChange::Remove(rollout) if write.view.stamps.contains_key(rollout) => {
            patch.remove(&annotation(rollout))
        }
        StampChange::Keep(_) | StampChange::Remove(_) => Ok(()),
    }
}

/// The entry to append. Everything of the copied one stays but name, port and weight.
fn copied(new: &NewEntry, view: &RouteView) -> Result<Value, PatchError> {
    let mut entry = Value::clone(&new.like.0);
    *entry.pointer_mut(view.name_field).ok_or(PatchError::Shape("a name"))? = json!(view.name_of(&new.name));
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

fn touched(write: &RouteWrite) -> impl Iterator<Item = Place> {
    write.weights.iter().map(|&(place, _)| place).chain(write.remove.iter().copied())
}

/// Whether anything of a list is written.
fn changes(write: &RouteWrite, at: usize) -> bool {
    touched(write).any(|place| place.list == at)
        || write.add.iter().any(|new| new.list == at)
        || write.mirrors.iter().any(|change| change.list == at)
}

/// Whether the weights of a list are other ones afterwards, entries with new names aside.
fn changes_weights(write: &RouteWrite, at: usize) -> bool {
    touched(write).any(|place| place.list == at)
}

/// The weight that the write itself gives on a list.
fn own_weight(write: &RouteWrite, at: usize) -> i64 {
    let set = write.weights.iter().filter(|(place, _)| place.list == at).map(|&(_, weight)| weight);
    let added = write.add.iter().filter(|new| new.list == at).map(|new| new.weight);
    set.chain(added).fold(0, i64::saturating_add)
}

/// The entries of a list with weight that the write leaves alone.
fn carriers(write: &RouteWrite, at: usize) -> impl Iterator<Item = Place> {
    let untouched = |place: &Place| touched(write).all(|touched| touched != *place);
    let entries = write.view.lists.get(at).map(|list| list.entries.as_slice()).unwrap_or_default();
    let weighted = entries.iter().enumerate().filter(|(_, entry)| entry.weight > 0);
    weighted.map(move |(entry, _)| Place { list: at, entry }).filter(untouched)
}

fn list(view: &RouteView, at: usize) -> Result<&ListSeen, PatchError> {
    view.lists.get(at).ok_or(PatchError::NoEntry(at))
}

fn entry(view: &RouteView, place: Place) -> Result<&EntrySeen, PatchError> {
    list(view, place.list)?.entries.get(place.entry).ok_or(PatchError::NoEntry(place.entry))
}

fn pointer_to(view: &RouteView, place: Place) -> Result<String, PatchError> {
    Ok(format!("{}/{}", list(view, place.list)?.path, place.entry))
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
