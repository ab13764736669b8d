//! The sums of an arm, as snapshots of cumulative counters.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use super::{
    queries::{ArmQueries, Query},
    reply::{Periods, Rows},
    window::{Window, time},
};
use crate::engine::look::{Counters, ReadError, Snapshot};

/// The distance of two snapshots of the past.
const PAST_STEP: i64 = 300;

/// A sum by the period's start, and by the label where an expression has several.
type Sums = BTreeMap<(i64, String), f64>;

/// What an arm had in each period.
#[derive(Debug, Default)]
pub(super) struct Counted {
    errors: Sums,
    total: Sums,
    buckets: Vec<(f64, Sums)>,
}

impl Counted {
    /// Takes the answers of an arm's queries, which come in the order in which they were asked.
    pub(super) fn of(
        queries: &ArmQueries,
        answers: &mut impl Iterator<Item = Rows>,
    ) -> Result<Self, ReadError> {
        let mut next = || answers.next().ok_or(ReadError::Malformed);
        let total = next()?;
        let errors: Vec<Rows> = queries.errors.iter().map(|_| next()).collect::<Result<_, _>>()?;
        let total = sums(total, "total")?;
        let errors = match (&queries.total, errors) {
            (Query::Stat(_), errors) => failed(errors, &total)?,
            (Query::Expression { .. }, errors) => sums(errors.into_iter().flatten().collect(), "errors")?,
        };
        let buckets = match &queries.latency {
            None => Vec::new(),
            Some((_, slower)) => {
                let count = one(next()?);
                let slower: Vec<(f64, Periods)> = slower
                    .iter()
                    .map(|(bound, _)| next().map(|rows| (*bound, one(rows))))
                    .collect::<Result<_, _>>()?;
                buckets(&count, slower)?
            }
        };
        Ok(Self { errors, total, buckets })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.total.is_empty()
    }

    /// The counters as they were at a time: of the periods that were over.
    pub(super) fn until(&self, end: i64) -> Counters {
        let until = |sums: &Sums| {
            sums.range(..(end, String::new()))
                .map(|((start, label), sum)| (key(*start, label), *sum))
                .collect()
        };
        Counters {
            errors: until(&self.errors),
            total: until(&self.total),
            buckets: self
                .buckets
                .iter()
                .map(|(bound, sums)| (*bound, until(sums)))
                .collect::<Vec<(f64, Snapshot)>>(),
        }
    }

    /// Snapshots back to `past` ago, oldest first. The first holds what came before, so that only what follows counts.
    pub(super) fn past(
        &self,
        past: Duration,
        window: Window,
    ) -> Result<Vec<(Timestamp, Counters)>, ReadError> {
        let step = (PAST_STEP + window.period - 1) / window.period * window.period;
        let length = i64::try_from(past.as_secs()).unwrap_or(i64::MAX).min(window.end - window.start);
        (0..=length / step)
            .rev()
            .map(|steps| window.end - steps * step)
            .map(|end| Ok((time(end)?, self.until(end))))
            .collect()
    }
}

/// The name of a period's series.
fn key(start: i64, label: &str) -> String {
    if label.is_empty() { start.to_string() } else { format!("{start} {label}") }
}

fn sums(rows: Rows, role: &str) -> Result<Sums, ReadError> {
    let mut sums = Sums::new();
    for (label, periods) in rows {
        for (start, sum) in periods {
            sums.insert((start, label.clone()), counted(sum, role)?);
        }
    }
    Ok(sums)
}

/// Failures of all kinds together. They may be counted before the requests that they are of; then they are kept back
/// until those are there, for a batch with more failures than requests is none.
fn failed(kinds: Vec<Rows>, total: &Sums) -> Result<Sums, ReadError> {
    let mut failed = Sums::new();
    for rows in kinds {
        for (at, sum) in sums(rows, "errors")? {
            *failed.entry(at).or_default() += sum;
        }
    }
    for (at, sum) in &mut failed {
        *sum = sum.min(total.get(at).copied().unwrap_or_default());
    }
    Ok(failed)
}

/// Cumulative buckets: what was measured, less what was slower than the bound. Nothing slower has no sum.
fn buckets(count: &Periods, slower: Vec<(f64, Periods)>) -> Result<Vec<(f64, Sums)>, ReadError> {
    let all: Sums = count
        .iter()
        .map(|(start, sum)| Ok(((*start, String::new()), counted(*sum, "latency")?)))
        .collect::<Result<_, ReadError>>()?;
    let mut buckets = Vec::new();
    for (bound, slower) in slower {
        let mut within = all.clone();
        for (start, sum) in slower {
            let sum = counted(sum, "latency")?;
            // More above a bound than there are at all is a sum of another moment.
            let under = within.get_mut(&(start, String::new())).filter(|all| **all >= sum);
            *under.ok_or_else(|| ReadError::Incomplete { query: "latency".to_owned() })? -= sum;
        }
        buckets.push((bound, within));
    }
    buckets.push((f64::INFINITY, all));
    Ok(buckets)
}

fn one(rows: Rows) -> Periods {
    rows.into_values().next().unwrap_or_default()
}

fn counted(sum: f64, role: &str) -> Result<f64, ReadError> {
    if sum < 0.0 {
        return Err(ReadError::Unsupported(format!(
            "the query {role} returned a negative sum, and counts are not negative; correct it"
        )));
    }
    Ok(sum)
}
