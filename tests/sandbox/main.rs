//! The embedded API server, as real clients see it.

mod crud;
mod faults;
mod kubectl;
mod patches;
mod support;
mod tables;
mod watches;
