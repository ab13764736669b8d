//! What each verb does to a resource.

use std::sync::Arc;

use http::Method;
use serde_json::{Value, json};

use super::State;
use super::discovery::REVIEWS;
use super::failure::Failure;
use super::lists;
use super::object;
use super::patch::Patch;
use super::request::{ApiRequest, ResourcePath, Target};
use super::resource::{Resource, Scale};
use super::scale;
use super::store::Key;
use super::view::View;
use super::watching::Wanted;
use super::write::{self, Deleted, FieldValidation, Part, Preconditions, Writing, Written};
use super::{documents, ids};

const SERVED_SUBRESOURCES: &str = "the embedded API server serves only the subresources status and scale";

/// An answer, before it is bytes.
#[derive(Debug)]
pub(super) enum Reply {
    Json {
        code: u16,
        body: Value,
        warnings: Vec<String>,
    },
    /// Aggregated discovery, which has a content type of its own.
    Discovery {
        body: Value,
        version: &'static str,
    },
    Text(&'static str),
    Watch(Box<Wanted>),
}

/// Carries out a request.
pub(super) fn handle(state: &mut State, request: &ApiRequest) -> Result<Reply, Failure> {
    let path = match &request.target {
        Target::Document(path) if request.method == Method::GET => {
            return documents::get(state, request, path);
        }
        Target::Document(_) => return Err(Failure::no_such_path()),
        Target::Resource(path) => path,
    };
    if let Some((group, _, kind)) =
        REVIEWS.iter().find(|review| review.0 == path.group && review.1 == path.plural)
    {
        return review(request, group, kind);
    }
    let resource =
        state.registry.find(&path.group, &path.version, &path.plural).ok_or_else(Failure::no_such_path)?;
    if path.namespace.is_some() && !resource.namespaced {
        return Err(Failure::no_such_path());
    }
    let subresource = path.subresource.as_deref();
    match (request.method.as_str(), path.name.as_deref(), subresource) {
        ("GET", _, None) if request.parameters.watch() => lists::watch(resource, path, request),
        ("GET", None, None) => lists::list(state, &resource, path, request),
        ("POST", None, None) => create(state, &resource, path, request),
        ("DELETE", None, None) => delete_collection(state, &resource, path, request),
        (method, Some(name), None) => on_object(state, &resource, path, request, method, name, Part::Main),
        (method, Some(name), Some("status")) if resource.has_status && method != "DELETE" => {
            on_object(state, &resource, path, request, method, name, Part::Status)
        }
        (method, Some(name), Some("scale")) => match &resource.scale {
            Some(scale) => on_scale(state, &resource, path, request, method, name, scale),
            None => Err(Failure::no_such_path()),
        },
        (_, Some(_), Some("status")) => Err(Failure::no_such_path()),
        (_, Some(_), Some(_)) => Err(Failure::not_implemented(SERVED_SUBRESOURCES)),
        _ => Err(Failure::method_not_allowed()),
    }
}

fn on_object(
    state: &mut State,
    resource: &Resource,
    path: &ResourcePath,
    request: &ApiRequest,
    method: &str,
    name: &str,
    part: Part,
) -> Result<Reply, Failure> {
    match method {
        "GET" => {
            let stored = existing(state, resource, path, name)?;
            shown(state, resource, request, &stored)
        }
        "PUT" => {
            let sent = json_body(request)?;
            let writing = writing(state, resource, path, request, part)?;
            let written = write::update(state, &writing, name, &sent)?;
            written_reply(state, resource, request, 200, &written)
        }
        "PATCH" => {
            let changes = Patch::parse(resource, &request.content_type, &request.body)?;
            let current = existing(state, resource, path, name)?;
            let patched = changes.apply(&resource.present(&current))?;
            let writing = Writing { is_patch: true, ..writing(state, resource, path, request, part)? };
            let written = write::update(state, &writing, name, &patched)?;
            written_reply(state, resource, request, 200, &written)
        }
        "DELETE" => delete(state, resource, path, request, name),
        _ => Err(Failure::method_not_allowed()),
    }
}

fn on_scale(
    state: &mut State,
    resource: &Resource,
    path: &ResourcePath,
    request: &ApiRequest,
    method: &str,
    name: &str,
    paths: &Scale,
) -> Result<Reply, Failure> {
    let current = existing(state, resource, path, name)?;
    let before = scale::of(resource, paths, &current);
    let wanted = match method {
        "GET" => return Ok(plain(200, before)),
        "PUT" => json_body(request)?,
        "PATCH" => Patch::parse(resource, &request.content_type, &request.body)?.apply(&before)?,
        _ => return Err(Failure::method_not_allowed()),
    };
    let changed = scale::apply(paths, &current, &wanted)?;
    let writing = writing(state, resource, path, request, Part::Main)?;
    let written = write::update(state, &writing, name, &resource.present(&changed))?;
    Ok(plain(200, scale::of(resource, paths, &written.object)))
}

fn create(
    state: &mut State,
    resource: &Resource,
    path: &ResourcePath,
    request: &ApiRequest,
) -> Result<Reply, Failure> {
    if resource.namespaced && path.namespace.is_none() {
        return Err(Failure::method_not_allowed());
    }
    let sent = json_body(request)?;
    let writing = writing(state, resource, path, request, Part::Main)?;
    let written = write::create(state, &writing, &sent)?;
    written_reply(state, resource, request, 201, &written)
}

fn delete(
    state: &mut State,
    resource: &Resource,
    path: &ResourcePath,
    request: &ApiRequest,
    name: &str,
) -> Result<Reply, Failure> {
    let options = delete_options(request)?;
    let mut writing = writing(state, resource, path, request, Part::Main)?;
    writing.dry_run |= options["dryRun"][0] == "All";
    let demand = |field: &str| options["preconditions"][field].as_str().map(str::to_owned);
    let demands = Preconditions { uid: demand("uid"), resource_version: demand("resourceVersion") };
    match write::delete(state, &writing, name, &demands)? {
        Deleted::Waiting(held) => Ok(plain(200, resource.present(&held))),
        Deleted::Gone(gone) => Ok(plain(
            200,
            json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
                "details": {
                    "name": name, "group": resource.group, "kind": resource.plural, "uid": object::uid(&gone),
                },
            }),
        )),
    }
}

