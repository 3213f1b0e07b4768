//! Our convolutions and networks against those of other libraries.

mod format;
mod machine;
mod models;
mod page;
mod peers;
mod ratio;
mod record;
mod row;
mod runner;
mod server;
mod svg;
mod table;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use clap::{Args, ValueEnum};

use self::format::{LAYERS, MODELS};
use self::models::Group;
use self::peers::Peer;
use self::table::Table;
use crate::paint::Paint;
use crate::workspace::Workspace;

pub(crate) const EXAMPLES: &str = "\
Examples:
  cargo xtask compare --threads 2                                forward, every peer found
  cargo xtask compare --direction all --peers torch
  cargo xtask compare --batch 1 --prepacked --peers ncnn         inference of one image
  cargo xtask compare --only mobilenet_dw,lenet_c3 --python venv/bin/python3
  cargo xtask compare --models --only alexnet                    training and inference of a network
  cargo xtask compare --write                                    all of it, into BENCHMARKS.md

A ratio is how many times as fast as the peer ours is: above 1 ours is the faster one. It is the
median of the ratios of the rounds. PyTorch packs its weights in every call, as ours does; the
other peers have them packed beforehand, as ours has with --prepacked.";

/// What `cargo xtask compare` can be asked.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Compare whole networks, a training step and inference, instead of layers
    #[arg(long, conflicts_with_all = ["direction", "layers", "algorithm", "prepacked"])]
    models: bool,
    /// What to time
    #[arg(long, value_enum, default_value_t = Direction::Forward)]
    direction: Direction,
    /// Threads of each library [default: as many as the machine can run at a time]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Time this layer or network alone (may be given more than once)
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
    /// Images of each batch, instead of the usual ones
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    batch: Option<u16>,
    /// Our algorithm [default: the library's own choice]
    #[arg(long, value_name = "ALGORITHM")]
    algorithm: Option<String>,
    /// Pack our weights before the clock starts
    #[arg(long)]
    prepacked: bool,
    /// Time all networks and all layers in all directions, keep a record under benches/record, and
    /// write BENCHMARKS.md and its pictures from it
    #[arg(long, conflicts_with_all = ["models", "direction", "layers", "algorithm", "prepacked", "only", "batch", "csv"])]
    write: bool,
    /// Write from this record, and time nothing
    #[arg(long, value_name = "FOLDER", requires = "write")]
    from: Option<PathBuf>,
    /// Write below this folder [default: that of the workspace]
    #[arg(long, value_name = "FOLDER", requires = "write")]
    out: Option<PathBuf>,
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

/// The peers, each with its version, or why it cannot run.
type Found = Vec<(Peer, Result<String, String>)>;

/// What one call of `cargo xtask compare` works with.
struct Session<'a> {
    workspace: &'a Workspace,
    options: &'a Options,
    found: &'a Found,
    paint: Paint,
}

/// Builds ours, times all, prints the ratios, and says whether our results were right.
///
/// # Errors
///
/// There is no such layer or network, ours cannot be built or run, or a file cannot be read or
/// written.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<bool, String> {
    let wanted = if options.peers.is_empty() { &Peer::ALL[..] } else { &options.peers };
    // A record says by itself who took part in it.
    let wanted = if options.from.is_some() { &[] } else { wanted };
    let found = &peers::find(&options.python, wanted);
    let paint = Paint::from_environment();
    let session = Session { workspace, options, found, paint };
    for (peer, version) in found {
        if let Ok(version) = version {
            println!("{} {version}", peer.name());
        }
    }
    if options.write {
        return record::write(&session);
    }
    let (all_right, csv) = if options.models { session.networks()? } else { session.layers()? };
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

    /// The options that all layer timers know.
    fn add_options(&self, direction: &str, mut command: Command) -> Command {
        command.args(["--direction", direction, "--threads", &self.threads().to_string()]);
        // Rounds are ours; in each of them every library has one run.
        command.args(["--runs", "1", "--serve"]);
        if let Some(batch) = self.batch {
            command.args(["--batch", &batch.to_string()]);
        }
        if let Some(layers) = &self.layers {
            command.arg("--layers").arg(layers);
        }
        command
    }
}

