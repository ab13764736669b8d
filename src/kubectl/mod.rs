//! `kubectl tidegate`: people and CI at the wheel.
//!
//! A file a command: its arguments, and `run`, which asks the cluster and prints. What a command says is made by pure
//! functions of what was read and of the time. Nothing is decided about traffic here: a command writes
//! `spec.target` or one of the two annotations by which people ask, and the controller takes it from there.

pub mod args;
mod cluster;
pub mod completion;
mod diff;
pub mod exit;
mod explain;
mod generate;
mod get;
mod history;
mod hold;
mod lint;
mod live;
mod migrate;
mod names;
mod out;
mod release;
mod requests;
mod status;
mod table;
mod targets;
mod undo;
mod version;
mod view;
mod waiting;
mod words;
mod workloads;

use args::{Args, Command};
use exit::{Error, Exit};
use out::{Look, Out};

/// Carries a command out.
pub async fn run(args: Args) -> Result<Exit, Error> {
    let Args { global, command } = args;
    let out = &mut Out::stdout(Look::of(&global));
    match command {
        Command::Get(args) => get::run(&global, &args, out).await,
        Command::Status(args) => status::run(&global, &args, out).await,
        Command::Explain(args) => explain::run(&global, &args, out).await,
        Command::History(args) => history::run(&global, &args, out).await,
        Command::Diff(args) => diff::run(&global, &args, out).await,
        Command::Promote(args) => requests::promote(&global, &args, out).await,
        Command::Abort(args) => requests::abort(&global, &args, out).await,
        Command::Retry(args) => requests::retry(&global, &args, out).await,
        Command::Pause(args) => requests::pause(&global, &args, out).await,
        Command::Resume(args) => requests::resume(&global, &args, out).await,
        Command::Release(args) => Box::pin(release::run(&global, &args, out)).await,
        Command::Undo(args) => undo::run(&global, &args, out).await,
        Command::Lint(args) => lint::run(&args, out),
        Command::Migrate(args) => migrate::run(&args, out),
        Command::Completion(args) => completion::run(&args, out),
        Command::Version(args) => version::run(&args, out),
        Command::Generate(args) => generate::run(&args, out),
        Command::Complete(args) => completion::complete(&args, out),
    }
}
