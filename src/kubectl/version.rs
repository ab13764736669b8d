//! `version`.

use serde::Serialize;

use super::{Error, Exit, Out};

/// Print the version.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// As JSON
    #[arg(short, long, value_enum)]
    output: Option<Output>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Output {
    Json,
}

#[derive(Serialize)]
struct Version {
    version: &'static str,
}

pub(super) fn run(args: &Args, out: &mut Out<'_>) -> Result<Exit, Error> {
    let version = env!("CARGO_PKG_VERSION");
    match args.output {
        Some(Output::Json) => out.json(&Version { version })?,
        None => out.line(&format!("kubectl-tidegate {version}"))?,
    }
    Ok(Exit::Reached)
}
