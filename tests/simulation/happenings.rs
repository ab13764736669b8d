//! What people, GitOps tools and the cluster do: to the Rollout, to its routes, to its pods, to the controllers.

use std::sync::Arc;

use serde_json::json;

use tidegate::{
    api::{PauseReason, Phase, RolloutStatus},
    engine::observed::WorkloadSeen,
};

use crate::{
    chance::Chance,
    faults::Fault,
    shapes::{Entry, Rules, set_target},
    world::{Event, World},
};

/// People look again so often once trouble has ended.
const REPAIR_EVERY: u64 = 20_000;

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
            | Self::NewerLeads => 1 + chance.below(3),
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
            | Self::ImagesChange => 1 + chance.below(2),
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
            Fault::Crashes => {
                let id = self.anyone();
                let life = self.processes[id].life;
                if self.lives(id, life) {
                    self.crash(id);
                }
            }
            Fault::Pauses => {
                let id = self.anyone();
                self.processes[id].paused_until = self.now + 1_000 + self.chance.up_to(25_000);
            }
            Fault::FreezesWatches => {
                let id = self.anyone();
                self.processes[id].frozen_until = self.now + 1_000 + self.chance.up_to(30_000);
                let (life, until) = (self.processes[id].life, self.processes[id].frozen_until);
                self.catches_up_later(id, life, until - self.now);
            }
            Fault::ReplaysOldLists => self.replay_old_lists(),
            Fault::LosesMetrics => self.traffic.down = !self.traffic.down,
            Fault::GivesNaN => self.traffic.nan = !self.traffic.nan,
            Fault::PeopleAbort => self.abort(),
            Fault::PeoplePromote => {
                let action = if self.chance.per_mille(250) { "promote-full" } else { "promote" };
                self.ask(action);
            }
            Fault::PeoplePause => {
                let action = if self.chance.per_mille(500) { "pause" } else { "resume" };
                self.ask(action);
            }
            Fault::PeopleSuspend => self.edit_spec(|spec| spec.suspend = !spec.suspend),
            Fault::PeopleChangeTarget => {
                let name = ["v1", "v3", "v2"][self.chance.below(3)];
                self.edit_spec(|spec| set_target(spec, name));
            }
            Fault::RoutesAreReplaced => {
                let route = self.any_route();
                self.server.delete_route(route);
                self.route_changed(route);
                if self.chance.per_mille(500) {
                    self.server.make_route(route);
                    self.route_changed(route);
                }
            }
            Fault::PodsVanish => {
                let (index, ready) = (self.chance.below(2), self.chance.below(2) as i32);
                let hash = format!("h{}", index + 1);
                self.set_workload(index, WorkloadSeen::present(2, ready, hash));
            }
            Fault::ImagesChange => {
                let hash = format!("image-{}", self.chance.below(3));
                self.set_workload(1, WorkloadSeen::present(2, 2, hash));
            }
            Fault::NewerLeads => {
                let newer = self.server.rollout().status.format > RolloutStatus::FORMAT;
                self.set_format(if newer { RolloutStatus::FORMAT } else { RolloutStatus::FORMAT + 1 });
            }
            Fault::PeopleSetWeights
            | Fault::PeopleReorder
            | Fault::PeopleAddWeight
            | Fault::ToolsRestoreGit
            | Fault::ToolsTakeStamps
            | Fault::ToolsTouch => self.somebody_edits(fault),
            Fault::LosesRequests
            | Fault::LosesReplies
            | Fault::Delays
            | Fault::Doubles
            | Fault::Refuses
            | Fault::ClocksDiffer => {}
        }
    }

    /// Somebody else writes to a route.
    fn somebody_edits(&mut self, fault: Fault) {
        let route = self.any_route();
        match fault {
            Fault::PeopleSetWeights => {
                let share = self.chance.up_to(100) as i64;
                self.edit_some(route, |list| {
                    set_weight(list, "v1", 100 - share);
                    set_weight(list, "v2", share);
                });
            }
            Fault::PeopleReorder => {
                let shape = self.server.shapes[route];
                if shape.rules != Rules::One && !self.now.is_multiple_of(4) {
                    self.server.edit_route(route, |document| shape.reorder(document));
                    self.route_changed(route);
                } else {
                    self.edit_some(route, |list| list.reverse());
                }
            }
            Fault::PeopleAddWeight => {
                self.edit_some(route, |list| {
                    if list.iter().all(|(name, _)| name != "other") {
                        list.push(("other".to_owned(), 5));
                    }
                });
            }
            Fault::ToolsRestoreGit => {
                self.edit_all(route, |list| {
                    for (name, weight) in list {
                        *weight = if name == "v1" { 100 } else { 0 };
                    }
                });
            }
            Fault::ToolsTakeStamps => {
                self.server.edit_route(route, |document| {
                    if let Some(metadata) = document["metadata"].as_object_mut() {
                        metadata.remove("annotations");
                    }
                });
                self.route_changed(route);
            }
            Fault::ToolsTouch => {
                let mark = self.now;
                self.server
                    .edit_route(route, |document| document["metadata"]["labels"] = json!({"touched": mark}));
                self.route_changed(route);
            }
            _ => {}
        }
    }

    fn anyone(&mut self) -> usize {
        let count = self.processes.len();
        self.chance.below(count)
    }

    fn any_route(&mut self) -> usize {
        let count = self.server.routes.len();
        self.chance.below(count)
    }

    fn abort(&mut self) {
        let now = self.server.rollout();
        let Some(run) = &now.status.run else { return };
        let text = format!(r#"{{"run":{},"by":"ann","at":"2026-01-01T00:00:00Z"}}"#, run.number);
        let number = run.number;
        if now.abort.as_deref() == Some(&text) || run.ended.is_some() {
            return;
        }
        self.server.edit_rollout(|rollout| rollout.abort = Some(text));
        self.oracle.aborted(number);
        self.rollout_changed();
    }

    /// People ask for the run and step that they see.
    pub fn ask(&mut self, action: &str) {
        let now = self.server.rollout();
        let run = now.status.run.as_ref().map_or(0, |run| run.number);
        let step = now.status.step.as_ref().map_or(0, |step| step.index);
        let id = format!("{action}-{}", self.now);
        let text = format!(
            r#"{{"action":"{action}","run":{run},"step":{step},"by":"ann","at":"2026-01-01T00:00:00Z","id":"{id}"}}"#
        );
        self.server.edit_rollout(|rollout| rollout.request = Some(text));
        match action {
            "promote" => self.oracle.promoted(run, step),
            "promote-full" => self.oracle.promoted_full(run),
            _ => {}
        }
        self.rollout_changed();
    }

    /// A newer version of the controller takes the Rollout over, or gives it back as this one can read it.
    fn set_format(&mut self, format: i32) {
        self.server.edit_rollout(|rollout| {
            if rollout.status.format != format {
                rollout.status = Arc::new(RolloutStatus { format, ..(*rollout.status).clone() });
            }
        });
        self.rollout_changed();
    }

    fn edit_spec(&mut self, change: impl FnOnce(&mut tidegate::api::RolloutSpec)) {
        self.server.edit_rollout(|rollout| {
            let mut spec = (*rollout.spec).clone();
            change(&mut spec);
            if spec != *rollout.spec {
                rollout.spec = Arc::new(spec);
            }
        });
        self.rollout_changed();
    }

    fn edit_all(&mut self, route: usize, change: impl FnMut(&mut Vec<Entry>)) {
        self.server.edit_lists(route, true, change);
        self.route_changed(route);
    }

    /// The same, at times of one list only.
    fn edit_some(&mut self, route: usize, change: impl FnMut(&mut Vec<Entry>)) {
        let all = !self.now.is_multiple_of(3);
        self.server.edit_lists(route, all, change);
        self.route_changed(route);
    }

    fn set_workload(&mut self, index: usize, seen: WorkloadSeen) {
        self.server.set_workload(index, seen);
        self.workload_changed(index);
    }

    /// Trouble ends: whatever was broken works, and what is stopped goes on.
    pub fn quieten(&mut self) {
        self.tell(|_| "trouble ends".to_owned());
        self.quiet = true;
        self.oracle.quiet_at = Some(self.now);
        self.traffic.flow(self.now);
        (self.traffic.down, self.traffic.nan) = (false, false);
        for id in 0..self.processes.len() {
            let process = &mut self.processes[id];
            process.frozen_until = 0;
            process.paused_until = process.paused_until.min(self.now + 5_000);
            let life = process.life;
            self.catches_up_later(id, life, 5_001);
            self.later(16_000, Event::Start { process: id });
        }
        self.later(0, Event::Repair);
    }

    /// What people do once they read the conditions.
    pub fn repair(&mut self) {
        for index in 0..2 {
            let WorkloadSeen::Present(pods) = self.server.workload(index).seen.clone() else {
                continue;
            };
            if pods.ready == 0 {
                self.set_workload(index, WorkloadSeen::present(2, 2, pods.hash));
            }
        }
        if self.server.rollout().spec.suspend || self.server.rollout().spec.target.name != "v2" {
            self.edit_spec(|spec| {
                spec.suspend = false;
                set_target(spec, "v2");
            });
        }
        if self.server.rollout().status.format > RolloutStatus::FORMAT {
            self.set_format(RolloutStatus::FORMAT);
        }
        let status = self.server.rollout().status.clone();
        let known = status.stable.is_some();
        let canary = status.canary.as_ref().map(|canary| canary.name.clone());
        let stable = status.stable.as_ref().map_or("v1".to_owned(), |stable| stable.name.clone());
        for route in 0..self.server.routes.len() {
            if self.server.route(route).view().is_none() {
                self.server.make_route(route);
                self.route_changed(route);
            }
            self.edit_all(route, |list| {
                for (name, weight) in list.iter_mut() {
                    if *name != stable && canary.as_ref().is_none_or(|canary| name != canary) {
                        *weight = 0;
                    }
                }
                if !known {
                    // Nobody can tell which version was meant to be stable but they.
                    set_weight(list, "v2", 0);
                    set_weight(list, "v1", 100);
                }
                if list.iter().all(|(name, _)| *name != stable) {
                    list.push((stable.clone(), 100));
                }
            });
        }
        let pause = status.run.as_ref().and_then(|run| run.pause.as_ref()).map(|pause| pause.reason);
        let drifted = status.conditions.iter().any(|c| c.type_ == "RoutesInSync" && c.status == "False");
        match (status.phase, pause) {
            (Some(Phase::Paused), Some(PauseReason::Inconclusive | PauseReason::Approval)) => {
                self.ask("promote");
            }
            (_, Some(_)) => self.ask("resume"),
            (_, None) if drifted => self.ask("resume"),
            (_, None) => {}
        }
        self.later(REPAIR_EVERY, Event::Repair);
    }
}

fn set_weight(list: &mut [Entry], name: &str, weight: i64) {
    for entry in list.iter_mut().filter(|entry| entry.0 == name) {
        entry.1 = weight;
    }
}
