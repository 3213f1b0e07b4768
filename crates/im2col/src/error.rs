//! The error types of this crate.

use alloc::boxed::Box;
use core::ops::Range;

use tensor4::{Shape4, TensorError};

use crate::{Layout, Window};

/// Why a window does not fit an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GeometryError {
    /// The kernel size, the stride or the dilation is 0.
    #[error("geometry: the {what} is {h}x{w}, both must be at least 1")]
    Zero {
        /// `"kernel"`, `"stride"` or `"dilation"`.
        what: &'static str,
        /// Its value over the rows.
        h: usize,
        /// Its value over the columns.
        w: usize,
    },
    /// The kernel covers more than the padded input.
    #[error(
        "geometry: a kernel of {dimension} {kernel} with dilation {dilation} covers {extent}, \
         but the input's {dimension} with padding is only {padded} \
         ({input} + {pad_before} + {pad_after})",
        padded = input.saturating_add(*pad_before).saturating_add(*pad_after)
    )]
    KernelTooLarge {
        /// `"height"` or `"width"`.
        dimension: &'static str,
        /// Size of the kernel.
        kernel: usize,
        /// Dilation of the kernel.
        dilation: usize,
        /// What the dilated kernel covers, `dilation * (kernel - 1) + 1`.
        extent: usize,
        /// Size of the input.
        input: usize,
        /// Padding at the top or on the left.
        pad_before: usize,
        /// Padding at the bottom or on the right.
        pad_after: usize,
    },
    /// A size does not fit in memory.
    #[error(
        "geometry: the {what} of an input of shape (C, H, W) = ({in_c}, {in_h}, {in_w}) under a \
         window of {window} is more than can be addressed (at most {max})",
        max = Shape4::MAX_LEN
    )]
    TooLarge {
        /// Which size, such as `"length of the columns"`.
        what: &'static str,
        /// Channels.
        in_c: usize,
        /// Rows.
        in_h: usize,
        /// Columns.
        in_w: usize,
        /// The window (boxed, to keep a `Result` small).
        window: Box<Window>,
    },
    /// The columns of a batch do not fit in memory.
    #[error(
        "geometry: the columns of {n} images, {columns_len} elements each, are more than can be \
         addressed (at most {max})",
        max = Shape4::MAX_LEN
    )]
    BatchTooLarge {
        /// Images.
        n: usize,
        /// Length of the columns of one image.
        columns_len: usize,
    },
}

/// What can go wrong when images are unfolded or columns are folded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Im2colError {
    /// The window does not fit the image.
    #[error(transparent)]
    Geometry(#[from] GeometryError),
    /// A tensor cannot be made.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// The image has another length than its geometry.
    #[error(
        "{operation}: an image of shape (C, H, W) = ({in_c}, {in_h}, {in_w}) has {expected} \
         elements, the buffer has {actual}"
    )]
    ImageLength {
        /// What was being done.
        operation: &'static str,
        /// Channels.
        in_c: usize,
        /// Rows.
        in_h: usize,
        /// Columns.
        in_w: usize,
        /// How many elements the image has.
        expected: usize,
        /// How many elements the buffer has.
        actual: usize,
    },
    /// The columns have another length than the geometry and the range of rows ask for.
    #[error(
        "{operation}: the columns are {rows} x {cols} ({layout:?}), which is {expected} \
         elements, the buffer has {actual}"
    )]
    ColumnsLength {
        /// What was being done.
        operation: &'static str,
        /// The layout asked for.
        layout: Layout,
        /// Rows of the matrix in that layout.
        rows: usize,
        /// Columns of the matrix in that layout.
        cols: usize,
        /// How many elements that makes.
        expected: usize,
        /// How many elements the buffer has.
        actual: usize,
    },
    /// A range of output rows reaches beyond the output, or runs backwards.
    #[error(
        "{operation}: the output rows {}..{} do not lie within an output of {out_h} rows",
        range.start, range.end
    )]
    OutRows {
        /// What was being done.
        operation: &'static str,
        /// The range asked for.
        range: Range<usize>,
        /// How many output rows there are.
        out_h: usize,
    },
    /// The images have another shape than the geometry.
    #[error(
        "{operation}: the geometry is that of (N, {in_c}, {in_h}, {in_w}), the images are {actual}"
    )]
    ImageShape {
        /// What was being done.
        operation: &'static str,
        /// Channels of the geometry.
        in_c: usize,
        /// Rows of the geometry.
        in_h: usize,
        /// Columns of the geometry.
        in_w: usize,
        /// The shape of the images.
        actual: Shape4,
    },
    /// The columns have another shape than the images and the window ask for.
    #[error("{operation}: the columns ({layout:?}) must be {expected}, they are {actual}")]
    ColumnsShape {
        /// What was being done.
        operation: &'static str,
        /// The layout asked for.
        layout: Layout,
        /// The shape that would fit.
        expected: Shape4,
        /// The shape of the columns.
        actual: Shape4,
    },
}
