//! The routes: how each kind is read and written. All that differs between kinds is in the kind's own file.
//!
//! Nothing is decided here. A view is plain data for the engine; a write carries its preconditions and is sent once.

mod apply;
mod apply_preview;
mod dialect;
mod gateway_api;
mod gateway_route;
mod mirror;
mod object;
mod packed;
pub mod patch;
pub mod preview;
#[cfg(test)]
mod scripted;
mod virtual_router;

pub use apply::{ApplyError, Failure, apply, forbidden, told, told_by, without_body};
pub use apply_preview::apply_preview;
pub use dialect::{Dialect, ProbeError, probe_dialect};
use kube::discovery::ApiResource;
use object::Spelling;
pub use object::Unusable;
pub use packed::Packed;
use serde_json::Value;

use crate::{
    api::RouteKind,
    engine::observed::{RouteState, RouteView},
};

/// Our name in `managedFields`. Routes are always patched under it, and never applied: an Apply manager would own
/// whole lists and so shut GitOps tools out.
pub const FIELD_MANAGER: &str = "tidegate";

/// Where a kind of route is served.
pub fn resource(kind: RouteKind) -> ApiResource {
    let (version, plural) = match kind {
        RouteKind::GatewayRoute => ("v1beta2", "gatewayroutes"),
        RouteKind::VirtualRouter => ("v1beta2", "virtualrouters"),
        RouteKind::HttpRoute => ("v1", "httproutes"),
        RouteKind::GrpcRoute => ("v1", "grpcroutes"),
    };
    let group = kind.group().word();
    ApiResource {
        group: group.into(),
        version: version.into(),
        api_version: format!("{group}/{version}"),
        kind: kind.word().into(),
        plural: plural.into(),
    }
}

/// The view of a whole route as the API server shows it.
pub fn view(kind: RouteKind, object: &Value) -> Result<RouteView, Unusable> {
    match kind {
        RouteKind::GatewayRoute => gateway_route::view(object),
        RouteKind::VirtualRouter => virtual_router::view(object),
        RouteKind::HttpRoute | RouteKind::GrpcRoute => gateway_api::view(kind, object),
    }
}

/// How a kind spells the entries of its lists.
const fn spelling(kind: RouteKind) -> Spelling {
    match kind {
        RouteKind::GatewayRoute => gateway_route::SPELLING,
        RouteKind::VirtualRouter => virtual_router::SPELLING,
        RouteKind::HttpRoute | RouteKind::GrpcRoute => gateway_api::SPELLING,
    }
}

/// All that needs to be kept of a route that was seen; the object itself can be dropped.
pub fn state(kind: RouteKind, object: &Value) -> RouteState {
    view(kind, object).into()
}
