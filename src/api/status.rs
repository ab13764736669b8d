//! The status of a Rollout: what the controller knows, intends and tells. It is the record that survives a
//! restart: a decision is taken from the spec, this, and what was observed, and from nothing else.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Arm, EndReason, GateStatus, LastRequest, Notice, RouteRef, Run, Step, WorkloadKind, WorkloadRef,
};
use crate::analysis::Verdict;

/// What the controller knows, intends and tells.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
// A Rollout that no controller has seen yet has a status all the same, and one that answers to no generation: kstatus takes
// an object without any for one that is as it should be, and Flux would not wait for it.
#[schemars(extend("default" = { "observedGeneration": -1 }))]
pub struct RolloutStatus {
    /// The version of what is kept here, from 1 on; 0 where nothing was kept yet. A controller that finds a greater one
    /// than its own leaves the Rollout alone, for it would lose what it does not know.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub format: i32,
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
    /// What the gates say of what the run stands in or before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 12))]
    pub gates: Vec<GateStatus>,
    /// What was stable before, and failed runs; newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub history: Vec<HistoryEntry>,
    /// The workloads that were scaled down since they have no traffic, and what they had; a version that comes back gets it
    /// again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub retired: Vec<Retired>,
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
    /// What receivers of the controller's configuration are to be told and have not taken yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub notices: Vec<Notice>,
    /// The standard conditions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

impl RolloutStatus {
    /// The run that is under way.
    pub fn active_run(&self) -> Option<&Run> {
        self.run.as_ref().filter(|run| run.ended.is_none())
    }

    /// The [`format`](Self::format) that this program writes. It grows whenever an older one could no longer go on from
    /// what is kept, or would drop a part of it.
    pub const FORMAT: i32 = 4;

    /// How many finished runs [`history`](Self::history) has at most.
    pub const HISTORY: usize = 10;
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// How routes call it whose entries don't call it by its name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub called: Vec<Called>,
}

/// A workload that was scaled down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retired {
    /// Its kind.
    pub kind: WorkloadKind,
    /// Its name.
    pub name: String,
    /// How many replicas it wanted before.
    pub replicas: i32,
    /// How many it was left.
    pub to: i32,
    /// When that was decided.
    pub at: Timestamp,
    /// It was seen done: whoever scales it up again may.
    #[serde(default)]
    pub done: bool,
}

/// How one route calls a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Called {
    /// The route's kind and name.
    pub route: String,
    /// The name in its entries.
    pub name: String,
}

/// An entry of a route as it stands there, every field of it. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct RawEntry(#[schemars(schema_with = "any_object")] pub Arc<serde_json::Value>);

impl From<serde_json::Value> for RawEntry {
    fn from(entry: serde_json::Value) -> Self {
        Self(Arc::new(entry))
    }
}

fn any_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

/// A route of the present or last run; one whose object has several weighted lists, for each of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteStatus {
    /// The route. Its `rule` is the name of the list's rule, or `#` and a digest of one that has none; none where the kind
    /// has no rules.
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

/// The weights of one route as last seen; of one with several rules, those of each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteWeights {
    /// The route's kind and name.
    pub route: String,
    /// The rule, as `routes[].ref` has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
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
