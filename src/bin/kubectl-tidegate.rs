//! The kubectl plugin: parses, calls, maps the outcome to an exit code.

use std::process::ExitCode;

use clap::Parser;
use tidegate::{
    cli,
    kubectl::{self, args::Args, completion::answers_a_shell},
};

fn main() -> ExitCode {
    if answers_a_shell() {
        return ExitCode::SUCCESS;
    }
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(kubectl::run(args)),
        Err(error) => Err(error.into()),
    };
    match done {
        Ok(exit) => exit.into(),
        Err(error) => {
            eprintln!("kubectl tidegate: {}", cli::chain(&error));
            error.exit().into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        <Args as clap::CommandFactory>::command().debug_assert();
    }
}
