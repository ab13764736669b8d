//! A small world: routes, a status store with a version, workloads, and metrics that follow the traffic. What follows
//! from decisions is in `effects`, time in `hours`; every decision is checked for what must always hold.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use tidegate::{
    api::{GateAnswer, Phase, RolloutSpec, RolloutStatus, RouteRef, Transition},
    engine::{
        decision::{MirrorChange, Note, Purpose},
        gate::{AskDone, Question},
        look::ReadError,
        memory::Memory,
        observed::{
            Allowed, EntrySeen, InEffect, ListSeen, LookDone, MirrorSeen, Mirrors, Observed, Other,
            PreviewSeen, RouteSeen, RouteState, RouteView, Subject, WorkloadKey, WorkloadSeen,
        },
        previews, routes, select,
        template::TemplateSeen,
    },
};

pub const SPEC: &str = r"
routes: [{group: appmesh.k8s.aws, kind: GatewayRoute, name: color}]
target: {name: v2, workloadRef: {apiVersion: apps/v1, kind: Deployment, name: v2}}
strategy: {canary: {hold: 1m, steps: [{weight: 10}, {weight: 50}]}}
analysis:
  provider: default
  interval: 10s
  settle: 10s
  series: {preset: tidegate-gateway}
  errorRate: {}
";

pub fn spec(yaml: &str) -> RolloutSpec {
    serde_saphyr::from_str(yaml).unwrap()
}

/// How often each version fails, and how much traffic there is.
#[derive(Clone, Debug)]
pub struct Traffic {
    pub per_second: f64,
    /// What of the canary's share comes through.
    pub comes_through: f64,
    /// The canary's series are not there.
    pub hidden: bool,
    /// How stable's failures fall on its pods, of which all have as many requests; none where nothing tells them apart.
    pub on_pods: Vec<f64>,
    pub failing: BTreeMap<String, f64>,
    pub down: bool,
    /// In seconds: counters bear the time of the last whole period, and are corrected while it lasts.
    pub period: i64,
}

/// Whether previews may be created, and how many requests a second say that they want one.
pub struct Previewing {
    pub allowed: bool,
    pub per_second: f64,
}

/// Whether workloads may be scaled, those that others use, and whether pods take their time.
pub struct Scaling {
    pub allowed: bool,
    pub in_use: BTreeSet<String>,
    pub delay: bool,
}

pub struct World {
    pub spec: RolloutSpec,
    pub stored: RolloutStatus,
    pub version: u64,
    pub working: RolloutStatus,
    pub memory: Memory,
    pub routes: BTreeMap<String, RouteState>,
    pub workloads: BTreeMap<String, WorkloadSeen>,
    pub others: BTreeMap<String, Other>,
    pub subject: Subject,
    pub now: Timestamp,
    pub traffic: Traffic,
    pub counters: BTreeMap<String, (f64, f64)>,
    pub pending: Option<LookDone>,
    /// How long the metrics take to answer, and what they will answer when.
    pub answers_after: Duration,
    pub under_way: Option<(Timestamp, LookDone)>,
    /// What each gate says; one that is not here is down.
    pub gates: BTreeMap<String, GateAnswer>,
    /// What gates were asked, in order, and what has come back.
    pub asked: Vec<Question>,
    pub answered: Option<AskDone>,
    pub unknown_gates: Vec<String>,
    /// How soon a gate is asked again; ten seconds where nothing is said.
    pub intervals: BTreeMap<String, Duration>,
    /// Who is told, and of what; the notices that were taken.
    pub receivers: BTreeMap<String, BTreeSet<Transition>>,
    pub taken_by: Vec<(String, String)>,
    pub fresh: bool,
    pub template: TemplateSeen,
    pub unknown_providers: Vec<String>,
    pub unaskable: Option<String>,
    /// The previews that stand, by name.
    pub previews: BTreeMap<String, RouteState>,
    pub previewing: Previewing,
    pub scaling: Scaling,
    pub programmed: bool,
    pub numbers: BTreeMap<String, Result<f64, ReadError>>,
    /// Everything that was written, in order: purpose, route, canary's weight afterwards.
    pub writes: Vec<(Purpose, String, i64)>,
    /// What routes were to have mirrored.
    pub mirror_changes: Vec<MirrorChange>,
    /// What was scaled, in order, and to how many.
    pub scaled: Vec<(String, i32)>,
    pub notes: Vec<Note>,
    pub status_writes: usize,
    pub wake: Option<Timestamp>,
    /// Lets that many more writes (status, routes, finalizer) through, then loses everything.
    pub crash_after: Option<usize>,
    pub crashed: bool,
}

