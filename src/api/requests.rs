//! The two annotations by which people and CI steer a run. They name the run and step that the person saw, so
//! that a late click can't act on something else.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::text::one_line;

/// Holds an [`Abort`]. Never overwritten by another request.
pub const ABORT_ANNOTATION: &str = "tidegate.dev/abort";
/// Holds a [`Request`].
pub const REQUEST_ANNOTATION: &str = "tidegate.dev/request";

/// Whoever may annotate a Rollout writes what he likes, and it goes on into status, Events and notices: so many characters of
/// the names that people give themselves are kept.
const LONGEST_BY: usize = 256;
/// The same of a reason.
const LONGEST_REASON: usize = 512;
/// The longest id of a request, in bytes. Cut, two of them could be taken for one: a longer one is refused.
const LONGEST_ID: usize = 128;
/// How much is told of why an annotation can't be read: the reader repeats words of it.
const LONGEST_WHY: usize = 200;

/// Ends a run: all traffic back on stable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Abort {
    /// The run to end.
    pub run: i64,
    /// Who asks, by their own word; the API server's audit log knows better.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Why, in the person's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Anything else that people may ask of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// What to do.
    pub action: RequestAction,
    /// The run that the person saw.
    pub run: i64,
    /// The step that the person saw.
    pub step: i32,
    /// Who asks, by their own word.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Makes the request unique: an id is taken once in a run.
    pub id: String,
}

/// What a request may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RequestAction {
    /// End this step's hold, approval or pause.
    Promote,
    /// Go to 100 and finish.
    PromoteFull,
    /// Try a failed target again, as a new run from 0.
    Retry,
    /// Stay where it is until `resume`.
    Pause,
    /// Go on from a pause; outside a run: restore the weights once more.
    Resume,
    /// Go back to stable. Only ever told of an `abort` annotation; as a `request` it is refused.
    Abort,
}

impl RequestAction {
    /// The word that people write.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Promote => "promote",
            Self::PromoteFull => "promote-full",
            Self::Retry => "retry",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Abort => "abort",
        }
    }
}

/// What became of the last request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastRequest {
    /// The request's id; for an abort, its run and time. For an unreadable annotation, a digest of it.
    pub id: String,
    /// What was asked, where that could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<RequestAction>,
    /// Who asked, by their own word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Accepted or refused.
    pub outcome: RequestOutcome,
    /// Why, in a sentence.
    pub message: String,
    /// When it was taken.
    pub at: Timestamp,
}

/// Accepted or refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RequestOutcome {
    /// It takes effect.
    Accepted,
    /// It does not; the message says why.
    Refused,
}

/// Why an annotation can't be taken as a request.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// Not the JSON that the annotation holds. No more of the annotation's own text is repeated than the word that is wrong.
    #[error("the annotation {annotation} can't be read ({why}); it must be JSON like {example}")]
    Unreadable {
        /// The annotation's key.
        annotation: &'static str,
        /// An example of the right form.
        example: &'static str,
        /// What is wrong, and where.
        why: String,
    },
    /// An id that nobody could keep, or none.
    #[error("the id of the annotation {REQUEST_ANNOTATION} must have 1 to {LONGEST_ID} bytes")]
    Id,
}

impl RequestError {
    fn unreadable(annotation: &'static str, example: &'static str, error: &serde_json::Error) -> Self {
        Self::Unreadable { annotation, example, why: one_line(&error.to_string(), LONGEST_WHY) }
    }
}

impl Abort {
    /// Reads the annotation's value. However long its texts are, it is an abort; one line of each is kept.
    pub fn parse(text: &str) -> Result<Self, RequestError> {
        const EXAMPLE: &str =
            r#"{"run":3,"by":"ann","at":"2026-01-31T03:00:00Z","reason":"errors in checkout"}"#;
        let abort: Self = serde_json::from_str(text)
            .map_err(|error| RequestError::unreadable(ABORT_ANNOTATION, EXAMPLE, &error))?;
        let reason = abort.reason.map(|reason| one_line(&reason, LONGEST_REASON));
        Ok(Self { by: one_line(&abort.by, LONGEST_BY), reason, ..abort })
    }

    /// The id under which it is remembered.
    pub fn id(&self) -> String {
        format!("abort-{}-{}", self.run, self.at)
    }
}

impl Request {
    /// Reads the annotation's value. One line is kept of who asks.
    pub fn parse(text: &str) -> Result<Self, RequestError> {
        const EXAMPLE: &str =
            r#"{"action":"promote","run":3,"step":2,"by":"ann","at":"2026-01-31T03:00:00Z","id":"7f3a"}"#;
        let request: Self = serde_json::from_str(text)
            .map_err(|error| RequestError::unreadable(REQUEST_ANNOTATION, EXAMPLE, &error))?;
        if !(1..=LONGEST_ID).contains(&request.id.len()) {
            return Err(RequestError::Id);
        }
        Ok(Self { by: one_line(&request.by, LONGEST_BY), ..request })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const AT: &str = "2026-01-31T03:00:00Z";

    #[test]
    fn what_people_say_of_themselves_is_one_line_of_bounded_length() {
        let long = "é\n".repeat(100_000);
        let abort = json!({"run": i64::MAX, "by": long, "at": AT, "reason": long});
        let abort = Abort::parse(&abort.to_string()).unwrap();
        let length = |text: &str| text.chars().count();
        let reason = abort.reason.as_deref().unwrap();
        assert_eq!((abort.run, length(&abort.by), length(reason)), (i64::MAX, LONGEST_BY, LONGEST_REASON));
        assert!(!format!("{}{reason}", abort.by).contains('\n'));
        let abort = Abort::parse(&json!({"run": 1, "by": "ann", "at": AT}).to_string()).unwrap();
        assert_eq!((abort.by.as_str(), abort.reason), ("ann", None));

        let asked = |by: &str, id: &str| {
            json!({"action": "pause", "run": 1, "step": 1, "by": by, "at": AT, "id": id}).to_string()
        };
        let request = Request::parse(&asked(&long, "7f3a")).unwrap();
        assert_eq!((length(&request.by), request.id.as_str()), (LONGEST_BY, "7f3a"));
        assert!(Request::parse(&asked("ann", &"i".repeat(LONGEST_ID))).is_ok());
        for id in ["", &"i".repeat(LONGEST_ID + 1)] {
            let error = Request::parse(&asked("ann", id)).unwrap_err();
            assert!(error.to_string().ends_with("must have 1 to 128 bytes"), "{error}");
        }
    }

    #[test]
    fn why_an_annotation_cant_be_read_is_told_in_a_few_words() {
        let huge = "x".repeat(100_000);
        let word = json!({"action": huge, "run": 1, "step": 1, "by": "a", "at": AT, "id": "1"}).to_string();
        let short = |error: RequestError| {
            let told = error.to_string();
            assert!(told.contains("can't be read") && told.len() < 500, "{told}");
        };
        short(Request::parse(&word).unwrap_err());
        for text in [huge.clone(), json!(huge).to_string(), json!({"run": huge}).to_string()] {
            short(Request::parse(&text).unwrap_err());
            short(Abort::parse(&text).unwrap_err());
        }
        // No number is rounded into another one.
        for run in ["1e3", "9223372036854775808", "-9223372036854775809", "1.5", "\"1\""] {
            let text = format!(r#"{{"run":{run},"by":"ann","at":"{AT}"}}"#);
            assert!(Abort::parse(&text).is_err(), "{run}");
        }
    }
}
