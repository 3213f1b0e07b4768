//! AlexNet for small images.

use im2col::Window;

use crate::layers::{affine, conv2d, dropout, local_response_norm, max_pool2d, relu};
use crate::{Builder, NetError, NetScalar, Sequential};

/// [`AlexNet`](super::AlexNet) for images of 32x32 pixels: the same layers in the same order,
/// with smaller windows in the first, and fewer filters and outputs in all.
///
/// | layers | | output | parameters |
/// |---|---|---|---|
/// | input | | (3, 32, 32) | |
/// | `conv1`, `relu1`, `lrn1` | 48 filters of 5x5, pad 2 | (48, 32, 32) | 3,648 |
/// | `pool1` | maximum of 3x3, stride 2 | (48, 15, 15) | |
/// | `conv2`, `relu2`, `lrn2` | 96 filters of 5x5, pad 2, 2 groups | (96, 15, 15) | 57,696 |
/// | `pool2` | maximum of 3x3, stride 2 | (96, 7, 7) | |
/// | `conv3`, `relu3` | 128 filters of 3x3, pad 1 | (128, 7, 7) | 110,720 |
/// | `conv4`, `relu4` | 128 filters of 3x3, pad 1, 2 groups | (128, 7, 7) | 73,856 |
/// | `conv5`, `relu5` | 96 filters of 3x3, pad 1, 2 groups | (96, 7, 7) | 55,392 |
/// | `pool3` | maximum of 3x3, stride 2 | (96, 3, 3) | |
/// | `affine1`, `relu6`, `dropout1` | 864 -> 512; rate 0.5 | 512 | 442,880 |
/// | `affine2`, `relu7`, `dropout2` | 512 -> 512; rate 0.5 | 512 | 262,656 |
/// | `affine3` | 512 -> 10 | 10 | 5,130 |
///
/// 1,011,978 parameters. Weights are drawn as [`Init::HeNormal`](crate::Init::HeNormal) says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AlexNetSmall {
    input: [usize; 3],
    classes: usize,
    hidden: usize,
    dropout: f64,
}

impl Default for AlexNetSmall {
    fn default() -> Self {
        Self { input: [3, 32, 32], classes: 10, hidden: 512, dropout: 0.5 }
    }
}

impl AlexNetSmall {
    /// Channels, rows and columns of an image: at least 15x15 pixels.
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
        let [channels, height, width] = self.input;
        let pool = || max_pool2d(Window::square(3).stride(2));
        // PyTorch's alpha is divided by the 5 channels.
        let lrn = || local_response_norm(5).k(2.0).alpha(5e-4).beta(0.75);
        Sequential::builder(channels, height, width)
            .add(conv2d(48, Window::square(5).pad(2)))
            .add(relu())
            .add(lrn())
            .add(pool())
            .add(conv2d(96, Window::square(5).pad(2)).groups(2))
            .add(relu())
            .add(lrn())
            .add(pool())
            .add(conv2d(128, Window::square(3).pad(1)))
            .add(relu())
            .add(conv2d(128, Window::square(3).pad(1)).groups(2))
            .add(relu())
            .add(conv2d(96, Window::square(3).pad(1)).groups(2))
            .add(relu())
            .add(pool())
            .add(affine(self.hidden))
            .add(relu())
            .add(dropout(self.dropout))
            .add(affine(self.hidden))
            .add(relu())
            .add(dropout(self.dropout))
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
