//! engine.
pub mod look;
