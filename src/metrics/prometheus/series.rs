//! Series of an answer become snapshots.

use std::collections::BTreeMap;

use crate::engine::look::{ReadError, Snapshot};

/// The most series that one query of an arm may return.
const MAX_SERIES: usize = 500;

/// Labels in one fixed spelling, sorted, without the metric's name.
pub(in crate::metrics) fn canonical(labels: &BTreeMap<String, String>) -> String {
    let pairs: Vec<String> = labels
        .iter()
        .filter(|(label, _)| *label != "__name__")
        .map(|(label, value)| format!("{label}={value:?}"))
        .collect();
    pairs.join(",")
}

/// Latency buckets being gathered.
#[derive(Debug, Default)]
pub(in crate::metrics) struct Buckets(Vec<(f64, Snapshot)>);

impl Buckets {
    /// Adds a series' count of requests at most `bound` seconds slow; false where it has one already.
    #[must_use]
    pub(in crate::metrics) fn insert(&mut self, bound: f64, key: String, value: f64) -> bool {
        let at = self.0.partition_point(|(known, _)| known.total_cmp(&bound).is_lt());
        if self.0.get(at).is_none_or(|(known, _)| known.total_cmp(&bound).is_ne()) {
            self.0.insert(at, (bound, Snapshot::new()));
        }
        self.0.get_mut(at).is_some_and(|(_, snapshot)| snapshot.insert(key, value).is_none())
    }

    /// The buckets, ascending by bound.
    pub(in crate::metrics) fn ascending(self) -> Vec<(f64, Snapshot)> {
        self.0
    }
}

/// The bound of a latency series, taken off its labels.
pub(super) fn bound(labels: &mut BTreeMap<String, String>, per_second: f64) -> Result<f64, ReadError> {
    labels
        .remove("le")
        .and_then(|le| le.parse::<f64>().ok())
        .filter(|le| !le.is_nan())
        .map(|le| le / per_second)
        .ok_or_else(|| {
            ReadError::Unsupported(
                "the query latency returned a series without a bound in the label le; it must return histogram \
                 buckets"
                    .to_owned(),
            )
        })
}

/// A counter's value, which is never negative.
pub(super) fn count(query: &str, value: f64) -> Result<f64, ReadError> {
    if value < 0.0 {
        return Err(ReadError::Unsupported(format!(
            "the query {query} returned a negative number, and counters are not negative; correct it"
        )));
    }
    Ok(value)
}

/// Two series that nothing tells apart.
pub(super) fn doubled(query: &str, how: &str) -> ReadError {
    ReadError::Unsupported(format!("the query {query} returned two series that {how}; select one metric"))
}

/// Refuses more series than an arm can sensibly have.
pub(super) fn few(query: &str, count: usize) -> Result<(), ReadError> {
    // A histogram has one series a bound.
    let limit = if query == "latency" { 40 * MAX_SERIES } else { MAX_SERIES };
    if count > limit {
        return Err(ReadError::ManySeries { query: query.to_owned(), count });
    }
    Ok(())
}
