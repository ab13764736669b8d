//! Estimates for people: how much traffic proof takes, and how much worse the canary is.

use super::{
    batch::Batch,
    level::{HARM_GRID, Level, SAFE_GRID, log_bet, log_mean},
    sequential::fewest_until,
};

/// Rungs on which "how many times worse" is told.
pub const LADDER: [f64; 18] =
    [0.1, 0.2, 0.5, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.0, 10.0, 15.0, 20.0, 30.0, 50.0, 100.0];

/// Canary requests without any error that Safe takes, when stable has no errors either and much more traffic.
/// `absolute` is that of the level to catch. `None` if no traffic would be enough (`absolute` 0).
pub fn min_clean_requests(absolute: f64, beta: f64, burst: f64) -> Option<i64> {
    let level = Level::share(absolute);
    fewest_until((1.0 / beta).ln(), |requests| {
        let clean = Batch { x: 0.0, m: requests as f64, y: 0.0, n: 1.0 };
        log_mean(SAFE_GRID.map(|g| log_bet(clean, level, g) / burst))
    })
}

/// How many times as often as stable the canary fails, as far as it is sure; `None` where nothing is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RatioBounds {
    /// Surely over this many times.
    pub at_least: Option<f64>,
    /// Surely under this many times.
    pub at_most: Option<f64>,
}

/// Bounds on the ratio from the `total` counts since the step began, each wrong with probability at most `alpha`
/// at one look. For messages only: decisions come from the sequences.
pub fn ratio_bounds(total: Batch, alpha: f64, burst: f64) -> RatioBounds {
    let sure = (1.0 / alpha).ln();
    let times = |ratio| Level { ratio, absolute: 0.0 };
    let surely_over =
        |rung: &f64| log_mean(HARM_GRID.map(|g| log_bet(total, times(*rung), g) / burst)) >= sure;
    let surely_under =
        |rung: &f64| log_mean(SAFE_GRID.map(|g| log_bet(total, times(*rung), g) / burst)) >= sure;
    RatioBounds {
        at_least: LADDER.into_iter().rfind(surely_over),
        at_most: LADDER.into_iter().find(surely_under),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_traffic_proves_a_level_of_nothing() {
        assert_eq!(min_clean_requests(0.0, 0.05, 2.0), None);
    }

    #[test]
    fn nothing_is_sure_of_nothing() {
        assert_eq!(ratio_bounds(Batch::default(), 0.01, 2.0), RatioBounds::default());
    }
}
