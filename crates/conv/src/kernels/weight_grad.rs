//! Gradients of weights: products of displaced pixels and gradients of outputs, summed over pixels.
//!
//! The mirror of the direct convolution: output channels stand in the lanes, pixels of the input are
//! broadcast one by one straight out of its rows, and each register sums one tap over all pixels.

use std::array::from_fn;

use super::vector::Vector;
use super::weight_grad_lanes::totals;
use super::{Kernels, PlaneGrad, lanes};

/// Pixels of a row that are summed between two checks of its end.
const UNROLLED: usize = 4;

/// How far ahead gradients by outputs are asked for.
const PIXELS_AHEAD: usize = 256;

impl<T> Kernels<T> {
    /// Sums gradients by weights, with output channels in the lanes.
    ///
    /// # Panics
    ///
    /// If it reaches beyond its slices; so do the four below.
    pub(crate) fn weight_grad(&self, mut args: WeightGrad<'_, T>) {
        args.check(self.lanes, self.grad_vectors);
        // SAFETY: the slices have been checked, and a table exists only for a CPU that can run it.
        unsafe { (self.weight_grad)(&mut args) }
    }

    /// Transposes gradients by outputs and adds them up.
    pub(crate) fn grad_panel(&self, mut args: Panel<'_, T>) {
        args.check(self.lanes);
        // SAFETY: as above.
        unsafe { (self.grad_panel)(&mut args) }
    }

    /// Adds up partial sums of gradients by weights.
    pub(crate) fn grad_gather(&self, mut args: Gather<'_, T>) {
        args.check(self.lanes);
        // SAFETY: as above.
        unsafe { (self.grad_gather)(&mut args) }
    }

    /// Sums gradients by weights, with pixels in the lanes.
    pub(crate) fn plane_grad(&self, mut args: PlaneGrad<'_, T>) {
        args.check(self.plane_grad_channels);
        // SAFETY: as above.
        unsafe { (self.plane_grad)(&mut args) }
    }

    /// Sums gradients by the weights of a plane by itself under a window of its own.
    pub(crate) fn plane_weights(&self, mut args: lanes::PlaneWeights<'_, T>) {
        args.check(self.lanes);
        // SAFETY: as above.
        unsafe { (self.plane_weights)(&mut args) }
    }
}

/// Some pixels of some images, and the sums to which they add.
///
/// The taps are the rows of the sums: a tap has a channel, a kernel row and a kernel column. Its
/// factor for the pixel `(row, col)` of image `i` stands at `i * image_stride + channel *
/// channel_stride + kernel_row * kernel_row_stride + kernel_cols[kernel_col] + row * row_stride + col`.
pub(crate) struct WeightGrad<'a, T> {
    /// The input.
    pub(crate) x: &'a [T],
    pub(crate) images: usize,
    pub(crate) image_stride: usize,
    pub(crate) rows: usize,
    pub(crate) row_stride: usize,
    pub(crate) cols: usize,
    pub(crate) channels: usize,
    pub(crate) channel_stride: usize,
    pub(crate) kernel_rows: usize,
    pub(crate) kernel_row_stride: usize,
    pub(crate) kernel_cols: &'a [usize],
    /// The gradients by the outputs, `(images, rows, cols, vectors * LANES)`.
    pub(crate) dy: &'a [T],
    /// Registers of output channels.
    pub(crate) vectors: usize,
    /// The sums, `vectors * LANES` elements of each tap, taps `sums_stride` apart.
    pub(crate) sums: &'a mut [T],
    pub(crate) sums_stride: usize,
    /// Whether they are added to, not overwritten.
    pub(crate) accumulate: bool,
}

impl<T> WeightGrad<'_, T> {
    fn pixels(&self) -> usize {
        self.images * self.rows * self.cols
    }

    /// Panics if it would reach beyond its slices: the proof that the kernels below stand on.
    pub(crate) fn check(&self, lanes: usize, max_vectors: usize) {
        assert!((1..=max_vectors).contains(&self.vectors));
        assert!(self.images > 0 && self.rows > 0 && self.cols > 0);
        assert!(self.channels > 0 && self.kernel_rows > 0);
        let col = *self.kernel_cols.iter().max().expect("a kernel has columns");
        let last = (self.images - 1) * self.image_stride
            + (self.channels - 1) * self.channel_stride
            + (self.kernel_rows - 1) * self.kernel_row_stride
            + col
            + (self.rows - 1) * self.row_stride
            + self.cols
            - 1;
        assert!(last < self.x.len());
        let width = self.vectors * lanes;
        assert!(self.dy.len() >= self.pixels() * width);
        let taps = self.channels * self.kernel_rows * self.kernel_cols.len();
        assert!(width <= self.sums_stride || taps == 1);
        assert!(self.sums.len() >= (taps - 1) * self.sums_stride + width);
    }
}

