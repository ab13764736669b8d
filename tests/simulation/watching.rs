//! What the watches show each process, and when: late, not at all for a while, or as it once was.

use std::rc::Rc;

use tidegate::engine::observed::{InEffect, RouteState};

use crate::{concern::Concern, event::Event, faults::Fault, kept::Actor, world::World};

/// The data plane takes up a weight after so long at most.
const PROGRAMS: u64 = 1_500;

impl World {
    pub fn lag(&mut self, concern: Concern) -> u64 {
        if self.strikes(Fault::Delays, 100, concern) {
            self.chance.up_to(4_000)
        } else {
            1 + self.chance.up_to(20)
        }
    }

    pub fn rollout_changed(&mut self, rollout: usize) {
        let version = self.server.rollouts[rollout].len() - 1;
        for process in 0..self.processes.len() {
            let (life, lag) = (self.processes[process].life, self.lag(Concern::One(rollout)));
            self.later(lag, Event::ShowsRollout { by: Actor { process, rollout }, life, version });
        }
        self.collect_later(rollout);
    }

    pub fn route_changed(&mut self, route: usize) {
        let mut waits = false;
        for rollout in self.server.on(route) {
            self.shift_traffic(rollout);
            self.oracle.weights_changed(&self.server, rollout, self.now);
            let view = self.server.route(route).view(rollout);
            waits |= view.is_some_and(|view| view.in_effect != InEffect::Yes);
        }
        if self.server.objects[route].made
            && let RouteState::Present(view) = &self.server.route(route).state
        {
            waits |= view.in_effect != InEffect::Yes;
        }
        if waits {
            let delay = 10 + self.chance.up_to(PROGRAMS);
            self.later(delay, Event::Programmed { route });
        }
        let version = self.server.routes[route].len() - 1;
        let news = std::mem::replace(&mut self.announced[route], version) != version;
        let concern = self.concern_of_route(route);
        for process in 0..self.processes.len() {
            let (life, lag) = (self.processes[process].life, self.lag(concern));
            if news {
                self.later(lag, Event::ShowsRoute { process, life, route, version });
            }
        }
    }

    pub fn workload_changed(&mut self, workload: usize) {
        let version = self.server.workloads[workload].1.len() - 1;
        let concern = self.concern_of_workload(workload);
        for process in 0..self.processes.len() {
            let (life, lag) = (self.processes[process].life, self.lag(concern));
            self.later(lag, Event::ShowsWorkload { process, life, workload, version });
        }
    }

    pub fn hears(&self, process: usize, life: u32) -> bool {
        self.lives(process, life) && self.processes[process].frozen_until <= self.now
    }

    pub fn shows_rollout(&mut self, by: Actor, life: u32, version: usize) {
        let shown = self.server.rollouts[by.rollout][version].clone();
        if !self.hears(by.process, life) || self.kept(by).shown.version >= shown.version {
            return;
        }
        let kept = self.kept(by);
        let own = kept.working.own.as_ref().map_or(0, |own| own.version);
        let news = own < shown.version;
        let gone = shown.is_gone();
        kept.shown = shown;
        if gone {
            // Somebody may have waited for what it stood on.
            self.wake_all(by.process);
        } else if news {
            self.wake(by);
        }
    }

    pub fn shows_route(&mut self, id: usize, life: u32, route: usize, version: usize) {
        let shown = self.server.routes[route][version].clone();
        if !self.hears(id, life) || self.processes[id].routes[route].version >= shown.version {
            return;
        }
        self.processes[id].routes[route] = shown;
        for rollout in self.server.on(route) {
            self.wake(Actor { process: id, rollout });
        }
    }

    pub fn shows_workload(&mut self, id: usize, life: u32, workload: usize, version: usize) {
        let shown = self.server.workloads[workload].1[version].clone();
        if !self.hears(id, life) || self.processes[id].workloads[workload].1.version >= shown.version {
            return;
        }
        self.processes[id].workloads[workload].1 = shown;
        for rollout in self.server.behind(workload) {
            self.wake(Actor { process: id, rollout });
        }
    }

    /// A list comes from an API server that is behind: everything is seen as it once was.
    pub fn replay_old_lists(&mut self) {
        let id = self.chance.below(self.processes.len());
        if !self.processes[id].up {
            return;
        }
        for route in 0..self.server.routes.len() {
            let old = self.chance.below(self.server.routes[route].len());
            self.processes[id].routes[route] = self.server.routes[route][old].clone();
        }
        for rollout in 0..self.server.rollouts.len() {
            let all = &self.server.rollouts[rollout];
            let old = self.chance.below(all.len());
            self.processes[id].kept[rollout].shown = all[old].clone();
        }
        let (life, delay) = (self.processes[id].life, 100 + self.chance.up_to(5_000));
        self.catches_up_later(id, life, delay);
        self.wake_all(id);
    }

    pub fn catches_up_later(&mut self, process: usize, life: u32, delay: u64) {
        self.later(delay, Event::CatchesUp { process, life });
    }

    pub fn catch_up(&mut self, id: usize, life: u32) {
        if !self.hears(id, life) {
            return;
        }
        let process = &mut self.processes[id];
        for (index, route) in process.routes.iter_mut().enumerate() {
            *route = self.server.route(index).clone();
        }
        for (index, (_, workload)) in process.workloads.iter_mut().enumerate() {
            *workload = self.server.workload(index).clone();
        }
        process.template = self.server.templates.len().saturating_sub(1);
        for (rollout, kept) in process.kept.iter_mut().enumerate() {
            kept.shown = Rc::clone(self.server.rollout(rollout));
        }
        self.wake_all(id);
    }
}
