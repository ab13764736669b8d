//! `version`.

use serde::Serialize;

use super::{Error, Exit, Out, args::Machine};

/// Print the version.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// As JSON
    #[arg(short, long, value_enum)]
    output: Option<Machine>,
}

#[derive(Serialize)]
struct Version {
    version: &'static str,
}

pub(super) fn run(args: &Args, out: &mut Out<'_>) -> Result<Exit, Error> {
    let version = env!("CARGO_PKG_VERSION");
    match args.output {
        Some(Machine::Json) => out.json(&Version { version })?,
        None => out.line(&format!("kubectl-tidegate {version}"))?,
    }
    Ok(Exit::Reached)
}
