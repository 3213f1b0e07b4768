//! The transform of the weights.

use std::array::from_fn;

use super::super::vector::Vector;
use super::{Form, Transform};

/// The transform of the weights of up to `LANES` output channels and some channels.
pub(crate) struct Filter<'a, T> {
    pub(crate) form: Form,
    /// The weights as [`Pack`](crate::kernels::Pack) leaves them: `(channels, 3, 3, LANES)`.
    pub(crate) packed: &'a [T],
    pub(crate) channels: usize,
    /// Where they go: point `p` of channel `c` to `p * point_stride + c * LANES`.
    pub(crate) u: &'a mut [T],
    pub(crate) point_stride: usize,
}

impl<T> Filter<'_, T> {
    /// Panics if it would reach beyond its slices.
    pub(crate) fn check(&self, lanes: usize) {
        assert!(self.packed.len() >= self.channels * 9 * lanes);
        let last = (self.form.points() - 1) * self.point_stride;
        assert!(last + self.channels * lanes <= self.u.len());
    }
}

/// # Safety
///
/// The CPU has the instruction set of `V`, [`Filter::check`] has passed, and `F` is `form`.
#[inline(always)]
pub(crate) unsafe fn filter<V: Vector, F, const OUT: usize, const IN: usize>(
    args: &mut Filter<'_, V::Elem>,
) where
    F: Transform<OUT, IN>,
{
    // SAFETY: the caller guarantees the CPU, and the last channel of both slices has been checked.
    unsafe {
        for channel in 0..args.channels {
            let g = args.packed.as_ptr().add(channel * 9 * V::LANES);
            let mut half = [[V::splat(V::Elem::default()); 3]; IN];
            for kw in 0..3 {
                let t = F::filter(from_fn(|kh| V::load(g.add((kh * 3 + kw) * V::LANES))));
                for r in 0..IN {
                    half[r][kw] = t[r];
                }
            }
            let u = args.u.as_mut_ptr().add(channel * V::LANES);
            for (r, row) in half.into_iter().enumerate() {
                for (c, t) in F::filter(row).into_iter().enumerate() {
                    t.store(u.add((r * IN + c) * args.point_stride));
                }
            }
        }
    }
}
