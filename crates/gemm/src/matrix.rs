//! Borrowed matrices.

use std::ops::{Index, IndexMut, Range};

use crate::GemmError;
use crate::layout::Layout;

/// A matrix to be read: a slice, two sizes, two strides. Strides may be anything that stays
/// within the slice, 0 (a row repeated) included.
// Invariant: `data.len() == layout.span()`, the elements from the first of the matrix to its last.
// `layout` is private to the crate, and made by `Layout`'s checked constructors only.
#[derive(Debug)]
pub struct MatRef<'a, T> {
    data: &'a [T],
    layout: Layout,
}

// Not derived: a derive would ask for `T: Copy`.
impl<T> Clone for MatRef<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for MatRef<'_, T> {}

impl<'a, T> MatRef<'a, T> {
    /// The `rows` x `cols` matrix whose element `(i, j)` is `data[i * row_stride + j * col_stride]`.
    ///
    /// The slice may be longer than the matrix. A stride does not matter where its index is
    /// always 0 (a single row, a single column, an empty matrix).
    ///
    /// # Errors
    ///
    /// - [`GemmError::TooShort`] if the last element lies beyond `data`;
    /// - [`GemmError::TooLarge`] if its place does not even fit in a `usize`.
    pub fn new(
        data: &'a [T],
        rows: usize,
        cols: usize,
        row_stride: usize,
        col_stride: usize,
    ) -> Result<Self, GemmError> {
        let layout =
            Layout::new("MatRef::new", data.len(), [rows, cols], [row_stride, col_stride])?;
        Ok(Self { data: &data[..layout.span()], layout })
    }

    /// The contiguous `rows` x `cols` matrix that fills `data` row by row.
    ///
    /// # Errors
    ///
    /// - [`GemmError::Length`] if `data` does not have exactly `rows * cols` elements;
    /// - [`GemmError::TooLarge`] if that product overflows.
    pub fn row_major(data: &'a [T], rows: usize, cols: usize) -> Result<Self, GemmError> {
        let layout = Layout::row_major("MatRef::row_major", data.len(), [rows, cols])?;
        Ok(Self { data, layout })
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.layout.rows
    }

    /// Number of columns.
    #[must_use]
    pub fn cols(&self) -> usize {
        self.layout.cols
    }

    /// The transpose, in place: rows become columns.
    #[must_use]
    pub fn t(self) -> Self {
        Self { data: self.data, layout: self.layout.t() }
    }

    /// The block of the given rows and columns, in place. It may be empty.
    ///
    /// # Errors
    ///
    /// [`GemmError::Block`] if a range reaches beyond the matrix or runs backwards.
    pub fn block(self, rows: Range<usize>, cols: Range<usize>) -> Result<Self, GemmError> {
        let (layout, range) = self.layout.block("MatRef::block", rows, cols)?;
        Ok(Self { data: &self.data[range], layout })
    }

    /// The elements from the first to the last, padding included.
    pub(crate) fn data(&self) -> &'a [T] {
        self.data
    }

    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    /// The row stride and the column stride.
    pub(crate) fn signed_strides(&self) -> [isize; 2] {
        // A stride is 0, or leads from one element of the slice to another.
        [self.layout.row_stride, self.layout.col_stride]
            .map(|stride| isize::try_from(stride).expect("a stride lies within a slice"))
    }
}

impl<T> Index<(usize, usize)> for MatRef<'_, T> {
    type Output = T;

    /// The element in the given row and column.
    ///
    /// # Panics
    ///
    /// If it lies outside of the matrix.
    fn index(&self, (row, col): (usize, usize)) -> &T {
        assert_within(self.layout, row, col);
        &self.data[self.layout.offset(row, col)]
    }
}

/// A matrix to be written: a slice, two sizes, two strides.
///
/// No two elements share a place. More than that, one axis must lie within a step of the other,
/// as it does in row-major and in column-major order, with or without padding: the larger stride
/// exceeds `(size - 1) * stride` of the other axis. (Interleaved layouts, such as 3 x 2 with
/// strides 2 and 3, are refused as well.)
///
/// The elements between those of the matrix, its padding, are never touched.
// Invariants: `data.len() == layout.span()`, and `layout.is_nested()`.
#[derive(Debug)]
pub struct MatMut<'a, T> {
    data: &'a mut [T],
    layout: Layout,
}

