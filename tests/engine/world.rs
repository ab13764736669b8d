//! A small world: routes that take patches under their preconditions, a status store with a version, workloads,
//! metrics that follow the traffic, and virtual time. After every write it checks what must always hold.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tidegate::{
    api::{Phase, RolloutSpec, RolloutStatus, RouteRef},
    engine::{
        decide,
        decision::{Decision, Effect, Fence, Note, Purpose, RouteWrite, StampChange},
        look::{Arms, Counters, Look, LookRequest, ReadError, Sample},
        observed::{
            EntrySeen, InEffect, LookDone, Memory, Observed, RouteSeen, RouteState, RouteView, Subject,
            WorkloadSeen,
        },
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
    pub failing: BTreeMap<String, f64>,
    pub down: bool,
}

pub struct World {
    pub spec: RolloutSpec,
    pub stored: RolloutStatus,
    pub version: u64,
    pub working: RolloutStatus,
    pub memory: Memory,
    pub routes: BTreeMap<String, RouteState>,
    pub workloads: BTreeMap<String, WorkloadSeen>,
    pub others: BTreeMap<String, String>,
    pub subject: Subject,
    pub now: Timestamp,
    pub traffic: Traffic,
    pub counters: BTreeMap<String, (f64, f64)>,
    pub pending: Option<LookDone>,
    pub fresh: bool,
    pub unknown_providers: Vec<String>,
    pub programmed: bool,
    pub numbers: BTreeMap<String, Result<f64, ReadError>>,
    /// Everything that was written, in order: purpose, route, canary's weight afterwards.
    pub writes: Vec<(Purpose, String, i64)>,
    pub notes: Vec<Note>,
    pub status_writes: usize,
    pub wake: Option<Timestamp>,
    /// Lets that many more writes (status, routes, finalizer) through, then loses everything.
    pub crash_after: Option<usize>,
    pub crashed: bool,
}

pub fn entry(name: &str, weight: i64) -> EntrySeen {
    let raw = serde_json::json!({ "virtualServiceRef": { "name": name }, "weight": weight });
    EntrySeen { name: name.into(), port: None, weight, raw }
}

pub fn route(entries: Vec<EntrySeen>) -> RouteState {
    RouteState::Present(Arc::new(RouteView {
        uid: "route-uid".into(),
        resource_version: "1".into(),
        list: "/spec/httpRoute/action/weightedTargets".into(),
        name_field: "/virtualServiceRef/name",
        entries,
        stamps: BTreeMap::new(),
        annotated: false,
        in_effect: InEffect::Yes,
        writer: Some("kubectl".into()),
    }))
}

