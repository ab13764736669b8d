//! The hour that is read: whole periods that are over and old enough to be complete.

use std::time::Duration;

use jiff::Timestamp;

use crate::engine::look::ReadError;

/// How old a period must be to be read: until then its sums still grow.
pub(super) const DELAY: Duration = Duration::from_mins(2);
/// How much is read in a look. Always as much, so that a period enters a snapshot once, at its new end, and leaves it once.
const LENGTH: Duration = Duration::from_hours(1);

/// From the start of the oldest period to the end of the newest, in Unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Window {
    pub start: i64,
    pub end: i64,
    pub period: i64,
}

impl Window {
    /// The window of a moment. Periods are those that CloudWatch has: multiples of their length.
    pub(super) fn at(now: Timestamp, period: Duration) -> Result<Self, ReadError> {
        let period = seconds(period)?.max(1);
        let ready = now.as_second().checked_sub(seconds(DELAY)?).ok_or(ReadError::Defect)?;
        let end = ready.div_euclid(period).saturating_mul(period);
        let start = end.checked_sub(seconds(LENGTH)?).ok_or(ReadError::Defect)?;
        Ok(Self { start, end, period })
    }

    /// The end of the newest period.
    pub(super) fn end(&self) -> Result<Timestamp, ReadError> {
        time(self.end)
    }

    /// The period that a datapoint is of.
    pub(super) fn period_at(&self, seconds: i64, nanos: u32, role: &str) -> Result<i64, ReadError> {
        if !(self.start..self.end).contains(&seconds) {
            return Err(ReadError::Malformed);
        }
        if nanos != 0 || (seconds - self.start) % self.period != 0 {
            return Err(ReadError::Unsupported(format!(
                "the query {role} returned sums of other periods than the provider's; write {{{{period}}}} for the \
                 period in it"
            )));
        }
        Ok(seconds)
    }
}

/// A time of Unix seconds.
pub(super) fn time(seconds: i64) -> Result<Timestamp, ReadError> {
    Timestamp::from_second(seconds).map_err(|_| ReadError::Malformed)
}

fn seconds(span: Duration) -> Result<i64, ReadError> {
    i64::try_from(span.as_secs()).map_err(|_| ReadError::Defect)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_complete_is_read() {
        let cases = [
            ("2026-10-01T12:02:00Z", 60, "2026-10-01T12:00:00Z"),
            ("2026-10-01T12:02:59.9Z", 60, "2026-10-01T12:00:00Z"),
            ("2026-10-01T12:03:00Z", 60, "2026-10-01T12:01:00Z"),
            ("2026-10-01T12:06:59Z", 300, "2026-10-01T12:00:00Z"),
            ("2026-10-01T12:07:00Z", 300, "2026-10-01T12:05:00Z"),
        ];
        for (now, period, end) in cases {
            let window = Window::at(now.parse().unwrap(), Duration::from_secs(period)).unwrap();
            assert_eq!(window.end().unwrap().to_string(), end, "{now}");
            assert_eq!(window.end - window.start, 3600);
        }
    }

    #[test]
    fn datapoints_belong_to_a_period_or_are_refused() {
        let window = Window { start: 0, end: 3600, period: 60 };
        assert_eq!(window.period_at(3540, 0, "total").unwrap(), 3540);
        assert_eq!(window.period_at(3600, 0, "total"), Err(ReadError::Malformed), "not complete");
        assert_eq!(window.period_at(-60, 0, "total"), Err(ReadError::Malformed), "not asked for");
        for (seconds, nanos) in [(30, 0), (60, 1)] {
            let error = window.period_at(seconds, nanos, "total").unwrap_err().to_string();
            assert!(error.contains("{{period}}"), "{error}");
        }
    }
}
