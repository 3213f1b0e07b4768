//! Convolution without unfolding.
//!
//! Output channels stand in the lanes of the registers, and pixels are broadcast straight out of
//! the rows of the input, so that stride, dilation and odd sizes are only displacements. Where
//! there is padding, as many rows as fit in the cache are first copied between borders of 0.
//!
//! Every output is one sum over channels, kernel rows and kernel columns, in that order, whatever
//! tile it falls into.

use std::ops::Range;

use im2col::ConvGeometry;
use rayon::prelude::*;
use tensor4::ViewMut4;

use crate::call::{Call, keep_threads_busy};
use crate::kernels::{Kernels, Pack, STEPS, SUM, Tile};
use crate::{Conv2dPlan, ConvScalar, Workspace};

/// How many elements of rows are padded at a time: a quarter of a second-level cache of 1 MiB.
const BAND_LEN: usize = 1 << 17;

/// Rows of output that are wide enough are cut into tiles one by one; those of narrow images run
/// on into each other.
const WIDE_ROW: usize = 11;

/// How a plan runs on a table of kernels.
struct Layout<'a, T: 'static> {
    kernels: &'static Kernels<T>,
    g: &'a ConvGeometry,
    groups: usize,
    /// Output channels of a group.
    group_oc: usize,
    /// Registers of output channels in a tile, 1 or 2.
    vectors: usize,
    /// Output channels of a tile.
    width: usize,
    /// Tiles of output channels in a group.
    blocks: usize,
    /// Whether rows are copied between borders of 0.
    padded: bool,
    /// Columns of a row that is read, padding included.
    pitch: usize,
    /// Output rows that are computed together.
    band_rows: usize,
}

impl<'a, T: ConvScalar> Layout<'a, T> {
    fn new(plan: &'a Conv2dPlan, kernels: &'static Kernels<T>) -> Self {
        let g = plan.group_geometry();
        let groups = plan.desc().groups;
        let group_oc = plan.desc().out_channels / groups;
        let vectors = if group_oc > kernels.lanes { 2 } else { 1 };
        let width = vectors * kernels.lanes;
        let padding = g.window().padding;
        let padded = padding != im2col::Padding::default();
        let pitch = g.in_w() + padding.left + padding.right;
        let row_len = (g.in_c() * pitch * g.window().stride_h).max(1);
        let band_rows = (BAND_LEN / row_len).clamp(1, g.out_h());
        let blocks = group_oc.div_ceil(width);
        Self { kernels, g, groups, group_oc, vectors, width, blocks, padded, pitch, band_rows }
    }

    /// Rows of the padded input under so many output rows.
    fn in_rows(&self, out_rows: usize) -> usize {
        let window = self.g.window();
        (out_rows - 1) * window.stride_h + (window.kernel_h - 1) * window.dilation_h + 1
    }

    /// Elements of the packed weights of one tile of output channels.
    fn packed_len(&self) -> usize {
        self.g.patch_len() * self.width
    }

    /// Elements of a padded band.
    fn band_len(&self) -> usize {
        if self.padded { self.g.in_c() * self.in_rows(self.band_rows) * self.pitch } else { 0 }
    }

    /// Of a kernel of 1x1: how many channels make up one part of a sum. They divide all.
    fn inner_channels(&self) -> usize {
        let channels = self.g.in_c();
        (1..=channels)
            .rev()
            .find(|&inner| inner <= SUM && channels.is_multiple_of(inner))
            .unwrap_or(1)
    }

    /// The channels of a group that a tile of output channels takes.
    fn channels(&self, block: usize) -> Range<usize> {
        block * self.width..((block + 1) * self.width).min(self.group_oc)
    }

    /// The output channels of a block, counted through all groups.
    fn plan_channels(&self, block: usize) -> Range<usize> {
        let first = block / self.blocks * self.group_oc;
        let channels = self.channels(block % self.blocks);
        first + channels.start..first + channels.end
    }
}

