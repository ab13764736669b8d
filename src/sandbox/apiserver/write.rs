//! Creating, changing and deleting objects: what a real API server does between request and store.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::builtins;
use super::failure::Failure;
use super::managed_fields::{self, Writer};
use super::object;
use super::resource::{Model, Resource};
use super::store::Key;
use super::{State, crds, gc, ids, rules};
use crate::sandbox::schema::FieldError;

/// What unknown fields lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldValidation {
    Strict,
    Warn,
    Ignore,
}

/// The part of an object that a write is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All but the status, where the resource serves `/status`.
    Main,
    /// The status alone.
    Status,
    /// Everything: writes of the server's own loops.
    Whole,
}

/// One write: by whom, how, when.
#[derive(Clone, Debug)]
pub(super) struct Writing<'a> {
    pub resource: &'a Resource,
    /// Empty for cluster-scoped resources.
    pub namespace: &'a str,
    pub manager: &'a str,
    pub part: Part,
    pub validation: FieldValidation,
    /// Whether unknown fields are reported as a patch, whose refusal is another one.
    pub is_patch: bool,
    pub dry_run: bool,
    pub now: Timestamp,
}

/// What a delete demands of the object.
#[derive(Clone, Debug, Default)]
pub(super) struct Preconditions {
    pub uid: Option<String>,
    pub resource_version: Option<String>,
}

/// An object as stored, and what to warn the client of.
#[derive(Debug)]
pub(super) struct Written {
    pub object: Arc<Value>,
    pub warnings: Vec<String>,
}

/// How a delete ended.
#[derive(Debug)]
pub(super) enum Deleted {
    Gone(Arc<Value>),
    /// Finalizers or contents still hold it.
    Waiting(Arc<Value>),
}

