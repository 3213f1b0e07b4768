//! Convolution without unfolding.
//!
//! Output channels stand in the lanes of the registers, and pixels are broadcast straight out of
//! the rows of the input, so that a window and its dilation are only displacements. Where there is
//! padding or a horizontal stride, as many rows as fit in the cache are first copied: between borders
//! of 0, and their columns sorted by their place within a stride, so that neighbouring pixels of the
//! output always read neighbouring pixels of the input.
//!
//! Every output is one sum over channels, kernel rows and kernel columns, in that order, whatever
//! tile it falls into.

use std::ops::Range;

use im2col::{ConvGeometry, Padding};
use rayon::prelude::*;
use tensor4::ViewMut4;

use crate::call::{Call, keep_threads_busy};
use crate::kernels::lanes::Rows;
use crate::kernels::{Area, Kernels, Pack};
use crate::{Conv2dPlan, ConvScalar, Workspace};

/// How many elements of rows are copied at a time: a quarter of a second-level cache of 1 MiB.
const BAND_LEN: usize = 1 << 16;

/// The widest kernel.
pub(crate) const MAX_KERNEL_W: usize = 256;

/// Whether the algorithm serves a window.
pub(crate) fn fits(g: &ConvGeometry) -> bool {
    g.window().kernel_w <= MAX_KERNEL_W
}

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
    /// Whether rows are copied first.
    copied: bool,
    /// Columns of a copied row that have the same place within a stride.
    phase: usize,
    /// Places within a stride that a kernel reads.
    places: usize,
    /// Rows of the input from one copied row to the next.
    copied_step: usize,
    /// Output rows that are computed together.
    band_rows: usize,
}

impl<'a, T: ConvScalar> Layout<'a, T> {
    fn new(plan: &'a Conv2dPlan, kernels: &'static Kernels<T>) -> Self {
        let g = plan.group_geometry();
        let window = g.window();
        let groups = plan.desc().groups;
        let group_oc = plan.desc().out_channels / groups;
        let vectors = if group_oc > kernels.lanes { 2 } else { 1 };
        let width = vectors * kernels.lanes;
        let copied = window.padding != Padding::default() || window.stride_w != 1;
        let padded = g.in_w() + window.padding.left + window.padding.right;
        // A kernel of one row or column skips what it strides over.
        let places = if window.kernel_w == 1 { 1 } else { window.stride_w };
        let copied_step = if window.kernel_h == 1 { window.stride_h } else { 1 };
        let phase = padded.div_ceil(window.stride_w).next_multiple_of(kernels.lanes);
        let row_len = g.in_c() * phase * places * (window.stride_h / copied_step);
        let band_rows = (BAND_LEN / row_len.max(1)).clamp(1, g.out_h());
        let blocks = group_oc.div_ceil(width);
        Self {
            kernels,
            g,
            groups,
            group_oc,
            vectors,
            width,
            blocks,
            copied,
            phase,
            places,
            copied_step,
            band_rows,
        }
    }

    /// Copied rows under so many output rows.
    fn in_rows(&self, out_rows: usize) -> usize {
        let window = self.g.window();
        ((out_rows - 1) * window.stride_h + (window.kernel_h - 1) * window.dilation_h)
            / self.copied_step
            + 1
    }

    /// Elements of the packed weights of one tile of output channels.
    fn packed_len(&self) -> usize {
        self.g.patch_len() * self.width
    }

    /// Elements of a copied row.
    fn pitch(&self) -> usize {
        self.places * self.phase
    }

    /// Elements from one channel to the next where so many rows of each are copied.
    fn channel_stride(&self, in_rows: usize) -> usize {
        // An odd number of registers: at a distance that a power of two divides, channels would
        // contend for the same few lines of the first-level cache.
        let len = in_rows * self.pitch();
        if (len / self.kernels.lanes).is_multiple_of(2) { len + self.kernels.lanes } else { len }
    }

    /// Elements of the copied rows of a band.
    fn band_len(&self) -> usize {
        let in_rows = self.in_rows(self.band_rows);
        if self.copied { self.g.in_c() * self.channel_stride(in_rows) } else { 0 }
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
        let mut kernel_cols = [0; MAX_KERNEL_W];
        for (kw, place) in kernel_cols.iter_mut().enumerate().take(window.kernel_w) {
            let col = kw * window.dilation_w;
            *place = col % window.stride_w * layout.phase + col / window.stride_w;
        }
        for top in (0..out_h).step_by(layout.band_rows) {
            let rows = top..(top + layout.band_rows).min(out_h);
            let first_row = rows.start * window.stride_h;
            // The input of this band: where it starts, how far its channels and its rows are apart,
            // and how many of its rows the window moves on by.
            let (source, channel_stride, pitch, step) = if layout.copied {
                let in_rows = layout.in_rows(rows.len());
                copy_rows(layout, x, first_row, in_rows, band);
                let step = window.stride_h / layout.copied_step;
                (&*band, layout.channel_stride(in_rows), layout.pitch(), step)
            } else {
                let first = (first_row * g.in_w()).min(x.len());
                (&x[first..], g.in_h() * g.in_w(), g.in_w(), window.stride_h)
            };
            let (mut area_rows, mut area_cols) = (rows.len(), out_w);
            let single = (window.kernel_h, window.kernel_w) == (1, 1);
            if single && step * pitch == out_w {
                // Rows follow one another without a gap: they are one.
                (area_rows, area_cols) = (1, area_rows * area_cols);
            }
            for (i, y) in y.chunks_mut(layout.width * plane_len).enumerate() {
                layout.kernels.direct(Area {
                    x: source,
                    channels: g.in_c(),
                    channel_stride,
                    kernel_rows: window.kernel_h,
                    kernel_row_stride: window.dilation_h * pitch,
                    kernel_cols: &kernel_cols[..window.kernel_w],
                    row_stride: step * pitch,
                    w: &packed[i * layout.packed_len()..][..layout.packed_len()],
                    bias: &bias[i * layout.width..][..layout.width],
                    vectors: layout.vectors,
                    rows: area_rows,
                    cols: area_cols,
                    y: &mut y[rows.start * out_w..],
                    y_stride: plane_len,
                    y_pitch: out_w,
                    out_channels: layout.channels(first_block + i).len(),
                    relu,
                });
            }
        }
    }
}

/// Copies the rows under some output rows, all channels, into `band`.
fn copy_rows<T: ConvScalar>(
    layout: &Layout<'_, T>,
    x: &[T],
    first: usize,
    rows: usize,
    band: &mut [T],
) {
    let window = layout.g.window();
    layout.kernels.copy_rows(Rows {
        x,
        channels: layout.g.in_c(),
        in_h: layout.g.in_h(),
        in_w: layout.g.in_w(),
        rows,
        first,
        step: layout.copied_step,
        top: window.padding.top,
        left: window.padding.left,
        stride: window.stride_w,
        places: layout.places,
        phase: layout.phase,
        band,
        band_stride: layout.channel_stride(rows),
    });
}