impl World {
    pub fn new(yaml: &str) -> Self {
        let present = |hash: &str| WorkloadSeen::Present { ready: 2, hash: hash.into() };
        let workloads = [("v1", "h1"), ("v2", "h2"), ("v3", "h3")];
        let workloads = workloads.into_iter().map(|(name, hash)| (name.to_owned(), present(hash))).collect();
        let traffic = Traffic { per_second: 200.0, failing: BTreeMap::new(), down: false };
        Self {
            spec: spec(yaml),
            stored: RolloutStatus::default(),
            version: 1,
            working: RolloutStatus::default(),
            memory: Memory::default(),
            routes: [("color".to_owned(), route(vec![entry("v1", 100), entry("v2", 0)]))].into(),
            workloads,
            others: BTreeMap::new(),
            subject: Subject {
                namespace: "default".into(),
                name: "color".into(),
                uid: "uid".into(),
                generation: 1,
                ..Subject::default()
            },
            now: "2026-01-01T00:00:00.123456789Z".parse().unwrap(),
            traffic,
            counters: BTreeMap::new(),
            pending: None,
            fresh: false,
            unknown_providers: vec![],
            programmed: true,
            numbers: BTreeMap::new(),
            writes: vec![],
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
        for entry in &mut new.entries {
            entry.raw["weight"] = entry.weight.into();
        }
        *view = Arc::new(new);
    }

    /// Somebody else sets weights, in the order of the entries.
    pub fn somebody_sets(&mut self, name: &str, writer: &str, weights: &[i64]) {
        self.edit(name, |view| {
            view.writer = Some(writer.into());
            for (entry, weight) in view.entries.iter_mut().zip(weights) {
                entry.weight = *weight;
            }
        });
    }

    pub fn share(&self, target: &str) -> i64 {
        self.view("color").entries.iter().find(|e| e.name == target).map_or(0, |e| e.weight)
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
        let mut refs: Vec<RouteRef> = self.spec.routes.clone();
        refs.extend(self.working.routes.iter().map(|r| r.route.clone()));
        refs.sort_by(|a, b| a.name.cmp(&b.name));
        refs.dedup_by(|a, b| a.same(b));
        let state = |r: &RouteRef| self.routes.get(&r.name).cloned().unwrap_or(RouteState::Missing);
        Observed {
            subject: self.subject.clone(),
            stored: self.stored.clone(),
            fresh: std::mem::take(&mut self.fresh),
            routes: refs.iter().map(|r| RouteSeen { route: r.clone(), state: state(r) }).collect(),
            workloads: self.workloads.clone(),
            others: self.others.clone(),
            look: self.pending.take(),
            looking: false,
            settle: Duration::from_secs(30),
            unknown_providers: self.unknown_providers.clone(),
        }
    }

    /// One decision and what follows from it.
    pub fn decide(&mut self) -> Decision {
        let seen = self.observed();
        let decision = decide(&self.spec, &self.working, &seen, &self.memory, self.now);
        self.check(&decision);
        self.carry_out(&decision);
        self.wake = decision.wake;
        decision
    }

    fn carry_out(&mut self, decision: &Decision) {
        let mut before_failed = false;
        if let Some(before) = &decision.before {
            before_failed = !self.store(before);
        }
        if !before_failed {
            self.memory = decision.memory.clone();
            self.working = decision.after.clone();
        }
        for effect in decision.effects.iter().filter(|e| !before_failed || e.lowers()) {
            match effect {
                Effect::Write(write) => self.write(write),
                Effect::Look { run, step, request } => {
                    let look = self.look(request);
                    self.pending = Some(LookDone { run: *run, step: *step, look });
                }
                Effect::Tell(note) => self.notes.push(note.clone()),
                Effect::Hold => {
                    if self.alive() {
                        self.subject.finalizer = true;
                    }
                }
                Effect::Release => {
                    if self.alive() {
                        self.subject.finalizer = false;
                    }
                }
                Effect::Reread => self.fresh = true,
            }
        }
        if decision.store {
            self.store(&decision.after);
        }
    }

    /// Whether the process still lives; counts one write.
    fn alive(&mut self) -> bool {
        if let Some(left) = &mut self.crash_after {
            if *left == 0 {
                self.crashed = true;
                return false;
            }
            *left -= 1;
        }
        true
    }

    fn store(&mut self, status: &RolloutStatus) -> bool {
        if !self.alive() {
            return false;
        }
        // What is stored goes through JSON, as it does in a cluster.
        self.stored = serde_json::from_value(serde_json::to_value(status).unwrap()).unwrap();
        assert_eq!(&self.stored, status, "status survives the API server");
        self.status_writes += 1;
        self.version += 1;
        true
    }

    fn write(&mut self, write: &RouteWrite) {
        if !self.alive() {
            return;
        }
        let name = write.route.name.clone();
        let RouteState::Present(view) = self.routes[&name].clone() else {
            return;
        };
        let stamp = |view: &RouteView| view.stamps.get(write.stamp.rollout()).cloned();
        let unstamped = stamp(&write.view).is_none();
        if (write.fence == Fence::Unchanged || unstamped)
            && view.resource_version != write.view.resource_version
        {
            return;
        }
        if !unstamped && stamp(&view) != stamp(&write.view) {
            return;
        }
        for (index, _) in &write.weights {
            if view.entries.get(*index).map(|e| &e.name) != write.view.entries.get(*index).map(|e| &e.name) {
                return;
            }
        }
        self.edit(&name, |view| {
            for (index, weight) in &write.weights {
                view.entries[*index].weight = *weight;
            }
            for new in &write.add {
                view.entries.push(entry(&new.name, new.weight));
            }
            if let Some(index) = write.remove {
                assert_eq!(view.entries[index].weight, 0, "an entry goes only at weight 0");
                view.entries.remove(index);
            }
            match &write.stamp {
                StampChange::Keep(_) => {}
                StampChange::Set(rollout, stamp) => {
                    view.annotated = true;
                    view.stamps.insert(rollout.clone(), stamp.spelled());
                }
                StampChange::Remove(rollout) => {
                    view.stamps.remove(rollout);
                }
            }
            view.writer = Some("tidegate".into());
        });
        let programmed = self.programmed;
        self.edit(&name, |view| {
            view.in_effect = if programmed { InEffect::Yes } else { InEffect::No("not taken up yet".into()) };
        });
        let canary = self.working.canary.clone();
        let share = canary.map_or(0, |canary| self.view(&name).weight(&canary));
        self.writes.push((write.purpose, name, share));
    }

    fn look(&mut self, request: &LookRequest) -> Look {
        let arms = request.arms.as_ref().map(|_| {
            if self.traffic.down {
                return Err(ReadError::Unreachable);
            }
            let of = |name: &str| {
                let (errors, total) = self.counters.get(name).copied().unwrap_or_default();
                let one = |value: f64| [("gw".to_owned(), value)].into();
                Counters { errors: one(errors), total: one(total), buckets: vec![] }
            };
            Ok(Arms { at: self.now, canary: of(&request.canary), stable: of(&request.stable), past: vec![] })
        });
        let at = self.now;
        let numbers = request.numbers.iter().map(|n| {
            let value =
                self.numbers.get(&n.name).cloned().unwrap_or(Err(ReadError::Empty { query: n.name.clone() }));
            (n.name.clone(), value.map(|value| Sample { at, value }))
        });
        Look { arms, numbers: numbers.collect() }
    }

    /// Lets time pass; traffic flows by the weights.
    pub fn pass(&mut self, span: Duration) {
        let seconds = span.as_secs_f64();
        if let Some(RouteState::Present(view)) = self.routes.get("color") {
            let total = view.total().max(1) as f64;
            for entry in &view.entries {
                let requests = self.traffic.per_second * seconds * entry.weight as f64 / total;
                let failing = self.traffic.failing.get(&entry.name).copied().unwrap_or(0.0);
                let counter = self.counters.entry(entry.name.clone()).or_default();
                counter.0 += requests * failing;
                counter.1 += requests;
            }
        }
        self.now = self.now.checked_add(SignedDuration::try_from(span).unwrap()).unwrap();
    }

    /// Decides until nothing happens at this moment any more.
    pub fn settle(&mut self) {
        for _ in 0..50 {
            let decision = self.decide();
            let quiet = decision.before.is_none()
                && !decision.store
                && self.pending.is_none()
                && decision.effects.iter().all(|e| matches!(e, Effect::Tell(_)));
            if quiet || self.crashed {
                return;
            }
        }
        panic!("no rest at {}: {:?} {}", self.now, self.working.phase, self.message());
    }

    /// Lets time pass in steps of 5 s until the condition holds; panics after an hour.
    pub fn run_until(&mut self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        for _ in 0..720 {
            self.settle();
            if self.crashed {
                self.restart();
                continue;
            }
            if done(self) {
                return;
            }
            self.pass(Duration::from_secs(5));
        }
        panic!("never {what}: {:?}, {}", self.working.phase, self.message());
    }

    pub fn run_for(&mut self, span: Duration) {
        let end = self.now.checked_add(SignedDuration::try_from(span).unwrap()).unwrap();
        while self.now < end {
            self.settle();
            self.pass(Duration::from_secs(5));
        }
        self.settle();
    }

    /// A new process: nothing remembered, the status as stored.
    pub fn restart(&mut self) {
        self.crashed = false;
        self.crash_after = None;
        self.memory = Memory::default();
        self.pending = None;
        self.working = self.stored.clone();
    }
}
