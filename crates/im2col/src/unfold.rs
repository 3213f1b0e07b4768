//! Unfolding of one image.

use core::ops::Range;

use tensor4::Scalar;

use crate::axis::Axis;
use crate::check::check;
use crate::{ConvGeometry, Im2colError, Layout};

/// Unfolds an image `(C, H, W)` into `columns`, [`ConvGeometry::columns_len`] elements, which it
/// overwrites.
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
    check("unfold_into", g, layout, &(0..g.out_h()), image.len(), columns.len())?;
    rows(image, g, layout, 0..g.out_h(), columns);
    Ok(())
}

/// Unfolds the part of an image `(C, H, W)` under a range of output rows into `columns`, which it
/// overwrites.
///
/// The columns are a matrix of their own, `(C*KH*KW, rows*OW)` or `(rows*OW, C*KH*KW)`, of
/// [`ConvGeometry::rows_columns_len`] elements, so that a caller can go through an image in
/// chunks that fit its cache.
///
/// # Errors
///
/// [`Im2colError`] if the range reaches beyond the output or a buffer has another length.
pub fn unfold_rows_into<T: Scalar>(
    image: &[T],
    g: &ConvGeometry,
    layout: Layout,
    out_rows: Range<usize>,
    columns: &mut [T],
) -> Result<(), Im2colError> {
    check("unfold_rows_into", g, layout, &out_rows, image.len(), columns.len())?;
    rows(image, g, layout, out_rows, columns);
    Ok(())
}

/// As [`unfold_rows_into`], with arguments that have been checked.
pub(crate) fn rows<T: Scalar>(
    image: &[T],
    g: &ConvGeometry,
    layout: Layout,
    out_rows: Range<usize>,
    columns: &mut [T],
) {
    if columns.is_empty() {
        return; // No channels or no rows: the chunks below would have length 0.
    }
    match layout {
        Layout::PatchRows => patch_rows(image, g, out_rows, columns),
        // The usual kernels with their width known to the compiler: a copy of so few elements
        // is faster written out than called.
        Layout::PixelRows => match (g.cols().dilation, g.cols().kernel) {
            (1, 1) => pixel_rows::<T, 1, 1>(image, g, out_rows, columns),
            (1, 2) => pixel_rows::<T, 2, 2>(image, g, out_rows, columns),
            (1, 3) => pixel_rows::<T, 3, 4>(image, g, out_rows, columns),
            (1, 4) => pixel_rows::<T, 4, 4>(image, g, out_rows, columns),
            (1, 5) => pixel_rows::<T, 5, 8>(image, g, out_rows, columns),
            (1, 7) => pixel_rows::<T, 7, 8>(image, g, out_rows, columns),
            _ => pixel_rows::<T, 0, 0>(image, g, out_rows, columns),
        },
    }
}

/// Each row of the columns is the input plane of a channel, shifted by a tap of the kernel, thinned
/// by the stride, and cut to the output.
fn patch_rows<T: Scalar>(image: &[T], g: &ConvGeometry, out_rows: Range<usize>, columns: &mut [T]) {
    let (rows, cols) = (g.rows(), g.cols());
    let (in_w, out_w) = (cols.input, cols.output);
    let plane_len = rows.input * in_w;
    let same_width = rows.stride == 1 && cols.stride == 1 && in_w == out_w;
    let mut patch_rows = columns.chunks_exact_mut(out_rows.len() * out_w);

    for c in 0..g.in_c() {
        let plane = &image[c * plane_len..][..plane_len];
        for kh in 0..rows.kernel {
            let valid_h = intersect(rows.outputs(kh), &out_rows);
            for kw in 0..cols.kernel {
                let dst = patch_rows.next().expect("one row of the columns for each tap");
                let valid_w = cols.outputs(kw);
                if valid_h.is_empty() || valid_w.is_empty() {
                    dst.fill(T::ZERO);
                    continue;
                }
                // The output rows within `dst` that read the input; the others are padding.
                let above = (valid_h.start - out_rows.start) * out_w;
                let inside = valid_h.len() * out_w;
                let (above, rest) = dst.split_at_mut(above);
                let (dst, below) = rest.split_at_mut(inside);
                above.fill(T::ZERO);
                below.fill(T::ZERO);

                let ih = rows.input_at(valid_h.start, kh);
                let iw = cols.input_at(valid_w.start, kw);
                let src = &plane[ih * in_w + iw..];
                if same_width {
                    shifted_plane(src, dst, out_w, valid_w);
                } else {
                    let pitch = rows.stride * in_w;
                    match cols.stride {
                        1 => strided_rows::<T, 1>(src, pitch, 1, dst, out_w, valid_w),
                        2 => strided_rows::<T, 2>(src, pitch, 2, dst, out_w, valid_w),
                        3 => strided_rows::<T, 3>(src, pitch, 3, dst, out_w, valid_w),
                        4 => strided_rows::<T, 4>(src, pitch, 4, dst, out_w, valid_w),
                        s => strided_rows::<T, 0>(src, pitch, s, dst, out_w, valid_w),
                    }
                }
            }
        }
    }
}

