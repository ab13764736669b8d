//! An HTTPRoute or a GRPCRoute as the engine sees it: each of its rules has a weighted list of backends. Pure.

use serde_json::Value;

use super::object::{self, Spelling, Unusable};
use crate::{
    api::RouteKind,
    engine::observed::{InEffect, RouteView},
};

#[cfg(test)]
mod tests;

const RULES: &str = "/spec/rules";

/// How its entries are spelled. A backend without a weight has 1, as the others count theirs.
pub(super) const SPELLING: Spelling = Spelling { entry: "backendRef", name: "/name", arns: &[], weight: 1 };

/// The view of a whole route as the API server shows it.
pub fn view(kind: RouteKind, object: &Value) -> Result<RouteView, Unusable> {
    let lists = object::rules(object, RULES, kind, |rule| {
        let backends = rule.get("backendRefs").and_then(Value::as_array);
        // A rule that redirects has none, and is nobody's to step.
        Ok(backends.filter(|backends| !backends.is_empty()).map(|_| "/backendRefs".to_owned()))
    });
    if lists.is_empty() {
        return Err(Unusable::new(
            "NoWeights",
            "none of its rules has backendRefs; a canary needs one that does",
        ));
    }
    Ok(object::view(object, &SPELLING, lists, RULES, in_effect(object)))
}

/// What the parents say of the present generation. Only those count that the route still names: what an implementation
/// reported to one that it has left stays there for a while. So does what another implementation reported before the
/// present one took the parent over. A condition that does not say which generation it is about says nothing.
fn in_effect(object: &Value) -> InEffect {
    let generation = object::value_at(object, "/metadata/generation").and_then(Value::as_i64);
    let mut reported = false;
    for named in parents(object, "/spec/parentRefs") {
        let of_parent =
            |told: &&Value| told.get("parentRef").is_some_and(|reference| is_same(named, reference));
        let told: Vec<InEffect> = parents(object, "/status/parents")
            .iter()
            .filter(of_parent)
            .filter_map(|told| said(told, &object::text(named, "/name"), generation))
            .collect();
        reported |= !told.is_empty();
        let holds = told.contains(&InEffect::Yes);
        let refuses = told.into_iter().find(|told| matches!(told, InEffect::No(_)));
        if let Some(why) = refuses.filter(|_| !holds) {
            return why;
        }
    }
    if reported { InEffect::Yes } else { InEffect::Unreported }
}

/// What one implementation says of a parent; none where it says nothing that counts.
fn said(told: &Value, gateway: &str, generation: Option<i64>) -> Option<InEffect> {
    let mut said = None;
    for kind in ["Accepted", "ResolvedRefs"] {
        let Some(condition) = object::condition(told.get("conditions"), kind) else { continue };
        let Some(observed) = condition.get("observedGeneration").and_then(Value::as_i64) else { continue };
        if Some(observed) != generation {
            return Some(InEffect::No(format!(
                "its parent {gateway} has not taken its newest generation up: {kind} is about an older one"
            )));
        }
        if let InEffect::No(why) = object::judged(condition) {
            return Some(InEffect::No(format!("its parent {gateway} says {kind} is not True: {why}")));
        }
        said = Some(InEffect::Yes);
    }
    // Where it has not left the invalid rules out, an older generation is still served in their place. Whichever it is, its
    // message begins with it.
    let partial = object::condition(told.get("conditions"), "PartiallyInvalid").filter(|partial| {
        let observed = partial.get("observedGeneration").and_then(Value::as_i64);
        let applies = object::text(partial, "/status") == "True" && observed == generation;
        applies && !object::text(partial, "/message").starts_with("Dropped Rule")
    });
    partial.map_or(said, |partial| {
        let why = object::reason_of(partial);
        Some(InEffect::No(format!(
            "its parent {gateway} has taken only a part of its newest generation up: {why}"
        )))
    })
}

fn parents<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object::value_at(object, pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Whether two references name the same parent. What is left out of one has its default in the other.
fn is_same(one: &Value, other: &Value) -> bool {
    let fields = ["/name", "/namespace", "/sectionName", "/kind"];
    let with_default = |reference: &Value, field: &str| match (field, object::text(reference, field)) {
        ("/kind", kind) if kind.is_empty() => "Gateway".to_owned(),
        (_, text) => text,
    };
    let alike = |field: &&str| {
        let (one, other) = (with_default(one, field), with_default(other, field));
        // A namespace that is left out is the route's own, which the status may spell out.
        one == other || (**field == *"/namespace" && (one.is_empty() || other.is_empty()))
    };
    fields.iter().all(alike) && one.get("port") == other.get("port")
}
