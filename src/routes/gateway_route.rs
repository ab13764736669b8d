//! A GatewayRoute as the engine sees it. Pure.
//!
//! The weighted list stands in one of twelve places: in an `httpRoute`, `http2Route` or `grpcRoute`, directly under
//! `spec` or under `spec.routeSpec`, as `weightedTargets` or as `targets`. Whatever can't be stepped without doubt
//! is refused with a sentence that names the remedy; nothing is guessed.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::{
    api::STAMP_PREFIX,
    engine::observed::{EntrySeen, InEffect, RouteState, RouteView},
};

#[cfg(test)]
mod tests;

const BLOCKS: [&str; 3] = ["httpRoute", "http2Route", "grpcRoute"];
const LISTS: [&str; 2] = ["weightedTargets", "targets"];
pub(super) const NAME_FIELD: &str = "/virtualServiceRef/name";
/// Other people's messages go into our status; this many bytes of one are enough.
const MESSAGE_LIMIT: usize = 512;

/// Why a GatewayRoute can't be stepped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Unusable {
    /// The reason in a word, for conditions.
    pub reason: &'static str,
    /// The same in a sentence, with the remedy.
    pub message: String,
}

impl Unusable {
    fn new(reason: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { reason, message }
    }
}

impl From<Result<RouteView, Unusable>> for RouteState {
    fn from(view: Result<RouteView, Unusable>) -> Self {
        match view {
            Ok(view) => Self::Present(Arc::new(view)),
            Err(Unusable { reason, message }) => Self::Unusable { reason, message },
        }
    }
}

/// The view of a whole GatewayRoute as the API server shows it.
pub fn view(object: &Value) -> Result<RouteView, Unusable> {
    let action = action(object)?;
    let list = list(object, &action)?;
    let entries = entries(object.pointer(&list))?;
    let annotations = object.pointer("/metadata/annotations").and_then(Value::as_object);
    Ok(RouteView {
        uid: text(object, "/metadata/uid"),
        resource_version: text(object, "/metadata/resourceVersion"),
        writer: writer(object, &list),
        list,
        name_field: NAME_FIELD,
        entries,
        stamps: annotations.map(stamps).unwrap_or_default(),
        annotated: annotations.is_some(),
        in_effect: in_effect(object),
    })
}

/// The JSON pointer of the action of the route's only block.
pub(super) fn action(object: &Value) -> Result<String, Unusable> {
    let spec = object.get("spec");
    let parents = [("/spec", spec), ("/spec/routeSpec", spec.and_then(|spec| spec.get("routeSpec")))];
    let found: Vec<String> = parents
        .into_iter()
        .filter_map(|(path, parent)| Some((path, parent?)))
        .flat_map(|(path, parent)| {
            let stands = move |block: &&str| parent.get(*block).is_some_and(|block| !block.is_null());
            BLOCKS.into_iter().filter(stands).map(move |block| format!("{path}/{block}"))
        })
        .collect();
    match found.as_slice() {
        [] => Err(Unusable::new(
            "NoRoute",
            "it has no httpRoute, http2Route or grpcRoute; exactly one must stand under spec or spec.routeSpec",
        )),
        [block] => Ok(format!("{block}/action")),
        several => {
            let several = several.join(", ");
            Err(Unusable::new(
                "SeveralRoutes",
                format!("it has several routes ({several}); exactly one must remain"),
            ))
        }
    }
}

/// The JSON pointer of the only weighted list below an action.
fn list(object: &Value, action: &str) -> Result<String, Unusable> {
    let lists = LISTS.map(|name| format!("{action}/{name}"));
    let found: Vec<&String> = lists.iter().filter(|list| present(object, list)).collect();
    let lone = object.pointer(&format!("{action}/target")).filter(|target| !target.is_null());
    match (found.as_slice(), lone) {
        ([list], None) => Ok((*list).clone()),
        ([], Some(target)) => Err(lone_target(target)),
        ([], None) => Err(Unusable::new(
            "NoWeights",
            format!("it has no weightedTargets at {action}; a canary needs them"),
        )),
        _ => Err(Unusable::new(
            "SeveralLists",
            format!(
                "it has more than one of target, weightedTargets and targets at {action}; one must remain"
            ),
        )),
    }
}

/// The refusal of a route with one target, with the list to paste.
fn lone_target(target: &Value) -> Unusable {
    let install = "the GatewayRoute CRD of Tidegate must be installed, since AWS's own has no weights";
    let Some(list) = weighted_list(target) else {
        return Unusable::new(
            "NoWeights",
            format!(
                "it has a single target that names no VirtualService by virtualServiceRef; a canary needs \
                 weightedTargets whose entries do, and {install}"
            ),
        );
    };
    Unusable::new(
        "NoWeights",
        format!(
            "it has a single target, which can only be switched all at once; a canary needs weightedTargets: \
             replace action.target by weightedTargets: {list}; {install}"
        ),
    )
}

/// A lone target as a weighted list with all the weight on it, where it names a VirtualService.
pub(super) fn weighted_list(target: &Value) -> Option<Value> {
    let reference =
        target.pointer("/virtualService/virtualServiceRef").or_else(|| target.get("virtualServiceRef"))?;
    reference.get("name")?.as_str()?;
    let mut entry = Map::new();
    entry.insert("virtualServiceRef".into(), reference.clone());
    if let Some(port) = target.get("port") {
        entry.insert("port".into(), port.clone());
    }
    entry.insert("weight".into(), json!(100));
    Some(json!([entry]))
}

