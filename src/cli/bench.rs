//! `tidegate bench`: measures the controller.

use std::{path::PathBuf, time::Duration};

use super::report::{Output, WriteError, print, write};
use crate::{
    bench::{self, BenchError, Part, Plan},
    demo::Routes,
};

/// Measures the controller, and tells what was found against the goals.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to measure; default: everything but `endurance`
    #[arg(value_enum, value_name = "PART")]
    parts: Vec<Part>,
    /// The numbers of idle Rollouts
    #[arg(long, value_delimiter = ',', default_value = "1000,10000", value_name = "N,…")]
    idle: Vec<usize>,
    /// The number of runs at once
    #[arg(long, default_value_t = 1000, value_name = "N")]
    active: usize,
    /// The number of rollbacks, for one and for six at once
    #[arg(long, default_value_t = 50, value_name = "N")]
    runs: usize,
    /// How long `endurance` is measured, its warm-up of twelve holds and their looks included; default 60
    #[arg(long, value_name = "N")]
    minutes: Option<u64>,
    /// The hold of each step there, in seconds; default 180: an API server that is asked for more than it can do is measured
    /// itself
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    hold: Option<u64>,
    /// Draw what `endurance` found to FILE, an SVG
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
    /// Measure with everything on: two replicas and their Lease, a receiver of notices, and a scrape of both
    #[arg(long)]
    everything: bool,
    /// The kind of the routes
    #[arg(long, value_enum, default_value_t, value_name = "KIND")]
    routes: Routes,
    /// Measure for seconds instead of minutes; the figures are worth little then
    #[arg(long)]
    brief: bool,
    /// A real API server, with everything that a Deployment needs; without it, the sandbox is measured against
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Its audit log, on this machine; without it, calls are not counted
    #[arg(long, value_name = "FILE", requires = "kubeconfig")]
    audit_log: Option<PathBuf>,
    /// The program to measure, like one that was built without the sandbox; without it, this very program
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Write the report to FILE as JSON too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// How the report is printed
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// Why the report did not come about, or out, or is not whole.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing could be measured.
    #[error(transparent)]
    Bench(#[from] BenchError),
    /// A flag means nothing without its part.
    #[error("--minutes, --hold and --picture are for endurance; name that part too")]
    NotEndurance,
    /// Something could not.
    #[error("not everything could be measured; the report says what, and why")]
    Lacking,
    /// The report can't be written as JSON.
    #[error("cannot write the report as JSON")]
    Json(#[from] serde_json::Error),
    /// A file or standard output.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Measures, and tells.
pub async fn run(args: Args) -> Result<(), Error> {
    let (json, output) = (args.json.clone(), args.output);
    let report = bench::run(args.resolve()?).await?;
    if let Some(file) = json {
        write(&file, &report.json()?)?;
    }
    print(&match output {
        Output::Table => report.table(),
        Output::Json => report.json()? + "\n",
    })?;
    if report.lacking.is_empty() { Ok(()) } else { Err(Error::Lacking) }
}

impl Args {
    fn resolve(self) -> Result<Plan, Error> {
        let of_endurance = self.minutes.is_some() || self.hold.is_some() || self.picture.is_some();
        if of_endurance && !self.parts.contains(&Part::Endurance) {
            return Err(Error::NotEndurance);
        }
        let mut idle = self.idle;
        idle.sort_unstable();
        idle.dedup();
        Ok(Plan {
            parts: if self.parts.is_empty() { Part::USUAL.to_vec() } else { self.parts },
            idle,
            active: self.active,
            runs: self.runs,
            minutes: self.minutes.unwrap_or(60),
            hold: Duration::from_secs(self.hold.unwrap_or(180)),
            picture: self.picture,
            everything: self.everything,
            routes: self.routes,
            brief: self.brief,
            audit_log: self.audit_log,
            program: self.program,
            kubeconfig: self.kubeconfig,
        })
    }
}
