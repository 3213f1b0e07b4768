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
mod product;
mod tiles;

pub(crate) use filter::{Filter, filter};
pub(crate) use forms::{Four, Transform, Two};
pub(crate) use product::{COLS, Product, product};
pub(crate) use tiles::{Input, Output, Register, Segment, input, output};

/// A form of the algorithm: how large its tiles are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// F(4x4, 3x3): a quarter of the multiplications.
    Four,
    /// F(2x2, 3x3): 4/9 of the multiplications, and about the rounding error of a plain sum.
    Two,
}

impl Form {
    /// How many there are.
    pub(crate) const COUNT: usize = 2;

    /// Rows and columns of an output tile.
    pub(crate) const fn out(self) -> usize {
        match self {
            Self::Four => 4,
            Self::Two => 2,
        }
    }

    /// Points of the transform: the pixels of an input tile.
    pub(crate) const fn points(self) -> usize {
        let side = self.out() + 2;
        side * side
    }

    /// The name for people.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Four => "F(4x4, 3x3)",
            Self::Two => "F(2x2, 3x3)",
        }
    }
}
