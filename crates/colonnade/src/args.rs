//! What can be said on the command line.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use dataset::image_folder::FolderOptions;
use dataset::{Augmentation, Border};
use net::models::Recipe;
use net::{Rule, Schedule};

use crate::data::DatasetName;
use crate::features::FeaturesArgs;
use crate::filters::FiltersArgs;
use crate::gradcheck::GradcheckArgs;
use crate::model::ModelName;
use crate::predict::PredictArgs;
use crate::report_page::ReportArgs;

/// Trains and runs convolutional networks on a CPU.
#[derive(Debug, Parser)]
#[command(
    version,
    arg_required_else_help = true,
    after_help = "\
Examples:
  colonnade train                                 SimpleConvNet on the bundled MNIST
  colonnade train --model deep-convnet            the book's deep network, with settings of its own
  colonnade summary --model alexnet               its layers, parameters and multiply-adds
  colonnade report --run runs/NAME                one page about the run
  colonnade filters --run runs/NAME               what its first layer looks for
  colonnade features --run runs/NAME              what every layer looks for
  colonnade predict --run runs/NAME digit.png     what it takes a picture for
  colonnade eval --model simple-convnet --weights runs/NAME/model.safetensors
  colonnade data fetch cifar10                    downloads a data set"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Train(TrainArgs),
    Eval(EvalArgs),
    Summary(SummaryArgs),
    Filters(FiltersArgs),
    Features(FeaturesArgs),
    Report(ReportArgs),
    Predict(PredictArgs),
    Gradcheck(GradcheckArgs),
    /// Downloads data sets, and shows what is in one.
    #[command(
        subcommand,
        after_help = "\
Examples:
  colonnade data list
  colonnade data fetch fashion-mnist
  colonnade data info ~/pictures --image-size 64"
    )]
    Data(DataCommand),
}

/// Trains a network and leaves a run folder with weights, metrics and settings.
///
/// The same seed gives the same weights, bit for bit, on any number of threads. Ctrl-C ends the
/// training after the current step and keeps its weights.
#[derive(Debug, Clone, ClapArgs)]
#[command(after_help = "\
Examples:
  colonnade train
  colonnade train --model lenet5
  colonnade train --epochs 1 --seed 7 --out /data/first-try
  colonnade train --optimizer momentum --lr 0.01 --data fashion-mnist
  colonnade train --data cifar10 --normalize --augment flip,crop=4
  colonnade train --data ~/pictures --image-size 64x48")]
