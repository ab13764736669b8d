//! What a controller that is trusted with production should not be above. Missed or reached, a report says it.

/// Calls of a whole run of five steps with analysis: four a step, and what its beginning and its end take.
pub const RUN_CALLS: f64 = 40.0;
/// Calls in the half minute after an abort.
pub const ABORT_CALLS: f64 = 6.0;
/// Calls of what has nothing left to do. Renewed watches are no calls.
pub const IDLE_CALLS: f64 = 0.0;
/// Calls from the start to the failing one's route on stable, lists and watches included.
pub const RESTART_CALLS: f64 = 50.0;
/// That holds among so many idle Rollouts; each hundred more takes two more pages of lists.
pub const RESTART_CALLS_UP_TO: usize = 1_000;

/// From the answer that shows it to the route on stable, in milliseconds.
pub const MOVED: f64 = 25.0;
/// The same where several fail at once.
pub const MOVED_AMONG_SEVERAL: f64 = 50.0;

/// Memory among a thousand runs, in MiB.
pub const ACTIVE_MEMORY: f64 = 150.0;
/// Processors that a thousand runs keep busy.
pub const ACTIVE_CORES: f64 = 0.25;

/// How much memory may grow in an hour of releases, in MB.
pub const GROWTH: f64 = 1.0;
/// How much the calls may, in percent of themselves: more than chance makes of an hour.
pub const CALLS_GROWTH: f64 = 5.0;
/// From the loss of the one that leads to a failing one's route on stable, in milliseconds: the Lease runs out first.
pub const FOLLOWED: f64 = 15_000.0;

/// What is asked of a controller among so many idle Rollouts.
pub struct Idle {
    /// Up to so many.
    pub rollouts: usize,
    /// Memory, in MiB.
    pub memory: f64,
    /// From the start of the process to a failing one's route on stable, in milliseconds.
    pub restart: f64,
}

const IDLE: [Idle; 3] = [
    Idle { rollouts: 0, memory: 15.0, restart: 2_000.0 },
    Idle { rollouts: 1_000, memory: 30.0, restart: 2_000.0 },
    Idle { rollouts: 10_000, memory: 120.0, restart: 5_000.0 },
];

/// The goals among so many idle Rollouts; none where there are more than anybody has asked for.
pub fn idle(rollouts: usize) -> Option<&'static Idle> {
    IDLE.iter().find(|goal| rollouts <= goal.rollouts)
}
