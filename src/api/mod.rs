//! api.

pub mod gateway_route_crd;