fn delete_collection(
    state: &mut State,
    resource: &Resource,
    path: &ResourcePath,
    request: &ApiRequest,
) -> Result<Reply, Failure> {
    let options = delete_options(request)?;
    let selection = lists::selection(resource, path, request)?;
    let selected: Vec<(Key, Arc<Value>)> = state
        .store
        .list(&resource.storage, selection.namespace.as_deref())
        .filter(|(_, stored)| selection.matches(stored))
        .map(|(key, stored)| (key.clone(), stored.clone()))
        .collect();
    let mut writing = writing(state, resource, path, request, Part::Main)?;
    writing.dry_run |= options["dryRun"][0] == "All";
    for (key, _) in &selected {
        let one = Writing { namespace: &key.namespace, ..writing.clone() };
        match write::delete(state, &one, &key.name, &Preconditions::default()) {
            // One may have gone with another that owned it.
            Err(failure) if failure.code == 404 => {}
            deleted => {
                deleted?;
            }
        }
    }
    let metadata = json!({"resourceVersion": state.store.revision().to_string()});
    let items = selected.iter().map(|(_, stored)| &**stored);
    Ok(plain(200, View::Object.list(resource, items, &metadata, state.clock.now())))
}

fn delete_options(request: &ApiRequest) -> Result<Value, Failure> {
    let options = if request.body.is_empty() { json!({}) } else { json_body(request)? };
    let policy = options["propagationPolicy"].as_str().or(request.parameters.propagation_policy.as_deref());
    match policy {
        None | Some("" | "Background") if options["orphanDependents"] != true => Ok(options),
        _ => Err(Failure::not_implemented(
            "the embedded API server deletes dependants in the background only, not in the foreground, and orphans none",
        )),
    }
}

fn review(request: &ApiRequest, group: &str, kind: &str) -> Result<Reply, Failure> {
    if request.method != Method::POST {
        return Err(Failure::method_not_allowed());
    }
    let mut answered = json_body(request)?;
    object::check_shape(&answered).map_err(Failure::bad_request)?;
    answered["apiVersion"] = format!("{group}/v1").into();
    answered["kind"] = kind.into();
    answered["status"] = if kind == "SelfSubjectReview" {
        json!({"userInfo": {"username": "sandbox", "uid": ids::uid(), "groups": ["system:masters", "system:authenticated"]}})
    } else {
        json!({"allowed": true, "reason": "the embedded API server has no authorization"})
    };
    Ok(plain(201, answered))
}

fn existing(
    state: &State,
    resource: &Resource,
    path: &ResourcePath,
    name: &str,
) -> Result<Arc<Value>, Failure> {
    let key = Key {
        storage: resource.storage.clone(),
        namespace: path.namespace.clone().unwrap_or_default(),
        name: name.to_owned(),
    };
    state.store.get(&key).cloned().ok_or_else(|| Failure::not_found(resource, name))
}

fn writing<'a>(
    state: &State,
    resource: &'a Resource,
    path: &'a ResourcePath,
    request: &'a ApiRequest,
    part: Part,
) -> Result<Writing<'a>, Failure> {
    let validation = match request.parameters.field_validation.as_deref() {
        None | Some("" | "Warn") => FieldValidation::Warn,
        Some("Strict") => FieldValidation::Strict,
        Some("Ignore") => FieldValidation::Ignore,
        Some(other) => {
            return Err(Failure::bad_request(format!(
                "invalid fieldValidation {other:?}: must be Ignore, Warn or Strict"
            )));
        }
    };
    Ok(Writing {
        resource,
        namespace: path.namespace.as_deref().unwrap_or_default(),
        manager: request.manager(),
        part,
        validation,
        is_patch: false,
        dry_run: request.parameters.is_dry_run()?,
        now: state.clock.now(),
    })
}

fn json_body(request: &ApiRequest) -> Result<Value, Failure> {
    match request.content_type.as_str() {
        "" | "application/json" => {}
        "application/vnd.kubernetes.protobuf" => {
            return Err(Failure::unsupported_media_type(
                "the embedded API server takes JSON bodies only, not protobuf; send application/json",
            ));
        }
        other => {
            return Err(Failure::unsupported_media_type(format!(
                "the embedded API server takes application/json bodies only, not {other:?}"
            )));
        }
    }
    serde_json::from_slice(&request.body)
        .map_err(|error| Failure::bad_request(format!("the object provided is unrecognized: {error}")))
}

fn shown(state: &State, resource: &Resource, request: &ApiRequest, stored: &Value) -> Result<Reply, Failure> {
    let view = View::parse(&request.accept, request.parameters.include_object.as_deref())?;
    Ok(plain(200, view.object(resource, stored, state.clock.now())))
}

fn written_reply(
    state: &State,
    resource: &Resource,
    request: &ApiRequest,
    code: u16,
    written: &Written,
) -> Result<Reply, Failure> {
    let view = View::parse(&request.accept, request.parameters.include_object.as_deref())?;
    let body = view.object(resource, &written.object, state.clock.now());
    Ok(Reply::Json { code, body, warnings: written.warnings.clone() })
}

fn plain(code: u16, body: Value) -> Reply {
    Reply::Json { code, body, warnings: Vec::new() }
}
