//! What can be said to `colonnade train`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};
use dataset::{Augmentation, Border};
use net::models::Recipe;
use net::{Rule, Schedule};

use super::{SourceArgs, positive};
use crate::model::ModelName;
use crate::near::did_you_mean;

/// Trains a network and leaves a run folder with weights, metrics and settings.
///
/// The same seed gives the same weights, bit for bit, on any number of threads. Ctrl-C ends the
/// training after the current step and keeps its weights; --resume goes on from there, or from
/// the last epoch, as if nothing had happened.
#[derive(Debug, Clone, ClapArgs)]
#[command(after_help = "\
Examples:
  colonnade train
  colonnade train --model lenet5
  colonnade train --epochs 1 --seed 7 --out /data/first-try
  colonnade train --optimizer momentum --lr 0.01 --schedule cosine --warmup 500
  colonnade train --data cifar10 --normalize --augment flip,crop=4 --early-stop 5
  colonnade train --data ~/pictures --image-size 64x48
  colonnade train --config settings.toml --seed 8   (epochs = 5, batch-size = 50, … in the file)
  colonnade train --resume runs/NAME --epochs 30")]
pub(crate) struct TrainArgs {
    /// A TOML file of settings, one KEY = VALUE a line, named as the flags here without their
    /// dashes. Flags win over it. A run leaves its own as config.toml.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Go on with a run, in its folder and with its settings. Only --epochs, --early-stop,
    /// --threads, --quiet and --json can be given anew.
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    pub(crate) resume: Option<PathBuf>,
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
    /// How much of each weight is added to its gradient; adamw takes it from the weight itself
    /// [default: 0, of adamw 0.01].
    #[arg(long, value_name = "DECAY")]
    pub(crate) weight_decay: Option<f64>,
    /// How the learning rate changes over the training.
    #[arg(long, value_enum)]
    pub(crate) schedule: Option<ScheduleName>,
    /// After how many epochs the schedule `step` lowers the learning rate [default: a third of
    /// all].
    #[arg(long, value_name = "EPOCHS", value_parser = positive)]
    pub(crate) step_epochs: Option<usize>,
    /// What the schedule `step` multiplies the learning rate by [default: 0.1].
    #[arg(long, value_name = "FACTOR")]
    pub(crate) step_factor: Option<f64>,
    /// Let the learning rate rise from near 0 over so many steps (500) or epochs (2epochs), before
    /// the schedule begins [default: 0].
    #[arg(long, value_name = "LENGTH", value_parser = warm_up)]
    pub(crate) warmup: Option<WarmUp>,
    /// How much of a running average of the weights stays at each step; the averaged weights are
    /// those that are tested and kept. 0 for no average.
    #[arg(long, value_name = "DECAY")]
    pub(crate) average: Option<f64>,
    /// End when so many epochs have not raised the test accuracy, and keep the best weights. An
    /// accuracy that was chosen by is a little too good.
    #[arg(long, value_name = "EPOCHS", value_parser = positive)]
    pub(crate) early_stop: Option<usize>,
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
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Show no progress, only the result.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

impl TrainArgs {
    /// The network's own settings, with those of the command line in their place, for so many
    /// images.
    pub(crate) fn recipe(&self, images: usize) -> Recipe {
        let mut recipe = self.model.recipe();
        let Recipe { options, rule, .. } = &mut recipe;
        options.epochs = self.epochs.unwrap_or(options.epochs);
        options.batch_size = self.batch_size.unwrap_or(options.batch_size);
        options.seed = self.seed;
        if let Some(average) = self.average {
            options.average = (average != 0.0).then_some(average);
        }
        if let Some(schedule) = self.schedule {
            options.schedule = self.schedule(schedule, options.epochs);
        }
        options.warm_up = match self.warmup {
            Some(WarmUp::Steps(steps)) => steps,
            Some(WarmUp::Epochs(epochs)) => {
                epochs.saturating_mul(images.div_ceil(options.batch_size) as u64)
            }
            None => options.warm_up,
        };
        let lr = self.lr.unwrap_or(rule.learning_rate());
        *rule = match self.optimizer {
            Some(optimizer) => optimizer.rule(lr),
            None => rule.with_learning_rate(lr),
        };
        if let Some(decay) = self.weight_decay {
            *rule = rule.with_weight_decay(decay);
        }
        recipe
    }

    fn schedule(&self, name: ScheduleName, all: usize) -> Schedule {
        match name {
            ScheduleName::Constant => Schedule::Constant,
            ScheduleName::Linear => Schedule::Linear,
            ScheduleName::Step => Schedule::Step {
                epochs: self.step_epochs.unwrap_or(all.div_ceil(3)),
                factor: self.step_factor.unwrap_or(0.1),
            },
            ScheduleName::Cosine => Schedule::Cosine,
        }
    }
}

/// How long the learning rate rises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WarmUp {
    Steps(u64),
    Epochs(u64),
}

fn warm_up(text: &str) -> Result<WarmUp, String> {
    let number = |text: &str| text.trim_end().parse::<u64>();
    let epochs = ["epochs", "epoch"].iter().find_map(|unit| text.strip_suffix(unit));
    match epochs {
        Some(epochs) => number(epochs).map(WarmUp::Epochs),
        None => number(text).map(WarmUp::Steps),
    }
    .map_err(|e| format!("{e}; steps, as 500, or epochs, as 2epochs, would fit"))
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
                let hint = did_you_mean(name, ["flip", "shift", "crop", "border", "fill"]);
                return Err(format!(
                    "{item:?} is none of flip, shift=PIXELS, crop=PIXELS, \
                     border=constant|reflect|replicate, fill=VALUE{hint}"
                ));
            }
        }
    }
    Ok(result.crop(padding, border))
}

/// The schedules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ScheduleName {
    Constant,
    /// Falls in a straight line to 0: the last epochs settle instead of wandering.
    Linear,
    /// Falls by --step-factor after every --step-epochs.
    Step,
    /// Falls along half a cosine to 0: slowly, fast, slowly.
    Cosine,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_read() {
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
        assert!(augmentation("flop").unwrap_err().ends_with("; did you mean flip?"));
    }

    #[test]
    fn warm_ups_are_steps_or_epochs() {
        for (text, expected) in [
            ("0", WarmUp::Steps(0)),
            ("500", WarmUp::Steps(500)),
            ("1epoch", WarmUp::Epochs(1)),
            ("2 epochs", WarmUp::Epochs(2)),
        ] {
            assert_eq!(warm_up(text), Ok(expected), "{text}");
        }
        for text in ["", "-1", "1.5", "epochs", "2ep"] {
            assert!(warm_up(text).unwrap_err().contains("2epochs, would fit"), "{text}");
        }
    }
}
