//! Recorded counts of one metric, judged look by look: what the evidence was each time, and what it said.

use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use crate::analysis::{Batch, BatchError, Level, Sequence, SequenceConfig, Verdict};

/// A metric's counts, as they were recorded.
#[derive(Clone, Debug, Deserialize)]
pub struct Recorded {
    /// What it is called.
    #[serde(default = "unnamed")]
    pub id: String,
    /// By what it is judged; what is left out has the default.
    #[serde(default)]
    pub config: Config,
    /// The looks in their order.
    pub polls: Vec<Poll>,
}

/// Far beyond what a level or a burst can be.
const LARGEST_RATIO: f64 = 1000.0;

fn unnamed() -> String {
    "recorded".to_owned()
}

/// One look: the step that it was made in, x of m canary requests and y of n stable ones that failed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Poll {
    /// The step.
    pub step: i32,
    /// Failed canary requests.
    pub x: f64,
    /// Canary requests.
    pub m: f64,
    /// Failed stable requests.
    pub y: f64,
    /// Stable requests.
    pub n: f64,
}

/// The levels and bounds of a test; see [`SequenceConfig`].
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    alpha: f64,
    beta: f64,
    metrics: i32,
    steps: i32,
    planned_polls: i32,
    tolerate: Share,
    catch: Share,
    burst: f64,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Share {
    ratio: f64,
    absolute: f64,
}

impl From<Level> for Share {
    fn from(Level { ratio, absolute }: Level) -> Self {
        Self { ratio, absolute }
    }
}

impl From<Share> for Level {
    fn from(Share { ratio, absolute }: Share) -> Self {
        Self { ratio, absolute }
    }
}

impl Default for Config {
    fn default() -> Self {
        let SequenceConfig { alpha, beta, metrics, steps, planned_polls, tolerate, catch, burst } =
            SequenceConfig::default();
        let (tolerate, catch) = (tolerate.into(), catch.into());
        Self { alpha, beta, metrics, steps, planned_polls, tolerate, catch, burst }
    }
}

impl Config {
    /// What it must be and is not; nothing could be reckoned with it.
    fn lacks(&self) -> Option<&'static str> {
        let probability = |value: f64| value > 0.0 && value < 1.0;
        let level = |Share { ratio, absolute }| {
            (0.0..=LARGEST_RATIO).contains(&ratio) && (0.0..=1.0).contains(&absolute)
        };
        let rules = [
            (probability(self.alpha) && probability(self.beta), "alpha and beta must be between 0 and 1"),
            (
                self.metrics >= 1 && self.steps >= 1 && self.planned_polls >= 1,
                "metrics, steps and planned_polls must be at least 1",
            ),
            (
                level(self.tolerate) && level(self.catch),
                "a ratio must be from 0 to 1000, an absolute from 0 to 1",
            ),
            ((1.0..=LARGEST_RATIO).contains(&self.burst), "burst must be from 1 to 1000"),
        ];
        rules.into_iter().find_map(|(holds, must)| (!holds).then_some(must))
    }
}

impl From<Config> for SequenceConfig {
    fn from(config: Config) -> Self {
        let Config { alpha, beta, metrics, steps, planned_polls, tolerate, catch, burst } = config;
        let (tolerate, catch) = (tolerate.into(), catch.into());
        Self { alpha, beta, metrics, steps, planned_polls, tolerate, catch, burst }
    }
}

/// A metric, judged.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Replayed {
    /// What it is called.
    pub id: String,
    /// ln E from which it fails.
    pub fails_at: f64,
    /// ln E from which it is safe.
    pub safe_at: f64,
    /// Each look.
    pub polls: Vec<PollSeen>,
    /// The first look that said Fail, counted from 0.
    pub first_fail: Option<usize>,
    /// The first that said Safe.
    pub first_safe: Option<usize>,
}

/// A look, and the evidence after it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PollSeen {
    /// The counts.
    #[serde(flatten)]
    pub poll: Poll,
    /// ln E of harm.
    #[serde(serialize_with = "spelled")]
    pub log_e_harm: f64,
    /// ln E of safety.
    #[serde(serialize_with = "spelled")]
    pub log_e_safe: f64,
    /// What it says.
    pub verdict: Verdict,
}

/// JSON has no infinity.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn spelled<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if value.is_finite() { serializer.serialize_f64(*value) } else { serializer.serialize_str("-inf") }
}

/// Why recorded counts can't be judged.
#[derive(Debug, thiserror::Error)]
pub enum RecordedError {
    /// It is no JSON.
    #[error("the file is not JSON")]
    Json(#[source] serde_json::Error),
    /// It is no record of looks.
    #[error(
        "sequence {at} can't be read; it must be like {{\"id\": \"errors\", \"polls\": [{{\"step\": 0, \"x\": 1, \"m\": 600, \
         \"y\": 5, \"n\": 5400}}]}}"
    )]
    Shape {
        /// Which, counted from 0.
        at: usize,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// An impossible test.
    #[error("the config of the sequence {id} is impossible: {must}")]
    Config {
        /// The sequence.
        id: String,
        /// What it must be.
        must: &'static str,
    },
    /// Impossible counts.
    #[error("poll {poll} of the sequence {id} has impossible counts")]
    Counts {
        /// The sequence.
        id: String,
        /// The look, counted from 0.
        poll: usize,
        /// What is wrong.
        source: BatchError,
    },
}

