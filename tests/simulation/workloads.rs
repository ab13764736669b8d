//! The pods behind the versions: how they are scaled, by whom, and when they come.

use std::rc::Rc;

use tidegate::{
    api::Retired,
    engine::{
        SENT_WITHIN,
        decision::{Effect, ScaleWrite},
        observed::{Pods, Scaler, ScalerSeen, WorkloadKey, WorkloadSeen},
        scales,
    },
};

use crate::{
    event::Event,
    kept::Actor,
    mutants::Mutant,
    network::{Change, Reply, Role},
    server::{Answer, Request},
    specs::{PODS, scales_up},
    versions::RolloutNow,
    world::World,
};

/// New pods are ready within this.
const STARTS: u64 = 2_500;

impl World {
    fn pods(&self, workload: usize) -> Option<Pods> {
        match &self.server.workload(workload).seen {
            WorkloadSeen::Present(pods) => Some(pods.clone()),
            WorkloadSeen::Missing | WorkloadSeen::Unreadable(_) => None,
        }
    }

    /// Begins to scale a workload: whether it still wants what it was seen to want is read first.
    pub fn measure(&mut self, by: Actor, index: usize, write: &ScaleWrite) {
        let Some(workload) = self.workload_named(&write.workload.name) else {
            return self.oracle.violated("S6", format!("{} is scaled, which is nobody's", write.workload));
        };
        self.send(by, Role::Measuring(index), Request::ReadWorkload { workload });
    }

    /// Whether another Rollout names or implies the workload, or can't be read.
    fn is_used(&self, rollout: usize, write: &ScaleWrite) -> bool {
        let mut others = (0..self.server.rollouts.len()).filter(|other| *other != rollout);
        others
            .any(|other| self.server.rollout(other).uses().is_none_or(|used| used.contains(&write.workload)))
    }

    fn workload_named(&self, name: &str) -> Option<usize> {
        self.server.workloads.iter().position(|(known, _)| *known == name)
    }

    /// The workload that is to be scaled was read.
    pub fn measured(&mut self, by: Actor, index: usize, reply: &Reply) {
        let decision = Rc::clone(&self.turn(by).decision);
        let Effect::Scale(write) = &decision.effects[index] else { return };
        let Some(workload) = self.workload_named(&write.workload.name) else { return };
        let whatever = self.mutant == Some(Mutant::ScaledWhateverIs);
        let version = match reply {
            Reply::Answer(Answer::Workload(now)) => {
                let same = matches!(&now.seen, WorkloadSeen::Present(pods) if pods.replicas == write.from);
                (same || whatever).then_some(now.version)
            }
            _ => None,
        };
        let down = write.to < write.from;
        let late = down && self.now - self.turn(by).decided_at > SENT_WITHIN.as_millis() as u64;
        // Who uses it is asked with that.
        let used = down && self.mutant != Some(Mutant::UsedRetired) && self.is_used(by.rollout, write);
        let Some(version) = version.filter(|_| self.leads(by) && !late && !used) else {
            return self.not_scaled(by, index, reply);
        };
        let version = Some(version).filter(|_| !whatever);
        let request = Request::Scale { workload, version, to: write.to };
        self.send_for(by, Role::Effect(index), request, Some(Change::Workload(write.clone())));
    }

    /// Draws the consequence of a workload that was not scaled, or not for sure.
    pub fn not_scaled(&mut self, by: Actor, index: usize, reply: &Reply) {
        self.kept(by).working.memory.scaled = None;
        self.turn(by).unscaled = true;
        if reply.is_forbidden() {
            let decision = Rc::clone(&self.turn(by).decision);
            let Effect::Scale(write) = &decision.effects[index] else { return };
            self.leave_alone(by, &write.workload.to_string(), false);
        }
        self.effects_from(by, index + 1);
    }

    pub fn pods_come_later(&mut self, workload: usize) {
        let delay = 200 + self.chance.up_to(STARTS);
        self.later(delay, Event::PodsCome { workload });
    }

