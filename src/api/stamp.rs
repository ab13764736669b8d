//! The stamp: the annotation that we leave on a route, in the same PATCH as its weights.
//!
//! It says whose the weights are and which step they belong to, so that a controller that knows nothing but the
//! route can tell its own work from somebody else's, and an aborted run from a live one.

use serde::{Deserialize, Serialize};

/// What a stamp's annotation key begins with; the Rollout's name follows.
pub const STAMP_PREFIX: &str = "state.tidegate.dev/";

/// The annotation key of a Rollout's stamp.
pub fn stamp_annotation(rollout: &str) -> String {
    format!("{STAMP_PREFIX}{rollout}")
}

/// Whose a route's weights are. One fixed spelling: the fields in this order, without spaces, so that a JSON
/// Patch can test it as a string.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// The Rollout's UID. A stamp whose Rollout no longer exists binds nobody.
    pub uid: String,
    /// The epoch of the controller that wrote it.
    pub epoch: i64,
    /// The run.
    pub run: i64,
    /// The step whose weights the route has; 0 before the first.
    pub step: i32,
    /// The run was ended: its canary must never rise again.
    pub aborted: bool,
    /// The entries that we added to this route, by name.
    #[serde(default)]
    pub added: Vec<String>,
}

impl Stamp {
    /// The fixed spelling.
    pub fn spelled(&self) -> String {
        // A struct of strings, numbers and a list has no way to fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads a stamp. `None` for anything that we can't have written.
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

/// A stamp as the annotation has it, and what it says. It is read once and asked about all the time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct SpelledStamp {
    text: String,
    says: Option<Stamp>,
}

impl SpelledStamp {
    /// How it is spelled, to the letter.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it says. `None` for anything that we can't have written.
    pub fn says(&self) -> Option<&Stamp> {
        self.says.as_ref()
    }
}

impl From<String> for SpelledStamp {
    fn from(text: String) -> Self {
        Self { says: Stamp::parse(&text), text }
    }
}

impl From<Stamp> for SpelledStamp {
    fn from(stamp: Stamp) -> Self {
        Self { text: stamp.spelled(), says: Some(stamp) }
    }
}

impl From<SpelledStamp> for String {
    fn from(spelled: SpelledStamp) -> Self {
        spelled.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_fixed_spelling() {
        let stamp =
            Stamp { uid: "u".into(), epoch: 3, run: 2, step: 1, aborted: false, added: vec!["v3".into()] };
        let text = r#"{"uid":"u","epoch":3,"run":2,"step":1,"aborted":false,"added":["v3"]}"#;
        assert_eq!(stamp.spelled(), text);
        assert_eq!(Stamp::parse(text), Some(stamp.clone()));
        assert_eq!(SpelledStamp::from(text.to_owned()), stamp.into());
        assert_eq!(Stamp::parse("not json"), None);
        assert_eq!(Stamp::parse(r#"{"uid":"u"}"#), None);
    }
}
