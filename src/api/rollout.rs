//! The `Rollout`: which version of a service should be live, and how traffic gets there.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Analysis, Strategy, status::RolloutStatus, units::Duration};

/// Says which version of a service should be live; the controller takes traffic there by weighted steps, judges
/// every step, and puts all traffic back on stable when the evidence says so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "tidegate.dev",
    version = "v1alpha1",
    kind = "Rollout",
    namespaced,
    status = "RolloutStatus",
    derive = "PartialEq",
    shortname = "tgr",
    category = "tidegate",
    selectable = ".status.phase",
    doc = "Rollout says which version of a service should be live; the controller takes traffic there by weighted steps and back when the evidence says so.",
    printcolumn(name = "Target", type_ = "string", json_path = ".spec.target.name"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Step", type_ = "string", json_path = ".status.step.label"),
    printcolumn(name = "Weight", type_ = "integer", json_path = ".status.step.weight"),
    printcolumn(name = "Stable", type_ = "string", json_path = ".status.stable.name", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 63").message("metadata.name must be at most 63 characters")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.routes.all(a, self.routes.exists_one(b, a.kind == b.kind && a.name == b.name && (has(a.rule) ? has(b.rule) && a.rule == b.rule : !has(b.rule))))")
        .message("routes must not name the same route, or the same rule of it, twice"),
    validation = Rule::new("self.routes.all(a, self.routes.all(b, a.kind != b.kind || a.name != b.name || has(a.rule) == has(b.rule)))")
        .message("routes that name one object more than once must each name a rule of it"),
    validation = Rule::new("self.routes.all(a, self.routes.all(b, a.kind != b.kind || a.name != b.name || ((has(a.target) ? a.target : '') == (has(b.target) ? b.target : '') && (has(a.stable) ? a.stable : '') == (has(b.stable) ? b.stable : ''))))")
        .message("target and stable must be the same for every rule of one object"),
    validation = Rule::new("!self.routes.exists(a, has(a.stable)) || has(self.stable)")
        .message("routes[].stable says how a route calls spec.stable, which must be given too"),
    validation = Rule::new("!has(self.progressDeadline) || !has(self.strategy.canary) || self.strategy.canary.steps.all(s, duration(self.progressDeadline) > (has(s.maxHold) ? duration(s.maxHold) : has(s.hold) ? duration(s.hold) + duration(s.hold) + duration(s.hold) : duration(self.strategy.canary.hold) + duration(self.strategy.canary.hold) + duration(self.strategy.canary.hold)))")
        .message("progressDeadline must be longer than every step's maxHold (which is 3 x hold where it is not given)"),
    validation = Rule::new("!has(self.progressDeadline) || !has(self.strategy.blueGreen) || [self.strategy.blueGreen.after].all(s, duration(self.progressDeadline) > (has(s.maxHold) ? duration(s.maxHold) : duration(s.hold) + duration(s.hold) + duration(s.hold)))")
        .message("progressDeadline must be longer than the maxHold of after (which is 3 x hold where it is not given)"),
    validation = Rule::new("!has(self.progressDeadline) || !has(self.strategy.blueGreen) || !has(self.strategy.blueGreen.before) || [self.strategy.blueGreen.before].all(s, duration(self.progressDeadline) > (has(s.maxHold) ? duration(s.maxHold) : duration(s.hold) + duration(s.hold) + duration(s.hold)))")
        .message("progressDeadline must be longer than the maxHold of before (which is 3 x hold where it is not given)"),
    validation = Rule::new("!has(self.strategy.canary) || self.strategy.canary.steps.all(s, !has(s.analysis) || (has(self.analysis) && (has(self.analysis.templateRef) || has(self.analysis.series) || !(has(s.analysis.errorRate) || has(s.analysis.latency)))))")
        .message("a step's analysis adds to spec.analysis, which must be given, with series where the step judges errorRate or latency"),
    validation = Rule::new("!has(self.strategy.canary) || !has(self.analysis) || has(self.analysis.templateRef) || self.strategy.canary.steps.all(s, !has(s.analysis) || !has(s.weight) || s.weight < 100 || ((!has(s.analysis.errorRate) || has(s.analysis.errorRate.max) || has(self.analysis.errorRate)) && (!has(s.analysis.latency) || s.analysis.latency.all(l, has(l.max) || (has(self.analysis.latency) && self.analysis.latency.exists(b, b.under == l.under))))))")
        .message("at weight 100 there is nothing to compare the canary with but what stable had before: give what only that step judges a max, or judge it in spec.analysis"),
    validation = Rule::new("!has(self.analysis) || has(self.analysis.templateRef) || !has(self.strategy.blueGreen) || (has(self.strategy.blueGreen.before) && (has(self.strategy.blueGreen.before.approval) || (has(self.strategy.blueGreen.before.gates) && ((has(self.strategy.blueGreen.before.gates.during) && size(self.strategy.blueGreen.before.gates.during) > 0) || (has(self.strategy.blueGreen.before.gates.after) && size(self.strategy.blueGreen.before.gates.after) > 0))))) || (has(self.analysis.metrics) && size(self.analysis.metrics) > 0) || (has(self.strategy.blueGreen.before) == has(self.strategy.blueGreen.preview) && ((has(self.analysis.errorRate) && has(self.analysis.errorRate.max)) || (has(self.analysis.latency) && self.analysis.latency.exists(l, has(l.max)))))")
        .message("before the switch there is nothing to compare the target with: give analysis.metrics, an errorRate or latency with max (which before judges on a preview), before.approval, or a gate during or after it"),
    validation = Rule::new("!has(self.analysis) || !has(self.analysis.templateRef) || !(has(self.analysis.provider) || has(self.analysis.settle) || has(self.analysis.series) || has(self.analysis.errorRate) || (has(self.analysis.latency) && size(self.analysis.latency) > 0) || (has(self.analysis.metrics) && size(self.analysis.metrics) > 0) || duration(self.analysis.interval) != duration('10s') || self.analysis.proveFrom != 10 || self.analysis.onInconclusive != 'Pause')")
        .message("beside analysis.templateRef only args, mode: Observe and ignoreStable may be given; the rest is the template's"),
    validation = Rule::new("!has(self.analysis) || has(self.analysis.templateRef) || !has(self.analysis.args) || size(self.analysis.args) == 0")
        .message("analysis.args are for a template; name it as analysis.templateRef, or remove them")
)]
pub struct RolloutSpec {
    /// The routes that split the traffic, all moved together.
    #[schemars(length(min = 1, max = 16))]
    pub routes: Vec<RouteRef>,
    /// The version that should be live. Changing it starts a run.
    pub target: TargetRef,
    /// The version that was live before. Only read on first sight of the Rollout, where the routes don't tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable: Option<TargetRef>,
    /// How traffic gets to the target.
    pub strategy: Strategy,
    /// Going back to what was stable so recently, with the same pod template, is one step to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_window: Option<RollbackWindow>,
    /// What becomes of the workload of a version that has no traffic any more: of what was stable, and of a canary that
    /// failed. Absent: it stays as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retire: Option<Retire>,
    /// By what a step is judged. Absent: by its hold alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analysis: Option<Analysis>,
    /// The longest time without a step forward; default: the longest maxHold + 15m. Not counted while paused,
    /// suspended, awaiting approval or a gate, or while stable or the metrics are down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress_deadline: Option<Duration>,
    /// What to do when progressDeadline is over.
    #[serde(default)]
    pub on_deadline: OnDeadline,
    /// Hands off: nothing is written to any route, all is still told.
    #[serde(default)]
    pub suspend: bool,
}

