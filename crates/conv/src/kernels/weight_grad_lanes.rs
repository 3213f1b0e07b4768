//! Gradients of weights with pixels in the lanes: for channels that stand alone, or nearly.

use std::array::from_fn;

use super::vector::Vector;

/// Registers that the gradients alone are summed in.
const SUMS: usize = 4;

/// The most taps, and the most output channels, that are summed at a time.
const MAX_TAPS: usize = 9;
pub(super) const MAX_CHANNELS: usize = 3;

/// Some rows of one channel of the input and of some channels of the gradients by the outputs.
pub(crate) struct PlaneGrad<'a, T> {
    /// The input: the factor of tap `t` for the pixel `(row, col)` stands at
    /// `taps[t] + row * row_stride + col`.
    pub(crate) x: &'a [T],
    pub(crate) row_stride: usize,
    pub(crate) taps: &'a [usize],
    /// The gradients by the outputs, `(rows, cols)` of each channel, channels `dy_stride` apart.
    pub(crate) dy: &'a [T],
    pub(crate) dy_stride: usize,
    pub(crate) out_channels: usize,
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    /// From `dy` to the gradients that are asked for meanwhile, which need not exist, and the first of
    /// their channels.
    pub(crate) ahead: usize,
    pub(crate) first_ahead: usize,
    /// The sums, added to: tap `t` of output channel `oc` stands at `oc * sums_stride + t`.
    pub(crate) sums: &'a mut [T],
    pub(crate) sums_stride: usize,
    /// The sums of the gradients alone, added to, if they are asked for.
    pub(crate) bias: Option<&'a mut [T]>,
}

impl<T> PlaneGrad<'_, T> {
    /// Panics if it would reach beyond its slices.
    pub(crate) fn check(&self, max_channels: usize) {
        assert!(self.rows > 0 && self.cols > 0);
        assert!((1..=max_channels).contains(&self.out_channels));
        let last = self.out_channels - 1;
        assert!(self.dy.len() >= last * self.dy_stride + self.rows * self.cols);
        assert!(self.sums.len() >= last * self.sums_stride + self.taps.len());
        assert!(self.bias.as_ref().is_none_or(|bias| bias.len() >= self.out_channels));
        let tap = *self.taps.iter().max().expect("a kernel has taps");
        assert!(tap + (self.rows - 1) * self.row_stride + self.cols <= self.x.len());
    }
}

/// Calls `f` with the first tap and the number of taps of each tile.
#[inline(always)]
pub(crate) fn for_each_tile<'a, T>(
    args: &mut PlaneGrad<'a, T>,
    mut f: impl FnMut(&mut PlaneGrad<'a, T>, usize, usize),
) {
    let taps = args.taps.len();
    let parts = taps.div_ceil(MAX_TAPS);
    for part in 0..parts {
        let first = part * taps / parts;
        f(args, first, (part + 1) * taps / parts - first);
        args.first_ahead += 1;
    }
}

