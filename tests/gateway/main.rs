//! The control plane of gateways and of nodes' own Envoys, whole: objects on an API server, Envoys that connect to it, and what the objects' statuses say.
//!
//! The API server is the sandbox's or, with `TIDEGATE_TEST_KUBECONFIG`, a real one (tests/cluster). The Envoys are simulated as
//! far as discovery goes; a stock one is in `tests/envoy`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![allow(clippy::needless_pass_by_value, reason = "the cases are JSON literals")]

#[path = "../support/audit.rs"]
#[expect(dead_code, reason = "other tests need more of it")]
mod audit;
mod bed;
#[path = "../support/certificates.rs"]
mod certificates;
#[path = "../controller/crds.rs"]
mod crds;
mod evidence;
#[path = "../controller/hold.rs"]
mod hold;
mod identity;
mod mistakes;
#[path = "../support/ports.rs"]
mod ports;
mod refusals;
#[path = "../controller/server.rs"]
#[expect(dead_code, reason = "the controller's tests need more of it")]
mod server;
mod sidecars;
#[path = "../support/skip.rs"]
mod skip;
#[path = "../support/waiting.rs"]
#[allow(dead_code, reason = "other tests need more of it")]
mod waiting;
