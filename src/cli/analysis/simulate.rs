//! `tidegate analysis simulate`: the operating characteristics.

use std::path::PathBuf;

use super::{Error, Output, clear_progress, columns, print, progress, write};
use crate::trial::{self, GoalLine, Report, Size};

/// The size, and where the report goes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Runs for each goal; the goals are stated for the default
    #[arg(long, default_value_t = Size::GATE.runs, value_name = "N", value_parser = at_least_one())]
    runs: usize,
    /// Runs for each cell of the example plan
    #[arg(long, default_value_t = Size::GATE.cell, value_name = "N", value_parser = at_least_one())]
    cell: usize,
    /// Threads
    #[arg(long, default_value_t = Size::GATE.threads, value_name = "N", value_parser = at_least_one())]
    threads: usize,
    /// Write a page with the tables and their curves to FILE
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write the curves into the folder DIR as SVG pictures
    #[arg(long, value_name = "DIR")]
    pictures: Option<PathBuf>,
    /// How the report is printed
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

fn at_least_one() -> clap::builder::RangedU64ValueParser<usize> {
    clap::builder::RangedU64ValueParser::new().range(1..=1_000_000)
}

/// Counts, and tells.
pub(super) fn run(args: &Args) -> Result<(), Error> {
    let size = Size { runs: args.runs, cell: args.cell, threads: args.threads };
    let report = trial::simulate(size, &progress)?;
    clear_progress();
    if let Some(file) = &args.html {
        write(file, &trial::page(&report))?;
    }
    if let Some(folder) = &args.pictures {
        for (name, picture) in trial::pictures(&report) {
            write(&folder.join(name), &picture)?;
        }
    }
    print(&match args.output {
        Output::Table => table(&report),
        Output::Json => serde_json::to_string_pretty(&report)? + "\n",
    })?;
    if report.is_reached() { Ok(()) } else { Err(Error::Missed) }
}

fn table(report: &Report) -> String {
    let head = ["case", "goal", "found", ""].map(str::to_owned).into_iter();
    let mut goals = vec![head.chain(trial::RIVALS.iter().map(|rival| rival.name())).collect::<Vec<_>>()];
    goals.extend(report.goals.iter().map(goal));
    let arms = report.plan.first().map(|row| row.cells.as_slice()).unwrap_or_default();
    let arms = arms.iter().map(|cell| cell.arms.to_owned());
    let mut plan = vec![std::iter::once("rate".to_owned()).chain(arms).collect::<Vec<_>>()];
    for row in &report.plan {
        let cells = row.cells.iter().map(|cell| {
            let missed = if cell.reached { "" } else { " MISSED" };
            format!("{}{missed}", trial::told(cell))
        });
        plan.push(std::iter::once(format!("{}/s", row.rate)).chain(cells).collect());
    }
    format!(
        "{} runs a line\n\n{}\nThe example plan (5, 20, 50, 100 %; holds of 5, 10, 5, 5 min), {} runs a cell\n\n{}",
        report.runs,
        columns(&goals),
        report.cell,
        columns(&plan)
    )
}

fn goal(line: &GoalLine) -> Vec<String> {
    let reached = if line.reached { "reached" } else { "MISSED" };
    let mut row = vec![line.case.clone(), line.goal.clone(), line.found.clone(), reached.to_owned()];
    row.extend(line.others.iter().map(|(_, found)| found.clone()));
    row
}
