//! What all kinds of route have in common: stamps, who wrote the weights, conditions, weighted entries. Pure.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use serde_json::Value;

use super::{mirror, spelling};
use crate::{
    api::{RouteKind, STAMP_PREFIX, fnv1a},
    engine::observed::{EntrySeen, InEffect, ListSeen, RouteState, RouteView},
};

/// Other people's messages go into our status; this many bytes of one are enough.
const MESSAGE_LIMIT: usize = 512;

/// Why a route can't be stepped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Unusable {
    /// The reason in a word, for conditions.
    pub reason: &'static str,
    /// The same in a sentence, with the remedy.
    pub message: String,
}

impl Unusable {
    pub(super) fn new(reason: &'static str, message: impl Into<String>) -> Self {
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

/// How a kind spells the entries of its weighted lists.
pub(super) struct Spelling {
    /// What sentences call an entry.
    pub entry: &'static str,
    /// The JSON pointer of the target's name within an entry.
    pub name: &'static str,
    /// The pointers of names that can't be found in the cluster, and what to use instead.
    pub arns: &'static [&'static str],
    /// The weight of an entry that has none written.
    pub weight: i64,
}

/// The view of an object, all its weighted lists in it.
pub(super) fn view(
    object: &Value,
    spelling: &Spelling,
    lists: Vec<ListSeen>,
    owned: &str,
    in_effect: InEffect,
) -> RouteView {
    let annotations = value_at(object, "/metadata/annotations").and_then(Value::as_object);
    let stamp = |(key, value): (&String, &Value)| {
        Some((key.strip_prefix(STAMP_PREFIX)?.to_owned(), value.as_str()?.to_owned().into()))
    };
    RouteView {
        uid: text(object, "/metadata/uid"),
        resource_version: text(object, "/metadata/resourceVersion"),
        lists,
        beside: Vec::new(),
        gone: Vec::new(),
        name_field: spelling.name,
        called: Vec::new(),
        stamps: annotations
            .map(|all| all.iter().filter_map(stamp).collect::<BTreeMap<_, _>>())
            .unwrap_or_default(),
        deleting: present(object, "/metadata/deletionTimestamp"),
        annotated: annotations.is_some(),
        no_preview: None,
        in_effect,
        writer: writer(object, owned),
    }
}

/// The lists of an object's rules. A rule's list is where `list` says; one without any is none.
pub(super) fn rules(
    object: &Value,
    rules: &str,
    kind: RouteKind,
    list: impl Fn(&Value) -> Result<Option<String>, Unusable>,
) -> Vec<ListSeen> {
    let spelling = &spelling(kind);
    let all = value_at(object, rules).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let namespace = text(object, "/metadata/namespace");
    let mut lists: Vec<ListSeen> = Vec::with_capacity(all.len());
    for (at, rule) in all.iter().enumerate() {
        let below = list(rule);
        let name = rule.get("name").and_then(Value::as_str).filter(|name| !name.is_empty());
        let told = name.map_or_else(|| format!("#{}", at + 1), str::to_owned);
        let (path, found) = match &below {
            Ok(Some(below)) => {
                (format!("{rules}/{at}{below}"), entries(value_at(rule, below), spelling, &namespace))
            }
            Ok(None) => continue,
            Err(unusable) => (format!("{rules}/{at}"), Err(unusable.clone())),
        };
        let (entries, unusable) = match found {
            Ok(entries) => (entries, None),
            Err(Unusable { reason, message }) => (vec![], Some((reason, format!("rule {told}: {message}")))),
        };
        let digest = || {
            let twins =
                |digest: &String| lists.iter().filter(|other| other.rule.as_ref() == Some(digest)).count();
            let digest = format!("#{:08x}", digest(rule, below.as_ref().ok().and_then(Option::as_deref)));
            let twins = twins(&digest);
            if twins == 0 { digest } else { format!("{digest}-{twins}") }
        };
        lists.push(ListSeen {
            path,
            rule: Some(name.map_or_else(digest, str::to_owned)),
            told: Some(told),
            rule_field: name.map(|_| format!("{rules}/{at}/name")),
            entries,
            unusable,
            lone: false,
            headers: header_names(rule),
            mirrors: mirror::mirrors(kind, Some(rule), &format!("{rules}/{at}"), &namespace),
        });
    }
    if all.len() == 1 {
        for list in &mut lists {
            list.told = None;
        }
    }
    lists
}

/// The headers that a rule's matches tell requests apart by.
fn header_names(rule: &Value) -> Vec<String> {
    let matches = rule.get("matches").and_then(Value::as_array).into_iter().flatten();
    let headers = matches.filter_map(|one| one.get("headers")?.as_array()).flatten();
    headers.filter_map(|header| header.get("name")?.as_str()).map(str::to_lowercase).collect()
}

/// A digest of all that a rule says besides its list and its mirrors: it stays the same wherever the rule stands, and
/// whatever it weighs and copies.
fn digest(rule: &Value, list: Option<&str>) -> u32 {
    let mut rest = rule.clone();
    if let Some(entries) = list.and_then(|list| rest.pointer_mut(list)) {
        *entries = Value::Null;
    }
    if let Some(rule) = rest.as_object_mut() {
        mirror::without(rule);
    }
    let digest = fnv1a(&rest.to_string());
    u32::try_from(digest >> 32).unwrap_or_default()
}

/// The entries of a weighted list.
pub(super) fn entries(
    list: Option<&Value>,
    spelling: &Spelling,
    namespace: &str,
) -> Result<Vec<EntrySeen>, Unusable> {
    let what = spelling.entry;
    let Some(list) = list.and_then(Value::as_array) else {
        return Err(Unusable::new("BadEntry", format!("its {what}s are not a list")));
    };
    if list.is_empty() {
        let message = format!("its list of {what}s is empty; it must name at least the stable target");
        return Err(Unusable::new("EmptyList", message));
    }
    let mut entries: Vec<EntrySeen> = Vec::with_capacity(list.len());
    for (index, raw) in list.iter().enumerate() {
        let entry = entry(index, raw, spelling, namespace)?;
        let twice = |other: &EntrySeen| other.name == entry.name && other.port == entry.port;
        if entries.iter().any(twice) {
            return Err(Unusable::new(
                "DuplicateEntry",
                format!("its {what}s name {} more than once; one entry must remain", entry.name),
            ));
        }
        entries.push(entry);
    }
    Ok(entries)
}

/// An entry, at its place in the list.
pub(super) fn entry(
    index: usize,
    raw: &Value,
    spelling: &Spelling,
    namespace: &str,
) -> Result<EntrySeen, Unusable> {
    let Spelling { entry: what, name: field, .. } = spelling;
    if spelling.arns.iter().any(|pointer| present(raw, pointer)) {
        let reference = field.trim_start_matches('/').split('/').next().unwrap_or_default();
        return Err(Unusable::new(
            "EntryByARN",
            format!("its {what} {index} names its target by ARN; use {reference}"),
        ));
    }
    let name = value_at(raw, field).and_then(Value::as_str).filter(|name| !name.is_empty());
    let Some(name) = name else {
        let field = field.trim_start_matches('/').replace('/', ".");
        return Err(Unusable::new("BadEntry", format!("its {what} {index} has no {field}")));
    };
    let number = |field: &'static str| match raw.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            value.as_i64().filter(|number| (0..=i64::from(i32::MAX)).contains(number)).map(Some).ok_or_else(
                || {
                    Unusable::new(
                        "BadEntry",
                        format!("the {field} of its {what} {name} is not a number from 0 to 2147483647"),
                    )
                },
            )
        }
    };
    let reference = spelling.name.rsplit_once('/').map_or("", |(parent, _)| parent);
    let elsewhere = text(raw, &format!("{reference}/namespace"));
    let kind = text(raw, &format!("{reference}/kind"));
    // What is another kind, or lives in another namespace, is no target of a Rollout, whatever it is called.
    let name = match (kind.as_str(), elsewhere.as_str()) {
        ("" | "Service", "") => name.to_owned(),
        ("" | "Service", there) if there == namespace => name.to_owned(),
        ("" | "Service", there) => format!("{there}/{name}"),
        (kind, "") => format!("{kind} {name}"),
        (kind, there) => format!("{kind} {there}/{name}"),
    };
    Ok(EntrySeen {
        name,
        port: number("port")?.and_then(|port| i32::try_from(port).ok()),
        weight: number("weight")?.unwrap_or(spelling.weight),
        raw: raw.clone().into(),
    })
}

