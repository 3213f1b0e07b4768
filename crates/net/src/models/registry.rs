//! Networks by their names.

use std::fmt;
use std::str::FromStr;

use super::{AlexNet, AlexNetSmall, AlexNetTorchvision, DeepConvNet, LeNet5, SimpleConvNet, Vgg};
use crate::{Builder, NetError, NetScalar, Rule, Schedule, Sequential, TrainOptions};

/// A network of this crate, to be had by its name.
///
/// ```
/// use net::models::Model;
///
/// let model: Model = "lenet5".parse()?;
/// let net = model.build::<f32>(None, None, 1)?;
/// assert_eq!(net.input_shape().dims(), [1, 1, 28, 28]);
///
/// let error = "lenet-5".parse::<Model>().unwrap_err();
/// assert!(error.to_string().contains("did you mean lenet5?"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Model {
    /// [`SimpleConvNet`].
    #[default]
    SimpleConvNet,
    /// [`LeNet5::published`].
    LeNet5,
    /// [`LeNet5::modern`].
    LeNet5Modern,
    /// [`DeepConvNet`].
    DeepConvNet,
    /// [`AlexNet`].
    AlexNet,
    /// [`AlexNetSmall`].
    AlexNetSmall,
    /// [`AlexNetTorchvision`].
    AlexNetTorchvision,
    /// [`Vgg::vgg11`].
    Vgg11,
    /// [`Vgg::vgg13`].
    Vgg13,
    /// [`Vgg::vgg16`].
    Vgg16,
    /// [`Vgg::vgg19`].
    Vgg19,
}

/// How a network is trained unless one says otherwise.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Recipe {
    /// Epochs, batches, the course of the learning rate.
    pub options: TrainOptions,
    /// The optimiser.
    pub rule: Rule,
}

