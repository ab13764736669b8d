//! The canary's workload grows before its traffic does: to what the step asks for, and, where it had been retired, to what it
//! had before. It is never scaled down here, and never against what else scales it.

use std::time::Duration;

use super::{
    decision::{Effect, ScaleWrite},
    observed::{Pods, Scaled, Scaler, ScalerSeen, WorkloadKey},
    turn::{Turn, since},
};
use crate::api::{Phase, PlannedStep, RolloutSpec, Scale};

/// How long a workload may take to be seen scaled before that is sent again.
const SHOWN: Duration = Duration::from_secs(5);
/// How long until what scales it is looked at again, and what undoes it.
const AGAIN: Duration = Duration::from_secs(30);
/// So often in one step it is scaled again after that was undone.
const ATTEMPTS: u32 = 3;

/// Whether a Rollout scales anything, so that what else scales its workloads has to be known.
pub fn scales(spec: &RolloutSpec) -> bool {
    let canary = spec.strategy.canary.as_ref();
    let blue_green = spec.strategy.blue_green.as_ref();
    spec.retire.is_some()
        || canary.is_some_and(|canary| canary.scale.is_some())
        || canary.is_some_and(|canary| canary.steps.iter().any(|step| step.scale.is_some()))
        || blue_green.is_some_and(|blue_green| blue_green.scale.is_some())
}

impl Turn<'_> {
    /// Why this plan's scales can't be had, or are not known to be, with the phase and the reason's word: before anything is
    /// written.
    pub fn scales_refused(&self, plan: &[PlannedStep]) -> Option<(Phase, &'static str, String)> {
        let asked: Vec<&Scale> = plan.iter().filter_map(|step| step.scale.as_ref()).collect();
        let field = match (asked.is_empty(), &self.spec.retire) {
            (false, _) => "scale",
            (true, Some(_)) => "retire",
            (true, None) => return None,
        };
        if !self.seen.allowed.scaling {
            let sentence = format!(
                "{field} needs workloads to be scaled, and this controller scales none: set scaling: true in its \
                 configuration, and grant what `tidegate rbac --scaling` prints"
            );
            return Some((Phase::Invalid, "ScalingOff", sentence));
        }
        let wanted = self.wanted();
        let (key, pods) = self.pods(&wanted)?;
        let stable = self.status.stable.as_ref().and_then(|stable| self.pods(stable));
        let needed =
            asked.iter().filter_map(|scale| scale.of(stable.as_ref().map(|(_, pods)| pods.replicas)));
        let needed = needed.max()?;
        match &pods.scaler {
            Scaler::None => None,
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

    /// How many replicas the canary needs at a step; 0 where nothing is asked. An error says what it can't be told for.
    fn needed(&self, step: i32, key: &WorkloadKey) -> Result<i32, String> {
        let plan = self.run().map(|run| run.plan.as_slice()).unwrap_or_default();
        let planned = usize::try_from(step).ok().and_then(|at| plan.get(at.checked_sub(1)?));
        let retired = self.status.retired.iter().find(|retired| is_of(retired, key));
        let before = retired.filter(|_| self.seen.allowed.scaling).map_or(0, |retired| retired.replicas);
        let Some(scale) = planned.and_then(|step| step.scale.as_ref()) else { return Ok(before) };
        let stable = self.status.stable.as_ref().and_then(|stable| self.pods(stable));
        let asked = scale.of(stable.map(|(_, pods)| pods.replicas));
        asked.map(|asked| asked.max(before)).ok_or_else(|| {
            "its scale is a part of stable's, whose workload is not known (give spec.stable.workloadRef)"
                .to_owned()
        })
    }

    /// Why the canary has not the pods that a step needs, if it has not; scales it where it may.
    pub fn short_of_pods(&mut self, step: i32) -> Option<String> {
        let (_, canary) = self.arms()?;
        let (key, pods) = self.pods(&canary)?;
        let pods = pods.clone();
        let needed = match self.needed(step, &key) {
            Ok(0) => return None,
            Ok(needed) => needed,
            Err(why) => return Some(why),
        };
        let needed = match (&pods.scaler, pods.replicas) {
            // One that was scaled to nothing is left alone by it, and taken up from where it is put.
            (Scaler::Horizontal(scaler), 0) if scaler.keda.is_none() => needed.clamp(scaler.min, scaler.max),
            (Scaler::Horizontal(scaler), _) => match refusal(&key, &pods, scaler, needed) {
                Some(why) => {
                    self.wake_in(AGAIN);
                    return Some(why);
                }
                None => needed,
            },
            (Scaler::Unknown(why), replicas) if replicas < needed => {
                let why = format!("whether anything else scales {key} is not known: {why}");
                self.wake_in(AGAIN);
                return Some(why);
            }
            (Scaler::None | Scaler::Unknown(_), _) => needed,
        };
        if pods.replicas < needed {
            return Some(self.scale(&key, &pods, needed));
        }
        (pods.ready < needed).then(|| format!("{} of the {needed} pods of {key} are ready", pods.ready))
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

/// Why so many replicas can't be had beside what scales the workload; none where it has them by itself.
fn refusal(key: &WorkloadKey, pods: &Pods, scaler: &ScalerSeen, needed: i32) -> Option<String> {
    let ScalerSeen { name, min, max, keda, .. } = scaler;
    if *min >= needed || (pods.replicas == 0 && keda.is_none()) {
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
