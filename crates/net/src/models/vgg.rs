//! The networks of the Visual Geometry Group.

use im2col::Window;

use super::padded_to;
use crate::layers::{affine, conv2d, dropout, max_pool2d, relu};
use crate::{Builder, NetError, NetScalar, Sequential};

/// The VGG networks, for ImageNet: convolutions of 3x3 alone, the deeper the more filters.
/// Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition",
/// 2014, table 1, columns A, B, D and E.
///
/// | [`vgg11`](Vgg::vgg11) (A) | [`vgg13`](Vgg::vgg13) (B) | [`vgg16`](Vgg::vgg16) (D) | [`vgg19`](Vgg::vgg19) (E) | output |
/// |---|---|---|---|---|
/// | conv3-64 | 2 conv3-64 | 2 conv3-64 | 2 conv3-64 | |
/// | maxpool | maxpool | maxpool | maxpool | (64, 112, 112) |
/// | conv3-128 | 2 conv3-128 | 2 conv3-128 | 2 conv3-128 | |
/// | maxpool | maxpool | maxpool | maxpool | (128, 56, 56) |
/// | 2 conv3-256 | 2 conv3-256 | 3 conv3-256 | 4 conv3-256 | |
/// | maxpool | maxpool | maxpool | maxpool | (256, 28, 28) |
/// | 2 conv3-512 | 2 conv3-512 | 3 conv3-512 | 4 conv3-512 | |
/// | maxpool | maxpool | maxpool | maxpool | (512, 14, 14) |
/// | 2 conv3-512 | 2 conv3-512 | 3 conv3-512 | 4 conv3-512 | |
/// | maxpool | maxpool | maxpool | maxpool | (512, 7, 7) |
/// | FC-4096 | FC-4096 | FC-4096 | FC-4096 | 4096 |
/// | FC-4096 | FC-4096 | FC-4096 | FC-4096 | 4096 |
/// | FC-1000 | FC-1000 | FC-1000 | FC-1000 | 1000 |
/// | 132,863,336 | 133,047,848 | 138,357,544 | 143,667,240 | parameters |
///
/// Convolutions have pad 1, pools are 2x2 with stride 2. ReLU follows each layer but pools and
/// the last, dropout with a rate of 0.5 the first two affine layers. Weights are drawn as
/// [`Init::HeNormal`](crate::Init::HeNormal) says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Vgg {
    /// How many convolutions come before each pool.
    convolutions: [usize; 5],
    input: [usize; 3],
    classes: usize,
    hidden: usize,
    dropout: f64,
}

impl Vgg {
    const fn new(convolutions: [usize; 5]) -> Self {
        Self { convolutions, input: [3, 224, 224], classes: 1000, hidden: 4096, dropout: 0.5 }
    }

    /// Column A: 11 layers with weights.
    #[must_use]
    pub const fn vgg11() -> Self {
        Self::new([1, 1, 2, 2, 2])
    }

    /// Column B: 13 layers with weights.
    #[must_use]
    pub const fn vgg13() -> Self {
        Self::new([2, 2, 2, 2, 2])
    }

    /// Column D: 16 layers with weights.
    #[must_use]
    pub const fn vgg16() -> Self {
        Self::new([2, 2, 3, 3, 3])
    }

    /// Column E: 19 layers with weights.
    #[must_use]
    pub const fn vgg19() -> Self {
        Self::new([2, 2, 4, 4, 4])
    }

    /// Channels, rows and columns of an image; less than 32x32 pixels are padded to that.
    #[must_use]
    pub const fn input(self, channels: usize, height: usize, width: usize) -> Self {
        Self { input: [channels, height, width], ..self }
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
        let mut net = padded_to(32, self.input);
        for (filters, convolutions) in [64, 128, 256, 512, 512].into_iter().zip(self.convolutions) {
            for _ in 0..convolutions {
                net = net.add(conv2d(filters, Window::square(3).pad(1))).add(relu());
            }
            net = net.add(max_pool2d(Window::square(2).stride(2)));
        }
        for _ in 0..2 {
            net = net.add(affine(self.hidden)).add(relu()).add(dropout(self.dropout));
        }
        net.add(affine(self.classes))
    }

    /// Makes the network, with weights that follow from the seed.
    ///
    /// # Errors
    ///
    /// [`NetError::Layer`] if the rate of dropout is out of its range.
    pub fn build<T: NetScalar>(self, seed: u64) -> Result<Sequential<T>, NetError> {
        self.plan().build(seed)
    }
}
