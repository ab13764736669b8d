//! The statistics of a run: pure arithmetic from counts to verdicts, and from verdicts to what becomes of a step.
//!
//! A look brings errors and requests of both arms ([`Batch`]). They feed one [`Sequence`] per metric, an
//! anytime-valid test: *Fail* when the canary is surely worse than the tolerated [`Level`], *Safe* when it surely
//! is not as bad as the level to catch, *Collecting* until either is sure. Latency is the same test on the share of
//! slow requests ([`slow_count`]); anything else has plain [`Bounds`]. [`decide_step`] turns the verdicts of all
//! metrics into what becomes of the step, and [`sentence`] says it with the counts in it.
//!
//! What holds:
//!
//! - A canary no worse than tolerated is rolled back with probability at most α per run, over all metrics and
//!   however often one looks. The evidence is the fortune of bettors in a game that is fair at the tolerated level
//!   (a test martingale), and by Ville's inequality such a fortune ever reaches M/α with probability at most α/M.
//! - A canary at the level to catch is called Safe with probability at most β per step.
//! - Stable's own share need not be known, nor stay the same: it drops out of each bet ([`log_bet`]).
//! - No traffic is neutral, to the last bit. Impossible counts are an error of their look and change nothing.
//! - Evidence that was stored and read back goes on exactly as if it had stayed in memory.
//! - Nothing here reads a clock, draws a random number, waits, or knows of any other part of the product.

mod baseline;
mod batch;
mod bounds;
mod config;
mod counters;
mod decision;
mod dispersion;
mod exact;
mod latency;
mod level;
mod preflight;
pub mod sentence;
mod sequential;
mod streak;
mod threshold;
mod verdict;

pub use baseline::{Levels, MIN_REQUESTS, StableWatch, sick_limit};
pub use batch::{Arm, Batch, BatchError};
pub use bounds::{LADDER, RatioBounds, min_clean_requests, ratio_bounds};
pub use config::{ALPHA, BETA, BURST, SequenceConfig, planned_polls};
pub use counters::{Snapshot, increment, increments};
pub use decision::{
    Judged, OnInconclusive, Proof, RELAXED_LOG_E_HARM, RELAXED_REQUESTS, StepDecision, StepFacts, decide_step,
};
pub use dispersion::{Dispersion, PodCounts};
pub use latency::{SlowCount, slow_count};
pub use level::{HARM_GRID, Level, SAFE_GRID, log_bet};
pub use preflight::{PlannedStep, ProofGoal, StepEstimate, preflight};
pub use sequential::Sequence;
pub use streak::{ERRORS_IN_A_ROW, ErrorStreak};
pub use threshold::{Bounds, NotFinite, ThresholdState};
pub use verdict::Verdict;
