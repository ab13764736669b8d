//! The `analysis` block: by what a step is judged.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::units::{Decimal, Duration, Percent, Weight};

/// By what a canary is judged, and what follows. Absent: steps go by their holds alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.series) || !(has(self.errorRate) || (has(self.latency) && size(self.latency) > 0))")
        .message("series must be given where errorRate or latency is"),
    validation = Rule::new("has(self.templateRef) || has(self.errorRate) || (has(self.latency) && size(self.latency) > 0) || (has(self.metrics) && size(self.metrics) > 0)")
        .message("analysis must name at least one of errorRate, latency and metrics, or a templateRef; leave it out to step by holds alone"),
    validation = Rule::new("duration(self.interval) >= duration('1s') && duration(self.interval) <= duration('5m')")
        .message("interval must be between 1s and 5m"),
    validation = Rule::new("!has(self.latency) || size(self.latency) == 0 || has(self.series.preset) || has(self.series.latency)")
        .message("series.latency must be given where latency is judged")
)]
pub struct Analysis {
    /// The AnalysisTemplate of this namespace that has all of it; besides, `args`, `mode: Observe` and `ignoreStable` may be
    /// given, and nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_ref: Option<TemplateRef>,
    /// What the template asks for, by name; each fills `{{args.NAME}}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "args_schema")]
    pub args: BTreeMap<String, String>,
    /// The provider, by its name in the controller's configuration; absent: the configured default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub provider: Option<String>,
    /// The time between looks, 1s–5m.
    #[serde(default = "default_interval")]
    pub interval: Duration,
    /// How long after a weight change nothing is judged; absent: the provider's own (2s for envoy, 30s for
    /// prometheus and web, 3m for cloudWatch).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settle: Option<Duration>,
    /// How an arm's counters are found. Needed by errorRate and latency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<Series>,
    /// Judges the share of failed requests, canary against stable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_rate: Option<ErrorRate>,
    /// Judges the share of requests slower than a bound, canary against stable; one item a bound.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    pub latency: Vec<Latency>,
    /// Plain numbers with thresholds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".into()]))]
    pub metrics: Vec<PlainMetric>,
    /// The weight in percent from which a step needs proof to go on; below it, the absence of harm is enough.
    #[serde(default = "default_prove_from")]
    pub prove_from: Weight,
    /// Whether verdicts are acted on.
    #[serde(default)]
    pub mode: Mode,
    /// What to do when a step's maxHold is over and nothing is proved.
    #[serde(default)]
    pub on_inconclusive: OnInconclusive,
    /// Judge the canary even while stable itself is sick, as for a hotfix.
    #[serde(default)]
    pub ignore_stable: bool,
}

impl Analysis {
    /// Whether it names a template and nothing that judges.
    pub fn is_only_named(&self) -> bool {
        self.template_ref.is_some() && self.series.is_none() && self.judges_nothing()
    }

    /// Whether nothing could ever be found out by it.
    pub fn judges_nothing(&self) -> bool {
        self.error_rate.is_none() && self.latency.is_empty() && self.metrics.is_empty()
    }
}

/// An AnalysisTemplate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateRef {
    /// Its name; it is in the Rollout's namespace.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// At most 16 values that hold no placeholder themselves.
fn args_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 16,
        "additionalProperties": {"type": "string", "maxLength": 256, "pattern": r"^(\{?[^{])*\{?$"},
    })
}

fn default_interval() -> Duration {
    Duration::of(std::time::Duration::from_secs(10))
}

fn default_prove_from() -> Weight {
    Weight::try_from(10).unwrap_or(Weight::ZERO)
}

/// How an arm's counters are found: a preset, or own queries. In a query `{{target}}` is the arm asked for,
/// `{{namespace}}` and `{{rollout}}` the Rollout's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.preset) != (has(self.errors) || has(self.total) || has(self.latency))")
    .message("series must be either a preset (with params) or queries (errors, total, latency)"),
    validation = Rule::new("has(self.preset) || (has(self.total) && (has(self.errors) || has(self.latency)))")
    .message("series must give total, and errors or latency, where it gives no preset"))]
