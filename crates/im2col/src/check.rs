//! The checks of the arguments, shared by the fast functions and the naive ones.

use core::ops::Range;

use tensor4::Shape4;

use crate::{ConvGeometry, Im2colError, Layout};

/// Checks the range of output rows and the lengths of an image and of the columns of that range.
pub(crate) fn check(
    operation: &'static str,
    g: &ConvGeometry,
    layout: Layout,
    out_rows: &Range<usize>,
    image_len: usize,
    columns_len: usize,
) -> Result<(), Im2colError> {
    let out_h = g.out_h();
    if out_rows.start > out_rows.end || out_rows.end > out_h {
        return Err(Im2colError::OutRows { operation, range: out_rows.clone(), out_h });
    }
    if image_len != g.in_len() {
        return Err(Im2colError::ImageLength {
            operation,
            in_c: g.in_c(),
            in_h: g.in_h(),
            in_w: g.in_w(),
            expected: g.in_len(),
            actual: image_len,
        });
    }
    check_columns(operation, layout, g.patch_len(), out_rows.len() * g.out_w(), columns_len)
}

/// Checks the shape of a batch of images and the length of its columns.
pub(crate) fn check_batch(
    operation: &'static str,
    g: &ConvGeometry,
    layout: Layout,
    images: Shape4,
    columns_len: usize,
) -> Result<(), Im2colError> {
    let [n, c, h, w] = images.dims();
    let (in_c, in_h, in_w) = (g.in_c(), g.in_h(), g.in_w());
    if (c, h, w) != (in_c, in_h, in_w) {
        return Err(Im2colError::ImageShape { operation, in_c, in_h, in_w, actual: images });
    }
    // Also proves that `n * out_plane_len` below does not overflow.
    g.batch_columns_len(n)?;
    match layout {
        Layout::PatchRows => {
            check_columns(operation, layout, n * g.patch_len(), g.out_plane_len(), columns_len)
        }
        Layout::PixelRows => {
            check_columns(operation, layout, g.patch_len(), n * g.out_plane_len(), columns_len)
        }
    }
}

/// Checks the length of a matrix of `patches` x `pixels` elements.
fn check_columns(
    operation: &'static str,
    layout: Layout,
    patches: usize,
    pixels: usize,
    actual: usize,
) -> Result<(), Im2colError> {
    let expected = patches * pixels;
    if actual == expected {
        return Ok(());
    }
    let (rows, cols) = match layout {
        Layout::PatchRows => (patches, pixels),
        Layout::PixelRows => (pixels, patches),
    };
    Err(Im2colError::ColumnsLength { operation, layout, rows, cols, expected, actual })
}
