//! Levels, and the one bet that everything else is made of.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{batch::Batch, exact};

/// Bets that the canary is worse than a level: it fails `g` times as often as the level allows.
pub const HARM_GRID: [f64; 6] = [1.25, 1.6, 2.5, 5.0, 12.0, 40.0];

/// Bets that the canary is better than a level: it fails only `g` times as often; 0 bets that it never fails.
pub const SAFE_GRID: [f64; 4] = [0.0, 0.1, 0.3, 0.6];

/// An error share of the canary as a function of stable's in the same minutes: `ratio` × stable's + `absolute`.
/// Both are finite and not negative. With `ratio` 0 the level is a share by itself, stable or not.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Level {
    /// Factor on stable's share.
    #[serde(with = "exact")]
    #[schemars(with = "exact::Decimal")]
    pub ratio: f64,
    /// Share added to it: 0.01 is one percentage point.
    #[serde(with = "exact")]
    #[schemars(with = "exact::Decimal")]
    pub absolute: f64,
}

impl Level {
    /// Errors of the canary that are not punished, by default.
    pub const ERROR_RATE_TOLERATE: Self = Self { ratio: 1.25, absolute: 0.0001 };
    /// Errors of the canary that must not pass unnoticed, by default.
    pub const ERROR_RATE_CATCH: Self = Self { ratio: 2.0, absolute: 0.01 };
    /// Slow requests of the canary that are not punished, by default.
    pub const LATENCY_TOLERATE: Self = Self { ratio: 1.25, absolute: 0.005 };
    /// Slow requests of the canary that must not pass unnoticed, by default.
    pub const LATENCY_CATCH: Self = Self { ratio: 2.0, absolute: 0.02 };

    /// A share by itself, whatever stable does.
    pub const fn share(absolute: f64) -> Self {
        Self { ratio: 0.0, absolute }
    }

    /// The canary's share at this level while stable fails `stable_share` of its requests.
    pub fn at(self, stable_share: f64) -> f64 {
        self.ratio * stable_share + self.absolute
    }
}

/// Natural logarithm of what one unit of capital becomes when `batch` is bet on with `g`: an e-value.
///
/// Let stable fail with some unknown share q and the canary with exactly `ratio`·q + `absolute`, both Poisson
/// (which dominates the binomial). Then g^x·c^(x+y) has expectation exp(`absolute`·m·(g − 1)·n/den) **whatever q
/// is**, because c = (u + n)/den with u = `ratio`·m and den = g·u + n is just the factor that makes q drop out.
/// Dividing by that expectation gives a fair bet at the level. For g > 1 it is worse than fair below the level,
/// for g < 1 above it; so a fortune is evidence that the canary is worse (g > 1) or better (g < 1) than the level.
///
/// Without traffic on both arms it is 0: nothing is won or lost. It is −∞ only for g = 0 and a canary error.
pub fn log_bet(batch: Batch, level: Level, g: f64) -> f64 {
    let Batch { x, m, y, n } = batch;
    if !batch.is_complete() {
        return 0.0;
    }
    let u = level.ratio * m;
    let den = g * u + n;
    let ln_c = ((u + n) / den).ln();
    let canary_term = if g > 0.0 {
        x * (g.ln() + ln_c)
    } else if x > 0.0 {
        f64::NEG_INFINITY
    } else {
        0.0
    };
    canary_term + y * ln_c - level.absolute * m * (g - 1.0) * n / den
}

/// ln Σ exp(vᵢ), without overflow; −∞ for no capital at all.
pub(super) fn log_sum_exp(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let greatest = values.clone().fold(f64::NEG_INFINITY, f64::max);
    if greatest == f64::NEG_INFINITY {
        return f64::NEG_INFINITY;
    }
    greatest + values.map(|value| (value - greatest).exp()).sum::<f64>().ln()
}

/// Logarithm of the mean fortune of `N` bettors who were given equal capital.
pub(super) fn log_mean<const N: usize>(bets: [f64; N]) -> f64 {
    log_sum_exp(bets.into_iter()) - (N as f64).ln()
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "infinities are exact")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn batch(x: f64, m: f64, y: f64, n: f64) -> Batch {
        Batch::new(x, m, y, n).expect("possible counts")
    }

    #[test]
    fn nothing_is_won_without_traffic_on_both_arms() {
        for g in HARM_GRID.into_iter().chain(SAFE_GRID) {
            for lone in [batch(3.0, 7.0, 0.0, 0.0), batch(0.0, 0.0, 9.0, 1000.0), Batch::default()] {
                assert_eq!(log_bet(lone, Level::ERROR_RATE_CATCH, g).to_bits(), 0.0_f64.to_bits());
            }
        }
    }

    #[test]
    fn the_bet_on_no_error_dies_of_the_first() {
        assert_eq!(log_bet(batch(1.0, 9.0, 0.0, 9.0), Level::ERROR_RATE_CATCH, 0.0), f64::NEG_INFINITY);
    }

    #[test]
    fn no_capital_sums_to_none() {
        assert_eq!(log_sum_exp([f64::NEG_INFINITY; 3].into_iter()), f64::NEG_INFINITY);
        assert_eq!(log_sum_exp(std::iter::empty()), f64::NEG_INFINITY);
    }

    proptest! {
        /// One more canary error makes every bet on harm richer and every bet on safety poorer, the bolder the
        /// more so: for g < h the gain of h is the greater.
        #[test]
        fn order_of_bets(m in 1.0..1e5_f64, n in 1.0..1e6_f64, x in 0.0..0.9_f64, y in 0.0..1.0_f64, r in 0.0..3.0_f64) {
            let level = Level { ratio: r, absolute: 0.01 };
            let (few, more) = (batch(x * m, m, y * n, n), batch(x * m + 0.1 * m, m, y * n, n));
            let gain = |g| log_bet(more, level, g) - log_bet(few, level, g);
            for g in HARM_GRID {
                prop_assert!(gain(g) > 0.0);
            }
            for g in &SAFE_GRID[1..] {
                prop_assert!(gain(*g) < 0.0);
            }
            for pair in SAFE_GRID[1..].iter().chain(&HARM_GRID).collect::<Vec<_>>().windows(2) {
                prop_assert!(gain(*pair[0]) < gain(*pair[1]));
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Fair at the level: summed over all Poisson outcomes, the fortune is expected to be exactly 1.
        #[test]
        fn fair_at_the_level(m in 5.0..15.0_f64, n in 5.0..15.0_f64, q in 0.01..0.2_f64, r in 0.0..2.0_f64, d in 0.001..0.1_f64) {
            let level = Level { ratio: r, absolute: d };
            let poisson = |mean: f64, k: i32| {
                (f64::from(k) * mean.ln() - mean - (1..=k).map(|i| f64::from(i).ln()).sum::<f64>()).exp()
            };
            for g in [0.3, 1.25, 2.5] {
                let mut expected = 0.0;
                for x in 0..60 {
                    for y in 0..60 {
                        // Poisson counts may exceed the requests; the arithmetic is the same.
                        let outcome = Batch { x: f64::from(x), m, y: f64::from(y), n };
                        expected += poisson(m * level.at(q), x) * poisson(n * q, y) * log_bet(outcome, level, g).exp();
                    }
                }
                prop_assert!((expected - 1.0).abs() < 1e-6, "g {}: {}", g, expected);
            }
        }
    }
}
