//! Gradients of weights with pixels in the lanes: for channels that stand alone, or nearly.

use super::vector::Vector;

/// The most taps that are summed at a time.
const MAX_TAPS: usize = 9;

/// How many elements ahead gradients by outputs are asked for.
const AHEAD: usize = 2048;

/// Some rows of one channel of the input and of one channel of the gradients by the outputs.
pub(crate) struct PlaneGrad<'a, T> {
    /// The input: the factor of tap `t` for the pixel `(row, col)` stands at
    /// `taps[t] + row * row_stride + col`.
    pub(crate) x: &'a [T],
    pub(crate) row_stride: usize,
    pub(crate) taps: &'a [usize],
    /// The gradients by the outputs, `(rows, cols)`.
    pub(crate) dy: &'a [T],
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    /// A sum for each tap, added to.
    pub(crate) sums: &'a mut [T],
    /// The sum of the gradients alone, added to, if it is asked for.
    pub(crate) bias: Option<&'a mut T>,
}

impl<T> PlaneGrad<'_, T> {
    /// Panics if it would reach beyond its slices.
    pub(crate) fn check(&self) {
        assert!(self.rows > 0 && self.cols > 0);
        assert!(self.dy.len() >= self.rows * self.cols && self.sums.len() >= self.taps.len());
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
    }
}

/// Sums `T` taps from the first on.
///
/// # Safety
///
/// The CPU has the instruction set of `V`, [`PlaneGrad::check`] has passed, and the taps exist.
#[inline(always)]
pub(crate) unsafe fn taps<V: Vector, const T: usize>(
    args: &mut PlaneGrad<'_, V::Elem>,
    first: usize,
) {
    // SAFETY: the caller guarantees the CPU. Of a row, registers are read that lie within its `cols`
    // elements, and of the last one the lanes that do; of `x`, the same behind each tap: those exist,
    // as the check has shown.
    unsafe {
        let zero = V::splat(V::Elem::default());
        let mut sums = [zero; T];
        let mut bias = zero;
        let whole = args.cols / V::LANES;
        let rest = V::mask(0, args.cols % V::LANES);
        for row in 0..args.rows {
            let mut dy = args.dy.as_ptr().add(row * args.cols);
            let mut x = [args.x.as_ptr().wrapping_add(row * args.row_stride); T];
            for t in 0..T {
                x[t] = x[t].wrapping_add(*args.taps.get_unchecked(first + t));
            }
            for _ in 0..whole {
                let gradients = V::load(dy);
                V::prefetch(dy.wrapping_add(AHEAD));
                bias = bias.add(gradients);
                for t in 0..T {
                    sums[t] = gradients.mul_add(V::load(x[t]), sums[t]);
                    x[t] = x[t].wrapping_add(V::LANES);
                }
                dy = dy.wrapping_add(V::LANES);
            }
            if !args.cols.is_multiple_of(V::LANES) {
                let gradients = V::load_masked(dy, rest);
                bias = bias.add(gradients);
                for t in 0..T {
                    sums[t] = gradients.mul_add(V::load_masked(x[t], rest), sums[t]);
                }
            }
        }
        for t in 0..T {
            *args.sums.get_unchecked_mut(first + t) += sums[t].total();
        }
        if first == 0
            && let Some(to) = args.bias.as_deref_mut()
        {
            *to += bias.total();
        }
    }
}
