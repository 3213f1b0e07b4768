//! The deep network of the book.

use im2col::Window;

use crate::layers::{affine, conv2d, dropout, max_pool2d, relu};
use crate::{Builder, Init, NetError, NetScalar, Sequential};

/// Six convolutions of 3x3, for MNIST: the deep network of the book's chapter 8, "Deep Learning".
///
/// | layers | | output |
/// |---|---|---|
/// | `conv1`, `relu1` | 16 filters of 3x3, pad 1 | (16, 28, 28) |
/// | `conv2`, `relu2` | 16 filters of 3x3, pad 1 | (16, 28, 28) |
/// | `pool1` | maximum of 2x2, stride 2 | (16, 14, 14) |
/// | `conv3`, `relu3` | 32 filters of 3x3, pad 1 | (32, 14, 14) |
/// | `conv4`, `relu4` | 32 filters of 3x3, pad 2 | (32, 16, 16) |
/// | `pool2` | maximum of 2x2, stride 2 | (32, 8, 8) |
/// | `conv5`, `relu5` | 64 filters of 3x3, pad 1 | (64, 8, 8) |
/// | `conv6`, `relu6` | 64 filters of 3x3, pad 1 | (64, 8, 8) |
/// | `pool3` | maximum of 2x2, stride 2 | (64, 4, 4) |
/// | `affine1`, `relu7`, `dropout1` | 1024 -> 50; rate 0.5 | 50 |
/// | `affine2`, `dropout2` | 50 -> 10; rate 0.5 | 10 |
///
/// Weights are drawn as [`Init::HeNormal`] says.
///
/// ```
/// use net::models::DeepConvNet;
///
/// let net = DeepConvNet::default().build::<f32>(1)?;
/// assert_eq!(net.parameter_count(), 123_552);
/// # Ok::<(), net::NetError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DeepConvNet {
    input: [usize; 3],
    classes: usize,
    hidden: usize,
    dropout: f64,
}

impl Default for DeepConvNet {
    fn default() -> Self {
        Self { input: [1, 28, 28], classes: 10, hidden: 50, dropout: 0.5 }
    }
}

impl DeepConvNet {
    /// Channels, rows and columns of an image.
    #[must_use]
    pub const fn input(self, channels: usize, height: usize, width: usize) -> Self {
        Self { input: [channels, height, width], ..self }
    }

    /// Classes.
    #[must_use]
    pub const fn classes(self, classes: usize) -> Self {
        Self { classes, ..self }
    }

    /// Outputs of the first affine layer.
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
        let mut net = Sequential::builder(channels, height, width).init(Init::HeNormal);
        for (filters, pads) in [(16, [1, 1]), (32, [1, 2]), (64, [1, 1])] {
            for pad in pads {
                net = net.add(conv2d(filters, Window::square(3).pad(pad))).add(relu());
            }
            net = net.add(max_pool2d(Window::square(2).stride(2)));
        }
        net.add(affine(self.hidden))
            .add(relu())
            .add(dropout(self.dropout))
            .add(affine(self.classes))
            .add(dropout(self.dropout))
    }

    /// Makes the network, with weights that follow from the seed.
    ///
    /// # Errors
    ///
    /// [`NetError::Layer`] if the image is too small for the pools, or the rate of dropout out of
    /// its range.
    pub fn build<T: NetScalar>(self, seed: u64) -> Result<Sequential<T>, NetError> {
        self.plan().build(seed)
    }
}
