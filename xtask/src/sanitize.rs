//! Tests under Miri and AddressSanitizer, which see what no test can: memory that is touched beyond what
//! was given, freed, or never written.

use clap::{Args, ValueEnum};

use crate::paint::Paint;
use crate::verify::command::{Command, Count, Tally};
use crate::workspace::Workspace;

pub(crate) const EXAMPLES: &str = "\
Examples:
  cargo xtask sanitize                 both
  cargo xtask sanitize --only miri     Miri alone

Both need parts of a nightly toolchain of rustup. Where they are missing, the check is SKIPPED with the
command that installs them, and only what was found elsewhere is a failure; with --ci a skipped check is
a failure as well.";

/// What `cargo xtask sanitize` can be asked.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Fail where a check cannot run
    #[arg(long)]
    ci: bool,
    /// Run this check alone (may be given more than once)
    #[arg(long, value_name = "CHECK", value_delimiter = ',')]
    only: Vec<Check>,
}

/// A way to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Check {
    Miri,
    Address,
}

/// How a check ended.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Passed(usize),
    /// With the command that installs what is missing.
    Skipped(String),
    Found(String),
}

/// The toolchain that has them.
const NIGHTLY: &str = "nightly";

/// The target that a sanitized program is built for: with `--target`, build scripts and macros stay as
/// they are.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The crates with `unsafe` code.
const PACKAGES: [&str; 2] = ["gemm", "conv"];

/// The thread pool of rayon outlives the program on purpose, makes pointers of numbers, and asks how many
/// processors there are. Under Stacked Borrows runs stopped within its queues (crossbeam-epoch), as far as
/// their traces were read; under Tree Borrows they pass.
const MIRI_FLAGS: &str = "-Zmiri-tree-borrows -Zmiri-permissive-provenance -Zmiri-ignore-leaks \
    -Zmiri-disable-isolation";

/// Freed memory that the thread pool keeps until the process ends is no leak.
const ADDRESS_OPTIONS: &str = "detect_leaks=0";

impl Check {
    const ALL: [Self; 2] = [Self::Miri, Self::Address];

    fn name(self) -> &'static str {
        match self {
            Self::Miri => "miri",
            Self::Address => "address",
        }
    }

    fn about(self) -> &'static str {
        match self {
            Self::Miri => "every access of the portable kernels, interpreted",
            Self::Address => "every access of all kernels to memory of the heap and the stack",
        }
    }

    /// What has to answer for the check to run, and the command that installs it.
    fn needs(self) -> (Command, &'static str) {
        let nightly = |args: &[&str]| Command::cargo(args.iter().copied()).toolchain(NIGHTLY);
        match self {
            Self::Miri => (
                nightly(&["miri", "--version"]),
                "rustup toolchain install nightly -c miri -c rust-src",
            ),
            Self::Address => {
                (nightly(&["--version"]), "rustup toolchain install nightly, on x86-64 Linux")
            }
        }
    }

    fn commands(self) -> Vec<Command> {
        match self {
            Self::Miri => {
                let miri = |package| {
                    Command::cargo(["miri", "test", "-p", package, "--test", "interpreted"])
                        .toolchain(NIGHTLY)
                        .env("MIRIFLAGS", MIRI_FLAGS)
                        .count(Count::Tests)
                };
                vec![miri("gemm"), miri("conv")]
            }
            Self::Address => {
                let mut args = vec!["test"];
                args.extend(PACKAGES.iter().flat_map(|package| ["-p", package]));
                args.extend(["--target", TARGET, "--lib", "--tests"]);
                let tests = Command::cargo(args)
                    .toolchain(NIGHTLY)
                    .env("RUSTFLAGS", "-Zsanitizer=address")
                    .env("ASAN_OPTIONS", ADDRESS_OPTIONS)
                    .count(Count::Tests);
                vec![tests]
            }
        }
    }

    fn run(self, workspace: &Workspace) -> Result<Outcome, String> {
        let (probe, install) = self.needs();
        if !probe.succeeds(&workspace.root) {
            return Ok(Outcome::Skipped(install.to_owned()));
        }
        let mut total = Tally::default();
        for command in self.commands() {
            println!("   $ {command}");
            let (tally, failure) = command.run(&workspace.root)?;
            total += tally;
            if let Some(failure) = failure {
                return Ok(Outcome::Found(failure));
            }
            // A check that looked at nothing has not passed.
            if tally.passed == 0 {
                return Ok(Outcome::Found(format!("`{command}` ran no test")));
            }
        }
        Ok(Outcome::Passed(total.passed))
    }
}

/// Runs the chosen checks and says whether nothing was found.
///
/// # Errors
///
/// A command cannot be started.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<bool, String> {
    let paint = Paint::from_environment();
    let mut passed = true;
    for check in Check::ALL.into_iter().filter(|check| options.includes(*check)) {
        println!("{}", paint.bold(&format!("== {}: {}", check.name(), check.about())));
        let outcome = check.run(workspace)?;
        passed &= options.accepts(&outcome);
        let line = match &outcome {
            Outcome::Passed(tests) => paint.green(&format!("ok, {tests} tests")),
            Outcome::Skipped(install) => paint.yellow(&format!("SKIPPED; to have it: {install}")),
            Outcome::Found(what) => paint.red(&format!("FAILED: {what}")),
        };
        println!("   {line}\n");
    }
    Ok(passed)
}

impl Options {
    fn includes(&self, check: Check) -> bool {
        self.only.is_empty() || self.only.contains(&check)
    }

    fn accepts(&self, outcome: &Outcome) -> bool {
        match outcome {
            Outcome::Passed(_) => true,
            Outcome::Skipped(_) => !self.ci,
            Outcome::Found(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Check, Options, Outcome};

    #[test]
    fn only_what_is_found_fails_but_for_ci() {
        let accepts = |ci, outcome: &Outcome| Options { ci, only: Vec::new() }.accepts(outcome);
        let (passed, found) = (Outcome::Passed(3), Outcome::Found("why".to_owned()));
        let skipped = Outcome::Skipped("get it".to_owned());
        assert_eq!([false, true].map(|ci| accepts(ci, &passed)), [true, true]);
        assert_eq!([false, true].map(|ci| accepts(ci, &skipped)), [true, false]);
        assert_eq!([false, true].map(|ci| accepts(ci, &found)), [false, false]);
    }

    #[test]
    fn one_check_alone() {
        let options = Options { ci: false, only: vec![Check::Miri] };
        assert_eq!(Check::ALL.map(|check| options.includes(check)), [true, false]);
        let options = Options { ci: false, only: Vec::new() };
        assert_eq!(Check::ALL.map(|check| options.includes(check)), [true, true]);
    }

    #[test]
    fn commands_can_be_typed() {
        let lines: Vec<_> = Check::Address.commands().iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            ["RUSTFLAGS='-Zsanitizer=address' ASAN_OPTIONS='detect_leaks=0' cargo +nightly test \
                -p gemm -p conv --target x86_64-unknown-linux-gnu --lib --tests"]
        );
        for command in Check::Miri.commands() {
            assert!(command.to_string().contains("cargo +nightly miri test -p"), "{command}");
        }
    }
}
