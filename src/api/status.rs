//! The status of a Rollout: what the controller knows, intends and tells. It is the record that survives a
//! restart: a decision is taken from the spec, this, and what was observed, and from nothing else.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{KubeSchema, core::Duration as Elapsed};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Analysis, Approval, LastRequest, OnDeadline, RouteRef, WorkloadRef,
    units::{Duration, Weight},
};
use crate::analysis::{Sequence, StableWatch, ThresholdState, Verdict};

/// What the controller knows, intends and tells.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutStatus {
    /// The generation of the spec that this status answers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where it stands, in a word. Derived from the conditions' facts, for display; nothing reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// Why it stands there, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Grows with every run and every takeover; no write lands below it.
    #[serde(default)]
    pub epoch: i64,
    /// The target that last passed, or had all traffic at adoption.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable: Option<Target>,
    /// The target of the present or last run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Target>,
    /// The routes of the present or last run, as they were found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub routes: Vec<RouteStatus>,
    /// The present or last run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Run>,
    /// The step that is intended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<Step>,
    /// The weights as last seen on the routes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub weights: Vec<RouteWeights>,
    /// What each metric says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub analysis: Vec<MetricStatus>,
    /// What was stable before, and failed runs; newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub history: Vec<HistoryEntry>,
    /// When weights were put back outside a run in the last 24 hours; at most three.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3))]
    pub restored: Vec<Timestamp>,
    /// The ids of the requests that were taken, accepted or refused; none is taken twice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub taken: Vec<String>,
    /// What became of the last request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_request: Option<LastRequest>,
    /// The standard conditions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// Where a Rollout stands, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// The target is live.
    Healthy,
    /// A run is going on.
    Progressing,
    /// A run waits for a person or for evidence.
    Paused,
    /// Traffic is going back to stable.
    RollingBack,
    /// The target failed; traffic is on stable.
    Failed,
    /// The spec or the routes don't allow anything; the message says why.
    Invalid,
    /// `spec.suspend`: hands off.
    Suspended,
}

impl Phase {
    /// The word itself.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Healthy => "Healthy",
            Self::Progressing => "Progressing",
            Self::Paused => "Paused",
            Self::RollingBack => "RollingBack",
            Self::Failed => "Failed",
            Self::Invalid => "Invalid",
            Self::Suspended => "Suspended",
        }
    }
}

/// A version of the service and the revision of the workload behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// The name in the routes' entries.
    pub name: String,
    /// The port, where entries are told apart by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
    /// The workload behind it, where one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_ref: Option<WorkloadRef>,
    /// The pod template hash of that workload when it was taken up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
}

/// An entry of a route as it stands there, every field of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct RawEntry(#[schemars(schema_with = "any_object")] pub serde_json::Value);

fn any_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

/// A route of the present or last run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteStatus {
    /// The route.
    #[serde(rename = "ref")]
    pub route: RouteRef,
    /// Its UID: a route that was deleted and made again is another one.
    pub uid: String,
    /// Stable's entry as it was found, to put it back where somebody took it out.
    pub stable_entry: RawEntry,
    /// The entries that we added, with their content.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub added: Vec<RawEntry>,
}

/// One attempt to take traffic from stable to the canary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// Only grows.
    pub number: i64,
    /// When it started.
    pub started_at: Timestamp,
    /// The steps, frozen at the start; the last has weight 100.
    #[schemars(length(min = 1, max = 22))]
    pub plan: Vec<PlannedStep>,
    /// The analysis, frozen at the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analysis: Option<Analysis>,
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

/// A step of a frozen plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedStep {
    /// The canary's share.
    pub weight: Weight,
    /// How long it is watched at least.
    pub hold: Duration,
    /// How long it may wait for proof.
    pub max_hold: Duration,
    /// Whether a person must agree before the next step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
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
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum EndReason {
    /// The canary is the new stable.
    Promoted,
    /// A metric failed.
    Failed,
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
            Self::Failed | Self::Aborted | Self::Deadline | Self::Inconclusive | Self::Marked => true,
            Self::Promoted
            | Self::TargetChanged
            | Self::TargetReturned
            | Self::RevisionChanged
            | Self::RouteReplaced
            | Self::Deleted => false,
        }
    }
}

/// What a run has learnt.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// By metric.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, MetricEvidence>,
    /// How long each step will take to prove, in a sentence, told once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preflight: Option<String>,
}

/// What a run has learnt from one metric.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MetricEvidence {
    /// The sequential test: against stable, at 100 % against stable's past, or against `max`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<Sequence>,
    /// The state of a plain threshold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<ThresholdState>,
    /// Looks without evidence in a row.
    #[serde(default)]
    pub errors: i32,
    /// The last of them, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Stable's last hour, in bins of five minutes, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 13))]
    pub stable_past: Vec<Past>,
    /// What stable had in the hour before the switch to 100, fixed with the intent of that step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Arm>,
    /// Watches stable for being sick itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable_watch: Option<StableWatch>,
    /// The share above which stable counts as sick.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable_limit: Option<f64>,
}

/// Stable's counts in one bin.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Past {
    /// When the bin began.
    pub at: Timestamp,
    /// Failed (or slower) requests.
    pub bad: f64,
    /// All requests.
    pub total: f64,
}

/// The counts of one arm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Arm {
    /// Failed (or slower) requests.
    pub bad: f64,
    /// All requests.
    pub total: f64,
}

/// What a metric says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MetricStatus {
    /// `errorRate`, `latency<300ms`, or the plain metric's name.
    pub name: String,
    /// The verdict.
    pub verdict: Verdict,
    /// The canary's counts in this step, or the plain number as its `bad`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Arm>,
    /// Stable's counts in the same minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable: Option<Arm>,
    /// The verdict in a sentence, with the counts in it.
    pub sentence: String,
    /// Since when the verdict stands.
    pub since: Timestamp,
}

/// The weights of one route as last seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteWeights {
    /// The route's kind and name.
    pub route: String,
    /// Its entries.
    #[schemars(length(max = 16))]
    pub entries: Vec<EntryWeight>,
}

/// The weight of one entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EntryWeight {
    /// The target's name.
    pub name: String,
    /// Its port, where one is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
    /// The weight as written.
    pub weight: i64,
}

/// A finished run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEntry {
    /// The run.
    pub run: i64,
    /// What it wanted live.
    pub target: Target,
    /// What was stable before it.
    pub stable: Target,
    /// How it ended.
    pub outcome: EndReason,
    /// The same in a sentence.
    pub message: String,
    /// When.
    pub at: Timestamp,
}
