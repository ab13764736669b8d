//! What people, GitOps tools and the cluster do: to a Rollout, to its pods, to its metrics, to the controllers. What is done to
//! routes is in `edits`.

use std::sync::Arc;

use tidegate::{
    api::RolloutStatus,
    engine::observed::{Pods, WorkloadSeen},
};

use crate::{
    chance::Chance,
    concern::Concern,
    faults::Fault,
    shapes::set_target,
    versions::RolloutNow,
    world::{Rivalry, World},
};

impl Fault {
    /// How often it happens by itself in one seed.
    pub fn happens(self, chance: &mut Chance) -> usize {
        match self {
            Self::LosesRequests
            | Self::LosesReplies
            | Self::Delays
            | Self::Doubles
            | Self::Refuses
            | Self::ClocksDiffer => 0,
            Self::Crashes
            | Self::Pauses
            | Self::FreezesWatches
            | Self::ReplaysOldLists
            | Self::LosesMetrics
            | Self::GivesNaN
            | Self::PeoplePromote
            | Self::ToolsTouch
            | Self::NewerLeads
            | Self::PeopleTouchPreviews => 1 + chance.below(3),
            Self::PeopleDelete => 1,
            Self::PeopleAbort
            | Self::PeoplePause
            | Self::PeopleSuspend
            | Self::PeopleChangeTarget
            | Self::PeopleSetWeights
            | Self::PeopleReorder
            | Self::PeopleAddWeight
            | Self::ToolsRestoreGit
            | Self::ToolsTakeStamps
            | Self::RoutesAreReplaced
            | Self::PodsVanish
            | Self::ImagesChange
            | Self::PeopleGarble
            | Self::StampsAreForged
            | Self::AdmissionRefuses
            | Self::PeopleScale
            | Self::ScalersChange
            | Self::TemplatesChange => 1 + chance.below(2),
        }
    }
}

impl World {
    pub fn happens(&mut self, fault: Fault) {
        if self.quiet {
            return;
        }
        self.tell(|_| format!("{fault:?}"));
        match fault {
            Fault::Crashes | Fault::Pauses | Fault::FreezesWatches | Fault::ReplaysOldLists => {
                if self.befalls(Concern::All) {
                    self.befalls_a_process(fault);
                }
            }
            Fault::PodsVanish | Fault::ImagesChange | Fault::PeopleScale | Fault::ScalersChange => {
                self.befalls_pods(fault);
            }
            Fault::PeopleTouchPreviews => self.befalls_a_preview(),
            Fault::TemplatesChange => self.befalls_the_template(),
            Fault::LosesMetrics
            | Fault::GivesNaN
            | Fault::PeopleAbort
            | Fault::PeoplePromote
            | Fault::PeoplePause
            | Fault::PeopleSuspend
            | Fault::PeopleChangeTarget
            | Fault::NewerLeads
            | Fault::PeopleDelete
            | Fault::PeopleGarble
            | Fault::AdmissionRefuses => {
                let rollout = self.anyones();
                let garbled = fault == Fault::PeopleGarble;
                let concern = if garbled { self.concern_of_garbling(rollout) } else { Concern::One(rollout) };
                if self.befalls(concern) {
                    self.befalls_a_rollout(fault, rollout);
                }
            }
            Fault::RoutesAreReplaced
            | Fault::PeopleSetWeights
            | Fault::PeopleReorder
            | Fault::PeopleAddWeight
            | Fault::ToolsRestoreGit
            | Fault::ToolsTakeStamps
            | Fault::StampsAreForged
            | Fault::ToolsTouch => self.befalls_a_route(fault),
            Fault::LosesRequests
            | Fault::LosesReplies
            | Fault::Delays
            | Fault::Doubles
            | Fault::Refuses
            | Fault::ClocksDiffer => {}
        }
    }

    fn befalls_a_process(&mut self, fault: Fault) {
        if fault == Fault::ReplaysOldLists {
            return self.replay_old_lists();
        }
        let count = self.processes.len();
        let id = self.chance.below(count);
        let life = self.processes[id].life;
        match fault {
            Fault::Crashes if self.lives(id, life) => self.crash(id),
            Fault::Pauses => {
                self.processes[id].paused_until = self.now + 1_000 + self.chance.up_to(25_000);
            }
            Fault::FreezesWatches => {
                let span = 1_000 + self.chance.up_to(30_000);
                self.processes[id].frozen_until = self.now + span;
                self.catches_up_later(id, life, span);
            }
            _ => {}
        }
    }

