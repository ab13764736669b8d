//! The routes of a gateway as one plain table. Pure: no I/O, no clock, no randomness, no Kubernetes client.
//!
//! [`compile`](compile()) turns `GatewayRoute` objects into a [`Table`], ordered as a gateway must try its routes; whatever
//! obeys the table (the sandbox's gateway, an Envoy fed from it) needs to know nothing of Kubernetes. An object
//! that cannot be compiled is left out alone, with its reason, and every other route is served.
//!
//! Two shapes are read. The flat one is AWS's (`spec.httpRoute`) and has AWS's defaults: the matched prefix is
//! rewritten to `/` and the host to the virtual service's name. The dialect (`spec.routeSpec.httpRoute`) keeps path
//! and host unless a rewrite is given, which is what its writers expect of it.

mod compile;
mod matching;
mod raw;
mod rewrite;
mod settings;
mod table;

pub use compile::{Compiled, GatewayRef, Reason, Rejected, compile};
pub use matching::{HeaderMatch, HeaderTest, HostMatch, Match, PathMatch, Pattern, QueryMatch, RequestParts};
pub use rewrite::{HostRewrite, PathRewrite, Rewrite};
pub use table::{Destination, Protocol, Retry, RetryOn, Route, Table, Timeout};
