//! How traffic gets to the target: by the steps of a canary, or at once from blue to green.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ErrorRate, Gates, Latency, PlainMetric,
    units::{Duration, Weight},
};

/// How traffic gets to the target: exactly one of these ways.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.canary) != has(self.blueGreen)")
    .message("strategy must be exactly one of canary and blueGreen"))]
pub struct Strategy {
    /// By growing weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
    /// All at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blue_green: Option<BlueGreen>,
}

impl Strategy {
    /// The gates of all its steps.
    pub fn gates(&self) -> impl Iterator<Item = &Gates> {
        let steps = self.canary.iter().flat_map(|canary| &canary.steps).map(|step| &step.gates);
        let stages = self.blue_green.iter().flat_map(|way| way.before.iter().chain([&way.after]));
        steps.chain(stages.map(|stage| &stage.gates)).flatten()
    }
}

/// By growing weights, each held and judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.steps.all(s, [has(s.weight), has(s.match), has(s.mirror)].exists_one(given, given))")
        .message("a step must have exactly one of weight, match and mirror"),
    validation = Rule::new("self.steps.map(s, has(s.mirror) ? 0 : 1).isSorted()")
        .message("steps with mirror come before all others, for a mirror is there to judge the canary before it answers anybody"),
    validation = Rule::new("[self.steps.filter(s, has(s.weight)).map(s, s.weight)].all(weights, weights.isSorted() && weights.all(a, weights.exists_one(b, a == b)))")
        .message("the weights of steps must increase"),
    validation = Rule::new("self.steps.all(s, !has(s.weight) || s.weight < 100) || has(self.steps[size(self.steps) - 1].weight)")
        .message("no step may follow that of weight 100"),
    validation = Rule::new("self.steps.all(s, !has(s.maxHold) || duration(has(s.hold) ? s.hold : self.hold) <= duration(s.maxHold))")
        .message("a step's hold must not be longer than its maxHold")
)]
pub struct Canary {
    /// The default hold of a step: the time that it is watched at least, once its weight is in effect.
    #[serde(default = "default_hold")]
    pub hold: Duration,
    /// How many replicas the canary has at least before its first step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<Scale>,
    /// The steps; one to 100 with the default hold follows by itself where none is given.
    #[schemars(length(min = 1, max = 20))]
    pub steps: Vec<CanaryStep>,
}

/// A stage of a run: a greater share of all requests, those that match, or copies of some.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CanaryStep {
    /// The canary's share in percent. Weights increase from step to step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub weight: Option<Weight>,
    /// How many of all requests, in percent, are copied to the canary, which answers nobody: what it makes of the copies
    /// is dropped, and counted. Only in this step; steps with it come first. What a request changes is changed twice. Not
    /// for VirtualRouters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub mirror: Option<Weight>,
    /// Which requests go to the canary besides the share that it has already: from this step on, until another one's
    /// match takes its place or the run is over. Not for VirtualRouters.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub matching: Option<RequestMatch>,
    /// How many replicas the canary has at least before this step; default: as before the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<Scale>,
    /// How long it is watched at least; default: the strategy's hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Duration>,
    /// How long it may wait for proof; default: 3 × hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_hold: Option<Duration>,
    /// Whether a person must agree before the next step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// By what this step is judged besides, or in place of what spec.analysis says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analysis: Option<StepAnalysis>,
    /// Webhooks of the controller's configuration that this step waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gates: Option<Gates>,
}

/// By what one step is judged besides spec.analysis. What is called the same there (an error rate, a latency with the same
/// bound, a metric of that name) is replaced.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.errorRate) || (has(self.latency) && size(self.latency) > 0) || (has(self.metrics) && size(self.metrics) > 0)")
    .message("a step's analysis must name at least one of errorRate, latency and metrics; leave it out to be judged by spec.analysis"))]
pub struct StepAnalysis {
    /// In place of the error rate of spec.analysis.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_rate: Option<ErrorRate>,
    /// Bounds besides those of spec.analysis, or in place of the same ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    pub latency: Vec<Latency>,
    /// Plain numbers besides those of spec.analysis, or in place of those of the same name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub metrics: Vec<PlainMetric>,
}

/// All traffic at once: the target is tried without any, then it gets all of it, and what was live stands ready to take
/// it back.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.preview) || has(self.before)")
    .message("preview is there for the stage before the switch: give before too"))]
pub struct BlueGreen {
    /// Which requests go to the target before the switch; nobody else's do. Not for VirtualRouters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<RequestMatch>,
    /// How many replicas the target has at least before the first stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<Scale>,
    /// The stage before the switch: the target is up and has no traffic but the preview's. Absent: there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Stage>,
    /// The stage after the switch: the target has all traffic and is judged; then it is stable.
    #[serde(default)]
    pub after: Stage,
}

/// A stage of a blue/green run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.maxHold) || duration(self.hold) <= duration(self.maxHold)")
    .message("a stage's hold must not be longer than its maxHold"))]
pub struct Stage {
    /// How long it is watched at least.
    #[serde(default = "default_hold")]
    pub hold: Duration,
    /// How long it may wait for proof; default: 3 × hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_hold: Option<Duration>,
    /// Whether a person must agree before it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// Webhooks of the controller's configuration that it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gates: Option<Gates>,
}

impl Default for Stage {
    fn default() -> Self {
        Self { hold: default_hold(), max_hold: None, approval: None, gates: None }
    }
}

fn default_hold() -> Duration {
    Duration::of(std::time::Duration::from_mins(5))
}

/// How many replicas the canary's workload has at least, and as many ready pods, before its traffic grows. It is never
/// scaled down by this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.replicas) != has(self.ofStable)")
    .message("scale must be either replicas or ofStable"))]
pub struct Scale {
    /// So many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub replicas: Option<i32>,
    /// So many of those that stable's workload wants, in percent of them, rounded up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub of_stable: Option<i32>,
}

impl Scale {
    /// How many that are, where stable's workload wants so many; none where that is needed and not known, and where the
    /// schema was not kept to.
    pub fn of(&self, stable: Option<i32>) -> Option<i32> {
        match (self.replicas, self.of_stable) {
            (Some(replicas), None) => Some(replicas),
            (None, Some(percent)) => {
                let part = i64::from(stable?) * i64::from(percent);
                i32::try_from((part + 99) / 100).ok().map(|part| part.max(1))
            }
            (Some(_), Some(_)) | (None, None) => None,
        }
    }
}

/// Tells requests apart. All of it must hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestMatch {
    /// Headers that the request must have (of gRPC: metadata), besides what the route itself asks for.
    #[schemars(length(min = 1, max = 4))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".into()]))]
    pub headers: Vec<HeaderMatch>,
}

/// A header and its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeaderMatch {
    /// Its name; upper and lower case are the same.
    #[schemars(length(min = 1, max = 50), regex(pattern = "^[A-Za-z0-9!#$%&'*+.^_|~-]+$"))]
    pub name: String,
    /// The whole value.
    #[schemars(length(min = 1, max = 255))]
    pub exact: String,
}

/// As sentences say it: `x-preview: true and x-team: a`.
impl std::fmt::Display for RequestMatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, header) in self.headers.iter().enumerate() {
            let and = if at == 0 { "" } else { " and " };
            write!(f, "{and}{}: {}", header.name, header.exact)?;
        }
        Ok(())
    }
}

/// Whether a person must agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Approval {
    /// The step ends only with a `promote`.
    Required,
}
