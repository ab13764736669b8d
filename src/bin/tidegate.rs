//! The `tidegate` program: parses, calls, maps the outcome to an exit code.

use std::{error::Error, process::ExitCode};

use clap::{Parser, Subcommand};
use tidegate::{cli, demo};

/// Progressive delivery for Kubernetes: weighted routes stepped by evidence
#[derive(Debug, Parser)]
#[command(name = "tidegate", version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the controller
    Run(cli::run::Args),
    /// Write the CRDs to files, or check the files
    Crds(cli::crds::Args),
    /// Print the account of the controller and the permissions it needs, for `kubectl apply -f -`
    Rbac(cli::rbac::Args),
    /// Watch a canary promoted and a bad one put back, on this machine alone
    Demo(demo::DemoOptions),
    /// Run an API server for kubectl to try Tidegate on, on this machine alone
    Sandbox(demo::SandboxOptions),
    /// Measure the controller, against the sandbox or a real API server
    Bench(cli::bench::Args),
    /// Print the version
    Version,
}

// Two threads serve a controller of any size; more would only keep memory of their own.
#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    match run(Args::parse().command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tidegate: {}", cli::chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "it is what the command is for")]
async fn run(command: Command) -> Result<(), Box<dyn Error>> {
    match command {
        Command::Run(args) => cli::run::run(args).await?,
        Command::Crds(args) => cli::crds::run(&args)?,
        Command::Rbac(args) => cli::rbac::run(&args)?,
        Command::Demo(options) => demo::run(options).await?,
        Command::Sandbox(options) => demo::sandbox::run(options).await?,
        Command::Bench(args) => cli::bench::run(args).await?,
        Command::Version => println!("tidegate {}", cli::VERSION),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        <Args as clap::CommandFactory>::command().debug_assert();
    }
}
