//! A stock Envoy that is given the plan of a gateway, or of a node, by discovery, and what it does with requests.
//!
//! `TIDEGATE_ENVOY` names Envoy's program where it is not on PATH.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![allow(clippy::needless_pass_by_value, reason = "the cases are JSON literals")]

mod agreement;
#[path = "../support/beside.rs"]
mod beside;
#[path = "../support/certificates.rs"]
mod certificates;
mod gateway;
mod intercepted;
mod mirrors;
#[path = "../support/ports.rs"]
mod ports;
#[path = "../support/program.rs"]
mod program;
mod served;
mod sidecars;
#[path = "../support/skip.rs"]
mod skip;
#[path = "../support/waiting.rs"]
#[expect(dead_code, reason = "other tests need more of it")]
mod waiting;
mod weights;
