//! What the controller tells of itself at `/metrics`. Every metric is defined once (`definitions`), with all that its labels
//! may be; a value that is in no list is counted as `other`, so that no text of anybody's makes a series.
//!
//! What happens is counted here as it happens. How Rollouts stand is not kept: each scrape reads it from what the watch
//! has shown (`standings`), so that a Rollout that is gone leaves nothing behind.

mod calls;
pub mod definitions;
mod happenings;
mod labels;
mod process;
mod registered;
mod scrape;
mod standings;

use std::{fmt, time::Duration};

use jiff::Timestamp;
use prometheus_client::{encoding::text, registry::Registry};

pub use calls::counted;
pub use labels::purpose;
pub use scrape::Scrape;
pub use standings::Standing;

use self::{
    definitions as known,
    happenings::Happening,
    registered::{Counted, Level, Span, Timed, Total, info},
};
use crate::{
    api::{GateAnswer, RolloutStatus},
    engine::look::ReadError,
};

/// Upper bounds for what computers do, in seconds.
const MOMENTS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// Upper bounds for turns, in seconds: most of them wait for nothing.
const TURNS: [f64; 10] = [0.000_25, 0.001, 0.004, 0.016, 0.064, 0.25, 1.0, 4.0, 16.0, 64.0];
/// Upper bounds for steps, in seconds: from ten seconds to a day.
const STEPS: [f64; 11] = [10.0, 30.0, 60.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0, 43200.0, 86400.0];
/// Upper bounds for runs, in seconds: from a minute to a week.
const RUNS: [f64; 11] =
    [60.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0, 28800.0, 86400.0, 259_200.0, 604_800.0];

/// What is counted as it happens.
#[derive(Debug)]
pub struct Meters {
    registry: Registry,
    shards: Level,
    runs_started: Total,
    runs: Counted<1>,
    run_seconds: Timed<1>,
    step_seconds: Span,
    pauses: Counted<1>,
    verdicts: Counted<1>,
    turns: Total,
    turn_seconds: Span,
    errors: Counted<1>,
    requests: Counted<3>,
    request_seconds: Timed<1>,
    writes: Counted<2>,
    notes_dropped: Total,
    gates: Counted<2>,
    notices: Counted<2>,
    reads: Counted<2>,
    read_seconds: Timed<1>,
}

impl Meters {
    /// All of them, at zero: a counter that is born at 1 would hide the first one from who asks for an increase.
    pub fn new() -> Self {
        let mut registry = Registry::default();
        info(&mut registry, &known::BUILD, [env!("CARGO_PKG_VERSION")]);
        let into = &mut registry;
        Self {
            shards: Level::new(into, &known::SHARDS),
            runs_started: Total::new(into, &known::RUNS_STARTED),
            runs: Counted::new(into, &known::RUNS).at_zero(),
            run_seconds: Timed::new(into, &known::RUN_SECONDS, &RUNS),
            step_seconds: Span::new(into, &known::STEP_SECONDS, &STEPS),
            pauses: Counted::new(into, &known::PAUSES).at_zero(),
            verdicts: Counted::new(into, &known::VERDICTS).at_zero(),
            turns: Total::new(into, &known::RECONCILES),
            turn_seconds: Span::new(into, &known::RECONCILE_SECONDS, &TURNS),
            errors: Counted::new(into, &known::ERRORS).at_zero(),
            requests: Counted::new(into, &known::API_REQUESTS),
            request_seconds: Timed::new(into, &known::API_SECONDS, &MOMENTS),
            writes: Counted::new(into, &known::API_WRITES),
            notes_dropped: Total::new(into, &known::EVENTS_DROPPED),
            gates: Counted::new(into, &known::GATE_ANSWERS),
            notices: Counted::new(into, &known::NOTICES),
            reads: Counted::new(into, &known::PROVIDER_READS),
            read_seconds: Timed::new(into, &known::PROVIDER_SECONDS, &MOMENTS),
            registry,
        }
    }

    /// A turn is over.
    pub fn turn(&self, took: Duration) {
        self.turns.count();
        self.turn_seconds.took(took);
    }

    /// Something failed.
    pub fn error(&self, label: &'static str) {
        self.errors.count([label]);
    }

    /// The API server answered a request, or not.
    fn request(&self, verb: &str, resource: &str, code: &str, took: Duration) {
        self.requests.count([verb, resource, code]);
        self.request_seconds.took([verb], took);
    }

    /// A write to the API server was answered, or not.
    pub fn write(&self, purpose: &'static str, stored: bool) {
        self.writes.count([purpose, if stored { "stored" } else { "failed" }]);
    }

    /// A status was stored in place of another one. To be told once of each.
    pub fn stored(&self, before: &RolloutStatus, after: &RolloutStatus, now: Timestamp) {
        for happening in happenings::of(before, after, now) {
            match happening {
                Happening::RunStarted => self.runs_started.count(),
                Happening::RunEnded { outcome, took } => {
                    self.runs.count([labels::outcome(outcome)]);
                    self.run_seconds.took([labels::outcome(outcome)], took);
                }
                Happening::StepEnded { took } => self.step_seconds.took(took),
                Happening::Paused(reason) => self.pauses.count([reason.word()]),
                Happening::Judged(verdict) => self.verdicts.count([verdict.label()]),
            }
        }
    }

    /// A provider was read, or could not be. It is a name from the configuration; `None` is none that it has.
    pub fn read(&self, provider: Option<&str>, error: Option<&ReadError>, took: Duration) {
        let provider = provider.unwrap_or("unknown");
        self.reads.count([provider, labels::read(error)]);
        self.read_seconds.took([provider], took);
    }

    /// A gate answered, or not. It is a name from the configuration; `None` is none that it has.
    pub fn gate(&self, gate: Option<&str>, answer: GateAnswer) {
        self.gates.count([gate.unwrap_or("unknown"), labels::answer(answer)]);
    }

    /// A receiver was told of a notice: it took it, or not.
    pub fn notice(&self, receiver: &str, taken: bool) {
        self.notices.count([receiver, if taken { "taken" } else { "failed" }]);
    }

    /// Among how many controllers the Rollouts are shared.
    pub fn shards(&self, count: usize) {
        self.shards.set(count);
    }

    /// An Event was not sent.
    pub fn note_dropped(&self) {
        self.notes_dropped.count();
    }

    /// Writes them in the OpenMetrics text format, without its end.
    fn write_to(&self, out: &mut String) -> fmt::Result {
        text::encode_registry(out, &self.registry)
    }
}

impl Default for Meters {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
