//! The end of trouble, and what people put right once they read the conditions.

use tidegate::api::{PauseReason, Phase, RolloutStatus, stamp_annotation};

use crate::{edits::set_weight, event::Event, shapes::set_target, world::World};

/// People look again so often once trouble has ended.
const REPAIR_EVERY: u64 = 20_000;

impl World {
    /// Trouble ends: whatever was broken works, and what is stopped goes on.
    pub fn quieten(&mut self) {
        self.tell(|_| "trouble ends".to_owned());
        self.quiet = true;
        self.oracle.quiet_at = Some(self.now);
        for traffic in &mut self.traffic {
            traffic.flow(self.now);
            (traffic.down, traffic.nan) = (false, false);
        }
        self.refused.fill(false);
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
        for index in 0..self.server.workloads.len() {
            self.repair_workload(index);
        }
        for route in 0..self.server.routes.len() {
            if !self.server.exists(route) && !self.server.objects[route].made {
                self.server.make_route(route);
                self.route_changed(route);
            }
        }
        self.repair_template();
        for rollout in 0..self.server.rollouts.len() {
            self.repair_previews(rollout);
            if !self.server.rollout(rollout).is_gone() {
                self.repair_rollout(rollout);
            }
        }
        self.later(REPAIR_EVERY, Event::Repair);
    }

    fn repair_rollout(&mut self, rollout: usize) {
        let version = self.server.identities[rollout].versions[1];
        let now = self.server.rollout(rollout);
        if now.unreadable {
            self.edit_rollout(rollout, |now| now.unreadable = false);
        }
        let now = self.server.rollout(rollout);
        if now.spec.suspend || now.spec.target.name != version {
            self.edit_spec(rollout, |spec| {
                spec.suspend = false;
                set_target(spec, version);
            });
        }
        if self.server.rollout(rollout).status.format > RolloutStatus::FORMAT {
            self.set_format(rollout, RolloutStatus::FORMAT);
        }
        let status = self.server.rollout(rollout).status.clone();
        // Whoever is refused a rule leaves it alone.
        if status.conditions.iter().all(|condition| condition.reason != "RouteOwned") {
            self.repair_routes(rollout, &status);
        }
        let pause = status.run.as_ref().and_then(|run| run.pause.as_ref()).map(|pause| pause.reason);
        let drifted = status.conditions.iter().any(|c| c.type_ == "RoutesInSync" && c.status == "False");
        match (status.phase, pause) {
            (Some(Phase::Paused), Some(PauseReason::Inconclusive | PauseReason::Approval)) => {
                self.ask(rollout, "promote");
            }
            (_, Some(_)) => self.ask(rollout, "resume"),
            (_, None) if drifted => self.ask(rollout, "resume"),
            (_, None) => {}
        }
    }

    fn repair_routes(&mut self, rollout: usize, status: &RolloutStatus) {
        let [first, second, _] = self.server.identities[rollout].versions;
        let known = status.stable.is_some();
        let canary = status.canary.as_ref().map(|canary| canary.name.clone());
        let stable = status.stable.as_ref().map_or(first.to_owned(), |stable| stable.name.clone());
        let told = |reason: &str| status.conditions.iter().any(|condition| condition.reason == reason);
        let (forged, mirrored) = (told("ForgedStamp"), told("MirrorTaken"));
        for place in 0..self.server.identities[rollout].places.len() {
            let route = self.server.identities[rollout].places[place].object;
            let alone = self.server.objects[route].shape.lone;
            if forged {
                self.take_stamp(rollout, route);
            }
            if mirrored {
                self.edit_mirrors(rollout, route, &stable, 0);
            }
            self.edit_all(rollout, route, |list| {
                for (name, weight) in list.iter_mut() {
                    if *name != stable && canary.as_ref().is_none_or(|canary| name != canary) {
                        *weight = 0;
                    }
                }
                if alone && list.iter().all(|(_, weight)| *weight == 0) {
                    // A single target can't be taken out, only set to another.
                    set_weight(list, &stable, 100);
                }
                if !known {
                    // Nobody can tell which version was meant to be stable but they.
                    set_weight(list, second, 0);
                    set_weight(list, first, 100);
                }
                if list.iter().all(|(name, _)| *name != stable) {
                    list.push((stable.clone(), 100));
                }
            });
        }
    }

    fn take_stamp(&mut self, rollout: usize, route: usize) {
        let key = stamp_annotation(self.named(rollout));
        self.server.edit_route(route, |document| {
            if let Some(annotations) = document["metadata"]["annotations"].as_object_mut() {
                annotations.remove(&key);
            }
        });
        self.route_changed(route);
    }
}
