//! The engine through its one public function, in a small world that keeps the invariants under watch.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod adoption;
mod blue_green;
mod drift;
mod effects;
mod gates;
mod hours;
mod invariants;
mod judgement;
mod mirrors;
mod names;
mod notices;
mod properties;
mod requests;
mod rivals;
mod rules;
mod runs;
mod scaling;
mod templates;
mod upgrade;
mod world;
