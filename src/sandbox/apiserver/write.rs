//! Creating and changing objects: what a real API server does between a decoded object and its store.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::builtins;
use super::failure::Failure;
use super::managed_fields::{self, Writer};
use super::metadata;
use super::object;
use super::resource::{Model, Resource};
use super::store::Key;
use super::{State, builtin_defaults, builtin_rules, crds, gc, ids, rules, scale};
use crate::schema::FieldError;

/// What a Scale writes, where it is usually kept. Who replaces it through `/scale` takes it from its owner without
/// becoming one, as upstream has it.
const REPLICAS: [&str; 2] = ["spec", "replicas"];

/// The part of an object that a write is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All but the status, where the resource serves `/status`.
    Main,
    /// The status alone.
    Status,
    /// The replicas, written through `/scale`.
    Scale,
    /// Everything: writes of the server's own loops.
    Whole,
}

/// One write: by whom, of what, when.
#[derive(Clone, Debug)]
pub(super) struct Writing<'a> {
    pub resource: &'a Resource,
    /// Empty for cluster-scoped resources.
    pub namespace: &'a str,
    pub manager: &'a str,
    pub part: Part,
    /// Whether a patch made the object; then its uid is not a precondition but a change.
    pub is_patch: bool,
    /// Why the object cannot be what it says it is.
    pub mistaken: Option<Failure>,
    pub dry_run: bool,
    pub now: Timestamp,
}

/// An object as stored, and what to warn the client of.
#[derive(Debug)]
pub(super) struct Written {
    pub object: Arc<Value>,
    pub created: bool,
    pub warnings: Vec<String>,
}

impl<'a> Writing<'a> {
    /// A write by one of the server's own loops.
    pub fn internal(resource: &'a Resource, namespace: &'a str, now: Timestamp) -> Self {
        Self {
            resource,
            namespace,
            manager: "kube-controller-manager",
            part: Part::Whole,
            is_patch: false,
            mistaken: None,
            dry_run: false,
            now,
        }
    }

