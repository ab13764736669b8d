//! `tidegate analysis`: what the judgement does, before anybody trusts it with traffic.

mod manifests;
mod replay;
mod simulate;

use std::{
    io::{self, IsTerminal},
    path::Path,
};

use super::report::{Output, WriteError, print, write};
use crate::{
    columns::{self, Cell},
    config::ConfigError,
    engine::look::ReadError,
    metrics::ProviderError,
    trial::{CourseError, RecordedError},
};

/// Try the judgement of canaries: on made-up traffic, or on yesterday's
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Count how often good canaries are put back, and how soon bad ones are, beside the rules of others
    Simulate(simulate::Args),
    /// Judge recorded counts, or tell what a Rollout would have done over the past of a Prometheus
    Replay(replay::Args),
}

/// Why a report did not come about, or out, or is not good.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A run could not be followed.
    #[error("cannot follow a run")]
    Course(#[from] CourseError),
    /// The report is no JSON.
    #[error("cannot write the report as JSON")]
    Json(#[from] serde_json::Error),
    /// A file or standard output.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A file can't be read.
    #[error("cannot read {file}")]
    Read {
        /// Which.
        file: String,
        /// Why not.
        source: io::Error,
    },
    /// Recorded counts can't be judged.
    #[error("cannot replay {file}")]
    Recorded {
        /// The file.
        file: String,
        /// Why not.
        source: RecordedError,
    },
    /// The file is no YAML.
    #[error("cannot read {file} as YAML")]
    Yaml {
        /// The file.
        file: String,
        /// Why not.
        source: Box<serde_saphyr::Error>,
    },
    /// An object of the file is not what its kind is.
    #[error("cannot read a Rollout, or its template, from {file}")]
    Manifest {
        /// The file.
        file: String,
        /// Why not.
        source: serde_json::Error,
    },
    /// The Rollout's template can't be followed.
    #[error("cannot follow the template in {file}: {sentence}")]
    Template {
        /// The file.
        file: String,
        /// Why not, and what to do.
        sentence: String,
    },
    /// There is nothing to replay.
    #[error("{0}")]
    Nothing(&'static str),
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A provider.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The past can't be read.
    #[error("cannot read the past")]
    Past(#[from] ReadError),
    /// The times are out of range.
    #[error("the times are out of range")]
    Time(#[from] jiff::Error),
    /// A goal is missed.
    #[error("not every goal is reached; the report says which")]
    Missed,
}

/// Carries the command out.
pub async fn run(args: &Args) -> Result<(), Error> {
    match &args.command {
        Command::Simulate(args) => simulate::run(args),
        Command::Replay(args) => replay::run(args).await,
    }
}

fn read(file: &Path) -> Result<String, Error> {
    std::fs::read_to_string(file).map_err(|source| Error::Read { file: file.display().to_string(), source })
}

/// One line on a terminal, and nothing elsewhere: a log needs no hundred lines of it.
#[expect(clippy::print_stderr, reason = "it is progress")]
fn progress(what: &str) {
    if io::stderr().is_terminal() {
        eprint!("\r\x1b[K{what}");
    }
}

#[expect(clippy::print_stderr, reason = "it is progress")]
fn clear_progress() {
    if io::stderr().is_terminal() {
        eprint!("\r\x1b[K");
    }
}

/// A table, line by line.
fn columns(rows: &[Vec<String>]) -> String {
    let cells: Vec<Vec<Cell>> = rows.iter().map(|row| row.iter().map(Cell::plain).collect()).collect();
    columns::columns(&cells, None).into_iter().map(|line| line + "\n").collect()
}
