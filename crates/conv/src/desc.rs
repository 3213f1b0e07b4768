//! What a convolution is, and how it shall be computed.

use core::fmt;

use im2col::Window;

use crate::KernelSet;

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
///
/// The gradient by the data runs by the same algorithm, as a convolution of `dy` with the kernels
/// mirrored, or as one for each phase of a stride ([`Winograd`](Algorithm::Winograd) computes the four of a
/// stride of 2 together); where the algorithm does not serve such a convolution, by the direct one. [`Im2colGemm`](Algorithm::Im2colGemm) folds the columns of a product instead. It is
/// also what computes the gradient if `dy` would need a negative padding, if the strides multiplied are
/// more than 16, or if a kernel has more than 256 taps.
///
/// The gradient by the weights runs by [`Winograd`](Algorithm::Winograd) at stride 1 only, and by the
/// direct kernels where an algorithm does not serve it; under [`Depthwise`](Algorithm::Depthwise) pixels stand
/// in the lanes. What the direct one does not serve runs as [`Im2colGemm`](Algorithm::Im2colGemm). See
/// [`backward_weights_algorithm`](crate::Conv2dPlan::backward_weights_algorithm).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Algorithm {
    /// Whichever of the others is the fastest as far as shape, options and CPU features tell;
    /// nothing is timed.
    #[default]
    Auto,
    /// The seven loops of the formula, on one thread: the oracle of the tests, and the direct
    /// convolution that the others are measured against. See [`crate::naive`].
    Naive,
    /// Each image is unfolded into columns, in pieces that stay in the cache, and multiplied by
    /// the weights as a matrix. In parallel over images, or within an image if they are few.
    Im2colGemm,
    /// Without unfolding: output channels in the lanes of the registers, pixels broadcast straight
    /// out of the rows of the input. Serves every shape.
    Direct,
    /// Winograd's algorithm, for kernels of 2 to 5 pixels (of 2 to 5 strides), dilated or not. With the
    /// 36 points of F(4x4, 3x3), F(2x2, 5x5) and their like it needs a quarter of the multiplications of
    /// a 3x3; under [`Numerics::Strict`] it takes 16 points, for kernels of 2 or 3 pixels (strides), and
    /// 4/9 of the multiplications.
    Winograd,
    /// Without unfolding, pixels of the output in the lanes of the registers. For channels that
    /// stand alone, and for other sums of at most 512 terms.
    Depthwise,
}

impl Algorithm {
    /// Every algorithm that can be asked for, [`Auto`](Algorithm::Auto) first.
    pub const ALL: &'static [Self] =
        &[Self::Auto, Self::Naive, Self::Im2colGemm, Self::Direct, Self::Winograd, Self::Depthwise];

    /// The name in tables and on the command line, such as `im2col-gemm`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Naive => "naive",
            Self::Im2colGemm => "im2col-gemm",
            Self::Direct => "direct",
            Self::Winograd => "winograd",
            Self::Depthwise => "depthwise",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How exact a convolution is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Numerics {
    /// Algorithms that need fewer multiplications may be used. The error, root mean square
    /// relative to that of the result, stays below 4e-6 for up to 512 channels; that of the gradient by
    /// the weights below 6e-6.
    #[default]
    Fast,
    /// Every output is a plain sum of its products, or as exact as one: below 1e-6. Of Winograd's
    /// forms those are F(2x2, 3x3) and F(3x3, 2x2). Gradients by the weights stay below 2e-6.
    Strict,
}

/// The choices of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Options {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// How exact it must be.
    pub numerics: Numerics,
    /// How many bytes of workspace a forward pass or a gradient in `f32` may take, packed weights included, on as many threads as the pool has in which the plan is made; `None` for no
    /// limit. `f64` takes twice as many.
    ///
    /// [`Algorithm::Auto`] stays below it; an algorithm asked for by name whose forward pass can't is an
    /// error that says how much it needs. The gradient then runs by one that can: the direct one,
    /// im2col + GEMM, or the naive one, which needs none.
    pub max_workspace_bytes: Option<usize>,
    /// The instruction set; `None` for the fastest that the CPU can run, or the one that the
    /// environment variable `COLONNADE_KERNELS` names.
    pub kernels: Option<KernelSet>,
}

impl Options {
    /// The default choices with the given algorithm.
    #[must_use]
    pub const fn with_algorithm(algorithm: Algorithm) -> Self {
        Self { algorithm, numerics: Numerics::Fast, max_workspace_bytes: None, kernels: None }
    }

    /// The same, as exact as given.
    #[must_use]
    pub const fn numerics(self, numerics: Numerics) -> Self {
        Self { numerics, ..self }
    }

    /// The same with a limit to the workspace.
    #[must_use]
    pub const fn max_workspace_bytes(self, bytes: usize) -> Self {
        Self { max_workspace_bytes: Some(bytes), ..self }
    }

    /// The same on the kernels of an instruction set.
    #[must_use]
    pub const fn kernels(self, kernels: KernelSet) -> Self {
        Self { kernels: Some(kernels), ..self }
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