    /// What was scaled up has the pods that it wants.
    pub fn pods_come(&mut self, workload: usize) {
        if let Some(pods) = self.pods(workload).filter(|pods| pods.ready < pods.replicas) {
            self.set_workload(workload, WorkloadSeen::Present(Pods { ready: pods.replicas, ..pods }));
        }
    }

    /// Somebody scales a workload.
    pub fn people_scale(&mut self, workload: usize) {
        let replicas = self.chance.below(4) as i32;
        if let Some(pods) = self.pods(workload) {
            let ready = pods.ready.min(replicas);
            self.set_workload(workload, WorkloadSeen::Present(Pods { replicas, ready, ..pods }));
            self.pods_come_later(workload);
        }
    }

    /// An autoscaler appears, or goes, or can't be known.
    pub fn scaler_changes(&mut self, workload: usize) {
        let key = WorkloadKey::deployment(self.server.workloads[workload].0);
        let seen = |min, max, keda: Option<&str>| {
            let (workload, name, keda) = (key.clone(), "hpa".to_owned(), keda.map(str::to_owned));
            Scaler::Horizontal(ScalerSeen { workload, name, min, max, keda })
        };
        let scaler = match self.chance.below(5) {
            0 => Scaler::None,
            1 => Scaler::Unknown("the autoscalers can't be listed".to_owned()),
            2 => seen(1, 1, None),
            3 => seen(PODS, 5, None),
            _ => seen(1, 5, Some("scaled")),
        };
        if let Some(pods) = self.pods(workload) {
            self.set_workload(workload, WorkloadSeen::Present(Pods { scaler, ..pods }));
        }
    }

    /// No autoscaler is there any more, pods are ready again, and people give pods to what no controller would.
    pub fn repair_workload(&mut self, workload: usize) {
        let Some(pods) = self.pods(workload) else { return };
        let replicas = match pods.replicas {
            // What a Rollout scales it gives pods by itself.
            0 if self.is_needed(workload) && !self.is_scaled(workload) => PODS,
            replicas => replicas,
        };
        let heals =
            pods.ready == 0 || self.server.rollouts.iter().any(|all| scales(&all[0].spec, &all[0].status));
        let ready = if heals { replicas } else { pods.ready };
        let mended = Pods { replicas, ready, scaler: Scaler::None, ..pods.clone() };
        if mended != pods {
            self.set_workload(workload, WorkloadSeen::Present(mended));
        }
    }

    /// Whether it is nobody's stable, and whoever wants it as a canary scales it, up or up again.
    fn is_scaled(&self, workload: usize) -> bool {
        let name = self.server.workloads[workload].0;
        let newest = self.server.rollouts.iter().filter_map(|all| all.last());
        let living: Vec<&RolloutNow> = newest.map(Rc::as_ref).filter(|now| !now.is_gone()).collect();
        let live = |now: &&RolloutNow| now.status.stable.as_ref().is_some_and(|stable| stable.name == name);
        // What it never saw with pods it has no number for.
        let known = |retired: &Retired| retired.name == name && retired.replicas > 0;
        let again = |now: &RolloutNow| now.status.retired.iter().any(known);
        let mut wanting = living.iter().filter(|now| now.spec.target.name == name).peekable();
        let wanted = wanting.peek().is_some();
        wanted && wanting.all(|now| scales_up(&now.spec) || again(now)) && !living.iter().any(live)
    }

    /// Whether a living Rollout has its traffic there, or is to; where nobody scales anything, all versions have pods.
    fn is_needed(&self, workload: usize) -> bool {
        let name = self.server.workloads[workload].0;
        let mut living =
            self.server.rollouts.iter().filter_map(|all| all.last()).filter(|now| !now.is_gone());
        living.any(|now| {
            let is =
                |target: &Option<tidegate::api::Target>| target.as_ref().is_some_and(|one| one.name == name);
            let failed = now.status.phase == Some(tidegate::api::Phase::Failed) && is(&now.status.canary);
            now.spec.retire.is_none() || is(&now.status.stable) || (now.spec.target.name == name && !failed)
        })
    }
}