/// A tile of taps: some places, that is kernel rows of channels, times some kernel columns.
pub(crate) struct Tile {
    /// How many places.
    pub(crate) places: usize,
    /// The first kernel column, and how many.
    pub(crate) first_col: usize,
    pub(crate) cols: usize,
    /// The first place, counted through all channels; its channel and its kernel row.
    first_place: usize,
    channel: usize,
    kernel_row: usize,
}

/// Cuts the taps into tiles, of which the list names those that there are as places, columns and
/// registers; there is one of each single column for each number of registers, and of a single place
/// for each number of columns up to some.
#[inline(always)]
pub(crate) fn for_each_tile<'a, T>(
    args: &mut WeightGrad<'a, T>,
    list: &[[usize; 3]],
    mut f: impl FnMut(&mut WeightGrad<'a, T>, &Tile),
) {
    let vectors = args.vectors;
    let of_vectors = || list.iter().filter(move |tile| tile[2] == vectors);
    let most_cols = of_vectors().map(|tile| tile[1]).max().expect("the list has tiles of all");
    let parts = args.kernel_cols.len().div_ceil(most_cols);
    let places = args.channels * args.kernel_rows;
    for part in 0..parts {
        let first_col = part * args.kernel_cols.len() / parts;
        let cols = (part + 1) * args.kernel_cols.len() / parts - first_col;
        let (mut first_place, mut channel, mut kernel_row) = (0, 0, 0);
        while first_place < places {
            let left = places - first_place;
            let fitting = of_vectors().filter(|tile| tile[1] == cols && tile[0] <= left);
            let count = fitting.map(|tile| tile[0]).max().expect("the list has single places");
            f(args, &Tile { places: count, first_col, cols, first_place, channel, kernel_row });
            first_place += count;
            kernel_row += count;
            while kernel_row >= args.kernel_rows {
                kernel_row -= args.kernel_rows;
                channel += 1;
            }
        }
    }
}

/// Sums a tile of `A` places, `B` columns and `N` registers.
///
/// # Safety
///
/// The CPU has the instruction set of `V`, [`WeightGrad::check`] has passed, the tile is one of the
/// arguments, and `A`, `B` and `N` are its places, its columns and its registers.
#[inline(always)]
pub(crate) unsafe fn tile<V: Vector, const A: usize, const B: usize, const N: usize>(
    args: &mut WeightGrad<'_, V::Elem>,
    tile: &Tile,
) {
    // SAFETY: the caller guarantees the CPU. Of `x` the largest index is that of the last tap for the
    // last pixel of the last image, of `dy` that many registers are read as there are pixels, and of
    // `sums` the taps are read and written that are those of the tile: all lie within, as `check` has
    // shown.
    unsafe {
        let cols: [usize; B] = from_fn(|b| *args.kernel_cols.get_unchecked(tile.first_col + b));
        let (mut channel, mut kernel_row) = (tile.channel, tile.kernel_row);
        let first: [*const V::Elem; A] = from_fn(|_| {
            let place = channel * args.channel_stride + kernel_row * args.kernel_row_stride;
            kernel_row += 1;
            if kernel_row == args.kernel_rows {
                (channel, kernel_row) = (channel + 1, 0);
            }
            args.x.as_ptr().wrapping_add(place)
        });
        let mut dy = args.dy.as_ptr();
        let mut sums = [[[V::splat(V::Elem::default()); N]; B]; A];
        for image in 0..args.images {
            let mut x = first.map(|x| x.wrapping_add(image * args.image_stride));
            for _ in 0..args.rows {
                for _ in 0..args.cols / UNROLLED {
                    for u in 0..UNROLLED {
                        pixel::<V, A, B, N>(&mut sums, &x, &cols, u, dy);
                    }
                    dy = dy.wrapping_add(UNROLLED * N * V::LANES);
                    x = x.map(|x| x.wrapping_add(UNROLLED));
                }
                for _ in 0..args.cols % UNROLLED {
                    pixel::<V, A, B, N>(&mut sums, &x, &cols, 0, dy);
                    dy = dy.wrapping_add(N * V::LANES);
                    x = x.map(|x| x.wrapping_add(1));
                }
                x = x.map(|x| x.wrapping_add(args.row_stride).wrapping_sub(args.cols));
            }
        }
        let kernel_w = args.kernel_cols.len();
        for a in 0..A {
            for b in 0..B {
                let tap = (tile.first_place + a) * kernel_w + tile.first_col + b;
                let to = args.sums.as_mut_ptr().add(tap * args.sums_stride);
                for n in 0..N {
                    let to = to.add(n * V::LANES);
                    let sum = sums[a][b][n];
                    // What the pixels before have come to.
                    let sum = if args.accumulate { V::load(to).add(sum) } else { sum };
                    sum.store(to);
                }
            }
        }
    }
}

