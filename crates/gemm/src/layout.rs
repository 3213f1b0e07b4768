//! Where the elements of a matrix stand in its slice: all of the index arithmetic, checked once.

use std::ops::Range;

use crate::GemmError;

/// Sizes and strides of a matrix. Element `(i, j)` stands at `i * row_stride + j * col_stride`.
///
/// A stride along which there is no step to take (at most one row, at most one column, or no
/// element at all) is stored as 0, so that every stride times an index within the matrix fits,
/// whatever the caller gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) row_stride: usize,
    pub(crate) col_stride: usize,
}

impl Layout {
    /// The layout of a matrix within a slice of `len` elements.
    pub(crate) fn new(
        operation: &'static str,
        len: usize,
        [rows, cols]: [usize; 2],
        [row_stride, col_stride]: [usize; 2],
    ) -> Result<Self, GemmError> {
        let layout = Self::normalised([rows, cols], [row_stride, col_stride]);
        let needed = layout.checked_span().ok_or(GemmError::TooLarge {
            operation,
            rows,
            cols,
            row_stride,
            col_stride,
        })?;
        if needed > len {
            return Err(GemmError::TooShort {
                operation,
                rows,
                cols,
                row_stride,
                col_stride,
                needed,
                actual: len,
            });
        }
        Ok(layout)
    }

    /// The layout of a contiguous matrix, row by row, that fills a slice of `len` elements.
    pub(crate) fn row_major(
        operation: &'static str,
        len: usize,
        [rows, cols]: [usize; 2],
    ) -> Result<Self, GemmError> {
        let expected = rows.checked_mul(cols).ok_or(GemmError::TooLarge {
            operation,
            rows,
            cols,
            row_stride: cols,
            col_stride: 1,
        })?;
        if expected != len {
            return Err(GemmError::Length { operation, rows, cols, expected, actual: len });
        }
        Ok(Self::normalised([rows, cols], [cols, 1]))
    }

    fn normalised([rows, cols]: [usize; 2], [row_stride, col_stride]: [usize; 2]) -> Self {
        let empty = rows == 0 || cols == 0;
        Self {
            rows,
            cols,
            row_stride: if empty || rows == 1 { 0 } else { row_stride },
            col_stride: if empty || cols == 1 { 0 } else { col_stride },
        }
    }

    pub(crate) fn is_empty(self) -> bool {
        self.rows == 0 || self.cols == 0
    }

    /// The elements from the first of the matrix to its last, padding included.
    pub(crate) fn span(self) -> usize {
        if self.is_empty() { 0 } else { self.offset(self.rows - 1, self.cols - 1) + 1 }
    }

    fn checked_span(self) -> Option<usize> {
        if self.is_empty() {
            return Some(0);
        }
        let row = (self.rows - 1).checked_mul(self.row_stride)?;
        let col = (self.cols - 1).checked_mul(self.col_stride)?;
        row.checked_add(col)?.checked_add(1)
    }

    /// Where an element stands.
    #[inline]
    pub(crate) fn offset(self, row: usize, col: usize) -> usize {
        debug_assert!(row < self.rows && col < self.cols);
        row * self.row_stride + col * self.col_stride
    }

    /// Whether columns are farther apart than rows, as in column-major order.
    pub(crate) fn is_col_major(self) -> bool {
        self.col_stride > self.row_stride
    }

    /// Whether one axis lies within a step of the other, as in row-major and column-major order
    /// with or without padding. Then no two elements stand at one place, and the matrix can be
    /// cut across its larger stride into blocks that share no part of the slice.
    pub(crate) fn is_nested(self) -> bool {
        let Self { rows, cols, row_stride, col_stride } = self;
        let (inner, inner_stride, outer, outer_stride) = if self.is_col_major() {
            (rows, row_stride, cols, col_stride)
        } else {
            (cols, col_stride, rows, row_stride)
        };
        // The span was checked, so that the product fits.
        self.is_empty()
            || (inner == 1 || inner_stride > 0)
                && (outer == 1 || outer_stride > (inner - 1) * inner_stride)
    }

    /// The layout of the transpose.
    pub(crate) fn t(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
        }
    }

    /// The layout of a block, and the range of the slice that it reaches over.
    pub(crate) fn block(
        self,
        operation: &'static str,
        row_range: Range<usize>,
        col_range: Range<usize>,
    ) -> Result<(Self, Range<usize>), GemmError> {
        let within = |range: &Range<usize>, len| range.start <= range.end && range.end <= len;
        if !within(&row_range, self.rows) || !within(&col_range, self.cols) {
            let Self { rows, cols, .. } = self;
            return Err(GemmError::Block { operation, row_range, col_range, rows, cols });
        }
        Ok(self.sub(row_range, col_range))
    }

    /// As `block`, of ranges that are known to lie within the matrix.
    pub(crate) fn sub(
        self,
        row_range: Range<usize>,
        col_range: Range<usize>,
    ) -> (Self, Range<usize>) {
        debug_assert!(row_range.end <= self.rows && col_range.end <= self.cols);
        let block = Self::normalised(
            [row_range.len(), col_range.len()],
            [self.row_stride, self.col_stride],
        );
        let start =
            if block.is_empty() { 0 } else { self.offset(row_range.start, col_range.start) };
        (block, start..start + block.span())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether two elements of the matrix share a place, by looking at all of them.
    fn collides(layout: Layout) -> bool {
        let mut seen = vec![false; layout.span()];
        (0..layout.rows)
            .flat_map(|i| (0..layout.cols).map(move |j| (i, j)))
            .any(|(i, j)| std::mem::replace(&mut seen[layout.offset(i, j)], true))
    }

    #[test]
    fn nested_layouts_never_collide_and_few_others_are_free_of_collisions() {
        let (mut nested, mut refused) = (0, 0);
        for rows in 0..5 {
            for cols in 0..5 {
                for row_stride in 0..12 {
                    for col_stride in 0..12 {
                        let layout = Layout::normalised([rows, cols], [row_stride, col_stride]);
                        if layout.is_nested() {
                            assert!(!collides(layout), "{layout:?}");
                            nested += 1;
                        } else if !collides(layout) {
                            // Interleaved, such as 3 x 2 with strides (2, 3).
                            let (low, high) =
                                (row_stride.min(col_stride), row_stride.max(col_stride));
                            assert!(low > 1 && high < 4 * low, "{layout:?}");
                            refused += 1;
                        }
                        assert_eq!(layout.is_nested(), layout.t().is_nested(), "{layout:?}");
                    }
                }
            }
        }
        assert!(nested > 1000 && refused > 0, "{nested} {refused}");
    }

    #[test]
    fn strides_that_lead_nowhere_are_forgotten() -> Result<(), GemmError> {
        let huge = usize::MAX;
        for (sizes, strides, span) in [
            ([1, 4], [huge, 2], 7),
            ([4, 1], [3, huge], 10),
            ([1, 1], [huge, huge], 1),
            ([0, huge], [huge, huge], 0),
            ([huge, 0], [huge, huge], 0),
        ] {
            let layout = Layout::new("test", span, sizes, strides)?;
            assert_eq!(layout.span(), span, "{layout:?}");
            assert!(layout.is_nested(), "{layout:?}");
        }
        Ok(())
    }
}
