//! Each field of a route does in Envoy what it does in the sandbox's gateway: the same requests through both, what the backend got of
//! them, and what came back.

mod both;
mod calls;
mod echo;
mod failures;
mod ports;
mod requests;
mod routers;
mod sent;
mod timeouts;
