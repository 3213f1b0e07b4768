//! Convolution with the pixels of the output in the lanes of the registers.
//!
//! Serves what [`direct`](crate::direct) is not made for: sums so short that bringing their
//! results into rows would cost as much as they do (the first layers of networks), and channels
//! that stand alone (depthwise convolution). Rows are copied between borders of 0 where there is
//! padding, and sorted by their place within a stride where that is not 1, so that neighbouring
//! pixels of the output always read neighbouring pixels of the input.
//!
//! Every output is one sum over channels, kernel rows and kernel columns, in that order.

use std::ops::Range;

use im2col::{ConvGeometry, Padding};
use rayon::prelude::*;
use tensor4::ViewMut4;

use crate::call::Call;
use crate::kernels::Kernels;
use crate::kernels::lanes::{Lanes, MAX_COLS, Taps};
use crate::{Conv2dPlan, ConvScalar, Workspace};

/// How many elements of rows are copied at a time: half a first-level cache.
const BAND_LEN: usize = 1 << 12;

/// Sums of at most this many terms are kept in this form.
pub(crate) const MAX_TAPS: usize = 256;

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
    /// Whether rows are copied first.
    copied: bool,
    /// Columns of a row that have the same place within a stride.
    phase: usize,
    /// Elements of a row as it is read.
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
        let copied = window.stride_w != 1 || window.padding != Padding::default();
        let padded = g.in_w() + window.padding.left + window.padding.right;
        let phase = padded.div_ceil(window.stride_w);
        let pitch = if copied { phase * window.stride_w } else { g.in_w() };
        let row_len = (g.in_c() * pitch * window.stride_h).max(1);
        let band_rows = (BAND_LEN / row_len).clamp(1, g.out_h());
        let blocks = group_oc.div_ceil(rows);
        Self { kernels, g, groups, group_oc, rows, blocks, copied, phase, pitch, band_rows }
    }

    /// Input rows under so many output rows.
    fn in_rows(&self, out_rows: usize) -> usize {
        let window = self.g.window();
        (out_rows - 1) * window.stride_h + (window.kernel_h - 1) * window.dilation_h + 1
    }

    /// Elements of a copied band; registers may be read beyond its end.
    fn band_len(&self) -> usize {
        self.g.in_c() * self.in_rows(self.band_rows) * self.pitch + MAX_COLS * self.kernels.lanes
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

    /// Where the factors of a sum stand in a band of so many rows, from the place of its pixel on.
    fn taps(&self, in_rows: usize, taps: &mut [usize; MAX_TAPS]) {
        let window = self.g.window();
        let mut i = 0;
        for channel in 0..self.g.in_c() {
            for kh in 0..window.kernel_h {
                for kw in 0..window.kernel_w {
                    let (row, col) = (kh * window.dilation_h, kw * window.dilation_w);
                    let within = col % window.stride_w * self.phase + col / window.stride_w;
                    taps[i] = (channel * in_rows + row) * self.pitch + within;
                    i += 1;
                }
            }
        }
    }

    /// Copies input rows `first..first + rows` of the padded input of a group into `band`.
    fn copy(&self, x: &[T], first: usize, rows: usize, band: &mut [T]) {
        let (in_h, in_w, window) = (self.g.in_h(), self.g.in_w(), self.g.window());
        let (stride, padding) = (window.stride_w, window.padding);
        let channels = band.chunks_exact_mut(rows * self.pitch).zip(x.chunks_exact(in_h * in_w));
        for (band, x) in channels {
            // All of it at once: the borders are many short pieces.
            band.fill(T::ZERO);
            for (row, band) in band.chunks_exact_mut(self.pitch).enumerate() {
                let source = (first + row).checked_sub(padding.top).filter(|&row| row < in_h);
                let Some(source) = source else { continue };
                let x = &x[source * in_w..][..in_w];
                if stride == 1 {
                    band[padding.left..][..in_w].copy_from_slice(x);
                    continue;
                }
                for (place, band) in band.chunks_exact_mut(self.phase).enumerate() {
                    // Column `place + stride * i` of the padded row.
                    let first = padding.left.saturating_sub(place).div_ceil(stride).min(self.phase);
                    let start = place + stride * first;
                    let x = x.get(start.saturating_sub(padding.left)..).unwrap_or(&[]);
                    for (to, &x) in band[first..].iter_mut().zip(x.iter().step_by(stride)) {
                        *to = x;
                    }
                }
            }
        }
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
    (layout.band_len(), blocks * (layout.packed_len() + layout.rows))
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
    let scratch = workspace.prepare(layout.band_len(), packed_len + blocks * layout.rows);
    let (packed, bias) = scratch.shared.split_at_mut(packed_len);
    let packed = call.weights.packed(packed, |w, packed| pack(plan, kernels, w, packed));
    call.pad_bias(bias, layout.rows, |block| layout.plan_channels(block));
    let bias = &*bias;
    let group_len = layout.group_oc * layout.g.out_plane_len();
    y.into_data()
        .par_chunks_exact_mut(group_len)
        .with_min_len((1 << 18) / (group_len * layout.g.patch_len()).max(1) + 1)
        .enumerate()
        .for_each(|(i, y)| {
            let (image, group) = (i / layout.groups, i % layout.groups);
            let task = Task {
                x: &call.x.image(image)[group * layout.g.in_len()..][..layout.g.in_len()],
                packed: &packed[group * layout.blocks * layout.packed_len()..],
                bias: &bias[group * layout.blocks * layout.rows..],
                relu: call.relu(),
            };
            scratch.columns.with(|band| task.run(&layout, band, y));
        });
}

/// One group of output channels of one image.
struct Task<'a, T> {
    x: &'a [T],
    packed: &'a [T],
    bias: &'a [T],
    relu: bool,
}

impl<T: ConvScalar> Task<'_, T> {
    fn run(&self, layout: &Layout<'_, T>, band: &mut [T], y: &mut [T]) {
        let Self { x, packed, bias, relu } = *self;
        let (g, window, lanes) = (layout.g, layout.g.window(), layout.kernels.lanes);
        let (out_h, out_w, plane_len) = (g.out_h(), g.out_w(), g.out_plane_len());
        let step = window.stride_h * layout.pitch;
        let mut places = [0; MAX_TAPS];
        for top in (0..out_h).step_by(layout.band_rows) {
            let rows = top..(top + layout.band_rows).min(out_h);
            let in_rows = layout.in_rows(rows.len());
            let first_row = rows.start * window.stride_h;
            // A band near the end of the image is copied as well, because registers are read beyond
            // its end.
            let below = g.in_h().saturating_sub(first_row + in_rows);
            let last = below * g.in_w() < MAX_COLS * lanes;
            let (source, channel_rows) = if layout.copied || last {
                layout.copy(x, first_row, in_rows, band);
                (&*band, in_rows)
            } else {
                (&x[first_row * layout.pitch..], g.in_h())
            };
            layout.taps(channel_rows, &mut places);
            let taps = Taps::new(&places[..g.patch_len()]);
            let blocks = y.chunks_mut(layout.rows * plane_len);
            let weights =
                packed.chunks_exact(layout.packed_len()).zip(bias.chunks_exact(layout.rows));
            for (y, (w, bias)) in blocks.zip(weights) {
                let out_channels = y.len() / plane_len;
                layout.kernels.sum_lanes(Lanes {
                    x: source,
                    step,
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
