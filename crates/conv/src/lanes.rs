//! Convolution with the pixels of the output in the lanes of the registers.
//!
//! Serves what [`direct`](crate::direct) is not made for: sums so short that bringing their
//! results into rows would cost as much as they do (the first layers of networks), and channels
//! that stand alone (depthwise convolution). Rows are copied between borders of 0 where there is
//! padding, and sorted by their place within a stride where that is not 1, so that neighbouring
//! pixels of the output always read neighbouring pixels of the input. Channels that stand alone under
//! the usual windows are read in place: there a copy would cost as much as the sums.
//!
//! Every output is one sum over kernel rows, channels and kernel columns, in that order: so those rows of
//! the kernel that lie in the padding above or below are left out at no cost.

mod band;

use std::ops::Range;

use im2col::{ConvGeometry, Padding};

use crate::call::{Call, keep_threads_busy, least_pieces_awake};
use crate::filters::Filters;
use crate::kernels::lanes::{Lanes, MARGIN, MAX_COLS, Plane, Rows, Taps};
use crate::kernels::{Kernels, Pool};
use crate::out::Out;
use crate::{Conv2dPlan, ConvScalar, Workspace};
use band::Band;

/// How many elements of rows are copied at a time: an eighth of a second-level cache of 1 MiB. Those
/// under one row of the output should fit in the first level, which they do where sums are short.
const BAND_LEN: usize = 1 << 15;

/// About how many elements are computed before they are pooled: what a first-level cache of 32 KiB has room
/// for.
const POOL_LEN: usize = 5 << 10;

/// Sums of at most this many terms are kept in this form.
pub(crate) const MAX_TAPS: usize = 512;

/// Whether the algorithm serves a plan: short sums.
pub(crate) fn fits(g: &ConvGeometry) -> bool {
    (1..=MAX_TAPS).contains(&g.patch_len())
}

/// Whether a channel that stands alone can be read in place, as the kernels for whole planes do.
pub(crate) fn reads_planes<T>(g: &ConvGeometry) -> bool {
    let window = g.window();
    g.in_c() == 1
        && window.kernel_h == window.kernel_w
        && window.stride_h == window.stride_w
        && (window.dilation_h, window.dilation_w) == (1, 1)
        && window.padding.left.max(window.padding.right) < window.kernel_w
        && Plane::<T>::serves(window.kernel_h, window.stride_h)
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
    /// Output rows that are computed before they are pooled, an even number.
    pool_rows: usize,
    /// Output rows whose windows have no row in the padding.
    inner: Range<usize>,
}

impl<'a, T: ConvScalar> Layout<'a, T> {
    fn new(plan: &'a Conv2dPlan, kernels: &'static Kernels<T>) -> Self {
        let g = plan.group_geometry();
        let window = g.window();
        let groups = plan.desc().groups;
        let group_oc = plan.desc().out_channels / groups;
        let rows = if group_oc == 1 { 1 } else { kernels.lanes_rows };
        let planes = group_oc == 1 && reads_planes::<T>(g);
        let copied = window.stride_w != 1 || window.padding != Padding::default();
        let padded = g.in_w() + window.padding.left + window.padding.right;
        let phase = padded.div_ceil(window.stride_w).next_multiple_of(kernels.lanes);
        let pitch = phase * window.stride_w;
        let row_len = (g.in_c() * pitch * window.stride_h).max(1);
        let band_rows = (BAND_LEN / row_len).clamp(1, g.out_h());
        let blocks = group_oc.div_ceil(rows);
        let pool_rows = if planes { g.out_h() } else { POOL_LEN / (rows * g.out_w()) };
        let pool_rows = pool_rows.clamp(2, g.out_h().max(2)) / 2 * 2;
        Self {
            kernels,
            g,
            groups,
            group_oc,
            rows,
            blocks,
            planes,
            copied,
            phase,
            pitch,
            band_rows,
            pool_rows,
            inner: Self::inner_rows(g),
        }
    }