/// What an App Mesh object's status says: the condition `Programmed` of whoever serves it here, else AWS's own, which is
/// about the generation that the status as a whole is about.
pub(super) fn app_mesh_in_effect(object: &Value, active: &str) -> InEffect {
    let generation = value_at(object, "/metadata/generation").and_then(Value::as_i64);
    let overall = value_at(object, "/status/observedGeneration").and_then(Value::as_i64);
    let conditions = value_at(object, "/status/conditions");
    if let Some(condition) = condition(conditions, "Programmed") {
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
    let Some(condition) = condition(conditions, active) else {
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
pub(super) fn judged(condition: &Value) -> InEffect {
    let field = |name: &str| condition.get(name).and_then(Value::as_str).unwrap_or_default();
    if field("status") == "True" { InEffect::Yes } else { InEffect::No(reason_of(condition)) }
}

/// The value at a JSON pointer of ours: none of them escapes anything, and to look for that is most of what the usual way
/// costs, for each token of each pointer of each route.
pub(super) fn value_at<'a>(value: &'a Value, pointer: &str) -> Option<&'a Value> {
    pointer.split('/').skip(1).try_fold(value, |value, token| match value {
        Value::Object(fields) => fields.get(token),
        Value::Array(items) => items.get(token.parse::<usize>().ok()?),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    })
}

/// Why a condition is as it is, in its own words.
pub(super) fn reason_of(condition: &Value) -> String {
    let field = |name: &str| condition.get(name).and_then(Value::as_str).unwrap_or_default();
    let told = [field("message"), field("reason")].into_iter().find(|told| !told.is_empty());
    match told {
        Some(told) => told[..told.floor_char_boundary(MESSAGE_LIMIT)].to_owned(),
        None => format!("its condition {} is {}", field("type"), field("status")),
    }
}

/// One of a list of conditions.
pub(super) fn condition<'a>(conditions: Option<&'a Value>, kind: &str) -> Option<&'a Value> {
    let conditions = conditions?.as_array()?;
    conditions.iter().find(|condition| condition.get("type").and_then(Value::as_str) == Some(kind))
}

/// The manager that owns what stands at a pointer: of several, the one that wrote last.
pub(super) fn writer(object: &Value, owned: &str) -> Option<String> {
    let managers = value_at(object, "/metadata/managedFields")?.as_array()?;
    let path = owned.replace('/', "/f:");
    managers
        .iter()
        .filter(|manager| manager.get("fieldsV1").is_some_and(|fields| value_at(fields, &path).is_some()))
        .max_by_key(|manager| manager.get("time")?.as_str()?.parse::<Timestamp>().ok())
        .and_then(|manager| manager.get("manager")?.as_str())
        .map(str::to_owned)
}

/// Whether something stands at a pointer.
pub(super) fn present(object: &Value, pointer: &str) -> bool {
    value_at(object, pointer).is_some_and(|value| !value.is_null())
}

/// The text at a pointer; empty where there is none.
pub(super) fn text(object: &Value, pointer: &str) -> String {
    value_at(object, pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}
