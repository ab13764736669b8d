//! `history`: what became of earlier runs.

use super::{
    Error, Exit, Out,
    args::{Global, Machine},
    cluster::Cluster,
    names,
    out::Tone,
    words::{self, age},
};
use crate::{
    api::{EndReason, HistoryEntry},
    clock::Clock,
    columns::{Cell, columns},
};

/// Tell what became of earlier runs.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The Rollout
    #[arg(add = names::rollouts())]
    name: String,
    /// As JSON
    #[arg(short, long, value_enum)]
    output: Option<Machine>,
}

pub(super) async fn run(global: &Global, args: &Args, out: &mut Out<'_>) -> Result<Exit, Error> {
    let rollout = Cluster::connect(global).await?.rollout(&args.name).await?;
    let history = words::status(&rollout).history;
    if let Some(Machine::Json) = args.output {
        out.json(&history)?;
        return Ok(Exit::Reached);
    }
    if history.is_empty() {
        out.line("no run has ended yet")?;
        return Ok(Exit::Reached);
    }
    let now = Clock::start().now();
    let head = ["RUN", "TARGET", "BEFORE", "OUTCOME", "ENDED", "WHY"].map(Cell::plain).to_vec();
    let row = |entry: &HistoryEntry| {
        vec![
            Cell::plain(entry.run.to_string()),
            Cell::plain(words::target(&entry.target)),
            Cell::plain(words::target(&entry.stable)),
            out.look.cell(tone(entry.outcome), spelled(entry.outcome)),
            Cell::plain(format!("{} ago", age(entry.at, now))),
            Cell::plain(entry.message.as_str()),
        ]
    };
    let rows: Vec<Vec<Cell>> = std::iter::once(head).chain(history.iter().map(row)).collect();
    for line in columns(&rows, out.look.width) {
        out.line(&line)?;
    }
    Ok(Exit::Reached)
}

/// As the status spells it.
fn spelled(outcome: EndReason) -> String {
    serde_json::to_value(outcome).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn tone(outcome: EndReason) -> Tone {
    if outcome == EndReason::Promoted {
        Tone::Good
    } else if outcome.fails_target() {
        Tone::Bad
    } else {
        Tone::Faint
    }
}
