//! Our convolutions against those of other libraries.

mod peers;
mod ratio;
mod row;
mod server;
mod table;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use clap::{Args, ValueEnum};

use self::peers::Peer;
use self::row::{COLUMNS, Numbers, Row};
use self::server::Server;
use self::table::Table;
use crate::paint::Paint;
use crate::workspace::Workspace;

pub(crate) const EXAMPLES: &str = "\
Examples:
  cargo xtask compare --threads 2                                forward, every peer found
  cargo xtask compare --direction all --peers torch
  cargo xtask compare --batch 1 --prepacked --peers ncnn         inference of one image
  cargo xtask compare --only mobilenet_dw,lenet_c3 --python venv/bin/python3

A ratio is how many times as fast as the peer ours is: above 1 ours is the faster one. It is the
median of the ratios of the rounds. PyTorch packs its weights in every call, as ours does; the
other peers have them packed beforehand, as ours has with --prepacked.";

/// What `cargo xtask compare` can be asked.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// What to time
    #[arg(long, value_enum, default_value_t = Direction::Forward)]
    direction: Direction,
    /// Threads of each library [default: as many as the machine can run at a time]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Time this layer alone (may be given more than once)
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// Rounds over all libraries for each layer
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// The Python that has the packages of the peers
    #[arg(long, value_name = "PATH", default_value = "python3")]
    python: PathBuf,
    /// Which peers [default: all that this Python has]
    #[arg(long, value_enum, value_name = "LIST", value_delimiter = ',')]
    peers: Vec<Peer>,
    /// Write the results to this file as CSV too
    #[arg(long, value_name = "OUT")]
    csv: Option<PathBuf>,
    /// The layers [default: benches/layers.csv]
    #[arg(long, value_name = "FILE")]
    layers: Option<PathBuf>,
    /// Images of each batch, instead of those of the table
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    batch: Option<u16>,
    /// Our algorithm [default: the library's own choice]
    #[arg(long, value_name = "ALGORITHM")]
    algorithm: Option<String>,
    /// Pack our weights before the clock starts
    #[arg(long)]
    prepacked: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Direction {
    Forward,
    BackwardData,
    BackwardWeights,
    All,
}

impl Direction {
    fn each(self) -> Vec<&'static str> {
        let all = [
            (Self::Forward, "forward"),
            (Self::BackwardData, "backward_data"),
            (Self::BackwardWeights, "backward_weights"),
        ];
        let wanted = all.into_iter().filter(|(one, _)| self == Self::All || self == *one);
        wanted.map(|(_, name)| name).collect()
    }
}

/// A layer of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Layer {
    name: String,
    in_channels: usize,
}

impl Layer {
    /// Grey or coloured images go in: the first layer of a network, which needs no gradient by
    /// its input.
    fn is_first(&self) -> bool {
        self.in_channels <= 3
    }
}

/// A timer at work, with the rows of the layer that it is asked for.
struct Runner {
    name: &'static str,
    server: Server,
    rounds: Vec<Row>,
}

impl Runner {
    fn numbers(&self) -> Vec<Option<Numbers>> {
        self.rounds.iter().map(|row| row.numbers).collect()
    }
}

/// Builds ours, times all, prints the ratios, and says whether our results were right.
///
/// # Errors
///
/// There is no such layer, ours cannot be built or run, or a file cannot be read or written.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<bool, String> {
    let layers = options.chosen_layers(workspace)?;
    let wanted = if options.peers.is_empty() { &Peer::ALL[..] } else { &options.peers };
    let found = peers::find(&options.python, wanted);
    build(workspace)?;
    let paint = Paint::from_environment();
    let mut csv = format!("library,{},ratio\n", COLUMNS.join(","));
    let mut all_right = true;
    for direction in options.direction.each() {
        all_right &= options.compare(workspace, direction, &layers, &found, paint, &mut csv)?;
    }
    if let Some(path) = &options.csv {
        fs::write(path, csv)
            .map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
    }
    Ok(all_right)
}

