//! The one error type of this crate.

use core::ops::Range;

use crate::Shape4;

/// What can go wrong when tensors are made, reshaped or combined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TensorError {
    /// The product of the four sizes does not fit in memory.
    #[error(
        "shape ({n}, {c}, {h}, {w}) has more elements than can be addressed (at most {max})",
        max = Shape4::MAX_LEN
    )]
    TooLarge {
        /// Images.
        n: usize,
        /// Channels.
        c: usize,
        /// Rows.
        h: usize,
        /// Columns.
        w: usize,
    },
    /// A buffer has another length than its shape asks for.
    #[error("{operation}: shape {shape} needs {expected} elements, the buffer has {actual}")]
    Length {
        /// What was being done.
        operation: &'static str,
        /// The shape asked for.
        shape: Shape4,
        /// How many elements that shape has.
        expected: usize,
        /// How many elements the buffer has.
        actual: usize,
    },
    /// Two tensors that must have one shape have two.
    #[error("{operation}: the shapes {left} and {right} differ")]
    ShapeMismatch {
        /// What was being done.
        operation: &'static str,
        /// The shape on the left.
        left: Shape4,
        /// The shape on the right.
        right: Shape4,
    },
    /// A range of images reaches beyond the batch.
    #[error(
        "batch: the images {}..{} do not lie within a batch of {len}",
        range.start, range.end
    )]
    BatchRange {
        /// The range asked for.
        range: Range<usize>,
        /// How many images there are.
        len: usize,
    },
}
