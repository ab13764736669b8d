//! `migrate`: a Rollout of Argo Rollouts, or a Canary of Flagger, as a Rollout of Tidegate.
//!
//! Nothing is lost in silence: each field of the source shows in the result, or a note says what to do instead
//! ([`ledger`]). Nothing happens by applying the result either: it is suspended, and what only a person can name is a
//! placeholder that no object can have as its name.

mod argo;
mod condition;
mod draft;
mod expression;
mod flagger;
mod ledger;
mod metrics;
mod print;
mod query;
mod source;
mod steps;
#[cfg(test)]
mod tests;
mod values;

use std::path::PathBuf;

use draft::{Draft, Migrated};
use ledger::Kind;
use source::{LOOKED_FOR, Object, Source};

use super::{Error, Exit, Out, args::Machine};

/// Turn an Argo Rollout or a Flagger Canary into a Rollout, with a note for what is not carried over.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A file, or - for standard input; may be given more than once, for the templates that another one names
    #[arg(short, long, value_name = "FILE", required = true)]
    filename: Vec<PathBuf>,
    /// As JSON, the notes beside the Rollout
    #[arg(short, long, value_enum)]
    output: Option<Machine>,
    /// Fail where anything is not carried over
    #[arg(long)]
    strict: bool,
}

pub(super) fn run(args: &Args, out: &mut Out<'_>) -> Result<Exit, Error> {
    let source = Source::read(&args.filename)?;
    let all = migrate(&source)?;
    for (i, migrated) in all.iter().enumerate() {
        match args.output {
            Some(Machine::Json) => out.json(migrated)?,
            None => {
                if i > 0 {
                    out.line("---")?;
                }
                print::comments(&migrated.notes).iter().try_for_each(|line| out.line(line))?;
                out.yaml(&migrated.rollout)?;
            }
        }
    }
    let lost = all.iter().flat_map(|migrated| &migrated.notes).any(|note| note.kind == Kind::NotCarried);
    Ok(if args.strict && lost { Exit::Failed } else { Exit::Reached })
}

/// Every Rollout that the objects give, in their order.
fn migrate(source: &Source) -> Result<Vec<Migrated>, Error> {
    let drafts = drafts(source)?;
    if drafts.is_empty() {
        let files = source.files.join(", ");
        return Err(Error::Usage(format!("nothing to migrate in {files}: looked for {LOOKED_FOR}")));
    }
    let schema = draft::schema()?;
    drafts.into_iter().map(|draft| draft.finish(&schema)).collect()
}

fn drafts(source: &Source) -> Result<Vec<Draft>, Error> {
    let one = |object: &Object| {
        if object.is(argo::GROUP, "Rollout") {
            Some(argo::migrate(source, object))
        } else if object.is(flagger::GROUP, "Canary") {
            Some(flagger::migrate(source, object))
        } else {
            None
        }
    };
    source.objects.iter().filter_map(one).collect()
}
