//! `colonnade data`: the data sets that are known by name, and what is in one.

mod catalog;
mod fetch;
#[cfg(test)]
mod fetch_tests;
mod source;
#[cfg(test)]
mod test_server;
mod transport;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use dataset::{Dataset, ImageSet, Normalization};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use crate::args::{DataCommand, DataInfoArgs, FetchArgs};
use crate::failure::Failure;
use crate::files::failed;
use crate::output::{print, print_json};

pub(crate) use catalog::DatasetName;
use catalog::RemoteFile;
use fetch::{FetchError, Fetched};
pub(crate) use source::{BUNDLED, SourceError, resolve};

pub(crate) fn run(command: &DataCommand) -> Result<(), Failure> {
    match command {
        DataCommand::Fetch(args) => fetch_set(args),
        DataCommand::List { json } => list(*json),
        DataCommand::Info(args) => info(args),
    }
}

/// A data set could not be fetched.
#[derive(Debug, thiserror::Error)]
#[error("{source}{}", advice(missing, folder))]
pub(crate) struct NotFetched {
    source: FetchError,
    /// Empty if fetching by hand would not help.
    missing: Vec<RemoteFile>,
    folder: PathBuf,
}

/// What to do by hand.
fn advice(missing: &[RemoteFile], folder: &Path) -> String {
    if missing.is_empty() {
        return String::new();
    }
    let mut text = format!(
        "\nWithout a network here, fetch by other means what is missing, put it into\n  {}\nunder \
         the names below, and run this again: it checks what is there.",
        folder.display()
    );
    for file in missing {
        text += &format!("\n  {} ({} bytes, sha256 {})", file.name, file.size, file.sha256);
        for url in &file.urls {
            text += &format!("\n    {url}");
        }
    }
    text
}

fn fetch_set(args: &FetchArgs) -> Result<(), Failure> {
    let folder = match &args.dir {
        Some(folder) => folder.clone(),
        None => args.name.folder().ok_or(SourceError::NoHome)?,
    };
    let folder = std::path::absolute(&folder).unwrap_or(folder);
    fs::create_dir_all(&folder).map_err(|e| failed("create the folder", &folder, e))?;
    let files = args.name.files(args.mirror.as_deref());
    for (i, file) in files.iter().enumerate() {
        if let Err(source) = show_fetching(file, &folder, args.quiet) {
            let missing = match source {
                FetchError::NoPlace { .. } => {
                    let rest = files[i..].iter().filter(|file| !folder.join(&file.name).exists());
                    rest.cloned().collect()
                }
                _ => Vec::new(),
            };
            return Err(NotFetched { source, missing, folder }.into());
        }
    }
    let data =
        if args.dir.is_some() { folder.display().to_string() } else { args.name.name().to_owned() };
    print(&format!(
        "{} is in {}\ntrain on it: colonnade train --data {data}\n",
        args.name.name(),
        folder.display()
    ))
}

/// Fetches a file with a bar on a terminal, and a line of its own when it is there.
fn show_fetching(file: &RemoteFile, folder: &Path, quiet: bool) -> Result<(), FetchError> {
    let target =
        if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr_with_hz(10) };
    let bar = ProgressBar::with_draw_target(Some(file.size), target);
    let style = ProgressStyle::with_template(
        "{prefix} {wide_bar} {decimal_bytes}/{decimal_total_bytes}  {decimal_bytes_per_sec}  {eta} left",
    );
    bar.set_style(style.expect("the template is valid").progress_chars("━━─"));
    bar.set_prefix(file.name.clone());
    let result = fetch::fetch(file, folder, &|bytes| bar.set_position(bytes));
    bar.finish_and_clear();
    let done = match result? {
        Fetched::Already => "was there",
        Fetched::Now => "fetched",
    };
    if !quiet {
        let line = format!("{}: {done}, {}, sha256 right", file.name, megabytes(file.size));
        // A closed pipe is no reason to stop.
        let _ = writeln!(io::stderr(), "{line}");
    }
    Ok(())
}

fn list(as_json: bool) -> Result<(), Failure> {
    let bundled = |set: DatasetName| set == DatasetName::Mnist && cfg!(feature = "bundled-mnist");
    let (mut table, mut sets) = (String::new(), Vec::new());
    for &set in DatasetName::value_variants() {
        let folder = set.folder().filter(|folder| set.is_in(folder));
        let state = match &folder {
            _ if bundled(set) => "in this program".to_owned(),
            Some(folder) => format!("in {}", folder.display()),
            None => format!("not here: colonnade data fetch {}", set.name()),
        };
        let (name, size) = (set.name(), megabytes(set.size()));
        table += &format!("{name:<14} {size:>7}  {}\n{:25}{state}\n", set.about(), "");
        sets.push(json!({
            "name": name,
            "about": set.about(),
            "bytes": set.size(),
            "bundled": bundled(set),
            "folder": folder,
        }));
    }
    if as_json { print_json(&sets.into()) } else { print(&table) }
}

fn info(args: &DataInfoArgs) -> Result<(), Failure> {
    let (Dataset { train, test }, source) =
        resolve(args.data.as_deref(), &args.pictures.options())?;
    if args.json {
        return print_json(&info_json(&train, &test, &source));
    }
    let [channels, height, width] = train.image_shape();
    let mut text = format!(
        "{source}: {channels} x {height} x {width}, {} classes\n\n{:<20} {:>9} {:>9}\n",
        train.classes(),
        "class",
        "train",
        "test"
    );
    let counts = train.label_counts().into_iter().zip(test.label_counts());
    for (class, (train_count, test_count)) in counts.enumerate() {
        text += &format!("{:<20} {train_count:>9} {test_count:>9}\n", class_name(&train, class));
    }
    text += &format!("{:<20} {:>9} {:>9}\n", "all", train.len(), test.len());
    if let Ok(found) = Normalization::of(&train) {
        for (channel, (mean, std)) in found.mean().iter().zip(found.std()).enumerate() {
            text += &format!("channel {channel}: mean {mean:.4}, standard deviation {std:.4}\n");
        }
    }
    print(&text)
}

fn info_json(train: &ImageSet, test: &ImageSet, source: &str) -> Value {
    let counts = train.label_counts().into_iter().zip(test.label_counts()).enumerate();
    let class = |(class, (train_count, test_count))| json!({ "name": class_name(train, class), "train": train_count, "test": test_count });
    let found = Normalization::of(train).ok();
    json!({
        "data": source,
        "image": train.image_shape(),
        "classes": counts.map(class).collect::<Vec<_>>(),
        "train": train.len(),
        "test": test.len(),
        "mean": found.as_ref().map(Normalization::mean),
        "std": found.as_ref().map(Normalization::std),
    })
}

fn class_name(set: &ImageSet, class: usize) -> String {
    set.class_names().get(class).cloned().unwrap_or_else(|| class.to_string())
}

/// In millions of bytes.
fn megabytes(bytes: u64) -> String {
    match bytes {
        0..10_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{} MB", (bytes + 500_000) / 1_000_000),
    }
}