pub(crate) struct TrainArgs {
    /// The network to train.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) model: ModelName,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// Random changes to the training images, by commas: flip (left to right), shift=PIXELS,
    /// crop=PIXELS (out of the image padded by so many), border=constant, reflect or replicate
    /// (what the padding is), fill=VALUE (of a constant border and behind a shift, 0 to 255).
    #[arg(long, value_name = "CHANGES", value_parser = augmentation)]
    pub(crate) augment: Option<Augmentation>,
    /// How many times every image is seen [default: the network's, as for all that follows].
    #[arg(long, value_parser = positive)]
    pub(crate) epochs: Option<usize>,
    /// Images per step.
    #[arg(long, value_parser = positive)]
    pub(crate) batch_size: Option<usize>,
    /// The optimiser, with PyTorch's definition and defaults.
    #[arg(long, value_enum)]
    pub(crate) optimizer: Option<OptimizerName>,
    /// The learning rate.
    #[arg(long)]
    pub(crate) lr: Option<f64>,
    /// How the learning rate changes over the training.
    #[arg(long, value_enum)]
    pub(crate) schedule: Option<ScheduleName>,
    /// How much of a running average of the weights stays at each step; the averaged weights are
    /// those that are tested and kept. 0 for no average.
    #[arg(long, value_name = "DECAY")]
    pub(crate) average: Option<f64>,
    /// What weights and the order of images follow from.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Threads to run on [default: one per processor]. Does not change the result.
    #[arg(long, value_parser = positive)]
    pub(crate) threads: Option<usize>,
    /// The run folder [default: runs/MODEL-DATE-seedSEED].
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Train on the first so many images only.
    #[arg(long, value_name = "IMAGES", value_parser = positive)]
    pub(crate) limit: Option<usize>,
    /// Show no progress, only the result.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

impl TrainArgs {
    /// The network's own settings, with those of the command line in their place.
    pub(crate) fn recipe(&self) -> Recipe {
        let mut recipe = self.model.recipe();
        let Recipe { options, rule, .. } = &mut recipe;
        options.epochs = self.epochs.unwrap_or(options.epochs);
        options.batch_size = self.batch_size.unwrap_or(options.batch_size);
        options.schedule = self.schedule.map_or(options.schedule, ScheduleName::schedule);
        options.seed = self.seed;
        if let Some(average) = self.average {
            options.average = (average != 0.0).then_some(average);
        }
        let lr = self.lr.unwrap_or(rule.learning_rate());
        *rule = match self.optimizer {
            Some(optimizer) => optimizer.rule(lr),
            None => rule.with_learning_rate(lr),
        };
        recipe
    }
}

/// Measures the accuracy of trained weights on the test images.
#[derive(Debug, Clone, ClapArgs)]
#[command(after_help = "\
Example:
  colonnade eval --model simple-convnet --weights runs/NAME/model.safetensors")]
pub(crate) struct EvalArgs {
    /// The weights, a safetensors file as `train` leaves it.
    #[arg(long, value_name = "FILE")]
    pub(crate) weights: PathBuf,
    /// The network that the weights belong to.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) model: ModelName,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// Threads to run on [default: one per processor]. Does not change the result.
    #[arg(long, value_parser = positive)]
    pub(crate) threads: Option<usize>,
}

/// Prints each layer's output shape, parameters and multiply-adds for one image.
#[derive(Debug, Clone, ClapArgs)]
#[command(after_help = "\
Example:
  colonnade summary --model simple-convnet")]
pub(crate) struct SummaryArgs {
    /// The network.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) model: ModelName,
}

/// Which images, and how they are read.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct SourceArgs {
    /// mnist, fashion-mnist or cifar10; or a folder of IDX files named as MNIST's, of CIFAR-10's
    /// files, or of pictures, one folder per class [default: the bundled MNIST].
    #[arg(long, value_name = "NAME|PATH")]
    pub(crate) data: Option<PathBuf>,
    /// Take the mean of the training images from each channel and divide it by their standard
    /// deviation. Weights trained so need it in eval too.
    #[arg(long)]
    pub(crate) normalize: bool,
    #[command(flatten)]
    pub(crate) pictures: PictureArgs,
}

/// How pictures become images of one size.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct PictureArgs {
    /// The size of the images that a folder of pictures becomes, ROWSxCOLS or one number for both.
    #[arg(long, value_name = "SIZE", default_value = "32", value_parser = image_size)]
    image_size: ImageSize,
    /// Resize the shorter side of each picture to so many pixels before its centre is cut out
    /// [default: the centre is as large as fits].
    #[arg(long, value_name = "PIXELS", value_parser = positive)]
    resize: Option<usize>,
    /// Read pictures as grey ones, with one channel.
    #[arg(long)]
    grey: bool,
}

impl PictureArgs {
    /// What the shorter side of a picture is resized to, if it is.
    pub(crate) fn shorter_side(&self) -> Option<usize> {
        self.resize
    }

