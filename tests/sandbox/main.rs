//! The embedded API server, as real clients see it.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::needless_pass_by_value,
    reason = "these are tests, their helpers included"
)]

mod crud;
mod faults;
mod kubectl;
mod patches;
#[path = "../support/skip.rs"]
mod skip;
mod support;
mod tables;
mod watches;