pub fn entry(name: &str, weight: i64) -> EntrySeen {
    let raw = serde_json::json!({ "virtualServiceRef": { "name": name }, "weight": weight }).into();
    EntrySeen { name: name.into(), port: None, weight, raw }
}

pub fn mirror(name: &str, percent: i64) -> MirrorSeen {
    let raw = serde_json::json!({ "virtualServiceRef": { "name": name }, "percent": percent }).into();
    MirrorSeen { index: 0, name: name.into(), port: None, millionths: percent * 10_000, raw }
}

pub fn route(entries: Vec<EntrySeen>) -> RouteState {
    RouteState::Present(Arc::new(RouteView {
        uid: "route-uid".into(),
        resource_version: "1".into(),
        lists: vec![ListSeen {
            path: "/spec/httpRoute/action/weightedTargets".into(),
            rule: None,
            told: None,
            rule_field: None,
            entries,
            unusable: None,
            lone: false,
            headers: vec![],
            mirrors: Some(Mirrors {
                path: "/spec/httpRoute/requestMirrorPolicies".into(),
                length: None,
                entries: vec![],
                writer: None,
            }),
        }],
        beside: vec![],
        gone: vec![],
        name_field: "/virtualServiceRef/name",
        called: vec![],
        stamps: BTreeMap::new(),
        deleting: false,
        annotated: false,
        no_preview: None,
        in_effect: InEffect::Yes,
        writer: Some("kubectl".into()),
    }))
}

/// Every version has its pods.
fn workloads() -> BTreeMap<String, WorkloadSeen> {
    let present = |hash: &str| WorkloadSeen::present(2, 2, hash);
    let workloads = [("v1", "h1"), ("v2", "h2"), ("v3", "h3")];
    workloads.into_iter().map(|(name, hash)| (name.to_owned(), present(hash))).collect()
}

fn subject() -> Subject {
    Subject {
        namespace: "default".into(),
        name: "color".into(),
        uid: "uid".into(),
        generation: 1,
        ..Subject::default()
    }
}

impl World {
    pub fn new(yaml: &str) -> Self {
        let traffic = Traffic {
            per_second: 200.0,
            comes_through: 1.0,
            hidden: false,
            on_pods: vec![],
            failing: BTreeMap::new(),
            down: false,
            period: 1,
        };
        Self {
            spec: spec(yaml),
            stored: RolloutStatus::default(),
            version: 1,
            working: RolloutStatus::default(),
            memory: Memory::default(),
            routes: [("color".to_owned(), route(vec![entry("v1", 100), entry("v2", 0)]))].into(),
            workloads: workloads(),
            others: BTreeMap::new(),
            subject: subject(),
            now: "2026-01-01T00:00:00.123456789Z".parse().unwrap(),
            traffic,
            counters: BTreeMap::new(),
            pending: None,
            answers_after: Duration::ZERO,
            under_way: None,
            gates: BTreeMap::new(),
            asked: vec![],
            answered: None,
            unknown_gates: vec![],
            intervals: BTreeMap::new(),
            receivers: BTreeMap::new(),
            taken_by: vec![],
            fresh: false,
            template: TemplateSeen::default(),
            unknown_providers: vec![],
            unaskable: None,
            previews: BTreeMap::new(),
            previewing: Previewing { allowed: true, per_second: 0.0 },
            scaling: Scaling { allowed: true, in_use: BTreeSet::new(), delay: false },
            programmed: true,
            numbers: BTreeMap::new(),
            writes: vec![],
            mirror_changes: vec![],
            scaled: vec![],
            notes: vec![],
            status_writes: 0,
            wake: None,
            crash_after: None,
            crashed: false,
        }
    }

