//! What each verb does to a resource.

use std::sync::Arc;

use http::Method;
use serde_json::{Value, json};

use super::State;
use super::body;
use super::builtins::SERVICES;
use super::decode::{Decoded, Source, decode};
use super::deletion::{self, Deleted};
use super::discovery::REVIEWS;
use super::documents;
use super::failure::Failure;
use super::ids;
use super::lists;
use super::object;
use super::options::{DeleteOptions, WriteOptions};
use super::patch::Patch;
use super::request::{ApiRequest, ResourcePath, Target};
use super::resource::Resource;
use super::scale;
use super::store::Key;
use super::unserved;
use super::view::View;
use super::watching::Wanted;
use super::write::{self, Part, Writing, Written};

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
        Target::Document(path) => return documents::get(state, request, path),
        Target::Resource(path) => path,
    };
    if let Some((group, _, kind)) =
        REVIEWS.iter().find(|review| review.0 == path.group && review.1 == path.plural)
    {
        return review(request, group, kind);
    }
    let Some(resource) = state.registry.find(&path.group, &path.version, &path.plural) else {
        let nowhere = || documents::no_such_resource(&state.registry, &path.group);
        return Err(unserved::resource(&state.registry, path).unwrap_or_else(nowhere));
    };
    let is_list = path.name.is_none() && request.method == Method::GET;
    let fits_scope = match &path.namespace {
        Some(_) => resource.namespaced,
        None => !resource.namespaced || is_list,
    };
    let is_known_collection = path.name.is_none() && path.namespace.is_none() && resource.namespaced;
    match (fits_scope, resource.is_custom()) {
        (true, true) => on_custom(state, resource, path, request),
        (true, false) => on_built_in(state, resource, path, request),
        (false, true) => Err(Failure::no_such_page()),
        // The collection is there, but nothing can be made or deleted in all namespaces at once.
        (false, false) if is_known_collection => Err(Failure::method_not_allowed()),
        (false, false) => Err(Failure::no_such_path()),
    }
}

/// Custom resources are served by one handler that decides by the verb, so their refusals differ.
fn on_custom(
    state: &mut State,
    resource: Arc<Resource>,
    path: &ResourcePath,
    request: &ApiRequest,
) -> Result<Reply, Failure> {
    let verb = request.verb();
    let name = path.name.as_deref();
    match path.subresource.as_deref() {
        None => {}
        Some("status") if resource.has_status => {
            return match (verb, name) {
                ("get" | "update" | "patch", Some(name)) => {
                    on_object(state, &resource, path, request, name, Part::Status)
                }
                _ => Err(Failure::verb_not_supported(&resource, verb)),
            };
        }
        Some("scale") if resource.scale.is_some() => {
            return match (verb, name) {
                ("get" | "update" | "patch", Some(name)) => on_scale(state, &resource, path, request, name),
                _ => Err(Failure::verb_not_supported(&resource, verb)),
            };
        }
        Some(_) => return Err(Failure::not_found(&resource, name.unwrap_or_default())),
    }
    match (verb, name) {
        ("get" | "update" | "patch" | "delete", Some(name)) => {
            on_object(state, &resource, path, request, name, Part::Main)
        }
        ("update" | "patch", None) => Err(Failure::bad_request("name must be provided")),
        ("create", _) => create(state, &resource, path, request),
        ("list", None) => lists::list(state, &resource, path, request),
        ("watch", None) => lists::watch(state, resource, path, request),
        ("deletecollection", None) => delete_collection(state, &resource, path, request),
        _ => Err(Failure::verb_not_supported(&resource, verb)),
    }
}

/// Built-in resources have a route for every path and method that exists.
fn on_built_in(
    state: &mut State,
    resource: Arc<Resource>,
    path: &ResourcePath,
    request: &ApiRequest,
) -> Result<Reply, Failure> {
    let method = request.method.as_str();
    match (method, path.name.as_deref(), path.subresource.as_deref()) {
        ("GET", None, None) if request.parameters.watch() => lists::watch(state, resource, path, request),
        ("GET", None, None) => lists::list(state, &resource, path, request),
        ("POST", None, None) => create(state, &resource, path, request),
        ("DELETE", None, None) => delete_collection(state, &resource, path, request),
        ("GET" | "PUT" | "PATCH" | "DELETE", Some(name), None) => {
            on_object(state, &resource, path, request, name, Part::Main)
        }
        ("GET" | "PUT" | "PATCH", Some(name), Some("status")) if resource.has_status => {
            on_object(state, &resource, path, request, name, Part::Status)
        }
        ("GET" | "PUT" | "PATCH", Some(name), Some("scale")) if resource.scale.is_some() => {
            on_scale(state, &resource, path, request, name)
        }
        (_, Some(_), Some(subresource)) => {
            let is_known = (subresource == "status" && resource.has_status)
                || (subresource == "scale" && resource.scale.is_some());
            if is_known {
                return Err(Failure::method_not_allowed());
            }
            Err(unserved::resource(&state.registry, path).unwrap_or_else(Failure::no_such_path))
        }
        _ => Err(Failure::method_not_allowed()),
    }
}

