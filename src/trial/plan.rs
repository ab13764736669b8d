//! The example plan through the whole product: 5, 20, 50 and 100 %, by the rate of traffic and by how the canary does.

use std::{collections::BTreeMap, time::Duration};

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{
    course::{self, Course, CourseError, End, Traffic, follow},
    draws::binomial,
    threads::spread,
};
use crate::{
    api::RolloutSpec,
    engine::look::{Arms, Counters, Look, LookRequest},
};

/// The plan, as a user writes it.
pub const SPEC: &str = "
routes: [{group: appmesh.k8s.aws, kind: GatewayRoute, name: color}]
target: {name: v2}
strategy:
  canary:
    hold: 5m
    steps: [{weight: 5}, {weight: 20, hold: 10m}, {weight: 50}]
analysis:
  interval: 10s
  settle: 30s
  proveFrom: 10
  series: {errors: errors, total: total}
  errorRate: {}
";
/// How many requests a second there are in all.
const RATES: [u64; 4] = [200, 50, 10, 2];
/// What stable and the canary fail.
const ARMS: [(&str, f64, f64); 5] = [
    ("both 0.1 %", 0.001, 0.001),
    ("10x of 0.1 %", 0.001, 0.01),
    ("both 1 %", 0.01, 0.01),
    ("5x of 1 %", 0.01, 0.05),
    ("down", 0.001, 1.0),
];
/// What a reference implementation came to in 300 runs a cell: promoted, put back, by rate and then by arms.
const WANTED: [[(f64, f64); 5]; 4] = [
    [(1.0, 0.0), (0.0, 0.99), (1.0, 0.0), (0.0, 1.0), (0.0, 1.0)],
    [(1.0, 0.0), (0.0, 0.98), (1.0, 0.0), (0.0, 1.0), (0.0, 1.0)],
    [(1.0, 0.0), (0.0, 0.97), (0.997, 0.0), (0.0, 0.99), (0.0, 1.0)],
    [(0.22, 0.0), (0.0, 0.04), (0.04, 0.0), (0.0, 0.64), (0.0, 1.0)],
];
/// How many runs a cell of it stands for.
const REFERENCE_RUNS: f64 = 300.0;
/// When every run begins.
const START: &str = "2026-01-01T00:00:00Z";
/// No run takes longer.
const LONGEST: SignedDuration = SignedDuration::from_hours(6);
/// The past that stable has: an hour, in bins of five minutes.
const BINS: usize = 12;
const BIN: Duration = Duration::from_mins(5);

/// One rate of traffic.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanRow {
    /// Requests a second in all.
    pub rate: u64,
    /// By how the arms do.
    pub cells: Vec<Cell>,
}

/// What came of the runs of one rate and one pair of arms.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cell {
    /// How the arms do.
    pub arms: &'static str,
    /// How the runs ended.
    pub ends: Ends,
    /// Minutes until then, in the mean.
    pub minutes: f64,
    /// Canary requests that failed until then, in the mean.
    pub failed: f64,
    /// The weight at which most of the runs that were put back stood.
    pub put_back_at: Option<i64>,
    /// Whether it is what the reference came to, within the noise of both.
    pub reached: bool,
}

/// How many runs ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ends {
    /// All runs.
    pub runs: usize,
    /// The canary is live.
    pub promoted: usize,
    /// Traffic is back on stable.
    pub put_back: usize,
    /// A person is asked.
    pub paused: usize,
}

/// All cells, each of so many runs, on so many threads.
pub fn rows(
    runs: usize,
    threads: usize,
    progress: &(dyn Fn(&str) + Sync),
) -> Result<Vec<PlanRow>, CourseError> {
    let spec: RolloutSpec = serde_saphyr::from_str(SPEC)?;
    let start: Timestamp = START.parse()?;
    let mut rows = Vec::new();
    for (at, (rate, wanted)) in RATES.into_iter().zip(WANTED).enumerate() {
        let mut cells = Vec::new();
        for (column, ((arms, stable, canary), wanted)) in ARMS.into_iter().zip(wanted).enumerate() {
            progress(&format!("the example plan at {rate}/s, {arms}"));
            let seed = (at * ARMS.len() + column) as u64;
            let all = courses(&spec, seed, (runs, threads), &Requests::of(rate, stable, canary))?;
            cells.push(cell(arms, start, &all, wanted));
        }
        rows.push(PlanRow { rate, cells });
    }
    Ok(rows)
}

/// Each run to its end, with its failed canary requests. A run has its own seed.
fn courses(
    spec: &RolloutSpec,
    seed: u64,
    (runs, threads): (usize, usize),
    traffic: &Requests,
) -> Result<Vec<(Course, u64)>, CourseError> {
    let start: Timestamp = START.parse()?;
    let plan = course::Plan {
        spec,
        name: ("default", "color"),
        stable: "v1",
        canary: "v2",
        settle: Duration::from_secs(30),
        span: (start, start.checked_add(LONGEST)?),
        ends_at_a_pause: true,
    };
    let one = |run: usize| {
        let mut traffic = traffic.begun(start, Rng::with_seed(seed << 32 | run as u64));
        follow(&plan, &mut traffic).map(|course| (course, traffic.canary.errors))
    };
    spread(runs, threads, one).into_iter().collect()
}

