//! The Helm chart: what it renders, and what comes of that on a real control plane.
//!
//! ```console
//! $ cargo test --test chart                      # what needs Helm alone
//! $ tests/cluster/run cargo test --test chart    # and the rest
//! $ TIDEGATE_ACCEPT=1 cargo test --test chart    # writes tests/chart/golden anew
//! ```

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::large_futures, missing_docs)]

mod admission;
#[path = "../support/audit.rs"]
#[expect(dead_code, reason = "other tests need more of it")]
mod audit;
mod backend;
#[path = "../support/certificates.rs"]
mod certificates;
mod cluster;
mod envoys;
mod example;
mod files;
mod gateway;
mod golden;
#[path = "../support/granted.rs"]
mod granted;
mod helm;
mod install;
mod permissions;
mod played;
mod pod;
#[path = "../support/ports.rs"]
mod ports;
#[path = "../support/program.rs"]
mod program;
mod rollout;
#[path = "../support/skip.rs"]
mod skip;
mod values;
#[path = "../support/waiting.rs"]
#[expect(dead_code, reason = "other tests need more of it")]
mod waiting;
