//! How strongly failures come together, learnt from how stable's fall on its pods.

use std::collections::BTreeMap;

use super::{ERROR_RATE, Test};
use crate::{
    analysis::{BURST, PodCounts, increments},
    engine::{
        look::{Arms, Snapshot},
        turn::Turn,
    },
};

/// The labels that name a pod, of those that scrapers put on.
const POD_LABELS: [&str; 3] = ["pod", "kubernetes_pod_name", "pod_name"];

impl Turn<'_> {
    /// The burst factor of a test: the default, or more where stable's pods show it. Never less: failures that fall evenly on pods may
    /// still come together in time, and a label may name the gateway's pods in place of stable's.
    pub(super) fn burst(&self, test: &Test) -> f64 {
        let evidence = self.run().map(|run| &run.evidence.metrics);
        let known = evidence.and_then(|metrics| metrics.get(ERROR_RATE)?.dispersion.as_ref());
        known.filter(|_| test.bound.is_none()).map_or(BURST, |seen| seen.burst().max(BURST))
    }

    /// Takes in what failed on each of stable's pods between two looks. After the evidence of the same looks: a factor that is
    /// chosen by what it is then applied to would be no fair bet.
    pub(super) fn learn_burst(&mut self, before: &Arms, now: &Arms) {
        let pods = by_pod(before, now);
        if pods.is_empty() || self.planned(self.step_index()) >= 100 {
            return;
        }
        if let Some(metric) = self.run_mut().and_then(|run| run.evidence.metrics.get_mut(ERROR_RATE)) {
            metric.dispersion.get_or_insert_default().observe(&pods);
        }
    }
}

/// Failed and all requests of each of stable's pods; none where the series don't tell them apart.
fn by_pod(before: &Arms, now: &Arms) -> Vec<PodCounts> {
    let errors = grown(&before.stable.errors, &now.stable.errors);
    let total = grown(&before.stable.total, &now.stable.total);
    let of = |(pod, requests): (&str, f64)| PodCounts {
        errors: errors.get(pod).copied().unwrap_or(0.0),
        requests,
    };
    total.into_iter().map(of).collect()
}

fn grown<'a>(before: &Snapshot, now: &'a Snapshot) -> BTreeMap<&'a str, f64> {
    let mut pods = BTreeMap::new();
    for (series, grown) in increments(before, now) {
        if let Some(pod) = pod_of(series) {
            *pods.entry(pod).or_default() += grown;
        }
    }
    pods
}

/// The pod that a series is of: its labels are spelled `name="value"`, quotes within a value behind a backslash.
fn pod_of(series: &str) -> Option<&str> {
    POD_LABELS.iter().find_map(|label| {
        let value = |at: usize| {
            let value = series.get(at..)?.strip_prefix(label)?.strip_prefix("=\"")?;
            Some(value.split('"').next().unwrap_or_default())
        };
        let starts = std::iter::once(0).chain(series.match_indices(',').map(|(at, _)| at + 1));
        starts.into_iter().find_map(value).filter(|pod| !pod.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pod_is_found_among_the_labels() {
        let cases = [
            (r#"pod="a-1""#, Some("a-1")),
            (r#"code="500",pod="a-1",zone="x""#, Some("a-1")),
            (r#"kubernetes_pod_name="a-2""#, Some("a-2")),
            (r#"app_pod="a-1""#, None),
            (r#"pod="""#, None),
            ("gw", None),
            ("", None),
        ];
        for (series, pod) in cases {
            assert_eq!(pod_of(series), pod, "{series}");
        }
    }

    #[test]
    fn a_pod_s_series_are_summed_and_a_restarted_one_counts_from_0() {
        let snapshot =
            |all: &[(&str, f64)]| all.iter().map(|(key, value)| ((*key).to_owned(), *value)).collect();
        let before: Snapshot = snapshot(&[(r#"code="200",pod="a""#, 10.0), (r#"code="200",pod="b""#, 50.0)]);
        let now: Snapshot = snapshot(&[
            (r#"code="200",pod="a""#, 15.0),
            (r#"code="500",pod="a""#, 1.0),
            (r#"code="200",pod="b""#, 7.0),
        ]);
        assert_eq!(grown(&before, &now), BTreeMap::from([("a", 6.0), ("b", 7.0)]));
    }
}
