//! The operating characteristics: how often a good canary is put back, and how soon a bad one is. On the analysis alone, with
//! looks of 10 seconds and ten of them a step.

use std::{iter::repeat_n, time::Duration};

use fastrand::Rng;
use serde::Serialize;

use super::{
    draws::{binomial, in_bursts},
    rivals::{FIXED, Memory, Rival},
    simulate::Size,
    threads::spread,
};
use crate::{
    analysis::{BURST, Batch, Level, Sequence, SequenceConfig, Verdict},
    clock::Clock,
};

/// Percent of all traffic, step by step.
const PLAN: [i32; 5] = [1, 5, 10, 25, 50];
/// Looks a step, and seconds between them.
const LOOKS: usize = 10;
const SECONDS: u64 = 10;
/// A run that is only to be found bad stands at this weight, for so many looks at most.
const STANDS_AT: i32 = 10;
const FOUND_WITHIN: usize = 600;
/// What stable fails while both arms are sick, and the looks in which trouble lasts: ten minutes of a plan with steps half as long
/// again, so that it ends before the plan does.
const SICK: f64 = 0.2;
const STRUCK: std::ops::Range<usize> = 5..65;
const STRUCK_LOOKS: usize = 15;

/// The rules that others use, told beside ours.
pub const RIVALS: [Rival; 2] = [FIXED, Rival::ZTest];

/// What a line asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// At most this share of good runs is put back.
    PutBack(f64),
    /// Runs are put back after so many canary requests at most, in the mean.
    Requests(f64),
    /// Each run is put back at the first look by which the canary has had so many requests.
    AtOnce(u64),
    /// An update takes less than this.
    Time(Duration),
    /// The state of a metric takes less than so many bytes.
    Bytes(usize),
}

/// A line of the table.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GoalLine {
    /// The case.
    pub case: String,
    /// The goal, in words.
    pub goal: String,
    /// What was found.
    pub found: String,
    /// Whether the goal is reached.
    pub reached: bool,
    /// What other rules come to on the same counts: the rule, and what was found. None where that says nothing.
    pub others: Vec<(String, String)>,
}

/// How often requests fail, and how many there are.
#[derive(Clone, Copy, Debug)]
struct Case {
    name: &'static str,
    goal: Goal,
    /// Requests a second in all.
    rate: u64,
    stable: f64,
    canary: f64,
    burst: f64,
    /// So many failures come at a time.
    together: u64,
    trouble: Trouble,
}

/// What befalls both arms alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    None,
    BothSick,
    NoTraffic,
    MetricsDown,
}

impl Trouble {
    fn strikes(self, look: usize) -> bool {
        self != Self::None && STRUCK.contains(&look)
    }
}

/// What is judged at tolerance: just what the canary may have.
fn tolerated(share: f64) -> f64 {
    Level::ERROR_RATE_TOLERATE.at(share)
}

fn cases() -> Vec<Case> {
    let plain = |name, rate, stable: f64, canary, burst, goal| Case {
        name,
        goal,
        rate,
        stable,
        canary,
        burst,
        together: 1,
        trouble: Trouble::None,
    };
    let equal = |name, rate, share| plain(name, rate, share, share, 1.0, Goal::PutBack(0.002));
    let struck = |name, trouble| Case { trouble, ..plain(name, 100, 0.001, 0.001, 2.0, Goal::PutBack(0.0)) };
    vec![
        equal("equal arms, 100/s, 0.1 % fail", 100, 0.001),
        equal("equal arms, 100/s, 1 % fail", 100, 0.01),
        equal("equal arms, 1/s, 0.1 % fail", 1, 0.001),
        equal("equal arms, 1/s, 1 % fail", 1, 0.01),
        plain("exactly as tolerated, 100/s, 1 % fail", 100, 0.01, tolerated(0.01), 1.0, Goal::PutBack(0.01)),
        struck("both arms sick", Trouble::BothSick),
        struck("no traffic", Trouble::NoTraffic),
        struck("metrics down", Trouble::MetricsDown),
        Case {
            together: 3,
            ..plain("failures in bursts of 3, 100/s, 1 %", 100, 0.01, 0.01, 2.0, Goal::PutBack(0.015))
        },
        plain("10x of 0.1 % at 10 %, burst 1", 100, 0.001, 0.01, 1.0, Goal::Requests(1_500.0)),
        plain("10x of 0.1 % at 10 %, burst 2", 100, 0.001, 0.01, 2.0, Goal::Requests(2_400.0)),
        plain("5x of 1 % at 10 %, burst 2", 100, 0.01, 0.05, 2.0, Goal::Requests(1_100.0)),
        plain("canary down at 10 %", 60, 0.001, 1.0, 2.0, Goal::AtOnce(60)),
    ]
}

/// What one run of a case came to by one rule.
#[derive(Clone, Copy, Debug, Default)]
struct Outcome {
    put_back: bool,
    /// Canary requests until then, or in all.
    requests: u64,
    /// It was put back at the first look by which there were enough requests.
    at_once: bool,
}

