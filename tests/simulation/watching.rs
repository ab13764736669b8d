//! What the watches show each process, and when: late, not at all for a while, or as it once was.

use std::rc::Rc;

use tidegate::engine::observed::InEffect;

use crate::{
    faults::Fault,
    world::{Event, World},
};

/// The data plane takes up a weight after so long at most.
const PROGRAMS: u64 = 1_500;

impl World {
    fn lag(&mut self) -> u64 {
        if self.strikes(Fault::Delays, 100) { self.chance.up_to(4_000) } else { 1 + self.chance.up_to(20) }
    }

    pub fn rollout_changed(&mut self) {
        let version = self.server.rollout.len() - 1;
        for process in 0..self.processes.len() {
            let (life, lag) = (self.processes[process].life, self.lag());
            self.later(lag, Event::ShowsRollout { process, life, version });
        }
    }

    pub fn route_changed(&mut self, route: usize) {
        self.shift_traffic();
        self.oracle.standing.weights_changed(&self.server);
        let waits = self.server.route(route).view().is_some_and(|view| view.in_effect != InEffect::Yes);
        if waits {
            let delay = 10 + self.chance.up_to(PROGRAMS);
            self.later(delay, Event::Programmed { route });
        }
        let version = self.server.routes[route].len() - 1;
        for process in 0..self.processes.len() {
            let (life, lag) = (self.processes[process].life, self.lag());
            self.later(lag, Event::ShowsRoute { process, life, route, version });
        }
    }

    pub fn workload_changed(&mut self, workload: usize) {
        let version = self.server.workloads[workload].1.len() - 1;
        for process in 0..self.processes.len() {
            let (life, lag) = (self.processes[process].life, self.lag());
            self.later(lag, Event::ShowsWorkload { process, life, workload, version });
        }
    }

    fn hears(&self, process: usize, life: u32) -> bool {
        self.lives(process, life) && self.processes[process].frozen_until <= self.now
    }

    pub fn shows_rollout(&mut self, id: usize, life: u32, version: usize) {
        let shown = self.server.rollout[version].clone();
        if !self.hears(id, life) || self.processes[id].rollout.version >= shown.version {
            return;
        }
        let own = self.processes[id].working.own.as_ref().map_or(0, |own| own.version);
        let news = own < shown.version;
        self.processes[id].rollout = shown;
        if news {
            self.wake(id);
        }
    }

    pub fn shows_route(&mut self, id: usize, life: u32, route: usize, version: usize) {
        let shown = self.server.routes[route][version].clone();
        if !self.hears(id, life) || self.processes[id].routes[route].version >= shown.version {
            return;
        }
        self.processes[id].routes[route] = shown;
        self.wake(id);
    }

    pub fn shows_workload(&mut self, id: usize, life: u32, workload: usize, version: usize) {
        let shown = self.server.workloads[workload].1[version].clone();
        if !self.hears(id, life) || self.processes[id].workloads[workload].1.version >= shown.version {
            return;
        }
        self.processes[id].workloads[workload].1 = shown;
        self.wake(id);
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
        let old = self.chance.below(self.server.rollout.len());
        self.processes[id].rollout = self.server.rollout[old].clone();
        let (life, delay) = (self.processes[id].life, 100 + self.chance.up_to(5_000));
        self.catches_up_later(id, life, delay);
        self.wake(id);
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
        process.rollout = Rc::clone(self.server.rollout());
        self.wake(id);
    }
}
