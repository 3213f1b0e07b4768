//! The AlexNet of torchvision.

use im2col::Window;

use crate::layers::{affine, conv2d, dropout, max_pool2d, relu};
use crate::{Builder, NetError, NetScalar, Sequential};

/// The AlexNet of torchvision, for ImageNet: one column, without response normalisation. Krizhevsky,
/// "One weird trick for parallelizing convolutional neural networks", 2014, with the filters that
/// torchvision's `models/alexnet.py` gives it.
///
/// | layers | torchvision | | output | parameters |
/// |---|---|---|---|---|
/// | input | | | (3, 224, 224) | |
/// | `conv1`, `relu1` | `features.0` | 64 filters of 11x11, stride 4, pad 2 | (64, 55, 55) | 23,296 |
/// | `pool1` | | maximum of 3x3, stride 2 | (64, 27, 27) | |
/// | `conv2`, `relu2` | `features.3` | 192 filters of 5x5, pad 2 | (192, 27, 27) | 307,392 |
/// | `pool2` | | maximum of 3x3, stride 2 | (192, 13, 13) | |
/// | `conv3`, `relu3` | `features.6` | 384 filters of 3x3, pad 1 | (384, 13, 13) | 663,936 |
/// | `conv4`, `relu4` | `features.8` | 256 filters of 3x3, pad 1 | (256, 13, 13) | 884,992 |
/// | `conv5`, `relu5` | `features.10` | 256 filters of 3x3, pad 1 | (256, 13, 13) | 590,080 |
/// | `pool3` | | maximum of 3x3, stride 2 | (256, 6, 6) | |
/// | `dropout1`, `affine1`, `relu6` | `classifier.1` | 9216 -> 4096; rate 0.5 | 4096 | 37,752,832 |
/// | `dropout2`, `affine2`, `relu7` | `classifier.4` | 4096 -> 4096; rate 0.5 | 4096 | 16,781,312 |
/// | `affine3` | `classifier.6` | 4096 -> 1000 | 1000 | 4,097,000 |
///
/// 61,100,840 parameters. torchvision averages what the convolutions leave to 6x6 pixels; images
/// of 224x224 leave 6x6, which that does not change. From images of other sizes nothing is
/// averaged here: `affine1` is as large as they make it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AlexNetTorchvision {
    input: [usize; 3],
    filters: [usize; 5],
    classes: usize,
    hidden: usize,
    dropout: f64,
}

impl Default for AlexNetTorchvision {
    fn default() -> Self {
        Self {
            input: [3, 224, 224],
            filters: [64, 192, 384, 256, 256],
            classes: 1000,
            hidden: 4096,
            dropout: 0.5,
        }
    }
}

impl AlexNetTorchvision {
    /// Channels, rows and columns of an image: at least 63x63 pixels.
    #[must_use]
    pub const fn input(self, channels: usize, height: usize, width: usize) -> Self {
        Self { input: [channels, height, width], ..self }
    }

    /// Filters of each convolution.
    #[must_use]
    pub const fn filters(self, filters: [usize; 5]) -> Self {
        Self { filters, ..self }
    }

    /// Classes.
    #[must_use]
    pub const fn classes(self, classes: usize) -> Self {
        Self { classes, ..self }
    }

    /// Outputs of the first two affine layers.
    #[must_use]
    pub const fn hidden(self, hidden: usize) -> Self {
        Self { hidden, ..self }
    }

    /// The rate of both dropout layers.
    #[must_use]
    pub const fn dropout(self, dropout: f64) -> Self {
        Self { dropout, ..self }
    }

    /// The layers.
    #[must_use]
    pub fn plan<T: NetScalar>(self) -> Builder<T> {
        let [channels, height, width] = self.input;
        let [first, second, third, fourth, fifth] = self.filters;
        let pool = || max_pool2d(Window::square(3).stride(2));
        Sequential::builder(channels, height, width)
            .add(conv2d(first, Window::square(11).stride(4).pad(2)))
            .add(relu())
            .add(pool())
            .add(conv2d(second, Window::square(5).pad(2)))
            .add(relu())
            .add(pool())
            .add(conv2d(third, Window::square(3).pad(1)))
            .add(relu())
            .add(conv2d(fourth, Window::square(3).pad(1)))
            .add(relu())
            .add(conv2d(fifth, Window::square(3).pad(1)))
            .add(relu())
            .add(pool())
            .add(dropout(self.dropout))
            .add(affine(self.hidden))
            .add(relu())
            .add(dropout(self.dropout))
            .add(affine(self.hidden))
            .add(relu())
            .add(affine(self.classes))
    }

    /// Makes the network, with weights that follow from the seed.
    ///
    /// # Errors
    ///
    /// [`NetError::Layer`] if the image is too small, or the rate of dropout out of its range.
    pub fn build<T: NetScalar>(self, seed: u64) -> Result<Sequential<T>, NetError> {
        self.plan().build(seed)
    }
}
