//! LeNet-5.

use im2col::Window;

use super::padded_to;
use crate::layers::{affine, conv2d, max_pool2d, relu, sigmoid, subsample2d, table_conv2d};
use crate::{Builder, Init, NetError, NetScalar, Sequential};

/// LeNet-5, for handwritten digits. LeCun, Bottou, Bengio and Haffner, "Gradient-Based Learning
/// Applied to Document Recognition", 1998, figure 2.
///
/// | layer | | output | parameters |
/// |---|---|---|---|
/// | input | 28x28, padded | (1, 32, 32) | |
/// | `c1` | 6 filters of 5x5 | (6, 28, 28) | 156 |
/// | `s2` | subsampling 2x2, stride 2; sigmoid | (6, 14, 14) | 12 |
/// | `c3` | 16 filters of 5x5 over 3, 4 or 6 maps each | (16, 10, 10) | 1,516 |
/// | `s4` | subsampling 2x2, stride 2; sigmoid | (16, 5, 5) | 32 |
/// | `c5` | 120 filters of 5x5; sigmoid | (120, 1, 1) | 48,120 |
/// | `f6` | 120 -> 84; sigmoid | 84 | 10,164 |
/// | `output` | 84 -> 10 | 10 | 850 |
///
/// That is [`published`](LeNet5::published). The default leaves the table of connections out: the
/// filters of `c3` see all maps, which makes 2,416 parameters of 1,516.
/// [`modern`](LeNet5::modern) has ReLU after each convolution and each affine layer but the last,
/// and maximum pools.
///
/// The paper's last layer compares with drawings of the digits; here it is an affine layer, to be
/// followed by softmax.
///
/// ```
/// use net::models::LeNet5;
///
/// let net = LeNet5::published().build::<f32>(1)?;
/// assert_eq!(net.parameter_count(), 60_850);
/// # Ok::<(), net::NetError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeNet5 {
    input: [usize; 3],
    classes: usize,
    connections: bool,
    modern: bool,
}

/// Which maps of S2 each filter of C3 sees: table I of the paper.
const C3: [&[usize]; 16] = [
    &[0, 1, 2],
    &[1, 2, 3],
    &[2, 3, 4],
    &[3, 4, 5],
    &[0, 4, 5],
    &[0, 1, 5],
    &[0, 1, 2, 3],
    &[1, 2, 3, 4],
    &[2, 3, 4, 5],
    &[0, 3, 4, 5],
    &[0, 1, 4, 5],
    &[0, 1, 2, 5],
    &[0, 1, 3, 4],
    &[1, 2, 4, 5],
    &[0, 2, 3, 5],
    &[0, 1, 2, 3, 4, 5],
];

impl Default for LeNet5 {
    fn default() -> Self {
        Self { input: [1, 28, 28], classes: 10, connections: false, modern: false }
    }
}

impl LeNet5 {
    /// The network of the paper, with its table of connections.
    #[must_use]
    pub fn published() -> Self {
        Self::default().connections(true)
    }

    /// The network with ReLU and maximum pools.
    #[must_use]
    pub fn modern() -> Self {
        Self { modern: true, ..Self::default() }
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

    /// Whether the filters of `c3` see some of the maps only, as the table of the paper says.
    #[must_use]
    pub const fn connections(self, connections: bool) -> Self {
        Self { connections, ..self }
    }

    /// The layers.
    #[must_use]
    pub fn plan<T: NetScalar>(self) -> Builder<T> {
        let (filter, pool) = (Window::square(5), Window::square(2).stride(2));
        let mut net = padded_to(32, self.input);
        net = net.init(if self.modern { Init::HeNormal } else { Init::XavierNormal });

        net = net.add_named("c1", conv2d(6, filter));
        net = self.subsample(net, "s2", pool);
        net = if self.connections {
            net.add_named("c3", table_conv2d(C3.map(|maps| maps.iter().copied()), filter))
        } else {
            net.add_named("c3", conv2d(16, filter))
        };
        net = self.subsample(net, "s4", pool);
        net = self.activation(net.add_named("c5", conv2d(120, filter)));
        net = self.activation(net.add_named("f6", affine(84)));
        net.add_named("output", affine(self.classes))
    }

    fn subsample<T: NetScalar>(self, net: Builder<T>, name: &str, pool: Window) -> Builder<T> {
        if self.modern {
            self.activation(net).add_named(name, max_pool2d(pool))
        } else {
            self.activation(net.add_named(name, subsample2d(pool)))
        }
    }

    fn activation<T: NetScalar>(self, net: Builder<T>) -> Builder<T> {
        if self.modern { net.add(relu()) } else { net.add(sigmoid()) }
    }

    /// Makes the network, with weights that follow from the seed.
    ///
    /// # Errors
    ///
    /// [`NetError::Tensor`] if an image is too large.
    pub fn build<T: NetScalar>(self, seed: u64) -> Result<Sequential<T>, NetError> {
        self.plan().build(seed)
    }
}
