//! One breaker a provider: after a throttle nobody asks for a while, and for longer each time it repeats. Then one
//! call goes first; the others follow once it was answered.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};

use crate::{api::units::spell, engine::look::ReadError};

/// The wait after the first throttle.
const FIRST: Duration = Duration::from_secs(15);
/// The longest wait.
const LONGEST: Duration = Duration::from_mins(5);

/// The breaker.
#[derive(Debug)]
pub(super) struct Breaker {
    /// How long the call that goes first may take before another does.
    trial: Duration,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// Throttles without an answer between them.
    streak: u32,
    /// Nobody asks before.
    until: Option<Timestamp>,
}

/// Leave for a call; its outcome is held against what was known when it began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leave(u32);

impl Breaker {
    pub(super) fn new(trial: Duration) -> Self {
        Self { trial, state: Mutex::default() }
    }

    /// Asks for leave to call.
    pub(super) fn admit(&self, now: Timestamp) -> Result<Leave, ReadError> {
        let mut state = self.state();
        if let Some(until) = state.until {
            let left = until.duration_since(now);
            // A clock that was put back must not keep the breaker open for as long.
            if left.is_positive() && left.unsigned_abs() <= LONGEST.max(self.trial) {
                return Err(ReadError::Throttled(spell(left.unsigned_abs())));
            }
            state.until = Some(later(now, self.trial));
        }
        Ok(Leave(state.streak))
    }

    /// The call was throttled. Calls that were under way together count once.
    pub(super) fn throttled(&self, leave: Leave, now: Timestamp) -> ReadError {
        let mut state = self.state();
        if leave.0 == state.streak {
            state.streak = state.streak.saturating_add(1);
            state.until = Some(later(now, wait(state.streak)));
        }
        ReadError::Throttled(spell(wait(state.streak)))
    }

    /// The call was answered, well or badly.
    pub(super) fn answered(&self, leave: Leave) {
        let mut state = self.state();
        if leave.0 == state.streak {
            *state = State::default();
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wait(streak: u32) -> Duration {
    FIRST.saturating_mul(2_u32.saturating_pow(streak.saturating_sub(1))).min(LONGEST)
}

fn later(now: Timestamp, span: Duration) -> Timestamp {
    SignedDuration::try_from(span).ok().and_then(|span| now.checked_add(span).ok()).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + seconds).unwrap()
    }

    fn told(outcome: Result<Leave, ReadError>) -> String {
        match outcome.unwrap_err() {
            ReadError::Throttled(wait) => wait,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn everybody_waits_and_longer_each_time() {
        let breaker = Breaker::new(Duration::from_secs(10));
        let (one, two) = (breaker.admit(at(0)).unwrap(), breaker.admit(at(0)).unwrap());
        breaker.throttled(one, at(0));
        breaker.throttled(two, at(0));
        assert_eq!(told(breaker.admit(at(5))), "10s", "two that were under way together count once");
        let first = breaker.admit(at(15)).unwrap();
        assert_eq!(told(breaker.admit(at(15))), "10s", "one goes first");
        breaker.throttled(first, at(15));
        assert_eq!(told(breaker.admit(at(16))), "29s");
        let first = breaker.admit(at(45)).unwrap();
        breaker.answered(first);
        assert!(breaker.admit(at(45)).is_ok() && breaker.admit(at(45)).is_ok());
    }

    #[test]
    fn the_wait_has_an_end() {
        let breaker = Breaker::new(Duration::from_secs(10));
        let mut now = 0;
        for _ in 0..40 {
            let leave = breaker.admit(at(now)).unwrap();
            breaker.throttled(leave, at(now));
            now += 300;
        }
        let leave = breaker.admit(at(now)).unwrap();
        breaker.throttled(leave, at(now));
        assert_eq!(told(breaker.admit(at(now))), "5m");
        assert!(breaker.admit(at(now - 3600)).is_ok(), "a clock that was put back");
    }

    #[test]
    fn a_late_answer_to_an_older_call_closes_nothing() {
        let breaker = Breaker::new(Duration::from_secs(10));
        let (old, one) = (breaker.admit(at(0)).unwrap(), breaker.admit(at(0)).unwrap());
        breaker.throttled(one, at(0));
        breaker.answered(old);
        assert!(breaker.admit(at(1)).is_err());
    }
}
