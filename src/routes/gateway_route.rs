//! A GatewayRoute as the engine sees it. Pure.
//!
//! The weighted list stands in one of twelve places: in an `httpRoute`, `http2Route` or `grpcRoute`, directly under
//! `spec` or under `spec.routeSpec`, as `weightedTargets` or as `targets`. Whatever can't be stepped without doubt
//! is refused with a sentence that names the remedy; nothing is guessed.

use serde_json::{Map, Value, json};

use super::object::{self, Spelling, Unusable, present};
use crate::engine::observed::{ListSeen, RouteView};

#[cfg(test)]
mod tests;

const BLOCKS: [&str; 3] = ["httpRoute", "http2Route", "grpcRoute"];
const LISTS: [&str; 2] = ["weightedTargets", "targets"];

/// How its entries are spelled.
pub(super) const SPELLING: Spelling = Spelling {
    entry: "weighted target",
    name: "/virtualServiceRef/name",
    arns: &["/virtualServiceARN", "/virtualService/virtualServiceARN"],
    weight: 0,
};

/// The view of a whole GatewayRoute as the API server shows it.
pub fn view(object: &Value) -> Result<RouteView, Unusable> {
    let action = action(object)?;
    let path = list(object, &action)?;
    let namespace = object::text(object, "/metadata/namespace");
    let entries = object::entries(object.pointer(&path), &SPELLING, &namespace)?;
    let list =
        ListSeen { path: path.clone(), rule: None, told: None, rule_field: None, entries, unusable: None };
    let in_effect = object::app_mesh_in_effect(object, "GatewayRouteActive");
    Ok(object::view(object, &SPELLING, vec![list], &path, in_effect))
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
