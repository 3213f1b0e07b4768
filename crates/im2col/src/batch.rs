//! Batches of images.

use tensor4::{Scalar, Shape4, Tensor4, View4, ViewMut4};

use crate::check::check_batch;
use crate::{ConvGeometry, Im2colError, Layout, Window, col2im as adjoint, unfold as forward};

/// Unfolds a batch `(N, C, H, W)`: copies the patch under each position of the window.
///
/// The result has the shape [`ConvGeometry::columns_shape`]: `(N, 1, C*KH*KW, OH*OW)` for
/// [`Layout::PatchRows`], the matrix `(N*OH*OW, C*KH*KW, 1, 1)` for [`Layout::PixelRows`].
/// Padding reads as 0.
///
/// # Errors
///
/// [`Im2colError::Geometry`] if the window does not fit the images or the result would be too
/// large.
pub fn unfold<'a, T: Scalar>(
    x: impl Into<View4<'a, T>>,
    window: Window,
    layout: Layout,
) -> Result<Tensor4<T>, Im2colError> {
    let x = x.into();
    let (g, shape) = geometry(x.shape(), window, layout)?;
    let mut columns = Tensor4::zeros(shape);
    unfold_batch_into(x, &g, layout, columns.data_mut())?;
    Ok(columns)
}

/// Unfolds a batch `(N, C, H, W)` into `columns`, [`ConvGeometry::batch_columns_len`] elements,
/// which it overwrites.
///
/// # Errors
///
/// [`Im2colError`] if the images have another shape than the geometry, or the columns another
/// length.
pub fn unfold_batch_into<'a, T: Scalar>(
    x: impl Into<View4<'a, T>>,
    g: &ConvGeometry,
    layout: Layout,
    columns: &mut [T],
) -> Result<(), Im2colError> {
    let x = x.into();
    check_batch("unfold_batch_into", g, layout, x.shape(), columns.len())?;
    let len = g.columns_len();
    for n in 0..x.shape().n() {
        forward::rows(x.image(n), g, layout, 0..g.out_h(), &mut columns[n * len..][..len]);
    }
    Ok(())
}

/// Folds the columns of a batch back into images of shape `in_shape`: the adjoint of [`unfold`]
/// (col2im of a batch).
///
/// Not its inverse: each pixel is the *sum* of its copies in the columns, and 0 if it has none.
/// For the average divide by [`overlap_counts`](crate::overlap_counts).
///
/// # Errors
///
/// [`Im2colError`] if the window does not fit the images, or the columns do not have the shape
/// that [`unfold`] gives them.
pub fn fold<'a, T: Scalar>(
    columns: impl Into<View4<'a, T>>,
    in_shape: Shape4,
    window: Window,
    layout: Layout,
) -> Result<Tensor4<T>, Im2colError> {
    let columns = columns.into();
    let (g, expected) = geometry(in_shape, window, layout)?;
    if columns.shape() != expected {
        let actual = columns.shape();
        return Err(Im2colError::ColumnsShape { operation: "fold", layout, expected, actual });
    }
    let mut dx = Tensor4::zeros(in_shape);
    add_batch(columns.data(), &g, layout, dx.view_mut());
    Ok(dx)
}

/// Folds the columns of a batch, [`ConvGeometry::batch_columns_len`] elements, into the images
/// `dx`, `(N, C, H, W)`, which it overwrites. The sums are those of [`fold`].
///
/// # Errors
///
/// [`Im2colError`] if the images have another shape than the geometry, or the columns another
/// length.
pub fn col2im_batch_into<'a, T: Scalar>(
    columns: &[T],
    g: &ConvGeometry,
    layout: Layout,
    dx: impl Into<ViewMut4<'a, T>>,
) -> Result<(), Im2colError> {
    let mut dx = dx.into();
    check_batch("col2im_batch_into", g, layout, dx.shape(), columns.len())?;
    dx.fill(T::ZERO);
    add_batch(columns, g, layout, dx);
    Ok(())
}

fn add_batch<T: Scalar>(columns: &[T], g: &ConvGeometry, layout: Layout, mut dx: ViewMut4<'_, T>) {
    let len = g.columns_len();
    for n in 0..dx.shape().n() {
        adjoint::rows_add(&columns[n * len..][..len], g, layout, 0..g.out_h(), dx.image_mut(n));
    }
}

/// The geometry of a batch, and the shape of its columns.
pub(crate) fn geometry(
    images: Shape4,
    window: Window,
    layout: Layout,
) -> Result<(ConvGeometry, Shape4), Im2colError> {
    let [n, c, h, w] = images.dims();
    let g = ConvGeometry::new(c, h, w, window)?;
    let shape = g.columns_shape(n, layout)?;
    Ok((g, shape))
}