fn on_object(
    state: &mut State,
    resource: &Resource,
    path: &ResourcePath,
    request: &ApiRequest,
    name: &str,
    part: Part,
) -> Result<Reply, Failure> {
    match request.method.as_str() {
        "GET" => {
            let view = View::of_object(request)?;
            let version = request.parameters.resource_version.as_deref();
            lists::check_reached(state, version)?;
            let stored = existing(state, resource, path, name)?;
            Ok(plain(200, view.object(resource, &stored, state.clock.now())))
        }
        "PUT" => {
            let options = WriteOptions::parse(request, "UpdateOptions")?;
            let decoded = decode_body(resource, request, options)?;
            let mistaken = decoded.mistaken;
            let writing = Writing { mistaken, ..writing(state, resource, path, request, part, options) };
            let written = write::update(state, &writing, name, decoded.object);
            written_reply(state, resource, request, &decoded.warnings, written)
        }
        "PATCH" => {
            let changes = Patch::parse(resource, &request.content_type, &request.body)?;
            let options = WriteOptions::parse(request, "PatchOptions")?;
            let current = existing(state, resource, path, name)?;
            let patched = changes.apply(&resource.present(&current))?;
            let decoded = decode(resource, patched, &[], Source::Patch, options.validation)?;
            let mistaken = decoded.mistaken;
            let writing = Writing {
                is_patch: true,
                mistaken,
                ..writing(state, resource, path, request, part, options)
            };
            let written = write::update(state, &writing, name, decoded.object);
            written_reply(state, resource, request, &decoded.warnings, written)
        }
        _ => delete(state, resource, path, request, name),
    }
}

fn on_scale(
    state: &mut State,
    resource: &Resource,
    path: &ResourcePath,
    request: &ApiRequest,
    name: &str,
) -> Result<Reply, Failure> {
    let Some(paths) = &resource.scale else {
        return Err(Failure::no_such_path());
    };
    let (wanted, source, options) = match request.method.as_str() {
        "PUT" => {
            let options = WriteOptions::parse(request, "UpdateOptions")?;
            (json_body(request)?.0, Source::Body, options)
        }
        "PATCH" => {
            let changes = Patch::parse(resource, &request.content_type, &request.body)?;
            let options = WriteOptions::parse(request, "PatchOptions")?;
            let current = existing(state, resource, path, name)?;
            (changes.apply(&scale::of(resource, paths, &current))?, Source::Patch, options)
        }
        _ => {
            let current = existing(state, resource, path, name)?;
            return Ok(plain(200, scale::of(resource, paths, &current)));
        }
    };
    scale::decode(&wanted, name, source)?;
    let current = existing(state, resource, path, name)?;
    let changed = resource.present(&scale::apply(paths, &current, &wanted)?);
    let is_patch = source == Source::Patch;
    let writing = Writing { is_patch, ..writing(state, resource, path, request, Part::Scale, options) };
    let written = write::update(state, &writing, name, changed)?;
    Ok(plain(200, scale::of(resource, paths, &written.object)))
}

fn create(
    state: &mut State,
    resource: &Resource,
    path: &ResourcePath,
    request: &ApiRequest,
) -> Result<Reply, Failure> {
    let options = WriteOptions::parse(request, "CreateOptions")?;
    let decoded = decode_body(resource, request, options)?;
    let mistaken = decoded.mistaken;
    let writing = Writing { mistaken, ..writing(state, resource, path, request, Part::Main, options) };
    let written = write::create(state, &writing, decoded.object);
    written_reply(state, resource, request, &decoded.warnings, written)
}

fn delete(
    state: &mut State,
    resource: &Resource,
    path: &ResourcePath,
    request: &ApiRequest,
    name: &str,
) -> Result<Reply, Failure> {
    let view = View::of_object(request)?;
    let options = DeleteOptions::parse(request)?;
    let now = state.clock.now();
    match deletion::delete(state, resource, &key(resource, path, name), &options, now)? {
        Deleted::Waiting(held) => Ok(plain(200, view.object(resource, &held, now))),
        // Services have a deletion of their own upstream, which shows what is gone.
        Deleted::Gone(gone) if resource.storage == SERVICES => {
            let mut shown = view.object(resource, &gone, now);
            object::set_metadata(&mut shown, "resourceVersion", state.store.revision().to_string().into());
            Ok(plain(200, shown))
        }
        Deleted::Gone(gone) => {
            let mut details = json!({"name": name, "kind": resource.plural, "uid": object::uid(&gone)});
            if !resource.group.is_empty() {
                details["group"] = resource.group.as_str().into();
            }
            let status = json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details,
            });
            Ok(plain(200, status))
        }
    }
}

