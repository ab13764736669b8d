//! The `tidegate` program: parses, calls, maps the outcome to an exit code.

use std::{error::Error, process::ExitCode};

use clap::{Parser, Subcommand};
use tidegate::cli;
#[cfg(feature = "sandbox")]
use tidegate::demo;

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
    /// Run the control plane of stock Envoys that obey App Mesh's objects
    #[cfg(feature = "gateway")]
    Gateway(cli::gateway::Args),
    /// Write the CRDs to files, or check the files
    Crds(cli::crds::Args),
    /// Write the generated pages of the documentation, or check them
    Reference(cli::reference::Args),
    /// Print the account of the controller and the permissions it needs, for `kubectl apply -f -`
    Rbac(cli::rbac::Args),
    /// Try the judgement of canaries: on made-up traffic, or on yesterday's
    Analysis(cli::analysis::Args),
    /// Watch a version promoted and a bad one put back, on this machine alone
    #[cfg(feature = "sandbox")]
    Demo(demo::DemoOptions),
    /// Run an API server for kubectl to try Tidegate on, on this machine alone
    #[cfg(feature = "sandbox")]
    Sandbox(demo::SandboxOptions),
    /// Measure the controller, against the sandbox or a real API server
    #[cfg(feature = "sandbox")]
    Bench(cli::bench::Args),
    /// Print the version
    Version,
}

fn main() -> ExitCode {
    let command = Args::parse().command;
    let mut runtime = match command {
        // One thread serves a controller of any size; more would only keep memory of their own.
        Command::Run(_) => {
            let mut one = tokio::runtime::Builder::new_multi_thread();
            one.worker_threads(1);
            one
        }
        #[cfg(feature = "gateway")]
        Command::Gateway(_) => tokio::runtime::Builder::new_multi_thread(),
        Command::Crds(_)
        | Command::Reference(_)
        | Command::Rbac(_)
        | Command::Analysis(_)
        | Command::Version => tokio::runtime::Builder::new_multi_thread(),
        #[cfg(feature = "sandbox")]
        Command::Demo(_) | Command::Sandbox(_) | Command::Bench(_) => {
            tokio::runtime::Builder::new_multi_thread()
        }
    };
    let done = match runtime.enable_all().build() {
        Ok(runtime) => runtime.block_on(run(command)),
        Err(error) => Err(error.into()),
    };
    match done {
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
        #[cfg(feature = "gateway")]
        Command::Gateway(args) => cli::gateway::run(args).await?,
        Command::Crds(args) => cli::crds::run(&args)?,
        Command::Reference(args) => cli::reference::run(&args)?,
        Command::Rbac(args) => cli::rbac::run(&args)?,
        Command::Analysis(args) => cli::analysis::run(&args).await?,
        #[cfg(feature = "sandbox")]
        Command::Demo(options) => demo::run(options).await?,
        #[cfg(feature = "sandbox")]
        Command::Sandbox(options) => demo::sandbox::run(options).await?,
        #[cfg(feature = "sandbox")]
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
