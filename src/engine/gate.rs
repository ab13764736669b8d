//! What is asked of gates at one moment, and what they answer. Plain data.

use crate::api::{GateAnswer, GateTime};

/// Questions to the gates of one run, all asked at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskRequest {
    /// The Rollout's namespace.
    pub namespace: String,
    /// The Rollout's name.
    pub rollout: String,
    /// The Rollout's UID.
    pub uid: String,
    /// The run.
    pub run: i64,
    /// How many steps it has.
    pub steps: i32,
    /// What has the traffic that the canary has not.
    pub stable: String,
    /// What the run is about.
    pub canary: String,
    /// To whom, and about what.
    pub questions: Vec<Question>,
}

/// A question to one gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The gate, by its name in the controller's configuration.
    pub gate: String,
    /// When it is asked.
    pub when: GateTime,
    /// The step that it is about; with `Before`, the one that is to come.
    pub step: i32,
    /// The canary's share of that step, in percent.
    pub weight: i64,
    /// How many requests it copies to the canary, in percent; none where it is no step with a mirror.
    pub mirror: Option<i32>,
}

/// Answers that have come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskDone {
    /// The run that asked.
    pub run: i64,
    /// The step that it was at.
    pub step: i32,
    /// One for each question.
    pub answers: Vec<Answered>,
}

/// The answer to one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The question.
    pub question: Question,
    /// What the gate says; [`GateAnswer::Down`] where it gave no answer that counts.
    pub answer: GateAnswer,
    /// Its sentence, or why it gave none: one line, never more of a response than the sentence that it is to hold.
    pub sentence: String,
}
