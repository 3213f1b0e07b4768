//! `colonnade report`.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use net::{Samples, Sequential};
use report::{
    Confusion, Maximise, Metrics, Page, Picture, Scale, Times, excited, feature_maps,
    filter_pictures, gather, image, layer_channels, layer_times, learning_layers, pixel_range,
    verdicts, worst_mistakes,
};
use serde_json::json;

use crate::args::positive;
use crate::bar::Bar;
use crate::failure::Failure;
use crate::features::images_for_range;
use crate::files::{failed, read_table, write_whole};
use crate::run::Run;
use crate::samples::Images;
use crate::use_threads;

/// Writes one page about a run: curves, filters, features, mistakes, the network.
///
/// The page is one file that needs no other and no network, and can be read on a phone and in
/// the dark.
#[derive(Debug, Clone, ClapArgs)]
#[command(after_help = "\
Examples:
  colonnade report --run runs/NAME                  writes runs/NAME/report.html
  colonnade report --run runs/NAME --curves plots   and plots/loss.svg, plots/accuracy.svg, …")]
pub(crate) struct ReportArgs {
    /// The run folder, as `train` leaves it.
    #[arg(long, value_name = "DIR")]
    run: PathBuf,
    /// The page [default: report.html in the run folder].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// A folder for the curves as SVG files of their own.
    #[arg(long, value_name = "DIR")]
    curves: Option<PathBuf>,
    /// The data, a name or a path as of `train` [default: what the run was trained on].
    #[arg(long, value_name = "NAME|PATH")]
    data: Option<PathBuf>,
    /// How many channels to show of each layer; fewer are shown of networks with many layers.
    #[arg(long, default_value_t = 16, value_parser = positive)]
    channels: usize,
    /// Use the first so many test images only.
    #[arg(long, value_name = "IMAGES", value_parser = positive)]
    limit: Option<usize>,
    /// What the noise that gradient ascent begins with follows from.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Threads to run on [default: one per processor]. Changes the times alone.
    #[arg(long, value_parser = positive)]
    threads: Option<usize>,
    /// Print what was found as JSON.
    #[arg(long)]
    json: bool,
    /// Show no progress.
    #[arg(long, short)]
    quiet: bool,
}

/// Images that excite a channel most, in a card.
const BEST: usize = 9;
/// Mistakes that are shown.
const MISTAKES: usize = 24;
/// Images whose feature maps are shown.
const INPUTS: usize = 3;
/// About how many pixels the pictures of all channels may have together, so that the page stays
/// small whatever the network.
const PIXELS: usize = 2_500_000;

pub(crate) fn run(args: &ReportArgs) -> Result<(), Failure> {
    use_threads(args.threads)?;
    let run = Run::open(&args.run)?;
    let mut net = run.trained()?;
    let mut data = run.data(args.data.as_deref())?;
    if let Some(limit) = args.limit {
        data.test = data.test.head(limit);
    }
    let test = &data.test;
    let range = pixel_range(test, &images_for_range(test.len()))?;

    let bar = Bar::new("reading test images", test.len(), args.quiet);
    let all = verdicts(&net, test, &mut |images| bar.done(images))?;
    drop(bar);
    let inputs: Vec<usize> = (0..test.len().min(INPUTS)).collect();
    let (x, _) = gather(test, &inputs)?;
    let mistakes = worst_mistakes(&all, MISTAKES);
    let confusion = Confusion::of(&all, run.classes());
    let source = &data.source;
    let page = Page {
        title: format!("{} on {source}", run.model()),
        subtitle: format!("{} test images; {}", test.len(), run.folder().path().display()),
        settings: run.settings(),
        classes: run.class_names().to_vec(),
        epochs: metrics(&run.folder().metrics())?,
        steps: metrics(&run.folder().steps())?,
        filters: filters(&run, &net)?,
        stages: feature_maps(&net, x.view(), args.channels)?,
        inputs: pictures(test, &inputs, range)?,
        mistakes: mistakes
            .iter()
            .copied()
            .zip(pictures(test, &mistakes.iter().map(|v| v.image).collect::<Vec<_>>(), range)?)
            .collect(),
        confusion: Some(confusion),
        input: Some(net.input_shape()),
        summary: net.summary()?,
        times: Some(times(&net)?),
        layers: channels(args, &mut net, test, range)?,
    };
    let path = args.out.clone().unwrap_or_else(|| run.folder().path().join("report.html"));
    let html = page.to_html()?;
    write_whole(&path, html.as_bytes())?;
    if let Some(folder) = &args.curves {
        write_curves(folder, &page)?;
    }
    say(args, &path, &page, html.len());
    Ok(())
}

