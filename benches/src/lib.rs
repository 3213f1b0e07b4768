//! What the benchmarks share: the layers and the networks that they run, and the parts of the two
//! timers (`cargo run --release -p benches --bin layers -- --help`, and `--bin models`).
//!
//! Each benchmark compares its result with a slow twin once before it times anything, so that no
//! time is ever reported for a wrong answer.

#![forbid(unsafe_code)]

pub mod case;
pub mod csv;
pub mod display;
pub mod layers;
pub mod memory;
pub mod model;
pub mod model_record;
pub mod peak;
pub mod profile;
pub mod record;
pub mod timing;

use conv::Conv2d;
use im2col::Window;

/// A layer whose unfolding is measured, and the batch.
#[derive(Debug, Clone, Copy)]
pub struct Layer {
    /// The name in the results.
    pub name: &'static str,
    /// Images of the batch.
    pub n: usize,
    /// What is convolved.
    pub conv: Conv2d,
}

/// 3x3 over 64 channels of 56x56, padded by one: the layer that ResNet begins with. One image.
pub const THREE_BY_THREE: Layer = Layer {
    name: "3x3, 64 channels 56x56",
    n: 1,
    conv: Conv2d::new(64, 56, 56, 64, Window::square(3).pad(1)),
};

/// The convolution of SimpleConvNet on MNIST: 30 filters of 5x5 over 28x28. Ten images.
pub const SIMPLE_CONV_NET: Layer = Layer {
    name: "SimpleConvNet conv1, n = 10",
    n: 10,
    conv: Conv2d::new(1, 28, 28, 30, Window::square(5)),
};
