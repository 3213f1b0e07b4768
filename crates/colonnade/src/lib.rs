//! The command-line program of Colonnade: trains and evaluates convolutional networks on a CPU.
//!
//! A library only so that tests and fuzzers reach what it reads of others, in [`untrusted`]; the
//! program is [`program`].

#![forbid(unsafe_code)]

mod args;
mod bar;
mod completions;
mod config_file;
mod data;
mod date;
mod eval;
mod failure;
mod features;
mod files;
mod filters;
mod gradcheck;
mod interrupt;
mod model;
mod near;
mod output;
mod predict;
mod progress;
mod report_page;
mod run;
mod samples;
mod settings;
mod state;
mod steps;
mod summary;
mod train;
pub mod untrusted;
mod weights_file;

use std::ffi::OsString;
use std::process::ExitCode;

use args::{Args, Command};
use failure::Failure;

/// Does what a command line says, the name of the program first.
#[must_use]
pub fn program(line: Vec<OsString>) -> ExitCode {
    let result = config_file::parse(line).and_then(run);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            failure.exit_code()
        }
    }
}

fn run(args: Args) -> Result<(), Failure> {
    match args.command {
        Command::Train(args) => train::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Summary(args) => summary::run(&args),
        Command::Filters(args) => filters::run(&args),
        Command::Features(args) => features::run(&args),
        Command::Report(args) => report_page::run(&args),
        Command::Predict(args) => predict::run(&args),
        Command::Gradcheck(args) => gradcheck::run(&args),
        Command::Data(command) => data::run(&command),
        Command::Completions(args) => completions::run(&args),
    }
}

/// Starts the threads of the process: as many as are given, or as the machine can run at a time.
/// Here, where it is an error that they can't be had; the first to need them could only panic.
fn use_threads(threads: Option<usize>) -> Result<(), Failure> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads.unwrap_or(0))
        .build_global()
        .map_err(|e| Failure::Threads { threads, message: e.to_string() })
}
