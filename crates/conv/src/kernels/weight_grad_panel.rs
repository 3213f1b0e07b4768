//! What stands before and behind the sums of gradients by weights: gradients by outputs with their
//! channels in the lanes, and partial sums that are added up.

use super::vector::Vector;
use super::weight_grad_lanes::totals;

/// How far ahead gradients by outputs are asked for.
const PIXELS_AHEAD: usize = 256;

/// The sums of each two lanes, and zeros behind them.
///
/// # Safety
///
/// The CPU has the instruction set of `V`.
#[inline(always)]
pub(super) unsafe fn of_pairs<V: Vector>(sums: V) -> V {
    // SAFETY: that of the caller.
    unsafe {
        let [even, odd] = sums.unzip(V::splat(V::Elem::default()));
        even.add(odd)
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
    /// Whether two pixels in turn stand in a register, of at most half as many output channels as lanes:
    /// channel `oc` of pixel `2 * i + k` at `i * LANES + 2 * oc + k`.
    pub(crate) pairs: bool,
    /// The panel, `(pixels, width)`, or half as long, overwritten.
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
        if self.pairs {
            assert!(self.width == lanes && 2 * self.out_channels <= lanes);
            assert!(self.pixels.is_multiple_of(2));
            assert!(self.panel.len() >= self.pixels / 2 * self.width);
        } else {
            assert!(self.panel.len() >= self.pixels * self.width);
        }
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
                debug_assert!((pixel + count - 1) * width + first + V::LANES <= args.panel.len());
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

/// As [`panel`], of [pairs](Panel::pairs).
///
/// # Safety
///
/// As [`panel`].
#[inline(always)]
pub(crate) unsafe fn panel_of_pairs<V: Vector, const RELU: bool>(args: &mut Panel<'_, V::Elem>) {
    // SAFETY: the caller guarantees the CPU. Of the pixels of channel `r`, which exists, `count` are read
    // from `pixel` on, of `relu` as of `dy`; half as many rows of `LANES` elements are written.
    unsafe {
        let zero = V::splat(V::Elem::default());
        let mut sums = [zero; 16];
        for pixel in (0..args.pixels).step_by(2 * V::LANES) {
            let count = (2 * V::LANES).min(args.pixels - pixel);
            debug_assert!((pixel + count) / 2 * V::LANES <= args.panel.len());
            let near = count.min(V::LANES);
            let load = |p: *const V::Elem| match count == 2 * V::LANES {
                true => V::load_by_2(p),
                false => {
                    V::load_first(p, near).unzip(V::load_first(p.wrapping_add(near), count - near))
                }
            };
            let mut rows = [zero; 16];
            for r in 0..args.out_channels {
                let at = r * args.channel_stride + pixel;
                let mut pair = load(args.dy.as_ptr().wrapping_add(at));
                if RELU {
                    let y = load(args.relu.as_ptr().wrapping_add(at));
                    pair = [pair[0].where_active(y[0]), pair[1].where_active(y[1])];
                }
                for k in 0..2 {
                    rows[2 * r + k] = pair[k];
                    sums[2 * r + k] = sums[2 * r + k].add(pair[k]);
                }
            }
            let to = args.panel.as_mut_ptr().add(pixel / 2 * V::LANES);
            V::store_transposed(&rows, V::LANES, to, V::LANES, count / 2);
        }
        if !args.sums.is_empty() {
            let to = args.sums.as_mut_ptr();
            V::load(to).add(of_pairs(totals(&sums))).store(to);
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
                debug_assert!((oc + lanes - 1) * args.dw_stride + tap + count <= args.dw.len());
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
