//! The routes that Rollouts name: whether they can be stepped, and by one Rollout alone.

use serde_json::Value;

use super::{
    finding::{Fault, Report},
    objects::{Found, Object, Objects},
    references,
};
use crate::{
    api::{RolloutSpec, RolloutStatus, RouteRef},
    engine::{
        self,
        observed::{RouteSeen, RouteState},
    },
    routes,
};

/// The routes of a Rollout that are among the files and can be stepped, each as a whole; the others are found.
pub(super) fn of(
    object: &Object,
    spec: &RolloutSpec,
    objects: &Objects,
    faults: &mut Vec<Fault>,
) -> Vec<RouteSeen> {
    let nothing = RolloutStatus::default();
    let mut usable = Vec::new();
    for route in engine::routes(spec, &nothing) {
        let at = spec.routes.iter().position(|named| named.same(&route)).unwrap_or_default();
        let field = format!("spec.routes[{at}]");
        let found = match objects.route(object, route.kind, &route.name) {
            Found::Object(found) => found,
            absent @ (Found::Others | Found::None) => {
                faults.extend(references::absent(absent, &route.to_string(), &field));
                continue;
            }
        };
        // What its own schema refuses is told of it already.
        if !found.sound {
            continue;
        }
        let whole = routes::state(route.kind, &plain(&found.value));
        match engine::select(spec, &nothing, &route, whole.clone()) {
            RouteState::Present(_) => usable.push(RouteSeen { route, state: whole }),
            RouteState::Unusable { message, .. } => {
                faults.push(Fault::error(field, format!("{route} ({}): {message}", found.place)));
            }
            RouteState::Missing | RouteState::Unreadable(_) | RouteState::Refused(_) => {}
        }
    }
    usable
}

/// A route as it is when it is created: what controllers have noted on it since is of another cluster perhaps.
fn plain(object: &Value) -> Value {
    let mut object = object.clone();
    for (parent, field) in [("/metadata", "annotations"), ("", "status")] {
        if let Some(parent) = object.pointer_mut(parent).and_then(Value::as_object_mut) {
            parent.remove(field);
        }
    }
    object
}

/// What a Rollout steps of a route.
struct Claim<'a> {
    of: &'a Object,
    field: String,
    route: RouteRef,
    /// Its rules, by what tells them apart; none where any may be stepped.
    rules: Option<Vec<Option<String>>>,
}

/// Finds the rules that two Rollouts step.
pub(super) fn contested(objects: &Objects, report: &mut Report) {
    let mut claims: Vec<Claim<'_>> = Vec::new();
    for object in &objects.all {
        let Some(spec) = &object.rollout else { continue };
        for claim in claims_of(object, spec, objects) {
            if let Some(other) = claims.iter().find(|other| clash(other, &claim)) {
                let message = format!(
                    "{}{} is stepped by the Rollout {} ({}) too; a rule has one Rollout, so take it out of one of them",
                    claim.route,
                    told(&claim, other),
                    other.of.name,
                    other.of.place
                );
                report.add(&object.place, Some(object.told()), Fault::error(claim.field.clone(), message));
            }
            claims.push(claim);
        }
    }
}

fn claims_of<'a>(object: &'a Object, spec: &RolloutSpec, objects: &Objects) -> Vec<Claim<'a>> {
    let seen = of(object, spec, objects, &mut Vec::new());
    let nothing = RolloutStatus::default();
    let claim = |route: RouteRef| {
        let at = spec.routes.iter().position(|named| named.same(&route)).unwrap_or_default();
        let whole = seen.iter().find(|seen| seen.route.same(&route)).map(|seen| seen.state.clone());
        let selected = whole.map(|whole| engine::select(spec, &nothing, &route, whole));
        let named = || {
            let rules = spec.routes.iter().filter(|named| named.same(&route)).map(|named| named.rule.clone());
            Some(rules.collect::<Vec<_>>()).filter(|rules| rules.iter().all(Option::is_some))
        };
        let rules = match selected {
            Some(RouteState::Present(view)) => {
                Some(view.lists.iter().map(|list| list.rule.clone()).collect())
            }
            Some(
                RouteState::Missing
                | RouteState::Unusable { .. }
                | RouteState::Unreadable(_)
                | RouteState::Refused(_),
            )
            | None => named(),
        };
        Claim { of: object, field: format!("spec.routes[{at}]"), route, rules }
    };
    engine::routes(spec, &nothing).into_iter().map(claim).collect()
}

fn clash(one: &Claim<'_>, other: &Claim<'_>) -> bool {
    let namespace = |claim: &Claim<'_>| claim.of.namespace.clone();
    let (here, there) = (namespace(one), namespace(other));
    let near = here == there || here.is_empty() || there.is_empty();
    // The same Rollout twice is told as that.
    let apart = one.of.name != other.of.name;
    apart && near && one.route.same(&other.route) && !common(one, other).is_some_and(|rules| rules.is_empty())
}

/// The rules that both step; none where that is not known.
fn common(one: &Claim<'_>, other: &Claim<'_>) -> Option<Vec<Option<String>>> {
    let (one, other) = (one.rules.as_ref()?, other.rules.as_ref()?);
    Some(one.iter().filter(|rule| other.contains(rule)).cloned().collect())
}

fn told(one: &Claim<'_>, other: &Claim<'_>) -> String {
    let rules = common(one, other).unwrap_or_default().into_iter().flatten();
    let named: Vec<String> = rules.filter(|rule| !rule.starts_with('#')).collect();
    if named.is_empty() { String::new() } else { format!(" (rule {})", named.join(", ")) }
}