pub(super) fn entries(list: Option<&Value>) -> Result<Vec<EntrySeen>, Unusable> {
    let Some(list) = list.and_then(Value::as_array) else {
        return Err(Unusable::new("BadEntry", "its weighted targets are not a list"));
    };
    if list.is_empty() {
        return Err(Unusable::new(
            "EmptyList",
            "its list of weighted targets is empty; it must name at least the stable target",
        ));
    }
    let mut entries: Vec<EntrySeen> = Vec::with_capacity(list.len());
    for (index, raw) in list.iter().enumerate() {
        let entry = entry(index, raw)?;
        let twice = |other: &EntrySeen| other.name == entry.name && other.port == entry.port;
        if entries.iter().any(twice) {
            return Err(Unusable::new(
                "DuplicateEntry",
                format!("its weighted targets name {} more than once; one entry must remain", entry.name),
            ));
        }
        entries.push(entry);
    }
    Ok(entries)
}

fn entry(index: usize, raw: &Value) -> Result<EntrySeen, Unusable> {
    let by_arn = ["/virtualServiceARN", "/virtualService/virtualServiceARN"];
    if by_arn.iter().any(|pointer| present(raw, pointer)) {
        return Err(Unusable::new(
            "EntryByARN",
            format!("its weighted target {index} names a VirtualService by ARN; use virtualServiceRef"),
        ));
    }
    let name = raw.pointer(NAME_FIELD).and_then(Value::as_str).filter(|name| !name.is_empty());
    let Some(name) = name else {
        return Err(Unusable::new(
            "BadEntry",
            format!("its weighted target {index} has no virtualServiceRef.name"),
        ));
    };
    let number = |field: &'static str| match raw.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value
            .as_i64()
            .filter(|number| (0..=i64::from(i32::MAX)).contains(number))
            .map(Some)
            .ok_or_else(|| {
                Unusable::new(
                    "BadEntry",
                    format!("the {field} of its weighted target {name} is not a number from 0 to 2147483647"),
                )
            }),
    };
    Ok(EntrySeen {
        name: name.to_owned(),
        port: number("port")?.and_then(|port| i32::try_from(port).ok()),
        weight: number("weight")?.unwrap_or(0),
        raw: raw.clone(),
    })
}

fn stamps(annotations: &Map<String, Value>) -> BTreeMap<String, String> {
    annotations
        .iter()
        .filter_map(|(key, value)| {
            Some((key.strip_prefix(STAMP_PREFIX)?.to_owned(), value.as_str()?.to_owned()))
        })
        .collect()
}

/// What the status says: the condition `Programmed` of whoever serves the dialect, else AWS's own.
fn in_effect(object: &Value) -> InEffect {
    let generation = object.pointer("/metadata/generation").and_then(Value::as_i64);
    let overall = object.pointer("/status/observedGeneration").and_then(Value::as_i64);
    if let Some(condition) = condition(object, "Programmed") {
        let observed = condition.get("observedGeneration").and_then(Value::as_i64).or(overall);
        return match observed {
            Some(_) if observed == generation => judged(condition),
            Some(observed) => InEffect::No(format!(
                "its newest generation has not been taken up by the data plane yet, which is still at generation \
                 {observed}"
            )),
            None => InEffect::No("its condition Programmed does not say which generation it is about".into()),
        };
    }
    let Some(condition) = condition(object, "GatewayRouteActive") else {
        return InEffect::Unreported;
    };
    if overall.is_some() && overall == generation {
        return judged(condition);
    }
    InEffect::No(
        "the App Mesh controller has not taken its newest generation up: it may be gone, for AWS has ended App Mesh"
            .into(),
    )
}

/// What a condition says about the present generation.
fn judged(condition: &Value) -> InEffect {
    let field = |name: &str| condition.get(name).and_then(Value::as_str).unwrap_or_default();
    if field("status") == "True" {
        return InEffect::Yes;
    }
    let told = [field("message"), field("reason")].into_iter().find(|told| !told.is_empty());
    InEffect::No(match told {
        Some(told) => told[..told.floor_char_boundary(MESSAGE_LIMIT)].to_owned(),
        None => format!("its condition {} is not True", field("type")),
    })
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    let conditions = object.pointer("/status/conditions")?.as_array()?;
    conditions.iter().find(|condition| condition.get("type").and_then(Value::as_str) == Some(kind))
}

/// The manager that owns the list: of several, the one that wrote last.
fn writer(object: &Value, list: &str) -> Option<String> {
    let managers = object.pointer("/metadata/managedFields")?.as_array()?;
    let path = list.replace('/', "/f:");
    managers
        .iter()
        .filter(|manager| manager.get("fieldsV1").is_some_and(|fields| fields.pointer(&path).is_some()))
        .max_by_key(|manager| manager.get("time")?.as_str()?.parse::<Timestamp>().ok())
        .and_then(|manager| manager.get("manager")?.as_str())
        .map(str::to_owned)
}

fn present(object: &Value, pointer: &str) -> bool {
    object.pointer(pointer).is_some_and(|value| !value.is_null())
}

fn text(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}
