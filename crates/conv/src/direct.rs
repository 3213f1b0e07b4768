//! Convolution without unfolding.
//!
//! Output channels stand in the lanes of the registers, and pixels are broadcast straight out of
//! the rows of the input, so that a window and its dilation are only displacements. Where there is
//! padding or a horizontal stride, as many rows as fit in the cache are first copied: between borders
//! of 0, and their columns sorted by their place within a stride, so that neighbouring pixels of the
//! output always read neighbouring pixels of the input.
//!
//! Kernels of one tap over large planes have their pixels in the lanes instead: then a plane is one long
//! row, which is read in place and written as it is. Of a horizontal stride, the pixels are copied first.
//!
//! Every output is one sum over channels, kernel rows and kernel columns, in that order, whatever
//! tile it falls into.

use std::ops::Range;

use im2col::{ConvGeometry, Padding};

use crate::call::{Call, keep_threads_busy, least_pieces_awake};
use crate::filters::Filters;
use crate::kernels::{Area, Kernels, Pick, Pool};
use crate::out::Out;
use crate::parallel::pieces;
use crate::reading::Reading;
use crate::{Conv2dPlan, ConvScalar, KernelSet, Workspace};

/// How many elements of rows are copied at a time: a quarter of a second-level cache of 1 MiB.
const BAND_LEN: usize = 1 << 16;

/// About how many elements are computed before they are pooled: a sixteenth of such a cache.
const POOL_LEN: usize = 1 << 14;

/// The smallest plane that is summed with pixels in the lanes, of which some may not fill a register, and
/// the most channels: their pixels stream from the second-level cache, for fewer sums at a time than in the
/// tiles below.
const WIDE_PLANE: usize = 128;
const MOST_CHANNELS: usize = 512;

/// The widest kernel.
pub(crate) const MAX_KERNEL_W: usize = 256;

/// Whether the algorithm serves a window.
pub(crate) fn fits(g: &ConvGeometry) -> bool {
    g.window().kernel_w <= MAX_KERNEL_W
}

/// Whether a kernel of one tap is summed with pixels in the lanes: those of rows that follow one another
/// without a gap, as they are or as copies. Not on all instruction sets, for want of a measurement.
fn is_flat(g: &ConvGeometry, set: KernelSet) -> bool {
    let window = g.window();
    matches!(set, KernelSet::Avx512 | KernelSet::Avx2)
        && (window.kernel_h, window.kernel_w) == (1, 1)
        && window.padding == Padding::default()
        && matches!((window.stride_h, window.stride_w), (1, 1) | (_, 2))
        && g.out_plane_len() >= WIDE_PLANE
        && g.in_c() <= MOST_CHANNELS
}

/// Output rows that are computed together from rows without a gap; a number that fills whole registers, if
/// there is one.
fn flat_rows(g: &ConvGeometry, lanes: usize) -> usize {
    let rows = (BAND_LEN / (g.in_c() * g.out_w()).max(1)).clamp(1, g.out_h());
    let fill = (1..=lanes).find(|rows| (rows * g.out_w()).is_multiple_of(lanes)).unwrap_or(1);
    if (fill..g.out_h()).contains(&rows) { rows / fill * fill } else { rows }
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
    reading: Reading<'a>,
    /// Whether pixels stand in the lanes: those of rows that follow one another without a gap.
    flat: bool,
    /// Output rows that are computed together.
    band_rows: usize,
    /// Output rows that are computed before they are pooled, an even number.
    pool_rows: usize,
}

impl<'a, T: ConvScalar> Layout<'a, T> {
    fn new(plan: &'a Conv2dPlan, kernels: &'static Kernels<T>) -> Self {
        let g = plan.group_geometry();
        let groups = plan.desc().groups;
        let group_oc = plan.desc().out_channels / groups;
        let vectors = if group_oc > kernels.lanes { 2 } else { 1 };
        let width = vectors * kernels.lanes;
        let reading = Reading::new(g, kernels.lanes);
        let flat = is_flat(g, kernels.set);
        let band_rows = if flat {
            flat_rows(g, kernels.lanes)
        } else {
            let row_len = g.in_c() * reading.copied_row_stride();
            (BAND_LEN / row_len.max(1)).clamp(1, g.out_h())
        };
        let pool_rows = (POOL_LEN / (width * g.out_w())).clamp(2, g.out_h().max(2)) / 2 * 2;
        let blocks = group_oc.div_ceil(width);
        Self {
            kernels,
            g,
            groups,
            group_oc,
            vectors,
            width,
            blocks,
            reading,
            flat,
            band_rows,
            pool_rows,
        }
    }

    /// The layout of a pass that ends in a pool, whose bands have an even number of rows, if it is one.
    fn pooled(self, pool: bool) -> Self {
        let band_rows = if pool { self.band_rows.max(2) / 2 * 2 } else { self.band_rows };
        Self { band_rows, ..self }
    }

