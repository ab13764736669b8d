//! Safety by simulation: the real engine and patch builder, a model of everything around them, virtual time, and trouble
//! at every effect. Each seed is one world; what must hold is held against it after every action.
//!
//! | what | how |
//! |---|---|
//! | a few seeds, the regressions, the mutants | `cargo test --test simulation` |
//! | as many seeds as a number of seconds allows | `TIDEGATE_SIM_SECONDS=60 cargo simulate` |
//! | one seed, retold action by action | `TIDEGATE_SIM_SEED=7 cargo simulate retell` |
//! | the same with a planted fault | `TIDEGATE_SIM_MUTANT=NoAbortMark TIDEGATE_SIM_SEED=7 cargo simulate retell` |

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, clippy::print_stdout)]
// Milliseconds, shares and counts are small here.
#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)]
#![allow(clippy::cast_precision_loss)]

mod calls;
mod chance;
mod concern;
mod edits;
mod event;
mod faults;
#[cfg(feature = "sandbox")]
mod fidelity;
mod happenings;
mod kept;
mod leading;
mod lowering;
mod mirrors;
mod mutants;
mod network;
mod oracle;
mod outside;
mod previews;
mod process;
mod repairs;
mod replies;
mod server;
mod setup;
mod shapes;
mod sharing;
mod shell;
#[cfg(feature = "sandbox")]
#[path = "../support/skip.rs"]
mod skip;
mod specs;
mod story;
mod templates;
mod traffic;
mod verdict;
mod versions;
mod watching;
mod workloads;
mod world;

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use faults::Faults;
use mutants::Mutant;
use oracle::Violation;
use tidegate::clock::Clock;
use world::Case;

/// Most of what a seed costs is small allocations.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn workers() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

/// A case that violates something, told with everything that is needed to see it again.
fn report(case: Case, violation: &Violation) -> String {
    let least = verdict::shrink(case, None);
    let (again, story) = verdict::retell(least, None);
    let sentence = again.map_or(String::new(), |violation| violation.sentence);
    let faults: Vec<String> = least.faults.list().map(|fault| format!("{fault:?}")).collect();
    format!(
        "seed {} violates {}: {}\nthe least trouble it takes: {} ({:#x})\n{story}and so: {sentence}",
        case.seed,
        violation.rule,
        violation.sentence,
        faults.join(", "),
        least.faults.0,
    )
}

/// Who explores has both cores to himself, so that seeds a minute are those of the simulator.
static CORES: Mutex<()> = Mutex::new(());

/// Runs seeds from one on until there are enough or the time is up; returns how many, and the first failure.
fn explore(from: u64, most: u64, span: Duration) -> (u64, u64, Option<(Case, Violation)>) {
    let next = AtomicU64::new(from);
    let (done, actions) = (AtomicU64::new(0), AtomicU64::new(0));
    let stop = AtomicBool::new(false);
    let clock = Clock::start();
    let found = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..workers() {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) && clock.elapsed() < span {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from.saturating_add(most) {
                        return;
                    }
                    let case = verdict::case(seed);
                    let (violation, count) = verdict::run(case, None);
                    done.fetch_add(1, Ordering::Relaxed);
                    actions.fetch_add(count, Ordering::Relaxed);
                    if let Some(violation) = violation {
                        stop.store(true, Ordering::Relaxed);
                        found.lock().unwrap().get_or_insert((case, violation));
                    }
                }
            });
        }
    });
    (done.into_inner(), actions.into_inner(), found.into_inner().unwrap())
}

#[test]
fn whatever_happens_what_must_hold_holds() {
    let seconds = number("TIDEGATE_SIM_SECONDS");
    let span = Duration::from_secs(seconds.unwrap_or(3_600));
    let most = if seconds.is_some() { u64::MAX } else { 400 };
    let _alone = CORES.lock().unwrap_or_else(PoisonError::into_inner);
    let clock = Clock::start();
    let (done, actions, found) = explore(number("TIDEGATE_SIM_FROM").unwrap_or(1), most, span);
    let minute = done as f64 / clock.elapsed().as_secs_f64() * 60.0;
    println!("{done} seeds, {actions} actions, {minute:.0} seeds a minute");
    if let Some((case, violation)) = found {
        panic!("{}", report(case, &violation));
    }
}

#[test]
fn what_found_something_once_finds_nothing_any_more() {
    let _alone = CORES.lock().unwrap_or_else(PoisonError::into_inner);
    let lines = include_str!("regressions.txt").lines().filter(|line| !line.starts_with('#'));
    for line in lines {
        let mut words = line.split_whitespace();
        let seed = words.next().unwrap().parse().unwrap();
        let faults = u64::from_str_radix(words.next().unwrap().trim_start_matches("0x"), 16).unwrap();
        let case = Case { seed, faults: Faults(faults) };
        if let (Some(violation), _) = verdict::run(case, None) {
            panic!("{}", report(case, &violation));
        }
    }
}

#[test]
fn retell() {
    let Some(seed) = number("TIDEGATE_SIM_SEED") else { return };
    let mutant = std::env::var("TIDEGATE_SIM_MUTANT").ok();
    let mutant = Mutant::ALL.into_iter().find(|known| Some(format!("{known:?}")) == mutant);
    let case = mutant.map_or_else(|| verdict::case(seed), |mutant| mutant.case(seed));
    let (violation, story) = verdict::retell(case, mutant);
    let faults: Vec<String> = case.faults.list().map(|fault| format!("{fault:?}")).collect();
    println!("seed {seed}, trouble: {}\n{story}", faults.join(", "));
    match violation {
        Some(Violation { rule, sentence }) => println!("and so {rule} is violated: {sentence}"),
        None => println!("and everything holds"),
    }
}

#[test]
fn every_planted_fault_is_found() {
    let _alone = CORES.lock().unwrap_or_else(PoisonError::into_inner);
    let most = number("TIDEGATE_SIM_MUTANT_SEEDS").unwrap_or(2_000);
    let next = AtomicUsize::new(0);
    let missed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..workers() {
            scope.spawn(|| {
                while let Some(mutant) = Mutant::ALL.get(next.fetch_add(1, Ordering::Relaxed)).copied() {
                    let found = (1..=most).find_map(|seed| {
                        let (violation, _) = verdict::run(mutant.case(seed), Some(mutant));
                        let counts = |found: &Violation| mutant.rule().is_none_or(|rule| rule == found.rule);
                        violation.filter(counts).map(|violation| (seed, violation))
                    });
                    match found {
                        Some((seed, Violation { rule, sentence })) => {
                            let without = verdict::run(mutant.case(seed), None).0;
                            assert_eq!(without, None, "seed {seed} without {mutant:?}");
                            println!("{mutant:?}: {rule} after {seed} seeds: {sentence}");
                        }
                        None => missed.lock().unwrap().push(mutant),
                    }
                }
            });
        }
    });
    let missed = missed.into_inner().unwrap();
    assert!(missed.is_empty(), "not found in {most} seeds: {missed:?}");
}
