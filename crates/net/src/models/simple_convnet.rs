//! The network of the book's chapter on convolutional networks.

use im2col::{Padding, Window};

use crate::layers::{affine, conv2d, max_pool2d, relu};
use crate::{Builder, Init, NetError, NetScalar, Sequential};

/// conv - relu - pool - affine - relu - affine, to be followed by softmax.
///
/// | layer | with the defaults | output |
/// |---|---|---|
/// | `conv1` | 30 filters of 5x5, stride 1, no padding | (30, 24, 24) |
/// | `relu1` | | (30, 24, 24) |
/// | `pool1` | maximum of 2x2, stride 2 | (30, 12, 12) |
/// | `affine1` | 4320 -> 100 | 100 |
/// | `relu2` | | 100 |
/// | `affine2` | 100 -> 10 | 10 |
///
/// Weights are drawn from a normal distribution with standard deviation 0.01, biases begin at 0.
///
/// ```
/// use net::models::SimpleConvNet;
///
/// let net = SimpleConvNet::default().build::<f32>(1)?;
/// assert_eq!(net.parameter_count(), 30 * 25 + 30 + 4320 * 100 + 100 + 100 * 10 + 10);
/// # Ok::<(), net::NetError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SimpleConvNet {
    input: [usize; 3],
    filters: usize,
    filter_size: usize,
    pad: usize,
    stride: usize,
    hidden: usize,
    outputs: usize,
    weight_std: f64,
}

impl Default for SimpleConvNet {
    fn default() -> Self {
        Self {
            input: [1, 28, 28],
            filters: 30,
            filter_size: 5,
            pad: 0,
            stride: 1,
            hidden: 100,
            outputs: 10,
            weight_std: 0.01,
        }
    }
}

impl SimpleConvNet {
    /// Channels, rows and columns of an image.
    #[must_use]
    pub const fn input(self, channels: usize, height: usize, width: usize) -> Self {
        Self { input: [channels, height, width], ..self }
    }

    /// How many filters the convolution has.
    #[must_use]
    pub const fn filters(self, filters: usize) -> Self {
        Self { filters, ..self }
    }

    /// Rows and columns of a filter.
    #[must_use]
    pub const fn filter_size(self, filter_size: usize) -> Self {
        Self { filter_size, ..self }
    }

    /// The padding of the convolution on all four sides.
    #[must_use]
    pub const fn pad(self, pad: usize) -> Self {
        Self { pad, ..self }
    }

    /// The stride of the convolution in both directions.
    #[must_use]
    pub const fn stride(self, stride: usize) -> Self {
        Self { stride, ..self }
    }

    /// Outputs of the first affine layer.
    #[must_use]
    pub const fn hidden(self, hidden: usize) -> Self {
        Self { hidden, ..self }
    }

    /// Classes.
    #[must_use]
    pub const fn outputs(self, outputs: usize) -> Self {
        Self { outputs, ..self }
    }

    /// The standard deviation that weights are drawn with.
    #[must_use]
    pub const fn weight_std(self, weight_std: f64) -> Self {
        Self { weight_std, ..self }
    }

    /// The layers.
    #[must_use]
    pub fn plan<T: NetScalar>(self) -> Builder<T> {
        let [channels, height, width] = self.input;
        let filter = Window::square(self.filter_size)
            .stride(self.stride)
            .padding(Padding::uniform(self.pad));
        Sequential::builder(channels, height, width)
            .init(Init::Normal { std: self.weight_std })
            .add(conv2d(self.filters, filter))
            .add(relu())
            .add(max_pool2d(Window::square(2).stride(2)))
            .add(affine(self.hidden))
            .add(relu())
            .add(affine(self.outputs))
    }

    /// Makes the network, with weights that follow from the seed.
    ///
    /// # Errors
    ///
    /// [`NetError::Layer`] if the filter or the pool does not fit the image.
    pub fn build<T: NetScalar>(self, seed: u64) -> Result<Sequential<T>, NetError> {
        self.plan().build(seed)
    }
}