impl Model {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::SimpleConvNet,
        Self::LeNet5,
        Self::LeNet5Modern,
        Self::DeepConvNet,
        Self::AlexNet,
        Self::AlexNetSmall,
        Self::AlexNetTorchvision,
        Self::Vgg11,
        Self::Vgg13,
        Self::Vgg16,
        Self::Vgg19,
    ];

    /// The name on command lines and in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SimpleConvNet => "simple-convnet",
            Self::LeNet5 => "lenet5",
            Self::LeNet5Modern => "lenet5-modern",
            Self::DeepConvNet => "deep-convnet",
            Self::AlexNet => "alexnet",
            Self::AlexNetSmall => "alexnet-small",
            Self::AlexNetTorchvision => "alexnet-torchvision",
            Self::Vgg11 => "vgg11",
            Self::Vgg13 => "vgg13",
            Self::Vgg16 => "vgg16",
            Self::Vgg19 => "vgg19",
        }
    }

    /// What it is, in a line.
    #[must_use]
    pub const fn about(self) -> &'static str {
        match self {
            Self::SimpleConvNet => "conv 5x5 - relu - pool - affine - relu - affine, for MNIST",
            Self::LeNet5 => "LeNet-5 as published in 1998: sigmoid, trainable subsampling",
            Self::LeNet5Modern => "LeNet-5 with ReLU and maximum pools",
            Self::DeepConvNet => "six convolutions of 3x3, two affine layers, dropout, for MNIST",
            Self::AlexNet => "AlexNet as published in 2012, for ImageNet",
            Self::AlexNetSmall => "AlexNet with smaller windows, for images of 32x32 pixels",
            Self::AlexNetTorchvision => "AlexNet as torchvision has it, for ImageNet",
            Self::Vgg11 => "VGG with 11 layers (A), for ImageNet",
            Self::Vgg13 => "VGG with 13 layers (B), for ImageNet",
            Self::Vgg16 => "VGG with 16 layers (D), for ImageNet",
            Self::Vgg19 => "VGG with 19 layers (E), for ImageNet",
        }
    }

    /// Channels, rows and columns of the images that it was published for.
    #[must_use]
    pub const fn input(self) -> [usize; 3] {
        match self {
            Self::SimpleConvNet | Self::LeNet5 | Self::LeNet5Modern | Self::DeepConvNet => {
                [1, 28, 28]
            }
            Self::AlexNet => [3, 227, 227],
            Self::AlexNetSmall => [3, 32, 32],
            Self::AlexNetTorchvision | Self::Vgg11 | Self::Vgg13 | Self::Vgg16 | Self::Vgg19 => {
                [3, 224, 224]
            }
        }
    }

    /// The classes that it was published for.
    #[must_use]
    pub const fn classes(self) -> usize {
        match self {
            Self::AlexNet
            | Self::AlexNetTorchvision
            | Self::Vgg11
            | Self::Vgg13
            | Self::Vgg16
            | Self::Vgg19 => 1000,
            _ => 10,
        }
    }

    /// The layers for images of the given channels, rows and columns, and so many classes; `None`
    /// for what it was published for.
    #[must_use]
    pub fn plan<T: NetScalar>(
        self,
        input: Option<[usize; 3]>,
        classes: Option<usize>,
    ) -> Builder<T> {
        let [c, h, w] = input.unwrap_or(self.input());
        let classes = classes.unwrap_or(self.classes());
        let vgg = |vgg: Vgg| vgg.input(c, h, w).classes(classes).plan();
        match self {
            Self::SimpleConvNet => SimpleConvNet::default().input(c, h, w).outputs(classes).plan(),
            Self::LeNet5 => LeNet5::published().input(c, h, w).classes(classes).plan(),
            Self::LeNet5Modern => LeNet5::modern().input(c, h, w).classes(classes).plan(),
            Self::DeepConvNet => DeepConvNet::default().input(c, h, w).classes(classes).plan(),
            Self::AlexNet => AlexNet::default().input(c, h, w).classes(classes).plan(),
            Self::AlexNetSmall => AlexNetSmall::default().input(c, h, w).classes(classes).plan(),
            Self::AlexNetTorchvision => {
                AlexNetTorchvision::default().input(c, h, w).classes(classes).plan()
            }
            Self::Vgg11 => vgg(Vgg::vgg11()),
            Self::Vgg13 => vgg(Vgg::vgg13()),
            Self::Vgg16 => vgg(Vgg::vgg16()),
            Self::Vgg19 => vgg(Vgg::vgg19()),
        }
    }

    /// Makes the network, with weights that follow from the seed.
    ///
    /// # Errors
    ///
    /// [`NetError::Layer`] if the images are too small for a layer.
    pub fn build<T: NetScalar>(
        self,
        input: Option<[usize; 3]>,
        classes: Option<usize>,
        seed: u64,
    ) -> Result<Sequential<T>, NetError> {
        self.plan(input, classes).build(seed)
    }

    /// How it is trained unless one says otherwise.
    #[must_use]
    pub fn recipe(self) -> Recipe {
        let options = TrainOptions::default().average(Some(0.999));
        let falling = |epochs| options.epochs(epochs).schedule(Schedule::Linear);
        let (options, rule) = match self {
            Self::SimpleConvNet => (options.epochs(12), Rule::adam(0.001)),
            // Sigmoids pass on small gradients: Adam, which divides by their size, may take
            // larger steps.
            Self::LeNet5 => (falling(20), Rule::adam(0.004)),
            Self::LeNet5Modern => (falling(15), Rule::adam(0.002)),
            Self::DeepConvNet => (falling(8), Rule::adam(0.001)),
            Self::AlexNetSmall => (falling(15), Rule::adam(0.001)),
            Self::AlexNet
            | Self::AlexNetTorchvision
            | Self::Vgg11
            | Self::Vgg13
            | Self::Vgg16
            | Self::Vgg19 => (falling(15).batch_size(32), Rule::adam(0.0001)),
        };
        Recipe { options, rule }
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// There is no network of this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no network named {name:?}{}; there are {}", .near.map_or(String::new(), |near| format!(", did you mean {near}?")), names())]
pub struct UnknownModel {
    /// The name.
    pub name: String,
    /// The network whose name is the most like it, if one is.
    pub near: Option<Model>,
}

fn names() -> String {
    Model::ALL.iter().map(|model| model.name()).collect::<Vec<_>>().join(", ")
}

impl FromStr for Model {
    type Err = UnknownModel;

    fn from_str(name: &str) -> Result<Self, UnknownModel> {
        if let Some(&model) = Self::ALL.iter().find(|model| model.name() == name) {
            return Ok(model);
        }
        let lower = name.to_lowercase();
        let distance = |model: &Self| edits(model.name(), &lower);
        // More than a third of the letters wrong is another word.
        let near = Self::ALL.iter().copied().min_by_key(distance);
        let near = near.filter(|model| distance(model) <= model.name().len().div_ceil(3));
        Err(UnknownModel { name: name.to_owned(), near })
    }
}

/// How many letters have to be added, left out or replaced to make `b` of `a`. Levenshtein, 1966.
fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, a) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in b.chars().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[row.len() - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        let cases = [("", "", 0), ("abc", "", 3), ("", "ab", 2), ("kitten", "sitting", 3)];
        for (a, b, expected) in cases {
            assert_eq!((edits(a, b), edits(b, a)), (expected, expected), "{a} {b}");
        }
    }

    #[test]
    fn every_network_is_found_by_its_name_alone() {
        for &model in Model::ALL {
            assert_eq!(model.name().parse(), Ok(model));
            let error = format!("{}x", model.name()).parse::<Model>().unwrap_err();
            assert!(error.near.is_some(), "{error}");
            assert!(error.to_string().contains(model.name()), "{error}");
        }
        let error = "resnet".parse::<Model>().unwrap_err();
        assert_eq!((error.name.as_str(), error.near), ("resnet", None));
        assert!(error.to_string().ends_with(&format!("there are {}", names())), "{error}");
    }
}
