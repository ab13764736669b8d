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
use crate::schema::FieldError;

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
    let at = page.as_ref().map_or(at, |page| page.revision);
    let revision = at.unwrap_or_else(|| state.store.revision());
    let objects = state
        .store
        .list_at(revision, &resource.storage, selection.namespace.as_deref())
        .map_err(|Compacted { .. }| page.as_ref().map_or_else(Failure::list_expired, Page::expired))?;
    let mut rest = objects.into_iter().filter(|(key, _)| page.as_ref().is_none_or(|page| page.is_after(key)));
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    let selected: Vec<(Key, Arc<Value>)> =
        rest.by_ref().filter(|(_, stored)| selection.matches(stored)).take(limit).collect();
    let mut metadata = json!({"resourceVersion": revision.to_string()});
    // Whether what is left is selected at all is not known before it is asked for, as upstream.
    let left = rest.count();
    if let Some((last, _)) = selected.last().filter(|_| left > 0) {
        metadata["continue"] = Page::token(Some(revision), &last.namespace, &last.name).into();
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
    let revision: u64 = text.parse().map_err(|_| invalid())?;
    check_reached(state, Some(text))?;
    let is_exact = match parameters.resource_version_match.as_deref() {
        Some(matching) => matching == "Exact",
        // A page of a version is of that version, from the days before clients could say how it is to match.
        None => revision > 0 && parameters.limit()?.is_some(),
    };
    Ok(Some(revision).filter(|_| is_exact))
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
    // Who names no version gets what there is first, and is told where that ends, without having asked.
    let initial = parameters.sends_initial_events().unwrap_or(from.is_none());
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
    let forbidden = |(path, why): (&str, &str)| {
        let message = format!("Forbidden: {why}");
        FieldError { path: path.to_owned(), reason: "FieldValueForbidden", message }
    };
    let mut errors = Vec::new();
    if is_watch {
        errors.extend(forbidden_in_watch(parameters).map(forbidden));
    } else {
        errors.extend(forbidden_in_list(parameters).into_iter().flatten().map(forbidden));
        errors.extend(unknown_match(parameters));
    }
    if errors.is_empty() { Ok(()) } else { Err(Failure::invalid_options("ListOptions", &errors)) }
}

/// The option that a watch cannot have beside its others, and why.
fn forbidden_in_watch(parameters: &Parameters) -> Option<(&'static str, &'static str)> {
    let matching = parameters.resource_version_match.as_deref();
    let why = match parameters.sends_initial_events() {
        Some(_) if matching != Some("NotOlderThan") => {
            "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        }
        None if matching.is_some() => {
            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
        }
        _ if parameters.r#continue.is_some() => "resourceVersionMatch is forbidden when continue is provided",
        _ => return None,
    };
    Some(("resourceVersionMatch", why))
}

/// The options that a list cannot have, alone or beside its others, and why.
fn forbidden_in_list(parameters: &Parameters) -> [Option<(&'static str, &'static str)>; 2] {
    let initial = parameters.sends_initial_events();
    let initial = initial.map(|_| ("sendInitialEvents", "sendInitialEvents is forbidden for list"));
    let version = parameters.resource_version.as_deref();
    let why = match (version, parameters.resource_version_match.as_deref()) {
        (None, Some(_)) => Some("resourceVersionMatch is forbidden unless resourceVersion is provided"),
        (Some(_), Some(_)) if parameters.r#continue.is_some() => {
            Some("resourceVersionMatch is forbidden when continue is provided")
        }
        (Some("0"), Some("Exact")) => {
            Some("resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"")
        }
        (_, None) | (Some(_), Some(_)) => None,
    };
    [initial, why.map(|why| ("resourceVersionMatch", why))]
}

/// A way to match versions that there is not.
fn unknown_match(parameters: &Parameters) -> Option<FieldError> {
    let matching = parameters.resource_version_match.as_deref();
    let other = matching.filter(|matching| !["Exact", "NotOlderThan"].contains(matching))?;
    let message =
        format!("Unsupported value: {other:?}: supported values: \"Exact\", \"NotOlderThan\", \"\"");
    let path = "resourceVersionMatch".to_owned();
    Some(FieldError { path, reason: "FieldValueNotSupported", message })
}

/// Where a paged list goes on: after this key, at the revision of its first page.
struct Page {
    /// `None`: the present one, of a client that takes what is left though the first page's revision is forgotten.
    revision: Option<u64>,
    namespace: String,
    name: String,
}

impl Page {
    fn parse(token: &str) -> Result<Self, Failure> {
        let parts = token.split_once(':').and_then(|(revision, key)| {
            let (namespace, name) = key.split_once('/')?;
            let revision = if revision == "-1" { None } else { Some(revision.parse().ok()?) };
            Some((revision, namespace.to_owned(), name.to_owned()))
        });
        let (revision, namespace, name) =
            parts.ok_or_else(|| Failure::bad_request("continue key is not valid"))?;
        Ok(Self { revision, namespace, name })
    }

    fn token(revision: Option<u64>, namespace: &str, name: &str) -> String {
        let revision = revision.map_or_else(|| "-1".to_owned(), |revision| revision.to_string());
        format!("{revision}:{namespace}/{name}")
    }

    /// The refusal where the revision is forgotten; it tells how to get what is left all the same.
    fn expired(&self) -> Failure {
        Failure::page_expired(&Self::token(None, &self.namespace, &self.name))
    }

    fn is_after(&self, key: &Key) -> bool {
        (&key.namespace, &key.name) > (&self.namespace, &self.name)
    }
}