    /// Elements that are computed before they are pooled.
    fn unpooled_len(&self, pool: bool) -> usize {
        if pool { self.width * self.pool_rows * self.g.out_w() } else { 0 }
    }

    /// Elements of a plane of the output.
    fn out_plane_len(&self, pool: bool) -> usize {
        if pool { (self.g.out_h() / 2) * (self.g.out_w() / 2) } else { self.g.out_plane_len() }
    }

    /// Elements of the packed weights of one tile of output channels.
    fn packed_len(&self) -> usize {
        self.g.patch_len() * self.width
    }

    /// Elements of the copied rows of a band.
    fn band_len(&self) -> usize {
        match (self.reading.copied, self.flat) {
            (true, true) => {
                self.g.in_c() * self.channel_stride(self.band_rows) + self.kernels.lanes
            }
            _ => self.reading.band_len(self.band_rows, self.g.in_c()),
        }
    }

    /// Elements from one channel to the next, under so many output rows.
    fn channel_stride(&self, out_rows: usize) -> usize {
        if !(self.flat && self.reading.copied) {
            return self.reading.channel_stride(out_rows);
        }
        // An odd number of registers: see there.
        let lanes = self.kernels.lanes;
        ((out_rows * self.g.out_w()).div_ceil(lanes) | 1) * lanes
    }

    /// Elements from the factor of one pixel to that of the pixel below.
    fn row_stride(&self) -> usize {
        if self.flat { self.g.out_w() } else { self.reading.row_stride() }
    }

