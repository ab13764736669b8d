//! Counts of both arms in the same minutes, checked once so that the arithmetic may trust them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::exact;

/// Counts above this are no longer told apart by one; no real look comes near.
const MAX_COUNT: f64 = 9_007_199_254_740_992.0;

/// Errors and requests of one arm. Counts may be fractional; latency counts slow requests as errors.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Arm {
    /// Requests that failed, or were too slow.
    pub errors: f64,
    /// All requests, the failed ones included.
    pub requests: f64,
}

impl Arm {
    /// Errors over requests, from 0 to 1; `None` without requests.
    pub fn share(self) -> Option<f64> {
        (self.requests > 0.0).then(|| self.errors / self.requests)
    }
}

/// Why counts can not be evidence. The look that brought them is an error; it is neither clamped nor half used.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
pub enum BatchError {
    /// A count is negative, not a number, or too great to have been counted.
    #[error("cannot use {value} as the number of {what}")]
    NotACount {
        /// Which of the four counts.
        what: &'static str,
        /// The value that was given.
        value: f64,
    },
    /// An arm has more errors than requests, so the two were not counted from the same series.
    #[error("cannot use {errors} errors in {requests} requests of {arm}: errors must be among the requests")]
    MoreErrorsThanRequests {
        /// The arm, `canary` or `stable`.
        arm: &'static str,
        /// Its errors.
        errors: f64,
        /// Its requests.
        requests: f64,
    },
}

/// Counts of canary (x of m) and stable (y of n) over the same time. Every count is finite and not negative,
/// x ≤ m and y ≤ n.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Counts", into = "Counts")]
pub struct Batch {
    pub(super) x: f64,
    pub(super) m: f64,
    pub(super) y: f64,
    pub(super) n: f64,
}

impl Batch {
    /// Checks the counts of one look: `x` errors in `m` requests of the canary, `y` in `n` of stable.
    pub fn new(x: f64, m: f64, y: f64, n: f64) -> Result<Self, BatchError> {
        let (x, m) = checked("canary", ["canary errors", "canary requests"], x, m)?;
        let (y, n) = checked("stable", ["stable errors", "stable requests"], y, n)?;
        Ok(Self { x, m, y, n })
    }

    /// Counts of the canary alone, for a level that does not speak of stable (`ratio` 0): y = 0, n = 1.
    pub fn one_sample(x: f64, m: f64) -> Result<Self, BatchError> {
        Self::new(x, m, 0.0, 1.0)
    }

    /// The canary's counts.
    pub const fn canary(self) -> Arm {
        Arm { errors: self.x, requests: self.m }
    }

    /// Stable's counts; of no meaning in a one-sample batch.
    pub const fn stable(self) -> Arm {
        Arm { errors: self.y, requests: self.n }
    }

    /// Both batches as one.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let sum = |a: f64, b: f64| (a + b).min(MAX_COUNT);
        Self {
            x: sum(self.x, other.x),
            m: sum(self.m, other.m),
            y: sum(self.y, other.y),
            n: sum(self.n, other.n),
        }
    }

    /// Whether both arms had traffic; only then the batch says anything.
    pub(super) fn is_complete(self) -> bool {
        self.m > 0.0 && self.n > 0.0
    }
}

fn checked(
    arm: &'static str,
    names: [&'static str; 2],
    errors: f64,
    requests: f64,
) -> Result<(f64, f64), BatchError> {
    for (what, value) in names.into_iter().zip([errors, requests]) {
        if !(0.0..=MAX_COUNT).contains(&value) {
            return Err(BatchError::NotACount { what, value });
        }
    }
    // Both are sums over series, perhaps added in another order: an arm that failed entirely may come out a last
    // digit above its requests, and that look above all others must not be lost.
    if errors > requests * (1.0 + 1e-9) {
        return Err(BatchError::MoreErrorsThanRequests { arm, errors, requests });
    }
    Ok((errors.min(requests), requests))
}

/// [`Batch`] as stored.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Counts {
    #[serde(with = "exact")]
    #[schemars(with = "exact::Decimal")]
    x: f64,
    #[serde(with = "exact")]
    #[schemars(with = "exact::Decimal")]
    m: f64,
    #[serde(with = "exact")]
    #[schemars(with = "exact::Decimal")]
    y: f64,
    #[serde(with = "exact")]
    #[schemars(with = "exact::Decimal")]
    n: f64,
}

impl TryFrom<Counts> for Batch {
    type Error = BatchError;

    fn try_from(Counts { x, m, y, n }: Counts) -> Result<Self, BatchError> {
        Self::new(x, m, y, n)
    }
}

impl From<Batch> for Counts {
    fn from(Batch { x, m, y, n }: Batch) -> Self {
        Self { x, m, y, n }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_impossible_counts() {
        let cases = [
            ((3.0, 2.0, 0.0, 9.0), "cannot use 3 errors in 2 requests of canary"),
            ((0.0, 2.0, 10.0, 9.0), "cannot use 10 errors in 9 requests of stable"),
            ((1.0, 0.0, 0.0, 9.0), "cannot use 1 errors in 0 requests of canary"),
            ((-1.0, 2.0, 0.0, 9.0), "cannot use -1 as the number of canary errors"),
            ((0.0, f64::NAN, 0.0, 9.0), "cannot use NaN as the number of canary requests"),
            ((0.0, 2.0, f64::INFINITY, 9.0), "cannot use inf as the number of stable errors"),
            ((0.0, 2.0, 0.0, 1e300), "as the number of stable requests"),
        ];
        for ((x, m, y, n), want) in cases {
            let error = Batch::new(x, m, y, n).expect_err(want).to_string();
            assert!(error.contains(want), "{error}");
        }
    }

    #[test]
    fn rounding_in_the_last_digit_is_not_an_error() {
        let batch = Batch::new(0.1 + 0.2, 0.3, 0.0, 9.0).expect("the same sum in another order");
        assert_eq!(batch.canary(), Arm { errors: 0.3, requests: 0.3 });
    }

    #[test]
    fn a_stored_batch_is_checked_like_a_new_one() {
        let stored = r#"{"x":"3","m":"2","y":"0","n":"9"}"#;
        let error = serde_json::from_str::<Batch>(stored).expect_err("more errors than requests");
        assert!(error.to_string().contains("errors must be among the requests"), "{error}");
    }

    #[test]
    fn share_needs_requests() {
        assert_eq!(Arm { errors: 1.0, requests: 4.0 }.share(), Some(0.25));
        assert_eq!(Arm::default().share(), None);
    }
}
