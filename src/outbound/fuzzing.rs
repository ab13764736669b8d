//! The door that fuzzers come in by: clients that ask nobody, and are answered what a fuzzer makes up.
//!
//! It is there only under `--cfg fuzzing`, as cargo-fuzz builds. All else is as in the product: a look takes these
//! answers as it takes those of a server, so what is tried is not a second way of reading them.

use std::{cell::RefCell, collections::VecDeque};

use reqwest::StatusCode;

use super::Answer;

thread_local! {
    static ANSWERS: RefCell<VecDeque<(StatusCode, Vec<u8>)>> = const { RefCell::new(VecDeque::new()) };
}

/// What this thread's clients are answered from now on: these bodies in turn, again and again.
pub fn answer(status: StatusCode, bodies: impl IntoIterator<Item = Vec<u8>>) {
    ANSWERS.set(bodies.into_iter().map(|body| (status, body)).collect());
}

/// The answer to the next request.
pub(super) fn next() -> Option<Answer> {
    ANSWERS.with_borrow_mut(|answers| {
        let (status, body) = answers.front()?.clone();
        answers.rotate_left(1);
        Some(Answer { status, body })
    })
}
