//! The packing of weights for kernels that have output channels in their lanes.

use super::vector::Vector;

/// Writes the weights of up to `vectors * LANES` output channels so that the tiles read them in
/// order: `(channels * kernel_h * kernel_w, vectors * LANES)`, with 0 for channels that are not there.
pub(crate) struct Pack<'a, T> {
    /// The weights of the output channels: `taps` elements of each, a row of `row_stride` apart.
    pub(crate) w: &'a [T],
    pub(crate) row_stride: usize,
    /// Channels, kernel rows and kernel columns, multiplied.
    pub(crate) taps: usize,
    /// How many output channels there are.
    pub(crate) out_channels: usize,
    /// The width of the packed weights, a multiple of `LANES`.
    pub(crate) width: usize,
    /// Where they go, `taps * width` elements.
    pub(crate) packed: &'a mut [T],
}

impl<T> Pack<'_, T> {
    /// Panics if it would reach beyond its slices.
    pub(crate) fn check(&self, lanes: usize) {
        assert!(self.width.is_multiple_of(lanes) && self.out_channels <= self.width);
        assert!(self.taps <= self.row_stride || self.out_channels < 2);
        if self.out_channels > 0 {
            assert!(self.w.len() >= (self.out_channels - 1) * self.row_stride + self.taps);
        }
        assert!(self.packed.len() >= self.taps * self.width);
    }
}

/// # Safety
///
/// The CPU has the instruction set of `V`, and [`Pack::check`] has passed.
#[inline(always)]
pub(crate) unsafe fn pack<V: Vector>(pack: &mut Pack<'_, V::Elem>) {
    let Pack { taps, row_stride, out_channels, width, .. } = *pack;
    // SAFETY: the caller guarantees the CPU. Row `first + r` of `w` exists where it is below
    // `out_channels`, and of a row only `count` elements from `tap` on are read; `count` rows of
    // `LANES` elements are written, `tap + count <= taps` and `first + LANES <= width`.
    unsafe {
        for first in (0..width).step_by(V::LANES) {
            for tap in (0..taps).step_by(V::LANES) {
                let count = V::LANES.min(taps - tap);
                debug_assert!((tap + count - 1) * width + first + V::LANES <= pack.packed.len());
                let mut rows = [V::splat(V::Elem::default()); 16];
                for (r, row) in rows.iter_mut().enumerate().take(V::LANES) {
                    if first + r < out_channels {
                        debug_assert!((first + r) * row_stride + tap + count <= pack.w.len());
                        let p = pack.w.as_ptr().add((first + r) * row_stride + tap);
                        *row = if count == V::LANES { V::load(p) } else { V::load_first(p, count) };
                    }
                }
                let to = pack.packed.as_mut_ptr().add(tap * width + first);
                V::store_transposed(&rows, V::LANES, to, width, count);
            }
        }
    }
}
