//! The table of a comparison.

use super::format::Format;
use super::ratio::{geometric_mean, of_rounds, speed};
use super::row::Numbers;
use super::runner::Runner;
use crate::paint::Paint;

/// Our columns: milliseconds, speed and what ran. A peer's: its speed and the ratio. The last one:
/// the ratio to the fastest peer.
const OURS_WIDTH: usize = 34;
const PEER_WIDTH: usize = 18;
const BEST_WIDTH: usize = 10;

/// Prints a row for each layer or network, and remembers the ratios.
pub(super) struct Table {
    format: &'static Format,
    name_width: usize,
    peers: Vec<&'static str>,
    /// Those of each peer, and last those to the fastest one.
    ratios: Vec<Vec<f64>>,
    all_right: bool,
    paint: Paint,
}

impl Table {
    /// `runners` are ours and then the peers.
    pub(super) fn new<'a>(
        format: &'static Format,
        runners: &[Runner],
        labels: impl Iterator<Item = &'a str>,
        paint: Paint,
    ) -> Self {
        let name_width = labels.map(str::len).max().unwrap_or(0).max("geometric mean".len());
        let peers: Vec<_> = runners[1..].iter().map(|runner| runner.name).collect();
        let ratios = vec![Vec::new(); peers.len() + 1];
        Self { format, name_width, peers, ratios, all_right: true, paint }
    }

    /// What a peer's speed is told in: networks in milliseconds.
    fn unit(&self) -> &'static str {
        if self.format.images.is_some() { "ms" } else { "GFLOP/s" }
    }

    pub(super) fn header(&self) {
        let width = self.name_width;
        let what = if self.format.images.is_some() { "model" } else { "layer" };
        let mut first = format!("{:width$}  {:OURS_WIDTH$}", "", "ours");
        let mut second =
            format!("{what:width$}  {:>9}  {:>8}  {:<13}", "ms", "GFLOP/s", "algorithm");
        for peer in &self.peers {
            first += &format!("  {peer:>PEER_WIDTH$}");
            second += &format!("  {:>10}{:>8}", self.unit(), "ratio");
        }
        if self.peers.len() > 1 {
            first += &format!("  {:>BEST_WIDTH$}", "best peer");
            second += &format!("  {:>BEST_WIDTH$}", "ratio");
        }
        println!("{}", self.paint.bold(first.trim_end()));
        println!("{}", self.paint.bold(second.trim_end()));
    }

    /// Prints the row of what was timed last; returns its lines of CSV.
    pub(super) fn row(&mut self, label: &str, runners: &[Runner]) -> Vec<String> {
        let width = self.name_width;
        let [ours, peers @ ..] = runners else { return Vec::new() };
        let our_rounds = ours.numbers();
        let mut csv = Vec::new();
        let mut line = format!("{label:width$}  ");
        let numbers = of_rounds(&our_rounds);
        let chosen = ours.rounds[0].chosen();
        csv.push(ours.rounds[0].with(numbers).to_csv("ours", ""));
        let mut notes = Vec::new();
        match numbers {
            Some(numbers) => {
                line += &format!("{:>9.3}  {:>8.1}  ", numbers.median_ms, numbers.gflops);
                line += &format!("{chosen:<13}");
                if !numbers.is_right() {
                    self.all_right = false;
                    notes.push(self.paint.red(&format!("WRONG: error {:.1e}", numbers.error)));
                }
            }
            None => {
                line += &format!("{:>9}  {:>8}  {:<13}", "-", "-", "-");
                notes.push(format!("ours: {chosen}"));
            }
        }
        let mut best: Option<f64> = None;
        for (i, peer) in peers.iter().enumerate() {
            let rounds = peer.numbers();
            let (numbers, ratio) = (of_rounds(&rounds), speed(&our_rounds, &rounds));
            let text = ratio.map_or(String::new(), |ratio| format!("{ratio:.3}"));
            csv.push(peer.rounds[0].with(numbers).to_csv(peer.name, &text));
            line += &match numbers {
                Some(numbers) => format!("  {:>10}", self.speed(numbers)),
                None => {
                    notes.push(format!("{}: {}", peer.name, peer.rounds[0].chosen()));
                    format!("  {:>10}", "-")
                }
            };
            line += &colour(ratio, 8, self.paint);
            self.ratios[i].extend(ratio);
            best = ratio.map(|ratio| best.map_or(ratio, |best| best.min(ratio))).or(best);
        }
        self.ratios[peers.len()].extend(best);
        if peers.len() > 1 {
            line += &format!("  {}", colour(best, BEST_WIDTH, self.paint));
        }
        println!("{}", line.trim_end());
        for note in notes {
            println!("{:width$}  {note}", "");
        }
        csv
    }

    fn speed(&self, numbers: Numbers) -> String {
        match self.format.images {
            Some(_) => format!("{:.3}", numbers.median_ms),
            None => format!("{:.1}", numbers.gflops),
        }
    }

    /// Prints the geometric means; says whether all our results were right.
    pub(super) fn summary(&self) -> bool {
        if self.peers.is_empty() {
            return self.all_right;
        }
        let width = self.name_width;
        let mut line = format!("{:width$}  {:OURS_WIDTH$}", "geometric mean", "");
        let mut counts = format!("{:width$}  {:OURS_WIDTH$}", "ours faster", "");
        // The last column says nothing new of a single peer.
        let columns = if self.peers.len() > 1 { self.ratios.len() } else { 1 };
        for (i, ratios) in self.ratios[..columns].iter().enumerate() {
            let cell = if i < self.peers.len() { PEER_WIDTH } else { BEST_WIDTH };
            let pad = cell.saturating_sub(8);
            line += &format!("  {:pad$}{}", "", colour(geometric_mean(ratios), 8, self.paint));
            let faster = ratios.iter().filter(|&&ratio| ratio >= 1.0).count();
            counts += &format!("  {:>cell$}", format!("{faster} of {}", ratios.len()));
        }
        println!("{}", line.trim_end());
        println!("{}", counts.trim_end());
        self.all_right
    }
}

/// A ratio in its column: green where ours is the faster one.
fn colour(ratio: Option<f64>, width: usize, paint: Paint) -> String {
    let Some(ratio) = ratio else { return format!("{:>width$}", "-") };
    let text = format!("{ratio:>width$.2}");
    match ratio {
        1.0.. => paint.green(&text),
        0.97.. => paint.yellow(&text),
        _ => paint.red(&text),
    }
}
