//! A view as text, for the many routes at rest: the entries alone, as JSON values, take several times as much.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    gateway_route, mirror,
    object::{Unusable, entries},
    spelling, virtual_router,
};
use crate::{
    api::{RouteKind, SpelledStamp},
    engine::observed::{InEffect, ListSeen, MirrorSeen, Mirrors, RouteView},
};

/// A view as text. Two are equal where the views are. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed(Arc<str>);

/// What is spelled of a view. Everything else follows from it and from the kind.
#[derive(Serialize, Deserialize)]
struct Spelled {
    uid: String,
    version: String,
    lists: Vec<Listed>,
    stamps: BTreeMap<String, SpelledStamp>,
    annotated: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    deleting: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    no_preview: Option<Cow<'static, str>>,
    in_effect: Spoken,
    writer: Option<String>,
}

/// Whether to leave it out. Serde wants a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_false(it: &bool) -> bool {
    !*it
}

/// [`ListSeen`], spelled.
#[derive(Serialize, Deserialize)]
struct Listed {
    path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    told: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rule_field: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unusable: Option<(Cow<'static, str>, String)>,
    #[serde(default, skip_serializing_if = "is_false")]
    lone: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    headers: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mirrors: Option<Mirrored>,
    entries: Vec<Value>,
}

/// [`Mirrors`], spelled.
#[derive(Serialize, Deserialize)]
struct Mirrored {
    path: String,
    length: Option<usize>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    entries: Vec<(usize, Value)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
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
        let is_router = view.no_preview == Some(virtual_router::ALONE);
        let spelled = Spelled {
            uid: view.uid,
            version: view.resource_version,
            lists: view.lists.into_iter().map(Listed::from).collect(),
            stamps: view.stamps,
            annotated: view.annotated,
            deleting: view.deleting,
            no_preview: view.no_preview.filter(|_| !is_router).map(Cow::Borrowed),
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

impl From<ListSeen> for Listed {
    fn from(list: ListSeen) -> Self {
        Self {
            path: list.path,
            rule: list.rule,
            told: list.told,
            rule_field: list.rule_field,
            unusable: list.unusable.map(|(reason, message)| (reason.into(), message)),
            lone: list.lone,
            headers: list.headers,
            mirrors: list.mirrors.map(Mirrored::from),
            entries: list.entries.into_iter().map(|entry| Arc::unwrap_or_clone(entry.raw.0)).collect(),
        }
    }
}

impl From<Mirrors> for Mirrored {
    fn from(Mirrors { path, length, entries, writer }: Mirrors) -> Self {
        let raw = |mirror: MirrorSeen| (mirror.index, Arc::unwrap_or_clone(mirror.raw.0));
        Self { path, length, entries: entries.into_iter().map(raw).collect(), writer }
    }
}

impl Packed {
    /// The view again, of a route of this kind and namespace.
    pub fn unpacked(&self, kind: RouteKind, namespace: &str) -> Result<RouteView, Unusable> {
        let spelled: Spelled =
            serde_json::from_str(&self.0).map_err(|error| Unusable::new("Unreadable", error.to_string()))?;
        let mut name_field = spelling(kind).name;
        let list = |list: Listed| {
            let unusable = list.unusable.map(|(reason, message)| (known(&reason), message));
            let entries = match list.entries.as_slice() {
                [target] if list.lone => {
                    let (spelling, entry) = gateway_route::lone_entry(target, namespace)?;
                    name_field = spelling.name;
                    vec![entry]
                }
                _ if unusable.is_some() => vec![],
                _ => entries(Some(&Value::Array(list.entries)), &spelling(kind), namespace)?,
            };
            let Listed { path, rule, told, rule_field, lone, headers, mirrors, .. } = list;
            let mirrors = mirrors.map(|Mirrored { path, length, entries, writer }| Mirrors {
                path,
                length,
                entries: mirror::placed(kind, entries, namespace),
                writer,
            });
            Ok(ListSeen { path, rule, told, rule_field, entries, unusable, lone, headers, mirrors })
        };
        let lists = spelled.lists.into_iter().map(list).collect::<Result<_, Unusable>>()?;
        Ok(RouteView {
            uid: spelled.uid,
            resource_version: spelled.version,
            lists,
            beside: Vec::new(),
            gone: Vec::new(),
            name_field,
            called: Vec::new(),
            stamps: spelled.stamps,
            deleting: spelled.deleting,
            annotated: spelled.annotated,
            no_preview: match kind {
                RouteKind::GatewayRoute => {
                    let known = [gateway_route::FIRST, gateway_route::UNORDERED];
                    known.into_iter().find(|why| spelled.no_preview.as_deref() == Some(*why))
                }
                RouteKind::VirtualRouter => Some(virtual_router::ALONE),
                RouteKind::HttpRoute | RouteKind::GrpcRoute => None,
            },
            in_effect: match spelled.in_effect {
                Spoken::Yes => InEffect::Yes,
                Spoken::No(why) => InEffect::No(why),
                Spoken::Unreported => InEffect::Unreported,
            },
            writer: spelled.writer,
        })
    }
}

/// The reasons for which a list can't be stepped, as they are written in the code.
fn known(reason: &str) -> &'static str {
    let all =
        ["NoRoute", "SeveralRoutes", "NoWeights", "EmptyList", "DuplicateEntry", "EntryByARN", "BadEntry"];
    all.into_iter().find(|known| *known == reason).unwrap_or("Unusable")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::routes::view;

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
            let view = view(RouteKind::GatewayRoute, &route).unwrap();
            packed.push(Packed::from(view.clone()));
            assert_eq!(packed.last().unwrap().unpacked(RouteKind::GatewayRoute, "n").unwrap(), view);
            assert_eq!(packed.last(), Some(&Packed::from(view)));
        }
        for (at, one) in packed.iter().enumerate() {
            assert!(packed[..at].iter().all(|other| other != one), "{one:?}");
        }
    }

    #[test]
    fn so_do_rules_and_why_one_of_them_can_t_be_stepped() {
        let backends = |weight: i64| json!([{"name": "v1", "port": 80, "weight": weight}, {"name": "v2"}]);
        let route = json!({
            "metadata": {"namespace": "n", "uid": "u", "resourceVersion": "7", "generation": 2},
            "spec": {"rules": [
                {"name": "a", "backendRefs": backends(9)},
                {"backendRefs": [{"name": "v1"}, {"name": "v1"}]},
                {"backendRefs": backends(1)},
            ]},
        });
        let view = view(RouteKind::HttpRoute, &route).unwrap();
        assert_eq!(view.lists[1].unusable.as_ref().unwrap().0, "DuplicateEntry");
        assert_eq!(Packed::from(view.clone()).unpacked(RouteKind::HttpRoute, "n").unwrap(), view);
    }
}
