//! Increments of cumulative counters, per series.
//!
//! Differences are taken here and not by the metric backend: `increase()` reports 0 for a series that is born at
//! 1, and that is how the first error of a canary looks.

use std::collections::BTreeMap;

/// Cumulative values of one family of counters at one evaluation time: series → value.
pub type Snapshot = BTreeMap<String, f64>;

/// What was counted between two snapshots, over all series.
///
/// A value lower than before is a restarted counter and counts from 0, as does a series that is new. A series
/// that vanished adds nothing. Without a previous snapshot nothing is known of the start, so nothing is counted.
/// NaN in `current` gives NaN, which no batch accepts.
pub fn increment(previous: Option<&Snapshot>, current: &Snapshot) -> f64 {
    previous.map_or(0.0, |previous| increments(previous, current).map(|(_, grown)| grown).sum())
}

/// The same, series by series.
pub fn increments<'a>(previous: &Snapshot, current: &'a Snapshot) -> impl Iterator<Item = (&'a str, f64)> {
    current.iter().map(|(series, &value)| {
        let grown = match previous.get(series) {
            Some(&before) if value >= before => value - before,
            Some(_) | None => value,
        };
        (series.as_str(), grown)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_not_a_number_stays_visible() {
        let snapshot = |value| Snapshot::from([("a".to_owned(), value)]);
        assert!(increment(Some(&snapshot(1.0)), &snapshot(f64::NAN)).is_nan());
    }
}
