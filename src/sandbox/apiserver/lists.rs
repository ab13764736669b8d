//! Lists: selected, at a revision, in pages.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::State;
use super::failure::Failure;
use super::handlers::Reply;
use super::request::{ApiRequest, ResourcePath};
use super::resource::Resource;
use super::selectors::Selection;
use super::store::{Compacted, Key};
use super::view::View;
use super::watching::Wanted;
use crate::sandbox::schema::FieldError;

/// How long a watch lasts where the client names no time.
const WATCH_TIMEOUT: Duration = Duration::from_mins(30);

/// The objects that a list or a deletion of a collection is about.
pub(super) fn selection(
    resource: &Resource,
    path: &ResourcePath,
    request: &ApiRequest,
) -> Result<Selection, Failure> {
    let parameters = &request.parameters;
    let (labels, fields) = (parameters.label_selector.as_deref(), parameters.field_selector.as_deref());
    let mut selection = Selection::parse(resource, path.namespace.clone(), labels, fields)?;
    if let Some(name) = &path.name {
        selection.only_name(name);
    }
    Ok(selection)
}

/// Answers a list.
pub(super) fn list(
    state: &State,
    resource: &Resource,
    path: &ResourcePath,
    request: &ApiRequest,
) -> Result<Reply, Failure> {
    let parameters = &request.parameters;
    let view = View::parse(&request.accept, parameters.include_object.as_deref())?;
    let selection = selection(resource, path, request)?;
    let page =
        parameters.r#continue.as_deref().filter(|token| !token.is_empty()).map(Page::parse).transpose()?;
    let exact = parameters.resource_version_match.as_deref() == Some("Exact");
    let at = match &page {
        Some(page) => Some(page.revision),
        None => parameters.revision()?.filter(|_| exact),
    };
    let revision = at.unwrap_or_else(|| state.store.revision());
    let namespace = selection.namespace.as_deref();
    let objects = state
        .store
        .list_at(revision, &resource.storage, namespace)
        .map_err(|Compacted { oldest }| Failure::expired(revision, oldest))?;
    let mut selected: Vec<(Key, Arc<Value>)> = objects
        .into_iter()
        .filter(|(key, _)| page.as_ref().is_none_or(|page| page.is_after(key)))
        .filter(|(_, stored)| selection.matches(stored))
        .collect();
    let mut metadata = json!({"resourceVersion": revision.to_string()});
    let limit = parameters.limit()?.and_then(|limit| usize::try_from(limit).ok()).filter(|limit| *limit > 0);
    if let Some(limit) = limit.filter(|limit| *limit < selected.len()) {
        metadata["remainingItemCount"] = (selected.len() - limit).into();
        selected.truncate(limit);
        if let Some((last, _)) = selected.last() {
            metadata["continue"] = format!("{revision}:{}/{}", last.namespace, last.name).into();
        }
    }
    let items = selected.iter().map(|(_, stored)| &**stored);
    let body = view.list(resource, items, &metadata, state.clock.now());
    Ok(Reply::Json { code: 200, body, warnings: Vec::new() })
}

/// Answers the opening of a watch.
pub(super) fn watch(
    resource: Arc<Resource>,
    path: &ResourcePath,
    request: &ApiRequest,
) -> Result<Reply, Failure> {
    let parameters = &request.parameters;
    if parameters.sends_initial_events() || parameters.resource_version_match.is_some() {
        let forbidden = "is forbidden for watch unless the WatchList feature gate is enabled";
        let path =
            if parameters.sends_initial_events() { "sendInitialEvents" } else { "resourceVersionMatch" };
        return Err(Failure::invalid_options(&FieldError {
            path: path.to_owned(),
            reason: "FieldValueForbidden",
            message: format!("Forbidden: {path} {forbidden}"),
        }));
    }
    let view = View::parse(&request.accept, parameters.include_object.as_deref())?;
    let selection = selection(&resource, path, request)?;
    Ok(Reply::Watch(Box::new(Wanted {
        selection,
        view,
        from: parameters.revision()?,
        bookmarks: parameters.bookmarks(),
        timeout: parameters.timeout_seconds()?.map_or(WATCH_TIMEOUT, Duration::from_secs),
        resource,
    })))
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