impl Options {
    fn threads(&self) -> usize {
        let machine = || std::thread::available_parallelism().map_or(1, usize::from);
        self.threads.map_or_else(machine, usize::from)
    }

    fn chosen_layers(&self, workspace: &Workspace) -> Result<Vec<Layer>, String> {
        let default = workspace.root.join("benches/layers.csv");
        let path = self.layers.as_ref().unwrap_or(&default);
        let at = path.display();
        let text =
            fs::read_to_string(path).map_err(|error| format!("{at} cannot be read: {error}"))?;
        let mut layers = read_layers(&text).map_err(|error| format!("{at}: {error}"))?;
        let names: Vec<String> = layers.iter().map(|layer| layer.name.clone()).collect();
        if let Some(unknown) = self.only.iter().find(|name| !names.contains(name)) {
            return Err(format!("no layer is called {unknown}; they are {}", names.join(", ")));
        }
        layers.retain(|layer| self.only.is_empty() || self.only.contains(&layer.name));
        Ok(layers)
    }

    /// Times one direction; says whether our results were right.
    fn compare(
        &self,
        workspace: &Workspace,
        direction: &str,
        layers: &[Layer],
        found: &[(Peer, Result<String, String>)],
        paint: Paint,
        csv: &mut String,
    ) -> Result<bool, String> {
        let threads = self.threads();
        let title = format!("== {direction}, threads: {threads}, rounds: {}", self.runs);
        println!("{}", paint.bold(&title));
        let mut runners = self.start(workspace, direction, found, paint)?;
        let names: Vec<&str> = runners.iter().map(|runner| runner.name).collect();
        let mut table = Table::new(&names, layers.iter().map(|layer| layer.name.as_str()), paint);
        table.header();
        let mut left_out = Vec::new();
        for layer in layers {
            // Whoever asks for such a layer by name gets it all the same.
            if direction == "backward_data" && layer.is_first() && self.only.is_empty() {
                left_out.push(layer.name.as_str());
                continue;
            }
            self.time(&layer.name, &mut runners)?;
            for line in table.row(&layer.name, &runners) {
                *csv += &(line + "\n");
            }
        }
        if !left_out.is_empty() {
            let names = left_out.join(", ");
            println!("left out, as first layers, which need no backward_data: {names}");
        }
        Ok(table.summary())
    }

    /// Starts ours and the peers that there are, and waits until they are ready.
    fn start(
        &self,
        workspace: &Workspace,
        direction: &str,
        found: &[(Peer, Result<String, String>)],
        paint: Paint,
    ) -> Result<Vec<Runner>, String> {
        let mut ours = cargo(workspace, "run");
        ours.args(["--", "--serve"]);
        if let Some(algorithm) = &self.algorithm {
            ours.args(["--algorithm", algorithm]);
        }
        if self.prepacked {
            ours.arg("--prepacked");
        }
        let start = |name: &'static str, mut command: Command| -> Result<Runner, String> {
            self.add_options(direction, &mut command);
            Ok(Runner { name, server: Server::start(command)?, rounds: Vec::new() })
        };
        let mut runners = vec![start("ours", ours)?];
        let skipped = |peer: Peer, why: &str| {
            println!("{}", paint.yellow(&format!("skipped {}: {why}", peer.name())));
        };
        let mut started = Vec::new();
        for (peer, version) in found {
            match version {
                Ok(_) if direction != "forward" && !peer.has_gradients() => {
                    skipped(*peer, "it has no gradients");
                }
                Ok(version) => {
                    let command = peer.command(&self.python, &workspace.root);
                    started.push((*peer, version, start(peer.name(), command)));
                }
                Err(why) => skipped(*peer, why),
            }
        }
        runners[0].server.ready().map_err(|why| format!("our timer {why}"))?;
        for (peer, version, runner) in started {
            let ready = runner.and_then(|mut runner| {
                runner.server.ready().map_err(|why| format!("its script {why}"))?;
                Ok(runner)
            });
            match ready {
                Ok(runner) => {
                    println!("{} {version}", peer.name());
                    runners.push(runner);
                }
                Err(why) => skipped(peer, &why),
            }
        }
        Ok(runners)
    }

    /// The options that all timers know.
    fn add_options(&self, direction: &str, command: &mut Command) {
        command.args(["--direction", direction, "--threads", &self.threads().to_string()]);
        // Rounds are ours; in each of them every library has one run.
        command.args(["--runs", "1"]);
        if let Some(batch) = self.batch {
            command.args(["--batch", &batch.to_string()]);
        }
        if let Some(layers) = &self.layers {
            command.arg("--layers").arg(layers);
        }
        // Our timer has it already.
        if !command.get_args().any(|arg| arg == "--serve") {
            command.arg("--serve");
        }
    }

    /// All rounds of one layer, the libraries in turn.
    fn time(&self, layer: &str, runners: &mut [Runner]) -> Result<(), String> {
        for runner in runners.iter_mut() {
            runner.rounds.clear();
        }
        for _ in 0..self.runs {
            for runner in runners.iter_mut() {
                let row = runner.server.time(layer);
                let row = row.map_err(|why| format!("{layer}: the timer of {} {why}", runner.name));
                runner.rounds.push(row?);
            }
        }
        Ok(())
    }
}

