//! The layer timer: how fast each algorithm is on each layer, and how exact.

#![forbid(unsafe_code)]

use std::fs;
use std::io::BufRead;
use std::path::PathBuf;
use std::process::ExitCode;

use benches::case::{Case, Direction};
use benches::display;
use benches::display::{Table, print_line};
use benches::layers::{self, TimedLayer};
use benches::peak::{self, Peak};
use benches::record::{COLUMNS, Measured, Record};
use benches::timing;
use clap::Parser;
use clap::builder::PossibleValuesParser;
use conv::{Algorithm, KernelSet, Numerics, Options};
use rayon::{ThreadPool, ThreadPoolBuilder};

/// Time the convolution of layers.
///
/// Each result is first compared with an f64 reference; a wrong one is shown as such, and makes
/// the exit code 1. A run makes calls for 50 ms to get warm, then times each call for 150 ms (at
/// least five calls) and takes their median; a row gives the median of the runs. The weights are
/// packed inside the timed call. The FMA peak is measured first, on the same threads, with the
/// instructions that the kernels use.
/// GFLOP/s are counted as a direct convolution, whatever the algorithm saves.
#[derive(Debug, Parser)]
#[command(name = "layers", after_help = EXAMPLES)]
struct Cli {
    /// The layers, a CSV file with the columns
    /// name,n,c,h,w,oc,kh,kw,stride_h,stride_w,pad_top,pad_left,pad_bottom,pad_right,dil_h,dil_w,groups
    /// [default: the 21 layers of benches/layers.csv]
    #[arg(long, value_name = "FILE")]
    layers: Option<PathBuf>,
    /// What to time
    #[arg(long, default_value = "forward", value_parser = directions())]
    direction: String,
    /// The algorithm; one that cannot serve a layer gives a row with the reason
    #[arg(long, default_value = default_algorithm().name(), value_parser = algorithms())]
    algorithm: String,
    /// How exact the result must be: strict rules out algorithms that save multiplications
    #[arg(long, default_value = "fast", value_parser = ["fast", "strict"])]
    numerics: String,
    /// Threads [default: as many as the machine can run at a time]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Write the results to this file as CSV too; - writes them to standard output instead of
    /// the table
    #[arg(long, value_name = "OUT")]
    csv: Option<PathBuf>,
    /// Time this layer alone (may be given more than once)
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// Images of each batch, instead of those of the table
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    batch: Option<u16>,
    /// Pack the weights once, before the clock starts: inference with weights that do not change
    #[arg(long)]
    prepacked: bool,
    /// Runs of each row
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// Read names of layers from standard input, a line each, and answer each with its CSV row.
    /// The names of the columns come first, as soon as names may be sent
    #[arg(long, conflicts_with = "csv")]
    serve: bool,
    /// Time no layer: say what the machine can do at most
    #[arg(long, conflicts_with_all = ["csv", "serve"])]
    peak: bool,
}

const EXAMPLES: &str = "\
Examples:
  layers --only resnet_3x3_56,mobilenet_dw --algorithm all
  layers --direction all --threads 1 --csv results.csv
  COLONNADE_KERNELS=avx2 layers --algorithm direct --threads 1";

/// The value that stands for every direction or algorithm.
const ALL: &str = "all";

fn directions() -> PossibleValuesParser {
    PossibleValuesParser::new(Direction::ALL.iter().map(|direction| direction.name()).chain([ALL]))
}

fn algorithms() -> PossibleValuesParser {
    PossibleValuesParser::new(Algorithm::ALL.iter().map(|algorithm| algorithm.name()).chain([ALL]))
}

/// What the library itself would take, if it does not choose.
fn default_algorithm() -> Algorithm {
    let auto = Algorithm::ALL.iter().copied().find(|algorithm| algorithm.name() == "auto");
    auto.unwrap_or_default()
}

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("layers: {message}");
            ExitCode::FAILURE
        }
    }
}