/// A route in the Rollout's own namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.group == 'appmesh.k8s.aws' ? self.kind in ['GatewayRoute', 'VirtualRouter'] : self.kind in ['HTTPRoute', 'GRPCRoute']")
        .message("GatewayRoute and VirtualRouter are of the group appmesh.k8s.aws, HTTPRoute and GRPCRoute of gateway.networking.k8s.io"),
    validation = Rule::new("!has(self.rule) || self.kind != 'GatewayRoute'")
        .message("a GatewayRoute has no rules; leave rule out")
)]
pub struct RouteRef {
    /// The API group.
    pub group: RouteGroup,
    /// The kind.
    pub kind: RouteKind,
    /// The object's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// One rule of an HTTPRoute or GRPCRoute, one route of a VirtualRouter, by its name. Absent: every one that lists
    /// stable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub rule: Option<String>,
    /// How this route's entries call spec.target, where they don't call it by its name: a Service where other routes
    /// name VirtualServices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub target: Option<String>,
    /// How this route's entries call spec.stable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub stable: Option<String>,
    /// Whether a step waits until the route's status shows the weight in effect; default: Required for the App
    /// Mesh kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<EvidenceRule>,
}

impl RouteRef {
    /// A route of which nothing is said but what it is.
    pub fn new(kind: RouteKind, name: impl Into<String>) -> Self {
        let group = kind.group();
        Self { group, kind, name: name.into(), rule: None, target: None, stable: None, evidence: None }
    }