    pub fn view(&self, name: &str) -> &RouteView {
        match &self.routes[name] {
            RouteState::Present(view) => view,
            other => panic!("{name} is {other:?}"),
        }
    }

    pub fn edit(&mut self, name: &str, change: impl FnOnce(&mut RouteView)) {
        let RouteState::Present(view) = self.routes.get_mut(name).unwrap() else {
            panic!("{name} is not there")
        };
        let mut new = (**view).clone();
        change(&mut new);
        new.resource_version = (new.resource_version.parse::<u64>().unwrap() + 1).to_string();
        for entry in &mut new.lists[0].entries {
            Arc::make_mut(&mut entry.raw.0)["weight"] = entry.weight.into();
        }
        *view = Arc::new(new);
    }

    /// Somebody else sets weights, in the order of the entries.
    pub fn somebody_sets(&mut self, name: &str, writer: &str, weights: &[i64]) {
        self.edit(name, |view| {
            view.writer = Some(writer.into());
            for (entry, weight) in view.lists[0].entries.iter_mut().zip(weights) {
                entry.weight = *weight;
            }
        });
    }

    pub fn share(&self, target: &str) -> i64 {
        self.view("color").lists[0].entries.iter().find(|e| e.name == target).map_or(0, |e| e.weight)
    }

    pub fn phase(&self) -> Phase {
        self.working.phase.expect("a phase is told")
    }

    pub fn message(&self) -> &str {
        self.working.message.as_deref().unwrap_or_default()
    }

    pub fn condition(&self, kind: &str) -> Option<(&str, &str)> {
        let found = self.working.conditions.iter().find(|c| c.type_ == kind)?;
        Some((found.status.as_str(), found.reason.as_str()))
    }

    pub fn observed(&mut self) -> Observed {
        if let Some((_, look)) = self.under_way.take_if(|(at, _)| *at <= self.now) {
            self.pending = Some(look);
        }
        let mut refs = routes(&self.spec, &self.working);
        refs.sort_by(|a, b| a.name.cmp(&b.name));
        let state = |r: &RouteRef| {
            let found = self.routes.get(&r.name).cloned().unwrap_or(RouteState::Missing);
            select(&self.spec, &self.working, r, found)
        };
        Observed {
            subject: self.subject.clone(),
            stored: Arc::new(self.stored.clone()),
            fresh: std::mem::take(&mut self.fresh),
            routes: refs.iter().map(|r| RouteSeen { route: r.clone(), state: state(r) }).collect(),
            previews: self.previews_seen(),
            workloads: self
                .workloads
                .iter()
                .map(|(name, seen)| (WorkloadKey::deployment(name), seen.clone()))
                .collect(),
            allowed: Allowed { previews: self.previewing.allowed, scaling: self.scaling.allowed },
            in_use: Some(self.scaling.in_use.iter().map(WorkloadKey::deployment).collect()),
            others: self.others.clone(),
            look: self.pending.take(),
            looking: self.under_way.is_some(),
            answered: self.answered.take(),
            asking: false,
            gates: self.intervals.clone(),
            unknown_gates: self.unknown_gates.clone(),
            receivers: self.receivers.clone(),
            taken_by: std::mem::take(&mut self.taken_by),
            settle: Duration::from_secs(30),
            template: self.template.clone(),
            unknown_providers: self.unknown_providers.clone(),
            unaskable: self.unaskable.clone(),
        }
    }

    fn previews_seen(&self) -> Vec<PreviewSeen> {
        let seen = |(of, route): (RouteRef, RouteRef)| {
            let state = self.previews.get(&route.name).cloned().unwrap_or(RouteState::Missing);
            PreviewSeen { of, seen: RouteSeen { route, state } }
        };
        previews(&self.spec, &self.working, &self.subject.name).into_iter().map(seen).collect()
    }

    /// A new process: nothing remembered, the status as stored.
    pub fn restart(&mut self) {
        self.crashed = false;
        self.crash_after = None;
        self.memory = Memory::default();
        self.pending = None;
        self.under_way = None;
        self.answered = None;
        self.taken_by.clear();
        self.working = self.stored.clone();
    }
}
