//! Many measurements of one thing, summed up. Pure.

use std::time::Duration;

use serde::Serialize;

/// What is told of many measurements. All values in the unit of the measurements.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// How many there were.
    pub count: usize,
    /// The smallest.
    pub min: f64,
    /// Half of them are not above it.
    pub p50: f64,
    /// 99 of 100 are not above it; with fewer than 100 it is the greatest.
    pub p99: f64,
    /// The greatest.
    pub max: f64,
}

impl Summary {
    /// Sums up; nothing can be said of nothing.
    pub fn of(measured: &[f64]) -> Option<Self> {
        let mut sorted = measured.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let rank = |percent: usize| sorted.get((sorted.len() * percent).div_ceil(100).saturating_sub(1));
        Some(Self {
            count: sorted.len(),
            min,
            p50: *rank(50).unwrap_or(&max),
            p99: *rank(99).unwrap_or(&max),
            max,
        })
    }
}

/// How much y grows with each x, by least squares; nothing can be said where all x are the same.
pub fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let spread: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    let together: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    (spread > 0.0).then(|| together / spread)
}

/// A time in milliseconds, for reports.
pub fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// A number as tables show it: no more digits than it is worth.
pub fn shown(value: f64) -> String {
    if value.fract() == 0.0 || value.abs() >= 100.0 {
        format!("{value:.0}")
    } else if value.abs() >= 1.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.3}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_measured_values() {
        let hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        let cases: [(&str, &[f64], [f64; 4]); 4] = [
            ("one", &[7.0], [7.0, 7.0, 7.0, 7.0]),
            ("two", &[9.0, 3.0], [3.0, 3.0, 9.0, 9.0]),
            ("three", &[1.0, 2.0, 3.0], [1.0, 2.0, 3.0, 3.0]),
            ("hundred", &hundred, [1.0, 50.0, 99.0, 100.0]),
        ];
        for (name, measured, [min, p50, p99, max]) in cases {
            let want = Summary { count: measured.len(), min, p50, p99, max };
            assert_eq!(Summary::of(measured), Some(want), "{name}");
        }
        assert_eq!(Summary::of(&[]), None);
    }

    #[test]
    fn a_slope_is_that_of_the_line_which_fits_best() {
        let line = [(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)];
        assert_eq!(slope(&line), Some(2.0));
        assert_eq!(slope(&[(0.0, 1.0), (1.0, 0.0), (2.0, 2.0), (3.0, 1.0)]), Some(0.2));
        assert_eq!((slope(&[]), slope(&line[..1])), (None, None));
    }

    #[test]
    fn numbers_have_the_digits_they_are_worth() {
        let cases = [(37.0, "37"), (0.1234, "0.123"), (12.345, "12.3"), (1234.5, "1234"), (0.0, "0")];
        for (value, want) in cases {
            assert_eq!(shown(value), want);
        }
    }
}
