//! Latency as a share: requests slower than a bound of the histogram are counted like errors.

/// Slow requests of one arm in one look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SlowCount {
    /// The bound that was used, in the histogram's unit.
    pub le: f64,
    /// Requests slower than it.
    pub slow: f64,
    /// All requests of the histogram.
    pub total: f64,
}

/// Counts the requests slower than `limit` from cumulative increments by upper bound: pairs of (le, count), the
/// last bucket having le = `f64::INFINITY`, in any order.
///
/// A histogram knows only its own bounds, so the greatest finite one that is not above `limit` stands in for it,
/// or the smallest if all are above. `None` without a finite bound or without the last bucket.
pub fn slow_count(buckets: &[(f64, f64)], limit: f64) -> Option<SlowCount> {
    let total = buckets.iter().find(|(le, _)| *le == f64::INFINITY)?.1;
    let finite = || buckets.iter().copied().filter(|(le, _)| le.is_finite());
    let (le, within) = finite()
        .filter(|(le, _)| *le <= limit)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .or_else(|| finite().min_by(|a, b| a.0.total_cmp(&b.0)))?;
    // Buckets scraped at slightly different moments may contradict each other by a request or two.
    let slow = if within > total { 0.0 } else { total - within };
    Some(SlowCount { le, slow, total })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUCKETS: [(f64, f64); 4] = [(f64::INFINITY, 1000.0), (0.5, 950.0), (0.1, 800.0), (1.0, 990.0)];

    #[test]
    fn needs_a_total_and_a_finite_bound() {
        assert_eq!(slow_count(&[], 0.3), None);
        assert_eq!(slow_count(&BUCKETS[1..], 0.3), None);
        assert_eq!(slow_count(&BUCKETS[..1], 0.3), None);
    }

    #[test]
    fn is_never_below_zero_yet_shows_what_is_not_a_number() {
        let slow = |within, total| slow_count(&[(0.5, within), (f64::INFINITY, total)], 0.5).map(|c| c.slow);
        assert_eq!(slow(12.0, 10.0), Some(0.0));
        assert!(slow(f64::NAN, 10.0).is_some_and(f64::is_nan));
    }

    #[test]
    fn order_of_buckets_does_not_matter() {
        assert_eq!(slow_count(&BUCKETS, 0.7), Some(SlowCount { le: 0.5, slow: 50.0, total: 1000.0 }));
    }
}