/// Elements of the packed weights.
pub(crate) fn packed_len<T: ConvScalar>(plan: &Conv2dPlan, kernels: &'static Kernels<T>) -> usize {
    let layout = Layout::new(plan, kernels);
    layout.groups * layout.blocks * layout.packed_len()
}

/// Elements of scratch memory: for each thread, and shared.
pub(crate) fn workspace_len<T: ConvScalar>(
    plan: &Conv2dPlan,
    kernels: &'static Kernels<T>,
) -> (usize, usize) {
    let layout = Layout::new(plan, kernels);
    let tiles = layout.groups * layout.blocks;
    (layout.band_len(), tiles * (layout.packed_len() + layout.width))
}

/// Packs the weights, one tile of output channels after the other.
pub(crate) fn pack<T: ConvScalar>(
    plan: &Conv2dPlan,
    kernels: &'static Kernels<T>,
    w: &[T],
    packed: &mut [T],
) {
    let layout = Layout::new(plan, kernels);
    let taps = layout.g.patch_len();
    packed.par_chunks_exact_mut(layout.packed_len()).enumerate().for_each(|(i, packed)| {
        let channels = layout.plan_channels(i);
        layout.kernels.pack(Pack {
            w: &w[channels.start * taps..channels.end * taps],
            row_stride: taps,
            taps,
            out_channels: channels.len(),
            width: layout.width,
            packed,
        });
    });
}

pub(crate) fn forward<T: ConvScalar>(
    plan: &Conv2dPlan,
    kernels: &'static Kernels<T>,
    call: &Call<'_, T>,
    y: ViewMut4<'_, T>,
    workspace: &mut Workspace<T>,
) {
    let layout = Layout::new(plan, kernels);
    let [n, _, out_h, out_w] = y.dims();
    if y.shape().is_empty() {
        return;
    }
    let tiles = layout.groups * layout.blocks;
    let packed_len = call.weights.scratch_len(tiles * layout.packed_len());
    let scratch = workspace.prepare(layout.band_len(), packed_len + tiles * layout.width);
    let (packed, bias) = scratch.shared.split_at_mut(packed_len);
    let packed = call.weights.packed(packed, |w, packed| pack(plan, kernels, w, packed));
    call.pad_bias(bias, layout.width, |block| layout.plan_channels(block));
    let bias = &*bias;

    let plane_len = out_h * out_w;
    // Blocks of a group that one task computes: all of them where there are many images, because
    // each task pads its rows anew.
    let blocks = if keep_threads_busy(n) {
        layout.blocks
    } else {
        layout.blocks.div_ceil(2 * rayon::current_num_threads())
    };
    let group_len = layout.group_oc * plane_len;
    y.into_data().par_chunks_exact_mut(group_len).enumerate().for_each(|(i, y)| {
        let (image, group) = (i / layout.groups, i % layout.groups);
        let x = &call.x.image(image)[group * layout.g.in_len()..][..layout.g.in_len()];
        y.par_chunks_mut(blocks * layout.width * plane_len).enumerate().for_each(|(task, y)| {
            let first = group * layout.blocks + task * blocks;
            let task = Task {
                x,
                packed: &packed[first * layout.packed_len()..],
                bias: &bias[first * layout.width..],
                first_block: task * blocks,
                relu: call.relu(),
            };
            scratch.columns.with(|band| task.run(&layout, band, y));
        });
    });
}

/// Some blocks of the output channels of one group of one image.
struct Task<'a, T> {
    x: &'a [T],
    packed: &'a [T],
    bias: &'a [T],
    first_block: usize,
    relu: bool,
}

