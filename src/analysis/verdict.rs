//! What a metric says about the canary.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a metric says about the canary at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub enum Verdict {
    /// The canary is surely worse than tolerated. One such metric rolls the run back.
    Fail,
    /// The canary is surely better than the level that must not pass unnoticed.
    Safe,
    /// The value of a plain metric is within its bounds.
    Pass,
    /// Nothing is sure yet.
    Collecting,
    /// The metric could not be read for several looks in a row. It neither fails nor passes anything.
    Error,
}

impl Verdict {
    /// The verdict's name as stored and shown; also a bounded metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Fail => "Fail",
            Self::Safe => "Safe",
            Self::Pass => "Pass",
            Self::Collecting => "Collecting",
            Self::Error => "Error",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.label())
    }
}

#[cfg(test)]
mod tests {
    use super::Verdict;

    #[test]
    fn is_stored_under_the_name_it_is_shown_by() {
        for verdict in [Verdict::Fail, Verdict::Safe, Verdict::Pass, Verdict::Collecting, Verdict::Error] {
            let stored = serde_json::to_value(verdict).expect("a string");
            assert_eq!(stored, verdict.to_string());
            assert_eq!(serde_json::from_value::<Verdict>(stored).expect("its own name"), verdict);
        }
    }
}