impl Cli {
    /// Whether all results were right.
    fn run(&self) -> Result<bool, String> {
        let layers = self.chosen_layers()?;
        let threads = match self.threads {
            Some(threads) => usize::from(threads),
            None => std::thread::available_parallelism().map_or(1, usize::from),
        };
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .map_err(|error| format!("{threads} threads cannot be started: {error}"))?;
        // A forced set that this CPU has not got is an error.
        let set = KernelSet::detect().map_err(|error| error.to_string())?;
        let peak = pool.install(|| peak::measure(set));
        let numerics = if self.numerics == "strict" { Numerics::Strict } else { Numerics::Fast };
        let (runs, prepacked) = (usize::from(self.runs), self.prepacked);
        let timer = Timer { pool, peak, threads, runs, numerics, prepacked };
        if self.peak {
            let Peak { gflops, instructions } = timer.peak;
            return print_line(&format!("{gflops:.1} GFLOP/s ({instructions})")).map(|()| true);
        }
        if self.serve { self.serve(&timer, &layers) } else { self.table(&timer, &layers) }
    }

    fn chosen_layers(&self) -> Result<Vec<TimedLayer>, String> {
        let mut chosen = match &self.layers {
            None => layers::parse(layers::DEFAULT)?,
            Some(path) => {
                let at = path.display();
                let text = fs::read_to_string(path)
                    .map_err(|error| format!("{at} cannot be read: {error}"))?;
                layers::parse(&text).map_err(|error| format!("{at}: {error}"))?
            }
        };
        let names: Vec<String> = chosen.iter().map(|layer| layer.name.clone()).collect();
        if let Some(unknown) = self.only.iter().find(|name| !names.contains(name)) {
            return Err(format!("no layer is called {unknown}; they are {}", names.join(", ")));
        }
        chosen.retain(|layer| self.only.is_empty() || self.only.contains(&layer.name));
        if let Some(batch) = self.batch {
            chosen.iter_mut().for_each(|layer| layer.n = usize::from(batch));
        }
        Ok(chosen)
    }

    fn chosen_directions(&self) -> Vec<Direction> {
        let chosen = |direction: &Direction| [ALL, direction.name()].contains(&&*self.direction);
        Direction::ALL.into_iter().filter(chosen).collect()
    }

    fn chosen_algorithms(&self) -> Vec<Algorithm> {
        let chosen = |algorithm: &Algorithm| [ALL, algorithm.name()].contains(&&*self.algorithm);
        Algorithm::ALL.iter().copied().filter(chosen).collect()
    }

    /// Times everything and prints it.
    fn table(&self, timer: &Timer, layers: &[TimedLayer]) -> Result<bool, String> {
        let silent = self.csv.as_ref().is_some_and(|path| path.as_os_str() == "-");
        let table = Table::new(layers.iter().map(|layer| layer.name.as_str()));
        let say = |line: &str| match silent {
            true => Ok(()),
            false => print_line(line),
        };
        say(&timer.peak_for_people())?;
        say(&table.header())?;
        let mut csv = COLUMNS.join(",") + "\n";
        let mut all_right = true;
        for layer in layers {
            for direction in self.chosen_directions() {
                let mut case = timer.case(layer, direction)?;
                for algorithm in self.chosen_algorithms() {
                    let record = timer.time(&mut case, algorithm);
                    all_right &= record.outcome.as_ref().is_ok_and(Measured::is_right)
                        || record.outcome.is_err();
                    say(&table.row(&record))?;
                    csv += &(record.to_csv() + "\n");
                }
            }
        }
        match &self.csv {
            Some(_) if silent => print_line(csv.trim_end())?,
            Some(path) => fs::write(path, &csv)
                .map_err(|error| format!("{} cannot be written: {error}", path.display()))?,
            None => {}
        }
        Ok(all_right)
    }

    /// Answers names with rows. The operands of a layer are kept until another one is asked for.
    fn serve(&self, timer: &Timer, layers: &[TimedLayer]) -> Result<bool, String> {
        let (directions, algorithms) = (self.chosen_directions(), self.chosen_algorithms());
        let (&[direction], &[algorithm]) = (&directions[..], &algorithms[..]) else {
            return Err("--serve needs one direction and one algorithm".to_owned());
        };
        print_line(&COLUMNS.join(","))?;
        let mut kept: Option<Case> = None;
        for line in std::io::stdin().lock().lines() {
            let line = line.map_err(|error| format!("standard input: {error}"))?;
            let name = line.trim();
            let layer = layers.iter().find(|layer| layer.name == name);
            let layer = layer.ok_or_else(|| format!("no layer is called {name}"))?;
            if kept.as_ref().is_none_or(|case| case.layer() != layer) {
                // The old operands go before the new ones come.
                drop(kept.take());
                kept = Some(timer.case(layer, direction)?);
            }
            if let Some(case) = &mut kept {
                print_line(&timer.time(case, algorithm).to_csv())?;
            }
        }
        Ok(true)
    }
}