impl<'a> Writing<'a> {
    /// A write by one of the server's own loops.
    pub fn internal(resource: &'a Resource, namespace: &'a str, now: Timestamp) -> Self {
        Self {
            resource,
            namespace,
            manager: "kube-controller-manager",
            part: Part::Whole,
            validation: FieldValidation::Ignore,
            is_patch: false,
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
        Writer {
            manager: self.manager.to_owned(),
            subresource: (self.part == Part::Status).then(|| "status".to_owned()),
            api_version: self.resource.api_version(),
        }
    }

    /// Brings what a client sent into the stored shape, without unknown fields, with defaults.
    fn admit(&self, sent: &Value) -> Result<(Value, Vec<String>), Failure> {
        object::check_shape(sent).map_err(Failure::bad_request)?;
        let mut sent = sent.clone();
        self.check_identity(&sent)?;
        let unknown = self.resource.prune(&mut sent).map_err(Failure::bad_request)?;
        let reports: Vec<String> = unknown.iter().map(|path| format!("unknown field {path:?}")).collect();
        let warnings = match self.validation {
            FieldValidation::Strict if !reports.is_empty() => return Err(self.strict_refusal(&reports)),
            FieldValidation::Warn => reports,
            FieldValidation::Strict | FieldValidation::Ignore => Vec::new(),
        };
        sent["apiVersion"] = self.resource.api_version().into();
        sent["kind"] = self.resource.kind.as_str().into();
        match &self.resource.model {
            Model::Custom { schema, .. } => schema.apply_defaults(&mut sent),
            Model::BuiltIn(_) | Model::NewEvent(_) => rules::default_built_in(self.resource, &mut sent),
        }
        Ok((self.resource.accept(&sent), warnings))
    }

    fn strict_refusal(&self, reports: &[String]) -> Failure {
        let message = format!("strict decoding error: {}", reports.join(", "));
        if self.is_patch {
            return Failure::invalid_patch(&message);
        }
        let Resource { kind, version, .. } = self.resource;
        Failure::bad_request(format!(
            "{kind} in version {version:?} cannot be handled as a {kind}: {message}"
        ))
    }

    fn check_identity(&self, sent: &Value) -> Result<(), Failure> {
        let differs = |field: &str, wanted: &str| sent[field].as_str().is_some_and(|found| found != wanted);
        if differs("apiVersion", &self.resource.api_version()) || differs("kind", &self.resource.kind) {
            return Err(Failure::bad_request(format!(
                "the API version and kind in the data ({}, {}) do not match the expected ones ({}, {})",
                object::text(sent, "/apiVersion"),
                object::text(sent, "/kind"),
                self.resource.api_version(),
                self.resource.kind,
            )));
        }
        let namespace = object::namespace(sent);
        if !namespace.is_empty() && namespace != self.namespace {
            return Err(Failure::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        Ok(())
    }

    fn validate(&self, new: &Value, old: Option<&Value>) -> Result<(), Failure> {
        let mut errors = Vec::new();
        if let Model::Custom { schema, .. } = &self.resource.model {
            errors.extend(schema.validate(new, old));
        }
        if self.resource.storage == builtins::DEFINITIONS {
            errors.extend(crds::check(new));
        }
        if errors.is_empty() {
            Ok(())
        } else {
            Err(Failure::invalid(self.resource, object::name(new), &errors))
        }
    }
}

/// Stores a new object.
pub(super) fn create(state: &mut State, writing: &Writing<'_>, sent: &Value) -> Result<Written, Failure> {
    let (mut new, mut warnings) = writing.admit(sent)?;
    let resource = writing.resource;
    let prefix = object::text(&new, "/metadata/generateName").to_owned();
    if object::name(&new).is_empty() && !prefix.is_empty() {
        object::set_metadata(&mut new, "name", format!("{prefix}{}", ids::name_suffix()).into());
    }
    let name = object::name(&new).to_owned();
    rules::check_name(resource, &name)?;
    rules::check_namespace(state, writing, &name)?;
    let key = writing.key(&name);
    if state.store.get(&key).is_some() {
        return Err(Failure::already_exists(resource, &name));
    }
    if !object::resource_version(&new).is_empty() {
        return Err(Failure::bad_request("resourceVersion should not be set on objects to be created"));
    }
    if writing.part == Part::Main
        && resource.has_status
        && let Some(fields) = new.as_object_mut()
    {
        fields.remove("status");
    }
    for field in
        ["deletionTimestamp", "deletionGracePeriodSeconds", "managedFields", "generation", "selfLink"]
    {
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
    writing.validate(&new, None)?;
    managed_fields::record(None, &mut new, &writing.writer(), writing.now);
    rules::initialise(resource, &mut new, writing.now);
    if writing.dry_run {
        return Ok(Written { object: Arc::new(new), warnings });
    }
    let object = state.store.put(key, new);
    warnings.extend(state.registry.refresh(&state.store, &resource.storage));
    Ok(Written { object, warnings })
}

/// Replaces an object by what a client sent, which may name the version it read.
pub(super) fn update(
    state: &mut State,
    writing: &Writing<'_>,
    name: &str,
    sent: &Value,
) -> Result<Written, Failure> {
    let resource = writing.resource;
    let key = writing.key(name);
    let current = state.store.get(&key).cloned().ok_or_else(|| Failure::not_found(resource, name))?;
    let (mut new, warnings) = writing.admit(sent)?;
    rules::check_preconditions_of_update(resource, name, &current, &new)?;
    match writing.part {
        Part::Main if resource.has_status => rules::keep_field(&mut new, &current, "status"),
        Part::Status => {
            let mut whole = (*current).clone();
            rules::keep_field(&mut whole, &new, "status");
            new = whole;
        }
        Part::Main | Part::Whole => {}
    }
    let kept = [
        "uid",
        "creationTimestamp",
        "namespace",
        "generation",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ];
    for field in kept.into_iter().chain(["resourceVersion", "generateName"]) {
        object::keep_metadata(&mut new, &current, field);
    }
    if object::is_terminating(&current)
        && object::finalizers(&new).any(|wanted| object::finalizers(&current).all(|known| known != wanted))
    {
        let error = FieldError {
            path: "metadata.finalizers".to_owned(),
            reason: "FieldValueForbidden",
            message: "Forbidden: no new finalizers can be added if the object is being deleted".to_owned(),
        };
        return Err(Failure::invalid(resource, name, &[error]));
    }
    writing.validate(&new, Some(&current))?;
    let changes_desired_state = resource.desired_state(&new) != resource.desired_state(&current);
    if resource.counts_generation && changes_desired_state {
        let generation = object::number(&current, "/metadata/generation").unwrap_or_default() + 1;
        object::set_metadata(&mut new, "generation", generation.into());
    }
    if object::without_bookkeeping(&new) == object::without_bookkeeping(&current) {
        return Ok(Written { object: current, warnings });
    }
    managed_fields::record(Some(&current), &mut new, &writing.writer(), writing.now);
    if writing.dry_run {
        return Ok(Written { object: Arc::new(new), warnings });
    }
    Ok(store_update(state, resource, &key, new, warnings))
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
    if released && !gc::is_container(key) {
        gc::remove(state, key);
    } else if released {
        gc::sweep(state);
    }
    warnings.extend(state.registry.refresh(&state.store, &resource.storage));
    Written { object, warnings }
}

/// Deletes an object, or begins to where finalizers or contents hold it.
pub(super) fn delete(
    state: &mut State,
    writing: &Writing<'_>,
    name: &str,
    demands: &Preconditions,
) -> Result<Deleted, Failure> {
    let resource = writing.resource;
    let key = writing.key(name);
    let current = state.store.get(&key).cloned().ok_or_else(|| Failure::not_found(resource, name))?;
    let violated =
        |demand: &Option<String>, found: &str| demand.as_deref().is_some_and(|wanted| wanted != found);
    if violated(&demands.uid, object::uid(&current)) {
        let why = "Precondition failed: UID in precondition differs from the UID in object meta";
        return Err(Failure::conflict(resource, name, why));
    }
    if violated(&demands.resource_version, object::resource_version(&current)) {
        let why = "Precondition failed: ResourceVersion in precondition differs from the ResourceVersion in object meta";
        return Err(Failure::conflict(resource, name, why));
    }
    if writing.dry_run {
        return Ok(Deleted::Gone(current));
    }
    gc::begin_delete(state, &key, writing.now);
    Ok(match state.store.get(&key) {
        Some(held) => Deleted::Waiting(held.clone()),
        None => Deleted::Gone(current),
    })
}
