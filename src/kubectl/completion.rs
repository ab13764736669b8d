//! `completion`: what a shell needs to complete commands, flags, and the names that are in the cluster.

use std::ffi::OsString;

use clap::CommandFactory;
use clap_complete::env::Shells;

use super::{Error, Exit, Out, args::Args as CommandLine};

/// The program's own name, which shells complete.
const PROGRAM: &str = "kubectl-tidegate";
/// Asks the program itself for completions.
const VARIABLE: &str = "COMPLETE";

/// What kubectl runs to complete the words behind `kubectl tidegate`, as a file of this name in the PATH.
const KUBECTL: &str = "\
#!/bin/sh
# kubectl runs this to complete `kubectl tidegate …`: save it as kubectl_complete-tidegate somewhere in your PATH and
# make it executable.
exec kubectl-tidegate __complete -- \"$@\"
";

/// Print a completion script.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
bash:        source <(kubectl-tidegate completion bash)
zsh:         source <(kubectl-tidegate completion zsh)
fish:        kubectl-tidegate completion fish | source
PowerShell:  kubectl-tidegate completion powershell | Out-String | Invoke-Expression
kubectl:     kubectl-tidegate completion kubectl > ~/.local/bin/kubectl_complete-tidegate && \
chmod +x ~/.local/bin/kubectl_complete-tidegate
             completes `kubectl tidegate …` in every shell in which kubectl itself completes")]
pub struct Args {
    /// Which shell; kubectl for the words behind `kubectl tidegate`
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
    #[value(name = "powershell")]
    Power,
    Kubectl,
}

impl Shell {
    const fn word(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Zsh => "zsh",
            Self::Fish => "fish",
            Self::Power => "powershell",
            Self::Kubectl => "kubectl",
        }
    }
}

pub(super) fn run(args: &Args, out: &mut Out<'_>) -> Result<Exit, Error> {
    let mut script = Vec::new();
    match Shells::builtins().completer(args.shell.word()) {
        Some(shell) => {
            shell.write_registration(VARIABLE, "kubectl_tidegate", PROGRAM, PROGRAM, &mut script)?;
        }
        None => script.extend_from_slice(KUBECTL.as_bytes()),
    }
    out.text(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Reached)
}

/// Answers a shell that asks by the environment, as the scripts of [`run`] do. Returns whether that was asked.
pub fn answers_a_shell() -> bool {
    let complete = clap_complete::CompleteEnv::with_factory(CommandLine::command).var(VARIABLE).bin(PROGRAM);
    let folder = std::env::current_dir().ok();
    // What goes wrong has no place on a line that is being typed.
    complete.try_complete(std::env::args_os(), folder.as_deref()).unwrap_or(true)
}

/// The words of a command line, the last one unfinished.
#[derive(Debug, clap::Args)]
pub struct Line {
    #[arg(last = true)]
    words: Vec<OsString>,
}

/// Answers kubectl: a candidate a line, with what it means behind a tab, and at the end what the shell is to do besides
/// (4: no files).
pub(super) fn complete(line: &Line, out: &mut Out<'_>) -> Result<Exit, Error> {
    let mut words = vec![OsString::from(PROGRAM)];
    words.extend(line.words.iter().cloned());
    let last = words.len() - 1;
    // As kubectl does it: flags only where one is begun.
    let begun = words[last].to_string_lossy().starts_with('-');
    let folder = std::env::current_dir().ok();
    let found = clap_complete::engine::complete(&mut CommandLine::command(), words, last, folder.as_deref())?;
    for candidate in found.iter().filter(|candidate| !candidate.is_hide_set()) {
        let value = candidate.get_value().to_string_lossy();
        if value.starts_with('-') != begun {
            continue;
        }
        match candidate.get_help().map(ToString::to_string).filter(|help| !help.is_empty()) {
            Some(help) => out.line(&format!("{value}\t{}", help.lines().next().unwrap_or_default()))?,
            None => out.line(&value)?,
        }
    }
    out.line(":4")?;
    Ok(Exit::Reached)
}
