//! Gates: webhooks of the controller's configuration that a step waits for. A Rollout names them; where they are is the
//! admin's to say.

use jiff::Timestamp;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The gates of a step, by the names that the controller's configuration gives them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(has(self.before) && size(self.before) > 0) || (has(self.during) && size(self.during) > 0) || (has(self.after) && size(self.after) > 0)")
    .message("gates must name at least one under before, during or after; leave it out where a step waits for none"))]
pub struct Gates {
    /// Asked before the step's weight is given; it is given once all have said yes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 4),
        inner(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))
    )]
    pub before: Vec<String>,
    /// Asked again and again while the weight is in effect; the step ends only while all say yes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 4),
        inner(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))
    )]
    pub during: Vec<String>,
    /// Asked once the hold is over and the metrics allow the next step; it ends once all have said yes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 4),
        inner(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))
    )]
    pub after: Vec<String>,
}

impl Gates {
    /// Those that are asked at a time.
    pub fn at(&self, when: GateTime) -> &[String] {
        match when {
            GateTime::Before => &self.before,
            GateTime::During => &self.during,
            GateTime::After => &self.after,
        }
    }

    /// Whether any of them can tell that a step has gone well: one that is asked in it or after it.
    pub fn decide(&self) -> bool {
        !self.during.is_empty() || !self.after.is_empty()
    }

    /// All of them.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.before.iter().chain(&self.during).chain(&self.after)
    }
}

/// When a gate is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum GateTime {
    /// Before the step's weight is given.
    Before,
    /// While it is in effect.
    During,
    /// Once hold and metrics allow the next step.
    After,
}

impl GateTime {
    /// The word, as the spec has it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::During => "during",
            Self::After => "after",
        }
    }
}

/// What a gate says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum GateAnswer {
    /// As far as it is concerned, the run may go on.
    Yes,
    /// The run is to end, with all traffic on stable.
    No,
    /// Not yet: it is asked again.
    Wait,
    /// It gave no answer that counts: it is asked again. Never taken for any of the others.
    Down,
}

impl GateAnswer {
    /// What a gate does that answers so, behind its name.
    pub const fn says(self) -> &'static str {
        match self {
            Self::Yes => "says yes",
            Self::No => "says no",
            Self::Wait => "says to wait",
            Self::Down => "gives no answer",
        }
    }
}

/// What a gate said last, of what the run stands before or in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GateStatus {
    /// The gate.
    pub name: String,
    /// When it was asked.
    pub when: GateTime,
    /// The step that it is about; with `Before`, the one that is to come.
    pub step: i32,
    /// What it said.
    pub answer: GateAnswer,
    /// The same in a sentence, its own or why it gave none.
    pub sentence: String,
    /// Since when it says so.
    pub since: Timestamp,
}
