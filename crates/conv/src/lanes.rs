//! Convolution with the pixels of the output in the lanes of the registers.
//!
//! Serves what [`direct`](crate::direct) is not made for: sums so short that bringing their
//! results into rows would cost as much as they do (the first layers of networks), and channels
//! that stand alone (depthwise convolution). Rows are copied between borders of 0 where there is
//! padding, and sorted by their place within a stride where that is not 1, so that neighbouring
//! pixels of the output always read neighbouring pixels of the input. Channels that stand alone under
//! the usual windows are read in place: there a copy would cost as much as the sums.
//!
//! Every output is one sum over channels, kernel rows and kernel columns, in that order.

use std::ops::Range;

use im2col::{ConvGeometry, Padding};
use rayon::prelude::*;
use tensor4::ViewMut4;

use crate::call::{Call, keep_threads_busy};
use crate::kernels::Kernels;
use crate::kernels::lanes::{Lanes, MARGIN, MAX_COLS, Plane, Rows, Taps};
use crate::{Conv2dPlan, ConvScalar, Workspace};

/// How many elements of rows are copied at a time: an eighth of a second-level cache of 1 MiB. Those
/// under one row of the output should fit in the first level, which they do where sums are short.
const BAND_LEN: usize = 1 << 15;

/// Sums of at most this many terms are kept in this form.
pub(crate) const MAX_TAPS: usize = 512;

/// Whether the algorithm serves a plan: short sums.
pub(crate) fn fits(g: &ConvGeometry) -> bool {
    (1..=MAX_TAPS).contains(&g.patch_len())
}

/// How a plan runs on a table of kernels.
struct Layout<'a, T: 'static> {
    kernels: &'static Kernels<T>,
    g: &'a ConvGeometry,
    groups: usize,
    /// Output channels of a group.
    group_oc: usize,
    /// Sums that are computed at a time.
    rows: usize,
    /// So many times `rows` make up a group.
    blocks: usize,
    /// Whether channels stand alone under a window that is made for reading them in place.
    planes: bool,
    /// Whether rows are copied first.
    copied: bool,
    /// Columns of a row that have the same place within a stride.
    phase: usize,
    /// Elements of a copied row.
    pitch: usize,
    /// Output rows that are computed together.
    band_rows: usize,
}

impl<'a, T: ConvScalar> Layout<'a, T> {
    fn new(plan: &'a Conv2dPlan, kernels: &'static Kernels<T>) -> Self {
        let g = plan.group_geometry();
        let window = g.window();
        let groups = plan.desc().groups;
        let group_oc = plan.desc().out_channels / groups;
        let rows = if group_oc == 1 { 1 } else { kernels.lanes_rows };
        let planes = g.in_c() == 1
            && group_oc == 1
            && window.kernel_h == window.kernel_w
            && window.stride_h == window.stride_w
            && (window.dilation_h, window.dilation_w) == (1, 1)
            && window.padding.left.max(window.padding.right) < window.kernel_w
            && Plane::<T>::serves(window.kernel_h, window.stride_h);
        let copied = window.stride_w != 1 || window.padding != Padding::default();
        let padded = g.in_w() + window.padding.left + window.padding.right;
        let phase = padded.div_ceil(window.stride_w).next_multiple_of(kernels.lanes);
        let pitch = phase * window.stride_w;
        let row_len = (g.in_c() * pitch * window.stride_h).max(1);
        let band_rows = (BAND_LEN / row_len).clamp(1, g.out_h());
        let blocks = group_oc.div_ceil(rows);
        Self { kernels, g, groups, group_oc, rows, blocks, planes, copied, phase, pitch, band_rows }
    }

    /// Input rows under so many output rows.
    fn in_rows(&self, out_rows: usize) -> usize {
        let window = self.g.window();
        (out_rows - 1) * window.stride_h + (window.kernel_h - 1) * window.dilation_h + 1
    }

    /// Elements of a copied band; registers may be read beyond its end.
    fn band_len(&self) -> usize {
        if self.planes {
            return 0;
        }
        self.g.in_c() * self.in_rows(self.band_rows) * self.pitch + MAX_COLS * self.kernels.lanes
    }

    /// Elements of the row of 0 above and below planes that are read in place.
    fn zeros_len(&self) -> usize {
        if self.planes { self.g.in_w() + 2 * MARGIN } else { 0 }
    }

