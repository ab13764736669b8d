//! The routes of a gateway as one plain table. Pure: no I/O, no clock, no randomness, no Kubernetes client.
//!
//! [`compile`](compile()) turns objects of App Mesh and of the Gateway API into a [`Table`], ordered as a gateway must
//! try its routes; whatever obeys the table (the sandbox's gateway, an Envoy fed from it) needs to know nothing of
//! Kubernetes. An object that cannot be compiled is left out alone, with its reason, and so is a rule of an
//! `HTTPRoute` or `GRPCRoute` and a route of a `VirtualRouter`; everything else is served.
//!
//! A `GatewayRoute` is read in two shapes. The flat one is AWS's (`spec.httpRoute`) and has AWS's defaults: the matched
//! prefix is rewritten to `/` and the host to the virtual service's name. The dialect (`spec.routeSpec.httpRoute`)
//! keeps path and host unless a rewrite is given, which is what its writers expect of it. Its targets lead to the node
//! or through the router that provides the virtual service, as far as the `VirtualService` and `VirtualRouter` are
//! given.
//!
//! [`plan`](plan()) adds to the routes of a `VirtualGateway` what an Envoy needs besides: its listeners, and the clusters that the
//! `VirtualNode`s are. [`sidecar`] makes the same for the Envoys beside a `VirtualNode`'s pods, of the backends that it names.

mod compile;
mod lazy;
mod matching;
mod plan;
mod raw;
mod re2;
mod rewrite;
mod settings;
mod table;

pub use compile::{Compiled, GatewayRef, ObjectKind, ObjectRef, Reason, Rejected, compile};
#[cfg(feature = "sandbox")]
pub(crate) use matching::is_grpc;
pub use matching::{
    HeaderMatch, HeaderTest, HostMatch, Match, PathMatch, Pattern, PatternError, QueryMatch, QueryTest,
    RequestParts,
};
pub use plan::{
    Authorities, Certificate, ClientTls, Cluster, Endpoints, Entrance, HealthCheck, Inbound, Labels, Limits,
    Listener, Outliers, Plan, Planned, PlannedRoute, Probe, ServerTls, Trust, called, plan, sidecar,
};
pub use rewrite::{HeaderChanges, HostRewrite, PathRewrite, Rewrite};
pub use table::{Destination, Mirror, Protocol, Retry, RetryOn, Route, Table, Timeout};