    fn befalls_a_rollout(&mut self, fault: Fault, rollout: usize) {
        let traffic = &mut self.traffic[rollout];
        match fault {
            Fault::LosesMetrics => traffic.down = !traffic.down,
            Fault::GivesNaN => traffic.nan = !traffic.nan,
            Fault::PeopleAbort => self.abort(rollout),
            Fault::PeoplePromote => {
                let action = if self.chance.per_mille(250) { "promote-full" } else { "promote" };
                self.ask(rollout, action);
            }
            Fault::PeoplePause => {
                let action = if self.chance.per_mille(500) { "pause" } else { "resume" };
                self.ask(rollout, action);
            }
            Fault::PeopleSuspend => self.edit_spec(rollout, |spec| spec.suspend = !spec.suspend),
            Fault::PeopleChangeTarget => {
                let name = self.server.identities[rollout].versions[[0, 2, 1][self.chance.below(3)]];
                self.edit_spec(rollout, |spec| set_target(spec, name));
            }
            Fault::NewerLeads => {
                let newer = self.server.rollout(rollout).status.format > RolloutStatus::FORMAT;
                self.set_format(rollout, RolloutStatus::FORMAT + i32::from(!newer));
            }
            Fault::PeopleDelete => {
                self.server.delete_rollout(rollout);
                self.rollout_changed(rollout);
            }
            Fault::PeopleGarble => {
                self.edit_rollout(rollout, |now| now.unreadable = !now.unreadable);
            }
            // Each remembers by itself what refused its writes: at rest, several that don't know of each other would write what they
            // make of it over each other's for as long.
            Fault::AdmissionRefuses => {
                self.refused[rollout] = !self.refused[rollout] && self.rivalry != Rivalry::Unled;
            }
            _ => {}
        }
    }

    fn befalls_pods(&mut self, fault: Fault) {
        let rollout = self.anyones();
        let index = if fault == Fault::ImagesChange { 1 } else { self.chance.below(2) };
        let workload = self.server.workload_of(rollout, index);
        if !self.befalls(self.concern_of_workload(workload)) {
            return;
        }
        let WorkloadSeen::Present(pods) = self.server.workload(workload).seen.clone() else { return };
        match fault {
            Fault::PeopleScale => return self.people_scale(workload),
            Fault::ScalersChange => return self.scaler_changes(workload),
            _ => {}
        }
        let pods = if fault == Fault::PodsVanish {
            let ready = (self.chance.below(2) as i32).min(pods.replicas);
            Pods { ready, hash: format!("h{}", index + 1), ..pods }
        } else {
            Pods { ready: pods.replicas, hash: format!("image-{}", self.chance.below(3)), ..pods }
        };
        self.set_workload(workload, WorkloadSeen::Present(pods));
    }

    fn abort(&mut self, rollout: usize) {
        let now = self.server.rollout(rollout);
        let Some(run) = &now.status.run else { return };
        let text = format!(r#"{{"run":{},"by":"ann","at":"2026-01-01T00:00:00Z"}}"#, run.number);
        let number = run.number;
        if now.abort.as_deref() == Some(&text) || run.ended.is_some() {
            return;
        }
        self.oracle.aborted(rollout, number);
        self.edit_rollout(rollout, |rollout| rollout.abort = Some(text));
    }

    /// People ask for the run and step that they see.
    pub fn ask(&mut self, rollout: usize, action: &str) {
        let now = self.server.rollout(rollout);
        let run = now.status.run.as_ref().map_or(0, |run| run.number);
        let step = now.status.step.as_ref().map_or(0, |step| step.index);
        let id = format!("{action}-{}", self.now);
        let text = format!(
            r#"{{"action":"{action}","run":{run},"step":{step},"by":"ann","at":"2026-01-01T00:00:00Z","id":"{id}"}}"#
        );
        match action {
            "promote" => self.oracle.promoted(rollout, run, step),
            "promote-full" => self.oracle.promoted_full(rollout, run),
            _ => {}
        }
        self.edit_rollout(rollout, |rollout| rollout.request = Some(text));
    }

    /// A newer version of the controller takes a Rollout over, or gives it back as this one can read it.
    pub fn set_format(&mut self, rollout: usize, format: i32) {
        self.edit_rollout(rollout, |rollout| {
            if rollout.status.format != format {
                rollout.status = Arc::new(RolloutStatus { format, ..(*rollout.status).clone() });
            }
        });
    }

    pub fn edit_spec(&mut self, rollout: usize, change: impl FnOnce(&mut tidegate::api::RolloutSpec)) {
        self.edit_rollout(rollout, |rollout| {
            let mut spec = (*rollout.spec).clone();
            change(&mut spec);
            if spec != *rollout.spec {
                rollout.spec = Arc::new(spec);
            }
        });
    }

    pub fn edit_rollout(&mut self, rollout: usize, change: impl FnOnce(&mut RolloutNow)) {
        self.server.edit_rollout(rollout, change);
        self.rollout_changed(rollout);
    }

    pub fn set_workload(&mut self, index: usize, seen: WorkloadSeen) {
        self.server.set_workload(index, seen);
        self.workload_changed(index);
    }
}