    /// Elements of the packed weights of one block.
    fn packed_len(&self) -> usize {
        self.g.patch_len() * self.rows
    }

    /// The output channels of a block.
    fn channels(&self, block: usize) -> Range<usize> {
        block * self.rows..((block + 1) * self.rows).min(self.group_oc)
    }

    /// The output channels of a block, counted through all groups.
    fn plan_channels(&self, block: usize) -> Range<usize> {
        let first = block / self.blocks * self.group_oc;
        let channels = self.channels(block % self.blocks);
        first + channels.start..first + channels.end
    }

    /// Where the factors of a sum stand in a band of so many rows of `pitch` elements, from the place
    /// of its pixel on.
    fn taps(&self, in_rows: usize, pitch: usize, taps: &mut [usize; MAX_TAPS]) {
        let window = self.g.window();
        let mut i = 0;
        for channel in 0..self.g.in_c() {
            for kh in 0..window.kernel_h {
                for kw in 0..window.kernel_w {
                    let (row, col) = (kh * window.dilation_h, kw * window.dilation_w);
                    let within = col % window.stride_w * self.phase + col / window.stride_w;
                    taps[i] = (channel * in_rows + row) * pitch + within;
                    i += 1;
                }
            }
        }
    }

    /// Copies input rows `first..first + rows` of the padded input of a group into `band`.
    fn copy(&self, x: &[T], first: usize, rows: usize, band: &mut [T]) {
        let (in_h, in_w, window) = (self.g.in_h(), self.g.in_w(), self.g.window());
        let padding = window.padding;
        self.kernels.copy_rows(Rows {
            x,
            channels: self.g.in_c(),
            in_h,
            in_w,
            rows,
            first,
            step: 1,
            top: padding.top,
            left: padding.left,
            stride: window.stride_w,
            places: window.stride_w,
            phase: self.phase,
            band,
            band_stride: rows * self.pitch,
        });
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
    let blocks = layout.groups * layout.blocks;
    (layout.band_len(), blocks * (layout.packed_len() + layout.rows) + layout.zeros_len())
}

/// Packs weights: `(taps, rows)` for each block of output channels.
pub(crate) fn pack<T: ConvScalar>(
    plan: &Conv2dPlan,
    kernels: &'static Kernels<T>,
    w: &[T],
    packed: &mut [T],
) {
    let layout = Layout::new(plan, kernels);
    let (taps, rows) = (layout.g.patch_len(), layout.rows);
    for (i, packed) in packed.chunks_exact_mut(layout.packed_len()).enumerate() {
        let channels = layout.plan_channels(i);
        for r in 0..rows {
            for tap in 0..taps {
                let channel = channels.start + r;
                let weight = if channel < channels.end { w[channel * taps + tap] } else { T::ZERO };
                packed[tap * rows + r] = weight;
            }
        }
    }
}

pub(crate) fn forward<T: ConvScalar>(
    plan: &Conv2dPlan,
    kernels: &'static Kernels<T>,
    call: &Call<'_, T>,
    y: ViewMut4<'_, T>,
    workspace: &mut Workspace<T>,
) {
    let layout = Layout::new(plan, kernels);
    if y.shape().is_empty() {
        return;
    }
    let blocks = layout.groups * layout.blocks;
    let packed_len = call.weights.scratch_len(blocks * layout.packed_len());
    let shared_len = packed_len + blocks * layout.rows + layout.zeros_len();
    let scratch = workspace.prepare(layout.band_len(), shared_len);
    let (packed, bias) = scratch.shared.split_at_mut(packed_len);
    let (bias, zeros) = bias.split_at_mut(blocks * layout.rows);
    zeros.fill(T::ZERO);
    let zeros = &*zeros;
    let packed = call.weights.packed(packed, |w, packed| pack(plan, kernels, w, packed));
    call.pad_bias(bias, layout.rows, |block| layout.plan_channels(block));
    let bias = &*bias;
    let group_len = layout.group_oc * layout.g.out_plane_len();
    let groups = y.dims()[0] * layout.groups;
    // Blocks of a group that one task computes: all of them where there are many groups, because each
    // task copies its rows anew.
    let blocks = if keep_threads_busy(groups) {
        layout.blocks
    } else {
        layout.blocks.div_ceil(2 * rayon::current_num_threads())
    };
    let run = |i: usize, first_block: usize, y: &mut [T]| {
        let (image, group) = (i / layout.groups, i % layout.groups);
        let first = group * layout.blocks + first_block;
        let task = Task {
            x: &call.x.image(image)[group * layout.g.in_len()..][..layout.g.in_len()],
            packed: &packed[first * layout.packed_len()..],
            bias: &bias[first * layout.rows..],
            relu: call.relu(),
        };
        if layout.planes {
            task.plane(&layout, (call.x.data(), i), zeros, y);
        } else {
            scratch.columns.with(|band| task.run(&layout, band, y));
        }
    };
    y.into_data()
        .par_chunks_exact_mut(group_len)
        .with_min_len((1 << 18) / (group_len * layout.g.patch_len()).max(1) + 1)
        .enumerate()
        .for_each(|(i, y)| {
            if blocks == layout.blocks {
                return run(i, 0, y);
            }
            let task_len = blocks * layout.rows * layout.g.out_plane_len();
            let tasks = y.par_chunks_mut(task_len).enumerate();
            tasks.for_each(|(task, y)| run(i, task * blocks, y));
        });
}

/// Some blocks of the output channels of one group of one image.
struct Task<'a, T> {
    x: &'a [T],
    packed: &'a [T],
    bias: &'a [T],
    relu: bool,
}

