//! Workloads without traffic are scaled down, once each, some time after the run that took it from them: of what was stable,
//! and of canaries that failed. What they had is kept, for they may come back.

use jiff::Timestamp;

use super::{
    decision::Effect,
    observed::{ListSeen, RouteState, Scaler, WorkloadKey, workload_keys},
    scaling::{SCALING_OFF, is_of},
    turn::{Turn, later, since},
};
use crate::api::{EndReason, HistoryEntry, Retire, Retired, RolloutSpec, RolloutStatus, Target};

/// How many retired workloads are kept in mind.
const KEPT: usize = 10;
/// How long until what keeps a workload from being retired is looked at again.
const AGAIN: std::time::Duration = std::time::Duration::from_secs(30);

/// How long what we gave a workload may take to be seen: a watch that says nothing any more is begun again within that.
const UNSEEN: std::time::Duration = std::time::Duration::from_mins(5);

/// A version that has no traffic any more, and since when.
struct Idle<'a> {
    target: &'a Target,
    since: Timestamp,
}

/// Whether a workload may be due to be scaled down: only then is it asked who else uses it.
pub fn retires(spec: &RolloutSpec, status: &RolloutStatus, namespace: &str, now: Timestamp) -> bool {
    let Some(retire) = &spec.retire else { return false };
    let over = status.run.as_ref().is_some_and(|run| run.ended.as_ref().is_some_and(|ended| ended.settled));
    let undone = |idle: &Idle<'_>| {
        let keys = workload_keys(&idle.target.name, namespace, idle.target.workload_ref.as_ref());
        let done = |retired: &&Retired| retired.done && retired.at >= idle.since;
        !status.retired.iter().filter(done).any(|retired| keys.iter().any(|key| is_of(retired, key)))
    };
    over && idle(status).iter().any(|idle| later(idle.since, retire.after.span()) <= now && undone(idle))
}

/// What earlier runs have left without traffic, each with the last time.
fn idle(status: &RolloutStatus) -> Vec<Idle<'_>> {
    let left = |entry: &'_ HistoryEntry| match entry.outcome {
        EndReason::Promoted => true,
        EndReason::Failed
        | EndReason::GateRefused
        | EndReason::Aborted
        | EndReason::Deadline
        | EndReason::Inconclusive
        | EndReason::TargetChanged
        | EndReason::TargetReturned
        | EndReason::RevisionChanged
        | EndReason::RouteReplaced
        | EndReason::Deleted
        | EndReason::Marked => false,
    };
    let mut idle: Vec<Idle<'_>> = Vec::new();
    for entry in &status.history {
        let target = if left(entry) { &entry.stable } else { &entry.target };
        let live = status.stable.as_ref().is_some_and(|stable| stable.same_entry(target));
        if !live && idle.iter().all(|known| !known.target.same_entry(target)) {
            idle.push(Idle { target, since: entry.at });
        }
    }
    idle
}

