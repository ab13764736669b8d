//! A Kubernetes API server, a gateway, backends and load on loopback: for the demo and the tests.
//!
//! Nothing imports it from below; the product never needs it in a cluster.

pub mod apiserver;
pub mod backends;
#[cfg(feature = "gateway")]
pub mod envoys;
pub mod gateway;
pub mod load;
pub mod programmer;
pub mod serve;
pub mod stats;
