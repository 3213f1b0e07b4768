//! One command line: how it is printed, run, and what is counted in its output.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::ops::AddAssign;
use std::path::Path;
use std::process::{self, Stdio};

/// What to count in the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Count {
    Nothing,
    /// Tests, from libtest's `test result: …`.
    Tests,
    /// Benches, from criterion's `Success` of each, in test mode.
    Benches,
}

/// What was counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) ignored: usize,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.ignored += other.ignored;
    }
}

/// A call of cargo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Command {
    /// Of rustup; `None` for the one that runs us.
    toolchain: Option<&'static str>,
    /// Set for this command alone.
    env: Vec<(&'static str, &'static str)>,
    args: Vec<String>,
    count: Count,
}

impl Command {
    pub(crate) fn cargo<S: Into<String>>(args: impl IntoIterator<Item = S>) -> Self {
        let args = args.into_iter().map(Into::into).collect();
        Self { toolchain: None, env: Vec::new(), args, count: Count::Nothing }
    }

    /// The same with another toolchain of rustup.
    pub(crate) fn toolchain(mut self, name: &'static str) -> Self {
        self.toolchain = Some(name);
        self
    }

    pub(crate) fn env(mut self, key: &'static str, value: &'static str) -> Self {
        self.env.push((key, value));
        self
    }

    pub(crate) fn count(mut self, count: Count) -> Self {
        self.count = count;
        self
    }

    /// What this command counts, in words.
    pub(crate) fn counted(&self) -> Option<&'static str> {
        match self.count {
            Count::Nothing => None,
            Count::Tests => Some("tests"),
            Count::Benches => Some("benches"),
        }
    }

    /// Runs in `folder`, with its output shown as it comes. The second value says why the
    /// command failed, if it did.
    ///
    /// # Errors
    ///
    /// The command cannot be started.
    pub(crate) fn run(&self, folder: &Path) -> Result<(Tally, Option<String>), String> {
        self.run_with(folder, Stdio::inherit())
    }

    /// Runs without showing anything; whether it could be started and ended without an error.
    pub(crate) fn succeeds(&self, folder: &Path) -> bool {
        let output = self.process(folder).stdin(Stdio::null()).output();
        output.is_ok_and(|output| output.status.success())
    }

    fn process(&self, folder: &Path) -> process::Command {
        let mut command = match self.toolchain {
            None => process::Command::new(cargo()),
            Some(name) => {
                let mut rustup = process::Command::new("rustup");
                rustup.args(["run", name, "cargo"]);
                rustup
            }
        };
        command.args(&self.args).current_dir(folder).envs(self.env.iter().copied());
        command
    }

    fn run_with(&self, folder: &Path, errors: Stdio) -> Result<(Tally, Option<String>), String> {
        let mut command = self.process(folder);
        command.stdin(Stdio::null()).stderr(errors);
        if self.count != Count::Nothing {
            command.stdout(Stdio::piped());
        }
        let failed = |error| format!("`{self}` cannot be run: {error}");
        let mut child = command.spawn().map_err(failed)?;
        let mut tally = Tally::default();
        if let Some(output) = child.stdout.take() {
            for line in BufReader::new(output).split(b'\n') {
                let line = line.map_err(failed)?;
                let line = String::from_utf8_lossy(&line);
                println!("{line}");
                tally += self.count.in_line(&line);
            }
        }
        let status = child.wait().map_err(failed)?;
        let failure = (!status.success()).then(|| format!("`{self}`: {status}"));
        Ok((tally, failure))
    }
}

impl fmt::Display for Command {
    /// As it would be typed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (key, value) in &self.env {
            write!(f, "{key}='{value}' ")?;
        }
        let toolchain = self.toolchain.map(|name| format!("+{name} ")).unwrap_or_default();
        write!(f, "cargo {toolchain}{}", self.args.join(" "))
    }
}

impl Count {
    /// What one line of the output adds.
    fn in_line(self, line: &str) -> Tally {
        match self {
            Self::Nothing => Tally::default(),
            Self::Tests if line.starts_with("test result: ") => {
                let number = |name: &str| {
                    line.split([';', '.'])
                        .filter_map(|part| part.trim().strip_suffix(name)?.trim().parse().ok())
                        .next()
                        .unwrap_or(0)
                };
                Tally { passed: number("passed"), ignored: number("ignored") }
            }
            Self::Benches if line.trim() == "Success" => Tally { passed: 1, ignored: 0 },
            Self::Tests | Self::Benches => Tally::default(),
        }
    }
}

/// The cargo that started us, so that the whole run uses one toolchain.
fn cargo() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Stdio;

    use super::{Command, Count, Tally};

    #[test]
    fn printed_as_typed() {
        let command = Command::cargo(["doc", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings");
        assert_eq!(command.to_string(), "RUSTDOCFLAGS='-D warnings' cargo doc --no-deps");
        let command = Command::cargo(["test"]).toolchain("nightly").env("A", "1").env("B", "2");
        assert_eq!(command.to_string(), "A='1' B='2' cargo +nightly test");
    }

    #[test]
    fn tests_and_benches_are_counted() {
        let line = "test result: ok. 12 passed; 0 failed; 3 ignored; 0 measured; 0 filtered out; \
            finished in 0.10s";
        assert_eq!(Count::Tests.in_line(line), Tally { passed: 12, ignored: 3 });
        assert_eq!(Count::Tests.in_line("test a_test ... ok"), Tally::default());
        assert_eq!(Count::Benches.in_line("Success"), Tally { passed: 1, ignored: 0 });
        assert_eq!(Count::Benches.in_line("Testing Success/64"), Tally::default());
        assert_eq!(Count::Nothing.in_line(line), Tally::default());
    }

    #[test]
    fn a_failure_is_told() {
        let here = Path::new(".");
        // Counting catches the output, which would otherwise stand among the test results.
        let run = |arg: &str| {
            let command = Command::cargo([arg]).count(Count::Tests);
            command.run_with(here, Stdio::null()).expect("there is a cargo")
        };
        assert_eq!(run("--version"), (Tally::default(), None));
        let (tally, failure) = run("no-such-command");
        assert_eq!(tally, Tally::default());
        assert!(failure.is_some_and(|text| text.contains("`cargo no-such-command`")));
        assert!(!Command::cargo(["no-such-command"]).succeeds(here));
    }
}
