//! Tables in Markdown.

use std::fmt::Write;

use super::super::ratio::geometric_mean;
use super::super::record::Entry;
use super::super::row::Row;

/// The peers of a table, in order.
pub(super) fn libraries<'a>(entries: &[&'a Entry]) -> Vec<&'a str> {
    let mut libraries: Vec<&str> = Vec::new();
    for entry in entries {
        if entry.library != "ours" && !libraries.contains(&entry.library.as_str()) {
            libraries.push(&entry.library);
        }
    }
    libraries
}

/// The name of a layer or a network.
pub(super) fn label(key: &str) -> &str {
    key.split(',').next().unwrap_or(key)
}

/// The ratio to the fastest peer.
fn best_ratio<'a>(entries: impl Iterator<Item = &'a Entry>) -> Option<f64> {
    entries.filter_map(|entry| entry.ratio).reduce(f64::min)
}

/// The entries of one layer or network after the other: ours, then the peers'.
fn rows<'a, 'b>(entries: &'b [&'a Entry]) -> Vec<&'b [&'a Entry]> {
    entries.chunk_by(|a, b| a.row.key() == b.row.key()).collect()
}

/// A line for each layer or network. `peak` is in GFLOP/s.
pub(super) fn table(entries: &[&Entry], peak: Option<f64>) -> String {
    let libraries = libraries(entries);
    let networks = entries.iter().any(|entry| entry.row.images_per_second().is_some());
    let mut heads: Vec<String> = if networks {
        ["network", "batch", "ms", "images/s", "GFLOP/s", "% of peak"].map(String::from).to_vec()
    } else {
        ["layer", "algorithm", "ms", "GFLOP/s", "% of peak"].map(String::from).to_vec()
    };
    let unit = if networks { "ms" } else { "GFLOP/s" };
    for library in &libraries {
        heads.extend([format!("{library} {unit}"), "ratio".to_owned()]);
    }
    heads.extend((libraries.len() > 1).then(|| "best peer".to_owned()));
    let mut text = head(&heads);
    for row in rows(entries) {
        let mut cells = Vec::new();
        let of = |library: &str| row.iter().find(|entry| entry.library == library);
        if let Some(ours) = of("ours") {
            cells.extend(our_cells(ours, networks, peak));
        }
        for library in &libraries {
            let entry = of(library);
            let numbers = entry.and_then(|entry| entry.row.numbers);
            let speed = numbers.map(|numbers| match networks {
                true => format!("{:.3}", numbers.median_ms),
                false => format!("{:.1}", numbers.gflops),
            });
            cells.extend([shown(speed), ratio(entry.and_then(|entry| entry.ratio))]);
        }
        if libraries.len() > 1 {
            cells.push(ratio(best_ratio(row.iter().copied())));
        }
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    text
}

fn our_cells(ours: &Entry, networks: bool, peak: Option<f64>) -> Vec<String> {
    let key = ours.row.key();
    let numbers = ours.row.numbers;
    let ms = shown(numbers.map(|numbers| format!("{:.3}", numbers.median_ms)));
    let gflops = shown(numbers.map(|numbers| format!("{:.1}", numbers.gflops)));
    let percent = numbers.zip(peak).map(|(numbers, peak)| 100.0 * numbers.gflops / peak);
    let percent = shown(percent.map(|percent| format!("{percent:.0}")));
    let name = label(&key).to_owned();
    if networks {
        let batch = key.rsplit(',').next().unwrap_or_default().to_owned();
        let images = ours.row.images_per_second().map(|images| format!("{images:.0}"));
        vec![name, batch, ms, shown(images), gflops, percent]
    } else {
        vec![name, ours.row.chosen().to_owned(), ms, gflops, percent]
    }
}

/// The geometric means of the ratios of each table: to each peer and to the fastest one.
pub(super) fn means(sections: &[(&'static str, Vec<&Entry>)]) -> String {
    let all: Vec<&Entry> = sections.iter().flat_map(|(_, entries)| entries).copied().collect();
    let libraries = libraries(&all);
    let mut heads = vec![String::new()];
    heads.extend(libraries.iter().map(ToString::to_string));
    heads.extend(["best peer", "faster than the best"].map(String::from));
    let mut text = head(&heads);
    for (title, entries) in sections {
        let mut cells = vec![(*title).to_owned()];
        for library in &libraries {
            let of = entries.iter().filter(|entry| entry.library == *library);
            let ratios: Vec<f64> = of.filter_map(|entry| entry.ratio).collect();
            cells.push(ratio(geometric_mean(&ratios)));
        }
        let best = rows(entries).into_iter().filter_map(|row| best_ratio(row.iter().copied()));
        let best: Vec<f64> = best.collect();
        cells.push(ratio(geometric_mean(&best)));
        let faster = best.iter().filter(|&&ratio| ratio >= 1.0).count();
        cells.push(format!("{faster} of {}", best.len()));
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    text
}

/// How many times as fast all threads are as one. A row for one thread and one for all of each
/// network, task and batch.
pub(super) fn threads(rows: &[Row]) -> String {
    let most = rows.last().map_or("", Row::threads);
    let mut heads = ["network", "mode", "batch", "1 thread, ms"].map(String::from).to_vec();
    heads.extend([format!("{most} threads, ms"), "ratio".to_owned()]);
    let mut text = head(&heads);
    for one in rows.iter().filter(|row| row.threads() == "1") {
        let all = rows.iter().rfind(|row| row.key() == one.key());
        let ms = |row: &Row| row.numbers.map(|numbers| numbers.median_ms);
        let times = [ms(one), all.and_then(ms)];
        let mut cells = vec![one.key().replace(',', " | ")];
        cells.extend(times.map(|ms| shown(ms.map(|ms| format!("{ms:.3}")))));
        cells.push(ratio(times[0].zip(times[1]).map(|(one, all)| one / all)));
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    text
}

/// The parts of a training step in percent, a line for each network. `lines` are those of the
/// file: name, batch, part, milliseconds, percent.
pub(super) fn profile(lines: &[Vec<String>]) -> String {
    const NEEDED: [&str; 3] = ["conv", "affine", "optimiser"];
    let fields = |line: &'_ Vec<String>| match &line[..] {
        [name, batch, part, _, percent] => Some([name, batch, part, percent].map(String::clone)),
        _ => None,
    };
    let lines: Vec<[String; 4]> = lines.iter().skip(1).filter_map(fields).collect();
    let mut parts: Vec<&str> = Vec::new();
    for [_, _, part, _] in &lines {
        if !parts.contains(&part.as_str()) {
            parts.push(part);
        }
    }
    let mut heads = vec!["network".to_owned(), "batch".to_owned()];
    heads.extend(parts.iter().map(ToString::to_string));
    heads.push("outside convolution, affine and optimiser".to_owned());
    let mut text = head(&heads);
    for network in lines.chunk_by(|a, b| a[..2] == b[..2]) {
        let percent = |part: &str| {
            let line = network.iter().find(|line| line[2] == part)?;
            line[3].parse::<f64>().ok()
        };
        let mut cells = vec![network[0][0].to_owned(), network[0][1].to_owned()];
        let shares = parts.iter().map(|part| percent(part));
        cells.extend(shares.map(|share| shown(share.map(|share| format!("{share:.1}")))));
        let needed: f64 = NEEDED.iter().filter_map(|part| percent(part)).sum();
        cells.push(format!("{:.1}", 100.0 - needed));
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    text
}

/// The names of the columns; numbers stand to the right.
fn head(heads: &[String]) -> String {
    let rest = "--:|".repeat(heads.len().saturating_sub(1));
    format!("| {} |\n|---|{rest}\n", heads.join(" | "))
}

fn shown(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}

fn ratio(ratio: Option<f64>) -> String {
    shown(ratio.map(|ratio| format!("{ratio:.2}")))
}
