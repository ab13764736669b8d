//! What is tried, a function for each target: bytes that a provider may answer go in, and a look must come out of them
//! that is either sound or an error with a sentence.
//!
//! `tests/seeds.rs` runs the seeds through the same functions without a fuzzer.

mod ask;
mod cloudwatch;
mod over_http;
mod replay;
mod sound;

pub use cloudwatch::cloudwatch;
pub use over_http::{envoy, prometheus, web};
pub use replay::replay;
pub use sound::SECRET;
