//! A run over traffic that was recorded: what each look would have seen, and when another rule would have acted.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{
    course::Traffic,
    rivals::{Memory, Rival},
};
use crate::{
    analysis::{Batch, increment},
    engine::look::{Arms, Counters, Look, LookRequest, ReadError, Sample},
    metrics::Recording,
};

/// How much of stable's past a look may ask for, and the distance of its snapshots.
const HOUR: SignedDuration = SignedDuration::from_hours(1);
const BIN: SignedDuration = SignedDuration::from_mins(5);

/// Recorded traffic. It does not care which share the run would have given.
pub struct Yesterday<'a> {
    recording: &'a Recording,
    interval: SignedDuration,
}

impl<'a> Yesterday<'a> {
    /// A recording with a look each `interval`.
    pub fn new(recording: &'a Recording, interval: Duration) -> Self {
        let interval = SignedDuration::try_from(interval).unwrap_or(SignedDuration::MAX);
        Self { recording, interval }
    }

    /// The newest of what was there at a time, unless that is too long ago to be an answer to a look.
    fn newest<'b, T>(&self, all: &'b [T], of: impl Fn(&T) -> Timestamp, at: Timestamp) -> Option<&'b T> {
        let lag = SignedDuration::try_from(self.recording.lag).unwrap_or_default();
        let at = at.checked_sub(lag).ok()?;
        let place = all.partition_point(|one| of(one) <= at).checked_sub(1)?;
        all.get(place).filter(|one| at.duration_since(of(one)) < self.interval.saturating_mul(2))
    }

    fn arms(&self, request: &LookRequest, at: Timestamp) -> Option<Result<Arms, ReadError>> {
        let asked = request.arms.as_ref()?;
        let Some(found) = self.newest(&self.recording.arms, |arms| arms.at, at) else {
            return Some(Err(ReadError::Empty { query: "total".to_owned() }));
        };
        let past = if asked.past.is_some() { self.past(found.at) } else { Vec::new() };
        Some(Ok(Arms { past, ..found.clone() }))
    }

    /// Stable's hour before a time.
    fn past(&self, until: Timestamp) -> Vec<(Timestamp, Counters)> {
        let mut past: Vec<(Timestamp, Counters)> = Vec::new();
        for arms in &self.recording.arms {
            let ago = until.duration_since(arms.at);
            let apart = past.last().is_none_or(|(last, _)| arms.at.duration_since(*last) >= BIN);
            if ago >= SignedDuration::ZERO && ago <= HOUR && apart && !arms.stable.total.is_empty() {
                past.push((arms.at, arms.stable.clone()));
            }
        }
        past
    }

    /// When a rule of others would have ended a run that began at a time, had the canary had its traffic all the while.
    pub fn ended_by(&self, rule: Rival, from: Timestamp) -> Option<Timestamp> {
        let mut memory = Memory::default();
        let since = self.recording.arms.iter().filter(|arms| arms.at >= from);
        since.clone().zip(since.skip(1)).find_map(|(before, now)| {
            let (x, m) = counted(&before.canary, &now.canary);
            let (y, n) = counted(&before.stable, &now.stable);
            let look = Batch::new(x, m, y, n);
            look.is_ok_and(|look| rule.ends(&mut memory, 1, look)).then_some(now.at)
        })
    }

    /// How many canary requests failed between two times.
    pub fn failed_between(&self, from: Timestamp, to: Timestamp) -> f64 {
        let between = self.recording.arms.iter().filter(|arms| arms.at >= from && arms.at <= to);
        between
            .clone()
            .zip(between.skip(1))
            .map(|(before, now)| increment(Some(&before.canary.errors), &now.canary.errors))
            .sum()
    }
}

/// What failed and what there was in all between two looks.
fn counted(before: &Counters, now: &Counters) -> (f64, f64) {
    (increment(Some(&before.errors), &now.errors), increment(Some(&before.total), &now.total))
}

impl Traffic for Yesterday<'_> {
    fn pass(&mut self, _: Duration, _: i64) {}

    fn look(&mut self, request: &LookRequest, at: Timestamp) -> Look {
        let numbers = request.numbers.iter().map(|number| {
            let all = self.recording.numbers.get(number).map(Vec::as_slice).unwrap_or_default();
            let found = self.newest(all, |sample: &Sample| sample.at, at).copied();
            (number.name.clone(), found.ok_or_else(|| ReadError::Empty { query: number.name.clone() }))
        });
        Look { arms: self.arms(request, at), numbers: numbers.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_767_225_600 + seconds).unwrap()
    }

    /// Looks each 10 s for two minutes, with a hole of 40 s; the canary fails half from the first minute on.
    fn recording() -> Recording {
        let counters = |errors: f64, total: f64| Counters {
            errors: [(String::new(), errors)].into(),
            total: [(String::new(), total)].into(),
            buckets: vec![],
        };
        let arms = (0..=12).filter(|look| !(3..=6).contains(look)).map(|look: i32| Arms {
            at: time(i64::from(look) * 10),
            canary: counters(f64::from((look - 6).max(0)) * 50.0, f64::from(look) * 100.0),
            stable: counters(0.0, f64::from(look) * 900.0),
            past: vec![],
        });
        Recording { arms: arms.collect(), ..Recording::default() }
    }

    #[test]
    fn a_hole_is_no_answer_and_what_comes_next_to_a_look_is() {
        let recording = recording();
        let yesterday = Yesterday::new(&recording, Duration::from_secs(10));
        let seen = |at| yesterday.newest(&recording.arms, |arms| arms.at, time(at)).map(|arms| arms.at);
        assert_eq!(seen(-1), None);
        assert_eq!(seen(14), Some(time(10)));
        assert_eq!(seen(39), Some(time(20)));
        assert_eq!(seen(45), None, "nothing was scraped");
        assert_eq!(seen(70), Some(time(70)));
    }

    #[test]
    fn another_rule_acts_on_the_same_counts() {
        let recording = recording();
        let yesterday = Yesterday::new(&recording, Duration::from_secs(10));
        let rule = Rival::Threshold { limit: 0.05, in_a_row: 3 };
        // The first increment after the hole, and the two after that.
        assert_eq!(yesterday.ended_by(rule, time(0)), Some(time(90)));
        assert!((yesterday.failed_between(time(70), time(90)) - 100.0).abs() < 1e-9);
        assert_eq!(yesterday.ended_by(rule, time(100)), None);
    }
}
