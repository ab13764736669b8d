//! How all of it is told: the standard conditions, kstatus' three among them, and the phase for display. Nothing
//! reads them back.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::{
    judge::share,
    turn::{Told, Turn},
};
use crate::api::Phase;

/// The conditions that come and go with a fact of their own.
const BESIDES: [&str; 5] = ["Unjudged", "WorkloadUnknown", "WorkloadKept", "Retiring", share::CONDITION];

impl Turn<'_> {
    /// Writes phase, message and conditions from what this decision told.
    pub fn tell_conditions(&mut self) {
        let told = std::mem::take(&mut self.told);
        let Some(mut phase) = told.phase else { return };
        let paused = self.run().filter(|run| run.ended.is_none()).and_then(|run| run.pause.clone());
        if paused.is_some() && phase == Phase::Progressing {
            phase = Phase::Paused;
        }
        self.status.phase = Some(phase);
        self.status.message = Some(told.message.clone());
        self.status.observed_generation = Some(self.seen.subject.generation);
        let drifted_at_rest = phase == Phase::Healthy && told.out_of_sync.is_some();
        let reason = if told.reason.is_empty() { phase.word() } else { told.reason };
        let (ready, reconciling, stalled) = match phase {
            Phase::Healthy => (!drifted_at_rest, false, drifted_at_rest),
            Phase::Progressing | Phase::RollingBack | Phase::Paused | Phase::Suspended => {
                (false, true, false)
            }
            Phase::Failed | Phase::Invalid => (false, false, true),
        };
        let stalled_reason = match (stalled, phase == Phase::Failed) {
            (_, true) => "RolledBack",
            (true, false) => reason,
            (false, false) => phase.word(),
        };
        self.set("Ready", ready, reason, &told.message);
        self.set("Reconciling", reconciling, reason, &told.message);
        self.set("Stalled", stalled, stalled_reason, &told.message);
        self.set("Progressing", phase == Phase::Progressing, reason, &told.message);
        match &paused {
            Some(pause) => self.set("Paused", true, pause.reason.word(), &pause.message),
            None => self.set("Paused", false, "NotPaused", "no run is paused"),
        }
        match &told.out_of_sync {
            Some((reason, sentence)) => self.set("RoutesInSync", false, reason, sentence),
            None => self.set("RoutesInSync", true, "InSync", "routes and status agree"),
        }
        self.tell_besides(&told);
    }

    fn tell_besides(&mut self, told: &Told) {
        for kind in BESIDES {
            match told.besides.iter().find(|(name, _, _)| *name == kind) {
                Some((_, reason, sentence)) => self.set(kind, true, reason, sentence),
                None => self.status.conditions.retain(|condition| condition.type_ != kind),
            }
        }
    }

    fn set(&mut self, kind: &str, holds: bool, reason: &str, message: &str) {
        // Kubernetes keeps whole seconds here; anything finer would differ from what comes back.
        let now = Time(Timestamp::from_second(self.now.as_second()).unwrap_or(self.now));
        let generation = Some(self.seen.subject.generation);
        let status = if holds { "True" } else { "False" };
        let Some(known) = self.status.conditions.iter_mut().find(|condition| condition.type_ == kind) else {
            self.status.conditions.push(Condition {
                type_: kind.to_owned(),
                status: status.to_owned(),
                reason: reason.to_owned(),
                message: message.to_owned(),
                last_transition_time: now,
                observed_generation: generation,
            });
            return;
        };
        if known.status != status {
            known.last_transition_time = now;
            status.clone_into(&mut known.status);
        }
        reason.clone_into(&mut known.reason);
        message.clone_into(&mut known.message);
        known.observed_generation = generation;
    }
}