    pub fn key(&self, name: &str) -> Key {
        Key {
            storage: self.resource.storage.clone(),
            namespace: self.namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    fn writer(&self) -> Writer {
        let subresource = match self.part {
            Part::Status => Some("status".to_owned()),
            Part::Scale => Some("scale".to_owned()),
            Part::Main | Part::Whole => None,
        };
        Writer {
            manager: self.manager.to_owned(),
            subresource,
            api_version: self.resource.api_version(),
            is_built_in: !self.resource.is_custom(),
        }
    }

    /// Fills in defaults and brings the object into the stored shape.
    fn complete(&self, mut sent: Value) -> Value {
        sent["apiVersion"] = self.resource.api_version().into();
        sent["kind"] = self.resource.kind.as_str().into();
        self.apply_defaults(&mut sent);
        let mut stored = self.resource.accept(sent);
        if !self.resource.is_custom() {
            builtin_defaults::apply(self.resource, &mut stored);
        }
        stored
    }

    /// Fills in the defaults of a custom resource.
    fn apply_defaults(&self, object: &mut Value) {
        match &self.resource.model {
            Model::Custom { compiled, .. } => compiled.schema.apply_defaults(object),
            Model::BuiltIn(_) | Model::NewEvent(_) => {}
        }
    }

    fn check_namespace_matches(&self, sent: &Value) -> Result<(), Failure> {
        let namespace = object::namespace(sent);
        if namespace.is_empty() || namespace == self.namespace {
            return Ok(());
        }
        Err(Failure::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ))
    }

    fn validate(&self, new: &Value, old: Option<&Value>) -> Result<(), Failure> {
        if let Some(mistaken) = &self.mistaken {
            return Err(mistaken.clone());
        }
        let resource = self.resource;
        let mut errors: Vec<FieldError> = match old {
            None => metadata::check_new(resource, new),
            Some(old) => metadata::check_change(resource, new, old),
        };
        match &resource.model {
            Model::Custom { compiled, .. } => {
                compiled.schema.check_values(new, &mut errors);
                errors.extend(scale::check(resource, new));
                compiled.schema.check_rules(new, old, &mut errors);
            }
            Model::BuiltIn(_) | Model::NewEvent(_) => errors.extend(builtin_rules::check(resource, new, old)),
        }
        if errors.is_empty() { Ok(()) } else { Err(Failure::invalid(resource, object::name(new), &errors)) }
    }
}

/// Stores a new, decoded object.
pub(super) fn create(state: &mut State, writing: &Writing<'_>, sent: Value) -> Result<Written, Failure> {
    let resource = writing.resource;
    writing.check_namespace_matches(&sent)?;
    let mut new = writing.complete(sent);
    rules::check_namespace(state, writing, object::name(&new))?;
    let prefix = object::text(&new, "/metadata/generateName").to_owned();
    if object::name(&new).is_empty() && !prefix.is_empty() {
        object::set_metadata(&mut new, "name", ids::generated_name(&prefix).into());
    }
    if writing.part == Part::Main
        && resource.has_status
        && let Some(fields) = new.as_object_mut()
    {
        fields.remove("status");
    }
    for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "managedFields"] {
        object::set_metadata(&mut new, field, Value::Null);
    }
    object::set_metadata(&mut new, "uid", ids::uid().into());
    object::set_metadata(&mut new, "creationTimestamp", managed_fields::seconds(writing.now).into());
    if resource.namespaced {
        object::set_metadata(&mut new, "namespace", writing.namespace.into());
    }
    if resource.counts_generation {
        object::set_metadata(&mut new, "generation", 1.into());
    }
    rules::initialise(resource, &mut new, writing.now);
    writing.validate(&new, None)?;
    let mut warnings = metadata::finalizer_warnings(resource, &new, None);
    if !object::resource_version(&new).is_empty() {
        return Err(Failure::unexpected("resourceVersion should not be set on objects to be created")
            .with_warnings(&warnings));
    }
    let key = writing.key(object::name(&new));
    if let Some(known) = state.store.get(&key) {
        return Err(Failure::already_exists(resource, &key.name, object::is_terminating(known))
            .with_warnings(&warnings));
    }
    object::shorten_numbers(&mut new);
    managed_fields::record(None, &mut new, &writing.writer(), writing.now);
    // Defaults are filled in again whenever a custom resource is read, and so that of a status that was not taken.
    let had_status = new.get("status").is_some();
    writing.apply_defaults(&mut new);
    let unwritten = !had_status && new.get("status").is_some();
    if writing.dry_run {
        return Ok(Written { object: Arc::new(new), created: true, warnings });
    }
    let object = state.store.put(key.clone(), new);
    if unwritten {
        state.store.note_unwritten(key);
    }
    warnings.extend(state.registry.refresh(&state.store, &resource.storage));
    Ok(Written { object, created: true, warnings })
}

/// Replaces an object by a decoded one, which may name the version that it is based on.
pub(super) fn update(
    state: &mut State,
    writing: &Writing<'_>,
    name: &str,
    sent: Value,
) -> Result<Written, Failure> {
    let resource = writing.resource;
    if object::name(&sent) != name {
        return Err(Failure::bad_request(format!(
            "the name of the object ({}) does not match the name on the URL ({name})",
            object::name(&sent)
        )));
    }
    writing.check_namespace_matches(&sent)?;
    let key = writing.key(name);
    let Some(current) = state.store.get(&key).cloned() else {
        return create_on_update(state, writing, name, sent);
    };
    let mut new = writing.complete(sent);
    rules::check_preconditions(resource, writing.is_patch, &current, &new)?;
    let resets_managers =
        new.pointer("/metadata/managedFields").is_some_and(|given| *given == serde_json::json!([{}]));
    new = keep_what_clients_cannot_change(writing, &current, new);
    rules::carry_over(resource, &mut new, &current);
    writing.validate(&new, Some(&current))?;
    object::shorten_numbers(&mut new);
    let warnings = metadata::finalizer_warnings(resource, &new, Some(&current));
    if resource.counts_generation && changes_desired_state(writing, &new, &current) {
        let generation = object::number(&current, "/metadata/generation").unwrap_or_default() + 1;
        object::set_metadata(&mut new, "generation", generation.into());
    }
    let is_same = object::without_bookkeeping(&new) == object::without_bookkeeping(&current);
    if is_same && !resets_managers && !state.store.has_unwritten(&key) {
        return Ok(Written { object: current, created: false, warnings });
    }
    record_managers(writing, resets_managers, &current, &mut new);
    if writing.dry_run {
        return Ok(Written { object: Arc::new(new), created: false, warnings });
    }
    if object::is_terminating(&new) && !gc::is_container(&key) && object::finalizers(&new).next().is_none() {
        // The last finalizer goes, and with it the object, without a version in between.
        gc::remove(state, &key);
        return Ok(Written { object: Arc::new(new), created: false, warnings });
    }
    Ok(store_update(state, resource, &key, new, warnings))
}

