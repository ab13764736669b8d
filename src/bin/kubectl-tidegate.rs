//! The kubectl plugin: parses, calls, maps the outcome to an exit code.

use clap::{Parser, Subcommand};
use tidegate::cli;

/// Steer Tidegate's rollouts
#[derive(Debug, Parser)]
#[command(name = "kubectl-tidegate", bin_name = "kubectl tidegate", version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the version
    Version,
}

#[expect(clippy::print_stdout, reason = "it is what the command is for")]
fn main() {
    match Args::parse().command {
        Command::Version => println!("kubectl-tidegate {}", cli::VERSION),
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
