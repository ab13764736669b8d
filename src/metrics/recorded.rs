//! Looks of the past, from a provider that remembers.

use std::{collections::BTreeMap, time::Duration};

pub use super::prometheus::Span;
use super::{Provider, Providers};
use crate::engine::look::{Arms, LookRequest, NumberRequest, ReadError, Sample};

/// What was to be seen in a span of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recording {
    /// The counters of both arms, where any were; oldest first, without a past of their own.
    pub arms: Vec<Arms>,
    /// The plain numbers by what was asked for, for a step may ask another question by the same name; oldest first.
    pub numbers: BTreeMap<NumberRequest, Vec<Sample>>,
    /// How old what a look sees is.
    pub lag: Duration,
}

impl Providers {
    /// Answers all the looks of a span. `progress` is told how much of it is there, from 0 to 1.
    pub async fn recorded(
        &self,
        request: &LookRequest,
        span: Span,
        progress: &(dyn Fn(f64) + Sync),
    ) -> Result<Recording, ReadError> {
        let mut recording = Recording::default();
        if let Some(arms) = &request.arms {
            let Provider::Prometheus(prometheus) = self.find(arms.provider.as_deref())? else {
                return Err(forgets("the counters"));
            };
            recording.lag = prometheus.lag();
            recording.arms = prometheus.recorded_arms(request, arms, span, progress).await?;
        }
        for number in &request.numbers {
            let Provider::Prometheus(prometheus) = self.find(number.provider.as_deref())? else {
                return Err(forgets(&number.name));
            };
            recording.lag = recording.lag.max(prometheus.lag());
            let samples = prometheus.recorded_number(request, number, span).await?;
            recording.numbers.insert(number.clone(), samples);
        }
        Ok(recording)
    }
}

fn forgets(what: &str) -> ReadError {
    ReadError::Unsupported(format!(
        "the past of {what} can only be read from a provider of kind prometheus; name one in spec.analysis.provider"
    ))
}
