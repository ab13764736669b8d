//! A GatewayRoute as the engine sees it. Pure.
//!
//! The weighted list stands in one of twelve places: in an `httpRoute`, `http2Route` or `grpcRoute`, directly under
//! `spec` or under `spec.routeSpec`, as `weightedTargets` or as `targets`. Whatever can't be stepped without doubt
//! is refused with a sentence that names the remedy; nothing is guessed.

use serde_json::{Map, Value, json};

use super::{
    mirror,
    object::{self, Spelling, Unusable, entry, present},
};
use crate::{
    api::RouteKind,
    engine::observed::{EntrySeen, ListSeen, Mirrors, RouteView},
};

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

/// The same of a lone target as AWS's CRD has it.
const LONE: Spelling =
    Spelling { entry: "target", name: "/virtualService/virtualServiceRef/name", ..SPELLING };
/// The same in the dialect.
const LONE_DIALECT: Spelling = Spelling { entry: "target", ..SPELLING };

/// Why no route of ours goes before one of priority 0.
pub(super) const FIRST: &str =
    "its priority is 0, and nothing can go before that; give it a greater number, and those after it too";
/// Why no route of ours goes before one without a priority.
pub(super) const UNORDERED: &str = "it has no priority, and a preview would go before all other routes that have none, more \
                                    specific ones too; give it a priority, and those that go before it a smaller number";
/// The priority of a route that has none written: the last.
const LAST: i64 = 1000;

/// The view of a whole GatewayRoute as the API server shows it.
pub fn view(object: &Value) -> Result<RouteView, Unusable> {
    let action = action(object)?;
    let namespace = object::text(object, "/metadata/namespace");
    let (path, lone) = list(object, &action)?;
    let target = object::value_at(object, &path);
    let (spelling, entries, unusable) = if let Some(target) = target.filter(|_| lone) {
        let (spelling, entry) = lone_entry(target, &namespace)?;
        let Unusable { reason, message } = lone_target(target);
        (spelling, vec![entry], Some((reason, message)))
    } else {
        (SPELLING, object::entries(target, &SPELLING, &namespace)?, None)
    };
    let headers = header_names(object, &action);
    let block = action.trim_end_matches("/action");
    let rule = object::value_at(object, block);
    let mirrors = mirror::mirrors(RouteKind::GatewayRoute, rule, block, &namespace).filter(|_| !lone);
    let mirrors = mirrors.map(|mirrors| Mirrors {
        writer: mirrors.length.and_then(|_| object::writer(object, &mirrors.path)),
        ..mirrors
    });
    let list = ListSeen {
        path: path.clone(),
        rule: None,
        told: None,
        rule_field: None,
        entries,
        unusable,
        lone,
        headers,
        mirrors,
    };
    let in_effect = object::app_mesh_in_effect(object, "GatewayRouteActive");
    let mut view = object::view(object, &spelling, vec![list], &path, in_effect);
    view.no_preview = match object::value_at(object, priority_field(&action)).and_then(Value::as_i64) {
        Some(0) => Some(FIRST),
        Some(_) => None,
        None => Some(UNORDERED),
    };
    Ok(view)
}

/// The entry that a lone target stands for, and how it is spelled.
pub(super) fn lone_entry(target: &Value, namespace: &str) -> Result<(Spelling, EntrySeen), Unusable> {
    let spelling = if target.get("virtualService").is_some() { LONE } else { LONE_DIALECT };
    let mut entry = entry(0, target, &spelling, namespace).map_err(|_| lone_target(target))?;
    entry.weight = 100;
    Ok((spelling, entry))
}

/// Where a route has its priority, by the pointer of its action.
pub(super) fn priority_field(action: &str) -> &'static str {
    if action.starts_with("/spec/routeSpec/") { "/spec/routeSpec/priority" } else { "/spec/priority" }
}

/// The priority: the smaller number goes first.
pub(super) fn priority(object: &Value, action: &str) -> i64 {
    object::value_at(object, priority_field(action)).and_then(Value::as_i64).unwrap_or(LAST)
}

/// Where a route tells requests apart by headers, by the pointer of its action.
pub(super) fn headers_field(action: &str) -> String {
    let block = action.trim_end_matches("/action");
    let field = if block.ends_with("/grpcRoute") { "metadata" } else { "headers" };
    format!("{block}/match/{field}")
}

fn header_names(object: &Value, action: &str) -> Vec<String> {
    let headers = object::value_at(object, &headers_field(action)).and_then(Value::as_array);
    let names = headers.into_iter().flatten().filter_map(|header| header.get("name")?.as_str());
    names.map(str::to_lowercase).collect()
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

/// The JSON pointer of the only weighted list below an action, or of its lone target, and whether it is one.
pub(super) fn list(object: &Value, action: &str) -> Result<(String, bool), Unusable> {
    let lists = LISTS.map(|name| format!("{action}/{name}"));
    let found: Vec<&String> = lists.iter().filter(|list| present(object, list)).collect();
    let target = format!("{action}/target");
    match (found.as_slice(), present(object, &target)) {
        ([list], false) => Ok(((*list).clone(), false)),
        ([], true) => Ok((target, true)),
        ([], false) => Err(Unusable::new(
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
    let reference = object::value_at(target, "/virtualService/virtualServiceRef")
        .or_else(|| target.get("virtualServiceRef"))?;
    reference.get("name")?.as_str()?;
    let mut entry = Map::new();
    entry.insert("virtualServiceRef".into(), reference.clone());
    if let Some(port) = target.get("port") {
        entry.insert("port".into(), port.clone());
    }
    entry.insert("weight".into(), json!(100));
    Some(json!([entry]))
}
