//! Traffic, and what the metrics say of it: errors follow the weights, and vanish when traffic leaves.

use std::collections::BTreeMap;

use tidegate::engine::{
    look::{Arms, Counters, Look, LookRequest, ReadError, Sample},
    observed::LookDone,
};

use crate::{
    chance::Chance, concern::Concern, event::Event, faults::Fault, kept::Actor, mutants::Mutant,
    setup::Versions, world::World,
};

/// Requests a millisecond, over all versions.
const PER_MS: f64 = 2.0;
/// How many more a preview takes, in parts of those.
const PREVIEWED: f64 = 0.02;
/// How many of a hundred fail, of a version that is bad and of one that is not.
const BAD: f64 = 0.2;
const GOOD: f64 = 0.001;

/// That of one Rollout, as its queries tell it from any other's.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    versions: Versions,
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

/// Which worlds have metrics that always take longer to answer than the interval of their looks: one in eight. Under this number
/// no seed that once found something is one of them.
const SLOW: u64 = 0x736c_6f92;
/// How long they take at least, and how much longer at most.
const SLOWLY: u64 = 6_000;
const SLOWER: u64 = 6_000;

impl Traffic {
    /// A world in which the second version fails from some time on.
    pub fn failing_from(bad_from: Option<u64>, versions: Versions) -> Self {
        Self { versions, bad_from, ..Self::default() }
    }

    /// Whether the metrics of a world are slow.
    pub fn is_slow(seed: u64) -> bool {
        Chance::new(seed ^ SLOW).below(8) == 0
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
        let index = self.versions.iter().position(|known| *known == version).unwrap_or(0);
        let (errors, total) = self.counters[index];
        let one = |value: f64| [("gw".to_owned(), value.floor())].into();
        Counters { errors: one(errors), total: one(total), buckets: Vec::new() }
    }
}

impl World {
    /// Asks the metrics; the counters are those of now, the answer comes later.
    pub fn look(&mut self, by: Actor, run: i64, step: i32, request: &LookRequest) {
        if self.mutant == Some(Mutant::LooksOneByOne) && self.looks_of_others(by) {
            return;
        }
        if std::mem::replace(&mut self.kept(by).look.under_way, true) {
            return;
        }
        let at = self.processes[by.process].clock.at(self.now);
        let (now, mutant) = (self.now, self.mutant);
        let traffic = &mut self.traffic[by.rollout];
        traffic.flow(now);
        let down = traffic.down;
        let arms = request.arms.as_ref().map(|_| {
            if down && mutant == Some(Mutant::OutagePasses) {
                let of = |count: f64| Counters {
                    errors: [("gw".to_owned(), 0.0)].into(),
                    total: [("gw".to_owned(), count)].into(),
                    buckets: Vec::new(),
                };
                let count = now as f64;
                return Ok(Arms { at, canary: of(count), stable: of(count), past: Vec::new() });
            }
            if down {
                return Err(ReadError::Unreachable);
            }
            let (canary, stable) = (traffic.counters(&request.canary), traffic.counters(&request.stable));
            Ok(Arms { at, canary, stable, past: Vec::new() })
        });
        let bad = request.canary == traffic.versions[1] && traffic.is_bad(now);
        let numbers: BTreeMap<_, _> = request
            .numbers
            .iter()
            .map(|number| {
                let query = number.name.clone();
                let sample = match (down, traffic.nan) {
                    (true, _) => Err(ReadError::Unreachable),
                    (false, true) if mutant == Some(Mutant::NanPasses) => Ok(Sample { at, value: 0.0 }),
                    (false, true) => Err(ReadError::NotFinite { query }),
                    (false, false) => Ok(Sample { at, value: if bad { 1.0 } else { 0.0 } }),
                };
                (number.name.clone(), sample)
            })
            .collect();
        if !down && (!traffic.nan || numbers.is_empty()) {
            self.oracle.looked(&self.server, &self.processes[by.process], by.rollout, (run, step));
        }
        let look = LookDone { run, step, look: Look { arms, numbers } };
        let life = self.processes[by.process].life;
        let slow = self.strikes(Fault::LosesMetrics, 100, Concern::One(by.rollout));
        let always = if self.slow_metrics { SLOWLY + self.chance.up_to(SLOWER) } else { 0 };
        let delay = always + if slow { self.chance.up_to(10_000) } else { 5 + self.chance.up_to(20) };
        self.later(delay, Event::Looked { by, life, look: Box::new(look) });
    }

    /// Whether this process asks the metrics for another Rollout now.
    fn looks_of_others(&self, by: Actor) -> bool {
        let mut kept = self.processes[by.process].kept.iter().enumerate();
        kept.any(|(rollout, kept)| rollout != by.rollout && kept.look.under_way)
    }

    pub fn looked(&mut self, by: Actor, look: LookDone) {
        let kept = self.kept(by);
        kept.look.under_way = false;
        kept.look.done = Some(look);
        self.wake(by);
    }

    /// The gateway takes up the weights as they are written: what the routes show, on the average.
    pub fn shift_traffic(&mut self, rollout: usize) {
        let mut shares = [0.0; 3];
        let versions = self.server.identities[rollout].versions;
        let routes = self.server.identities[rollout].places.len() as f64;
        for view in self.server.views(rollout).flatten() {
            for list in &view.lists {
                for mirror in list.mirrors.iter().flat_map(|mirrors| &mirrors.entries) {
                    if let Some(place) = versions.iter().position(|version| *version == mirror.name) {
                        shares[place] += mirror.millionths as f64 / 1e6 / routes / view.lists.len() as f64;
                    }
                }
                let whole = list.total().max(1) as f64 * routes * view.lists.len() as f64;
                for entry in &list.entries {
                    if let Some(place) = versions.iter().position(|version| *version == entry.name) {
                        shares[place] += entry.weight as f64 / whole;
                    }
                }
            }
        }
        for (_, to) in crate::oracle::previews_standing(&self.server, rollout) {
            if let Some(place) = versions.iter().position(|version| Some(*version) == to.as_deref()) {
                shares[place] += PREVIEWED / routes;
            }
        }
        let now = self.now;
        self.traffic[rollout].set_shares(now, shares);
    }
}
