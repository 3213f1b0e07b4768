//! The adjoint of the unfolding of one image.

use core::array::from_fn;
use core::ops::Range;
use core::slice::ChunksMut;

use tensor4::Scalar;

use crate::axis::Axis;
use crate::check::check;
use crate::unfold::{channels_per_block, intersect, pixels_per_block};
use crate::{ConvGeometry, Im2colError, Layout};

/// Adds up the columns of an image, [`ConvGeometry::columns_len`] elements, into the image
/// `(C, H, W)`, which it overwrites.
///
/// The adjoint of [`unfold_into`](crate::unfold_into), not its inverse: each pixel is the sum of
/// its copies in the columns, and 0 if it has none. What the columns hold for the padding is
/// dropped.
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
    check("col2im_into", g, layout, &(0..g.out_h()), image.len(), columns.len())?;
    image.fill(T::ZERO);
    rows_add(columns, g, layout, 0..g.out_h(), image);
    Ok(())
}

/// Adds the columns of a range of output rows to the image `(C, H, W)`: accumulates.
///
/// The columns are those of [`unfold_rows_into`](crate::unfold_rows_into), a matrix
/// `(C*KH*KW, rows*OW)` or `(rows*OW, C*KH*KW)` of [`ConvGeometry::rows_columns_len`] elements.
/// Chunks added one after another, from the first output row to the last, give the same bits as
/// the whole at once.
///
/// # Errors
///
/// [`Im2colError`] if the range reaches beyond the output or a buffer has another length; the
/// image is then as it was.
pub fn col2im_rows_add<T: Scalar>(
    columns: &[T],
    g: &ConvGeometry,
    layout: Layout,
    out_rows: Range<usize>,
    image: &mut [T],
) -> Result<(), Im2colError> {
    check("col2im_rows_add", g, layout, &out_rows, image.len(), columns.len())?;
    rows_add(columns, g, layout, out_rows, image);
    Ok(())
}

/// As [`col2im_rows_add`], with arguments that have been checked.
pub(crate) fn rows_add<T: Scalar>(
    columns: &[T],
    g: &ConvGeometry,
    layout: Layout,
    out_rows: Range<usize>,
    image: &mut [T],
) {
    if columns.is_empty() || image.is_empty() {
        return; // The chunks below would have length 0.
    }
    match layout {
        Layout::PatchRows => patch_rows(columns, g, out_rows, image),
        // The usual kernels with their width known to the compiler.
        Layout::PixelRows => match (g.cols().dilation, g.cols().kernel) {
            (1, 1) => pixel_rows::<T, 1>(columns, g, out_rows, image),
            (1, 2) => pixel_rows::<T, 2>(columns, g, out_rows, image),
            (1, 3) => pixel_rows::<T, 3>(columns, g, out_rows, image),
            (1, 4) => pixel_rows::<T, 4>(columns, g, out_rows, image),
            (1, 5) => pixel_rows::<T, 5>(columns, g, out_rows, image),
            (1, 7) => pixel_rows::<T, 7>(columns, g, out_rows, image),
            _ => pixel_rows::<T, 0>(columns, g, out_rows, image),
        },
    }
}

/// The taps run backwards, so that a pixel meets its windows in the order of the output: a later
/// tap on the same pixel belongs to an earlier window. Hence the sums do not depend on the layout,
/// nor on how the output rows are cut.
fn patch_rows<T: Scalar>(columns: &[T], g: &ConvGeometry, out_rows: Range<usize>, image: &mut [T]) {
    let (rows, cols) = (g.rows(), g.cols());
    let (in_w, out_w) = (cols.input, cols.output);
    let row_len = out_rows.len() * out_w;
    let channel_len = rows.kernel * cols.kernel * row_len;
    let planes = image.chunks_exact_mut(rows.input * in_w);

    for (plane, columns) in planes.zip(columns.chunks_exact(channel_len)) {
        for kh in (0..rows.kernel).rev() {
            let valid_h = intersect(rows.outputs(kh), &out_rows);
            if valid_h.is_empty() {
                continue;
            }
            let ih = rows.input_at(valid_h.start, kh);
            for kw in (0..cols.kernel).rev() {
                let valid_w = cols.outputs(kw);
                if valid_w.is_empty() {
                    continue;
                }
                let iw = cols.input_at(valid_w.start, kw);
                let dst = &mut plane[ih * in_w + iw..];
                let src = &columns[(kh * cols.kernel + kw) * row_len..][..row_len];
                let src = &src[(valid_h.start - out_rows.start) * out_w..][..valid_h.len() * out_w];
                let pitch = rows.stride * in_w;
                match cols.stride {
                    1 => add_rows::<T, 1>(src, out_w, valid_w, dst, pitch, 1),
                    2 => add_rows::<T, 2>(src, out_w, valid_w, dst, pitch, 2),
                    3 => add_rows::<T, 3>(src, out_w, valid_w, dst, pitch, 3),
                    4 => add_rows::<T, 4>(src, out_w, valid_w, dst, pitch, 4),
                    s => add_rows::<T, 0>(src, out_w, valid_w, dst, pitch, s),
                }
            }
        }
    }
}

