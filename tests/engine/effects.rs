//! What follows from a decision in the small world: status is stored, routes take patches under their preconditions,
//! looks are answered; and a crash loses whatever would come after it.

use jiff::SignedDuration;
use tidegate::{
    api::{GateAnswer, RolloutStatus},
    engine::{
        decide,
        decision::{
            Decision, Effect, Fence, PreviewChange, PreviewWrite, RouteWrite, ScaleWrite, StampChange,
        },
        gate::{Answered, AskDone, AskRequest, Question},
        look::{Arms, Counters, Look, LookRequest, ReadError, Sample},
        observed::{EntrySeen, InEffect, LookDone, Place, RouteState, RouteView, WorkloadSeen},
    },
};

use crate::world::{World, entry, mirror, route};

impl World {
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
            self.working = (*decision.after).clone();
        }
        for effect in decision.effects.iter().filter(|e| !before_failed || e.lowers()) {
            match effect {
                Effect::Write(write) => self.write(write),
                Effect::Preview(write) => self.write_preview(write),
                Effect::Scale(write) => self.scale(write),
                Effect::Look { run, step, request } => {
                    let look = self.look(request);
                    let done = LookDone { run: *run, step: *step, look };
                    let at = self.now + SignedDuration::try_from(self.answers_after).unwrap();
                    self.under_way = Some((at, done));
                }
                Effect::Ask { step, request } => self.ask(*step, request),
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
        self.mirror_changes.extend(write.mirrors.iter().cloned());
        let name = &write.route.name;
        if !self.alive() || !self.takes(write) {
            return;
        }
        self.edit(name, |view| change(view, write));
        let programmed = self.programmed;
        self.edit(name, |view| {
            view.in_effect = if programmed { InEffect::Yes } else { InEffect::No("not taken up yet".into()) };
        });
        let canary = self.working.canary.clone();
        let share = canary.map_or(0, |canary| self.view(name).lists[0].weight(&canary));
        self.writes.push((write.purpose, name.clone(), share));
    }

    fn scale(&mut self, write: &ScaleWrite) {
        if !self.alive() {
            return;
        }
        let delay = self.scaling.delay;
        let Some(WorkloadSeen::Present(pods)) = self.workloads.get_mut(&write.workload.name) else { return };
        if pods.replicas == write.from {
            pods.replicas = write.to;
            pods.ready = if delay { pods.ready.min(write.to) } else { write.to };
            self.scaled.push((write.workload.name.clone(), write.to));
        }
    }

    fn write_preview(&mut self, write: &PreviewWrite) {
        if !self.alive() {
            return;
        }
        let name = write.route.name.clone();
        let there = match self.previews.get(&name) {
            Some(RouteState::Present(view)) => Some(view.resource_version.clone()),
            _ => None,
        };
        let (content, seen) = match &write.change {
            PreviewChange::Create(content) => (Some(content), None),
            PreviewChange::Replace { view, content } => (Some(content), Some(view)),
            PreviewChange::Remove(view) => (None, Some(view)),
        };
        if there != seen.map(|view| view.resource_version.clone()) {
            return;
        }
        let Some(content) = content else {
            self.previews.remove(&name);
            return;
        };
        let RouteState::Present(view) = route(vec![entry(&content.name, 100)]) else { return };
        let mut view = (*view).clone();
        view.stamps.insert(content.owner.0.clone(), content.stamp.clone().into());
        view.resource_version = self.now.to_string();
        view.lists[0].entries[0].port = content.port;
        let headers = content.matching.headers.iter();
        view.lists[0].headers = headers.map(|header| header.name.to_lowercase()).collect();
        self.previews.insert(name, RouteState::Present(view.into()));
    }

    /// Whether a route still is as a write takes for granted.
    fn takes(&self, write: &RouteWrite) -> bool {
        let RouteState::Present(view) = &self.routes[&write.route.name] else { return false };
        let stamp = |view: &RouteView| view.stamps.get(write.stamp.rollout()).cloned();
        let unstamped = stamp(&write.view).is_none();
        let fenced = write.fence == Fence::Unchanged || unstamped;
        let path = |at: Place| write.view.lists[at.list].path.as_str();
        let name = |view: &RouteView, at: Place| {
            let list = view.lists.iter().find(|list| list.path == path(at));
            list.and_then(|list| list.entries.get(at.entry)).map(|entry| entry.raw.0.clone())
        };
        let name =
            |view: &RouteView, at: Place| name(view, at).map(|raw| raw["virtualServiceRef"]["name"].clone());
        if write.view.lists.iter().any(|list| list.lone) {
            let holder =
                |view: &RouteView| view.lists[0].entries.iter().find(|entry| entry.weight > 0).cloned();
            let held = |view: &RouteView| holder(view).map(|entry| entry.raw.0);
            return (!fenced || view.resource_version == write.view.resource_version)
                && (unstamped || stamp(view) == stamp(&write.view))
                && held(view) == held(&write.view);
        }
        (!fenced || view.resource_version == write.view.resource_version)
            && (unstamped || stamp(view) == stamp(&write.view))
            && write.weights.iter().all(|(place, _)| name(view, *place) == name(&write.view, *place))
    }

    fn ask(&mut self, step: i32, request: &AskRequest) {
        self.asked.extend(request.questions.iter().cloned());
        let answer = |question: &Question| {
            let answer = self.gates.get(&question.gate).copied().unwrap_or(GateAnswer::Down);
            Answered { question: question.clone(), answer, sentence: format!("because of {}", question.gate) }
        };
        let answers = request.questions.iter().map(answer).collect();
        self.answered = Some(AskDone { run: request.run, step, answers });
    }

    fn look(&mut self, request: &LookRequest) -> Look {
        let arms = request.arms.as_ref().map(|_| {
            if self.traffic.down {
                return Err(ReadError::Unreachable);
            }
            let of = |name: &str| {
                let (errors, total) = self.counters.get(name).copied().unwrap_or_default();
                let one = |value: f64| [("gw".to_owned(), value)].into();
                let pods = self.traffic.on_pods.len() as f64;
                let pod = |(at, value)| (format!("pod=\"{name}-{at}\""), value);
                let of_pods = |of: &dyn Fn(f64) -> f64| {
                    self.traffic.on_pods.iter().map(|share| of(*share)).enumerate().map(pod).collect()
                };
                if name == "v2" && self.traffic.hidden {
                    return Counters::default();
                }
                if name == "v1" && pods > 0.0 {
                    let (errors, total) = (of_pods(&|share| errors * share), of_pods(&|_| total / pods));
                    return Counters { errors, total, buckets: vec![] };
                }
                Counters { errors: one(errors), total: one(total), buckets: vec![] }
            };
            let at = self.now.as_second().div_euclid(self.traffic.period) * self.traffic.period;
            let at = jiff::Timestamp::from_second(at).unwrap();
            Ok(Arms { at, canary: of(&request.canary), stable: of(&request.stable), past: vec![] })
        });
        let at = self.now;
        let numbers = request.numbers.iter().map(|n| {
            let value =
                self.numbers.get(&n.name).cloned().unwrap_or(Err(ReadError::Empty { query: n.name.clone() }));
            (n.name.clone(), value.map(|value| Sample { at, value }))
        });
        Look { arms, numbers: numbers.collect() }
    }
}

