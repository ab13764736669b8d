//! Mirrors as the kinds of route spell them. Pure.
//!
//! A GatewayRoute has a list of nothing else, `requestMirrorPolicies` beside its action, in the words of its targets. An
//! HTTPRoute or GRPCRoute has filters of its rule, some of which mirror. A VirtualRouter has none.

use serde_json::{Map, Value, json};

use super::{
    gateway_api, gateway_route,
    object::{self, Spelling, text},
};
use crate::{
    api::RouteKind,
    engine::observed::{MirrorSeen, Mirrors},
};

#[cfg(test)]
mod tests;

/// What a filter that mirrors is called.
const FILTER: &str = "RequestMirror";
/// What a reference to a backend has of an entry.
const REFERENCE: [&str; 5] = ["group", "kind", "name", "namespace", "port"];

/// How a kind spells its mirrors.
struct Words {
    /// The field of the list, below the rule.
    list: &'static str,
    /// The JSON pointer of the reference within an element.
    reference: &'static str,
    /// The JSON pointer of the percentage within an element.
    percent: &'static str,
    /// How the reference names its target.
    target: Spelling,
}

/// How a kind spells its mirrors; none where it has none.
fn words(kind: RouteKind) -> Option<Words> {
    match kind {
        RouteKind::GatewayRoute => Some(Words {
            list: "requestMirrorPolicies",
            reference: "",
            percent: "/percent",
            target: gateway_route::SPELLING,
        }),
        RouteKind::HttpRoute | RouteKind::GrpcRoute => Some(Words {
            list: "filters",
            reference: "/requestMirror/backendRef",
            percent: "/requestMirror/percent",
            target: gateway_api::SPELLING,
        }),
        RouteKind::VirtualRouter => None,
    }
}

/// The mirrors of a rule; `at` is its JSON pointer. One that names its target in a way in which no target of ours is named
/// is nobody's concern.
pub(super) fn mirrors(kind: RouteKind, rule: Option<&Value>, at: &str, namespace: &str) -> Option<Mirrors> {
    let words = words(kind)?;
    let list = rule.and_then(|rule| rule.get(words.list)).and_then(Value::as_array);
    let entries = list.map(|list| seen(&words, list, namespace)).unwrap_or_default();
    let path = format!("{at}/{}", words.list);
    Some(Mirrors { path, length: list.map(Vec::len), entries, writer: None })
}

fn seen(words: &Words, list: &[Value], namespace: &str) -> Vec<MirrorSeen> {
    let one = |(index, raw): (usize, &Value)| {
        let entry = object::entry(index, raw.pointer(words.reference)?, &words.target, namespace).ok()?;
        Some(MirrorSeen {
            index,
            name: entry.name,
            port: entry.port,
            millionths: millionths(words, raw),
            raw: raw.clone().into(),
        })
    };
    list.iter().enumerate().filter_map(one).collect()
}

/// The mirrors that stood at these places of a list.
pub(super) fn placed(kind: RouteKind, placed: Vec<(usize, Value)>, namespace: &str) -> Vec<MirrorSeen> {
    let Some(words) = words(kind) else { return vec![] };
    let one = |(index, raw): (usize, Value)| {
        let found = seen(&words, std::slice::from_ref(&raw), namespace).pop()?;
        Some(MirrorSeen { index, ..found })
    };
    placed.into_iter().filter_map(one).collect()
}

/// How many requests an element copies, in millionths; all where it does not say.
fn millionths(words: &Words, raw: &Value) -> i64 {
    let number = |pointer: &str| raw.pointer(pointer).and_then(Value::as_i64);
    let percent = number(words.percent).map(|percent| percent.saturating_mul(10_000));
    let fraction = number("/requestMirror/fraction/numerator").map(|part| {
        part.saturating_mul(1_000_000) / number("/requestMirror/fraction/denominator").unwrap_or(100).max(1)
    });
    percent.or(fraction).unwrap_or(1_000_000)
}

/// An element that copies so many requests to a target: `like` is the target's entry of the weighted list, or stable's, whose
/// name and port are replaced. None where the entry has no place for a name.
pub(super) fn element(
    kind: RouteKind,
    like: &Value,
    name: &str,
    port: Option<i32>,
    percent: i64,
) -> Option<Value> {
    let words = words(kind)?;
    let mut reference = like.clone();
    *reference.pointer_mut(words.target.name)? = json!(name);
    let fields = reference.as_object_mut()?;
    if let Some(port) = port {
        fields.insert("port".into(), json!(port));
    }
    match kind {
        RouteKind::GatewayRoute => {
            fields.remove("weight");
            fields.insert("percent".into(), json!(percent));
            Some(reference)
        }
        RouteKind::HttpRoute | RouteKind::GrpcRoute => {
            fields.retain(|field, _| REFERENCE.contains(&field.as_str()));
            let mut mirror = json!({"backendRef": reference});
            if percent < 100 {
                // All are copied where nothing is said, which API servers understand that know no shares.
                mirror["percent"] = json!(percent);
            }
            Some(json!({"type": FILTER, "requestMirror": mirror}))
        }
        RouteKind::VirtualRouter => None,
    }
}

/// A rule without its mirrors: what it is besides them.
pub(super) fn without(rule: &mut Map<String, Value>) {
    let Some(filters) = rule.get_mut("filters").and_then(Value::as_array_mut) else { return };
    filters.retain(|filter| text(filter, "/type") != FILTER);
    if filters.is_empty() {
        rule.remove("filters");
    }
}
