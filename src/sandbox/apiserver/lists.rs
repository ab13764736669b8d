//! Lists: selected, at a revision, in pages.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::State;
use super::failure::Failure;
use super::handlers::Reply;
use super::request::{ApiRequest, Parameters, ResourcePath};
use super::resource::Resource;
use super::selectors::Selection;
use super::store::{Compacted, Key};
use super::view::View;
use super::watching::Wanted;
use crate::sandbox::schema::FieldError;

/// How long a watch lasts where the client names no time.
const WATCH_TIMEOUT: Duration = Duration::from_mins(30);

/// The objects that a list, a watch or a deletion of a collection is about.
pub(super) fn selection(
    resource: &Resource,
    path: &ResourcePath,
    request: &ApiRequest,
) -> Result<Selection, Failure> {
    let parameters = &request.parameters;
    let (labels, fields) = (parameters.label_selector.as_deref(), parameters.field_selector.as_deref());
    Selection::parse(resource, path.namespace.clone(), labels, fields)
}

/// Answers a list.
pub(super) fn list(
    state: &State,
    resource: &Resource,
    path: &ResourcePath,
    request: &ApiRequest,
) -> Result<Reply, Failure> {
    let parameters = &request.parameters;
    let view = View::of_list(request)?;
    let selection = selection(resource, path, request)?;
    parameters.timeout_seconds()?;
    let limit = parameters.limit()?;
    check_options(&request.parameters, false)?;
    let at = revision(state, request)?;
    let page = parameters.r#continue.as_deref().map(Page::parse).transpose()?;
    // What any version will do for is answered at once and whole, as from a cache.
    let limit = limit.filter(|_| parameters.resource_version.as_deref() != Some("0"));
    let revision = page.as_ref().map(|page| page.revision).or(at).unwrap_or_else(|| state.store.revision());
    let objects = state
        .store
        .list_at(revision, &resource.storage, selection.namespace.as_deref())
        .map_err(|Compacted { oldest }| Failure::expired(revision, oldest))?;
    let mut rest = objects.into_iter().filter(|(key, _)| page.as_ref().is_none_or(|page| page.is_after(key)));
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    let selected: Vec<(Key, Arc<Value>)> =
        rest.by_ref().filter(|(_, stored)| selection.matches(stored)).take(limit).collect();
    let mut metadata = json!({"resourceVersion": revision.to_string()});
    // Whether what is left is selected at all is not known before it is asked for, as upstream.
    let left = rest.count();
    if let Some((last, _)) = selected.last().filter(|_| left > 0) {
        metadata["continue"] = format!("{revision}:{}/{}", last.namespace, last.name).into();
        if selection.is_everything() {
            metadata["remainingItemCount"] = left.into();
        }
    }
    let items = selected.iter().map(|(_, stored)| &**stored);
    let body = view.list(resource, items, &metadata, state.clock.now());
    Ok(Reply::Json { code: 200, body, warnings: Vec::new() })
}

/// The exact revision that a list asks for, if it does.
fn revision(state: &State, request: &ApiRequest) -> Result<Option<u64>, Failure> {
    let parameters = &request.parameters;
    let Some(text) = parameters.resource_version.as_deref() else {
        return Ok(None);
    };
    if parameters.r#continue.is_some() && text != "0" {
        return Err(Failure::bad_request("specifying resource version is not allowed when using continue"));
    }
    let invalid =
        || Failure::bad_request(format!("resourceVersion: Invalid value: {text:?}: invalid syntax"));
    let revision = text.parse().map_err(|_| invalid())?;
    check_reached(state, Some(text))?;
    Ok(Some(revision).filter(|_| parameters.resource_version_match.as_deref() == Some("Exact")))
}

/// Refuses a version that is none, or that the server has not reached.
pub(super) fn check_reached(state: &State, version: Option<&str>) -> Result<(), Failure> {
    let Some(text) = version else {
        return Ok(());
    };
    let asked: u64 = text.parse().map_err(|_| {
        Failure::unexpected(format!(
            "resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax"
        ))
    })?;
    let current = state.store.revision();
    if asked > current { Err(Failure::version_too_large(asked, current)) } else { Ok(()) }
}