/// Where the output is as wide as the input and no row is skipped, whole rows can be copied at
/// once: what runs over the edge of one row lands in the zeros of the next, which are written
/// afterwards.
fn shifted_plane<T: Scalar>(src: &[T], dst: &mut [T], width: usize, valid_w: Range<usize>) {
    let gap = width - valid_w.len();
    let len = dst.len() - gap;
    dst[..valid_w.start].fill(T::ZERO);
    dst[valid_w.start..][..len].copy_from_slice(&src[..len]);
    let rest = &mut dst[valid_w.end..];
    match gap {
        0 => {}
        1 => rest.iter_mut().step_by(width).for_each(|x| *x = T::ZERO),
        // The last gap ends with the image.
        _ => rest.chunks_mut(width).for_each(|row| {
            let gap = gap.min(row.len());
            row[..gap].fill(T::ZERO);
        }),
    }
}

/// Copies every `stride`-th element of rows that are `pitch` apart, and zeroes what is not valid.
/// `S` is the stride, or 0 if the compiler does not know it.
fn strided_rows<T: Scalar, const S: usize>(
    src: &[T],
    pitch: usize,
    stride: usize,
    dst: &mut [T],
    width: usize,
    valid_w: Range<usize>,
) {
    for (row, dst) in dst.chunks_exact_mut(width).enumerate() {
        let src = &src[row * pitch..];
        if valid_w.len() == width {
            copy_strided::<T, S>(dst, src, stride);
        } else {
            dst[..valid_w.start].fill(T::ZERO);
            dst[valid_w.end..].fill(T::ZERO);
            copy_strided::<T, S>(&mut dst[valid_w.clone()], src, stride);
        }
    }
}

/// Copies every `stride`-th element, from the first on, until `dst` is full.
#[inline(always)]
fn copy_strided<T: Scalar, const S: usize>(dst: &mut [T], src: &[T], stride: usize) {
    match S {
        0 => dst.iter_mut().zip(src.iter().step_by(stride)).for_each(|(dst, src)| *dst = *src),
        1 => copy_short(dst, &src[..dst.len()]),
        _ => {
            let (steps, rest) = src.as_chunks::<S>();
            dst.iter_mut().zip(steps).for_each(|(dst, step)| *dst = step[0]);
            // The last step may be cut off by the end of the plane.
            if let (Some(dst), Some(src)) = (dst.get_mut(steps.len()), rest.first()) {
                *dst = *src;
            }
        }
    }
}

/// Copies a slice that is often too short to be worth a call of memcpy.
#[inline(always)]
fn copy_short<T: Scalar>(dst: &mut [T], src: &[T]) {
    const BLOCK: usize = 8;
    if dst.len() > 8 * BLOCK {
        dst.copy_from_slice(src);
        return;
    }
    let (dst_blocks, dst_rest) = dst.as_chunks_mut::<BLOCK>();
    let (src_blocks, src_rest) = src.as_chunks::<BLOCK>();
    for (dst, src) in dst_blocks.iter_mut().zip(src_blocks) {
        *dst = *src;
    }
    if dst_rest.is_empty() {
        return;
    }
    // The last block overlaps the one before, which is quicker than one by one.
    match (dst.last_chunk_mut::<BLOCK>(), src.last_chunk::<BLOCK>()) {
        (Some(dst), Some(src)) => *dst = *src,
        _ => dst.iter_mut().zip(src_rest).for_each(|(dst, src)| *dst = *src),
    }
}

/// Each row of the columns is a patch of the image, `(C, KH, KW)`. `K` is the kernel's width, with
/// a dilation of 1 along it, or 0 if the compiler does not know it; `W` is the next power of two.
fn pixel_rows<T: Scalar, const K: usize, const W: usize>(
    image: &[T],
    g: &ConvGeometry,
    out_rows: Range<usize>,
    columns: &mut [T],
) {
    let (rows, cols) = (g.rows(), g.cols());
    let plane_len = rows.input * cols.input;
    let patch_len = g.patch_len();
    let inner = cols.inner_outputs();
    let block = pixels_per_block(patch_len);
    let square = K > 0 && rows.kernel == K && rows.dilation == 1;

    for (oh, columns) in out_rows.zip(columns.chunks_exact_mut(cols.output * patch_len)) {
        let taps_h = rows.taps(oh);
        if taps_h.len() < rows.kernel {
            columns.fill(T::ZERO);
        } else {
            columns[..inner.start * patch_len].fill(T::ZERO);
            columns[inner.end * patch_len..].fill(T::ZERO);
        }
        if taps_h.is_empty() {
            continue;
        }
        for ow in (0..inner.start).chain(inner.end..cols.output) {
            let patch = &mut columns[ow * patch_len..][..patch_len];
            copy_edge(image, g, oh, ow, &taps_h, patch);
        }
        if square && taps_h.len() == K {
            copy_patches::<T, K, W>(image, g, oh, inner.clone(), columns);
            continue;
        }
        for first in inner.clone().step_by(block) {
            let pixels = first..inner.end.min(first + block);
            let columns = &mut columns[pixels.start * patch_len..pixels.end * patch_len];
            for c in 0..g.in_c() {
                for kh in taps_h.clone() {
                    let ih = rows.input_at(oh, kh);
                    let iw = cols.input_at(first, 0);
                    let src = &image[c * plane_len + ih * cols.input + iw..];
                    let dst = &mut columns[(c * rows.kernel + kh) * cols.kernel..];
                    copy_taps::<T, K>(src, &cols, dst, patch_len);
                }
            }
        }
    }
}

