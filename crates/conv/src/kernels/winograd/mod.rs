//! The kernels of Winograd's algorithm: three transforms and a product, for each form.
//!
//! Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2015:
//!
//! ```text
//! Y = A^T [ sum over channels of (G g G^T) * (B^T d B) ] A
//! ```
//!
//! Tiles stand in the lanes of the input and output transforms, output channels in those of the
//! transform of the weights.

mod filter;
mod forms;
mod gradients;
mod input;
mod interleaved;
mod output;
mod product;

use super::Kernels;
pub(crate) use filter::{Filter, filter};
pub(crate) use forms::{Four, Points, Six};
pub(crate) use gradients::{FilterGrad, OutputGrad, filter_grad, output_grad};
pub(crate) use input::{Input, Source, input};
pub(crate) use interleaved::{OutputPairs, output_pairs};
pub(crate) use output::{Output, Segment, output};
pub(crate) use product::{COLS, Product, product};

impl<T> Kernels<T> {
    /// Transforms tiles of the input of Winograd's algorithm.
    ///
    /// # Panics
    ///
    /// If it reaches beyond its slices; so do the four below.
    pub(crate) fn winograd_input(&self, mut args: Input<'_, T>) {
        args.check(self.lanes);
        // SAFETY: the slices have been checked, and a table exists only for a CPU that can run it.
        unsafe { (self.winograd[args.form.index()].input)(&mut args) }
    }

    /// Multiplies at one point of Winograd's algorithm.
    pub(crate) fn winograd_product(&self, mut args: Product<'_, T>) {
        args.check(self.lanes);
        // SAFETY: as above.
        unsafe { (self.winograd_product)(&mut args) }
    }

    /// Transforms sums of Winograd's algorithm into tiles of the output.
    pub(crate) fn winograd_output(&self, mut args: Output<'_, '_, T>) {
        args.check(self.lanes);
        // SAFETY: as above.
        unsafe { (self.winograd[args.form.index()].output)(&mut args) }
    }

    /// Transforms sums of two phases of Winograd's algorithm into tiles of the output.
    pub(crate) fn winograd_output_pairs(&self, mut args: OutputPairs<'_, '_, T>) {
        args.check(self.lanes);
        // SAFETY: as above.
        unsafe { (self.winograd[args.form.index()].output_pairs)(&mut args) }
    }

    /// Transforms packed weights for Winograd's algorithm.
    pub(crate) fn winograd_filter(&self, mut args: Filter<'_, T>) {
        args.check(self.lanes);
        // SAFETY: as above.
        unsafe { (self.winograd[args.form.index()].filter)(&mut args) }
    }
}

/// A form of the algorithm, F(m x m, r x r): it takes `m + r - 1` points along each dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Form {
    /// Points along a dimension: pixels of an input tile. 6 or 4.
    side: usize,
    /// Taps along a dimension.
    taps: usize,
}

impl Form {
    /// How many there are.
    pub(crate) const COUNT: usize = 6;

    /// The form with six points for so many taps, if there is one.
    pub(crate) fn fast(taps: usize) -> Option<Self> {
        (2..=5).contains(&taps).then_some(Self { side: 6, taps })
    }

    /// The form with four points, which has about the rounding error of a plain sum.
    pub(crate) fn exact(taps: usize) -> Option<Self> {
        (2..=3).contains(&taps).then_some(Self { side: 4, taps })
    }

    /// Its place in a table of kernels.
    pub(crate) fn index(self) -> usize {
        if self.side == 6 { self.taps - 2 } else { 4 + self.taps - 2 }
    }

    /// Rows and columns of an input tile.
    pub(crate) const fn side(self) -> usize {
        self.side
    }

    /// Taps along a dimension.
    pub(crate) const fn taps(self) -> usize {
        self.taps
    }

    /// Rows and columns of an output tile.
    pub(crate) const fn out(self) -> usize {
        self.side + 1 - self.taps
    }

    /// Points of the transform: the pixels of an input tile.
    pub(crate) const fn points(self) -> usize {
        self.side * self.side
    }

    /// The name for people.
    pub(crate) fn name(self) -> String {
        let (m, r) = (self.out(), self.taps);
        format!("F({m}x{m}, {r}x{r})")
    }
}

/// Segments whose tiles stand side by side in a register, at most `LANES` of them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Register {
    pub(crate) first: usize,
    pub(crate) last: usize,
}

impl Register {
    /// Panics if its segments, of so many tiles each, do not fit a register.
    fn check(self, tiles: impl Fn(usize) -> usize, lanes: usize) {
        let sum: usize = (self.first..self.last).map(tiles).sum();
        assert!(sum <= lanes);
    }
}

/// Registers of a line: the columns of `LANES` tiles of 5, and one more.
const PITCH: usize = 6;