impl Session<'_> {
    /// The same with other options.
    fn with<'a>(&'a self, options: &'a Options) -> Session<'a> {
        Session { options, ..*self }
    }

    /// All groups of networks: whether our results were right, and the file of CSV.
    fn networks(&self) -> Result<(bool, String), String> {
        let networks = models::chosen(&self.options.only)?;
        build(self.workspace, "models")?;
        let (mut all_right, mut csv) = (true, MODELS.header() + "\n");
        for group in Group::ALL {
            let (right, lines) = self.compare_models(group, &networks)?;
            all_right &= right;
            csv += &lines;
        }
        Ok((all_right, csv))
    }

    /// All directions of the layers: whether our results were right, and the file of CSV.
    fn layers(&self) -> Result<(bool, String), String> {
        let layers = self.options.chosen_layers(self.workspace)?;
        build(self.workspace, "layers")?;
        let (mut all_right, mut csv) = (true, LAYERS.header() + "\n");
        for direction in self.options.direction.each() {
            let (right, lines) = self.compare_layers(direction, &layers)?;
            all_right &= right;
            csv += &lines;
        }
        Ok((all_right, csv))
    }

    /// Times one direction; says whether our results were right, and gives the lines of CSV.
    fn compare_layers(&self, direction: &str, layers: &[Layer]) -> Result<(bool, String), String> {
        let options = self.options;
        let threads = options.threads();
        let title = format!("== {direction}, threads: {threads}, rounds: {}", options.runs);
        println!("{}", self.paint.bold(&title));
        let (ours, peers) = self.layer_timers(direction);
        let mut runners = runner::start(ours, peers, &LAYERS, self.paint)?;
        let names = layers.iter().map(|layer| layer.name.as_str());
        let mut table = Table::new(&LAYERS, &runners, names, self.paint);
        table.header();
        let mut csv = String::new();
        let mut left_out = Vec::new();
        for layer in layers {
            // Whoever asks for such a layer by name gets it all the same.
            if direction == "backward_data" && layer.is_first() && options.only.is_empty() {
                left_out.push(layer.name.as_str());
                continue;
            }
            runner::time(&layer.name, options.runs, &mut runners)?;
            for line in table.row(&layer.name, &runners) {
                csv += &(line + "\n");
            }
        }
        if !left_out.is_empty() {
            let names = left_out.join(", ");
            println!("left out, as first layers, which need no backward_data: {names}");
        }
        Ok((table.summary(), csv))
    }

    /// How ours and the peers that there are run.
    fn layer_timers(&self, direction: &str) -> (Command, Vec<(Peer, Command)>) {
        let options = self.options;
        let mut ours = ours(self.workspace, "run", "layers");
        ours.arg("--");
        if let Some(algorithm) = &options.algorithm {
            ours.args(["--algorithm", algorithm]);
        }
        if options.prepacked {
            ours.arg("--prepacked");
        }
        let mut peers = Vec::new();
        for (peer, found) in self.found {
            match found {
                Ok(_) if direction != "forward" && !peer.has_gradients() => {
                    runner::skipped(*peer, "it has no gradients", self.paint);
                }
                Ok(_) => {
                    let script = peer.command(&options.python, &self.workspace.root, "layers");
                    peers.push((*peer, options.add_options(direction, script)));
                }
                Err(why) => runner::skipped(*peer, why, self.paint),
            }
        }
        (options.add_options(direction, ours), peers)
    }
}

/// One of our timers, in the folder of the workspace, whatever the current one is.
fn ours(workspace: &Workspace, task: &str, timer: &str) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args([task, "--release", "--quiet", "--package", "benches", "--bin", timer]);
    command.arg("--manifest-path").arg(workspace.root.join("Cargo.toml"));
    command
}

fn build(workspace: &Workspace, timer: &str) -> Result<(), String> {
    let status = ours(workspace, "build", timer).status();
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
