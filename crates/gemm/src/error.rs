//! The one error type of this crate.

use std::ops::Range;

/// What can go wrong when matrices are made or multiplied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GemmError {
    /// The slice of a contiguous matrix has another length than its sizes ask for.
    #[error(
        "{operation}: a {rows} x {cols} matrix needs {expected} elements, the slice has {actual}"
    )]
    Length {
        /// The constructor.
        operation: &'static str,
        /// Rows.
        rows: usize,
        /// Columns.
        cols: usize,
        /// `rows * cols`.
        expected: usize,
        /// The length of the slice.
        actual: usize,
    },
    /// The last element of a strided matrix lies beyond its slice.
    #[error(
        "{operation}: a {rows} x {cols} matrix with strides ({row_stride}, {col_stride}) reaches \
         over {needed} elements, the slice has {actual}"
    )]
    TooShort {
        /// The constructor.
        operation: &'static str,
        /// Rows.
        rows: usize,
        /// Columns.
        cols: usize,
        /// Distance from a row to the next, in elements.
        row_stride: usize,
        /// Distance from a column to the next, in elements.
        col_stride: usize,
        /// The least length that would do.
        needed: usize,
        /// The length of the slice.
        actual: usize,
    },
    /// The place of the last element does not fit in a `usize`.
    #[error(
        "{operation}: the last element of a {rows} x {cols} matrix with strides \
         ({row_stride}, {col_stride}) cannot be addressed; no slice is that long"
    )]
    TooLarge {
        /// The constructor.
        operation: &'static str,
        /// Rows.
        rows: usize,
        /// Columns.
        cols: usize,
        /// Distance from a row to the next, in elements.
        row_stride: usize,
        /// Distance from a column to the next, in elements.
        col_stride: usize,
    },
    /// A matrix to be written has strides that let rows and columns overlap.
    #[error(
        "{operation}: the rows and columns of a {rows} x {cols} matrix with strides \
         ({row_stride}, {col_stride}) overlap; to be written, it needs strides such as \
         ({cols}, 1) or (1, {rows}), or larger ones for padding"
    )]
    Overlap {
        /// The constructor.
        operation: &'static str,
        /// Rows.
        rows: usize,
        /// Columns.
        cols: usize,
        /// Distance from a row to the next, in elements.
        row_stride: usize,
        /// Distance from a column to the next, in elements.
        col_stride: usize,
    },
    /// A block reaches beyond its matrix, or one of its ranges runs backwards.
    #[error(
        "{operation}: rows {}..{} and columns {}..{} are no block of a {rows} x {cols} matrix",
        row_range.start, row_range.end, col_range.start, col_range.end
    )]
    Block {
        /// The method.
        operation: &'static str,
        /// The rows asked for.
        row_range: Range<usize>,
        /// The columns asked for.
        col_range: Range<usize>,
        /// Rows of the matrix.
        rows: usize,
        /// Columns of the matrix.
        cols: usize,
    },
    /// A and B cannot be multiplied.
    #[error(
        "{operation}: A is {a_rows} x {a_cols} and B is {b_rows} x {b_cols}; \
         the columns of A must be as many as the rows of B"
    )]
    Inner {
        /// The function.
        operation: &'static str,
        /// Rows of A.
        a_rows: usize,
        /// Columns of A.
        a_cols: usize,
        /// Rows of B.
        b_rows: usize,
        /// Columns of B.
        b_cols: usize,
    },
    /// C has another size than A B.
    #[error("{operation}: A B is {m} x {n}, C is {c_rows} x {c_cols}")]
    Outer {
        /// The function.
        operation: &'static str,
        /// Rows of A.
        m: usize,
        /// Columns of B.
        n: usize,
        /// Rows of C.
        c_rows: usize,
        /// Columns of C.
        c_cols: usize,
    },
    /// The operands were packed for the micro-kernels of different instruction sets.
    #[error("{operation}: A is packed for {a}, B for {b}")]
    Kernels {
        /// The function.
        operation: &'static str,
        /// The instruction set of A.
        a: &'static str,
        /// The instruction set of B.
        b: &'static str,
    },
    /// A product of a batch does not fit.
    #[error("product {index} of the batch: {source}")]
    Batch {
        /// Its place in the batch.
        index: usize,
        /// What is wrong with it.
        source: Box<GemmError>,
    },
}
