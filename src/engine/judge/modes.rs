//! The modes of metrics: all that can be changed of an analysis while it judges a run.

use crate::api::{Analysis, ErrorRate, Latency, Mode, PlainMetric};

/// Whether the frozen analysis has the modes of the present one.
pub(super) fn are_those_of(frozen: &Analysis, now: &Analysis) -> bool {
    let rate = now.error_rate.as_ref();
    frozen.mode == now.mode
        && frozen.error_rate.iter().all(|known| known.mode == of_error_rate(known, rate))
        && frozen.latency.iter().all(|known| known.mode == of_latency(known, &now.latency))
        && frozen.metrics.iter().all(|known| known.mode == of_metric(known, &now.metrics))
}

/// The frozen analysis with the modes of the present one.
pub(super) fn those_of(frozen: &Analysis, now: &Analysis) -> Analysis {
    let mut analysis = Analysis { mode: now.mode, ..frozen.clone() };
    take(&mut analysis, now.error_rate.as_ref(), &now.latency, &now.metrics);
    analysis
}

/// Gives each metric the mode of what is called the same.
pub(super) fn take(
    analysis: &mut Analysis,
    rate: Option<&ErrorRate>,
    latency: &[Latency],
    metrics: &[PlainMetric],
) {
    if let Some(known) = &mut analysis.error_rate {
        known.mode = of_error_rate(known, rate);
    }
    for known in &mut analysis.latency {
        known.mode = of_latency(known, latency);
    }
    for known in &mut analysis.metrics {
        known.mode = of_metric(known, metrics);
    }
}

fn of_error_rate(known: &ErrorRate, now: Option<&ErrorRate>) -> Option<Mode> {
    now.map_or(known.mode, |same| same.mode)
}

fn of_latency(known: &Latency, now: &[Latency]) -> Option<Mode> {
    let same = now.iter().find(|other| other.under.span() == known.under.span());
    same.map_or(known.mode, |same| same.mode)
}

fn of_metric(known: &PlainMetric, now: &[PlainMetric]) -> Option<Mode> {
    let same = now.iter().find(|other| other.name == known.name);
    same.map_or(known.mode, |same| same.mode)
}
