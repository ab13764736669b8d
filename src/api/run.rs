//! A run in the status: its frozen plan, where it stands, why it waits, how it ended.

use std::sync::Arc;

use jiff::Timestamp;
use kube::core::Duration as Elapsed;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Analysis, Approval, Evidence, Gates, OnDeadline, RequestMatch, Scale, StepAnalysis,
    units::{Duration, Weight},
};
use crate::analysis::sentence::Traffic;

/// One attempt to take traffic from stable to the canary. What is frozen at its start is shared by all copies of the status.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// Only grows.
    pub number: i64,
    /// When it started.
    pub started_at: Timestamp,
    /// The steps, frozen at the start; the last has weight 100.
    #[schemars(with = "Vec<PlannedStep>", length(min = 1, max = 22))]
    pub plan: Arc<[PlannedStep]>,
    /// The analysis, frozen at the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analysis: Option<Arc<Analysis>>,
    /// The deadline, frozen at the start.
    pub progress_deadline: Duration,
    /// What to do then.
    pub on_deadline: OnDeadline,
    /// A return within the rollback window: it finishes by its hold alone.
    #[serde(default)]
    pub instant_return: bool,
    /// The time without a step forward, as far as it counts against the deadline.
    #[schemars(with = "String")]
    pub without_progress: Elapsed,
    /// Why it waits, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<Pause>,
    /// How it ended; with it, the abort mark: a run that did not end well never raises again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
    /// `promote-full` was accepted: straight to 100, and finish.
    #[serde(default)]
    pub promote_full: bool,
    /// What has been learnt so far.
    #[serde(default)]
    pub evidence: Evidence,
    /// How often a raised canary share was put back in this run.
    #[serde(default)]
    pub corrections: i32,
    /// When that was last done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corrected_at: Option<Timestamp>,
}

impl Run {
    /// A step of the plan by its number, the first being 1; none before it and past the last.
    pub fn step(&self, number: i32) -> Option<&PlannedStep> {
        self.plan.get(usize::try_from(number).ok()?.checked_sub(1)?)
    }
}

/// A step of a frozen plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedStep {
    /// The canary's share.
    pub weight: Weight,
    /// Which stage of a blue/green run it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<StageName>,
    /// How many of all requests are copied to the canary, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<Weight>,
    /// Which requests go to the canary besides its share.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub matching: Option<RequestMatch>,
    /// How many replicas the canary has at least before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<Scale>,
    /// How long it is watched at least.
    pub hold: Duration,
    /// How long it may wait for proof.
    pub max_hold: Duration,
    /// Whether a person must agree before the next step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// By what it is judged besides the run's analysis.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analysis: Option<StepAnalysis>,
    /// What it waits for besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gates: Option<Gates>,
}

impl PlannedStep {
    /// What the canary gets in it, as sentences say it.
    pub fn traffic(&self) -> Traffic {
        match self.mirror {
            Some(percent) => Traffic::Mirror(percent.percent()),
            None => Traffic::Weight(self.weight.percent()),
        }
    }
}

/// The stages of a blue/green run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum StageName {
    /// Before the switch: the canary has no traffic but a preview's.
    Before,
    /// After the switch: it has all of it.
    After,
}

/// Where a run stands in its plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// The step, from 1; 0 before the first.
    pub index: i32,
    /// How many there are.
    pub of: i32,
    /// Both as people read them, `2/4`.
    pub label: String,
    /// The canary's share.
    pub weight: Weight,
    /// When the weight was seen stored on every route; settling starts here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored_at: Option<Timestamp>,
    /// When the weight was known to be in effect; the hold starts here, or when it has settled, if that is later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// The time under observation since then, as of the last checkpoint.
    #[schemars(with = "String")]
    pub elapsed: Elapsed,
    /// A `promote` ended this step's hold.
    #[serde(default)]
    pub promoted: bool,
    /// A `promote` while a gate was waited for before the next step: those gates are not asked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gates_passed: bool,
    /// A `resume` after drift: a share that somebody lowered is raised to this step's again.
    #[serde(default)]
    pub restoring: bool,
}

/// Why a run waits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pause {
    /// The reason.
    pub reason: PauseReason,
    /// The same in a sentence, with the remedy.
    pub message: String,
    /// Since when.
    pub since: Timestamp,
}

/// Why a run waits. All but `Inconclusive` and `MetricError` stay until a person acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PauseReason {
    /// Somebody asked.
    Requested,
    /// The step needs a person's agreement.
    Approval,
    /// Somebody else changes the weights.
    Drifted,
    /// No step forward for too long.
    Deadline,
    /// A route is gone.
    RouteGone,
    /// maxHold is over and nothing is proved.
    Inconclusive,
    /// The metrics are down.
    MetricError,
}

impl PauseReason {
    /// Whether it lasts until a person acts. The others end when there is evidence.
    pub const fn needs_a_person(self) -> bool {
        match self {
            Self::Requested | Self::Approval | Self::Drifted | Self::Deadline | Self::RouteGone => true,
            Self::Inconclusive | Self::MetricError => false,
        }
    }

    /// The word, as conditions and events give it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Requested => "Requested",
            Self::Approval => "Approval",
            Self::Drifted => "Drifted",
            Self::Deadline => "Deadline",
            Self::RouteGone => "RouteGone",
            Self::Inconclusive => "Inconclusive",
            Self::MetricError => "MetricError",
        }
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ended {
    /// The reason.
    pub reason: EndReason,
    /// The same in a sentence.
    pub message: String,
    /// When it was decided.
    pub at: Timestamp,
    /// The lowering is stored on every route: nothing more is to be done for this run.
    #[serde(default)]
    pub settled: bool,
    /// `spec.target` named another target since, which went live or was live: naming this one again is a new attempt.
    #[serde(default)]
    pub left: bool,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum EndReason {
    /// The canary is the new stable.
    Promoted,
    /// A metric failed.
    Failed,
    /// A gate said no.
    GateRefused,
    /// A person asked.
    Aborted,
    /// No step forward for too long.
    Deadline,
    /// Nothing was proved in time and `onInconclusive` says `Rollback`.
    Inconclusive,
    /// `spec.target` names another target now.
    TargetChanged,
    /// `spec.target` names stable again.
    TargetReturned,
    /// The canary's pod template changed under the run.
    RevisionChanged,
    /// A route was deleted and made again.
    RouteReplaced,
    /// The Rollout is being deleted.
    Deleted,
    /// An abort mark was found on a route; who set it and why is no longer known.
    Marked,
}

impl EndReason {
    /// The word, as conditions and events give it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Promoted => "Promoted",
            Self::Failed => "AnalysisFailed",
            Self::GateRefused => "GateRefused",
            Self::Aborted => "Aborted",
            Self::Deadline => "ProgressDeadlineExceeded",
            Self::Inconclusive => "Inconclusive",
            Self::TargetChanged => "TargetChanged",
            Self::TargetReturned => "TargetReturned",
            Self::RevisionChanged => "RevisionChanged",
            Self::RouteReplaced => "RouteReplaced",
            Self::Deleted => "Deleted",
            Self::Marked => "Marked",
        }
    }

    /// Whether the target counts as failed: no new run for it until it changes or `retry`.
    pub const fn fails_target(self) -> bool {
        match self {
            Self::Failed
            | Self::GateRefused
            | Self::Aborted
            | Self::Deadline
            | Self::Inconclusive
            | Self::Marked => true,
            Self::Promoted
            | Self::TargetChanged
            | Self::TargetReturned
            | Self::RevisionChanged
            | Self::RouteReplaced
            | Self::Deleted => false,
        }
    }
}