fn cell(arms: &'static str, start: Timestamp, all: &[(Course, u64)], wanted: (f64, f64)) -> Cell {
    let count = |end: End| all.iter().filter(|(course, _)| course.end == end).count();
    let runs = all.len();
    let ends = Ends {
        runs,
        promoted: count(End::Promoted),
        put_back: count(End::RolledBack),
        paused: count(End::Paused),
    };
    let mean = |of: &dyn Fn(&(Course, u64)) -> f64| all.iter().map(of).sum::<f64>() / runs.max(1) as f64;
    let mut weights: BTreeMap<i64, usize> = BTreeMap::new();
    for (course, _) in all.iter().filter(|(course, _)| course.end == End::RolledBack) {
        *weights.entry(course.share).or_default() += 1;
    }
    Cell {
        arms,
        ends,
        minutes: mean(&|(course, _)| course.at.duration_since(start).as_secs_f64() / 60.0),
        failed: mean(&|(_, failed)| *failed as f64),
        put_back_at: weights.into_iter().max_by_key(|(_, count)| *count).map(|(weight, _)| weight),
        reached: within_noise(ends.promoted, runs, wanted.0) && within_noise(ends.put_back, runs, wanted.1),
    }
}

/// Whether a share is what was wanted: both come from a few hundred runs, so four standard errors of the difference apart, and
/// three points of a share that was told in whole percent.
fn within_noise(count: usize, runs: usize, wanted: f64) -> bool {
    let runs = runs.max(1) as f64;
    let found = count as f64 / runs;
    let spread = (wanted * (1.0 - wanted) * (1.0 / runs + 1.0 / REFERENCE_RUNS)).sqrt();
    (found - wanted).abs() <= 4.0 * spread + 0.03
}

/// Cumulative counts of a version.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    errors: u64,
    total: u64,
}

impl Counts {
    fn add(&mut self, rng: &mut Rng, requests: u64, failing: f64) {
        self.errors += binomial(rng, requests, failing);
        self.total += requests;
    }

    fn counters(self) -> Counters {
        let one = |value: u64| [(String::new(), value as f64)].into();
        Counters { errors: one(self.errors), total: one(self.total), buckets: Vec::new() }
    }
}

/// Requests at a steady rate, each failing for itself.
#[derive(Clone, Debug)]
struct Requests {
    rng: Rng,
    /// A second.
    rate: u64,
    /// What stable and the canary fail.
    failing: (f64, f64),
    /// Thousandths of requests that are due.
    due: u64,
    stable: Counts,
    canary: Counts,
    past: Vec<(Timestamp, Counters)>,
}

impl Requests {
    fn of(rate: u64, stable: f64, canary: f64) -> Self {
        Self {
            rng: Rng::with_seed(0),
            rate,
            failing: (stable, canary),
            due: 0,
            stable: Counts::default(),
            canary: Counts::default(),
            past: Vec::new(),
        }
    }

    /// The same with an hour behind it, in which stable had all of it.
    fn begun(&self, start: Timestamp, rng: Rng) -> Self {
        let mut begun = Self { rng, ..self.clone() };
        for bin in (0..=BINS).rev() {
            let ago = BIN * u32::try_from(bin).unwrap_or(u32::MAX);
            let at = SignedDuration::try_from(ago).ok().and_then(|ago| start.checked_sub(ago).ok());
            begun.past.extend(at.map(|at| (at, begun.stable.counters())));
            if bin > 0 {
                begun.pass(BIN, 0);
            }
        }
        begun
    }
}

impl Traffic for Requests {
    fn pass(&mut self, span: Duration, share: i64) {
        self.due += self.rate * u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let all = self.due / 1_000;
        self.due %= 1_000;
        let of_canary = binomial(&mut self.rng, all, share as f64 / 100.0);
        self.canary.add(&mut self.rng, of_canary, self.failing.1);
        self.stable.add(&mut self.rng, all - of_canary, self.failing.0);
    }

    fn look(&mut self, request: &LookRequest, at: Timestamp) -> Look {
        let arms = request.arms.as_ref().map(|arms| {
            let past = if arms.past.is_some() { self.past.clone() } else { Vec::new() };
            Ok(Arms { at, canary: self.canary.counters(), stable: self.stable.counters(), past })
        });
        Look { arms, ..Look::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_canary_is_put_back_and_a_good_one_promoted() {
        let spec: RolloutSpec = serde_saphyr::from_str(SPEC).unwrap();
        for (canary, end) in [(1.0, End::RolledBack), (0.001, End::Promoted)] {
            let all = courses(&spec, 1, (6, 2), &Requests::of(200, 0.001, canary)).unwrap();
            assert!(all.iter().all(|(course, _)| course.end == end), "{all:#?}");
        }
    }
}