/// The threads, and what they can do.
struct Timer {
    pool: ThreadPool,
    peak: Peak,
    threads: usize,
    runs: usize,
    numerics: Numerics,
    prepacked: bool,
}

impl Timer {
    fn peak_for_people(&self) -> String {
        let threads = display::threads(self.threads);
        let Peak { gflops, instructions } = self.peak;
        format!("FMA peak on {threads}: {gflops:.1} GFLOP/s ({instructions})")
    }

    fn case(&self, layer: &TimedLayer, direction: Direction) -> Result<Case, String> {
        let case = self.pool.install(|| Case::new(layer, direction));
        case.map_err(|error| format!("{}: {error}", layer.name))
    }

    /// Everything runs inside the pool, so that its threads need not be woken for each call.
    fn time(&self, case: &mut Case, algorithm: Algorithm) -> Record {
        Record {
            name: case.layer().name.clone(),
            direction: case.direction(),
            algorithm: algorithm.name(),
            threads: self.threads,
            outcome: self.pool.install(|| conv::awake(|| self.measure(case, algorithm))),
        }
    }

    fn measure(&self, case: &mut Case, algorithm: Algorithm) -> Result<Measured, String> {
        let options = Options::with_algorithm(algorithm).numerics(self.numerics);
        let mut checked = case.check(options, self.prepacked).map_err(|error| error.to_string())?;
        let runs = (0..self.runs).map(|_| timing::time(|| case.call(&mut checked)));
        let median = timing::median(runs.collect());
        let operations = 2.0 * checked.plan.multiply_adds(case.layer().n) as f64;
        let gflops = operations / median.as_secs_f64() / 1e9;
        Ok(Measured {
            chosen: match case.direction() {
                Direction::Forward => checked.plan.algorithm_of(case.layer().n).name(),
                Direction::BackwardData => checked.plan.backward_data_algorithm().name(),
                Direction::BackwardWeights => checked.plan.backward_weights_algorithm().name(),
            },
            median,
            gflops,
            percent_of_peak: Some(100.0 * gflops / self.peak.gflops),
            error: checked.error,
            workspace_bytes: checked.workspace.bytes(),
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::Cli;

    fn cli(args: &[&str]) -> Cli {
        let args = ["layers"].iter().chain(args);
        Cli::try_parse_from(args).expect("a good command line")
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn all_and_one() {
        let all = cli(&["--direction", "all", "--algorithm", "all"]);
        assert_eq!(all.chosen_directions().len(), 3);
        assert_eq!(all.chosen_algorithms(), conv::Algorithm::ALL);
        let one = cli(&["--algorithm", "naive"]);
        assert_eq!(one.chosen_directions(), [benches::case::Direction::Forward]);
        assert_eq!(one.chosen_algorithms(), [conv::Algorithm::Naive]);
        assert_eq!(cli(&[]).chosen_algorithms().len(), 1);
    }

    #[test]
    fn layers_by_name() {
        let names = |args: &[&str]| {
            let layers = cli(args).chosen_layers();
            layers.map(|layers| layers.iter().map(|layer| layer.n).collect::<Vec<_>>())
        };
        assert_eq!(names(&[]).map(|layers| layers.len()), Ok(21));
        assert_eq!(names(&["--only", "mobilenet_dw,vgg_conv1_1"]), Ok(vec![4, 8]));
        assert_eq!(names(&["--only", "mobilenet_dw", "--batch", "1"]), Ok(vec![1]));
        let unknown = names(&["--only", "alexnet"]).expect_err("no such layer");
        assert!(unknown.contains("no layer is called alexnet; they are simple_conv1"), "{unknown}");
    }
}
