//! Traffic, and what the metrics say of it: errors follow the weights, and vanish when traffic leaves.

use std::collections::BTreeMap;

use tidegate::engine::{
    look::{Arms, Counters, Look, LookRequest, ReadError, Sample},
    observed::LookDone,
};

use crate::{
    faults::Fault,
    mutants::Mutant,
    world::{Event, World},
};

/// Requests a millisecond, over all versions.
const PER_MS: f64 = 2.0;
/// How many of a hundred fail, of a version that is bad and of one that is not.
const BAD: f64 = 0.2;
const GOOD: f64 = 0.001;

/// The versions, in the order of their counters.
pub const VERSIONS: [&str; 3] = ["v1", "v2", "v3"];

#[derive(Clone, Debug, Default)]
pub struct Traffic {
    /// Errors and requests by version.
    counters: [(f64, f64); 3],
    /// The share that the gateway gives each version.
    shares: [f64; 3],
    up_to: u64,
    /// From when on the version of the run fails.
    pub bad_from: Option<u64>,
    pub down: bool,
    pub nan: bool,
}

impl Traffic {
    /// A world in which the second version fails from some time on.
    pub fn failing_from(bad_from: Option<u64>) -> Self {
        Self { bad_from, ..Self::default() }
    }

    /// Lets traffic flow until now.
    pub fn flow(&mut self, now: u64) {
        let gone = now.saturating_sub(self.up_to) as f64;
        let bad_for = self.bad_from.map_or(0.0, |from| now.saturating_sub(from.max(self.up_to)) as f64);
        for (index, share) in self.shares.iter().enumerate() {
            let requests = gone * PER_MS * share;
            let bad = if index == 1 { bad_for * PER_MS * share } else { 0.0 };
            self.counters[index].0 += (requests - bad) * GOOD + bad * BAD;
            self.counters[index].1 += requests;
        }
        self.up_to = now;
    }

    pub fn set_shares(&mut self, now: u64, shares: [f64; 3]) {
        self.flow(now);
        self.shares = shares;
    }

    pub fn is_bad(&self, now: u64) -> bool {
        self.bad_from.is_some_and(|from| from <= now)
    }

    fn counters(&self, version: &str) -> Counters {
        let index = VERSIONS.iter().position(|known| *known == version).unwrap_or(0);
        let (errors, total) = self.counters[index];
        let one = |value: f64| [("gw".to_owned(), value.floor())].into();
        Counters { errors: one(errors), total: one(total), buckets: Vec::new() }
    }
}

impl World {
    /// Asks the metrics; the counters are those of now, the answer comes later.
    pub fn look(&mut self, id: usize, run: i64, step: i32, request: &LookRequest) {
        if std::mem::replace(&mut self.processes[id].look.under_way, true) {
            return;
        }
        self.traffic.flow(self.now);
        let at = self.processes[id].clock.at(self.now);
        let down = self.traffic.down;
        let arms = request.arms.as_ref().map(|_| {
            if down && self.mutant == Some(Mutant::OutagePasses) {
                let of = |count: f64| Counters {
                    errors: [("gw".to_owned(), 0.0)].into(),
                    total: [("gw".to_owned(), count)].into(),
                    buckets: Vec::new(),
                };
                let count = self.now as f64;
                return Ok(Arms { at, canary: of(count), stable: of(count), past: Vec::new() });
            }
            if down {
                return Err(ReadError::Unreachable);
            }
            let (canary, stable) =
                (self.traffic.counters(&request.canary), self.traffic.counters(&request.stable));
            Ok(Arms { at, canary, stable, past: Vec::new() })
        });
        let bad = request.canary == "v2" && self.traffic.is_bad(self.now);
        let numbers: BTreeMap<_, _> = request
            .numbers
            .iter()
            .map(|number| {
                let query = number.name.clone();
                let sample = match (down, self.traffic.nan) {
                    (true, _) => Err(ReadError::Unreachable),
                    (false, true) if self.mutant == Some(Mutant::NanPasses) => Ok(Sample { at, value: 0.0 }),
                    (false, true) => Err(ReadError::NotFinite { query }),
                    (false, false) => Ok(Sample { at, value: if bad { 1.0 } else { 0.0 } }),
                };
                (number.name.clone(), sample)
            })
            .collect();
        let sound = !down && (!self.traffic.nan || numbers.is_empty());
        if sound {
            self.oracle.standing.looked(&self.server, &self.processes[id], (run, step));
        }
        let look = LookDone { run, step, look: Look { arms, numbers } };
        let life = self.processes[id].life;
        let slow = self.strikes(Fault::LosesMetrics, 100);
        let delay = if slow { self.chance.up_to(10_000) } else { 5 + self.chance.up_to(20) };
        self.later(delay, Event::Looked { process: id, life, look: Box::new(look) });
    }

    pub fn looked(&mut self, id: usize, look: LookDone) {
        let process = &mut self.processes[id];
        process.look.under_way = false;
        process.look.done = Some(look);
        self.wake(id);
    }

    /// The gateway takes up the weights as they are written: what the routes show, on the average.
    pub fn shift_traffic(&mut self) {
        let mut shares = [0.0; 3];
        let routes = self.server.routes.len() as f64;
        for index in 0..self.server.routes.len() {
            let Some(view) = self.server.route(index).view() else { continue };
            for list in &view.lists {
                let whole = list.total().max(1) as f64 * routes * view.lists.len() as f64;
                for entry in &list.entries {
                    if let Some(place) = VERSIONS.iter().position(|version| *version == entry.name) {
                        shares[place] += entry.weight as f64 / whole;
                    }
                }
            }
        }
        self.traffic.set_shares(self.now, shares);
    }
}
