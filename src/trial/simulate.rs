//! All that `tidegate analysis simulate` finds out.

use serde::Serialize;

use super::{
    course::CourseError,
    goals::{self, GoalLine, Power},
    plan::{self, PlanRow},
};

/// How many runs everything is counted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Runs a goal line.
    pub runs: usize,
    /// Runs a cell of the example plan.
    pub cell: usize,
    /// Threads.
    pub threads: usize,
}

impl Size {
    /// What the goals are stated for.
    pub const GATE: Self = Self { runs: 4_000, cell: 300, threads: 2 };
}

/// What was found.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Runs a goal line.
    pub runs: usize,
    /// Runs a cell of the example plan.
    pub cell: usize,
    /// The goals, and whether they are reached.
    pub goals: Vec<GoalLine>,
    /// How often a canary is put back, by how much worse it is.
    pub power: Vec<Power>,
    /// What becomes of the example plan.
    pub plan: Vec<PlanRow>,
}

impl Report {
    /// Whether every goal is reached.
    pub fn is_reached(&self) -> bool {
        self.goals.iter().all(|line| line.reached)
            && self.plan.iter().flat_map(|row| &row.cells).all(|cell| cell.reached)
    }
}

/// Finds it out. The same size gives the same counts on any machine.
pub fn simulate(size: Size, progress: &(dyn Fn(&str) + Sync)) -> Result<Report, CourseError> {
    let Size { runs, cell, threads } = size;
    Ok(Report {
        runs,
        cell,
        goals: goals::lines(runs, threads, progress),
        power: goals::power(runs.div_ceil(10), threads, progress),
        plan: plan::rows(cell, threads, progress)?,
    })
}
