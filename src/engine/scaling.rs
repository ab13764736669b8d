//! The canary's workload grows before its traffic does: to what the step asks for, and, where it had been retired, to what it
//! had before. It is never scaled down here, and never against what else scales it.

use std::time::Duration;

use super::{
    decision::{Effect, ScaleWrite},
    memory::Scaled,
    observed::{Pods, Scaler, ScalerSeen, WorkloadKey},
    turn::{Turn, since},
};
use crate::api::{Phase, PlannedStep, Retired, RolloutSpec, RolloutStatus, Scale};

/// How long a workload may take to be seen scaled before that is sent again.
const SHOWN: Duration = Duration::from_secs(5);
/// A scaling down that was decided has landed after this, whatever became of its sender, or does not any more: it is sent
/// within [`SENT_WITHIN`], and an API server drops a call that is a minute old.
const IN_FLIGHT: Duration = Duration::from_secs(90);
/// A scaling down that has not been sent so long after it was decided is not sent any more.
pub const SENT_WITHIN: Duration = Duration::from_secs(15);
/// How long until what scales it is looked at again, and what undoes it.
const AGAIN: Duration = Duration::from_secs(30);
/// What is said of a field that needs what the installation has not switched on.
pub(super) const SCALING_OFF: &str = "needs workloads to be scaled, and this controller scales none: set scaling: true in its \
                                      configuration, and grant what `tidegate rbac --scaling` prints";
/// What is said of a part of nothing.
const OF_STABLE_UNKNOWN: &str = "scale.ofStable is a part of stable's replicas, and stable's workload is not known: give \
                                 scale.replicas, or spec.stable.workloadRef before the Rollout is first seen";
/// So often in one step it is scaled again after that was undone.
const ATTEMPTS: u32 = 3;

/// Whether a Rollout scales anything, or has, so that what else scales its workloads has to be known.
pub fn scales(spec: &RolloutSpec, status: &RolloutStatus) -> bool {
    let canary = spec.strategy.canary.as_ref();
    let blue_green = spec.strategy.blue_green.as_ref();
    spec.retire.is_some()
        || !status.retired.is_empty()
        || status.run.iter().flat_map(|run| run.plan.iter()).any(|step| step.scale.is_some())
        || canary.is_some_and(|canary| canary.scale.is_some())
        || canary.is_some_and(|canary| canary.steps.iter().any(|step| step.scale.is_some()))
        || blue_green.is_some_and(|blue_green| blue_green.scale.is_some())
}

/// How many pods the canary needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Needed {
    /// What the step asks for; 0 where it asks for nothing.
    asked: i32,
    /// What it had before it was retired, where that is to be given back; 0 otherwise.
    before: i32,
}

