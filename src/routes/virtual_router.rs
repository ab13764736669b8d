//! A VirtualRouter as the engine sees it: each of its routes has a weighted list of VirtualNodes. Pure.

use serde_json::Value;

use super::object::{self, Spelling, Unusable};
use crate::{api::RouteKind, engine::observed::RouteView};

#[cfg(test)]
mod tests;

const BLOCKS: [&str; 4] = ["httpRoute", "http2Route", "grpcRoute", "tcpRoute"];
const ROUTES: &str = "/spec/routes";

/// How its entries are spelled.
pub(super) const SPELLING: Spelling = Spelling {
    entry: "weighted target",
    name: "/virtualNodeRef/name",
    arns: &["/virtualNodeARN"],
    weight: 0,
};

/// Why no router of ours goes before one.
pub(super) const ALONE: &str = "a VirtualService has one VirtualRouter, beside which there is no place for another; name the route before it instead";

/// The view of a whole VirtualRouter as the API server shows it.
pub fn view(object: &Value) -> Result<RouteView, Unusable> {
    let lists = object::rules(object, ROUTES, RouteKind::VirtualRouter, |route| weighted(route).map(Some));
    if lists.is_empty() {
        return Err(Unusable::new("NoRoute", "it has no routes; a canary needs one with weightedTargets"));
    }
    let in_effect = object::app_mesh_in_effect(object, "VirtualRouterActive");
    Ok(RouteView { no_preview: Some(ALONE), ..object::view(object, &SPELLING, lists, ROUTES, in_effect) })
}

/// Where the list of a route stands, below the route.
fn weighted(route: &Value) -> Result<String, Unusable> {
    let stands = |block: &&str| route.get(*block).is_some_and(|block| !block.is_null());
    let found: Vec<&str> = BLOCKS.into_iter().filter(stands).collect();
    match found.as_slice() {
        [block] => Ok(format!("/{block}/action/weightedTargets")),
        [] => Err(Unusable::new("NoRoute", format!("it has none of {}; one must stand", BLOCKS.join(", ")))),
        several => {
            Err(Unusable::new("SeveralRoutes", format!("it has {}; one must remain", several.join(" and "))))
        }
    }
}
