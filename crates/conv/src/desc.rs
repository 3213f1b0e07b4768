//! What a convolution is, and how it shall be computed.

use core::fmt;

use im2col::Window;

/// A convolution of images of one shape.
///
/// Nothing is checked here; [`Conv2dPlan::new`](crate::Conv2dPlan::new) does that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Conv2d {
    /// Channels of the input.
    pub in_channels: usize,
    /// Rows of the input, without padding.
    pub in_h: usize,
    /// Columns of the input, without padding.
    pub in_w: usize,
    /// Channels of the output: the number of filters.
    pub out_channels: usize,
    /// Kernel, stride, dilation and padding.
    pub window: Window,
    /// Into how many groups of equal size input and output channels are split.
    pub groups: usize,
}

impl Conv2d {
    /// A convolution without groups.
    #[must_use]
    pub const fn new(
        in_channels: usize,
        in_h: usize,
        in_w: usize,
        out_channels: usize,
        window: Window,
    ) -> Self {
        Self { in_channels, in_h, in_w, out_channels, window, groups: 1 }
    }

    /// The same with channels split into `groups`.
    #[must_use]
    pub const fn groups(self, groups: usize) -> Self {
        Self { groups, ..self }
    }
}

/// How a convolution is computed. All algorithms give the same result up to rounding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Algorithm {
    /// The seven loops of the formula, on one thread: the oracle of the tests, and the direct
    /// convolution that the others are measured against. See [`crate::naive`].
    Naive,
    /// Each image is unfolded into columns, in pieces that stay in the cache, and multiplied by
    /// the weights as a matrix. In parallel over images, or within an image if they are few.
    #[default]
    Im2colGemm,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: &'static [Self] = &[Self::Naive, Self::Im2colGemm];

    /// The name in tables and on the command line, such as `im2col-gemm`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Naive => "naive",
            Self::Im2colGemm => "im2col-gemm",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The choices of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Options {
    /// The algorithm.
    pub algorithm: Algorithm,
}

impl Options {
    /// The default choices with the given algorithm.
    #[must_use]
    pub const fn with_algorithm(algorithm: Algorithm) -> Self {
        Self { algorithm }
    }
}

/// What happens to the values that a gradient buffer held before the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Update {
    /// They are replaced, and not read.
    #[default]
    Overwrite,
    /// The gradient is added to them.
    Accumulate,
}
