//! The program under bad luck: killed, out of space, without permission, short of threads.

mod faults;
mod kills;
mod program;

use clap::Args;

use self::program::Program;
use crate::paint::Paint;
use crate::workspace::Workspace;

pub(crate) const EXAMPLES: &str = "\
Examples:
  cargo xtask torture                   200 kills, then every fault that this machine can make
  cargo xtask torture --kills 20        a first impression
  cargo xtask torture --seed 7          the same moments again (as far as a clock allows)

Some faults need more than a user may do: a small file system needs root. They are then listed as
skipped. Linux only.";

/// What `cargo xtask torture` can be asked.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// How many trainings are killed
    #[arg(long, value_name = "N", default_value_t = 200)]
    kills: u32,
    /// What the moments are drawn from
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    seed: u64,
}

/// What became of a trial.
#[derive(Debug)]
enum Outcome {
    /// It held, and in a few words how.
    Held(String),
    /// This machine, or this user, cannot make the fault.
    Skipped(String),
}

/// Kills and faults; whether the program stood all of them.
///
/// # Errors
///
/// The program cannot be built, or the trials not set up.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<bool, String> {
    let program = Program::build(workspace)?;
    let paint = Paint::from_environment();
    let mut failed = 0;
    let mut show = |name: &str, result: Result<Outcome, String>| match result {
        Ok(Outcome::Held(how)) => println!("{} {name}: {how}", paint.green("held   ")),
        Ok(Outcome::Skipped(why)) => println!("{} {name}: {why}", paint.yellow("skipped")),
        Err(message) => {
            println!("{} {name}: {message}", paint.red("FAILED "));
            failed += 1;
        }
    };
    show("killed", kills::run(&program, options.kills, options.seed));
    for (name, trial) in faults::ALL {
        show(name, trial(&program));
    }
    if failed > 0 {
        println!(
            "{}",
            paint.red(&format!(
                "{failed} failed; what they left is in {}",
                program.scratch().display()
            ))
        );
    } else {
        program.clean();
    }
    Ok(failed == 0)
}
