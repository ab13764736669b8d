//! The two annotations by which people and CI steer a run. They name the run and step that the person saw, so
//! that a late click can't act on something else.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Holds an [`Abort`]. Never overwritten by another request.
pub const ABORT_ANNOTATION: &str = "tidegate.dev/abort";
/// Holds a [`Request`].
pub const REQUEST_ANNOTATION: &str = "tidegate.dev/request";

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
    /// Not the JSON that the annotation holds. The annotation's own text is not repeated.
    #[error("the annotation {annotation} can't be read ({source}); it must be JSON like {example}")]
    Unreadable {
        /// The annotation's key.
        annotation: &'static str,
        /// An example of the right form.
        example: &'static str,
        /// Where it is wrong.
        source: serde_json::Error,
    },
}

impl Abort {
    /// Reads the annotation's value.
    pub fn parse(text: &str) -> Result<Self, RequestError> {
        serde_json::from_str(text).map_err(|source| RequestError::Unreadable {
            annotation: ABORT_ANNOTATION,
            example: r#"{"run":3,"by":"ann","at":"2026-01-31T03:00:00Z","reason":"errors in checkout"}"#,
            source,
        })
    }

    /// The id under which it is remembered.
    pub fn id(&self) -> String {
        format!("abort-{}-{}", self.run, self.at)
    }
}

impl Request {
    /// Reads the annotation's value.
    pub fn parse(text: &str) -> Result<Self, RequestError> {
        serde_json::from_str(text).map_err(|source| RequestError::Unreadable {
            annotation: REQUEST_ANNOTATION,
            example: r#"{"action":"promote","run":3,"step":2,"by":"ann","at":"2026-01-31T03:00:00Z","id":"7f3a"}"#,
            source,
        })
    }
}
