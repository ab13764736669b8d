//! A view as text, for the many routes at rest: the entries alone, as JSON values, take several times as much.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::gateway_route::{self, Unusable};
use crate::engine::observed::{InEffect, RouteView};

/// A view as text. Two are equal where the views are. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed(Arc<str>);

/// What is spelled of a view. Everything else follows from it.
#[derive(Serialize, Deserialize)]
struct Spelled {
    uid: String,
    version: String,
    list: String,
    entries: Vec<Value>,
    stamps: BTreeMap<String, String>,
    annotated: bool,
    in_effect: Spoken,
    writer: Option<String>,
}

/// [`InEffect`], spelled.
#[derive(Serialize, Deserialize)]
enum Spoken {
    Yes,
    No(String),
    Unreported,
}

impl From<RouteView> for Packed {
    fn from(view: RouteView) -> Self {
        let spelled = Spelled {
            uid: view.uid,
            version: view.resource_version,
            list: view.list,
            entries: view.entries.into_iter().map(|entry| entry.raw).collect(),
            stamps: view.stamps,
            annotated: view.annotated,
            in_effect: match view.in_effect {
                InEffect::Yes => Spoken::Yes,
                InEffect::No(why) => Spoken::No(why),
                InEffect::Unreported => Spoken::Unreported,
            },
            writer: view.writer,
        };
        // Strings, numbers and JSON values have no way to fail.
        Self(serde_json::to_string(&spelled).unwrap_or_default().into())
    }
}

impl Packed {
    /// The view again.
    pub fn unpacked(&self) -> Result<RouteView, Unusable> {
        let spelled: Spelled = serde_json::from_str(&self.0)
            .map_err(|error| Unusable { reason: "Unreadable", message: error.to_string() })?;
        Ok(RouteView {
            uid: spelled.uid,
            resource_version: spelled.version,
            list: spelled.list,
            name_field: gateway_route::NAME_FIELD,
            entries: gateway_route::entries(Some(&Value::Array(spelled.entries)))?,
            stamps: spelled.stamps,
            annotated: spelled.annotated,
            in_effect: match spelled.in_effect {
                Spoken::Yes => InEffect::Yes,
                Spoken::No(why) => InEffect::No(why),
                Spoken::Unreported => InEffect::Unreported,
            },
            writer: spelled.writer,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::routes::gateway_route::view;

    #[test]
    fn a_view_comes_back_as_it_was() {
        let route = |weight: i64, condition: Value| {
            let entry = |name: &str, weight: i64| json!({"virtualServiceRef": {"name": name, "namespace": "n"}, "port": 8080, "weight": weight, "x": [1.5]});
            json!({
                "metadata": {
                    "name": "r", "namespace": "n", "uid": "u", "resourceVersion": "7", "generation": 2,
                    "annotations": {"state.tidegate.dev/color": "{\"uid\":\"u\"}", "other": "o"},
                    "managedFields": [{
                        "manager": "flux", "time": "2026-11-01T10:00:00Z",
                        "fieldsV1": {"f:spec": {"f:httpRoute": {"f:action": {"f:weightedTargets": {}}}}},
                    }],
                },
                "spec": {"httpRoute": {"action": {"weightedTargets": [entry("v1", weight), entry("v2", 0)]}}},
                "status": {"conditions": condition},
            })
        };
        let programmed = |status: &str| json!([{"type": "Programmed", "status": status, "observedGeneration": 2, "message": "no \"gateway\""}]);
        let mut packed = Vec::new();
        for route in [
            route(100, json!([])),
            route(100, programmed("True")),
            route(100, programmed("False")),
            route(99, json!([])),
        ] {
            let view = view(&route).unwrap();
            packed.push(Packed::from(view.clone()));
            assert_eq!(packed.last().unwrap().unpacked().unwrap(), view);
            assert_eq!(packed.last(), Some(&Packed::from(view)));
        }
        for (at, one) in packed.iter().enumerate() {
            assert!(packed[..at].iter().all(|other| other != one), "{one:?}");
        }
    }
}
