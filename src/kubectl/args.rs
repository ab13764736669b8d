//! What is typed. This one definition gives the help, the man pages, the completions and `docs/cli.md`.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use super::{
    completion, diff, exit::EXIT_CODES, explain, generate, get, history, lint, migrate, names, release,
    requests, status, undo, version,
};

/// Steer Tidegate's rollouts, and ask why they are where they are
#[derive(Debug, Parser)]
#[command(name = "kubectl-tidegate", bin_name = "kubectl tidegate", version, after_long_help = EXIT_CODES)]
#[command(disable_help_subcommand = true, max_term_width = 100)]
pub struct Args {
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What holds for every command.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Everywhere")]
pub struct Global {
    /// The namespace; default: that of the context
    #[arg(short, long, global = true, value_name = "NAMESPACE", add = names::namespaces())]
    pub namespace: Option<String>,
    /// The context of the kubeconfig
    #[arg(long, global = true, value_name = "CONTEXT", add = names::contexts())]
    pub context: Option<String>,
    /// The kubeconfig; default: KUBECONFIG, ~/.kube/config, or the pod's service account
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Whom to act as
    #[arg(long = "as", global = true, value_name = "USER")]
    pub impersonate: Option<String>,
    /// No colours; NO_COLOR does the same
    #[arg(long, global = true)]
    pub no_color: bool,
    /// Plain lines, nothing redrawn: for screen readers and logs
    #[arg(long, global = true)]
    pub plain: bool,
}

impl Global {
    /// Where and whom to ask, as it was said, to be put behind another command.
    pub(super) fn again(&self) -> String {
        let said = [
            ("-n", self.namespace.clone()),
            ("--context", self.context.clone()),
            ("--kubeconfig", self.kubeconfig.as_ref().map(|file| file.display().to_string())),
            ("--as", self.impersonate.clone()),
        ];
        let said = said.into_iter().filter_map(|(flag, value)| Some(format!(" {flag} {}", quoted(&value?))));
        said.collect()
    }
}

/// A word as a shell takes it for one.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// How a command answers that has but one way besides the one for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Machine {
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show Rollouts in a table, or one of them whole
    #[command(visible_alias = "list")]
    Get(get::Args),
    /// Tell where a Rollout stands, or wait until it is where you want it
    Status(status::Args),
    /// Tell why a Rollout is where it is, what it waits for, and what will happen next
    Explain(explain::Args),
    /// Tell what became of earlier runs
    History(history::Args),
    /// Show what the next step would write to the routes
    Diff(diff::Args),
    /// End this step's hold, approval or pause; with --full go straight to 100 %
    Promote(requests::Promote),
    /// End the run: all traffic back on stable, at once
    Abort(requests::Abort),
    /// Try a failed target again, as a new run from 0
    Retry(requests::Asked),
    /// Stay at this step until resume; what is bad is still put back
    Pause(requests::Asked),
    /// Go on from a pause; outside a run: restore the weights once more
    Resume(requests::Asked),
    /// Make another version the target
    Release(release::Args),
    /// Go back to what was live before
    Undo(undo::Args),
    /// Find faults in manifests before anything is applied
    Lint(lint::Args),
    /// Turn an Argo Rollout or a Flagger Canary into a Rollout
    Migrate(migrate::Args),
    /// Print the script that completes commands and names in a shell
    Completion(completion::Args),
    /// Print the version
    Version(version::Args),
    /// Write docs/cli.md and the man pages
    #[command(hide = true)]
    Generate(generate::Args),
    /// Answer a shell that completes a command line
    #[command(hide = true, name = "__complete")]
    Complete(completion::Line),
}