/// Sums `T` taps from the first on, of `R` output channels.
///
/// # Safety
///
/// The CPU has the instruction set of `V`, [`PlaneGrad::check`] has passed, the taps exist, and there are
/// `R` output channels.
#[inline(always)]
pub(crate) unsafe fn taps<V: Vector, const T: usize, const R: usize>(
    args: &mut PlaneGrad<'_, V::Elem>,
    first: usize,
) {
    // SAFETY: the caller guarantees the CPU. Of a row, registers are read that lie within its `cols`
    // elements, and of the last one the lanes that do; of `x`, the same behind each tap: those exist,
    // as the check has shown, and so do the sums.
    unsafe {
        let mut sums = [[V::splat(V::Elem::default()); T]; R];
        let whole = args.cols / V::LANES;
        let rest = V::mask(0, args.cols % V::LANES);
        // Each tile asks for one of the channels that are read next.
        let ahead = args.ahead + args.first_ahead % R * args.dy_stride;
        debug_assert!(first + T <= args.taps.len() && R <= args.out_channels);
        for row in 0..args.rows {
            let mut dy = args.dy.as_ptr().wrapping_add(row * args.cols);
            let mut x = [args.x.as_ptr().wrapping_add(row * args.row_stride); T];
            for t in 0..T {
                x[t] = x[t].wrapping_add(*args.taps.get_unchecked(first + t));
            }
            let channel = |dy: *const V::Elem, r: usize| dy.wrapping_add(r * args.dy_stride);
            for _ in 0..whole {
                let gradients: [V; R] = from_fn(|r| V::load(channel(dy, r)));
                V::prefetch(dy.wrapping_add(ahead));
                for t in 0..T {
                    let factor = V::load(x[t]);
                    for r in 0..R {
                        sums[r][t] = gradients[r].mul_add(factor, sums[r][t]);
                    }
                    x[t] = x[t].wrapping_add(V::LANES);
                }
                dy = dy.wrapping_add(V::LANES);
            }
            if !args.cols.is_multiple_of(V::LANES) {
                let gradients: [V; R] = from_fn(|r| V::load_masked(channel(dy, r), rest));
                V::prefetch(dy.wrapping_add(ahead));
                for t in 0..T {
                    let factor = V::load_masked(x[t], rest);
                    for r in 0..R {
                        sums[r][t] = gradients[r].mul_add(factor, sums[r][t]);
                    }
                }
            }
        }
        for r in 0..R {
            let mut rows = [V::splat(V::Elem::default()); 16];
            for t in 0..T {
                rows[t % V::LANES] = sums[r][t];
                if (t + 1) % V::LANES == 0 || t + 1 == T {
                    let count = t % V::LANES + 1;
                    let to =
                        args.sums.as_mut_ptr().add(r * args.sums_stride + first + t + 1 - count);
                    V::load_first(to, count).add(totals(&rows)).store_first(to, count);
                }
            }
        }
    }
}

/// Adds up the gradients alone.
///
/// # Safety
///
/// The CPU has the instruction set of `V`, and [`PlaneGrad::check`] has passed.
#[inline(always)]
pub(crate) unsafe fn bias<V: Vector>(args: &mut PlaneGrad<'_, V::Elem>) {
    let Some(bias) = args.bias.as_deref_mut() else { return };
    let pixels = args.rows * args.cols;
    for (r, to) in bias[..args.out_channels].iter_mut().enumerate() {
        // SAFETY: the caller guarantees the CPU. Of each channel `pixels` elements are read, which exist,
        // as the check has shown.
        unsafe {
            let dy = args.dy.as_ptr().wrapping_add(r * args.dy_stride);
            let mut sums = [V::splat(V::Elem::default()); SUMS];
            let mut pixel = 0;
            while pixel + SUMS * V::LANES <= pixels {
                for s in 0..SUMS {
                    sums[s] = sums[s].add(V::load(dy.wrapping_add(pixel + s * V::LANES)));
                }
                pixel += SUMS * V::LANES;
            }
            while pixel < pixels {
                let count = V::LANES.min(pixels - pixel);
                sums[0] = sums[0].add(V::load_first(dy.wrapping_add(pixel), count));
                pixel += count;
            }
            *to += sums[0].add(sums[1]).add(sums[2].add(sums[3])).total();
        }
    }
}

/// The sums of all lanes of the first `LANES` registers, one in each lane.
///
/// # Safety
///
/// The CPU has the instruction set of `V`.
#[inline(always)]
pub(super) unsafe fn totals<V: Vector>(rows: &[V; 16]) -> V {
    let mut square = [V::Elem::default(); 256];
    // SAFETY: the caller guarantees the CPU; there is room for `LANES` rows of `LANES`.
    unsafe {
        V::store_transposed(rows, V::LANES, square.as_mut_ptr(), V::LANES, V::LANES);
        let mut total = V::load(square.as_ptr());
        for l in 1..V::LANES {
            total = total.add(V::load(square.as_ptr().add(l * V::LANES)));
        }
        total
    }
}