/// The entries of a list that a write means, on the whole object.
fn entries<'a>(view: &'a mut RouteView, write: &RouteWrite, at: usize) -> &'a mut Vec<EntrySeen> {
    let path = &write.view.lists[at].path;
    &mut view.lists.iter_mut().find(|list| list.path == *path).unwrap().entries
}

/// What a write that is taken makes of a route.
fn change(view: &mut RouteView, write: &RouteWrite) {
    for (place, weight) in &write.weights {
        let list = &write.view.lists[place.list];
        if !list.lone {
            entries(view, write, place.list)[place.entry].weight = *weight;
        } else if *weight > 0 {
            assert_eq!(*weight, 100, "a single target has all or nothing");
            let raw = &list.entries[place.entry].raw.0["virtualServiceRef"]["name"];
            *entries(view, write, place.list) = vec![entry(raw.as_str().unwrap(), 100)];
        }
    }
    for new in &write.add {
        entries(view, write, new.list).push(entry(write.view.name_of(&new.name), new.weight));
    }
    for place in &write.remove {
        let entries = entries(view, write, place.list);
        assert_eq!(entries[place.entry].weight, 0, "an entry goes only at weight 0");
        entries.remove(place.entry);
    }
    for change in &write.mirrors {
        let path = &write.view.lists[change.list].path;
        let list = view.lists.iter_mut().find(|list| list.path == *path).unwrap();
        let mirrors = list.mirrors.as_mut().unwrap();
        mirrors.entries.retain(|mirror| mirror.name != change.name);
        if change.percent > 0 {
            mirrors.entries.push(mirror(write.view.name_of(&change.name), change.percent));
        }
    }
    match &write.stamp {
        StampChange::Keep(_) => {}
        StampChange::Set(rollout, stamp) => {
            view.annotated = true;
            view.stamps.insert(rollout.clone(), stamp.clone().into());
        }
        StampChange::Remove(rollout) => {
            view.stamps.remove(rollout);
        }
    }
    view.writer = Some("tidegate".into());
}
