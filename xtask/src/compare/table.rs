//! The table of a comparison.

use super::Runner;
use super::ratio::{geometric_mean, of_rounds, speed};
use crate::paint::Paint;

/// Our columns: milliseconds, GFLOP/s and what ran. A peer's: GFLOP/s and the ratio.
const OURS_WIDTH: usize = 34;
const PEER_WIDTH: usize = 18;

/// Prints a row for each layer, and remembers the ratios.
pub(super) struct Table {
    name_width: usize,
    peers: Vec<&'static str>,
    /// Those of each peer.
    ratios: Vec<Vec<f64>>,
    all_right: bool,
    paint: Paint,
}

impl Table {
    /// `runners` are ours and then the peers.
    pub(super) fn new<'a>(
        runners: &[&'static str],
        layers: impl Iterator<Item = &'a str>,
        paint: Paint,
    ) -> Self {
        let name_width = layers.map(str::len).max().unwrap_or(0).max("geometric mean".len());
        let peers = runners[1..].to_vec();
        let ratios = vec![Vec::new(); peers.len()];
        Self { name_width, peers, ratios, all_right: true, paint }
    }

    pub(super) fn header(&self) {
        let width = self.name_width;
        let mut first = format!("{:width$}  {:OURS_WIDTH$}", "", "ours");
        let mut second =
            format!("{:width$}  {:>9}  {:>8}  {:<13}", "layer", "ms", "GFLOP/s", "algorithm");
        for peer in &self.peers {
            first += &format!("  {peer:>PEER_WIDTH$}");
            second += &format!("  {:>10}{:>8}", "GFLOP/s", "ratio");
        }
        println!("{}", self.paint.bold(first.trim_end()));
        println!("{}", self.paint.bold(second.trim_end()));
    }

    /// Prints the row of a layer; returns its lines of CSV.
    pub(super) fn row(&mut self, layer: &str, runners: &[Runner]) -> Vec<String> {
        let width = self.name_width;
        let [ours, peers @ ..] = runners else { return Vec::new() };
        let our_rounds = ours.numbers();
        let mut csv = Vec::new();
        let mut line = format!("{layer:width$}  ");
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
        for (peer, ratios) in peers.iter().zip(&mut self.ratios) {
            let rounds = peer.numbers();
            let (numbers, ratio) = (of_rounds(&rounds), speed(&our_rounds, &rounds));
            let text = ratio.map_or(String::new(), |ratio| format!("{ratio:.3}"));
            csv.push(peer.rounds[0].with(numbers).to_csv(peer.name, &text));
            match numbers {
                Some(numbers) => line += &format!("  {:>10.1}", numbers.gflops),
                None => {
                    line += &format!("  {:>10}", "-");
                    notes.push(format!("{}: {}", peer.name, peer.rounds[0].chosen()));
                }
            }
            line += &colour(ratio, self.paint);
            ratios.extend(ratio);
        }
        println!("{}", line.trim_end());
        for note in notes {
            println!("{:width$}  {note}", "");
        }
        csv
    }

    /// Prints the geometric means; says whether all our results were right.
    pub(super) fn summary(&self) -> bool {
        let width = self.name_width;
        let mut line = format!("{:width$}  {:OURS_WIDTH$}", "geometric mean", "");
        let mut counts = format!("{:width$}  {:OURS_WIDTH$}", "ours faster", "");
        for ratios in &self.ratios {
            line += &format!("  {:>10}{}", "", colour(geometric_mean(ratios), self.paint));
            let faster = ratios.iter().filter(|&&ratio| ratio >= 1.0).count();
            counts += &format!("  {:>PEER_WIDTH$}", format!("{faster} of {}", ratios.len()));
        }
        if !self.peers.is_empty() {
            println!("{}", line.trim_end());
            println!("{}", counts.trim_end());
        }
        self.all_right
    }
}

/// A ratio in its column: green where ours is the faster one.
fn colour(ratio: Option<f64>, paint: Paint) -> String {
    let Some(ratio) = ratio else { return format!("{:>8}", "-") };
    let text = format!("{ratio:>8.2}");
    match ratio {
        1.0.. => paint.green(&text),
        0.97.. => paint.yellow(&text),
        _ => paint.red(&text),
    }
}