    /// Copies the rows of the input under some rows of the output.
    fn copy(&self, x: &[T], rows: &Range<usize>, band: &mut [T]) {
        if !self.flat {
            return self.reading.copy(self.kernels, x, rows, band);
        }
        let (in_w, window) = (self.g.in_w(), self.g.window());
        self.kernels.pick(Pick {
            x: &x[rows.start * window.stride_h * in_w..],
            channels: self.g.in_c(),
            channel_stride: self.g.in_h() * in_w,
            rows: rows.len(),
            row_stride: window.stride_h * in_w,
            cols: self.g.out_w(),
            to: band,
            to_stride: self.channel_stride(rows.len()),
        });
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
    let layout = Layout::new(plan, kernels).pooled(true);
    let own = layout.band_len().max(Layout::new(plan, kernels).band_len());
    let tiles = layout.groups * layout.blocks;
    (own + layout.unpooled_len(true), tiles * (layout.packed_len() + layout.width))
}

/// Packs the weights, one tile of output channels after the other.
pub(crate) fn pack<T: ConvScalar>(
    plan: &Conv2dPlan,
    kernels: &'static Kernels<T>,
    w: &[T],
    packed: &mut [T],
) {
    let (layout, filters) = (Layout::new(plan, kernels), Filters::new(plan));
    pieces(packed, layout.packed_len(), 1, &|i, packed| {
        let (group, block) = (i / layout.blocks, i % layout.blocks);
        let at = (group, layout.channels(block), 0..layout.g.in_c());
        filters.pack(kernels, w, at, layout.width, packed);
    });
}

pub(crate) fn forward<T: ConvScalar>(
    plan: &Conv2dPlan,
    kernels: &'static Kernels<T>,
    call: &Call<'_, T>,
    out: Out<'_, T>,
    workspace: &mut Workspace<T>,
) {
    let layout = Layout::new(plan, kernels).pooled(call.pool);
    let n = call.x.shape().n();
    if out.is_empty() {
        return;
    }
    let tiles = layout.groups * layout.blocks;
    let packed_len = call.weights.scratch_len(tiles * layout.packed_len());
    let own_len = layout.band_len() + layout.unpooled_len(call.pool);
    let scratch = workspace.prepare(own_len, packed_len + tiles * layout.width);
    let (packed, bias) = scratch.shared.split_at_mut(packed_len);
    let packed = call.weights.packed(packed, |w, packed| pack(plan, kernels, w, packed));
    call.pad_bias(bias, layout.width, |block| layout.plan_channels(block));
    let bias = &*bias;

    let plane_len = layout.out_plane_len(call.pool);
    // Blocks of a group that one task computes: all of them where there are many images, because
    // each task pads its rows anew.
    let least = least_pieces_awake(plan.multiply_adds(n));
    let blocks = if least > n || keep_threads_busy(n) {
        layout.blocks
    } else {
        layout.blocks.div_ceil(2 * rayon::current_num_threads())
    };
    let group_len = layout.group_oc * plane_len;
    out.par_chunks(group_len, least, &|i, out| {
        let (image, group) = (i / layout.groups, i % layout.groups);
        let x = &call.x.image(image)[group * layout.g.in_len()..][..layout.g.in_len()];
        out.par_chunks(blocks * layout.width * plane_len, least, &|task, out| {
            let first = group * layout.blocks + task * blocks;
            let task = Task {
                x,
                packed: &packed[first * layout.packed_len()..],
                bias: &bias[first * layout.width..],
                first_block: task * blocks,
                relu: call.relu(),
            };
            scratch.columns.with(|band| {
                let (band, unpooled) = band.split_at_mut(layout.band_len());
                task.run(&layout, band, call.pool.then_some(unpooled), out);
            });
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
    fn run(
        &self,
        layout: &Layout<'_, T>,
        band: &mut [T],
        mut unpooled: Option<&mut [T]>,
        mut out: Out<'_, T>,
    ) {
        let g = layout.g;
        // A pool drops an odd last row.
        let out_h = if unpooled.is_some() { g.out_h() / 2 * 2 } else { g.out_h() };
        let reading = &layout.reading;
        let mut kernel_cols = [0; MAX_KERNEL_W];
        let kernel_cols = reading.kernel_cols(&mut kernel_cols);
        for top in (0..out_h).step_by(layout.band_rows) {
            let rows = top..(top + layout.band_rows).min(out_h);
            let x = if reading.copied {
                layout.copy(self.x, &rows, band);
                &*band
            } else {
                &self.x[(rows.start * reading.row_stride()).min(self.x.len())..]
            };
            let source = Source { x, kernel_cols, rows };
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
        let out_w = layout.g.out_w();
        let plane_len = layout.out_plane_len(unpooled.is_some());
        let Range { start, end } = source.rows;
        for (block, mut out) in out.chunks(layout.width * plane_len).enumerate() {
            let Some(unpooled) = unpooled.as_deref_mut() else {
                let y = &mut out.y[start * out_w..];
                self.sum(layout, source, block, start..end, (y, plane_len));
                continue;
            };
            for first in (start..end).step_by(layout.pool_rows) {
                let rows = first..(first + layout.pool_rows).min(end);
                let x_stride = rows.len() * out_w;
                self.sum(layout, source, block, rows.clone(), (unpooled, x_stride));
                let planes = out.len() / plane_len;
                let Out { y, argmax } = out.reborrow().from(first / 2 * (out_w / 2));
                layout.kernels.pool(Pool {
                    x: unpooled,
                    x_stride,
                    in_w: out_w,
                    planes,
                    out_h: rows.len() / 2,
                    out_w: out_w / 2,
                    y,
                    argmax,
                    y_stride: plane_len,
                });
            }
        }
    }

    /// Some rows of a block; its channels are `y_stride` apart.
    fn sum(
        &self,
        layout: &Layout<'_, T>,
        source: &Source<'_, T>,
        block: usize,
        rows: Range<usize>,
        (y, y_stride): (&mut [T], usize),
    ) {
        let (window, reading, out_w) = (layout.g.window(), &layout.reading, layout.g.out_w());
        let (first_block, lanes) = (self.first_block + block, layout.kernels.lanes);
        let (mut area_rows, mut area_cols) = (rows.len(), out_w);
        let single = (window.kernel_h, window.kernel_w) == (1, 1);
        if single && layout.row_stride() == out_w {
            // Rows follow one another without a gap: they are one.
            (area_rows, area_cols) = (1, area_rows * area_cols);
        }
        let first = (rows.start - source.rows.start) * layout.row_stride();
        let x = &source.x[first.min(source.x.len())..];
        // Pixels beyond the last whole register are summed as if there were no others, in the same order.
        let whole = if layout.flat { area_cols / lanes * lanes } else { 0 };
        for (first, cols) in [(0, whole), (whole, area_cols - whole)] {
            if cols == 0 {
                continue;
            }
            let area = Area {
                x: &x[first.min(x.len())..],
                channels: layout.g.in_c(),
                channel_stride: layout.channel_stride(source.rows.len()),
                kernel_rows: window.kernel_h,
                kernel_row_stride: reading.kernel_row_stride(),
                kernel_cols: source.kernel_cols,
                row_stride: layout.row_stride(),
                w: &self.packed[block * layout.packed_len()..][..layout.packed_len()],
                bias: &self.bias[block * layout.width..][..layout.width],
                vectors: layout.vectors,
                rows: area_rows,
                cols,
                y: &mut y[first..],
                y_stride,
                y_pitch: out_w,
                out_channels: layout.channels(first_block).len(),
                relu: self.relu,
                fresh: block == 0,
            };
            if first < whole {
                layout.kernels.pixels(area);
            } else {
                layout.kernels.direct(area);
            }
        }
    }
}

/// What rows of the output are computed from.
struct Source<'a, T> {
    /// The input from under the first of the rows on.
    x: &'a [T],
    /// Where the columns of the window stand in a row.
    kernel_cols: &'a [usize],
    rows: Range<usize>,
}
