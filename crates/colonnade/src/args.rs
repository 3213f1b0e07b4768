//! What can be said on the command line.

mod train;

use std::fmt;
use std::path::PathBuf;

use clap::ArgAction::Set;
use clap::{Args as ClapArgs, Parser, Subcommand};
use dataset::image_folder::FolderOptions;

pub(crate) use train::TrainArgs;

use crate::completions::CompletionsArgs;
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
  colonnade data fetch cifar10                    downloads a data set
  colonnade completions bash                      what the Tab key needs to know"
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
    Completions(CompletionsArgs),
}

/// Measures the accuracy of trained weights on the test images.
#[derive(Debug, Clone, ClapArgs)]
#[command(after_help = "\
Example:
  colonnade eval --model simple-convnet --weights runs/NAME/model.safetensors")]
pub(crate) struct EvalArgs {
    /// The weights: a safetensors file as `train` leaves it, or safetensors, npz or npy of others,
    /// under our names or torchvision's.
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
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
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
    /// Print the table as JSON.
    #[arg(long)]
    pub(crate) json: bool,
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
    #[arg(long, action = Set, num_args = 0..=1, require_equals = true, hide_default_value = true,
        hide_possible_values = true, default_value_t = false, default_missing_value = "true",
        value_name = "true|false")]
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
    #[arg(long, action = Set, num_args = 0..=1, require_equals = true, hide_default_value = true,
        hide_possible_values = true, default_value_t = false, default_missing_value = "true",
        value_name = "true|false")]
    grey: bool,
}

impl PictureArgs {
    /// What the shorter side of a picture is resized to, if it is.
    pub(crate) fn shorter_side(&self) -> Option<usize> {
        self.resize
    }

    /// The size of the images that pictures become, as on the command line.
    pub(crate) fn size(&self) -> String {
        self.image_size.to_string()
    }

    /// Whether pictures are read as grey ones.
    pub(crate) fn is_grey(&self) -> bool {
        self.grey
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

impl fmt::Display for ImageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.rows, self.cols)
    }
}

fn image_size(text: &str) -> Result<ImageSize, String> {
    let (rows, cols) = text.split_once('x').unwrap_or((text, text));
    Ok(ImageSize { rows: positive(rows)?, cols: positive(cols)? })
}

/// The commands about data sets.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum DataCommand {
    Fetch(FetchArgs),
    /// Lists the data sets that have a name, and says which are on this machine.
    #[command(after_help = "Examples:\n  colonnade data list\n  colonnade data list --json")]
    List {
        /// Print the list as JSON.
        #[arg(long)]
        json: bool,
    },
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
    /// Print the same as JSON.
    #[arg(long)]
    pub(crate) json: bool,
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
    fn sizes_are_read() {
        assert_eq!(image_size("64x48"), Ok(ImageSize { rows: 64, cols: 48 }));
        assert_eq!(image_size("28"), Ok(ImageSize { rows: 28, cols: 28 }));
        for text in ["", "x", "0", "3x", "3x4x5", "1x0"] {
            assert!(image_size(text).is_err(), "{text}");
        }
    }
}
