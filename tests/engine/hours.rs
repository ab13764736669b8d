//! Virtual time in the small world: traffic flows by the weights, and turns are taken as they fall due.

use std::{collections::BTreeMap, time::Duration};

use jiff::SignedDuration;
use tidegate::engine::{decision::Effect, observed::RouteState};

use crate::world::{Traffic, World};

/// Counts requests of a version, failed ones and all.
fn count(counters: &mut BTreeMap<String, (f64, f64)>, traffic: &Traffic, name: &str, requests: f64) {
    let counter = counters.entry(name.to_owned()).or_default();
    counter.0 += requests * traffic.failing.get(name).copied().unwrap_or(0.0);
    counter.1 += requests;
}

impl World {
    /// Lets time pass; traffic flows by the weights.
    pub fn pass(&mut self, span: Duration) {
        let seconds = span.as_secs_f64();
        if let Some(RouteState::Present(view)) = self.routes.get("color") {
            let total = view.lists[0].total().max(1) as f64;
            for mirror in view.lists[0].mirrors.iter().flat_map(|mirrors| &mirrors.entries) {
                let requests = self.traffic.per_second * seconds * mirror.millionths as f64 / 1e6
                    * self.traffic.comes_through;
                count(&mut self.counters, &self.traffic, &mirror.name, requests);
            }
            for entry in &view.lists[0].entries {
                let comes = if entry.name == "v2" { self.traffic.comes_through } else { 1.0 };
                let requests = self.traffic.per_second * seconds * comes * entry.weight as f64 / total;
                count(&mut self.counters, &self.traffic, &entry.name, requests);
            }
        }
        if let (Some(canary), false) = (&self.working.canary, self.previews.is_empty()) {
            count(&mut self.counters, &self.traffic, &canary.name, self.previewing.per_second * seconds);
        }
        self.now = self.now.checked_add(SignedDuration::try_from(span).unwrap()).unwrap();
    }

    /// Decides until nothing happens at this moment any more.
    pub fn settle(&mut self) {
        for _ in 0..50 {
            let decision = self.decide();
            let quiet = decision.before.is_none()
                && !decision.store
                && self.under_way.as_ref().is_none_or(|(at, _)| *at > self.now)
                && self.answered.is_none()
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