impl<'a, T> MatMut<'a, T> {
    /// The `rows` x `cols` matrix whose element `(i, j)` is `data[i * row_stride + j * col_stride]`.
    ///
    /// The slice may be longer than the matrix. A stride does not matter where its index is
    /// always 0 (a single row, a single column, an empty matrix).
    ///
    /// # Errors
    ///
    /// - [`GemmError::TooShort`] if the last element lies beyond `data`;
    /// - [`GemmError::TooLarge`] if its place does not even fit in a `usize`;
    /// - [`GemmError::Overlap`] if rows and columns overlap.
    pub fn new(
        data: &'a mut [T],
        rows: usize,
        cols: usize,
        row_stride: usize,
        col_stride: usize,
    ) -> Result<Self, GemmError> {
        let operation = "MatMut::new";
        let layout = Layout::new(operation, data.len(), [rows, cols], [row_stride, col_stride])?;
        if !layout.is_nested() {
            return Err(GemmError::Overlap { operation, rows, cols, row_stride, col_stride });
        }
        Ok(Self { data: &mut data[..layout.span()], layout })
    }

    /// The contiguous `rows` x `cols` matrix that fills `data` row by row.
    ///
    /// # Errors
    ///
    /// - [`GemmError::Length`] if `data` does not have exactly `rows * cols` elements;
    /// - [`GemmError::TooLarge`] if that product overflows.
    pub fn row_major(data: &'a mut [T], rows: usize, cols: usize) -> Result<Self, GemmError> {
        let layout = Layout::row_major("MatMut::row_major", data.len(), [rows, cols])?;
        Ok(Self { data, layout })
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.layout.rows
    }

    /// Number of columns.
    #[must_use]
    pub fn cols(&self) -> usize {
        self.layout.cols
    }

    /// The transpose, in place: rows become columns.
    #[must_use]
    pub fn t(self) -> Self {
        Self { data: self.data, layout: self.layout.t() }
    }

    /// A shorter borrow of the same matrix.
    #[must_use]
    pub fn reborrow(&mut self) -> MatMut<'_, T> {
        MatMut { data: self.data, layout: self.layout }
    }

    /// The same matrix, to be read.
    #[must_use]
    pub fn as_ref(&self) -> MatRef<'_, T> {
        MatRef { data: self.data, layout: self.layout }
    }

    /// The block of the given rows and columns, in place. It may be empty.
    ///
    /// # Errors
    ///
    /// [`GemmError::Block`] if a range reaches beyond the matrix or runs backwards.
    pub fn block_mut(
        &mut self,
        rows: Range<usize>,
        cols: Range<usize>,
    ) -> Result<MatMut<'_, T>, GemmError> {
        let (layout, range) = self.layout.block("MatMut::block_mut", rows, cols)?;
        Ok(MatMut { data: &mut self.data[range], layout })
    }

    /// The elements from the first to the last, padding included.
    pub(crate) fn data_mut(&mut self) -> &mut [T] {
        self.data
    }

    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    /// All elements, padding included, to be handed out in pieces.
    pub(crate) fn into_pieces(self) -> Pieces<'a, T> {
        Pieces { rest: self.data, taken: 0 }
    }

    /// The matrix of a piece that `Layout::sub` has located within a `MatMut`.
    pub(crate) fn from_piece(data: &'a mut [T], layout: Layout) -> Self {
        assert!(data.len() == layout.span() && layout.is_nested(), "{layout:?}");
        Self { data, layout }
    }
}

impl<T> Index<(usize, usize)> for MatMut<'_, T> {
    type Output = T;

    /// The element in the given row and column.
    ///
    /// # Panics
    ///
    /// If it lies outside of the matrix.
    fn index(&self, (row, col): (usize, usize)) -> &T {
        assert_within(self.layout, row, col);
        &self.data[self.layout.offset(row, col)]
    }
}

impl<T> IndexMut<(usize, usize)> for MatMut<'_, T> {
    /// The element in the given row and column.
    ///
    /// # Panics
    ///
    /// If it lies outside of the matrix.
    fn index_mut(&mut self, (row, col): (usize, usize)) -> &mut T {
        assert_within(self.layout, row, col);
        &mut self.data[self.layout.offset(row, col)]
    }
}

#[inline]
fn assert_within(layout: Layout, row: usize, col: usize) {
    let Layout { rows, cols, .. } = layout;
    assert!(row < rows && col < cols, "element ({row}, {col}) of a {rows} x {cols} matrix");
}

/// A slice handed out piece by piece, from its beginning to its end.
pub(crate) struct Pieces<'a, T> {
    rest: &'a mut [T],
    taken: usize,
}

impl<'a, T> Pieces<'a, T> {
    /// The elements of a range that begins where the one before ended, or later.
    ///
    /// # Panics
    ///
    /// If it begins earlier, or ends beyond the slice.
    pub(crate) fn take(&mut self, range: Range<usize>) -> &'a mut [T] {
        let gap = range.start.checked_sub(self.taken).expect("pieces are taken in order");
        self.rest.split_off_mut(..gap).expect("a piece lies within its slice");
        self.taken = range.end;
        self.rest.split_off_mut(..range.len()).expect("a piece lies within its slice")
    }
}