/// Adds rows, `width` apart, to every `stride`-th element of rows `pitch` apart. `S` is the stride,
/// or 0 if the compiler does not know it.
fn add_rows<T: Scalar, const S: usize>(
    src: &[T],
    width: usize,
    valid_w: Range<usize>,
    dst: &mut [T],
    pitch: usize,
    stride: usize,
) {
    for (row, src) in src.chunks_exact(width).enumerate() {
        let src = &src[valid_w.clone()];
        let dst = &mut dst[row * pitch..];
        match S {
            0 => add_any(dst, src, stride),
            1 => dst[..src.len()].iter_mut().zip(src).for_each(|(dst, src)| *dst += *src),
            _ => {
                let (steps, rest) = dst.as_chunks_mut::<S>();
                steps.iter_mut().zip(src).for_each(|(step, src)| step[0] += *src);
                // The last step may be cut off by the end of the plane.
                if let (Some(dst), Some(src)) = (rest.first_mut(), src.get(steps.len())) {
                    *dst += *src;
                }
            }
        }
    }
}

/// Adds `src` to every `stride`-th element of `dst`, from the first on.
fn add_any<T: Scalar>(dst: &mut [T], src: &[T], stride: usize) {
    dst.iter_mut().step_by(stride).zip(src).for_each(|(dst, src)| *dst += *src);
}

/// `K` is the kernel's width, with a dilation of 1 along it, or 0 if the compiler does not know it.
///
/// Within a row of the output the pixels are added from left to right, the edges included, so that
/// the order of the sums is that of the windows.
fn pixel_rows<T: Scalar, const K: usize>(
    columns: &[T],
    g: &ConvGeometry,
    out_rows: Range<usize>,
    image: &mut [T],
) {
    let (rows, cols) = (g.rows(), g.cols());
    let plane_len = rows.input * cols.input;
    let patch_len = g.patch_len();
    let inner = cols.inner_outputs();
    let square = K > 0 && rows.kernel == K && rows.dilation == 1;
    // Neighbouring pixels add to the same inputs. Unless their sums stay in registers, it is
    // quicker to go through all channels of one before the next.
    let block = if K > 0 && cols.stride == 1 { pixels_per_block(patch_len) } else { 1 };

    for (oh, columns) in out_rows.zip(columns.chunks_exact(cols.output * patch_len)) {
        let taps_h = rows.taps(oh);
        if taps_h.is_empty() {
            continue;
        }
        let add_edges = |image: &mut [T], pixels: Range<usize>| {
            for ow in pixels {
                add_edge(&columns[ow * patch_len..][..patch_len], g, oh, ow, &taps_h, image);
            }
        };
        add_edges(image, 0..inner.start);
        if square && taps_h.len() == K {
            add_patches::<T, K>(columns, g, oh, inner.clone(), image);
        } else {
            for first in inner.clone().step_by(block) {
                let pixels = first..inner.end.min(first + block);
                let columns = &columns[pixels.start * patch_len..pixels.end * patch_len];
                for c in 0..g.in_c() {
                    for kh in taps_h.clone() {
                        let ih = rows.input_at(oh, kh);
                        let iw = cols.input_at(first, 0);
                        let dst = &mut image[c * plane_len + ih * cols.input + iw..];
                        let src = &columns[(c * rows.kernel + kh) * cols.kernel..];
                        add_taps::<T, K>(src, patch_len, &cols, dst);
                    }
                }
            }
        }
        add_edges(image, inner.end..cols.output);
    }
}

/// Adds a patch that reaches over the left or right edge, a column of the kernel after the other: so
/// the innermost loops are long.
fn add_edge<T: Scalar>(
    patch: &[T],
    g: &ConvGeometry,
    oh: usize,
    ow: usize,
    taps_h: &Range<usize>,
    image: &mut [T],
) {
    let (rows, cols) = (g.rows(), g.cols());
    for kw in cols.taps(ow) {
        let to = rows.input_at(oh, taps_h.start) * cols.input + cols.input_at(ow, kw);
        let planes = image[to..].chunks_mut(rows.input * cols.input);
        for (patch, plane) in patch.chunks_exact(rows.kernel * cols.kernel).zip(planes) {
            let taps = patch[taps_h.start * cols.kernel + kw..].iter().step_by(cols.kernel);
            let pixels = plane.iter_mut().step_by(rows.dilation * cols.input);
            pixels.zip(taps).take(taps_h.len()).for_each(|(pixel, tap)| *pixel += *tap);
        }
    }
}

