//! The steps, cheapest first.

use std::collections::BTreeSet;

use clap::ValueEnum;

use super::command::{Command, Count};
use crate::workspace::{TestTarget, Workspace};

/// One thing that guards the project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Step {
    Fmt,
    Tidy,
    Deny,
    Advisories,
    NoStd,
    Features,
    Clippy,
    Test,
    Doctest,
    Golden,
    Gradcheck,
    Docs,
    BadInput,
    Benches,
}

/// What a step does.
#[derive(Debug)]
pub(crate) enum Work {
    Commands(Vec<Command>),
    /// Within this program.
    Tidy,
}

/// A program, or what it reads, that a machine may lack.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    /// What cargo does without an error where the tool is there.
    pub(crate) probe: &'static [&'static str],
    pub(crate) install: &'static str,
}

impl Tool {
    pub(crate) fn is_there(&self, workspace: &Workspace) -> bool {
        Command::cargo(self.probe.iter().copied()).succeeds(&workspace.root)
    }
}

/// How many random cases each property is tried with in a thorough run. Those of `conv` take most of the
/// time: about an hour on two cores.
const THOROUGH_CASES: &str = "5000";

/// The variable of proptest that says how many cases each test tries; all our tests heed it.
const CASES: &str = "PROPTEST_CASES";

/// The packages that work without the standard library.
const NO_STD: [&str; 2] = ["tensor4", "im2col"];