/// Every line, each of so many runs, on so many threads.
pub fn lines(runs: usize, threads: usize, progress: &(dyn Fn(&str) + Sync)) -> Vec<GoalLine> {
    let mut lines: Vec<GoalLine> = Vec::new();
    for (number, case) in cases().into_iter().enumerate() {
        progress(case.name);
        lines.push(case.line(number as u64, runs, threads));
    }
    progress("cost of an update");
    lines.extend(cost());
    lines
}

/// How often a canary is put back in a whole plan, where stable fails so much and the canary so many times that.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Power {
    /// What stable fails.
    pub stable: f64,
    /// How many times that the canary fails.
    pub times: f64,
    /// The share of runs that are put back: by ours, and by the rules of [`RIVALS`].
    pub put_back: Vec<f64>,
    /// Canary requests until then, or in all, in the mean.
    pub requests: Vec<f64>,
}

/// The curve of it, with failures one by one and the default burst factor.
pub fn power(runs: usize, threads: usize, progress: &(dyn Fn(&str) + Sync)) -> Vec<Power> {
    const TIMES: [f64; 10] = [1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 6.0, 10.0, 15.0, 20.0];
    let points = [0.001, 0.01].into_iter().flat_map(|stable| TIMES.map(|times| (stable, times)));
    let of = |(number, (stable, times)): (usize, (f64, f64))| {
        progress(&format!("a canary that fails {times} times {} %", stable * 100.0));
        let case = Case {
            name: "",
            goal: Goal::PutBack(1.0),
            rate: 100,
            stable,
            canary: stable * times,
            burst: BURST,
            together: 1,
            trouble: Trouble::None,
        };
        let outcomes = case.outcomes(100 + number as u64, runs, threads);
        let mean = |rule: usize, of: fn(&Outcome) -> f64| {
            outcomes.iter().map(|run| of(&run[rule])).sum::<f64>() / outcomes.len().max(1) as f64
        };
        let rules = 0..=RIVALS.len();
        Power {
            stable,
            times,
            put_back: rules.clone().map(|rule| mean(rule, |run| f64::from(u8::from(run.put_back)))).collect(),
            requests: rules.map(|rule| mean(rule, |run| run.requests as f64)).collect(),
        }
    };
    points.enumerate().map(of).collect()
}

impl Case {
    fn line(&self, number: u64, runs: usize, threads: usize) -> GoalLine {
        let outcomes = self.outcomes(number, runs, threads);
        let of_rule = |rule: usize| -> Vec<Outcome> { outcomes.iter().map(|run| run[rule]).collect() };
        let (found, reached) = self.tell(&of_rule(0));
        let others = RIVALS.iter().enumerate();
        let others = others.map(|(at, rival)| (rival.name(), self.tell(&of_rule(at + 1)).0)).collect();
        GoalLine { case: self.name.to_owned(), goal: self.goal.words(), found, reached, others }
    }

    /// What ours and the others' rules made of each run. A run has its own seed, whichever thread it is on.
    fn outcomes(&self, number: u64, runs: usize, threads: usize) -> Vec<[Outcome; 1 + RIVALS.len()]> {
        spread(runs, threads, |run| self.run(&mut Rng::with_seed(number << 32 | run as u64)))
    }

    fn run(&self, rng: &mut Rng) -> [Outcome; 1 + RIVALS.len()] {
        let config = SequenceConfig { burst: self.burst, ..SequenceConfig::default() };
        let found = matches!(self.goal, Goal::Requests(_) | Goal::AtOnce(_));
        let schedule: Vec<(i32, i32)> = if found {
            vec![(2, STANDS_AT); FOUND_WITHIN]
        } else {
            let looks = if self.trouble == Trouble::None { LOOKS } else { STRUCK_LOOKS };
            (0..).zip(PLAN).flat_map(|step| repeat_n(step, looks)).collect()
        };
        let mut sequence = Sequence::new();
        let mut memories = [Memory::default(); RIVALS.len()];
        let mut outcomes = [Outcome::default(); 1 + RIVALS.len()];
        let (mut requests, mut enough_before) = (0, false);
        for (look, (step, weight)) in schedule.into_iter().enumerate() {
            let Some((batch, of_canary)) = self.look(rng, look, weight) else { continue };
            requests += of_canary;
            let enough = matches!(self.goal, Goal::AtOnce(least) if requests >= least);
            sequence.update(&config, step, batch);
            let fails = sequence.verdict(&config) == Verdict::Fail;
            let rivals =
                RIVALS.iter().zip(&mut memories).map(|(rival, memory)| rival.ends(memory, step, batch));
            let ends = std::iter::once(fails).chain(rivals);
            for (outcome, ends) in outcomes.iter_mut().zip(ends) {
                if !outcome.put_back {
                    outcome.put_back = ends;
                    outcome.requests = requests;
                    outcome.at_once = ends && !enough_before;
                }
            }
            enough_before |= enough;
            if outcomes.iter().all(|outcome| outcome.put_back) {
                break;
            }
        }
        outcomes
    }

