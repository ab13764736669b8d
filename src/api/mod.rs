//! The API `tidegate.dev/v1alpha1`: what people write, what the controller tells, and the marks it leaves on
//! routes. It knows nobody else in the crate but the analysis, whose state a status keeps.

mod analysis;
mod envoys;
mod evidence;
mod gates;
pub mod gateway_route_crd;
mod notices;
mod requests;
mod rollout;
mod run;
mod stamp;
mod status;
mod strategy;
mod template;
pub mod text;
pub mod units;

pub use analysis::{
    Analysis, ErrorRate, Latency, LevelSpec, Mode, OnInconclusive, PlainMetric, Preset, Series, TemplateRef,
};
pub use envoys::{EnvoyOf, ListedEnvoy, STATS_PATH};
pub use evidence::{Arm, Evidence, MetricEvidence, Past};
pub use gates::{GateAnswer, GateStatus, GateTime, Gates};
pub use notices::{MUTE_ANNOTATION, Notice, Receiver, Transition};
pub use requests::{
    ABORT_ANNOTATION, Abort, LastRequest, REQUEST_ANNOTATION, Request, RequestAction, RequestError,
    RequestOutcome,
};
pub use rollout::{
    EvidenceRule, OnDeadline, Retire, RollbackWindow, Rollout, RolloutSpec, RouteGroup, RouteKind, RouteRef,
    TargetRef, WorkloadKind, WorkloadRef, WorkloadVersion,
};
pub use run::{EndReason, Ended, Pause, PauseReason, PlannedStep, Run, StageName, Step};
pub use stamp::{STAMP_PREFIX, SpelledStamp, Stamp, stamp_annotation};
pub use status::{
    Called, EntryWeight, HistoryEntry, MetricStatus, Phase, RawEntry, Retired, RolloutStatus, RouteStatus,
    RouteWeights, Target,
};
pub use strategy::{
    Approval, BlueGreen, Canary, CanaryStep, HeaderMatch, RequestMatch, Scale, Stage, StepAnalysis, Strategy,
};
pub use template::{AnalysisTemplate, AnalysisTemplateSpec, TemplateArg};

/// The API group of our kinds.
pub const GROUP: &str = "tidegate.dev";

/// What brings our own CRDs up. Not those of a whole folder `crds/`, where the superset of AWS's GatewayRoute is too: that one
/// is for whoever asks for it.
pub const INSTALL_CRDS: &str = "helm upgrade --install, or kubectl apply -f crds/tidegate.dev_rollouts.yaml -f crds/tidegate.dev_analysistemplates.yaml";

/// The finalizer that a Rollout carries while a run is active: deleting it then first puts traffic on stable.
pub const FINALIZER: &str = "tidegate.dev/routes-on-stable";

/// FNV-1a over the bytes of a text: a short name for it that stays the same for ever. No secret, no signature.
pub fn fnv1a(content: &(impl AsRef<[u8]> + ?Sized)) -> u64 {
    let bytes = content.as_ref().iter();
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