/// Adds whole square patches, all channels of a pixel before the next, so that columns are read from
/// beginning to end. At stride 1 several neighbouring pixels are added at once, each sum in the order
/// of the pixels: one through memory would wait for the one before.
// Inlined, it would be compiled worse.
#[inline(never)]
fn add_patches<T: Scalar, const K: usize>(
    columns: &[T],
    g: &ConvGeometry,
    oh: usize,
    pixels: Range<usize>,
    image: &mut [T],
) {
    let (rows, cols) = (g.rows(), g.cols());
    let (in_w, plane_len, patch_len) = (cols.input, rows.input * cols.input, g.patch_len());
    let block = channels_per_block(K);
    for first in (0..g.in_c()).step_by(block) {
        let len = block.min(g.in_c() - first) * K * K;
        let mut ow = pixels.start;
        while ow < pixels.end {
            let to = first * plane_len + rows.input_at(oh, 0) * in_w + cols.input_at(ow, 0);
            let planes = image[to..].chunks_mut(plane_len);
            let src = &columns[ow * patch_len + first * K * K..];
            if cols.stride == 1 && ow + NEIGHBOURS <= pixels.end {
                let src = from_fn(|pixel| &src[pixel * patch_len..][..len]);
                add_neighbours::<T, K>(src, planes, in_w);
                ow += NEIGHBOURS;
                continue;
            }
            for (plane, patch) in planes.zip(src[..len].chunks_exact(K * K)) {
                for kh in 0..K {
                    let (dst, src) = (&mut plane[kh * in_w..][..K], &patch[kh * K..][..K]);
                    dst.iter_mut().zip(src).for_each(|(dst, src)| *dst += *src);
                }
            }
            ow += 1;
        }
    }
}

/// How many pixels are added at once.
const NEIGHBOURS: usize = 6;

/// Adds the square patches of neighbouring pixels, stride 1, to planes whose rows are `in_w` apart.
#[inline(always)]
fn add_neighbours<T: Scalar, const K: usize>(
    src: [&[T]; NEIGHBOURS],
    planes: ChunksMut<'_, T>,
    in_w: usize,
) {
    for (c, plane) in (0..src[0].len() / (K * K)).zip(planes) {
        let patches: [&[T]; NEIGHBOURS] = from_fn(|pixel| &src[pixel][c * K * K..][..K * K]);
        for kh in 0..K {
            let dst = &mut plane[kh * in_w..][..K + NEIGHBOURS - 1];
            for (i, dst) in dst.iter_mut().enumerate() {
                let mut sum = *dst;
                for (pixel, patch) in patches.iter().enumerate() {
                    if i >= pixel && i - pixel < K {
                        sum += patch[kh * K + i - pixel];
                    }
                }
                *dst = sum;
            }
        }
    }
}

/// Adds a row of the kernel's taps from each pixel, `patch_len` apart.
#[inline(always)]
fn add_taps<T: Scalar, const K: usize>(src: &[T], patch_len: usize, cols: &Axis, dst: &mut [T]) {
    let pixels = src.chunks(patch_len);
    if K == 0 {
        for (pixel, src) in pixels.enumerate() {
            let (dst, src) = (&mut dst[pixel * cols.stride..], &src[..cols.kernel]);
            match cols.dilation {
                1 => dst.iter_mut().zip(src).for_each(|(dst, src)| *dst += *src),
                d => add_any(dst, src, d),
            }
        }
    } else if cols.stride == 1 {
        // The sums under the kernel stay in registers while it slides; through memory each pixel
        // would wait for the one before.
        let dst = &mut dst[..pixels.len() + K - 1];
        let mut sums = [T::ZERO; K];
        sums[1..].copy_from_slice(&dst[..K - 1]);
        for (pixel, src) in pixels.enumerate() {
            let next = dst[pixel + K - 1];
            let src = &src[..K];
            sums = from_fn(|tap| if tap + 1 < K { sums[tap + 1] } else { next } + src[tap]);
            dst[pixel] = sums[0];
        }
        let rest = dst.len() + 1 - K;
        dst[rest..].copy_from_slice(&sums[1..]);
    } else {
        for (pixel, src) in pixels.enumerate() {
            let dst = &mut dst[pixel * cols.stride..][..K];
            dst.iter_mut().zip(&src[..K]).for_each(|(dst, src)| *dst += *src);
        }
    }
}