/// Reads one sequence, a list of them, or an object whose `sequences` is one.
pub fn read(text: &str) -> Result<Vec<Recorded>, RecordedError> {
    let mut whole: Value = serde_json::from_str(text).map_err(RecordedError::Json)?;
    let all = match whole.get_mut("sequences") {
        Some(sequences) => sequences.take(),
        None => whole,
    };
    let all = match all {
        Value::Array(all) => all,
        one => vec![one],
    };
    let one =
        |(at, value)| serde_json::from_value(value).map_err(|source| RecordedError::Shape { at, source });
    all.into_iter().enumerate().map(one).collect()
}

/// Judges a metric look by look, past the first Fail too.
pub fn replay(recorded: &Recorded) -> Result<Replayed, RecordedError> {
    if let Some(must) = recorded.config.lacks() {
        return Err(RecordedError::Config { id: recorded.id.clone(), must });
    }
    let config = SequenceConfig::from(recorded.config);
    let mut sequence = Sequence::new();
    let mut polls = Vec::with_capacity(recorded.polls.len());
    for (at, poll) in recorded.polls.iter().enumerate() {
        let Poll { step, x, m, y, n } = *poll;
        let batch = Batch::new(x, m, y, n).map_err(|source| RecordedError::Counts {
            id: recorded.id.clone(),
            poll: at,
            source,
        })?;
        sequence.update(&config, step, batch);
        polls.push(PollSeen {
            poll: *poll,
            log_e_harm: sequence.log_e_harm(),
            log_e_safe: sequence.log_e_safe(),
            verdict: sequence.verdict(&config),
        });
    }
    let first = |verdict| polls.iter().position(|seen: &PollSeen| seen.verdict == verdict);
    Ok(Replayed {
        id: recorded.id.clone(),
        fails_at: config.fail_threshold(),
        safe_at: config.safe_threshold(),
        first_fail: first(Verdict::Fail),
        first_safe: first(Verdict::Safe),
        polls,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_s_own_sequences_are_one_accepted_form() {
        let text = include_str!("../../tests/data/analysis/vectors.json");
        let vectors: Value = serde_json::from_str(text).unwrap();
        for (recorded, wanted) in read(text).unwrap().iter().zip(vectors["sequences"].as_array().unwrap()) {
            let replayed = replay(recorded).unwrap();
            let place = |place: Option<usize>| serde_json::json!(place);
            assert_eq!(place(replayed.first_fail), wanted["first_fail"], "{}", recorded.id);
            assert_eq!(place(replayed.first_safe), wanted["first_safe"], "{}", recorded.id);
            let verdicts = replayed.polls.iter().map(|seen| seen.verdict.label());
            let known =
                wanted["expected"].as_array().unwrap().iter().map(|one| one["verdict"].as_str().unwrap());
            assert!(verdicts.eq(known), "{}", recorded.id);
        }
    }

    #[test]
    fn a_list_and_a_single_one_are_read_too_and_what_is_wrong_is_named() {
        let poll = r#"{"step": 0, "x": 1, "m": 10, "y": 0, "n": 10}"#;
        let one = format!(r#"{{"polls": [{poll}]}}"#);
        for text in [one.clone(), format!("[{one}]"), format!(r#"{{"sequences": [{one}]}}"#)] {
            assert_eq!(read(&text).unwrap()[0].polls.len(), 1, "{text}");
        }
        let cases = [
            ("{", "not JSON"),
            (r#"{"poll": []}"#, "sequence 0 can't be read"),
            (r#"{"polls": [{"step": 0, "x": 1, "m": 10, "y": 0}]}"#, "sequence 0 can't be read"),
            (
                r#"{"polls": [{"step": 0, "x": 11, "m": 10, "y": 0, "n": 10}]}"#,
                "poll 0 of the sequence recorded",
            ),
            (r#"{"config": {"burst": 0}, "polls": []}"#, "burst must be from 1"),
            (r#"{"config": {"alpha": 1}, "polls": []}"#, "between 0 and 1"),
            (r#"{"config": {"steps": 0}, "polls": []}"#, "at least 1"),
            (r#"{"config": {"catch": {"ratio": -1, "absolute": 0}}, "polls": []}"#, "a ratio must be"),
        ];
        for (text, part) in cases {
            let told = read(text).and_then(|all| replay(&all[0])).unwrap_err().to_string();
            assert!(told.contains(part), "{told}");
        }
    }
}