impl Turn<'_> {
    /// Why this plan's scales can't be had, or are not known to be, with the phase and the reason's word: before anything is
    /// written.
    pub fn scales_refused(&self, plan: &[PlannedStep]) -> Option<(Phase, &'static str, String)> {
        let asked: Vec<&Scale> = plan.iter().filter_map(|step| step.scale.as_ref()).collect();
        if asked.is_empty() {
            return None;
        }
        if !self.seen.allowed.scaling {
            return Some((Phase::Invalid, "ScalingOff", format!("scale {SCALING_OFF}")));
        }
        let wanted = self.wanted();
        let Some((key, pods)) = self.pods(&wanted) else {
            let sentence = format!(
                "scale needs the workload of {}, and none is known: give spec.target.workloadRef of one that is there",
                wanted.name
            );
            return Some((Phase::Invalid, "WorkloadUnknown", sentence));
        };
        let stable = self.status.stable.as_ref().and_then(|stable| self.pods(stable));
        let stable = stable.map(|(_, pods)| pods.replicas);
        let needed: Option<Vec<i32>> = asked.into_iter().map(|scale| scale.of(stable)).collect();
        let Some(needed) = needed.and_then(|needed| needed.into_iter().max()) else {
            return Some((Phase::Invalid, "WorkloadUnknown", OF_STABLE_UNKNOWN.to_owned()));
        };
        match &pods.scaler {
            Scaler::None | Scaler::Refused(_) => None,
            Scaler::Horizontal(scaler) => {
                refusal(&key, pods, scaler, needed).map(|why| (Phase::Invalid, "ScalerForbids", why))
            }
            Scaler::Unknown(why) => {
                let sentence =
                    format!("the run waits until it is known whether anything else scales {key}: {why}");
                Some((Phase::Progressing, "Waiting", sentence))
            }
        }
    }

    /// How many pods the canary needs at a step. An error says what it can't be told for.
    fn needed(&self, step: i32, key: &WorkloadKey, pods: &Pods) -> Result<Needed, String> {
        let planned = self.run().and_then(|run| run.step(step));
        let retired = self.status.retired.iter().find(|retired| is_of(retired, key));
        let before = match retired.filter(|_| self.seen.allowed.scaling) {
            Some(retired) if pods.replicas <= retired.to => retired.replicas,
            // Somebody has taken it up since, and knows how far.
            Some(retired) => retired.replicas.min(pods.replicas),
            None => 0,
        };
        let Some(scale) = planned.and_then(|step| step.scale.as_ref()) else {
            return Ok(Needed { asked: 0, before });
        };
        let stable = self.status.stable.as_ref().and_then(|stable| self.pods(stable));
        let asked = scale.of(stable.map(|(_, pods)| pods.replicas));
        asked.map(|asked| Needed { asked, before }).ok_or_else(|| OF_STABLE_UNKNOWN.to_owned())
    }

    /// Why the canary has not the pods that a step needs, if it has not; scales it where it may.
    pub fn short_of_pods(&mut self, step: i32) -> Option<String> {
        let (_, canary) = self.arms()?;
        let (key, pods) = self.pods(&canary)?;
        let pods = pods.clone();
        if let Some(rest) = self.may_yet_be_scaled_down(&key, &pods) {
            self.wake_in(rest);
            return Some(format!("{key} was being scaled down a moment ago, which may still land"));
        }
        let Needed { asked, before } = match self.needed(step, &key, &pods) {
            Ok(needed) => needed,
            Err(why) => return Some(why),
        };
        let needed = asked.max(before);
        if needed == 0 || pods.ready >= needed {
            return None;
        }
        let waits = |needed: i32| {
            (pods.ready < needed).then(|| format!("{} of the {needed} pods of {key} are ready", pods.ready))
        };
        match &pods.scaler {
            Scaler::None if pods.replicas < needed => Some(self.scale(&key, &pods, needed)),
            // One that was scaled to nothing is left alone by it, and taken up from where it is put.
            Scaler::Horizontal(scaler) if pods.replicas == 0 && scaler.keda.is_none() => {
                Some(self.scale(&key, &pods, needed.clamp(scaler.min, scaler.max)))
            }
            Scaler::Horizontal(scaler) => {
                self.wake_in(AGAIN);
                let by_itself = needed.min(scaler.min);
                let forbidden = if asked > 0 { refusal(&key, &pods, scaler, asked) } else { None };
                forbidden.or_else(|| waits(by_itself))
            }
            Scaler::Unknown(why) | Scaler::Refused(why) if pods.replicas < needed => {
                self.wake_in(AGAIN);
                Some(format!("{key} can't be scaled to {needed}: {why}"))
            }
            Scaler::None | Scaler::Unknown(_) | Scaler::Refused(_) => waits(needed),
        }
    }

    /// For how long a scaling down may still land that was decided here, or by a predecessor: of that one it is known since this
    /// process first saw it undone, by the same clock.
    fn may_yet_be_scaled_down(&mut self, key: &WorkloadKey, pods: &Pods) -> Option<Duration> {
        let undone = |retired: &&mut Retired| is_of(retired, key) && !retired.done;
        let retired = self.status.retired.iter_mut().find(undone)?;
        if pods.replicas <= retired.to {
            // It has landed; the versions since refuse another one.
            retired.done = true;
            return None;
        }
        let known = *self.memory.scaling_down.entry(key.clone()).or_insert(self.now);
        Some(IN_FLIGHT.saturating_sub(since(known, self.now))).filter(|rest| !rest.is_zero())
    }

    /// Scales a workload, not too often; says how that stands.
    pub fn scale(&mut self, key: &WorkloadKey, pods: &Pods, to: i32) -> String {
        let last = self.memory.scaled.take().filter(|last| last.workload == *key && last.to == to);
        let sent = last.as_ref().is_some_and(|last| since(last.at, self.now) < SHOWN);
        let times = last.as_ref().map_or(0, |last| last.times);
        if sent {
            self.memory.scaled = last;
            self.wake_in(SHOWN);
        } else if times >= ATTEMPTS {
            self.memory.scaled = last;
            self.wake_in(AGAIN);
            return format!(
                "somebody scales {key} back to {}, where {to} are needed: leave spec.replicas out of what is applied",
                pods.replicas
            );
        } else {
            let write = ScaleWrite { workload: key.clone(), from: pods.replicas, to };
            if to < pods.replicas {
                self.memory.scaling_down.insert(key.clone(), self.now);
                self.memory.given.remove(key);
            } else {
                self.memory.given.insert(key.clone(), (to, self.now));
            }
            self.effects.push(Effect::Scale(write));
            self.memory.scaled = Some(Scaled { workload: key.clone(), to, at: self.now, times: times + 1 });
            self.tell(false, "Scaled", format!("{key} is scaled from {} to {to}", pods.replicas));
        }
        format!("{key} is scaled from {} to {to}", pods.replicas)
    }
}

/// Whether that is the workload that was retired.
pub(super) fn is_of(retired: &crate::api::Retired, key: &WorkloadKey) -> bool {
    retired.kind == key.kind && retired.name == key.name
}

/// Why so many pods can't be had beside what scales the workload; none where it sees to them by itself, or has them.
fn refusal(key: &WorkloadKey, pods: &Pods, scaler: &ScalerSeen, needed: i32) -> Option<String> {
    let ScalerSeen { name, min, max, keda, .. } = scaler;
    // KEDA's own least may be none, whatever its autoscaler says.
    let enough = *min >= needed && (keda.is_none() || pods.replicas > 0);
    if enough || pods.ready >= needed {
        return None;
    }
    let (what, least, most) = match keda {
        Some(object) => (format!("the ScaledObject {object}"), "minReplicaCount", "maxReplicaCount"),
        None => (format!("the HorizontalPodAutoscaler {name}"), "minReplicas", "maxReplicas"),
    };
    let raise = if *max < needed { format!("{least} and {most}") } else { least.to_owned() };
    Some(format!(
        "{what} scales {key} between {min} and {max}, and {needed} are asked for: set its {raise} to {needed} at least, or \
         leave scale out"
    ))
}
