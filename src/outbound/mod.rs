//! What goes out over HTTP, to addresses that the admin listed: metric providers, gates, receivers of notices. One client for
//! all of them, so that what is sent and refused is the same everywhere.
//!
//! Redirects are errors, no proxy of the environment is used, no name leads to the pod itself or to metadata, nothing is
//! retried, every call has a deadline, an answer is cut at 1 MiB while it streams, and neither a byte of it nor a secret reaches an
//! error.

mod credentials;
mod error;
#[cfg(test)]
pub(crate) mod fake;
#[cfg(fuzzing)]
pub mod fuzzing;
mod http;
mod resolve;

pub use credentials::secret;
pub use error::CallError;
pub use http::{Answer, Http, MAX_ANSWER, Receipt};

#[cfg(test)]
mod tests;