/// Adds the products of pixel `u` from those at `x` on, of which `dy` has those of pixel 0.
///
/// # Safety
///
/// The CPU has the instruction set of `V`; the elements are readable.
#[inline(always)]
unsafe fn pixel<V: Vector, const A: usize, const B: usize, const N: usize>(
    sums: &mut [[[V; N]; B]; A],
    x: &[*const V::Elem; A],
    cols: &[usize; B],
    u: usize,
    dy: *const V::Elem,
) {
    // SAFETY: that of the caller.
    unsafe {
        let mut gradients = [V::splat(V::Elem::default()); N];
        for n in 0..N {
            gradients[n] = V::load(dy.wrapping_add((u * N + n) * V::LANES));
        }
        for a in 0..A {
            for b in 0..B {
                let factor = V::splat(*x[a].wrapping_add(cols[b]).wrapping_add(u));
                for n in 0..N {
                    sums[a][b][n] = factor.mul_add(gradients[n], sums[a][b][n]);
                }
            }
        }
    }
}

/// Transposes gradients by outputs, so that the kernels above read them in order.
pub(crate) struct Panel<'a, T> {
    /// The gradients: `pixels` of each output channel, channels `channel_stride` apart.
    pub(crate) dy: &'a [T],
    /// What a ReLU has put out, where the gradients count only where it is active: laid out as `dy`; else
    /// empty.
    pub(crate) relu: &'a [T],
    pub(crate) channel_stride: usize,
    pub(crate) pixels: usize,
    pub(crate) out_channels: usize,
    /// Output channels in the panel, a multiple of `LANES`; those that are not there are 0.
    pub(crate) width: usize,
    /// The panel, `(pixels, width)`, overwritten.
    pub(crate) panel: &'a mut [T],
    /// The sums of each channel, `width` elements, added to; empty where they are not asked for.
    pub(crate) sums: &'a mut [T],
}

impl<T> Panel<'_, T> {
    /// Panics if it would reach beyond its slices.
    pub(crate) fn check(&self, lanes: usize) {
        assert!(self.width.is_multiple_of(lanes) && self.out_channels <= self.width);
        if self.out_channels > 0 {
            let len = (self.out_channels - 1) * self.channel_stride + self.pixels;
            assert!(self.dy.len() >= len && (self.relu.is_empty() || self.relu.len() >= len));
            assert!(self.pixels <= self.channel_stride || self.out_channels < 2);
        }
        assert!(self.panel.len() >= self.pixels * self.width);
        assert!(self.sums.is_empty() || self.sums.len() >= self.width);
    }
}

