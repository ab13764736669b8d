//! The routes: how each kind is read and written. All that differs between kinds is in the kind's own file.
//!
//! Nothing is decided here. A view is plain data for the engine; a write carries its preconditions and is sent once.

mod apply;
mod dialect;
pub mod gateway_route;
mod packed;
pub mod patch;
#[cfg(test)]
mod scripted;

pub use apply::{ApplyError, Failure, apply, forbidden, without_body};
pub use dialect::{Dialect, ProbeError, probe_dialect};
pub use gateway_route::Unusable;
use kube::discovery::ApiResource;
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
    match kind {
        RouteKind::GatewayRoute => ApiResource {
            group: "appmesh.k8s.aws".into(),
            version: "v1beta2".into(),
            api_version: "appmesh.k8s.aws/v1beta2".into(),
            kind: "GatewayRoute".into(),
            plural: "gatewayroutes".into(),
        },
    }
}

/// The view of a whole route as the API server shows it.
pub fn view(kind: RouteKind, object: &Value) -> Result<RouteView, Unusable> {
    match kind {
        RouteKind::GatewayRoute => gateway_route::view(object),
    }
}

/// All that needs to be kept of a route that was seen; the object itself can be dropped.
pub fn state(kind: RouteKind, object: &Value) -> RouteState {
    view(kind, object).into()
}