/// Answers the opening of a watch.
pub(super) fn watch(
    state: &State,
    resource: Arc<Resource>,
    path: &ResourcePath,
    request: &ApiRequest,
) -> Result<Reply, Failure> {
    let parameters = &request.parameters;
    let view = View::of_object(request)?;
    let selection = selection(&resource, path, request)?;
    let timeout = parameters.timeout_seconds()?.filter(|seconds| *seconds > 0);
    parameters.limit()?;
    check_options(parameters, true)?;
    let version = parameters.resource_version.as_deref();
    check_reached(state, version)?;
    let from = version.and_then(|version| version.parse().ok()).filter(|version| *version > 0);
    let initial = parameters.sends_initial_events() == Some(true);
    Ok(Reply::Watch(Box::new(Wanted {
        selection,
        view,
        from: from.filter(|_| !initial),
        marks_initial_end: initial && parameters.bookmarks(),
        bookmarks: parameters.bookmarks(),
        timeout: timeout.map_or(WATCH_TIMEOUT, Duration::from_secs),
        resource,
    })))
}

/// Refuses options that exclude each other.
fn check_options(parameters: &Parameters, is_watch: bool) -> Result<(), Failure> {
    let mut errors = Vec::new();
    let mut forbid = |path: &str, why: &str| {
        let message = format!("Forbidden: {why}");
        errors.push(FieldError { path: path.to_owned(), reason: "FieldValueForbidden", message });
    };
    let matching = parameters.resource_version_match.as_deref();
    let version = parameters.resource_version.as_deref();
    let initial = parameters.sends_initial_events();
    match (is_watch, initial) {
        (false, Some(_)) => forbid("sendInitialEvents", "sendInitialEvents is forbidden for list"),
        (true, Some(_)) if matching != Some("NotOlderThan") => {
            forbid(
                "resourceVersionMatch",
                "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
            );
        }
        (true, None) if matching.is_some() => {
            forbid(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            );
        }
        (true, _) if parameters.r#continue.is_some() => {
            forbid("resourceVersionMatch", "resourceVersionMatch is forbidden when continue is provided");
        }
        _ => {}
    }
    if !is_watch && matching.is_some() {
        match (version, matching) {
            (None, _) => forbid(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden unless resourceVersion is provided",
            ),
            (Some(_), _) if parameters.r#continue.is_some() => {
                forbid("resourceVersionMatch", "resourceVersionMatch is forbidden when continue is provided");
            }
            (Some("0"), Some("Exact")) => {
                forbid(
                    "resourceVersionMatch",
                    "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
                );
            }
            _ => {}
        }
        if let Some(other) = matching.filter(|matching| !["Exact", "NotOlderThan"].contains(matching)) {
            let message =
                format!("Unsupported value: {other:?}: supported values: \"Exact\", \"NotOlderThan\", \"\"");
            let path = "resourceVersionMatch".to_owned();
            errors.push(FieldError { path, reason: "FieldValueNotSupported", message });
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(Failure::invalid_options("ListOptions", &errors)) }
}

/// Where a paged list goes on: after this key, at the revision of its first page.
struct Page {
    revision: u64,
    namespace: String,
    name: String,
}

impl Page {
    fn parse(token: &str) -> Result<Self, Failure> {
        let parts = token.split_once(':').and_then(|(revision, key)| {
            let (namespace, name) = key.split_once('/')?;
            Some((revision.parse().ok()?, namespace.to_owned(), name.to_owned()))
        });
        let (revision, namespace, name) =
            parts.ok_or_else(|| Failure::bad_request("continue key is not valid"))?;
        Ok(Self { revision, namespace, name })
    }

    fn is_after(&self, key: &Key) -> bool {
        (&key.namespace, &key.name) > (&self.namespace, &self.name)
    }
}
