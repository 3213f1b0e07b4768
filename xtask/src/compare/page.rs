//! BENCHMARKS.md and its pictures, from a record.

mod tables;

use std::collections::BTreeMap;
use std::fmt::Write;

use self::tables::{libraries, means, table};
use super::models::Group;
use super::record::{Entry, LAYER_FILES, Record};
use super::svg::{Panel, Series, bars, curves, dots};

/// The pictures, as the page links them.
const PEAK: &str = "bench-peak.svg";
const NETWORKS: &str = "bench-networks.svg";
const LAYERS: &str = "bench-layers.svg";
const GROWTH: &str = "bench-growth.svg";

const METHOD: &str = "\
A ratio is how many times as fast as a peer this library is: above 1 it is the faster one. Every layer and
every network is timed by each library in turn, while the processes of the others are stopped, and that in
several rounds; a time is the median of the rounds, a ratio the median of the ratios within the rounds, so
that what slows the whole machine down for a while falls out. In a round, calls are made for 50 ms to get
warm and then timed one by one for 150 ms (at least five calls, at most 3 s), of which the median counts.
The peers run in the way that suits them best: PyTorch in the faster of NCHW and channels_last, whole
networks also in the faster of eager and `torch.compile`, with fused Adam and an allocator that keeps its
pages; ONNX Runtime and OpenVINO with all graph optimisations and bound buffers; all with the same number
of threads, in f32. Every result is compared with f64 before it is timed. A training step is forward, loss,
backward and Adam.
[benches/peers](benches/peers/README.md) says how each library is called.

GFLOP/s count two operations for each multiply-add of the formula, whatever an algorithm saves, so that
Winograd's can pass 100% of the peak: that of fused multiply-adds on registers, on all threads. Training
counts the gradients, but for that by the images.
";

/// The pictures: names and contents.
pub(super) fn pictures(record: &Record) -> Vec<(&'static str, String)> {
    vec![
        (PEAK, peak(record)),
        (NETWORKS, networks(record)),
        (LAYERS, layers(record)),
        (GROWTH, growth(record)),
    ]
}

/// The page. `name` is that of the record's folder; `notes` are written by hand.
pub(super) fn text(record: &Record, name: &str, notes: &str) -> String {
    let peak = record.peak();
    let mut page = String::from("# Benchmarks\n\n");
    let _ = write!(
        page,
        "Written by `cargo xtask compare --write` from the record\n\
         [benches/record/{name}](benches/record/{name}); `--from benches/record/{name}` writes it again.\n\n"
    );
    page += "## The machine\n\n| | |\n|---|---|\n";
    for (what, value) in &record.machine {
        let _ = writeln!(page, "| {what} | {value} |");
    }
    page += "\n## The method\n\n";
    page += METHOD;
    page += "\n## In short\n\nGeometric means of the ratios.\n\n";
    page += &means(&sections(record));
    page += "\n## Networks\n\n";
    let _ = writeln!(page, "![ratios of networks](docs/pictures/{NETWORKS})\n");
    for (title, entries) in &sections(record)[..Group::ALL.len()] {
        let _ = writeln!(page, "### {title}\n\n{}", table(entries, peak));
    }
    page += "## Layers\n\n";
    let _ = writeln!(page, "![percent of peak](docs/pictures/{PEAK})\n");
    let _ = writeln!(page, "![ratios of layers](docs/pictures/{LAYERS})\n");
    for (title, entries) in &sections(record)[Group::ALL.len()..] {
        let _ = writeln!(page, "### {title}\n\n{}", table(entries, peak));
    }
    page += "## As batch and channels grow\n\n";
    page += "3x3 over 28x28 pixels, padded by 1, as many filters as channels; weights packed \
             beforehand where a library can.\n\n";
    let _ = writeln!(page, "![cost as batch and channels grow](docs/pictures/{GROWTH})\n");
    page += "## One thread and all\n\nOur networks alone.\n\n";
    page += &tables::threads(&record.threads);
    page += "\n## Memory\n\n";
    page += &memory(record);
    page += "\n## Where a training step goes\n\n";
    page += "Percent of the step, both directions of each kind of layer together; a layer that runs \
             within another\nis counted there.\n\n";
    page += &tables::profile(&record.profile);
    page += "\n## What we lose, and why\n\n";
    page += &losses(record);
    page += "\n";
    page + notes.trim_end() + "\n"
}

/// Every table of the page: the groups of networks, then those of layers.
fn sections(record: &Record) -> Vec<(&'static str, Vec<&Entry>)> {
    let group = |group: Group| {
        let belongs = |entry: &&Entry| {
            let key = entry.row.key();
            let mut fields = key.split(',').skip(1);
            group.includes(fields.next().unwrap_or(""), fields.next().unwrap_or(""))
        };
        (group.title(), record.models.iter().filter(belongs).collect())
    };
    let layers = LAYER_FILES.iter().zip(&record.layers);
    let layers = layers.map(|((_, title), entries)| (*title, entries.iter().collect()));
    Group::ALL.into_iter().map(group).chain(layers).collect()
}

