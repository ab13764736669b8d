//! Routes that take the same requests at the same priority: which of them is tried first nobody has said.

use crate::dataplane::table::Route;

/// For each route that can never be taken, because one of another object with the same tests comes before it, the place of that one.
/// `routes` are in the order in which they are tried.
pub(super) fn twins(routes: &[&Route]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for (place, route) in routes.iter().enumerate() {
        let before = routes.iter().take(place);
        if let Some(first) = before.clone().position(|before| is_twin(before, route)) {
            found.push((first, place));
        }
    }
    found
}

/// Routes of one object are in the order that it gives them.
fn is_twin(one: &Route, other: &Route) -> bool {
    (&one.namespace, &one.name) != (&other.namespace, &other.name)
        && one.priority == other.priority
        && one.matcher == other.matcher
        && one.onward == other.onward
}
