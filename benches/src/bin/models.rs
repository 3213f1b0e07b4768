//! The model timer: how long a training step and an inference of whole networks take.

#![forbid(unsafe_code)]

use std::fs;
use std::io::BufRead;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use benches::display::{self, bytes, print_line};
use benches::memory::{Needed, peak_rss};
use benches::model::Training;
use benches::model::{ModelCase, Task, TimedModel};
use benches::model_record::{COLUMNS, ModelRecord};
use benches::peak::{self, Peak};
use benches::profile::{self, Profile};
use benches::{csv, timing};
use clap::Parser;
use clap::builder::PossibleValuesParser;
use conv::KernelSet;
use rayon::{ThreadPool, ThreadPoolBuilder};

/// Time training steps and inferences of whole networks.
///
/// A training step is forward, loss, backward and Adam. Each result is first compared with an f64
/// network; a wrong one is shown as such, and makes the exit code 1. A run makes calls for 50 ms to
/// get warm, then times each call for 150 ms (at least five calls, at most 3 s) and takes their
/// median; a row gives the median of the runs. GFLOP/s count the multiply-adds of convolutions and
/// affine layers by the formula, in training with both gradients.
#[derive(Debug, Parser)]
#[command(name = "models", after_help = EXAMPLES)]
struct Cli {
    /// The network (may be given more than once)
    #[arg(long, value_name = "NAME", default_value = ALL, value_delimiter = ',', value_parser = models())]
    model: Vec<String>,
    /// What it does
    #[arg(long, default_value = ALL, value_parser = tasks())]
    mode: String,
    /// Images of each batch [default: 100, of alexnet 16; inference also 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    batch: Option<u16>,
    /// Threads [default: as many as the machine can run at a time]
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Runs of each row
    #[arg(long, value_name = "R", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// Write the results to this file as CSV too; - writes them to standard output instead of
    /// the table
    #[arg(long, value_name = "OUT")]
    csv: Option<PathBuf>,
    /// Read lines NAME,MODE,BATCH from standard input, and answer each with its CSV row. The
    /// names of the columns come first, as soon as lines may be sent
    #[arg(long, conflicts_with = "csv")]
    serve: bool,
    /// Instead of timing, take a few steps of one network at one task, and set the memory that
    /// this process has taken beside what the network must have
    #[arg(long, conflicts_with = "serve")]
    memory: bool,
    /// Instead of timing, say where the time of training steps goes, by kinds of layers
    #[arg(long, conflicts_with_all = ["serve", "memory"])]
    profile: bool,
}

const EXAMPLES: &str = "\
Examples:
  models --model deep-convnet --mode train
  models --mode infer --batch 1 --threads 1 --csv results.csv
  models --model alexnet --mode train --memory
  models --model deep-convnet --profile";

/// The value that stands for every network or task.
const ALL: &str = "all";

/// The columns of `--memory`, in bytes but for the last.
const MEMORY_COLUMNS: [&str; 10] = [
    "name",
    "mode",
    "batch",
    "parameters",
    "gradients",
    "moments",
    "activations",
    "needed",
    "peak_rss",
    "ratio",
];

fn models() -> PossibleValuesParser {
    PossibleValuesParser::new(TimedModel::ALL.iter().map(|model| model.name()).chain([ALL]))
}

fn tasks() -> PossibleValuesParser {
    PossibleValuesParser::new(Task::ALL.iter().map(|task| task.name()).chain([ALL]))
}

/// What a row is about.
type Key = (TimedModel, Task, usize);

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("models: {message}");
            ExitCode::FAILURE
        }
    }
}

impl Cli {
    /// Whether all results were right.
    fn run(&self) -> Result<bool, String> {
        let threads = match self.threads {
            Some(threads) => usize::from(threads),
            None => std::thread::available_parallelism().map_or(1, usize::from),
        };
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .map_err(|error| format!("{threads} threads cannot be started: {error}"))?;
        if self.memory {
            return pool.install(|| self.memory()).map(|()| true);
        }
        if self.profile {
            return pool.install(|| self.profile()).map(|()| true);
        }
        // A forced set that this CPU has not got is an error.
        let set = KernelSet::detect().map_err(|error| error.to_string())?;
        let peak = pool.install(|| peak::measure(set));
        let timer = Timer { pool, peak, threads, runs: usize::from(self.runs) };
        if self.serve { serve(&timer) } else { self.table(&timer) }
    }

