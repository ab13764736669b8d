//! `lint`: faults in manifests, found before anything is applied.
//!
//! Files become documents, documents become objects, and each check adds what it finds to one report. The checks are the
//! product's own code: the schemas of the CRDs, the engine's first decision about a Rollout, the placeholders of the metric
//! providers. What is not among the files is never guessed.
//!
//! | file | finds |
//! |---|---|
//! | `input` | files that can't be read, bad YAML |
//! | `objects` | what an object is, by whose schema, and which are told twice |
//! | `schemas` | unknown fields, bad values, broken rules |
//! | `routes` | routes that a Rollout can't step, and rules that two of them do |
//! | `references` | workloads and templates that are named |
//! | `first_turn` | what the engine would refuse although the schema passes |
//! | `queries` | queries that no provider can be asked |
//! | `holds` | steps that can't finish, or tell nothing, in their time |

mod check;
mod finding;
mod first_turn;
mod holds;
mod input;
mod objects;
mod queries;
mod references;
mod routes;
mod schemas;
mod spelling;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use clap::ValueEnum;

use super::{Error, Exit, Out};
use crate::config::{Config, ConfigError};
use check::Wanted;
use finding::Report;
use schemas::Schemas;

/// Find faults in manifests.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A file, a folder, or - for standard input; may be given more than once
    #[arg(short, long, value_name = "FILE", required = true)]
    filename: Vec<PathBuf>,
    /// The controller's configuration: which providers there are, of what kind, and what it may do
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Requests a second on the routes in all: tells which steps can't be proved in their maxHold
    #[arg(long, value_name = "N", value_parser = rate)]
    rate: Option<f64>,
    /// Warnings fail too
    #[arg(long)]
    strict: bool,
    /// How the findings are printed
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// How the findings are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// A line a finding
    Text,
    /// For programs
    Json,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate > 0.0);
    rate.ok_or_else(|| "it must be a number of requests a second above 0, like 50".to_owned())
}

pub(super) fn run(args: &Args, out: &mut Out<'_>) -> Result<Exit, Error> {
    let config = args.config.as_deref().map(Config::load).transpose().map_err(unusable)?;
    let mut report = Report::default();
    let documents = input::read(&args.filename, &mut report)?;
    let wanted = Wanted { config: config.as_ref(), rate: args.rate };
    check::all(documents, &Schemas::new()?, wanted, &mut report);
    report.sort();
    match args.output {
        Output::Text => {
            for line in report.lines(out.look) {
                out.line(&line)?;
            }
        }
        Output::Json => out.json(&report.spelled())?,
    }
    Ok(if report.fails(args.strict) { Exit::Failed } else { Exit::Reached })
}

fn unusable(error: ConfigError) -> Error {
    match error {
        ConfigError::Read { file, source } => Error::File { act: "read", file, source },
        invalid @ ConfigError::Invalid { .. } => Error::Usage(invalid.to_string()),
    }
}
