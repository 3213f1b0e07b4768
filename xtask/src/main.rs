//! The tasks of the workspace: `verify`, `tidy`, `sanitize`, `torture` and `compare`.

#![forbid(unsafe_code)]

mod compare;
mod manifest;
mod paint;
mod sanitize;
mod tidy;
mod torture;
mod verify;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The tasks of the workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask verify            all that guards the project, cheapest first
  cargo xtask tidy              only the rules that no other tool checks
  cargo xtask torture           training that is killed, out of space, without threads
  cargo xtask sanitize          tests under Miri and AddressSanitizer
  cargo xtask compare           our convolutions and networks against PyTorch and others";

#[derive(Debug, Subcommand)]
enum Task {
    /// Run all that guards the project, cheapest first.
    ///
    /// Each step prints its command line, which can be run by hand. The first failure stops
    /// the run, unless --keep-going is given.
    #[command(after_help = verify::EXAMPLES)]
    Verify(verify::Options),
    /// Check the rules of the workspace that no other tool checks.
    ///
    /// Who may depend on whom, where unsafe may stand, what a library may not do, length of
    /// files, machine paths and private hosts, leftovers, whitespace, and that the code maps
    /// name every crate.
    #[command(after_help = tidy::EXAMPLES)]
    Tidy,
    /// Kill trainings at any moment, fill the disk under them, refuse them threads.
    ///
    /// After every kill the newest checkpoint, or the one before, must hold the same bytes as an
    /// undisturbed training; every other fault must end in an error that says so, with the last
    /// checkpoint intact. Takes some minutes.
    #[command(after_help = torture::EXAMPLES)]
    Torture(torture::Options),
    /// Run tests under Miri and AddressSanitizer.
    ///
    /// Both look at every access to memory that the tests of the crates with unsafe code make; they need a
    /// nightly toolchain.
    #[command(after_help = sanitize::EXAMPLES)]
    Sanitize(sanitize::Options),
    /// Time our convolutions or networks and those of other libraries, and print the ratios.
    ///
    /// Ours is built in release; of the peers those run whose Python packages are there. Every
    /// layer or network is timed by each in turn, while the others are stopped, in several rounds.
    /// benches/peers/README.md says how they are called.
    #[command(after_help = compare::EXAMPLES)]
    Compare(compare::Options),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = workspace::Workspace::find().and_then(|workspace| match cli.task {
        Task::Verify(options) => verify::run(&workspace, &options),
        Task::Torture(options) => torture::run(&workspace, &options),
        Task::Sanitize(options) => sanitize::run(&workspace, &options),
        Task::Compare(options) => compare::run(&workspace, &options),
        Task::Tidy => tidy::run(&workspace).map(|findings| findings == 0),
    });
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("cargo xtask: {message}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
