//! The whole controller against an API server over HTTP: the sandbox's own by default.
//!
//! Every test has a namespace, routes, workloads and metrics of its own, and waits for conditions, never for time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod bad_input;
mod cluster;
mod crashes;
mod drift;
mod faults;
mod metrics;
mod rollouts;