/// In the folder of the workspace, whatever the current one is.
fn cargo(workspace: &Workspace, task: &str) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args([task, "--release", "--quiet", "--package", "benches", "--bin", "layers"]);
    command.arg("--manifest-path").arg(workspace.root.join("Cargo.toml"));
    command
}

fn build(workspace: &Workspace) -> Result<(), String> {
    let status = cargo(workspace, "build").status();
    let status = status.map_err(|error| format!("cargo cannot be run: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("our timer cannot be built: {status}")) }
}

/// The names and channels of a table of layers. The timers read the rest, and check it.
fn read_layers(text: &str) -> Result<Vec<Layer>, String> {
    let mut lines =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let header = row::split(lines.next().ok_or("has no columns")?)?;
    let column = |name: &str| {
        let at = header.iter().position(|field| field.trim() == name);
        at.ok_or_else(|| format!("has no column {name}"))
    };
    let (name, channels) = (column("name")?, column("c")?);
    let layer = |line: &str| {
        let fields = row::split(line)?;
        let field = |at: usize| fields.get(at).map_or("", |field| field.trim());
        let in_channels = field(channels).parse();
        let in_channels = in_channels.map_err(|_| format!("c is no number in: {line}"))?;
        Ok(Layer { name: field(name).to_owned(), in_channels })
    };
    lines.map(layer).collect()
}

#[cfg(test)]
mod tests {
    use super::{Direction, Layer, read_layers};

    #[test]
    fn layers_are_read() {
        let text = "n,c , name,h\n# a comment\n\n4,3,conv1,8\n4, 64,conv2,8\n";
        let layer = |name: &str, in_channels| Layer { name: name.to_owned(), in_channels };
        let layers = read_layers(text).expect("a good table");
        assert_eq!(layers, [layer("conv1", 3), layer("conv2", 64)]);
        assert!(layers[0].is_first() && !layers[1].is_first());
        let message = |text: &str| read_layers(text).expect_err("a bad table");
        assert_eq!(message(""), "has no columns");
        assert_eq!(message("name,n\na,1"), "has no column c");
        assert_eq!(message("name,c\na"), "c is no number in: a");
    }

    #[test]
    fn ours_are_twenty_one() {
        let text = include_str!("../../benches/layers.csv");
        let layers = read_layers(text).expect("a good table");
        assert_eq!(layers.len(), 21);
        // Those that need a gradient by their input.
        assert_eq!(layers.iter().filter(|layer| !layer.is_first()).count(), 17);
    }

    #[test]
    fn directions() {
        assert_eq!(Direction::BackwardData.each(), ["backward_data"]);
        assert_eq!(Direction::All.each(), ["forward", "backward_data", "backward_weights"]);
    }
}
