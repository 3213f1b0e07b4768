//! Bringing a matrix into panels.

use crate::{GemmScalar, MatRef};

/// Terms (and rows) that are transposed together.
const SIDE: usize = 4;

/// Packs the rows of a matrix, `width` in a panel, 0 beyond the last; `panels` has the length of
/// all of them.
pub(super) fn pack<T: GemmScalar>(matrix: MatRef<'_, T>, width: usize, panels: &mut [T]) {
    let (rows, k) = (matrix.rows(), matrix.cols());
    if k == 0 || rows == 0 {
        return;
    }
    let layout = matrix.layout();
    for (index, panel) in panels.chunks_exact_mut(width * k).enumerate() {
        let top = index * width;
        let height = width.min(rows - top);
        let data = &matrix.data()[layout.offset(top, 0)..];
        if height < width {
            panel.fill(T::default());
        }
        // A stride of 0 stands where there is one row or one column.
        let (row_stride, col_stride) = (layout.row_stride, layout.col_stride);
        if row_stride == 1 || height == 1 {
            for (i, terms) in panel.chunks_exact_mut(width).enumerate() {
                terms[..height].copy_from_slice(&data[i * col_stride..][..height]);
            }
        } else if col_stride == 1 {
            pack_rows(data, row_stride, k, width, height, panel);
        } else {
            for (i, terms) in panel.chunks_exact_mut(width).enumerate() {
                for (row, term) in terms[..height].iter_mut().enumerate() {
                    *term = data[row * row_stride + i * col_stride];
                }
            }
        }
    }
}

/// Packs contiguous rows of `k` elements: a transposition, by small squares.
fn pack_rows<T: GemmScalar>(
    data: &[T],
    stride: usize,
    k: usize,
    width: usize,
    height: usize,
    panel: &mut [T],
) {
    let whole = height - height % SIDE;
    for row in (0..whole).step_by(SIDE) {
        let rows: [&[T]; SIDE] = std::array::from_fn(|r| &data[(row + r) * stride..][..k]);
        let (squares, mut rest) = panel.split_at_mut(k / SIDE * SIDE * width);
        for (square, terms) in squares.chunks_exact_mut(SIDE * width).enumerate() {
            let from: [&[T; SIDE]; SIDE] = std::array::from_fn(|r| {
                rows[r][square * SIDE..].first_chunk().expect("a square lies within the rows")
            });
            for i in 0..SIDE {
                let to: &mut [T; SIDE] =
                    terms[i * width + row..].first_chunk_mut().expect("a panel is as wide");
                *to = std::array::from_fn(|r| from[r][i]);
            }
        }
        for i in k / SIDE * SIDE..k {
            for (term, row) in rest[row..row + SIDE].iter_mut().zip(rows) {
                *term = row[i];
            }
            rest = &mut rest[width..];
        }
    }
    for row in whole..height {
        let elements = &data[row * stride..][..k];
        for (terms, &element) in panel.chunks_exact_mut(width).zip(elements) {
            terms[row] = element;
        }
    }
}
