//! The one clock. Everything else takes `now` as an argument.
//!
//! Wall time is read once, at the start, and advanced by the monotonic clock: a wall clock that jumps an hour
//! neither shortens nor lengthens a hold. A restart anchors it anew.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

/// Wall time anchored at construction and advanced monotonically. Cheap to copy.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    anchor: Timestamp,
    started: Instant,
}

impl Clock {
    /// Anchors a clock at the present wall time.
    #[expect(clippy::disallowed_methods, reason = "this is the one clock")]
    pub fn start() -> Self {
        Self { anchor: Timestamp::now(), started: Instant::now() }
    }

    /// How long it has run.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// The present time; never earlier than an earlier reading of the same clock.
    pub fn now(&self) -> Timestamp {
        let elapsed = SignedDuration::try_from(self.started.elapsed()).unwrap_or(SignedDuration::MAX);
        self.anchor.saturating_add(elapsed).unwrap_or(Timestamp::MAX)
    }
}