    /// Whether both name the same object, whichever of its rules.
    pub fn same(&self, other: &Self) -> bool {
        self.group == other.group && self.kind == other.kind && self.name == other.name
    }

    /// The rule that holds for it.
    pub fn evidence_rule(&self) -> EvidenceRule {
        self.evidence.unwrap_or(match self.kind {
            RouteKind::GatewayRoute | RouteKind::VirtualRouter => EvidenceRule::Required,
            RouteKind::HttpRoute | RouteKind::GrpcRoute => EvidenceRule::WhenReported,
        })
    }
}

/// The object, as sentences call it.
impl std::fmt::Display for RouteRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind.word(), self.name)
    }
}

/// The API groups of the routes that can be stepped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum RouteGroup {
    /// AWS App Mesh.
    #[serde(rename = "appmesh.k8s.aws")]
    AppMesh,
    /// Gateway API.
    #[serde(rename = "gateway.networking.k8s.io")]
    GatewayApi,
}

impl RouteGroup {
    /// The group, as manifests spell it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::AppMesh => "appmesh.k8s.aws",
            Self::GatewayApi => "gateway.networking.k8s.io",
        }
    }
}

/// The kinds of route that can be stepped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum RouteKind {
    /// App Mesh's gateway route, in the dialect with weights.
    GatewayRoute,
    /// App Mesh's router of a virtual service.
    VirtualRouter,
    /// Gateway API's route for HTTP.
    #[serde(rename = "HTTPRoute")]
    HttpRoute,
    /// Gateway API's route for gRPC.
    #[serde(rename = "GRPCRoute")]
    GrpcRoute,
}

impl RouteKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::GatewayRoute, Self::VirtualRouter, Self::HttpRoute, Self::GrpcRoute];

    /// The kind, as manifests spell it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::GatewayRoute => "GatewayRoute",
            Self::VirtualRouter => "VirtualRouter",
            Self::HttpRoute => "HTTPRoute",
            Self::GrpcRoute => "GRPCRoute",
        }
    }

    /// The group that has it.
    pub const fn group(self) -> RouteGroup {
        match self {
            Self::GatewayRoute | Self::VirtualRouter => RouteGroup::AppMesh,
            Self::HttpRoute | Self::GrpcRoute => RouteGroup::GatewayApi,
        }
    }
}

/// Whether a step waits for the route's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum EvidenceRule {
    /// The step's clock starts only once the status shows the weight in effect.
    Required,
    /// The same where a status is reported; else the clock starts with the write.
    WhenReported,
}

/// A version of the service as the routes name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TargetRef {
    /// The name in the routes' entries: a VirtualService for a GatewayRoute, a VirtualNode for a VirtualRouter, a Service
    /// for an HTTPRoute or GRPCRoute.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The port, where entries are told apart by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
    /// The workload behind it: its readiness guards every raise, its pod template tells revisions apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_ref: Option<WorkloadRef>,
}

/// A workload in the Rollout's own namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadRef {
    /// The API version.
    pub api_version: WorkloadVersion,
    /// The kind.
    pub kind: WorkloadKind,
    /// The object's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// The API versions of workloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WorkloadVersion {
    /// Kubernetes' own.
    #[serde(rename = "apps/v1")]
    AppsV1,
}

/// The kinds of workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum WorkloadKind {
    /// A Deployment.
    Deployment,
    /// A StatefulSet.
    StatefulSet,
}

impl WorkloadKind {
    /// The kind, as manifests spell it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
        }
    }
}

/// How far back a return is instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RollbackWindow {
    /// How many former stable versions count.
    #[serde(default = "default_versions")]
    #[schemars(range(min = 1, max = 10))]
    pub versions: i32,
    /// For how long after they were replaced.
    pub within: Duration,
}

fn default_versions() -> i32 {
    1
}

/// When and how far a workload without traffic is scaled down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retire {
    /// How long after the end of the run that took its traffic: connections drain, and a return is at once.
    pub after: Duration,
    /// To how many replicas.
    #[serde(default)]
    #[schemars(range(min = 0, max = 10000))]
    pub scale_to: i32,
}

/// What to do when progressDeadline is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnDeadline {
    /// Go back to stable.
    #[default]
    Rollback,
    /// Wait for a person.
    Pause,
}