pub struct Series {
    /// Names the series of a data plane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<Preset>,
    /// What the preset needs to know: `appmesh-envoy` and `tidegate-gateway` take `mesh`, `gateway`, `port`,
    /// `protocol`, `prefix`, `node` and `retries`; `istio` takes `reporter` and `source`, `linkerd` takes `source`;
    /// `appmesh-extension` takes `metricNamespace`, `mesh`, `service`, `gateway` or
    /// `sourceNode`, `node` and `agent`; `alb` takes `loadBalancer` and `targetGroup`; `vpc-lattice` takes
    /// `targetGroup`. With `targetGroup.NAME` each target NAME has a group of its own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub params: BTreeMap<String, String>,
    /// A counter of failed requests; with a cloudWatch provider an expression that sums them by period, with a web
    /// provider `path?query | $.json.path`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub errors: Option<String>,
    /// A counter of all requests, from the same family as the errors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub total: Option<String>,
    /// Cumulative latency buckets with a label `le`, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub latency: Option<String>,
}

/// The data planes whose series are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// Tidegate's own gateway and the sandbox's.
    TidegateGateway,
    /// Envoy as App Mesh configured it.
    AppmeshEnvoy,
    /// Istio's standard metrics.
    Istio,
    /// Linkerd's metrics of a route's backends.
    Linkerd,
    /// CloudWatch: what App Mesh's metrics extension counts per target.
    AppmeshExtension,
    /// CloudWatch: target groups of an Application Load Balancer.
    Alb,
    /// CloudWatch: target groups of VPC Lattice.
    VpcLattice,
}

/// Judges the share of failed requests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErrorRate {
    /// What the canary may have without being punished; default 1.25 × stable + 0.01 %.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerate: Option<LevelSpec>,
    /// What must not pass unnoticed; default 2 × stable + 1 %.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catch: Option<LevelSpec>,
    /// A share that the canary must never surely exceed, whatever stable does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Percent>,
    /// Overrides the analysis' mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
}

/// Judges the share of requests slower than a bound.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Latency {
    /// The bound. The largest histogram bound not above it is used.
    pub under: Duration,
    /// What the canary may have without being punished; default 1.25 × stable + 0.5 %.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerate: Option<LevelSpec>,
    /// What must not pass unnoticed; default 2 × stable + 2 %.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catch: Option<LevelSpec>,
    /// A share of slower requests that the canary must never surely exceed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Percent>,
    /// Overrides the analysis' mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
}

/// A level that the canary's share is held against: ratio × stable's share + plus.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LevelSpec {
    /// How many times stable's share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratio: Option<Decimal>,
    /// And how much on top.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plus: Option<Percent>,
}

/// A plain number with thresholds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.max) || has(self.min)").message("a metric must have min or max"))]
pub struct PlainMetric {
    /// What it is called in status and events.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// The query; `{{canary}}` and `{{stable}}` name the arms. It must return one number. With a cloudWatch provider it
    /// is a metric-maths expression, with a web provider `path?query | $.json.path`.
    #[schemars(length(min = 1, max = 2048))]
    pub query: String,
    /// The number must not be above it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Decimal>,
    /// The number must not be below it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<Decimal>,
    /// How many looks in a row must be bad to fail; default 1.
    #[serde(default = "default_failures")]
    #[schemars(range(min = 1, max = 100))]
    pub failures: i32,
    /// Overrides the analysis' provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub provider: Option<String>,
    /// Overrides the analysis' interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Duration>,
    /// Overrides the analysis' mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
}

fn default_failures() -> i32 {
    1
}

/// Whether verdicts are acted on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// They hold, roll back and advance.
    #[default]
    Enforce,
    /// They are told and never acted on: steps go by their holds alone.
    Observe,
}

/// What to do when a step's maxHold is over and nothing is proved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnInconclusive {
    /// Wait for proof or a person.
    #[default]
    Pause,
    /// Go on unproven.
    Advance,
    /// Go back.
    Rollback,
}