    fn keys(&self) -> Vec<Key> {
        let named = |wanted: &str, name: &str| [ALL, name].contains(&wanted);
        let mut keys = Vec::new();
        for model in TimedModel::ALL {
            if !self.model.iter().any(|wanted| named(wanted, model.name())) {
                continue;
            }
            for task in Task::ALL.into_iter().filter(|task| named(&self.mode, task.name())) {
                match (self.batch, task) {
                    (Some(batch), _) => keys.push((model, task, usize::from(batch))),
                    (None, Task::Train) => keys.push((model, task, model.batch())),
                    (None, Task::Infer) => {
                        keys.extend([model.batch(), 1].map(|batch| (model, task, batch)));
                    }
                }
            }
        }
        keys
    }

    /// Times everything and prints it.
    fn table(&self, timer: &Timer) -> Result<bool, String> {
        let Peak { gflops, instructions } = timer.peak;
        let threads = display::threads(timer.threads);
        self.say(&format!("FMA peak on {threads}: {gflops:.1} GFLOP/s ({instructions})"))?;
        self.say(&ModelRecord::header())?;
        let mut csv = COLUMNS.join(",") + "\n";
        let mut all_right = true;
        for key in self.keys() {
            let record = timer.case(key)?.time(timer);
            all_right &= record.is_right();
            self.say(&record.row())?;
            csv += &(record.to_csv() + "\n");
        }
        self.write_csv(&csv)?;
        Ok(all_right)
    }

    /// Whether standard output is for CSV alone.
    fn silent(&self) -> bool {
        self.csv.as_ref().is_some_and(|path| path.as_os_str() == "-")
    }

    /// Prints a line for people, if they are there.
    fn say(&self, line: &str) -> Result<(), String> {
        if self.silent() { Ok(()) } else { print_line(line) }
    }

    /// Puts the file where `--csv` says, if it is given.
    fn write_csv(&self, text: &str) -> Result<(), String> {
        match &self.csv {
            Some(_) if self.silent() => print_line(text.trim_end()),
            Some(path) => fs::write(path, text)
                .map_err(|error| format!("{} cannot be written: {error}", path.display())),
            None => Ok(()),
        }
    }

    /// Steps of each network, in parts.
    fn profile(&self) -> Result<(), String> {
        const DURATION: Duration = Duration::from_secs(2);
        let mut csv = profile::COLUMNS.join(",") + "\n";
        for (model, task, batch) in self.keys() {
            if task != Task::Train {
                continue;
            }
            let describe = |error: net::NetError| format!("{}: {error}", model.name());
            let mut training = Training::<f32>::new(model, batch).map_err(describe)?;
            let step = || training.profiled_step();
            let profile = Profile::take(model, batch, DURATION, step).map_err(describe)?;
            profile.lines().iter().try_for_each(|line| self.say(line))?;
            csv += &profile.to_csv();
        }
        self.write_csv(&csv)
    }

    /// One network at one task: what it must keep, and what the process has taken.
    fn memory(&self) -> Result<(), String> {
        const STEPS: usize = 3;
        let keys = self.keys();
        // Of two batches of an inference the first is the usual one.
        let key = |(model, task, _): &Key| (*model, *task);
        let (&first, rest) = keys.split_first().ok_or("no network is chosen")?;
        if rest.iter().any(|other| key(other) != key(&first)) {
            let need = "--memory needs one --model and one --mode";
            return Err(format!("{need}: what a process has once taken, it does not give back"));
        }
        let (model, task, batch) = first;
        let describe = |error: net::NetError| format!("{}: {error}", model.name());
        let mut case = ModelCase::new(model, task, batch).map_err(describe)?;
        (0..STEPS).for_each(|_| case.call());
        let taken = peak_rss().ok_or("this system does not tell how much memory was taken")?;
        drop(case);
        let needed = model.needed(task, batch).map_err(describe)?;
        let ratio = taken as f64 / needed.total() as f64;
        let Needed { parameters, gradients, moments, activations } = needed;
        let numbers = [parameters, gradients, moments, activations, needed.total(), taken];
        self.say(&format!("{}, {}, batch {batch}", model.name(), task.name()))?;
        for (name, number) in MEMORY_COLUMNS[3..].iter().zip(numbers) {
            self.say(&format!("{name:<12}  {:>12}", bytes(number)))?;
        }
        self.say(&format!("{:<12}  {ratio:>12.2}", "ratio"))?;
        let start = [model.name().to_owned(), task.name().to_owned(), batch.to_string()];
        let fields: Vec<String> = start
            .into_iter()
            .chain(numbers.map(|number| number.to_string()))
            .chain([format!("{ratio:.3}")])
            .collect();
        self.write_csv(&format!("{}\n{}\n", MEMORY_COLUMNS.join(","), csv::join(&fields)))
    }
}

