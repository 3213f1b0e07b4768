//! All that guards the project, cheapest first.

pub(crate) mod command;
mod steps;

use std::io::Write;
use std::time::{Duration, Instant};

use clap::Args;

use self::command::{Command, Tally};
use self::steps::{Step, Tool, Work};
use crate::paint::Paint;
use crate::tidy;
use crate::workspace::Workspace;

pub(crate) const EXAMPLES: &str = "\
Examples:
  cargo xtask verify                         everything; stops at the first failure
  cargo xtask verify --only golden           only the golden vectors
  cargo xtask verify --skip benches,docs     everything but these two
  cargo xtask verify --keep-going            everything, whatever fails
  cargo xtask verify --thorough --only test  many more random cases: about an hour
  cargo xtask verify --list                  what the steps are

A step whose tool is missing is SKIPPED. Under --ci that is a failure, unless the tool
stands in xtask/allow-skipped.txt.";

/// The tools that a machine may lack even under `--ci`, one a line.
const ALLOW_SKIPPED: &str = include_str!("../allow-skipped.txt");

/// What `cargo xtask verify` can be asked.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Fail where an optional tool is missing
    #[arg(long)]
    ci: bool,
    /// Run this step alone (may be given more than once)
    #[arg(long, value_name = "STEP", value_delimiter = ',')]
    only: Vec<Step>,
    /// Leave this step out (may be given more than once)
    #[arg(long, value_name = "STEP", value_delimiter = ',')]
    skip: Vec<Step>,
    /// Run the steps after a failure too
    #[arg(long)]
    keep_going: bool,
    /// Try many more random cases in the tests, optimised; takes about an hour. The environment
    /// variable PROPTEST_CASES says how many, if it is set
    #[arg(long)]
    thorough: bool,
    /// List the steps, and run none
    #[arg(long)]
    list: bool,
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    /// With what it counted, if anything.
    Passed(String),
    Skipped(String),
    Failed(String),
    NotRun,
}

#[derive(Debug)]
struct Record {
    step: Step,
    outcome: Outcome,
    time: Duration,
}

/// Runs the chosen steps and says whether all passed.
///
/// # Errors
///
/// No step was chosen, or the test targets of the workspace cannot be listed.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<bool, String> {
    if options.list {
        list();
        return Ok(true);
    }
    let chosen = options.chosen();
    if chosen.is_empty() {
        return Err("verify: --only and --skip leave no step to run".to_owned());
    }
    let paint = Paint::from_environment();
    let mut records: Vec<Record> = Vec::new();
    let mut stopped = false;
    for step in chosen {
        if stopped {
            records.push(Record { step, outcome: Outcome::NotRun, time: Duration::ZERO });
            continue;
        }
        println!("{}", paint.bold(&format!("== {}: {}", step.name(), step.about())));
        let start = Instant::now();
        let outcome = match run_step(step, workspace, options, paint) {
            Ok(outcome) => outcome,
            Err(message) => Outcome::Failed(message),
        };
        let record = Record { step, outcome, time: start.elapsed() };
        println!("{}\n", record.line(paint));
        stopped = matches!(record.outcome, Outcome::Failed(_)) && !options.keep_going;
        records.push(record);
    }
    Ok(summary(&records, paint))
}

impl Options {
    fn chosen(&self) -> Vec<Step> {
        Step::ALL
            .into_iter()
            .filter(|step| self.only.is_empty() || self.only.contains(step))
            .filter(|step| !self.skip.contains(step))
            .collect()
    }
}

fn list() {
    let width = Step::ALL.iter().map(|step| step.name().len()).max().unwrap_or(0);
    for step in Step::ALL {
        println!("{:width$}  {}", step.name(), step.about());
    }
}

fn run_step(
    step: Step,
    workspace: &Workspace,
    options: &Options,
    paint: Paint,
) -> Result<Outcome, String> {
    if let Some(tool) = step.tool()
        && !tool.is_there(workspace)
    {
        return Ok(without_tool(&tool, options.ci, ALLOW_SKIPPED));
    }
    let commands = match step.work(workspace, options.keep_going, options.thorough)? {
        Work::Commands(commands) => commands,
        Work::Tidy => {
            announce("cargo xtask tidy", paint);
            return Ok(match tidy::run(workspace)? {
                0 => Outcome::Passed(String::new()),
                findings => Outcome::Failed(format!("findings: {findings}")),
            });
        }
    };
    run_commands(&commands, workspace, options.keep_going, paint)
}

fn run_commands(
    commands: &[Command],
    workspace: &Workspace,
    keep_going: bool,
    paint: Paint,
) -> Result<Outcome, String> {
    let mut total = Tally::default();
    let mut failures = Vec::new();
    for command in commands {
        announce(&command.to_string(), paint);
        let (tally, failure) = command.run(&workspace.root)?;
        total += tally;
        if let Some(failure) = failure {
            failures.push(failure);
            if !keep_going {
                break;
            }
        }
    }
    if !failures.is_empty() {
        return Ok(Outcome::Failed(failures.join("; ")));
    }
    let counted = commands.iter().find_map(Command::counted);
    Ok(match counted {
        None => Outcome::Passed(String::new()),
        // A guard that guarded nothing has failed.
        Some(what) if total.passed == 0 => Outcome::Failed(format!("ran no {what} at all")),
        Some(what) if total.ignored > 0 => {
            Outcome::Failed(format!("{} of {what} were ignored", total.ignored))
        }
        Some(what) => Outcome::Passed(format!("{} {what}", total.passed)),
    })
}