impl Turn<'_> {
    /// Scales down what has no traffic any more, where nothing speaks against it.
    pub fn retire_workloads(&mut self, failed: bool) {
        // What is done, or forgotten, is on its way no more; every release would leave another name.
        let retired = &self.status.retired;
        let undone = |key: &WorkloadKey| retired.iter().any(|one| is_of(one, key) && !one.done);
        self.memory.scaling_down.retain(|key, _| undone(key));
        let now = self.now;
        self.memory.given.retain(|_, (_, at)| since(*at, now) < UNSEEN);
        let Some(retire) = self.spec.retire.clone() else { return };
        if !self.seen.allowed.scaling {
            let sentence = format!("retire {SCALING_OFF}");
            self.told.besides.push(("WorkloadKept", "ScalingOff", sentence));
            return;
        }
        let status = self.status.clone();
        let wanted = self.wanted();
        let needed: Vec<WorkloadKey> = status
            .stable
            .iter()
            .chain((!failed).then_some(&wanted))
            .filter_map(|target| self.workload(target).map(|(key, _)| key))
            .collect();
        for Idle { target, since } in idle(&status) {
            let due = later(since, retire.after.span());
            if due > self.now {
                self.wake_at(due);
            } else if !wanted.same_entry(target) || failed {
                self.retire(&retire, target, since, &needed);
                if self.effects.iter().any(|effect| matches!(effect, Effect::Scale(_))) {
                    // One at a time.
                    return self.wake_in(AGAIN);
                }
            }
        }
    }

    fn retire(&mut self, retire: &Retire, target: &Target, since: Timestamp, needed: &[WorkloadKey]) {
        let Some((key, pods)) = self.pods(target) else { return };
        let pods = pods.clone();
        if needed.contains(&key) || !self.has_no_traffic(target) {
            return;
        }
        let known =
            self.status.retired.iter().position(|retired| is_of(retired, &key) && retired.at >= since);
        if known.is_some_and(|at| self.status.retired[at].done) {
            return;
        }
        if pods.replicas <= retire.scale_to {
            if self.awaits_more(&key, pods.replicas) {
                return self.wake_in(AGAIN);
            }
            return self.note_retired(known, &key, pods.replicas);
        }
        let Some(in_use) = &self.seen.in_use else { return self.wake_in(AGAIN) };
        let shared =
            in_use.contains(&key).then(|| "another Rollout of the namespace names it too".to_owned());
        if let Some(why) = shared.or_else(|| kept_for(&pods.scaler, retire)) {
            self.wake_in(AGAIN);
            let sentence = format!("{key} of {} is not scaled down: {why}", target.name);
            self.told.besides.push(("WorkloadKept", "NotScaledDown", sentence));
            return;
        }
        if known.is_none() {
            // What it had is stored before it is gone.
            let retired = Retired {
                kind: key.kind,
                name: key.name.clone(),
                replicas: pods.replicas,
                to: retire.scale_to,
                at: self.now,
                done: false,
            };
            self.status.retired.retain(|retired| !is_of(retired, &key));
            self.status.retired.insert(0, retired);
            self.status.retired.truncate(KEPT);
            self.intent = true;
        }
        let told = self.scale(&key, &pods, retire.scale_to);
        let sentence = format!("{} has no traffic any more: {told}", target.name);
        self.told.besides.push(("Retiring", "ScaledDown", sentence));
    }

    /// Whether what we gave a workload is not to be seen yet: it may have more than is known.
    fn awaits_more(&self, key: &WorkloadKey, replicas: i32) -> bool {
        self.memory.given.get(key).is_some_and(|(given, _)| *given > replicas)
    }

    /// It has no more than it should: that was our doing, or somebody else's, and is not looked at again.
    fn note_retired(&mut self, known: Option<usize>, key: &WorkloadKey, replicas: i32) {
        let before = known.or_else(|| self.status.retired.iter().position(|retired| is_of(retired, key)));
        if let Some(at) = before {
            // What it had when it was last live is what it gets again.
            let retired = &mut self.status.retired[at];
            retired.done = true;
            retired.at = if known.is_some() { retired.at } else { self.now };
            return;
        }
        let retired = Retired {
            kind: key.kind,
            name: key.name.clone(),
            replicas,
            to: replicas,
            at: self.now,
            done: true,
        };
        self.status.retired.insert(0, retired);
        self.status.retired.truncate(KEPT);
    }

    /// Whether every route of the spec is known to give a target nothing.
    fn has_no_traffic(&self, target: &Target) -> bool {
        let routes = self.spec_routes();
        let none = |state: &RouteState| match state {
            // Rules that are not stepped may send traffic there as well, and those that can't be read may.
            RouteState::Present(view) => {
                let clear = |list: &ListSeen| list.unusable.is_none() && list.weight(target) == 0;
                view.gone.is_empty() && !view.gives(target) && view.beside.iter().all(clear)
            }
            RouteState::Missing
            | RouteState::Unusable { .. }
            | RouteState::Unreadable(_)
            | RouteState::Refused(_) => false,
        };
        !routes.is_empty() && routes.iter().all(|seen| none(&seen.state)) && !self.has_leftovers()
    }

    /// A version that is live again is retired no more.
    pub fn take_back_up(&mut self, target: &Target) {
        let keys = self.keys(target);
        self.status.retired.retain(|retired| !keys.iter().any(|key| is_of(retired, key)));
    }
}

/// Why what scales a workload besides keeps it from being scaled down.
fn kept_for(scaler: &Scaler, retire: &Retire) -> Option<String> {
    match scaler {
        Scaler::None => None,
        Scaler::Unknown(why) => Some(format!("whether anything else scales it is not known: {why}")),
        Scaler::Refused(why) => Some(why.clone()),
        Scaler::Horizontal(scaler) => match &scaler.keda {
            Some(object) => Some(format!(
                "the ScaledObject {object} scales it; let that scale it to nothing (minReplicaCount: 0)"
            )),
            // It leaves alone what is scaled to nothing.
            None if retire.scale_to == 0 => None,
            None => Some(format!(
                "the HorizontalPodAutoscaler {} scales it, which leaves it alone only at scaleTo: 0",
                scaler.name
            )),
        },
    }
}