/// What must be kept and what was taken, in MB.
fn memory(record: &Record) -> String {
    let mut text = String::from(
        "The largest resident set of a process that runs AlexNet, beside what the task must keep: \
         four bytes for\neach parameter, in training also for its gradient and twice for Adam's \
         moments, and the activations. In\ntraining these are what the backward pass reads: the \
         inputs of convolutions, affine layers and\nnormalisations and the outputs of ReLU, each \
         once; in inference the largest input and output of one layer.\n\n",
    );
    let mut lines = record.memory.iter();
    let header = lines.next().map_or(&[][..], |fields| fields);
    let _ = writeln!(text, "| {} |", header.join(" | ").replace('_', " "));
    let _ = writeln!(text, "|{}", "---|".repeat(header.len()));
    let size = |(column, field): (&String, &String)| match field.parse::<f64>() {
        Ok(bytes) if column != "batch" && column != "ratio" => format!("{:.1} MB", bytes / 1e6),
        _ => field.clone(),
    };
    for fields in lines {
        let cells: Vec<String> = header.iter().zip(fields).map(size).collect();
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    text
}

/// All that a peer does faster.
fn losses(record: &Record) -> String {
    let mut text = String::new();
    for (title, entries) in sections(record) {
        let lost = entries.iter().filter_map(|entry| {
            let ratio = entry.ratio.filter(|&ratio| ratio < 1.0)?;
            Some(format!("{} ({}, {ratio:.2})", tables::label(&entry.row.key()), entry.library))
        });
        let lost: Vec<String> = lost.collect();
        if !lost.is_empty() {
            let _ = writeln!(text, "- {title}: {}.", lost.join("; "));
        }
    }
    if text.is_empty() { "Nothing, in this run.\n".to_owned() } else { text }
}

/// The names of the first fields of the keys, each once, in order.
fn names<'a>(entries: impl Iterator<Item = &'a Entry>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for entry in entries {
        let key = entry.row.key();
        if !names.contains(&key) {
            names.push(key);
        }
    }
    names
}

fn peak(record: &Record) -> String {
    let labels = names(record.layers.iter().flatten());
    let [forward, _, data, weights] = &record.layers;
    let series = [("forward", forward), ("by the input", data), ("by the weights", weights)];
    let series = series.map(|(name, entries)| {
        let percent = |label: &String| {
            let ours = |entry: &&Entry| entry.library == "ours" && entry.row.key() == *label;
            Some(100.0 * entries.iter().find(ours)?.row.numbers?.gflops / record.peak()?)
        };
        (name.to_owned(), labels.iter().map(percent).collect())
    });
    let title = "Speed of each layer, forward and both gradients";
    bars(title, "percent of the FMA peak, by the formula", &labels, &series, 100.0)
}

/// The ratios to each peer, in the order of the labels.
fn ratios(entries: &[&Entry], labels: &[String]) -> Vec<Series<Option<f64>>> {
    let series = |library: &str| {
        let ratio = |label: &String| {
            let wanted = |entry: &&&Entry| entry.library == library && entry.row.key() == *label;
            entries.iter().find(wanted)?.ratio
        };
        (library.to_owned(), labels.iter().map(ratio).collect())
    };
    libraries(entries).into_iter().map(series).collect()
}

fn networks(record: &Record) -> String {
    let entries: Vec<&Entry> = record.models.iter().collect();
    let keys = names(record.models.iter());
    let series = ratios(&entries, &keys);
    let labels: Vec<String> = keys.iter().map(|key| key.replace(',', " ")).collect();
    let title = "Networks: how many times as fast as each peer";
    dots(title, "ratio (right of the line: faster than the peer)", &labels, &series)
}

fn layers(record: &Record) -> String {
    let entries: Vec<&Entry> = record.layers[1].iter().collect();
    let labels = names(record.layers[1].iter());
    let title = "Layers, forward: how many times as fast as each peer";
    let series = ratios(&entries, &labels);
    dots(title, "ratio (right of the line: faster than the peer)", &labels, &series)
}

fn growth(record: &Record) -> String {
    let mut panels: BTreeMap<String, Vec<Series<(f64, f64)>>> = BTreeMap::new();
    for Entry { library, row, .. } in &record.growth {
        let key = row.key();
        let Some((what, size)) = key.split_once('_') else { continue };
        let (Ok(size), Some(numbers)) = (size.parse(), row.numbers) else { continue };
        let series = panels.entry(what.to_owned()).or_default();
        let at = series.iter().position(|(name, _)| name == library).unwrap_or_else(|| {
            series.push((library.clone(), Vec::new()));
            series.len() - 1
        });
        series[at].1.push((size, 1e3 / numbers.gflops));
    }
    let panel = |(x_label, series)| Panel { x_label, series };
    let panels: Vec<Panel> = panels.into_iter().map(panel).collect();
    curves("Milliseconds for a billion operations (lower is better)", &panels)
}

#[cfg(test)]
mod tests {
    use super::super::record::testing;
    use super::{pictures, text};

    #[test]
    fn a_page_has_all_that_was_measured() {
        let page = text(&testing::record(), "2001-02-03", "By hand.\n");
        for part in [
            "[benches/record/2001-02-03]",
            "| FMA peak | 400.0 GFLOP/s (some) |",
            "### A training step\n",
            "| alexnet | 16 | 100.000 | 160 | 300.0 | 75 | 400.000 | 4.00 |",
            "### The gradient by the weights\n",
            "| alexnet | train | 16 | 200.000 | 100.000 | 2.00 |",
            "| alexnet | infer | 1 | 244.0 MB | 0.0 MB |",
            "| alexnet | 16 | 60.0 | 15.0 | 25.0 | 15.0 |",
            "- Inference of one image: alexnet (onnxruntime, 0.80).",
            "By hand.\n",
        ] {
            assert!(page.contains(part), "{part} is not in\n{page}");
        }
        assert!(page.lines().all(|line| !line.ends_with(' ')));
    }

    #[test]
    fn pictures_show_every_library() {
        for (name, picture) in pictures(&testing::record()) {
            assert!(picture.ends_with("</svg>\n") && !picture.contains("NaN"), "{name}");
            let shown = if name.contains("peak") { "by the weights" } else { "torch" };
            assert!(picture.contains(shown), "{name}: {picture}");
        }
    }
}
