//! `colonnade features`.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use net::Samples;
use report::{
    Maximise, Picture, beside, excited, feature_maps, gather, layer_channels, learning_layers,
    pixel_range,
};
use serde_json::json;

use crate::args::positive;
use crate::bar::Bar;
use crate::failure::Failure;
use crate::files::{failed, write_whole};
use crate::run::Run;
use crate::use_threads;

/// Draws what each layer has learned to see.
///
/// For each stage of the network a picture of its feature maps, one block per image. For each
/// layer with weights a sheet of its channels: on the left the input that excites the channel
/// most, found by gradient ascent from noise (as much of it as one unit sees), then the test
/// images that excite it most, with a frame around what the unit sees of them.
#[derive(Debug, Clone, ClapArgs)]
#[command(after_help = "\
Examples:
  colonnade features --run runs/NAME                writes into runs/NAME/features
  colonnade features --run runs/NAME --layer conv1 --channels 30 --image 3 --image 18")]
pub(crate) struct FeaturesArgs {
    /// The run folder, as `train` leaves it.
    #[arg(long, value_name = "DIR")]
    run: PathBuf,
    /// The folder for the pictures [default: features in the run folder].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The data, a name or a path as of `train` [default: what the run was trained on].
    #[arg(long, value_name = "NAME|PATH")]
    data: Option<PathBuf>,
    /// A layer whose channels to draw; may be given more than once [default: all with weights].
    #[arg(long, value_name = "NAME")]
    layer: Vec<String>,
    /// How many channels to draw of each layer.
    #[arg(long, default_value_t = 16, value_parser = positive)]
    channels: usize,
    /// A test image, by its number, whose feature maps to draw; may be given more than once
    /// [default: the first four].
    #[arg(long, value_name = "NUMBER")]
    image: Vec<usize>,
    /// Look for exciting images among the first so many test images only.
    #[arg(long, value_name = "IMAGES", value_parser = positive)]
    limit: Option<usize>,
    /// Steps of the gradient ascent.
    #[arg(long, default_value_t = Maximise::default().steps, value_parser = positive)]
    steps: usize,
    /// What the noise that the ascent begins with follows from.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Threads to run on [default: one per processor]. Does not change the result.
    #[arg(long, value_parser = positive)]
    threads: Option<usize>,
    /// Print the files and the activations as JSON.
    #[arg(long)]
    json: bool,
    /// Show no progress.
    #[arg(long, short)]
    quiet: bool,
}

/// Images that excite a channel most, in a sheet.
const BEST: usize = 9;

pub(crate) fn run(args: &FeaturesArgs) -> Result<(), Failure> {
    use_threads(args.threads)?;
    let run = Run::open(&args.run)?;
    let mut net = run.trained()?;
    let layers = learning_layers(&net, &args.layer)?;
    let mut test = run.data(args.data.as_deref())?.test;
    let folder = args.out.clone().unwrap_or_else(|| run.folder().path().join("features"));
    fs::create_dir_all(&folder).map_err(|e| failed("create the folder", &folder, e))?;
    let mut files = Vec::new();

    let first_four = (0..test.len().min(4)).collect();
    let images: Vec<usize> = if args.image.is_empty() { first_four } else { args.image.clone() };
    let (x, _) = gather(&test, &images)?;
    for (number, stage) in feature_maps(&net, x.view(), args.channels)?.iter().enumerate() {
        let name = stage.first().map_or("", |maps| maps.name.split(' ').next().unwrap_or(""));
        let blocks: Vec<Picture> = stage.iter().map(|maps| maps.picture.enlarged(2)).collect();
        let path = folder.join(format!("{:02}-{name}-maps.png", number + 1));
        write(&path, &beside(&blocks, 12, [255; 3]))?;
        files.push(json!({ "file": path, "layer": name, "images": images }));
    }

    if let Some(limit) = args.limit {
        test = test.head(limit);
    }
    let bar = Bar::new("test images", test.len(), args.quiet);
    let excited = excited(&net, &test, &layers, BEST, &mut |images| bar.done(images))?;
    drop(bar);
    let range = pixel_range(&test, &images_for_range(test.len()))?;
    let options = Maximise::default().steps(args.steps).seed(args.seed).range(range);
    let bar = Bar::new("layers", layers.len(), args.quiet);
    for (number, excited) in excited.iter().enumerate() {
        let sheet = layer_channels(&mut net, &test, excited, args.channels, options)?;
        let path = folder.join(format!("{}-channels.png", sheet.name));
        write(&path, &sheet.sheet(2))?;
        let activations = |channel: &report::ChannelPictures| {
            let images: Vec<usize> = channel.images.iter().map(|(e, _)| e.image).collect();
            json!({
                "channel": channel.channel,
                "noise": channel.noise_activation,
                "ascent": channel.ideal_activation,
                "images": images,
            })
        };
        let channels: Vec<_> = sheet.channels.iter().map(activations).collect();
        files.push(json!({ "file": path, "layer": sheet.name, "channels": channels }));
        bar.done(number + 1);
    }
    drop(bar);
    if args.json {
        println!("{}", json!({ "files": files }));
    } else {
        println!("{} pictures in {}", files.len(), folder.display());
    }
    Ok(())
}

/// Enough of the images to know what values their pixels have.
pub(crate) fn images_for_range(images: usize) -> Vec<usize> {
    (0..images.min(100)).collect()
}

fn write(path: &Path, picture: &Picture) -> Result<(), Failure> {
    write_whole(path, &picture.to_png())
}