/// An update of what is not there, which makes it where the resource has it so.
fn create_on_update(
    state: &mut State,
    writing: &Writing<'_>,
    name: &str,
    mut sent: Value,
) -> Result<Written, Failure> {
    let resource = writing.resource;
    if !resource.updates.may_create || writing.part == Part::Status {
        return Err(Failure::not_found(resource, name));
    }
    let uid = object::uid(&sent);
    if !uid.is_empty() {
        let why = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: ");
        return Err(Failure::conflict(resource, name, &why));
    }
    let version = sent["metadata"]["resourceVersion"].clone();
    object::set_metadata(&mut sent, "resourceVersion", Value::Null);
    let mut written = create(state, writing, sent)?;
    if writing.dry_run {
        // Nothing is stored that would have a version, so the one that was sent is shown.
        object::set_metadata(Arc::make_mut(&mut written.object), "resourceVersion", version);
    }
    Ok(written)
}

/// Whether a write is another generation. The annotations of a Deployment are part of what is wanted, as upstream has it.
fn changes_desired_state(writing: &Writing<'_>, new: &Value, current: &Value) -> bool {
    let resource = writing.resource;
    let annotations_count = resource.storage == builtins::DEPLOYMENTS && writing.part != Part::Status;
    resource.desired_state(new) != resource.desired_state(current)
        || annotations_count && new["metadata"].get("annotations") != current["metadata"].get("annotations")
}

/// Notes who changed what, or forgets who did.
fn record_managers(writing: &Writing<'_>, resets: bool, current: &Value, new: &mut Value) {
    let replaces_scale =
        writing.part == Part::Scale && !(writing.is_patch && managed_fields::is_owned(current, &REPLICAS));
    if resets {
        object::set_metadata(new, "managedFields", Value::Null);
    } else if replaces_scale {
        managed_fields::disown(current, new, &REPLICAS);
    } else {
        managed_fields::record(Some(current), new, &writing.writer(), writing.now);
    }
}

/// Takes over from the stored object what this write is not about.
fn keep_what_clients_cannot_change(writing: &Writing<'_>, current: &Value, mut new: Value) -> Value {
    match writing.part {
        Part::Main | Part::Scale if writing.resource.has_status => {
            rules::keep_field(&mut new, current, "status");
        }
        Part::Status if writing.resource.is_custom() || writing.resource.storage == builtins::DEFINITIONS => {
            let mut whole = current.clone();
            rules::keep_field(&mut whole, &new, "status");
            new = whole;
        }
        // The metadata of built-in kinds can be written with their status; only Deployments keep their labels.
        Part::Status => {
            rules::keep_field(&mut new, current, "spec");
            if writing.resource.storage == builtins::DEPLOYMENTS {
                object::keep_metadata(&mut new, current, "labels");
            }
        }
        Part::Main | Part::Scale | Part::Whole => {}
    }
    for field in ["creationTimestamp", "namespace", "generation", "resourceVersion"] {
        object::keep_metadata(&mut new, current, field);
    }
    for field in ["uid", "deletionGracePeriodSeconds"] {
        if new["metadata"].get(field).is_none() {
            object::keep_metadata(&mut new, current, field);
        }
    }
    if object::is_terminating(current) {
        object::keep_metadata(&mut new, current, "deletionTimestamp");
    }
    new
}

fn store_update(
    state: &mut State,
    resource: &Resource,
    key: &Key,
    mut new: Value,
    mut warnings: Vec<String>,
) -> Written {
    if resource.storage == builtins::DEFINITIONS {
        crds::establish(&mut new, None);
    }
    let released = object::is_terminating(&new) && object::finalizers(&new).next().is_none();
    let object = state.store.put(key.clone(), new);
    if released {
        gc::sweep(state);
    }
    warnings.extend(state.registry.refresh(&state.store, &resource.storage));
    Written { object, created: false, warnings }
}