    /// The layout of a pass that ends in a pool, whose bands have an even number of rows, if it is one.
    fn pooled(self, pool: bool) -> Self {
        let band_rows = if pool { self.band_rows.max(2) / 2 * 2 } else { self.band_rows };
        Self { band_rows, ..self }
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

    /// Elements that are computed before they are pooled. Planes are read in place, and so they are
    /// computed as a whole.
    fn unpooled_len(&self, pool: bool) -> usize {
        match (pool, self.planes) {
            (false, _) => 0,
            (true, true) => self.g.out_plane_len(),
            (true, false) => self.rows * self.pool_rows * self.g.out_w(),
        }
    }

    /// Elements of a plane of the output.
    fn out_plane_len(&self, pool: bool) -> usize {
        if pool { (self.g.out_h() / 2) * (self.g.out_w() / 2) } else { self.g.out_plane_len() }
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

    /// Pools rows of some planes, which `unpooled` has one after the other, into the planes of `out`.
    fn pool(&self, unpooled: &[T], rows: Range<usize>, out: Out<'_, T>) {
        let (in_w, out_w, y_stride) =
            (self.g.out_w(), self.g.out_w() / 2, self.out_plane_len(true));
        let planes = out.len() / y_stride;
        let Out { y, argmax } = out.from(rows.start / 2 * out_w);
        self.kernels.pool(Pool {
            x: unpooled,
            x_stride: rows.len() * in_w,
            in_w,
            planes,
            out_h: rows.len() / 2,
            out_w,
            y,
            argmax,
            y_stride,
        });
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
    let layout = Layout::new(plan, kernels).pooled(true);
    let own = layout.band_len().max(Layout::new(plan, kernels).band_len());
    let blocks = layout.groups * layout.blocks;
    (
        own + layout.unpooled_len(true),
        blocks * (layout.packed_len() + layout.rows) + layout.zeros_len(),
    )
}

/// Packs weights: `(kernel rows, channels, kernel columns, rows)` for each block of output channels.
pub(crate) fn pack<T: ConvScalar>(
    plan: &Conv2dPlan,
    kernels: &'static Kernels<T>,
    w: &[T],
    packed: &mut [T],
) {
    let (layout, filters) = (Layout::new(plan, kernels), Filters::new(plan));
    let (taps, rows) = (layout.g.patch_len(), layout.rows);
    let (in_c, kernel_w) = (layout.g.in_c(), layout.g.window().kernel_w);
    for (i, packed) in packed.chunks_exact_mut(layout.packed_len()).enumerate() {
        let (group, channels) = (i / layout.blocks, layout.channels(i % layout.blocks));
        for r in 0..rows {
            for tap in 0..taps {
                let (row, col) = (tap / kernel_w / in_c, tap % kernel_w);
                let factor = (channels.start + r, tap / kernel_w % in_c);
                packed[tap * rows + r] = match factor.0 < channels.end {
                    true => w[filters.place(group, factor, row * kernel_w + col)],
                    false => T::ZERO,
                };
            }
        }
    }
}

pub(crate) fn forward<T: ConvScalar>(
    plan: &Conv2dPlan,
    kernels: &'static Kernels<T>,
    call: &Call<'_, T>,
    out: Out<'_, T>,
    workspace: &mut Workspace<T>,
) {
    let layout = Layout::new(plan, kernels).pooled(call.pool);
    if out.is_empty() {
        return;
    }
    let blocks = layout.groups * layout.blocks;
    let packed_len = call.weights.scratch_len(blocks * layout.packed_len());
    let shared_len = packed_len + blocks * layout.rows + layout.zeros_len();
    let own_len = layout.band_len() + layout.unpooled_len(call.pool);
    let scratch = workspace.prepare(own_len, shared_len);
    let (packed, bias) = scratch.shared.split_at_mut(packed_len);
    let (bias, zeros) = bias.split_at_mut(blocks * layout.rows);
    zeros.fill(T::ZERO);
    let zeros = &*zeros;
    let packed = call.weights.packed(packed, |w, packed| pack(plan, kernels, w, packed));
    call.pad_bias(bias, layout.rows, |block| layout.plan_channels(block));
    let bias = &*bias;
    let mut places = [0; MAX_TAPS];
    let at = layout.band(0..layout.band_rows);
    let usual = (at, layout.taps(at, &mut places));
    let plane_len = layout.out_plane_len(call.pool);
    let group_len = layout.group_oc * plane_len;
    let groups = out.len() / group_len;
    // Blocks of a group that one task computes: all of them where there are many groups, because each
    // task copies its rows anew.
    let small = least_pieces_awake(plan.multiply_adds(call.x.shape().n()));
    let blocks = if small > groups || keep_threads_busy(groups) {
        layout.blocks
    } else {
        layout.blocks.div_ceil(2 * rayon::current_num_threads())
    };
    let run = |i: usize, first_block: usize, out: Out<'_, T>| {
        let (image, group) = (i / layout.groups, i % layout.groups);
        let first = group * layout.blocks + first_block;
        let task = Task {
            x: &call.x.image(image)[group * layout.g.in_len()..][..layout.g.in_len()],
            packed: &packed[first * layout.packed_len()..],
            bias: &bias[first * layout.rows..],
            usual: &usual,
            relu: call.relu(),
        };
        match (layout.planes, call.pool) {
            (true, false) => task.plane(&layout, (call.x.data(), i), zeros, out.y),
            (true, true) => scratch.columns.with(|unpooled| {
                task.plane(&layout, (call.x.data(), i), zeros, unpooled);
                layout.pool(unpooled, 0..layout.g.out_h() / 2 * 2, out);
            }),
            (false, pool) => scratch.columns.with(|band| {
                let (band, unpooled) = band.split_at_mut(layout.band_len());
                task.run(&layout, band, pool.then_some(unpooled), out);
            }),
        }
    };
    let least = (1 << 18) / (layout.group_oc * layout.g.out_plane_len() * layout.g.patch_len()) + 1;
    out.par_chunks(group_len, least.max(small), &|i, out| {
        if blocks == layout.blocks {
            return run(i, 0, out);
        }
        let task_len = blocks * layout.rows * plane_len;
        out.par_chunks(task_len, 1, &|task, out| run(i, task * blocks, out));
    });
}

/// Some blocks of the output channels of one group of one image.
struct Task<'a, T> {
    x: &'a [T],
    packed: &'a [T],
    bias: &'a [T],
    /// How most bands are read, and where their taps stand.
    usual: &'a (Band, Taps<'a>),
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

