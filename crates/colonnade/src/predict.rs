//! `colonnade predict`.

mod digit;
mod load;

use std::fs::File;
use std::io::{BufRead, BufReader, Seek};
use std::path::{Path, PathBuf};

use anstyle::{AnsiColor, Style};
use clap::Args as ClapArgs;
use net::{Mode, NetError, Sequential, SoftmaxCrossEntropy};
use report::ranking;
use serde_json::{Value, json};
use tensor4::{Shape4, Tensor4};

use crate::args::positive;
use crate::failure::Failure;
use crate::files::failed;
use crate::output::print_json;
use crate::run::Run;
use crate::use_threads;

/// Says what a trained network takes pictures for, with probabilities.
///
/// Pictures are PNG or JPEG of any size. For a network that takes grey images they are made to
/// look like those of MNIST: grey, inverted when the background is light, cropped to what is
/// drawn, scaled to 20x20 pixels and centred by centre of mass in 28x28 (for other sizes in
/// proportion). For a network that takes colours, or whose classes have names and are no digits,
/// they are scaled and cropped at the centre.
#[derive(Debug, Clone, ClapArgs)]
#[command(after_help = "\
Examples:
  colonnade predict --run runs/NAME digit.png
  colonnade predict --run runs/NAME --json *.jpg")]
pub(crate) struct PredictArgs {
    /// The run folder, as `train` leaves it.
    #[arg(long, value_name = "DIR")]
    run: PathBuf,
    /// Only scale and crop at the centre: the pictures look like the training images already.
    #[arg(long)]
    as_is: bool,
    /// How many classes to show, the most probable first.
    #[arg(long, default_value_t = 10, value_parser = positive)]
    top: usize,
    /// Threads to run on [default: one per processor]. Does not change the result.
    #[arg(long, value_parser = positive)]
    threads: Option<usize>,
    /// Print the probabilities as JSON.
    #[arg(long)]
    json: bool,
    /// The pictures.
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
}

/// The longest bar, in characters.
const BAR: usize = 40;

pub(crate) fn run(args: &PredictArgs) -> Result<(), Failure> {
    use_threads(args.threads)?;
    let run = Run::open(&args.run)?;
    let net = run.trained()?;
    let mut failed = 0;
    let mut results = Vec::new();
    for path in &args.images {
        match probabilities(&run, &net, path, args.as_is) {
            Ok(probabilities) if args.json => results.push(as_json(&run, path, &probabilities)),
            Ok(probabilities) => show(&run, path, &probabilities, args.top),
            // One picture that can't be read is no reason to keep quiet about the others.
            Err(failure) => {
                eprintln!("error: {failure}");
                failed += 1;
            }
        }
    }
    if args.json {
        print_json(&Value::Array(results))?;
    }
    match failed {
        0 => Ok(()),
        failed => Err(Failure::SomePictures { failed, all: args.images.len() }),
    }
}

fn probabilities(
    run: &Run,
    net: &Sequential<f32>,
    path: &Path,
    as_is: bool,
) -> Result<Vec<f32>, Failure> {
    let shape = net.input_shape();
    let digits = shape.c() == 1 && run.class_names().is_empty();
    let file = File::open(path).map_err(|e| failed("open the picture", path, e))?;
    let mut pixels = pixels(BufReader::new(file), path, shape, digits && !as_is)?;
    run.normalize(&mut pixels);
    let x = Tensor4::from_vec(shape, pixels).map_err(NetError::from)?;
    let logits = net.predict(x.view())?;
    if !logits.data().iter().all(|logit| logit.is_finite())
        && let Some(origin) = net.find_non_finite(x.view(), Mode::Eval)?
    {
        return Err(NetError::NonFiniteOutput { origin }.into());
    }
    Ok(SoftmaxCrossEntropy.probabilities(logits.view()).into_vec())
}

/// The pixels of a picture as an image of the given shape, from 0 to 1; made to look like those of
/// MNIST if `digit` says so.
pub(crate) fn pixels(
    picture: impl BufRead + Seek,
    path: &Path,
    shape: Shape4,
    digit: bool,
) -> Result<Vec<f32>, Failure> {
    let picture = load::load(picture, path)?;
    if !digit {
        return Ok(load::cropped(&picture, shape));
    }
    let bad = |message: &str| Failure::Picture { path: path.into(), message: message.into() };
    digit::like_mnist(&picture.to_luma8(), shape.h(), shape.w())
        .ok_or_else(|| bad("there is nothing on it: every pixel is the same"))
}

fn as_json(run: &Run, path: &Path, probabilities: &[f32]) -> Value {
    let class = ranking(probabilities).first().copied();
    let name = class.map(|class| name(run, class));
    json!({ "file": path, "class": class, "name": name, "probabilities": probabilities })
}

/// The name of a class, or its number.
fn name(run: &Run, class: usize) -> String {
    run.class_names().get(class).cloned().unwrap_or_else(|| class.to_string())
}

/// The classes with bars; in colour where standard output is a terminal that wants it.
fn show(run: &Run, path: &Path, probabilities: &[f32], top: usize) {
    let bold = Style::new().bold();
    let order = ranking(probabilities);
    let Some(&best) = order.first() else { return };
    anstream::println!("{}: {bold}{}{bold:#}", path.display(), name(run, best));
    let shown = || order.iter().take(top).map(|&class| (class, name(run, class)));
    let width = shown().map(|(_, name)| name.chars().count()).max().unwrap_or(0);
    for (class, name) in shown() {
        let color = if class == best { AnsiColor::Green } else { AnsiColor::BrightBlack };
        let style = Style::new().fg_color(Some(color.into()));
        let p = probabilities[class];
        anstream::println!("  {name:>width$}  {style}{}{style:#} {:.1}%", bar(p), 100.0 * p);
    }
}

/// A bar of eighths of characters.
fn bar(part: f32) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (part.clamp(0.0, 1.0) * (8 * BAR) as f32).round() as usize;
    "█".repeat(eighths / 8) + EIGHTHS[eighths % 8]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_grow_by_eighths() {
        assert_eq!(bar(1.0), "█".repeat(BAR));
        assert_eq!(bar(0.0), "");
        assert_eq!(bar(0.5 / BAR as f32), "▌");
    }
}
