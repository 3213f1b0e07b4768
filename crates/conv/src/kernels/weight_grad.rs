//! Gradients of weights: products of displaced pixels and gradients of outputs, summed over pixels.
//!
//! The mirror of the direct convolution: output channels stand in the lanes, pixels of the input are
//! broadcast one by one straight out of its rows, and each register sums one tap over all pixels.

use std::array::from_fn;

use super::vector::Vector;
use super::weight_grad_panel::{Gather, Panel, of_pairs};
use super::{Kernels, PlaneGrad, lanes};

/// Pixels of a row that are summed between two checks of its end.
const UNROLLED: usize = 4;

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
    /// Whether they come in [pairs](Panel::pairs) of pixels, in one register: `(images, rows, cols / 2,
    /// LANES)`.
    pub(crate) pairs: bool,
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

    /// Whether the columns of the kernel are neighbours.
    pub(crate) fn near(&self) -> bool {
        self.kernel_cols.windows(2).all(|cols| cols[0] + 1 == cols[1])
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
        if self.pairs {
            assert!(self.near() && self.vectors == 1 && self.cols.is_multiple_of(2));
            assert!(self.dy.len() >= self.pixels() / 2 * width);
        } else {
            assert!(self.dy.len() >= self.pixels() * width);
        }
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

/// How many neighbouring pixels a tile of so many sums takes at a time: each pixel of the input is
/// then broadcast once for all of them, while their gradients stay in registers.
#[inline(always)]
fn at_a_time<V: Vector>(sums: usize, registers: usize) -> usize {
    let fits = |pixels: usize| sums + pixels * registers < V::REGISTERS;
    if fits(4) {
        4
    } else if fits(2) {
        2
    } else {
        1
    }
}

/// Sums a tile of `A` places, `B` columns and `N` registers, of two pixels in turn in the lanes if
/// they are `PAIRS`. The columns of the kernel are neighbours, if they are `NEAR`.
///
/// # Safety
///
/// The CPU has the instruction set of `V`, [`WeightGrad::check`] has passed, the tile is one of the
/// arguments, `A`, `B` and `N` are its places, its columns and its registers, and `NEAR` and `PAIRS` are
/// what the arguments say.
#[inline(always)]
pub(crate) unsafe fn tile<
    V: Vector,
    const A: usize,
    const B: usize,
    const N: usize,
    const NEAR: bool,
    const PAIRS: bool,
>(
    args: &mut WeightGrad<'_, V::Elem>,
    tile: &Tile,
) {
    // SAFETY: the caller guarantees the CPU. Of `x` the largest index is that of the last tap for the
    // last pixel of the last image, of `dy` that many registers are read as there are pixels, or pairs of
    // them, and of `sums` the taps are read and written that are those of the tile: all lie within, as
    // `check` has shown.
    unsafe {
        let cols: [usize; B] = from_fn(|b| *args.kernel_cols.get_unchecked(tile.first_col + b));
        let (mut channel, mut kernel_row) = (tile.channel, tile.kernel_row);
        let first: [*const V::Elem; A] = from_fn(|_| {
            let place = channel * args.channel_stride + kernel_row * args.kernel_row_stride;
            kernel_row += 1;
            if kernel_row == args.kernel_rows {
                (channel, kernel_row) = (channel + 1, 0);
            }
            let place = if NEAR { place + cols[0] } else { place };
            args.x.as_ptr().wrapping_add(place)
        });
        let mut dy = args.dy.as_ptr();
        let mut sums = [[[V::splat(V::Elem::default()); N]; B]; A];
        // Elements of `x` from one step to the next.
        let step = if PAIRS { 2 } else { 1 };
        let steps = args.cols / step;
        let near = if NEAR && B > 1 { at_a_time::<V>(A * B * N, N) } else { 1 };
        let unrolled = if near == 1 { UNROLLED } else { near };
        for image in 0..args.images {
            let mut x = first.map(|x| x.wrapping_add(image * args.image_stride));
            for _ in 0..args.rows {
                for _ in 0..steps / unrolled {
                    if near == 4 {
                        neighbours::<V, A, B, N, 4, PAIRS>(&mut sums, &x, dy);
                    } else if near == 2 {
                        neighbours::<V, A, B, N, 2, PAIRS>(&mut sums, &x, dy);
                    } else {
                        for u in 0..UNROLLED {
                            pixel::<V, A, B, N, NEAR, PAIRS>(&mut sums, &x, &cols, u, dy);
                        }
                    }
                    dy = dy.wrapping_add(unrolled * N * V::LANES);
                    x = x.map(|x| x.wrapping_add(unrolled * step));
                }
                for _ in 0..steps % unrolled {
                    pixel::<V, A, B, N, NEAR, PAIRS>(&mut sums, &x, &cols, 0, dy);
                    dy = dy.wrapping_add(N * V::LANES);
                    x = x.map(|x| x.wrapping_add(step));
                }
                x = x.map(|x| x.wrapping_add(args.row_stride).wrapping_sub(args.cols));
            }
        }
        let kernel_w = args.kernel_cols.len();
        for a in 0..A {
            for b in 0..B {
                let tap = (tile.first_place + a) * kernel_w + tile.first_col + b;
                debug_assert!(tap * args.sums_stride + N * V::LANES <= args.sums.len());
                let to = args.sums.as_mut_ptr().add(tap * args.sums_stride);
                for n in 0..N {
                    let to = to.add(n * V::LANES);
                    let sum = if PAIRS { of_pairs(sums[a][b][n]) } else { sums[a][b][n] };
                    // What the pixels before have come to.
                    let sum = if args.accumulate { V::load(to).add(sum) } else { sum };
                    sum.store(to);
                }
            }
        }
    }
}

/// The factor at `x`, or that and the next in turn.
///
/// # Safety
///
/// The CPU has the instruction set of `V`; the elements are readable.
#[inline(always)]
unsafe fn factor<V: Vector, const PAIRS: bool>(x: *const V::Elem) -> V {
    // SAFETY: that of the caller.
    unsafe { if PAIRS { V::splat_pair(x) } else { V::splat(*x) } }
}

/// Adds the products of `U` pixels, or pairs of them, from those at `x` on, to sums of neighbouring
/// columns.
///
/// # Safety
///
/// The CPU has the instruction set of `V`; the elements are readable.
#[inline(always)]
unsafe fn neighbours<
    V: Vector,
    const A: usize,
    const B: usize,
    const N: usize,
    const U: usize,
    const PAIRS: bool,
>(
    sums: &mut [[[V; N]; B]; A],
    x: &[*const V::Elem; A],
    dy: *const V::Elem,
) {
    let step = if PAIRS { 2 } else { 1 };
    // SAFETY: that of the caller; the last factor is that of the last column for the last pixel.
    unsafe {
        let mut gradients = [[V::splat(V::Elem::default()); N]; U];
        for u in 0..U {
            for n in 0..N {
                gradients[u][n] = V::load(dy.wrapping_add((u * N + n) * V::LANES));
            }
        }
        for a in 0..A {
            for at in 0..B + step * (U - 1) {
                let factor = factor::<V, PAIRS>(x[a].wrapping_add(at));
                for u in 0..U {
                    if u * step <= at && at < u * step + B {
                        for n in 0..N {
                            let sum = &mut sums[a][at - u * step][n];
                            *sum = factor.mul_add(gradients[u][n], *sum);
                        }
                    }
                }
            }
        }
    }
}

/// Adds the products of pixel, or pair, `u` from those at `x` on, of which `dy` has those of the first.
///
/// # Safety
///
/// The CPU has the instruction set of `V`; the elements are readable.
#[inline(always)]
unsafe fn pixel<
    V: Vector,
    const A: usize,
    const B: usize,
    const N: usize,
    const NEAR: bool,
    const PAIRS: bool,
>(
    sums: &mut [[[V; N]; B]; A],
    x: &[*const V::Elem; A],
    cols: &[usize; B],
    u: usize,
    dy: *const V::Elem,
) {
    let step = if PAIRS { 2 } else { 1 };
    // SAFETY: that of the caller.
    unsafe {
        let mut gradients = [V::splat(V::Elem::default()); N];
        for n in 0..N {
            gradients[n] = V::load(dy.wrapping_add((u * N + n) * V::LANES));
        }
        for a in 0..A {
            for b in 0..B {
                let col = if NEAR { b } else { cols[b] };
                let factor = factor::<V, PAIRS>(x[a].wrapping_add(col).wrapping_add(u * step));
                for n in 0..N {
                    sums[a][b][n] = factor.mul_add(gradients[n], sums[a][b][n]);
                }
            }
        }
    }
}