    fn run(
        &self,
        layout: &Layout<'_, T>,
        band: &mut [T],
        mut unpooled: Option<&mut [T]>,
        mut out: Out<'_, T>,
    ) {
        let (g, window) = (layout.g, layout.g.window());
        // A pool drops an odd last row.
        let out_h = if unpooled.is_some() { g.out_h() / 2 * 2 } else { g.out_h() };
        let mut places = [0; MAX_TAPS];
        for top in (0..out_h).step_by(layout.band_rows) {
            let rows = top..(top + layout.band_rows).min(out_h);
            let first_row = rows.start * window.stride_h;
            let source = layout.band(rows.clone());
            let x = if source.copied {
                layout.copy(self.x, first_row, source.channel_rows, band);
                &*band
            } else {
                &self.x[first_row * g.in_w()..]
            };
            let others;
            let taps = if source == self.usual.0 {
                &self.usual.1
            } else {
                others = layout.taps(source, &mut places);
                &others
            };
            let source = Source { x, step: window.stride_h * source.pitch, taps, rows };
            self.blocks(layout, &source, unpooled.as_deref_mut(), out.reborrow());
        }
    }

    /// All blocks of some rows, which a pass that ends in a pool computes into `unpooled`, a few at a
    /// time.
    fn blocks(
        &self,
        layout: &Layout<'_, T>,
        source: &Source<'_, T>,
        mut unpooled: Option<&mut [T]>,
        out: Out<'_, T>,
    ) {
        let (out_w, fill) = (layout.g.out_w(), layout.fill(source.step));
        let plane_len = layout.out_plane_len(unpooled.is_some());
        let blocks = out.chunks(layout.rows * plane_len);
        let weights =
            self.packed.chunks_exact(layout.packed_len()).zip(self.bias.chunks_exact(layout.rows));
        for (mut out, (w, bias)) in blocks.zip(weights) {
            let out_channels = out.len() / plane_len;
            let sum = |mut rows: Range<usize>, y: &mut [T], y_stride: usize| {
                let top = rows.start;
                while !rows.is_empty() {
                    let (alike, kernel_rows) = layout.together(rows.clone(), fill);
                    let per_row = layout.g.in_c() * layout.g.window().kernel_w;
                    // Rows that follow one another without a gap are one.
                    let one = source.step == out_w;
                    let taps = kernel_rows.start * per_row..kernel_rows.end * per_row;
                    layout.kernels.sum_lanes(Lanes {
                        x: &source.x[(alike.start - source.rows.start) * source.step..],
                        step: source.step,
                        taps: &source.taps.part(taps.clone()),
                        w: &w[taps.start * layout.rows..taps.end * layout.rows],
                        bias,
                        rows: layout.rows,
                        out_channels,
                        y: &mut y[(alike.start - top) * out_w..],
                        y_stride,
                        out_h: if one { 1 } else { alike.len() },
                        out_w: if one { alike.len() * out_w } else { out_w },
                        fill,
                        relu: self.relu,
                    });
                    rows.start = alike.end;
                }
            };
            let Range { start, end } = source.rows;
            let Some(unpooled) = unpooled.as_deref_mut() else {
                sum(start..end, &mut out.y[start * out_w..], plane_len);
                continue;
            };
            for first in (start..end).step_by(layout.pool_rows) {
                let rows = first..(first + layout.pool_rows).min(end);
                sum(rows.clone(), unpooled, rows.len() * out_w);
                layout.pool(unpooled, rows, out.reborrow());
            }
        }
    }
}

/// What rows of the output are computed from: as [`Lanes`], for the first of them.
struct Source<'a, T> {
    x: &'a [T],
    step: usize,
    /// Where all taps stand.
    taps: &'a Taps<'a>,
    rows: Range<usize>,
}