/// Copies a patch that reaches over the left or right edge, a column of the kernel after the other:
/// so the innermost loops are long.
fn copy_edge<T: Scalar>(
    image: &[T],
    g: &ConvGeometry,
    oh: usize,
    ow: usize,
    taps_h: &Range<usize>,
    patch: &mut [T],
) {
    let (rows, cols) = (g.rows(), g.cols());
    for kw in cols.taps(ow) {
        let from = rows.input_at(oh, taps_h.start) * cols.input + cols.input_at(ow, kw);
        let planes = image[from..].chunks(rows.input * cols.input);
        for (patch, plane) in patch.chunks_exact_mut(rows.kernel * cols.kernel).zip(planes) {
            let taps = patch[taps_h.start * cols.kernel + kw..].iter_mut().step_by(cols.kernel);
            let pixels = plane.iter().step_by(rows.dilation * cols.input);
            taps.zip(pixels).take(taps_h.len()).for_each(|(tap, pixel)| *tap = *pixel);
        }
    }
}

/// Copies whole square patches, all channels of a pixel before the next, so that columns are written
/// from beginning to end. All rows of a patch but the last are copied `W` wide: what is too
/// much belongs to the next row, which is written afterwards.
// Inlined, it would be compiled worse.
#[inline(never)]
fn copy_patches<T: Scalar, const K: usize, const W: usize>(
    image: &[T],
    g: &ConvGeometry,
    oh: usize,
    pixels: Range<usize>,
    columns: &mut [T],
) {
    let (rows, cols) = (g.rows(), g.cols());
    let (in_w, plane_len, patch_len) = (cols.input, rows.input * cols.input, g.patch_len());
    let block = channels_per_block(K);
    for first in (0..g.in_c()).step_by(block) {
        let len = block.min(g.in_c() - first) * K * K;
        for ow in pixels.clone() {
            let from = first * plane_len + rows.input_at(oh, 0) * in_w + cols.input_at(ow, 0);
            let planes = image[from..].chunks(plane_len);
            let patches = &mut columns[ow * patch_len + first * K * K..][..len];
            for (patch, plane) in patches.chunks_exact_mut(K * K).zip(planes) {
                for kh in 0..K - 1 {
                    patch[kh * K..][..W].copy_from_slice(&plane[kh * in_w..][..W]);
                }
                patch[(K - 1) * K..].copy_from_slice(&plane[(K - 1) * in_w..][..K]);
            }
        }
    }
}

/// How many channels to go through at once, so that the lines of the cache that a patch stands on,
/// one for each row of the kernel, are still there for the next.
pub(crate) fn channels_per_block(kernel_h: usize) -> usize {
    (256 / kernel_h).max(1)
}

/// How many pixels of `patch_len` elements to go through at once, so that they stay in the
/// innermost cache while each channel and each row of the kernel adds its few elements.
pub(crate) fn pixels_per_block(patch_len: usize) -> usize {
    (4096 / patch_len).max(1)
}

/// Copies a row of the kernel's taps to each pixel, `patch_len` apart.
#[inline(always)]
fn copy_taps<T: Scalar, const K: usize>(src: &[T], cols: &Axis, dst: &mut [T], patch_len: usize) {
    let pixels = dst.chunks_mut(patch_len);
    if K == 0 {
        for (pixel, dst) in pixels.enumerate() {
            let (dst, src) = (&mut dst[..cols.kernel], &src[pixel * cols.stride..]);
            match cols.dilation {
                1 => copy_strided::<T, 1>(dst, src, 1),
                d => copy_strided::<T, 0>(dst, src, d),
            }
        }
    } else if cols.stride == 1 {
        for (dst, src) in pixels.zip(src.windows(K)) {
            dst[..K].copy_from_slice(src);
        }
    } else {
        for (pixel, dst) in pixels.enumerate() {
            dst[..K].copy_from_slice(&src[pixel * cols.stride..][..K]);
        }
    }
}

/// The common part of two ranges.
pub(crate) fn intersect(a: Range<usize>, b: &Range<usize>) -> Range<usize> {
    let start = a.start.max(b.start);
    start..a.end.min(b.end).max(start)
}
