//! The whole controller against an API server over HTTP: the sandbox's own by default, the one that
//! `TIDEGATE_TEST_KUBECONFIG` names where that is set.
//!
//! Every test has a namespace, routes, workloads and metrics of its own, and waits for conditions, never for time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::large_futures, missing_docs)]

mod access;
#[path = "../support/audit.rs"]
mod audit;
mod bad_input;
mod blue_green;
mod call;
mod chaos;
mod cluster;
mod crashes;
mod crds;
mod drift;
mod faults;
mod gitops;
mod history;
mod hold;
mod installation;
mod kinds;
mod leading;
mod lists;
mod metrics;
mod mirrors;
mod objects;
mod outcome;
mod outside;
mod own_metrics;
mod parts;
mod people;
mod permissions;
mod plugin;
mod proxy;
mod rollouts;
mod running;
mod secrets;
mod server;
mod sharing;
mod sieve;
#[path = "../support/skip.rs"]
mod skip;
mod stamps;
mod templates;
mod tenants;
mod told;
mod traps;
mod upgrade;
#[path = "../support/waiting.rs"]
mod waiting;
mod workloads;
