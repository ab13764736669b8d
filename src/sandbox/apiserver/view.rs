//! The forms in which objects are shown: plain, metadata only, or as rows of a table.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::failure::Failure;
use super::request::ApiRequest;
use super::resource::Resource;
use super::table;

/// The form that a client asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    Object,
    /// `PartialObjectMetadata`.
    Metadata,
    Table(Include),
}

/// The forms that objects can be transformed into.
const FORMS: [&str; 3] = ["Table", "PartialObjectMetadata", "PartialObjectMetadataList"];

/// What the rows of a table are to carry.
fn include(request: &ApiRequest) -> Result<Include, Failure> {
    match request.parameters.include_object.as_deref() {
        None | Some("" | "Metadata") => Ok(Include::Metadata),
        Some("None") => Ok(Include::Nothing),
        Some("Object") => Ok(Include::Object),
        Some(other) => Err(Failure::bad_request(format!(
            "Unable to convert to Table as requested: includeObject: Invalid value: {other:?}: must be 'Metadata', \
             'Object', 'None', or empty"
        ))),
    }
}

/// What a table row carries besides its cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Include {
    Nothing,
    Metadata,
    Object,
}

impl View {
    /// The form in which one object is asked for.
    pub fn of_object(request: &ApiRequest) -> Result<Self, Failure> {
        let (view, form) = Self::parse(request)?;
        if form == Some("PartialObjectMetadataList") {
            return Err(Failure::unexpected("content is not a list"));
        }
        Ok(view)
    }

    /// The form in which a list is asked for.
    pub fn of_list(request: &ApiRequest) -> Result<Self, Failure> {
        let (view, form) = Self::parse(request)?;
        if form == Some("PartialObjectMetadata") {
            let why = "you requested PartialObjectMetadata, but the requested object is a list";
            return Err(Failure::not_acceptable(why));
        }
        Ok(view)
    }

    /// Reads the `Accept` header: the first form in it that is served, and its name.
    fn parse(request: &ApiRequest) -> Result<(Self, Option<&str>), Failure> {
        let understood = |offer: &'_ str| {
            let mut parts = offer.split(';').map(str::trim);
            let is_json = matches!(parts.next(), Some("application/json" | "application/*" | "*/*" | ""));
            let (mut form, mut version) = (None, "v1");
            for part in parts {
                match part.split_once('=') {
                    Some(("as", name)) => {
                        form = FORMS.iter().copied().find(|known| *known == name).or(Some(""));
                    }
                    Some(("v", found)) => version = if found == "v1" { "v1" } else { "" },
                    _ => {}
                }
            }
            (is_json && form != Some("") && (form.is_none() || version == "v1")).then_some(form)
        };
        let form = request.accept.split(',').find_map(|offer| understood(offer.trim())).ok_or_else(|| {
            Failure::not_acceptable("only the following media types are accepted: application/json")
        })?;
        let view = match form {
            None => Self::Object,
            Some("Table") => Self::Table(include(request)?),
            Some(_) => Self::Metadata,
        };
        Ok((view, form))
    }

    /// One object.
    pub fn object(self, resource: &Resource, stored: &Value, now: Timestamp) -> Value {
        match self {
            Self::Object => resource.present(stored),
            Self::Metadata => metadata_only(stored),
            Self::Table(include) => {
                let mut version = json!({});
                if let Some(found) = stored["metadata"].get("resourceVersion") {
                    version["resourceVersion"] = found.clone();
                }
                table::render(resource, std::iter::once(stored), &version, include, now)
            }
        }
    }

    /// A list with its metadata.
    pub fn list<'v>(
        self,
        resource: &Resource,
        items: impl Iterator<Item = &'v Value>,
        metadata: &Value,
        now: Timestamp,
    ) -> Value {
        match self {
            Self::Object => json!({
                "apiVersion": resource.api_version(), "kind": resource.list_kind,
                "metadata": list_metadata(resource, metadata),
                "items": items.map(|stored| listed(resource, stored)).collect::<Vec<_>>(),
            }),
            Self::Metadata => {
                let items: Vec<Value> = items.map(metadata_only).collect();
                json!({
                    "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList", "metadata": metadata,
                    // Upstream writes no items as null here.
                    "items": if items.is_empty() { Value::Null } else { items.into() },
                })
            }
            Self::Table(include) => table::render(resource, items, metadata, include, now),
        }
    }

    /// A bookmark: an object of this form that only carries a revision.
    pub fn bookmark(self, resource: &Resource, revision: u64, now: Timestamp) -> Value {
        let metadata = json!({"resourceVersion": revision.to_string()});
        match self {
            Self::Object => {
                json!({"apiVersion": resource.api_version(), "kind": resource.kind, "metadata": metadata})
            }
            Self::Metadata => {
                json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": metadata})
            }
            Self::Table(include) => {
                let mut shown = table::render(resource, std::iter::empty(), &metadata, include, now);
                shown["rows"] = json!([{"cells": table::empty_cells(resource, now), "object": {
                    "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": metadata,
                }}]);
                shown
            }
        }
    }
}

/// Lists of custom resources always say where they go on, though it be nowhere.
fn list_metadata(resource: &Resource, metadata: &Value) -> Value {
    let mut metadata = metadata.clone();
    if resource.is_custom() && metadata.get("continue").is_none() {
        metadata["continue"] = "".into();
    }
    metadata
}

/// An object as an item of a list, where built-in kinds do not repeat what they are.
fn listed(resource: &Resource, stored: &Value) -> Value {
    let mut shown = resource.present(stored);
    if !resource.is_custom()
        && let Some(fields) = shown.as_object_mut()
    {
        fields.remove("apiVersion");
        fields.remove("kind");
    }
    shown
}

/// The object's metadata alone.
pub(super) fn metadata_only(stored: &Value) -> Value {
    json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": stored["metadata"]})
}
