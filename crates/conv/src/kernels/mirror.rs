//! The packing of weights that are read from last to first, with channels and output channels swapped.

use super::vector::Vector;

/// The longest kernel that is read mirrored, in taps.
pub(crate) const MAX_MIRRORED_LEN: usize = 256;

/// Writes the weights of some channels as [`Pack`](super::Pack) does, `(channels, taps, width)`, out of
/// kernels that lie as `(channels, output channels, kernel)` and whose taps are taken backwards, all of
/// them or every so many. Output channels that are not there have 0.
pub(crate) struct Mirror<'a, T> {
    /// The kernels of the first channel from the first output channel on.
    pub(crate) w: &'a [T],
    /// Elements from one channel to the next.
    pub(crate) channel_stride: usize,
    pub(crate) channels: usize,
    pub(crate) out_channels: usize,
    /// Rows and columns of a kernel in memory.
    pub(crate) kernel: [usize; 2],
    /// Row and column of the first tap, rows and columns back to the next, and how many there are.
    pub(crate) last: [usize; 2],
    pub(crate) step: [usize; 2],
    pub(crate) taps: [usize; 2],
    /// The width of the packed weights, a multiple of `LANES`.
    pub(crate) width: usize,
    /// Where they go.
    pub(crate) packed: &'a mut [T],
}

impl<T> super::Kernels<T> {
    /// Packs weights from last to first; overwrites `packed`.
    ///
    /// # Panics
    ///
    /// If it reaches beyond its slices.
    pub(crate) fn pack_mirrored(&self, mut args: Mirror<'_, T>) {
        args.check(self.lanes);
        // SAFETY: the slices have been checked, and a table exists only for a CPU that can run it.
        unsafe { (self.pack_mirrored)(&mut args) }
    }
}

impl<T> Mirror<'_, T> {
    fn kernel_len(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Panics if it would reach beyond its slices.
    pub(crate) fn check(&self, lanes: usize) {
        assert!(self.width.is_multiple_of(lanes) && self.out_channels <= self.width);
        assert!((1..=MAX_MIRRORED_LEN).contains(&self.kernel_len()));
        for i in 0..2 {
            assert!(self.taps[i] > 0 && self.last[i] < self.kernel[i]);
            assert!((self.taps[i] - 1) * self.step[i] <= self.last[i]);
        }
        let taps = self.taps[0] * self.taps[1];
        assert!(taps <= self.kernel_len());
        if self.channels > 0 {
            let last = (self.channels - 1) * self.channel_stride;
            assert!(self.w.len() >= last + self.out_channels * self.kernel_len());
        }
        assert!(self.packed.len() >= self.channels * taps * self.width);
    }

    /// Which tap each element of a kernel is, below the number of taps, or `NONE`.
    fn order(&self) -> [u16; MAX_MIRRORED_LEN] {
        let mut order = [NONE; MAX_MIRRORED_LEN];
        for tap in 0..self.taps[0] * self.taps[1] {
            let (row, col) = (tap / self.taps[1] * self.step[0], tap % self.taps[1] * self.step[1]);
            order[(self.last[0] - row) * self.kernel[1] + self.last[1] - col] = tap as u16;
        }
        order
    }
}

/// No tap: the longest kernel has fewer.
const NONE: u16 = u16::MAX;

/// # Safety
///
/// The CPU has the instruction set of `V`, and [`Mirror::check`] has passed.
#[inline(always)]
pub(crate) unsafe fn mirror<V: Vector>(args: &mut Mirror<'_, V::Elem>) {
    let (order, kernel_len, width) = (args.order(), args.kernel_len(), args.width);
    let taps = args.taps[0] * args.taps[1];
    let zero = V::Elem::default();
    // SAFETY: the caller guarantees the CPU. Kernel `first + r` of a channel exists where it is below
    // `out_channels`, and of a kernel only `count` elements from `piece` on are read. Registers are
    // written to rows of the packed weights that are taps, at `first + LANES <= width`. `turned` has a
    // register for each of up to `LANES` elements of a kernel.
    unsafe {
        let mut turned = [V::splat(zero); 16];
        let turned = turned.as_mut_ptr().cast::<V::Elem>();
        for channel in 0..args.channels {
            let w = args.w.as_ptr().add(channel * args.channel_stride);
            let packed = args.packed.as_mut_ptr().add(channel * taps * width);
            for first in (0..width).step_by(V::LANES) {
                let to = packed.add(first);
                let there = args.out_channels.saturating_sub(first).min(V::LANES);
                debug_assert!(
                    channel * args.channel_stride + (first + there) * kernel_len <= args.w.len()
                        || there == 0
                );
                if kernel_len == 1 {
                    V::load_first(w.wrapping_add(first), there).store(to);
                    continue;
                }
                for piece in (0..kernel_len).step_by(V::LANES) {
                    let count = V::LANES.min(kernel_len - piece);
                    let mut rows = [V::splat(zero); 16];
                    for (r, row) in rows.iter_mut().enumerate().take(there) {
                        let p = w.add((first + r) * kernel_len + piece);
                        *row = if count == V::LANES { V::load(p) } else { V::load_first(p, count) };
                    }
                    V::store_transposed(&rows, V::LANES, turned, V::LANES, count);
                    for (i, &tap) in order[piece..piece + count].iter().enumerate() {
                        if tap != NONE {
                            debug_assert!(
                                (channel * taps + usize::from(tap)) * width + first + V::LANES
                                    <= args.packed.len()
                            );
                            let row = V::load(turned.add(i * V::LANES));
                            row.store(to.add(usize::from(tap) * width));
                        }
                    }
                }
            }
        }
    }
}