    pub(crate) fn options(&self) -> FolderOptions {
        let ImageSize { rows, cols } = self.image_size;
        let mut options = FolderOptions::new(rows, cols);
        if let Some(shorter_side) = self.resize {
            options = options.resize(shorter_side);
        }
        if self.grey { options.grey() } else { options }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ImageSize {
    rows: usize,
    cols: usize,
}

fn image_size(text: &str) -> Result<ImageSize, String> {
    let (rows, cols) = text.split_once('x').unwrap_or((text, text));
    Ok(ImageSize { rows: positive(rows)?, cols: positive(cols)? })
}

fn augmentation(text: &str) -> Result<Augmentation, String> {
    let mut result = Augmentation::none();
    let (mut padding, mut border) = (0, Border::Constant);
    for item in text.split(',').map(str::trim) {
        let (name, value) = item.split_once('=').unwrap_or((item, ""));
        match (name, value) {
            ("flip", "") => result = result.flip(),
            ("shift", pixels) => result = result.shift(positive(pixels)?),
            ("crop", pixels) => padding = positive(pixels)?,
            ("border", "constant") => border = Border::Constant,
            ("border", "reflect") => border = Border::Reflect,
            ("border", "replicate") => border = Border::Replicate,
            ("fill", value) => {
                let value = value.parse().map_err(|e| format!("fill={value}: {e}"))?;
                result = result.fill(value);
            }
            _ => {
                return Err(format!(
                    "{item:?} is none of flip, shift=PIXELS, crop=PIXELS, \
                     border=constant|reflect|replicate, fill=VALUE"
                ));
            }
        }
    }
    Ok(result.crop(padding, border))
}

/// The commands about data sets.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum DataCommand {
    Fetch(FetchArgs),
    /// Lists the data sets that have a name, and says which are on this machine.
    #[command(after_help = "Example:\n  colonnade data list")]
    List,
    Info(DataInfoArgs),
}

/// Downloads a data set from where it is published, and checks it.
///
/// A download that was interrupted is resumed by the same command. Files are kept only if their
/// sha256 is that of the published ones. Places that speak https are reached through the program
/// curl.
#[derive(Debug, Clone, ClapArgs)]
#[command(after_help = "\
Examples:
  colonnade data fetch fashion-mnist
  colonnade data fetch cifar10 --dir /data/cifar10
  colonnade data fetch mnist --mirror http://files.example/mnist")]
pub(crate) struct FetchArgs {
    /// The data set.
    #[arg(value_enum)]
    pub(crate) name: DatasetName,
    /// The folder for its files [default: NAME in $COLONNADE_DATA, or in the folder colonnade of
    /// the user's cache].
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Take the files from this place, instead of the official ones.
    #[arg(long, value_name = "URL")]
    pub(crate) mirror: Option<String>,
    /// Show no progress, only the result.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// Prints the classes of a data set, how many images each has, and mean and deviation per channel.
#[derive(Debug, Clone, ClapArgs)]
#[command(after_help = "\
Examples:
  colonnade data info cifar10
  colonnade data info ~/pictures --image-size 64x48 --grey")]
pub(crate) struct DataInfoArgs {
    /// A name or a path, as of `train --data` [default: the bundled MNIST].
    #[arg(value_name = "NAME|PATH")]
    pub(crate) data: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) pictures: PictureArgs,
}

/// The schedules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ScheduleName {
    Constant,
    /// Falls in a straight line to 0: the last epochs settle instead of wandering.
    Linear,
}

impl ScheduleName {
    pub(crate) const fn schedule(self) -> Schedule {
        match self {
            Self::Constant => Schedule::Constant,
            Self::Linear => Schedule::Linear,
        }
    }
}

/// The optimisers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OptimizerName {
    Sgd,
    /// SGD with momentum 0.9.
    Momentum,
    /// SGD with Nesterov's momentum 0.9.
    Nesterov,
    Adagrad,
    Rmsprop,
    Adam,
    /// Adam with decoupled weight decay 0.01.
    Adamw,
}

impl OptimizerName {
    pub(crate) fn rule(self, lr: f64) -> Rule {
        match self {
            Self::Sgd => Rule::sgd(lr),
            Self::Momentum => Rule::momentum(lr, 0.9),
            Self::Nesterov => Rule::nesterov(lr, 0.9),
            Self::Adagrad => Rule::ada_grad(lr),
            Self::Rmsprop => Rule::rms_prop(lr),
            Self::Adam => Rule::adam(lr),
            Self::Adamw => Rule::adam_w(lr),
        }
    }
}

pub(crate) fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("at least 1 is needed".to_owned()),
        Ok(number) => Ok(number),
        Err(e) => Err(e.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn changes_and_sizes_are_read() {
        let none = Augmentation::none();
        for (text, expected) in [
            ("flip", none.flip()),
            ("crop=4, flip", none.flip().crop(4, Border::Constant)),
            ("border=reflect,crop=4", none.crop(4, Border::Reflect)),
            (
                "shift=2,fill=255,border=replicate",
                none.shift(2).fill(255).crop(0, Border::Replicate),
            ),
        ] {
            assert_eq!(augmentation(text), Ok(expected), "{text}");
        }
        for text in ["", "flop", "flip=1", "shift", "shift=0", "crop=-1", "fill=256", "border=x"] {
            assert!(augmentation(text).is_err(), "{text}");
        }
        assert_eq!(image_size("64x48"), Ok(ImageSize { rows: 64, cols: 48 }));
        assert_eq!(image_size("28"), Ok(ImageSize { rows: 28, cols: 28 }));
        for text in ["", "x", "0", "3x", "3x4x5", "1x0"] {
            assert!(image_size(text).is_err(), "{text}");
        }
    }
}