/// # Safety
///
/// The CPU has the instruction set of `V`, [`Panel::check`] has passed, and `RELU` says whether there is
/// one.
#[inline(always)]
pub(crate) unsafe fn panel<V: Vector, const RELU: bool>(args: &mut Panel<'_, V::Elem>) {
    let (pixels, width) = (args.pixels, args.width);
    // SAFETY: the caller guarantees the CPU. Channel `first + r` exists where it is below `out_channels`,
    // and of its pixels `count` are read from `pixel` on, of `relu` as of `dy`; `count` rows of `LANES` elements are written,
    // `pixel + count <= pixels` and `first + LANES <= width`.
    unsafe {
        for first in (0..width).step_by(V::LANES) {
            let zero = V::splat(V::Elem::default());
            let channels = args.out_channels.saturating_sub(first).min(V::LANES);
            let mut sums = [zero; 16];
            for pixel in (0..pixels).step_by(V::LANES) {
                let count = V::LANES.min(pixels - pixel);
                let mut rows = [zero; 16];
                let dy = args.dy.as_ptr().wrapping_add(first * args.channel_stride + pixel);
                for r in 0..V::LANES {
                    if r < channels {
                        let p = dy.wrapping_add(r * args.channel_stride);
                        // Hardware does not follow as many channels as there are lanes.
                        V::prefetch(p.wrapping_add(PIXELS_AHEAD));
                        let load = |p| match count == V::LANES {
                            true => V::load(p),
                            false => V::load_first(p, count),
                        };
                        rows[r] = load(p);
                        if RELU {
                            let at = first * args.channel_stride + pixel + r * args.channel_stride;
                            let y = args.relu.as_ptr().wrapping_add(at);
                            V::prefetch(y.wrapping_add(PIXELS_AHEAD));
                            rows[r] = rows[r].where_active(load(y));
                        }
                        sums[r] = sums[r].add(rows[r]);
                    }
                }
                let to = args.panel.as_mut_ptr().add(pixel * width + first);
                V::store_transposed(&rows, V::LANES, to, width, count);
            }
            if !args.sums.is_empty() {
                let to = args.sums.as_mut_ptr().add(first);
                V::load(to).add(totals(&sums)).store(to);
            }
        }
    }
}

/// Adds up partial sums and turns them into rows of output channels.
pub(crate) struct Gather<'a, T> {
    /// The partial sums, `parts` of them `part_stride` apart: tap `t` of output channel `oc` stands at
    /// `t * sums_stride + oc`.
    pub(crate) sums: &'a [T],
    pub(crate) parts: usize,
    pub(crate) part_stride: usize,
    pub(crate) sums_stride: usize,
    pub(crate) taps: usize,
    pub(crate) out_channels: usize,
    /// The gradients by the weights: tap `t` of output channel `oc` goes to `oc * dw_stride + t`.
    pub(crate) dw: &'a mut [T],
    pub(crate) dw_stride: usize,
    /// Whether they are added to, not overwritten.
    pub(crate) accumulate: bool,
}

impl<T> Gather<'_, T> {
    /// Panics if it would reach beyond its slices.
    pub(crate) fn check(&self, lanes: usize) {
        assert!(self.parts > 0 && self.taps > 0 && self.out_channels > 0);
        // Whole registers of output channels are read.
        let width = self.out_channels.next_multiple_of(lanes);
        assert!(width <= self.sums_stride);
        let last = (self.parts - 1) * self.part_stride + (self.taps - 1) * self.sums_stride;
        assert!(last + width <= self.sums.len());
        assert!((self.out_channels - 1) * self.dw_stride + self.taps <= self.dw.len());
    }
}

/// # Safety
///
/// The CPU has the instruction set of `V`, and [`Gather::check`] has passed.
#[inline(always)]
pub(crate) unsafe fn gather<V: Vector>(args: &mut Gather<'_, V::Elem>) {
    let zero = V::Elem::default();
    // SAFETY: the caller guarantees the CPU. Of the sums, whole registers are read of taps and parts
    // that exist; of `dw`, `count` elements of `lanes` channels from `tap` and `oc` on are read and
    // written, which exist. `square` has room for `LANES` rows of `LANES`.
    unsafe {
        for oc in (0..args.out_channels).step_by(V::LANES) {
            let lanes = V::LANES.min(args.out_channels - oc);
            for tap in (0..args.taps).step_by(V::LANES) {
                let count = V::LANES.min(args.taps - tap);
                let mut rows = [V::splat(zero); 16];
                for r in 0..count {
                    let from = args.sums.as_ptr().add((tap + r) * args.sums_stride + oc);
                    let mut sum = V::load(from);
                    for part in 1..args.parts {
                        sum = sum.add(V::load(from.add(part * args.part_stride)));
                    }
                    rows[r] = sum;
                }
                let dw = args.dw.as_mut_ptr().add(oc * args.dw_stride + tap);
                if !args.accumulate {
                    V::store_transposed(&rows, count, dw, args.dw_stride, lanes);
                    continue;
                }
                let mut square = [zero; 256];
                V::store_transposed(&rows, V::LANES, square.as_mut_ptr(), V::LANES, V::LANES);
                for l in 0..lanes {
                    let dw = dw.add(l * args.dw_stride);
                    let sum = V::load(square.as_ptr().add(l * V::LANES));
                    V::load_first(dw, count).add(sum).store_first(dw, count);
                }
            }
        }
    }
}
