//! What holds for every look, whatever was answered.

use std::error::Error;

use tidegate::engine::look::{Arms, Counters, Look, ReadError, Snapshot};

/// Stands in the seeds' answers, and must stand in no error.
pub const SECRET: &str = "hunter2";

/// Panics unless a look is sound.
pub fn look(look: &Look) {
    match &look.arms {
        Some(Ok(arms)) => self::arms(arms),
        Some(Err(error)) => refusal(error),
        None => {}
    }
    for sample in look.numbers.values() {
        match sample {
            Ok(sample) => assert!(sample.value.is_finite(), "{sample:?}"),
            Err(error) => refusal(error),
        }
    }
}

/// Panics unless both arms can be reckoned with.
pub fn arms(arms: &Arms) {
    let past = arms.past.iter().map(|(_, counters)| counters);
    for counters in [&arms.canary, &arms.stable].into_iter().chain(past) {
        self::counters(counters);
    }
    assert!(!(arms.canary.total.is_empty() && arms.stable.total.is_empty()), "nothing is no look");
    assert!(arms.past.is_sorted_by(|(one, _), (next, _)| one < next), "each time once, oldest first");
}

fn counters(counters: &Counters) {
    snapshot(&counters.errors);
    snapshot(&counters.total);
    for (bound, within) in &counters.buckets {
        assert!(!bound.is_nan(), "{bound}");
        snapshot(within);
    }
    assert!(counters.buckets.is_sorted_by(|(one, _), (next, _)| one < next), "each bound once, ascending");
}

fn snapshot(snapshot: &Snapshot) {
    assert!(snapshot.values().all(|value| value.is_finite() && *value >= 0.0), "no counts: {snapshot:?}");
}

/// Panics unless an error is a sentence that says nothing of the answer.
pub fn refusal(error: &ReadError) {
    assert_ne!(*error, ReadError::Defect);
    sentence(error);
    assert!(!format!("{error} {error:?}").contains(SECRET), "{error:?}");
}

/// Panics unless an error is a sentence.
pub fn sentence(error: &dyn Error) {
    assert!(error.to_string().split_whitespace().count() > 2, "{error:?}");
}
