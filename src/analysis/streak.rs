//! Errors in a row: one failed look is retried in silence, five make the metric an error.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::verdict::Verdict;

/// Failed looks in a row that make a metric [`Verdict::Error`].
pub const ERRORS_IN_A_ROW: i32 = 5;

/// Failed looks of one metric in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErrorStreak {
    /// Failed looks since the latest good one.
    pub errors: i32,
}

impl ErrorStreak {
    /// Notes a look that gave no usable numbers.
    pub fn failed(&mut self) {
        self.errors = self.errors.saturating_add(1);
    }

    /// Notes a good look; one is enough to trust the metric again.
    pub fn succeeded(&mut self) {
        self.errors = 0;
    }

    /// Whether the metric is in error.
    pub fn is_error(self) -> bool {
        self.errors >= ERRORS_IN_A_ROW
    }

    /// What a metric says whose evidence so far says `verdict`. A Fail already proved is not undone by an outage.
    #[must_use]
    pub fn over(self, verdict: Verdict) -> Verdict {
        match verdict {
            Verdict::Fail => Verdict::Fail,
            Verdict::Safe | Verdict::Pass | Verdict::Collecting | Verdict::Error => {
                if self.is_error() {
                    Verdict::Error
                } else {
                    verdict
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_in_a_row_make_an_error_and_one_good_look_clears_it() {
        let mut streak = ErrorStreak::default();
        for _ in 0..4 {
            streak.failed();
            assert_eq!(streak.over(Verdict::Safe), Verdict::Safe);
        }
        streak.failed();
        assert_eq!(streak.over(Verdict::Safe), Verdict::Error);
        assert_eq!(streak.over(Verdict::Fail), Verdict::Fail);
        streak.succeeded();
        assert_eq!(streak.over(Verdict::Collecting), Verdict::Collecting);
    }
}
