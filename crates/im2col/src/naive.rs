//! The slow and obvious versions: one index formula per element, to read and to test against.

use tensor4::{Scalar, Shape4, Tensor4, View4};

use crate::batch::geometry;
use crate::check::check;
use crate::{ConvGeometry, Im2colError, Layout, Window};

/// As [`unfold_into`](crate::unfold_into).
///
/// # Errors
///
/// [`Im2colError`] if a buffer has another length.
pub fn unfold_into<T: Scalar>(
    image: &[T],
    g: &ConvGeometry,
    layout: Layout,
    columns: &mut [T],
) -> Result<(), Im2colError> {
    check("naive::unfold_into", g, layout, &(0..g.out_h()), image.len(), columns.len())?;
    for_each_tap(g, layout, |column, pixel| {
        columns[column] = pixel.map_or(T::ZERO, |pixel| image[pixel]);
    });
    Ok(())
}

/// As [`col2im_into`](crate::col2im_into): overwrites the image with the sums.
///
/// # Errors
///
/// [`Im2colError`] if a buffer has another length.
pub fn col2im_into<T: Scalar>(
    columns: &[T],
    g: &ConvGeometry,
    layout: Layout,
    image: &mut [T],
) -> Result<(), Im2colError> {
    check("naive::col2im_into", g, layout, &(0..g.out_h()), image.len(), columns.len())?;
    image.fill(T::ZERO);
    for_each_tap(g, layout, |column, pixel| {
        if let Some(pixel) = pixel {
            image[pixel] += columns[column];
        }
    });
    Ok(())
}

/// As [`unfold`](crate::unfold()).
///
/// # Errors
///
/// As [`unfold`](crate::unfold()).
pub fn unfold<'a, T: Scalar>(
    x: impl Into<View4<'a, T>>,
    window: Window,
    layout: Layout,
) -> Result<Tensor4<T>, Im2colError> {
    let x = x.into();
    let (g, shape) = geometry(x.shape(), window, layout)?;
    let mut columns = Tensor4::zeros(shape);
    let len = g.columns_len();
    for n in 0..x.shape().n() {
        unfold_into(x.image(n), &g, layout, &mut columns.data_mut()[n * len..][..len])?;
    }
    Ok(columns)
}

/// As [`fold`](crate::fold).
///
/// # Errors
///
/// As [`fold`](crate::fold).
pub fn fold<'a, T: Scalar>(
    columns: impl Into<View4<'a, T>>,
    in_shape: Shape4,
    window: Window,
    layout: Layout,
) -> Result<Tensor4<T>, Im2colError> {
    let columns = columns.into();
    let (g, expected) = geometry(in_shape, window, layout)?;
    let actual = columns.shape();
    if actual != expected {
        let operation = "naive::fold";
        return Err(Im2colError::ColumnsShape { operation, layout, expected, actual });
    }
    let mut dx = Tensor4::zeros(in_shape);
    let len = g.columns_len();
    for n in 0..in_shape.n() {
        let columns = &columns.data()[n * len..][..len];
        col2im_into(columns, &g, layout, dx.view_mut().image_mut(n))?;
    }
    Ok(dx)
}

/// As [`col2im`](crate::col2im()), the call of the book.
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

/// Calls `f` with the index of each element of the columns of an image and that of the pixel it
/// stands for (`None` for padding), position by position of the window.
fn for_each_tap(g: &ConvGeometry, layout: Layout, mut f: impl FnMut(usize, Option<usize>)) {
    let w = g.window();
    let (in_h, in_w, out_w) = (g.in_h(), g.in_w(), g.out_w());
    for oh in 0..g.out_h() {
        for ow in 0..out_w {
            for c in 0..g.in_c() {
                for kh in 0..w.kernel_h {
                    for kw in 0..w.kernel_w {
                        let patch = (c * w.kernel_h + kh) * w.kernel_w + kw;
                        let pixel = oh * out_w + ow;
                        let column = match layout {
                            Layout::PatchRows => patch * g.out_plane_len() + pixel,
                            Layout::PixelRows => pixel * g.patch_len() + patch,
                        };
                        let ih = (oh * w.stride_h + kh * w.dilation_h)
                            .checked_sub(w.padding.top)
                            .filter(|&ih| ih < in_h);
                        let iw = (ow * w.stride_w + kw * w.dilation_w)
                            .checked_sub(w.padding.left)
                            .filter(|&iw| iw < in_w);
                        let at = ih.zip(iw).map(|(ih, iw)| (c * in_h + ih) * in_w + iw);
                        f(column, at);
                    }
                }
            }
        }
    }
}