impl Step {
    /// In the order in which they run.
    pub(crate) const ALL: [Self; 14] = [
        Self::Fmt,
        Self::Tidy,
        Self::Deny,
        Self::Advisories,
        Self::NoStd,
        Self::Features,
        Self::Clippy,
        Self::Test,
        Self::Doctest,
        Self::Golden,
        Self::Gradcheck,
        Self::Docs,
        Self::BadInput,
        Self::Benches,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fmt => "fmt",
            Self::Tidy => "tidy",
            Self::Deny => "deny",
            Self::Advisories => "advisories",
            Self::NoStd => "no-std",
            Self::Features => "features",
            Self::Clippy => "clippy",
            Self::Test => "test",
            Self::Doctest => "doctest",
            Self::Golden => "golden",
            Self::Gradcheck => "gradcheck",
            Self::Docs => "docs",
            Self::BadInput => "bad-input",
            Self::Benches => "benches",
        }
    }

    pub(crate) fn about(self) -> &'static str {
        match self {
            Self::Fmt => "every file is formatted",
            Self::Tidy => "the rules of the workspace that no other tool checks",
            Self::Deny => "licences and sources of the dependencies",
            Self::Advisories => "no dependency has a known weakness; asks the network",
            Self::NoStd => "tensor4 and im2col build without the standard library",
            Self::Features => "each package builds with none and with each one of its features",
            Self::Clippy => "no warnings, in tests and benches neither",
            Self::Test => "unit, integration and property tests",
            Self::Doctest => "the examples in the docs",
            Self::Golden => "golden vectors from PyTorch (test targets golden*)",
            Self::Gradcheck => "numerical gradient checks (test targets gradcheck*)",
            Self::Docs => "the docs build without warnings",
            Self::BadInput => "bad input once more in release (test targets bad_input*)",
            Self::Benches => "each bench runs once, in test mode",
        }
    }

    /// What the step needs beyond cargo and rustc.
    pub(crate) fn tool(self) -> Option<Tool> {
        let (name, probe, install): (_, &[&str], _) = match self {
            Self::Fmt => ("rustfmt", &["fmt", "--version"], "rustup component add rustfmt"),
            Self::Clippy => ("clippy", &["clippy", "--version"], "rustup component add clippy"),
            Self::Deny => {
                ("cargo-deny", &["deny", "--version"], "cargo install --locked cargo-deny")
            }
            Self::Advisories => {
                ("advisory database", &["deny", "fetch", "db"], "it needs cargo-deny and a network")
            }
            _ => return None,
        };
        Some(Tool { name, probe, install })
    }

    /// What to run. With `keep_going`, tests do not stop at the first target that fails; `thorough` tests
    /// try more random cases.
    ///
    /// # Errors
    ///
    /// The step has nothing to run, or the test targets cannot be listed.
    pub(crate) fn work(
        self,
        workspace: &Workspace,
        keep_going: bool,
        thorough: bool,
    ) -> Result<Work, String> {
        let commands = match self {
            Self::Tidy => return Ok(Work::Tidy),
            Self::Fmt => vec![Command::cargo(["fmt", "--all", "--check"])],
            Self::Deny => {
                vec![Command::cargo("deny --offline check licenses bans sources".split(' '))]
            }
            Self::Advisories => {
                vec![Command::cargo("deny --offline check advisories".split(' '))]
            }
            Self::NoStd => {
                let mut args = vec!["check"];
                args.extend(NO_STD.iter().flat_map(|package| ["-p", package]));
                args.push("--no-default-features");
                vec![Command::cargo(args)]
            }
            Self::Features => features(workspace),
            Self::Clippy => {
                let args = "clippy --workspace --all-targets --all-features -- -D warnings";
                vec![Command::cargo(args.split(' '))]
            }
            Self::Test if thorough => {
                let tests = self.tests(&workspace.test_targets()?, keep_going)?;
                let cases = std::env::var_os(CASES).is_none().then_some(THOROUGH_CASES);
                vec![thoroughly(tests, cases)]
            }
            Self::Test | Self::Golden | Self::Gradcheck => {
                vec![self.tests(&workspace.test_targets()?, keep_going)?]
            }
            Self::Doctest => {
                let args = "test --workspace --all-features --doc";
                vec![test(args.split(' ').map(str::to_owned).collect(), keep_going)]
            }
            Self::Docs => {
                let args = "doc --workspace --no-deps --all-features";
                vec![Command::cargo(args.split(' ')).env("RUSTDOCFLAGS", "-D warnings")]
            }
            Self::BadInput => vec![self.tests(&workspace.test_targets()?, keep_going)?],
            Self::Benches => {
                // All packages, as above: with the features of other ones all would be built anew.
                let args = "bench --workspace --all-features --bench * -- --test";
                vec![Command::cargo(args.split(' ')).count(Count::Benches)]
            }
        };
        Ok(Work::Commands(commands))
    }

    /// The call that runs the test targets of this step. Those of `golden` and `gradcheck` run
    /// there and not in `test`; `bad_input` runs in `test`, and once more in release.
    fn tests(self, targets: &[TestTarget], keep_going: bool) -> Result<Command, String> {
        let targets: Vec<&TestTarget> =
            targets.iter().filter(|target| self.includes(&target.name)).collect();
        if targets.is_empty() && self != Self::Test {
            let what = self.about();
            return Err(format!("no package has what this step runs: {what}"));
        }
        let mut args = vec!["test".to_owned()];
        if self == Self::BadInput {
            args.push("--release".to_owned());
        }
        args.extend(["--workspace".to_owned(), "--all-features".to_owned()]);
        if self == Self::Test {
            args.extend(["--lib".to_owned(), "--bins".to_owned()]);
        }
        let names: BTreeSet<&str> = targets.iter().map(|target| target.name.as_str()).collect();
        for name in names {
            args.extend(["--test".to_owned(), name.to_owned()]);
        }
        Ok(test(args, keep_going))
    }

    /// Whether a test target of this name belongs to this step.
    fn includes(self, target: &str) -> bool {
        match self {
            Self::Golden => target.starts_with("golden"),
            Self::Gradcheck => target.starts_with("gradcheck"),
            Self::BadInput => target.starts_with("bad_input"),
            Self::Test => !Self::Golden.includes(target) && !Self::Gradcheck.includes(target),
            _ => false,
        }
    }
}

fn test(mut args: Vec<String>, keep_going: bool) -> Command {
    if keep_going {
        args.push("--no-fail-fast".to_owned());
    }
    Command::cargo(args).count(Count::Tests)
}

/// Optimised as a release is, but with checks of overflows and debug assertions; with so many random
/// cases, unless the caller has set a number.
fn thoroughly(tests: Command, cases: Option<&'static str>) -> Command {
    let tests = tests.env("CARGO_PROFILE_DEV_OPT_LEVEL", "3");
    match cases {
        Some(cases) => tests.env(CASES, cases),
        None => tests,
    }
}

