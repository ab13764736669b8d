//! The forms in which objects are shown: plain, metadata only, or as rows of a table.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::failure::Failure;
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

/// What a table row carries besides its cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Include {
    Nothing,
    Metadata,
    Object,
}

impl View {
    /// Reads the `Accept` header: the first form in it that is served.
    pub fn parse(accept: &str, include_object: Option<&str>) -> Result<Self, Failure> {
        let include = match include_object {
            Some("None") => Include::Nothing,
            Some("Object") => Include::Object,
            _ => Include::Metadata,
        };
        let understood = |offer: &str| {
            let mut parts = offer.split(';').map(str::trim);
            let is_json = matches!(parts.next(), Some("application/json" | "application/*" | "*/*" | ""));
            let form = parts.find_map(|part| part.strip_prefix("as="));
            match (is_json, form, offer.contains("v=v1beta1")) {
                (true, None, _) => Some(Self::Object),
                (true, Some("Table"), false) => Some(Self::Table(include)),
                (true, Some("PartialObjectMetadata" | "PartialObjectMetadataList"), false) => {
                    Some(Self::Metadata)
                }
                _ => None,
            }
        };
        accept.split(',').find_map(|offer| understood(offer.trim())).ok_or_else(Failure::not_acceptable)
    }

    /// One object.
    pub fn object(self, resource: &Resource, stored: &Value, now: Timestamp) -> Value {
        match self {
            Self::Object => resource.present(stored),
            Self::Metadata => metadata_only(stored),
            Self::Table(include) => {
                let version = json!({"resourceVersion": stored["metadata"]["resourceVersion"]});
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
                "apiVersion": resource.api_version(), "kind": resource.list_kind, "metadata": metadata,
                "items": items.map(|stored| listed(resource, stored)).collect::<Vec<_>>(),
            }),
            Self::Metadata => json!({
                "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList", "metadata": metadata,
                "items": items.map(metadata_only).collect::<Vec<_>>(),
            }),
            Self::Table(include) => table::render(resource, items, metadata, include, now),
        }
    }

    /// A bookmark: an object of this form that only carries a revision.
    pub fn bookmark(self, resource: &Resource, revision: u64) -> Value {
        let metadata = json!({"resourceVersion": revision.to_string(), "creationTimestamp": null});
        match self {
            Self::Object => {
                json!({"apiVersion": resource.api_version(), "kind": resource.kind, "metadata": metadata})
            }
            Self::Metadata => {
                json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": metadata})
            }
            Self::Table(_) => json!({
                "apiVersion": "meta.k8s.io/v1", "kind": "Table", "metadata": {"resourceVersion": revision.to_string()},
                "columnDefinitions": null,
                "rows": [{"cells": [], "object": {
                    "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": metadata,
                }}],
            }),
        }
    }
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
