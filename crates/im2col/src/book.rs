//! The two calls of the introductory books.

use tensor4::{Scalar, Shape4, Tensor4};

use crate::{Im2colError, Layout, Window, fold, unfold};

/// Unfolds a batch `(N, C, H, W)` into the matrix `(N*OH*OW, C*filter_h*filter_w)`, with the
/// arguments of the book: one stride, and one padding on all four sides.
///
/// The same as [`unfold`] in [`Layout::PixelRows`].
///
/// ```
/// use tensor4::{Shape4, Tensor4};
///
/// let x = Tensor4::<f32>::zeros(Shape4::new(10, 3, 7, 7)?);
/// let col = im2col::im2col(&x, 5, 5, 1, 0)?;
/// assert_eq!(col.matrix_dims(), (90, 75));
/// # Ok::<(), im2col::Im2colError>(())
/// ```
///
/// # Errors
///
/// As [`unfold`].
pub fn im2col<T: Scalar>(
    x: &Tensor4<T>,
    filter_h: usize,
    filter_w: usize,
    stride: usize,
    pad: usize,
) -> Result<Tensor4<T>, Im2colError> {
    unfold(x, Window::new(filter_h, filter_w).stride(stride).pad(pad), Layout::PixelRows)
}

/// Folds the matrix `(N*OH*OW, C*filter_h*filter_w)` back into images of shape `in_shape`, with the
/// arguments of the book. Overlaps are summed: the adjoint of [`im2col`], not its inverse.
///
/// The same as [`fold`] in [`Layout::PixelRows`].
///
/// # Errors
///
/// As [`fold`].
pub fn col2im<T: Scalar>(
    col: &Tensor4<T>,
    in_shape: Shape4,
    filter_h: usize,
    filter_w: usize,
    stride: usize,
    pad: usize,
) -> Result<Tensor4<T>, Im2colError> {
    let window = Window::new(filter_h, filter_w).stride(stride).pad(pad);
    fold(col, in_shape, window, Layout::PixelRows)
}