/// The libraries and the program of each package that has features, without any and with each
/// alone. With all of them they are built by clippy.
fn features(workspace: &Workspace) -> Vec<Command> {
    let mut commands = Vec::new();
    for package in &workspace.packages {
        let features = package.manifest.features();
        if features.is_empty() {
            continue;
        }
        let check = ["check", "-p", &package.name, "--no-default-features"];
        if !NO_STD.contains(&package.name.as_str()) {
            commands.push(Command::cargo(check));
        }
        for feature in &features {
            let alone = ["--features", feature.as_str()];
            commands.push(Command::cargo(check.into_iter().chain(alone)));
        }
    }
    commands
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::{Step, Work, features, thoroughly};
    use crate::workspace::{TestTarget, Workspace};

    fn targets() -> Vec<TestTarget> {
        [
            ("conv", "bad_input"),
            ("conv", "properties"),
            ("dataset", "bad_input"),
            ("net", "golden_layers"),
            ("net", "gradcheck"),
        ]
        .map(|(package, name)| TestTarget { package: package.to_owned(), name: name.to_owned() })
        .to_vec()
    }

    fn line(step: Step) -> String {
        step.tests(&targets(), false).expect("there are such targets").to_string()
    }

    #[test]
    fn names_are_those_of_the_command_line() {
        assert_eq!(Step::value_variants(), Step::ALL);
        for step in Step::ALL {
            let value = step.to_possible_value().expect("no step is hidden");
            assert_eq!(value.get_name(), step.name());
        }
    }

    #[test]
    fn every_target_runs_once() {
        let all = "cargo test --workspace --all-features";
        assert_eq!(
            line(Step::Test),
            format!("{all} --lib --bins --test bad_input --test properties")
        );
        assert_eq!(line(Step::Golden), format!("{all} --test golden_layers"));
        assert_eq!(line(Step::Gradcheck), format!("{all} --test gradcheck"));
        for target in targets() {
            let homes = [Step::Test, Step::Golden, Step::Gradcheck];
            assert_eq!(homes.iter().filter(|step| step.includes(&target.name)).count(), 1);
        }
    }

    #[test]
    fn a_thorough_run_tries_more_cases() {
        let tests = || Step::Test.tests(&targets(), false).expect("there are such targets");
        let (plain, optimised) = (tests().to_string(), "CARGO_PROFILE_DEV_OPT_LEVEL='3'");
        let expected = format!("{optimised} PROPTEST_CASES='9' {plain}");
        assert_eq!(thoroughly(tests(), Some("9")).to_string(), expected);
        assert_eq!(thoroughly(tests(), None).to_string(), format!("{optimised} {plain}"));
    }

    #[test]
    fn bad_input_runs_in_release() {
        let expected = "cargo test --release --workspace --all-features --test bad_input";
        assert_eq!(line(Step::BadInput), expected);
    }

    #[test]
    fn a_step_without_targets_fails() {
        for step in [Step::Golden, Step::Gradcheck, Step::BadInput] {
            assert!(step.tests(&targets()[1..2], false).is_err(), "{step:?}");
        }
        let command = Step::Test.tests(&[], true).expect("there are unit tests");
        let expected = "cargo test --workspace --all-features --lib --bins --no-fail-fast";
        assert_eq!(command.to_string(), expected);
    }

    #[test]
    fn features_one_by_one() {
        let workspace = Workspace::find().expect("the tests run inside the workspace");
        let lines: Vec<_> = features(&workspace).iter().map(ToString::to_string).collect();
        let expected = "cargo check -p tensor4 --no-default-features --features ndarray";
        assert!(lines.iter().any(|line| line == expected), "{lines:?}");
        let Ok(Work::Commands(no_std)) = Step::NoStd.work(&workspace, false, false) else {
            panic!("no-std runs cargo");
        };
        let expected = "cargo check -p tensor4 -p im2col --no-default-features";
        assert_eq!(no_std[0].to_string(), expected);
    }
}
