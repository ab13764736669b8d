//! What is asked of the metric providers, and when.

use std::time::Duration;

use super::{HOUR, tests};
use crate::{
    api::units,
    engine::{
        decision::Effect,
        look::{ArmsRequest, LookRequest, NumberRequest},
        turn::{Turn, later},
    },
};

/// The key of the arms among the parts of a look.
const ARMS: &str = "";

impl Turn<'_> {
    /// Asks for the parts of the next look that are due.
    pub fn ask_for_evidence(&mut self) {
        let (Some(analysis), Some(settled)) = (self.analysis(), self.settled_at()) else {
            return;
        };
        if self.now < settled {
            return self.wake_at(settled);
        }
        if self.seen.looking {
            return;
        }
        let interval = analysis.interval.span();
        let sequential = tests(&analysis);
        let mut due = |key: &str, interval: Duration| {
            let at = self.memory.due.get(key).copied().unwrap_or(self.now);
            let now_due = at <= self.now;
            let next = if now_due { later(self.now, interval) } else { at };
            self.memory.due.insert(key.to_owned(), next);
            self.wake = Some(self.wake.map_or(next, |wake| wake.min(next)));
            now_due
        };
        let arms = (!sequential.is_empty() && due(ARMS, interval)).then_some(()).and_then(|()| {
            let series = analysis.series.clone()?;
            let latency =
                sequential.iter().filter_map(|test| test.bound.as_ref().map(|(bound, _)| *bound)).collect();
            Some((series, latency))
        });
        let numbers: Vec<NumberRequest> = analysis
            .metrics
            .iter()
            .filter(|metric| {
                let own = metric.interval.as_ref().map_or(interval, units::Duration::span);
                due(&metric.name, own)
            })
            .map(|metric| NumberRequest::of(metric, &analysis))
            .collect();
        let first =
            self.run().is_some_and(|run| run.evidence.metrics.values().all(|m| m.stable_past.is_empty()));
        let arms = arms.map(|(series, latency)| ArmsRequest {
            provider: analysis.provider.clone(),
            series,
            latency,
            past: first.then_some(HOUR),
        });
        let (Some((stable, canary)), Some(run)) = (self.arms(), self.run()) else {
            return;
        };
        if arms.is_none() && numbers.is_empty() {
            return;
        }
        let request = LookRequest {
            namespace: self.seen.subject.namespace.clone(),
            rollout: self.seen.subject.name.clone(),
            canary: canary.name,
            stable: stable.name,
            args: analysis.args.clone(),
            arms,
            numbers,
        };
        self.effects.push(Effect::Look { run: run.number, step: self.step_index(), request });
    }
}