/// Answers lines with rows. A network is kept until another one is asked for.
fn serve(timer: &Timer) -> Result<bool, String> {
    print_line(&COLUMNS.join(","))?;
    let mut kept: Option<Ready> = None;
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(|error| format!("standard input: {error}"))?;
        let key = read_key(&line)?;
        if kept.as_ref().is_none_or(|ready| ready.key != key) {
            // The old network goes before the new one comes.
            drop(kept.take());
            kept = Some(timer.case(key)?);
        }
        if let Some(ready) = &mut kept {
            print_line(&ready.time(timer).to_csv())?;
        }
    }
    Ok(true)
}

/// Reads `NAME,MODE,BATCH`.
fn read_key(line: &str) -> Result<Key, String> {
    let fields: Vec<&str> = line.trim().split(',').collect();
    let &[name, mode, batch] = &fields[..] else {
        return Err(format!("{line:?} is not of the form NAME,MODE,BATCH"));
    };
    let model = TimedModel::ALL.into_iter().find(|model| model.name() == name);
    let task = Task::ALL.into_iter().find(|task| task.name() == mode);
    match (model, task, batch.parse()) {
        (None, ..) => Err(format!("no network is called {name:?}")),
        (_, None, _) => Err(format!("no mode is called {mode:?}")),
        (Some(model), Some(task), Ok(batch @ 1..)) => Ok((model, task, batch)),
        _ => Err(format!("the batch is {batch:?}, expected a number above zero")),
    }
}

/// The threads, and what they can do.
struct Timer {
    pool: ThreadPool,
    peak: Peak,
    threads: usize,
    runs: usize,
}

/// A network at its task, checked.
struct Ready {
    key: Key,
    case: ModelCase,
    error: f64,
    parameters: usize,
    /// Of one call.
    operations: f64,
}

impl Timer {
    /// Everything runs inside the pool, so that its threads need not be woken for each call.
    fn case(&self, key: Key) -> Result<Ready, String> {
        let (model, task, batch) = key;
        let made = self.pool.install(|| {
            let layers = model.summary()?;
            let (case, error) = ModelCase::checked(model, task, batch)?;
            Ok(Ready {
                key,
                case,
                error,
                parameters: layers.iter().map(|layer| layer.parameters).sum(),
                operations: batch as f64 * TimedModel::operations(task, &layers),
            })
        });
        made.map_err(|error: net::NetError| format!("{}: {error}", model.name()))
    }
}

impl Ready {
    fn time(&mut self, timer: &Timer) -> ModelRecord {
        let Self { key: (model, task, batch), case, error, parameters, operations } = self;
        let median = timer.pool.install(|| {
            timing::median((0..timer.runs).map(|_| timing::time(|| case.call())).collect())
        });
        ModelRecord {
            model: *model,
            task: *task,
            batch: *batch,
            threads: timer.threads,
            parameters: *parameters,
            median,
            operations: *operations,
            peak_gflops: timer.peak.gflops,
            error: *error,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::{Cli, Task, TimedModel, read_key};

    fn cli(args: &[&str]) -> Cli {
        Cli::try_parse_from(["models"].iter().chain(args)).expect("a good command line")
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn all_and_one() {
        let all = cli(&[]).keys();
        assert_eq!(all.len(), 4 * 3);
        assert_eq!(all[0], (TimedModel::SimpleConvNet, Task::Train, 100));
        assert_eq!(all[11], (TimedModel::AlexNet, Task::Infer, 1));
        let one = cli(&["--model", "alexnet", "--mode", "infer", "--batch", "2"]).keys();
        assert_eq!(one, [(TimedModel::AlexNet, Task::Infer, 2)]);
    }

    #[test]
    fn lines_are_read() {
        assert_eq!(read_key("lenet5,infer,1\n"), Ok((TimedModel::LeNet5, Task::Infer, 1)));
        for (line, part) in [
            ("lenet5,infer", "NAME,MODE,BATCH"),
            ("lenet,infer,1", "no network"),
            ("lenet5,run,1", "no mode"),
            ("lenet5,infer,0", "above zero"),
        ] {
            assert!(read_key(line).is_err_and(|why| why.contains(part)), "{line}");
        }
    }

    #[test]
    fn memory_is_that_of_one_network() {
        assert!(cli(&["--memory"]).memory().is_err_and(|why| why.contains("one --model")));
    }
}
