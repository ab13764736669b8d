//! What a Prometheus remembers: the counters of both arms and plain numbers at the times of past looks.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Prometheus, When, presets, queries, reply::Data};
use crate::engine::look::{Arms, ArmsRequest, LookRequest, NumberRequest, ReadError, Sample};

/// Looks a query: Prometheus answers 11,000 points of a series at most, and an answer is cut at 1 MiB.
const POINTS: u32 = 200;

/// A span of time, looked at in even steps.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// The first look.
    pub start: Timestamp,
    /// No look comes after it.
    pub end: Timestamp,
    /// From one to the next; whole seconds.
    pub step: Duration,
}

impl Span {
    /// The span in parts that one query answers.
    fn parts(self) -> Vec<(Timestamp, Timestamp)> {
        let step =
            SignedDuration::try_from(self.step.max(Duration::from_secs(1))).unwrap_or(SignedDuration::MAX);
        let (mut parts, mut start) = (Vec::new(), self.start);
        while start <= self.end {
            let last = step.checked_mul(i32::try_from(POINTS - 1).unwrap_or(i32::MAX));
            let last = last.and_then(|span| start.checked_add(span).ok()).unwrap_or(self.end).min(self.end);
            parts.push((start, last));
            match last.checked_add(step) {
                Ok(next) => start = next,
                Err(_) => break,
            }
        }
        parts
    }
}

impl Prometheus {
    /// How old what a look sees is.
    pub(in crate::metrics) const fn lag(&self) -> Duration {
        self.lag
    }

    /// The counters of both arms at each look, those left out at which neither has any.
    pub(in crate::metrics) async fn recorded_arms(
        &self,
        request: &LookRequest,
        arms: &ArmsRequest,
        span: Span,
        progress: &(dyn Fn(f64) + Sync),
    ) -> Result<Vec<Arms>, ReadError> {
        let (canary, stable) = queries(request, arms)?;
        let parts = span.parts();
        let mut all = Vec::new();
        for (at, (start, end)) in parts.iter().copied().enumerate() {
            progress(at as f64 / parts.len() as f64);
            let when = When::Range { start, end, step: span.step };
            let arm = |queries| self.gather(&request.namespace, queries, when);
            let both = async { futures::try_join!(arm(&canary), arm(&stable)) };
            let (mut canary, stable) = super::super::within(self.timeout(), both).await?;
            for (at, stable) in stable {
                let canary = canary.remove(&at).unwrap_or_default();
                all.push(Arms { at, canary, stable, past: Vec::new() });
            }
            let alone = canary.into_iter();
            all.extend(alone.map(|(at, canary)| Arms {
                at,
                canary,
                stable: super::Counters::default(),
                past: Vec::new(),
            }));
        }
        all.retain(|arms| !(arms.canary.total.is_empty() && arms.stable.total.is_empty()));
        all.sort_by_key(|arms| arms.at);
        Ok(all)
    }

    /// A plain number at each look, those left out at which there is none.
    pub(in crate::metrics) async fn recorded_number(
        &self,
        request: &LookRequest,
        number: &NumberRequest,
        span: Span,
    ) -> Result<Vec<Sample>, ReadError> {
        let query = presets::number(number, request)?;
        let mut all = Vec::new();
        for (start, end) in span.parts() {
            let when = When::Range { start, end, step: span.step };
            let answer = self.asking.ask(&request.namespace, &number.name, &query, when);
            let answer = super::super::within(self.timeout(), answer).await?;
            let Data::Matrix(series) = &*answer else { return Err(ReadError::Malformed) };
            match series.as_slice() {
                [] => {}
                [one] => {
                    for point in &one.values {
                        match point.finite(&number.name) {
                            Ok(value) => all.push(Sample { at: point.at()?, value }),
                            // What was no number then is no look now.
                            Err(ReadError::NotFinite { .. }) => {}
                            Err(error) => return Err(error),
                        }
                    }
                }
                many => return Err(ReadError::ManySeries { query: number.name.clone(), count: many.len() }),
            }
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_span_comes_in_parts_that_meet_and_do_not_overlap() {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let end = start.checked_add(SignedDuration::from_secs(4_995)).unwrap();
        let parts = Span { start, end, step: Duration::from_secs(10) }.parts();
        let told: Vec<(i64, i64)> = parts
            .iter()
            .map(|(from, to)| (from.as_second() - start.as_second(), to.as_second() - start.as_second()))
            .collect();
        assert_eq!(told, [(0, 1_990), (2_000, 3_990), (4_000, 4_995)]);
        assert_eq!(Span { start: end, end: start, step: Duration::from_secs(10) }.parts(), []);
    }
}