impl<T: ConvScalar> Task<'_, T> {
    fn run(&self, layout: &Layout<'_, T>, band: &mut [T], y: &mut [T]) {
        let Self { x, packed, bias, first_block, relu } = *self;
        let (g, window) = (layout.g, layout.g.window());
        let (out_h, out_w, plane_len) = (g.out_h(), g.out_w(), g.out_plane_len());
        for top in (0..out_h).step_by(layout.band_rows) {
            let rows = top..(top + layout.band_rows).min(out_h);
            // The input of this band: where it starts, and the distance of its channels.
            let (source, channel_stride) = if layout.padded {
                let in_rows = layout.in_rows(rows.len());
                pad_rows(layout, x, rows.start * window.stride_h, in_rows, band);
                (&*band, in_rows * layout.pitch)
            } else {
                (
                    &x[(rows.start * window.stride_h * layout.pitch).min(x.len())..],
                    g.in_h() * g.in_w(),
                )
            };
            for (i, y) in y.chunks_mut(layout.width * plane_len).enumerate() {
                let channels = layout.channels(first_block + i).len();
                let w = &packed[i * layout.packed_len()..][..layout.packed_len()];
                let bias = &bias[i * layout.width..][..layout.width];
                let mut offsets = [0; crate::kernels::MAX_PIXELS];
                let mut run = |pixels: Range<usize>, step: usize| {
                    let (mut row, mut col) = (pixels.start / out_w, pixels.start % out_w);
                    for offset in &mut offsets[..pixels.len()] {
                        *offset = row * window.stride_h * layout.pitch + col * window.stride_w;
                        col += 1;
                        if col == out_w {
                            (row, col) = (row + 1, 0);
                        }
                    }
                    // Where a channel has one tap, channels are walked over in the innermost loop.
                    let (mut taps, mut strides) = (
                        [g.in_c(), window.kernel_h, window.kernel_w],
                        [channel_stride, window.dilation_h * layout.pitch, window.dilation_w],
                    );
                    if taps[1..] == [1, 1] {
                        let inner = layout.inner_channels();
                        taps = [g.in_c() / inner, 1, inner];
                        strides = [inner * channel_stride, 0, channel_stride];
                    }
                    layout.kernels.direct(Tile {
                        x: source,
                        channel_stride: strides[0],
                        row_stride: strides[1],
                        col_stride: strides[2],
                        offsets: &offsets[..pixels.len()],
                        step,
                        taps,
                        w,
                        bias,
                        vectors: layout.vectors,
                        y: &mut y[rows.start * out_w + pixels.start..],
                        y_stride: plane_len,
                        out_channels: channels,
                        relu,
                    });
                };
                let step = if STEPS.contains(&window.stride_w) { window.stride_w } else { 0 };
                if out_w >= WIDE_ROW {
                    for row in 0..rows.len() {
                        for cols in even_parts(out_w, layout.kernels.direct_pixels) {
                            let start = row * out_w;
                            run(start + cols.start..start + cols.end, step);
                        }
                    }
                } else {
                    for pixels in even_parts(rows.len() * out_w, layout.kernels.direct_pixels) {
                        run(pixels, 0);
                    }
                }
            }
        }
    }
}

/// Cuts `0..len` into as few parts of at most `most` as there can be, of nearly one size.
fn even_parts(len: usize, most: usize) -> impl Iterator<Item = Range<usize>> {
    let parts = len.div_ceil(most).max(1);
    (0..parts).map(move |part| part * len / parts..(part + 1) * len / parts)
}

/// Copies rows `first..first + rows` of the padded input, all channels, into `band`.
fn pad_rows<T: ConvScalar>(
    layout: &Layout<'_, T>,
    x: &[T],
    first: usize,
    rows: usize,
    band: &mut [T],
) {
    let (in_h, in_w, padding) = (layout.g.in_h(), layout.g.in_w(), layout.g.window().padding);
    let channels = band.chunks_exact_mut(rows * layout.pitch).zip(x.chunks_exact(in_h * in_w));
    for (band, x) in channels {
        // All of it at once: the borders are many short pieces.
        band.fill(T::ZERO);
        for (row, band) in band.chunks_exact_mut(layout.pitch).enumerate() {
            let source = (first + row).checked_sub(padding.top).filter(|&row| row < in_h);
            if let Some(row) = source {
                band[padding.left..][..in_w].copy_from_slice(&x[row * in_w..][..in_w]);
            }
        }
    }
}