/// Before the output of a child process, which may overtake ours.
fn announce(command: &str, paint: Paint) {
    println!("   {}", paint.dim(&format!("$ {command}")));
    // A closed pipe will be noticed by the next println.
    let _ = std::io::stdout().flush();
}

/// `allowed` lists tools one a line; `#` starts a comment.
fn without_tool(tool: &Tool, ci: bool, allowed: &str) -> Outcome {
    let reason = format!("{} is not there ({})", tool.name, tool.install);
    let is_allowed = allowed
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim())
        .any(|name| name == tool.name);
    if ci && !is_allowed {
        Outcome::Failed(format!("SKIPPED: {reason}, and xtask/allow-skipped.txt lacks it"))
    } else {
        Outcome::Skipped(reason)
    }
}

impl Record {
    fn verdict(&self) -> (&'static str, &str) {
        match &self.outcome {
            Outcome::Passed(note) => ("ok", note),
            Outcome::Skipped(note) => ("SKIPPED", note),
            Outcome::Failed(note) => ("FAILED", note),
            Outcome::NotRun => ("not run", ""),
        }
    }

    /// One row: step, verdict, seconds, note.
    fn line(&self, paint: Paint) -> String {
        let (verdict, note) = self.verdict();
        let verdict = format!("{verdict:<8}");
        let verdict = match self.outcome {
            Outcome::Passed(_) => paint.green(&verdict),
            Outcome::Skipped(_) => paint.yellow(&verdict),
            Outcome::Failed(_) => paint.red(&verdict),
            Outcome::NotRun => paint.dim(&verdict),
        };
        let row = format!(
            "   {:<10} {verdict} {:>7.1} s  {note}",
            self.step.name(),
            self.time.as_secs_f64()
        );
        row.trim_end().to_owned()
    }
}

/// Prints a table of all steps, and says whether none failed.
fn summary(records: &[Record], paint: Paint) -> bool {
    println!("{}", paint.bold("== summary"));
    for record in records {
        println!("{}", record.line(paint));
    }
    let total: Duration = records.iter().map(|record| record.time).sum();
    println!("   {:<10} {:<8} {:>7.1} s", "total", "", total.as_secs_f64());
    let left_out: Vec<_> = Step::ALL
        .iter()
        .filter(|step| !records.iter().any(|record| record.step == **step))
        .map(|step| step.name())
        .collect();
    if !left_out.is_empty() {
        println!("   left out: {}", left_out.join(", "));
    }
    let count = |wanted: fn(&Outcome) -> bool| {
        records.iter().filter(|record| wanted(&record.outcome)).count()
    };
    let failed = count(|outcome| matches!(outcome, Outcome::Failed(_)));
    let skipped = count(|outcome| matches!(outcome, Outcome::Skipped(_)));
    let verdict = match (failed, skipped) {
        (0, 0) => paint.green("verify: ok"),
        (0, _) => paint.yellow(&format!("verify: ok, but for {skipped} skipped")),
        _ => paint.red(&format!("verify: FAILED ({failed})")),
    };
    println!("{verdict}");
    failed == 0
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{
        ALLOW_SKIPPED, Options, Outcome, Paint, Record, Step, Tool, summary, without_tool,
    };

    const TOOL: Tool = Tool { name: "cargo-deny", probe: &["deny"], install: "get it" };

    fn options(only: &[Step], skip: &[Step]) -> Options {
        let (only, skip) = (only.to_vec(), skip.to_vec());
        Options { ci: false, only, skip, keep_going: false, thorough: false, list: false }
    }

    #[test]
    fn steps_keep_their_order() {
        assert_eq!(options(&[], &[]).chosen(), Step::ALL);
        assert_eq!(options(&[Step::Golden, Step::Fmt], &[]).chosen(), [Step::Fmt, Step::Golden]);
        assert_eq!(options(&[Step::Golden], &[Step::Golden]).chosen(), []);
        assert_eq!(options(&[], &[Step::Benches]).chosen().len(), Step::ALL.len() - 1);
    }

    #[test]
    fn a_missing_tool_fails_in_ci_unless_allowed() {
        let outcome = |ci, allowed| without_tool(&TOOL, ci, allowed);
        assert!(matches!(outcome(false, ""), Outcome::Skipped(_)));
        assert!(matches!(outcome(true, ""), Outcome::Failed(_)));
        assert!(matches!(outcome(true, "# cargo-deny\ncargo-deny-x\n"), Outcome::Failed(_)));
        assert!(matches!(outcome(true, "other\ncargo-deny # why\n"), Outcome::Skipped(_)));
        assert!(matches!(outcome(true, ALLOW_SKIPPED), Outcome::Skipped(_)));
    }

    #[test]
    fn one_failure_fails_all() {
        let paint = Paint::from_environment();
        let record = |outcome| Record { step: Step::Fmt, outcome, time: Duration::from_secs(1) };
        let passed = || record(Outcome::Passed("3 tests".to_owned()));
        let skipped = || record(Outcome::Skipped("why".to_owned()));
        assert!(summary(&[passed(), skipped()], paint));
        assert!(!summary(&[passed(), record(Outcome::Failed("why".to_owned()))], paint));
        assert!(passed().line(paint).contains("1.0 s  3 tests"), "{}", passed().line(paint));
    }
}