fn delete_collection(
    state: &mut State,
    resource: &Resource,
    path: &ResourcePath,
    request: &ApiRequest,
) -> Result<Reply, Failure> {
    let view = View::of_list(request)?;
    let options = DeleteOptions::parse(request)?;
    let selection = lists::selection(resource, path, request)?;
    let selected: Vec<(Key, Arc<Value>)> = state
        .store
        .list(&resource.storage, selection.namespace.as_deref())
        .filter(|(_, stored)| selection.matches(stored))
        .map(|(key, stored)| (key.clone(), stored.clone()))
        .collect();
    let now = state.clock.now();
    for (key, _) in &selected {
        match deletion::delete(state, resource, key, &options, now) {
            // One may have gone with another that owned it.
            Err(failure) if failure.code == 404 => {}
            deleted => {
                deleted?;
            }
        }
    }
    let metadata = json!({"resourceVersion": state.store.revision().to_string()});
    Ok(plain(200, view.list(resource, selected.iter().map(|(_, stored)| &**stored), &metadata, now)))
}

fn review(request: &ApiRequest, group: &str, kind: &str) -> Result<Reply, Failure> {
    if request.method != Method::POST {
        return Err(Failure::method_not_allowed());
    }
    let (mut answered, _) = json_body(request)?;
    if !answered.is_object() {
        return Err(Failure::bad_request("couldn't get version/kind; json parse error"));
    }
    answered["apiVersion"] = format!("{group}/v1").into();
    answered["kind"] = kind.into();
    answered["status"] = if kind == "SelfSubjectReview" {
        json!({"userInfo": {"username": "sandbox", "uid": ids::uid(), "groups": ["system:masters", "system:authenticated"]}})
    } else {
        json!({"allowed": true, "reason": "the embedded API server has no authorization"})
    };
    Ok(plain(201, answered))
}

fn key(resource: &Resource, path: &ResourcePath, name: &str) -> Key {
    Key {
        storage: resource.storage.clone(),
        namespace: path.namespace.clone().unwrap_or_default(),
        name: name.to_owned(),
    }
}

fn existing(
    state: &State,
    resource: &Resource,
    path: &ResourcePath,
    name: &str,
) -> Result<Arc<Value>, Failure> {
    state.store.get(&key(resource, path, name)).cloned().ok_or_else(|| Failure::not_found(resource, name))
}

fn writing<'a>(
    state: &State,
    resource: &'a Resource,
    path: &'a ResourcePath,
    request: &'a ApiRequest,
    part: Part,
    options: WriteOptions,
) -> Writing<'a> {
    Writing {
        resource,
        namespace: path.namespace.as_deref().unwrap_or_default(),
        manager: request.manager(),
        part,
        is_patch: false,
        mistaken: None,
        dry_run: options.dry_run,
        now: state.clock.now(),
    }
}

/// The JSON of a body, and the fields that it has twice.
fn json_body(request: &ApiRequest) -> Result<(Value, Vec<String>), Failure> {
    request.check_json()?;
    body::parse(&request.body)
        .map_err(|error| Failure::bad_request(format!("the object provided is unrecognized: {error}")))
}

fn decode_body(resource: &Resource, request: &ApiRequest, options: WriteOptions) -> Result<Decoded, Failure> {
    let (sent, doubled) = json_body(request)?;
    decode(resource, sent, &doubled, Source::Body, options.validation)
}

fn written_reply(
    state: &State,
    resource: &Resource,
    request: &ApiRequest,
    warnings: &[String],
    written: Result<Written, Failure>,
) -> Result<Reply, Failure> {
    let written = written.map_err(|mut failure| {
        let later = std::mem::take(&mut failure.warnings);
        failure.with_warnings(warnings).with_warnings(&later)
    })?;
    let view = View::of_object(request)?;
    let body = view.object(resource, &written.object, state.clock.now());
    let warnings = warnings.iter().cloned().chain(written.warnings).collect();
    Ok(Reply::Json { code: if written.created { 201 } else { 200 }, body, warnings })
}

fn plain(code: u16, body: Value) -> Reply {
    Reply::Json { code, body, warnings: Vec::new() }
}
