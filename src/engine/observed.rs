//! What a decision is taken from, besides spec and status: plain data, read by others.

mod route;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

pub use self::route::{
    EntrySeen, InEffect, ListSeen, MirrorSeen, Mirrors, Place, PreviewSeen, RouteSeen, RouteState, RouteView,
};
use super::{gate::AskDone, look::Look, template::TemplateSeen};
use crate::api::{RolloutStatus, RouteRef, Transition, WorkloadKind, WorkloadRef};

/// The Rollout object itself, without spec and status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its generation.
    pub generation: i64,
    /// It is being deleted.
    pub deleting: bool,
    /// It carries our finalizer.
    pub finalizer: bool,
    /// The text of the abort annotation.
    pub abort: Option<String>,
    /// The text of the request annotation.
    pub request: Option<String>,
}

/// Everything observed at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// The object.
    pub subject: Subject,
    /// Its status as last stored.
    pub stored: Arc<RolloutStatus>,
    /// The object was read from the API server for this decision, not from a cache, and so were those of `others` that
    /// no list has.
    pub fresh: bool,
    /// The routes of spec and status, each once.
    pub routes: Vec<RouteSeen>,
    /// The previews that runs of this spec and status may have, each beside the route that it is made of.
    pub previews: Vec<PreviewSeen>,
    /// The workloads that spec and status name or imply.
    pub workloads: BTreeMap<WorkloadKey, WorkloadSeen>,
    /// What the installation has switched on.
    pub allowed: Allowed,
    /// The workloads that other Rollouts of the namespace name or imply, where that was asked; none where it is not known.
    pub in_use: Option<BTreeSet<WorkloadKey>>,
    /// The other living Rollouts of the namespace, of those that left a stamp on these routes, by name.
    pub others: BTreeMap<String, Other>,
    /// A look that has come back since the last decision.
    pub look: Option<LookDone>,
    /// A look is under way.
    pub looking: bool,
    /// Answers of gates that have come back since the last decision.
    pub answered: Option<AskDone>,
    /// Gates are being asked.
    pub asking: bool,
    /// How soon each configured gate is asked again, of those that spec and run name.
    pub gates: BTreeMap<String, Duration>,
    /// Gates that a run that starts now would ask, and the configuration lacks.
    pub unknown_gates: Vec<String>,
    /// Who is told of this Rollout, and of what.
    pub receivers: BTreeMap<String, BTreeSet<Transition>>,
    /// The notices that were taken since the last decision: their ids, each with the receiver.
    pub taken_by: Vec<(String, String)>,
    /// How long the analysis' provider needs to show only what came after a change, by its own account.
    pub settle: Duration,
    /// The template that the spec's analysis names.
    pub template: TemplateSeen,
    /// Providers that a run that starts now would ask, and the configuration lacks.
    pub unknown_providers: Vec<String>,
    /// Why a provider could not put a question that such a run would ask, whatever it was answered.
    pub unaskable: Option<String>,
}

/// What an installation may switch on; each needs permissions of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Routes of our own may be created beside those of users, and deleted.
    pub previews: bool,
    /// Workloads may be scaled.
    pub scaling: bool,
}

impl Allowed {
    /// All of it.
    pub const ALL: Self = Self { previews: true, scaling: true };
}

/// Another Rollout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Other {
    /// Its UID.
    pub uid: String,
    /// The routes that its spec names, or that it still has in its status; none where it can't be read.
    pub routes: Vec<RouteRef>,
}

impl Other {
    /// The rules of an object that it steps, by name; empty where it may step any of them, none where it does not name
    /// the object, and so may have to do with all of it.
    pub fn rules_of(&self, route: &RouteRef) -> Option<Vec<String>> {
        let named = self.routes.iter().filter(|other| other.same(route));
        let rules: Vec<Option<&String>> = named.map(|other| other.rule.as_ref()).collect();
        if rules.is_empty() {
            return None;
        }
        let named: Option<Vec<String>> = rules.into_iter().map(Option::<&String>::cloned).collect();
        let mut named = named.unwrap_or_default();
        named.sort();
        named.dedup();
        Some(named)
    }
}

/// Which workload.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkloadKey {
    /// Its kind.
    pub kind: WorkloadKind,
    /// Its name.
    pub name: String,
}

impl WorkloadKey {
    /// A Deployment.
    pub fn deployment(name: impl Into<String>) -> Self {
        Self { kind: WorkloadKind::Deployment, name: name.into() }
    }
}

/// As sentences call it.
impl std::fmt::Display for WorkloadKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind.word(), self.name)
    }
}

/// What a workload wants and has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pods {
    /// How many pods it wants.
    pub replicas: i32,
    /// How many are ready.
    pub ready: i32,
    /// The hash of its pod template.
    pub hash: String,
    /// What scales it besides people and us.
    pub scaler: Scaler,
}

/// What scales a workload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Scaler {
    /// Nothing that was seen; nobody looks where a Rollout scales nothing.
    #[default]
    None,
    /// A HorizontalPodAutoscaler.
    Horizontal(ScalerSeen),
    /// Whether anything does is not known; the sentence says why.
    Unknown(String),
    /// We may not scale it ourselves; the sentence says why.
    Refused(String),
}

/// A HorizontalPodAutoscaler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScalerSeen {
    /// What it scales.
    pub workload: WorkloadKey,
    /// Its name.
    pub name: String,
    /// Not fewer.
    pub min: i32,
    /// Not more.
    pub max: i32,
    /// The KEDA ScaledObject that it is of; that scales from and to nothing as well.
    pub keda: Option<String>,
}

/// A workload as found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkloadSeen {
    /// It stands.
    Present(Pods),
    /// It does not exist.
    Missing,
    /// It can't be read now; the sentence says why.
    Unreadable(String),
}

/// A look that has come back.
#[derive(Clone, Debug, PartialEq)]
pub struct LookDone {
    /// The run that it was asked for.
    pub run: i64,
    /// The step that it was asked for.
    pub step: i32,
    /// What came back.
    pub look: Look,
}

/// The workload behind a target: the one it names, else the Deployments that its name suggests, in order.
pub fn workload_keys(name: &str, namespace: &str, workload: Option<&WorkloadRef>) -> Vec<WorkloadKey> {
    if let Some(workload) = workload {
        return vec![WorkloadKey { kind: workload.kind, name: workload.name.clone() }];
    }
    let suffix = format!(".{namespace}");
    name.strip_suffix(&suffix).into_iter().chain([name]).map(WorkloadKey::deployment).collect()
}

impl WorkloadSeen {
    /// One that wants so many pods, has so many ready, and is scaled by nobody.
    pub fn present(replicas: i32, ready: i32, hash: impl Into<String>) -> Self {
        Self::Present(Pods { replicas, ready, hash: hash.into(), scaler: Scaler::None })
    }
}
