//! The transform of the weights.

use std::array::from_fn;

use super::super::vector::Vector;
use super::{Form, Points};

/// The transform of the weights of up to `LANES` output channels and some channels.
///
/// Of a window that strides, only the taps of one phase are taken: those that meet the pixels at one
/// place within a stride.
pub(crate) struct Filter<'a, T> {
    pub(crate) form: Form,
    /// The weights as [`Pack`](crate::kernels::Pack) leaves them: `(channels, kernel, LANES)`.
    pub(crate) packed: &'a [T],
    pub(crate) channels: usize,
    /// Rows and columns of the kernel, and its strides.
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    /// The first row and column of the phase; it may begin before the kernel.
    pub(crate) phase: [isize; 2],
    /// Where they go: point `p` of channel `c` to `p * point_stride + c * LANES`.
    pub(crate) u: &'a mut [T],
    pub(crate) point_stride: usize,
}

impl<T> Filter<'_, T> {
    /// Panics if it would reach beyond its slices.
    pub(crate) fn check(&self, lanes: usize) {
        assert!(self.packed.len() >= self.channels * self.kernel[0] * self.kernel[1] * lanes);
        let last = (self.form.points() - 1) * self.point_stride;
        assert!(last + self.channels * lanes <= self.u.len());
    }
}

/// # Safety
///
/// The CPU has the instruction set of `V`, [`Filter::check`] has passed, and `F` with `R` taps is
/// `form`.
#[inline(always)]
pub(crate) unsafe fn filter<V: Vector, F: Points<IN>, const R: usize, const IN: usize>(
    args: &mut Filter<'_, V::Elem>,
) {
    let [kernel_h, kernel_w] = args.kernel;
    // The places of the taps, if they lie within the kernel.
    let taps: [[Option<usize>; R]; R] = from_fn(|i| {
        from_fn(|j| {
            let place = |i: usize, tap: usize| {
                usize::try_from(args.phase[i] + (tap * args.stride[i]) as isize).ok()
            };
            let (row, col) = (place(0, i)?, place(1, j)?);
            (row < kernel_h && col < kernel_w).then_some((row * kernel_w + col) * V::LANES)
        })
    });
    // SAFETY: the caller guarantees the CPU, and the last channel of both slices has been checked; taps
    // lie within the kernel.
    unsafe {
        let zero = V::splat(V::Elem::default());
        for channel in 0..args.channels {
            let g = args.packed.as_ptr().add(channel * kernel_h * kernel_w * V::LANES);
            let mut half = [[zero; R]; IN];
            for j in 0..R {
                let mut column = [zero; R];
                for i in 0..R {
                    if let Some(tap) = taps[i][j] {
                        column[i] = V::load(g.add(tap));
                    }
                }
                let t = F::filter(column);
                for r in 0..IN {
                    half[r][j] = t[r];
                }
            }
            let u = args.u.as_mut_ptr().add(channel * V::LANES);
            debug_assert!(
                (channel + 1) * V::LANES + (IN * IN - 1) * args.point_stride <= args.u.len()
            );
            for r in 0..IN {
                let t = F::filter(half[r]);
                for c in 0..IN {
                    t[c].store(u.add((r * IN + c) * args.point_stride));
                }
            }
        }
    }
}