impl<T: ConvScalar> Task<'_, T> {
    /// One channel that stands alone, the one of the given number in `x`.
    fn plane(&self, layout: &Layout<'_, T>, (x, i): (&[T], usize), zeros: &[T], y: &mut [T]) {
        let (g, window) = (layout.g, layout.g.window());
        layout.kernels.sum_plane(Plane {
            x,
            at: i * g.in_len(),
            in_h: g.in_h(),
            in_w: g.in_w(),
            zeros,
            kernel: window.kernel_h,
            stride: window.stride_h,
            top: window.padding.top,
            left: window.padding.left,
            w: &self.packed[..g.patch_len()],
            bias: self.bias[0],
            y,
            out_h: g.out_h(),
            out_w: g.out_w(),
            relu: self.relu,
        });
    }

    fn run(&self, layout: &Layout<'_, T>, band: &mut [T], y: &mut [T]) {
        let Self { x, packed, bias, relu } = *self;
        let (g, window, lanes) = (layout.g, layout.g.window(), layout.kernels.lanes);
        let (out_h, out_w, plane_len) = (g.out_h(), g.out_w(), g.out_plane_len());
        let mut places = [0; MAX_TAPS];
        for top in (0..out_h).step_by(layout.band_rows) {
            let rows = top..(top + layout.band_rows).min(out_h);
            let in_rows = layout.in_rows(rows.len());
            let first_row = rows.start * window.stride_h;
            // A band near the end of the image is copied as well, because registers are read beyond
            // its end.
            let below = g.in_h().saturating_sub(first_row + in_rows);
            let last = below * g.in_w() < MAX_COLS * lanes;
            let (source, channel_rows, pitch) = if layout.copied || last {
                layout.copy(x, first_row, in_rows, band);
                (&*band, in_rows, layout.pitch)
            } else {
                (&x[first_row * g.in_w()..], g.in_h(), g.in_w())
            };
            layout.taps(channel_rows, pitch, &mut places);
            let taps = Taps::new(&places[..g.patch_len()]);
            let blocks = y.chunks_mut(layout.rows * plane_len);
            let weights =
                packed.chunks_exact(layout.packed_len()).zip(bias.chunks_exact(layout.rows));
            for (y, (w, bias)) in blocks.zip(weights) {
                let out_channels = y.len() / plane_len;
                layout.kernels.sum_lanes(Lanes {
                    x: source,
                    step: window.stride_h * pitch,
                    taps: &taps,
                    w,
                    bias,
                    rows: layout.rows,
                    out_channels,
                    y: &mut y[rows.start * out_w..],
                    y_stride: plane_len,
                    out_h: rows.len(),
                    out_w,
                    run_on: layout.rows != 1 && out_w >= lanes && !out_w.is_multiple_of(lanes),
                    relu,
                });
            }
        }
    }
}