fn say(args: &ReportArgs, path: &Path, page: &Page, bytes: usize) {
    let Some(confusion) = &page.confusion else { return };
    let (correct, images) = (confusion.correct(), confusion.images());
    let accuracy = correct as f64 / images as f64;
    if !args.json {
        println!("{}: accuracy {accuracy:.4}, {} kB", path.display(), bytes / 1000);
        return;
    }
    let classes = 0..confusion.classes();
    let count = |label: usize| -> Vec<usize> {
        classes.clone().map(|predicted| confusion.count(label, predicted)).collect()
    };
    let mistake = |(verdict, _): &(report::Verdict, Picture)| {
        let report::Verdict { image, label, predicted, probability, .. } = *verdict;
        json!({ "image": image, "class": label, "predicted": predicted, "probability": probability })
    };
    let score = |class: usize| {
        let score = confusion.score(class);
        json!({ "class": class, "images": score.images, "precision": score.precision, "recall": score.recall })
    };
    let value = json!({
        "file": path,
        "bytes": bytes,
        "accuracy": accuracy,
        "images": images,
        "confusion": classes.clone().map(count).collect::<Vec<_>>(),
        "classes": classes.clone().map(score).collect::<Vec<_>>(),
        "mistakes": page.mistakes.iter().map(mistake).collect::<Vec<_>>(),
    });
    println!("{value}");
}

/// The table of a file; an empty one if a run has none.
fn metrics(path: &Path) -> Result<Metrics, Failure> {
    if !path.exists() {
        return Ok(Metrics::default());
    }
    let text = read_table(path, "read the metrics")?;
    Metrics::parse(&text)
        .map_err(|e| Failure::Run { path: path.to_owned(), message: e.to_string() })
}

/// The filters, unless the network has none.
fn filters(run: &Run, net: &Sequential<f32>) -> Result<Option<[Picture; 2]>, Failure> {
    match filter_pictures(&run.initial()?, net) {
        Ok(pictures) => Ok(Some(pictures)),
        Err(report::ReportError::NoFilters) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What the channels of every layer look for.
fn channels(
    args: &ReportArgs,
    net: &mut Sequential<f32>,
    test: &Images,
    range: Scale,
) -> Result<Vec<report::LayerChannels>, Failure> {
    let layers = learning_layers(net, &[])?;
    let bar = Bar::new("exciting images", test.len(), args.quiet);
    let excited = excited(net, test, &layers, BEST, &mut |images| bar.done(images))?;
    drop(bar);
    // One picture of a channel has 64 x 64 pixels or so, in colour three times as many bytes.
    let per_channel = 64 * 64 * net.input_shape().c().min(3) * (BEST + 1);
    let most = (PIXELS / (per_channel * layers.len().max(1))).max(4);
    let options = Maximise::default().seed(args.seed).range(range);
    let bar = Bar::new("gradient ascent, layers", layers.len(), args.quiet);
    let mut result = Vec::with_capacity(layers.len());
    for excited in &excited {
        result.push(layer_channels(net, test, excited, args.channels.min(most), options)?);
        bar.done(result.len());
    }
    Ok(result)
}

/// Images of a batch to time, fewer of large ones, and the times.
fn times(net: &Sequential<f32>) -> Result<Times, Failure> {
    let work: u64 = net.summary()?.iter().map(|layer| layer.multiply_adds).sum();
    let images = (2_000_000_000 / work.max(1)).clamp(1, 100) as usize;
    let threads = rayon::current_num_threads();
    Ok(Times { layers: layer_times(net, images, 5)?, images, threads })
}

/// The images at `indices`, twice as large or more where they are small.
fn pictures(
    samples: &dyn Samples<f32>,
    indices: &[usize],
    range: Scale,
) -> Result<Vec<Picture>, Failure> {
    let (x, _) = gather(samples, indices)?;
    Ok((0..indices.len()).map(|i| image(x.image(i), x.shape(), range).fitted(84)).collect())
}

fn write_curves(folder: &Path, page: &Page) -> Result<(), Failure> {
    fs::create_dir_all(folder).map_err(|e| failed("create the folder", folder, e))?;
    for chart in page.charts() {
        let name = chart.title.to_lowercase().replace(' ', "-");
        write_whole(&folder.join(format!("{name}.svg")), chart.to_svg().as_bytes())?;
    }
    Ok(())
}
