//! CloudWatch, by `GetMetricData`.
//!
//! It has no cumulative counters but sums of periods. So each complete period is a series of its own in a snapshot,
//! named by its start: the differences that are taken of snapshots then use each period's sum exactly once, whenever it
//! appears, and of a sum that is corrected upwards only what is new. Snapshots always hold the last hour.

mod breaker;
mod calls;
mod client;
mod counted;
mod failure;
mod queries;
mod reply;
mod window;

use std::time::Duration;

use jiff::Timestamp;

use super::presets::ArmScope;
use crate::{
    config::CloudWatchConfig,
    engine::look::{Arms, ArmsRequest, LookRequest, NumberRequest, ReadError, Sample},
};
use calls::Calls;
pub(super) use client::Found;
#[cfg(test)]
pub(super) use client::http;
use counted::Counted;
use queries::ArmQueries;
use window::{DELAY, Window, time};

/// How many of the newest periods a plain number may be of: one that is late is no reason to have none.
const NUMBER_PERIODS: i64 = 3;

/// A period that stands for any.
const ANY_PERIOD: Duration = Duration::from_mins(1);

/// CloudWatch of one account and region.
#[derive(Debug)]
pub(super) struct CloudWatch {
    calls: Calls,
    period: Duration,
    timeout: Duration,
}

impl CloudWatch {
    pub(super) fn new(config: &CloudWatchConfig, found: Found) -> Self {
        Self { calls: Calls::new(config, found), period: config.period, timeout: config.timeout }
    }

    /// What a period needs to be complete, and the period itself.
    pub(super) fn settle(&self) -> Duration {
        settle(self.period)
    }

    pub(super) const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The sums of both arms.
    pub(super) async fn arms(
        &self,
        request: &LookRequest,
        arms: &ArmsRequest,
        now: Timestamp,
    ) -> Result<Arms, ReadError> {
        let window = Window::at(now, self.period)?;
        let (canary, stable) = queries(request, arms, self.period)?;
        let all = canary.all().chain(stable.all()).cloned().collect();
        let mut answers = self.calls.ask(all, window, now).await?.into_iter();
        let mut counted = |arm: &ArmQueries| Counted::of(arm, &mut answers);
        let (canary, stable) = (counted(&canary)?, counted(&stable)?);
        if canary.is_empty() && stable.is_empty() {
            return Err(ReadError::Empty { query: "total".to_owned() });
        }
        let past = arms.past.map(|past| stable.past(past, window)).transpose()?;
        Ok(Arms {
            at: window.end()?,
            canary: canary.until(window.end),
            stable: stable.until(window.end),
            past: past.unwrap_or_default(),
        })
    }

    /// Whether what is asked of both arms can be.
    pub(super) fn check(&self, request: &LookRequest, arms: &ArmsRequest) -> Result<(), ReadError> {
        queries(request, arms, self.period).map(drop)
    }

    /// Whether what is asked as one plain number can be.
    pub(super) fn check_number(
        &self,
        request: &LookRequest,
        number: &NumberRequest,
    ) -> Result<(), ReadError> {
        queries::number(request, number, self.period.as_secs()).map(drop)
    }

    /// One plain number: the newest that the expression has.
    pub(super) async fn number(
        &self,
        request: &LookRequest,
        number: &NumberRequest,
        now: Timestamp,
    ) -> Result<Sample, ReadError> {
        let window = Window::at(now, self.period)?;
        let query = queries::number(request, number, self.period.as_secs())?;
        let rows = self.calls.ask(vec![query], window, now).await?.pop().unwrap_or_default();
        if rows.len() > 1 {
            return Err(ReadError::ManySeries { query: number.name.clone(), count: rows.len() });
        }
        let oldest = window.end - NUMBER_PERIODS * window.period;
        let newest = rows.values().find_map(|periods| periods.range(oldest..).next_back());
        let (start, value) = newest.ok_or_else(|| ReadError::Empty { query: number.name.clone() })?;
        Ok(Sample { at: time(start + window.period)?, value: *value })
    }
}

/// What such a period needs to be complete, and the period itself.
pub(super) fn settle(period: Duration) -> Duration {
    DELAY + period
}

/// Whether what is asked of both arms can be, whatever the period.
pub(super) fn check(request: &LookRequest, arms: &ArmsRequest) -> Result<(), ReadError> {
    queries(request, arms, ANY_PERIOD).map(drop)
}

/// Whether what is asked as one plain number can be, whatever the period.
pub(super) fn check_number(request: &LookRequest, number: &NumberRequest) -> Result<(), ReadError> {
    queries::number(request, number, ANY_PERIOD.as_secs()).map(drop)
}

/// The queries of canary and stable.
fn queries(
    request: &LookRequest,
    arms: &ArmsRequest,
    period: Duration,
) -> Result<(ArmQueries, ArmQueries), ReadError> {
    let queries =
        |target| queries::arm(&arms.series, ArmScope::of(request, target), &arms.latency, period.as_secs());
    Ok((queries(&request.canary)?, queries(&request.stable)?))
}
