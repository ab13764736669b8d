//! Virtual time in the small world: traffic flows by the weights, and turns are taken as they fall due.

use std::time::Duration;

use jiff::SignedDuration;
use tidegate::engine::{decision::Effect, observed::RouteState};

use crate::world::World;

impl World {
    /// Lets time pass; traffic flows by the weights.
    pub fn pass(&mut self, span: Duration) {
        let seconds = span.as_secs_f64();
        if let Some(RouteState::Present(view)) = self.routes.get("color") {
            let total = view.lists[0].total().max(1) as f64;
            for entry in &view.lists[0].entries {
                let requests = self.traffic.per_second * seconds * entry.weight as f64 / total;
                let failing = self.traffic.failing.get(&entry.name).copied().unwrap_or(0.0);
                let counter = self.counters.entry(entry.name.clone()).or_default();
                counter.0 += requests * failing;
                counter.1 += requests;
            }
        }
        self.now = self.now.checked_add(SignedDuration::try_from(span).unwrap()).unwrap();
    }

    /// Decides until nothing happens at this moment any more.
    pub fn settle(&mut self) {
        for _ in 0..50 {
            let decision = self.decide();
            let quiet = decision.before.is_none()
                && !decision.store
                && self.pending.is_none()
                && decision.effects.iter().all(|e| matches!(e, Effect::Tell(_)));
            if quiet || self.crashed {
                return;
            }
        }
        panic!("no rest at {}: {:?} {}", self.now, self.working.phase, self.message());
    }

    /// Lets time pass in steps of 5 s until the condition holds; panics after an hour.
    pub fn run_until(&mut self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        for _ in 0..720 {
            self.settle();
            if self.crashed {
                self.restart();
                continue;
            }
            if done(self) {
                return;
            }
            self.pass(Duration::from_secs(5));
        }
        panic!("never {what}: {:?}, {}", self.working.phase, self.message());
    }

    pub fn run_for(&mut self, span: Duration) {
        let end = self.now.checked_add(SignedDuration::try_from(span).unwrap()).unwrap();
        while self.now < end {
            self.settle();
            self.pass(Duration::from_secs(5));
        }
        self.settle();
    }
}
