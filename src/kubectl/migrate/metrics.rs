//! Plain metrics, as they come together from several templates: names that are unique, providers that are still to be
//! named, and the analysis that holds them.

use super::{
    condition::Range,
    ledger::Ledger,
    values::{decimal, metric_name, placeholder},
};
use crate::api::{
    Analysis, ErrorRate, Latency, Mode, OnInconclusive, PlainMetric, Series,
    units::{Duration, Weight},
};

/// How many metrics spec.analysis takes, and how many that of a step.
const MOST: usize = 16;
const MOST_OF_STEP: usize = 8;
/// How many bad looks in a row the API can ask for.
const MOST_FAILURES: i64 = 100;

/// A metric, and where it comes from.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Found {
    /// The field of the source that it stands in.
    pub(super) field: String,
    /// The metric.
    pub(super) metric: PlainMetric,
}

/// The Prometheus servers that metrics ask, each behind a name that an admin gives it.
#[derive(Debug, Default)]
pub(super) struct Providers {
    addresses: Vec<String>,
}

impl Providers {
    /// The name of a provider to be: none where the configured default will do.
    pub(super) fn name(&mut self, address: Option<&str>, field: &str, ledger: &mut Ledger) -> Option<String> {
        let address = address?;
        let at = self.addresses.iter().position(|known| known == address).unwrap_or_else(|| {
            self.addresses.push(address.to_owned());
            self.addresses.len() - 1
        });
        let name = placeholder(
            if at == 0 { "provider".to_owned() } else { format!("provider-{}", at + 1) }.as_str(),
        );
        ledger.carried(field);
        ledger.ask(
            field,
            format!(
                "put the name that the controller's configuration gives the Prometheus at {address} in place of {name}; a \
                 Rollout names no addresses"
            ),
        );
        Some(name)
    }
}

/// A metric with the bounds of a condition; none where the API can't spell them.
pub(super) fn plain(name: &str, query: String, range: &Range) -> Option<PlainMetric> {
    let spelled = |bound: Option<f64>| bound.map(decimal);
    let (min, max) = (spelled(range.min), spelled(range.max));
    if min == Some(None) || max == Some(None) {
        return None;
    }
    Some(PlainMetric {
        name: metric_name(name),
        query,
        max: max.flatten(),
        min: min.flatten(),
        failures: 1,
        provider: None,
        interval: None,
        mode: None,
    })
}

/// How many bad looks in a row fail: as many as the API takes.
pub(super) fn failures(wanted: i64) -> i32 {
    i32::try_from(wanted.clamp(1, MOST_FAILURES)).unwrap_or(1)
}

/// The metrics of several sources as one list: the same metric once, and no two of one name.
pub(super) fn united(found: Vec<Found>, taken: &[PlainMetric]) -> Vec<Found> {
    let mut all: Vec<Found> = vec![];
    for mut next in found {
        let known = || taken.iter().chain(all.iter().map(|found| &found.metric));
        let base = next.metric.name.clone();
        let names = std::iter::once(base.clone()).chain((2..).map(|n| format!("{base}-{n}")));
        for name in names {
            next.metric.name = name;
            let same_name = known().find(|metric| metric.name == next.metric.name);
            match same_name {
                Some(same) if *same == next.metric => break,
                Some(_) => {}
                None => {
                    all.push(next);
                    break;
                }
            }
        }
    }
    all
}

/// What a list has room for; the rest is told.
pub(super) fn fitting(found: Vec<Found>, of_step: bool, ledger: &mut Ledger) -> Vec<PlainMetric> {
    let room = if of_step { MOST_OF_STEP } else { MOST };
    let (mut kept, mut rest) = (found, vec![]);
    if kept.len() > room {
        rest = kept.split_off(room);
    }
    for left in rest {
        let name = left.metric.name;
        ledger.lost(
            left.field,
            format!("there is room for {room} metrics, and {name} is one more; join queries"),
        );
    }
    kept.into_iter().map(|found| found.metric).collect()
}

/// An analysis of these parts; none where nothing judges.
pub(super) fn analysis(
    metrics: Vec<PlainMetric>,
    series: Option<Series>,
    error_rate: Option<ErrorRate>,
    latency: Vec<Latency>,
) -> Option<Analysis> {
    let analysis = Analysis {
        template_ref: None,
        args: std::collections::BTreeMap::new(),
        provider: None,
        interval: Duration::of(std::time::Duration::from_secs(10)),
        settle: None,
        series,
        error_rate,
        latency,
        metrics,
        prove_from: Weight::try_from(10).unwrap_or(Weight::ZERO),
        mode: Mode::Enforce,
        on_inconclusive: OnInconclusive::Pause,
        ignore_stable: false,
    };
    (!analysis.judges_nothing()).then_some(analysis)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, query: &str) -> Found {
        let range = Range { min: Some(1.0), max: None, open: vec![], absent: None, between: false };
        Found { field: name.into(), metric: plain(name, query.into(), &range).unwrap() }
    }

    #[test]
    fn names_are_unique_and_the_same_metric_stands_once() {
        let all = united(vec![found("a", "x"), found("a", "x"), found("a", "y"), found("A!", "z")], &[]);
        let names: Vec<(&str, &str)> = all.iter().map(|f| (&*f.metric.name, &*f.metric.query)).collect();
        assert_eq!(names, [("a", "x"), ("a-2", "y"), ("a-3", "z")]);
        let taken = [found("a", "x").metric];
        assert_eq!(united(vec![found("a", "x"), found("a", "y")], &taken)[0].metric.name, "a-2");
    }

    #[test]
    fn what_there_is_no_room_for_is_told() {
        let mut ledger = Ledger::default();
        let many = (0..9).map(|n| found(&format!("m{n}"), "x")).collect();
        assert_eq!(fitting(many, true, &mut ledger).len(), 8);
        assert_eq!(ledger.into_notes()[0].field, "m8");
    }

    #[test]
    fn bounds_that_cannot_be_spelled_make_no_metric() {
        let range = Range { min: Some(1e-12), max: None, open: vec![], absent: None, between: false };
        assert_eq!(plain("a", "x".into(), &range), None);
        assert_eq!((failures(0), failures(4), failures(1000)), (1, 4, 100));
    }
}