    /// The counts of a look; none where the metrics are down.
    fn look(&self, rng: &mut Rng, look: usize, weight: i32) -> Option<(Batch, u64)> {
        let struck = self.trouble.strikes(look);
        let (mut stable, mut canary) = (self.stable, self.canary);
        let mut all = self.rate * SECONDS;
        match self.trouble {
            Trouble::MetricsDown if struck => return None,
            Trouble::NoTraffic if struck => all = 0,
            Trouble::BothSick if struck => (stable, canary) = (SICK, SICK),
            Trouble::None | Trouble::MetricsDown | Trouble::NoTraffic | Trouble::BothSick => {}
        }
        let of_canary = binomial(rng, all, f64::from(weight) / 100.0);
        let of_stable = all - of_canary;
        let x = in_bursts(rng, of_canary, canary, self.together);
        let y = in_bursts(rng, of_stable, stable, self.together);
        let batch = Batch::new(x as f64, of_canary as f64, y as f64, of_stable as f64).ok()?;
        Some((batch, of_canary))
    }

    fn tell(&self, outcomes: &[Outcome]) -> (String, bool) {
        let runs = outcomes.len().max(1) as f64;
        let put_back = outcomes.iter().filter(|run| run.put_back).count();
        match self.goal {
            Goal::PutBack(most) => {
                let share = put_back as f64 / runs;
                // Fewer runs than the goals are stated for come out less even.
                let few = if outcomes.len() < Size::GATE.runs { 3.0 } else { 0.0 };
                let most = most + few * (most * (1.0 - most) / runs).sqrt();
                (format!("{put_back} of {} put back ({:.2} %)", outcomes.len(), share * 100.0), share <= most)
            }
            Goal::Requests(most) => {
                let mean = outcomes.iter().map(|run| run.requests as f64).sum::<f64>() / runs;
                let never = outcomes.len() - put_back;
                let told = if never == 0 {
                    format!("{mean:.0} requests")
                } else {
                    format!("{never} of {} never within {FOUND_WITHIN} looks", outcomes.len())
                };
                (told, never == 0 && mean <= most)
            }
            Goal::AtOnce(_) => {
                let late = outcomes.iter().filter(|run| !run.at_once).count();
                (format!("{} of {} at once", outcomes.len() - late, outcomes.len()), late == 0)
            }
            Goal::Time(_) | Goal::Bytes(_) => (String::new(), false),
        }
    }
}

impl Goal {
    fn words(self) -> String {
        match self {
            Self::PutBack(most) if most <= 0.0 => "none put back".to_owned(),
            Self::PutBack(most) => format!("at most {} % put back", most * 100.0),
            Self::Requests(most) => format!("at most {most} canary requests, in the mean"),
            Self::AtOnce(least) => format!("put back at the first look with {least} canary requests"),
            Self::Time(most) => format!("less than {most:?} an update"),
            Self::Bytes(most) => format!("less than {most} B a metric"),
        }
    }
}

/// What the analysis itself costs.
fn cost() -> [GoalLine; 2] {
    const UPDATES: u32 = 20_000;
    let (most, room) = (Duration::from_micros(5), 300);
    let config = SequenceConfig::default();
    // The least of ten is what it takes where nothing else runs.
    let took = (0..10).map(|_| time_of(UPDATES, &config)).min().unwrap_or_default();
    let size = size_of::<Sequence>();
    let line = |case: &str, goal: Goal, found, reached| GoalLine {
        case: case.to_owned(),
        goal: goal.words(),
        found,
        reached,
        others: vec![],
    };
    [
        line("time of an update and its verdict", Goal::Time(most), format!("{took:?}"), took < most),
        line("state", Goal::Bytes(room), format!("{size} B"), size < room),
    ]
}

/// The time of an update, in the mean of so many.
fn time_of(updates: u32, config: &SequenceConfig) -> Duration {
    let mut sequence = Sequence::new();
    let clock = Clock::start();
    for look in 0..updates {
        if let Ok(batch) = Batch::new(f64::from(look % 3), 600.0, 5.0, 5_400.0) {
            sequence.update(config, 0, batch);
        }
        std::hint::black_box(sequence.verdict(config));
    }
    clock.elapsed() / updates
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_has_its_own_seed() {
        for case in cases() {
            let whole = case.outcomes(7, 40, 1);
            let shared = case.outcomes(7, 40, 3);
            let count = |runs: &[[Outcome; 3]]| runs.iter().filter(|run| run[0].put_back).count();
            assert_eq!(count(&whole), count(&shared), "{}", case.name);
        }
    }

    #[test]
    fn a_dead_canary_is_put_back_at_once_and_a_good_one_is_not() {
        let of = |name: &str| cases().into_iter().find(|case| case.name.starts_with(name)).unwrap();
        assert!(of("canary down").line(1, 50, 1).reached);
        for good in ["equal arms, 100/s, 0.1", "both arms sick", "no traffic", "metrics down"] {
            let line = of(good).line(1, 50, 1);
            assert!(line.reached, "{line:?}");
        }
    }
}
