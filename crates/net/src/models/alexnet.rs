//! AlexNet.

use im2col::Window;

use crate::layers::{affine, conv2d, dropout, local_response_norm, max_pool2d, relu};
use crate::{Builder, NetError, NetScalar, Sequential};

/// AlexNet, for ImageNet. Krizhevsky, Sutskever and Hinton, "ImageNet Classification with Deep
/// Convolutional Neural Networks", 2012, section 3.5 and figure 2.
///
/// | layers | | output | parameters |
/// |---|---|---|---|
/// | input | | (3, 227, 227) | |
/// | `conv1`, `relu1`, `lrn1` | 96 filters of 11x11, stride 4 | (96, 55, 55) | 34,944 |
/// | `pool1` | maximum of 3x3, stride 2 | (96, 27, 27) | |
/// | `conv2`, `relu2`, `lrn2` | 256 filters of 5x5, pad 2, 2 groups | (256, 27, 27) | 307,456 |
/// | `pool2` | maximum of 3x3, stride 2 | (256, 13, 13) | |
/// | `conv3`, `relu3` | 384 filters of 3x3, pad 1 | (384, 13, 13) | 885,120 |
/// | `conv4`, `relu4` | 384 filters of 3x3, pad 1, 2 groups | (384, 13, 13) | 663,936 |
/// | `conv5`, `relu5` | 256 filters of 3x3, pad 1, 2 groups | (256, 13, 13) | 442,624 |
/// | `pool3` | maximum of 3x3, stride 2 | (256, 6, 6) | |
/// | `affine1`, `relu6`, `dropout1` | 9216 -> 4096; rate 0.5 | 4096 | 37,752,832 |
/// | `affine2`, `relu7`, `dropout2` | 4096 -> 4096; rate 0.5 | 4096 | 16,781,312 |
/// | `affine3` | 4096 -> 1000 | 1000 | 4,097,000 |
///
/// 60,965,224 parameters. The paper writes of images of 224x224, of which its sizes do not
/// follow; 227x227 is what they follow from. The two groups are its two GPUs. Responses are
/// normalised over 5 channels, with k 2, alpha 1e-4 and beta 0.75.
///
/// The paper drew weights with a standard deviation of 0.01 and began some biases at 1; here they
/// are drawn as [`Init::HeNormal`](crate::Init::HeNormal) says, which learns from the first step
/// on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AlexNet {
    input: [usize; 3],
    classes: usize,
    hidden: usize,
    dropout: f64,
}

impl Default for AlexNet {
    fn default() -> Self {
        Self { input: [3, 227, 227], classes: 1000, hidden: 4096, dropout: 0.5 }
    }
}

impl AlexNet {
    /// Channels, rows and columns of an image: at least 67x67 pixels.
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
            .add(conv2d(96, Window::square(11).stride(4)))
            .add(relu())
            .add(lrn())
            .add(pool())
            .add(conv2d(256, Window::square(5).pad(2)).groups(2))
            .add(relu())
            .add(lrn())
            .add(pool())
            .add(conv2d(384, Window::square(3).pad(1)))
            .add(relu())
            .add(conv2d(384, Window::square(3).pad(1)).groups(2))
            .add(relu())
            .add(conv2d(256, Window::square(3).pad(1)).groups(2))
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
