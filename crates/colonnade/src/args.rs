//! What can be said on the command line.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use net::{Rule, Schedule};

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
  colonnade summary --model simple-convnet        its layers, parameters and multiply-adds
  colonnade filters --run runs/NAME               what its first layer looks for
  colonnade features --run runs/NAME              what every layer looks for
  colonnade report --run runs/NAME                one page about the run
  colonnade predict --run runs/NAME digit.png     what it takes a picture for
  colonnade eval --model simple-convnet --weights runs/NAME/model.safetensors"
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
}

/// Trains a network and leaves a run folder with weights, metrics and settings.
///
/// The same seed gives the same weights, bit for bit, on any number of threads. Ctrl-C ends the
/// training after the current step and keeps its weights.
#[derive(Debug, Clone, ClapArgs)]
#[command(after_help = "\
Examples:
  colonnade train
  colonnade train --epochs 1 --seed 7 --out /data/first-try
  colonnade train --optimizer momentum --lr 0.01 --data ~/fashion-mnist")]
pub(crate) struct TrainArgs {
    /// The network to train.
    #[arg(long, value_enum, default_value_t = ModelName::SimpleConvnet)]
    pub(crate) model: ModelName,
    /// A folder of four IDX files named as MNIST's, plain or gzipped [default: the bundled MNIST].
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// How many times every image is seen.
    #[arg(long, default_value_t = 12, value_parser = positive)]
    pub(crate) epochs: usize,
    /// Images per step.
    #[arg(long, default_value_t = 100, value_parser = positive)]
    pub(crate) batch_size: usize,
    /// The optimiser, with PyTorch's definition and defaults.
    #[arg(long, value_enum, default_value_t = OptimizerName::Adam)]
    pub(crate) optimizer: OptimizerName,
    /// The learning rate.
    #[arg(long, default_value_t = 0.001)]
    pub(crate) lr: f64,
    /// How the learning rate changes over the training.
    #[arg(long, value_enum, default_value_t = ScheduleName::Constant)]
    pub(crate) schedule: ScheduleName,
    /// How much of a running average of the weights stays at each step; the averaged weights are
    /// those that are tested and kept. 0 for no average.
    #[arg(long, default_value_t = 0.999, value_name = "DECAY")]
    pub(crate) average: f64,
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
    #[arg(long, value_enum, default_value_t = ModelName::SimpleConvnet)]
    pub(crate) model: ModelName,
    /// A folder of four IDX files named as MNIST's, plain or gzipped [default: the bundled MNIST].
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
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
    #[arg(long, value_enum, default_value_t = ModelName::SimpleConvnet)]
    pub(crate) model: ModelName,
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

    /// The name in files.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Linear => "linear",
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
}
