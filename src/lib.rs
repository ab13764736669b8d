//! Tidegate: progressive delivery for Kubernetes.
//!
//! A `Rollout` kept in Git says which version of a service should be live. The controller steps the weighted
//! targets of the routes in front of it, judges every step by error and latency metrics, and puts all traffic
//! back on the stable version as soon as the evidence says so.
//!
//! The modules form an arrow, and `tests/layers.rs` refuses an import against it:
//!
//! ```text
//! analysis ← api ← engine ← routes | metrics | gates | workloads | notify ← controller ← bin
//!       api, config ← outbound ← metrics | gates | notify
//!          engine, routes, metrics ← trial ← bin
//!  api, engine, routes, metrics, schema ← kubectl ← bin
//!                   dataplane, schema ← sandbox ← demo ← bench ← bin
//! ```
//!
//! What stands to the right of `sandbox` comes with the feature of that name, and `kubectl` with the feature `plugin`: both
//! are on by default, and a controller for a cluster does without them.
//!
//! Start reading at [`engine`]: it is pure, and every decision the product can take is taken there.

pub mod analysis;
pub mod api;
#[cfg(feature = "sandbox")]
pub mod bench;
pub mod cli;
pub mod client;
pub mod clock;
pub mod columns;
#[cfg(any(feature = "sandbox", feature = "gateway"))]
pub mod conditions;
pub mod config;
pub mod controller;
pub mod dataplane;
#[cfg(feature = "sandbox")]
pub mod demo;
pub mod engine;
pub mod gates;
#[cfg(feature = "gateway")]
pub mod gateway;
#[cfg(feature = "plugin")]
pub mod kubectl;
pub mod lease;
pub mod metrics;
pub mod notify;
#[cfg(any(feature = "sandbox", feature = "gateway"))]
pub mod objects;
pub mod outbound;
pub mod routes;
#[cfg(feature = "sandbox")]
pub mod sandbox;
#[cfg(any(feature = "sandbox", feature = "plugin"))]
pub mod schema;
pub mod shards;
pub mod telemetry;
#[cfg(any(feature = "sandbox", feature = "plugin"))]
pub mod terminal;
pub mod trial;
pub mod workloads;
#[cfg(feature = "gateway")]
pub mod xds;
