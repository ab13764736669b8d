//! What a run has learnt, as the status keeps it between checkpoints.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::analysis::{Dispersion, Sequence, StableWatch, ThresholdState};

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
    /// How stable's failures fall on its pods, where series tell those apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dispersion: Option<Dispersion>,
    /// What stable had when its normal was first known: well above it, stable counts as sick.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable_before: Option<Arm>,
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
