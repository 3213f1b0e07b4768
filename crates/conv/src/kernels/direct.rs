//! One tile of a direct convolution: some pixels of the output times some output channels.

use super::vector::Vector;

/// The most pixels that a tile of any instruction set has.
pub(crate) const MAX_PIXELS: usize = 14;

/// Sums of more than about so many terms are added up in parts, each of whole channels: rounding
/// errors grow with the length of a sum.
pub(crate) const SUM: usize = 1024;

/// How many elements behind the last pixel of a tile those of the next are expected.
const AHEAD: usize = 16;

/// The steps from pixel to pixel that have kernels of their own.
pub(crate) const STEPS: [usize; 3] = [1, 2, 4];

/// What a tile is computed from.
///
/// Output channels stand in the lanes of `vectors` registers; the pixels are broadcast one by one
/// straight out of the rows of the input, so that stride and dilation are only displacements.
pub(crate) struct Tile<'a, T> {
    /// The input: channel `ic`, row `kh` and column `kw` of the window of pixel `p` stand at
    /// `ic * channel_stride + kh * row_stride + kw * col_stride + offsets[p]`.
    pub(crate) x: &'a [T],
    pub(crate) channel_stride: usize,
    pub(crate) row_stride: usize,
    pub(crate) col_stride: usize,
    pub(crate) offsets: &'a [usize],
    /// By how much each offset is more than the one before, if it is always as much and one of
    /// [`STEPS`]; else 0.
    pub(crate) step: usize,
    /// `[channels, kernel_h, kernel_w]`.
    pub(crate) taps: [usize; 3],
    /// The weights, `(channels, kernel_h, kernel_w, vectors * LANES)`.
    pub(crate) w: &'a [T],
    /// What each sum begins with, `vectors * LANES` elements.
    pub(crate) bias: &'a [T],
    /// Registers of output channels, 1 or 2.
    pub(crate) vectors: usize,
    /// The output: channel `oc`, pixel `p` goes to `oc * y_stride + p`.
    pub(crate) y: &'a mut [T],
    pub(crate) y_stride: usize,
    /// How many output channels there are, at most `vectors * LANES`.
    pub(crate) out_channels: usize,
    /// Whether negative sums become 0.
    pub(crate) relu: bool,
}

impl<T> Tile<'_, T> {
    /// Panics if a tile would reach beyond its slices: the proof that the kernels below stand on.
    pub(crate) fn check(&self, lanes: usize, max_pixels: usize) {
        let [channels, kernel_h, kernel_w] = self.taps;
        let pixels = self.offsets.len();
        assert!((1..=max_pixels).contains(&pixels) && (1..=2).contains(&self.vectors));
        let width = self.vectors * lanes;
        assert!((1..=width).contains(&self.out_channels));
        assert!(self.bias.len() >= width);
        assert!(self.w.len() >= channels * kernel_h * kernel_w * width);
        assert!(self.y.len() >= (self.out_channels - 1) * self.y_stride + pixels);
        if channels * kernel_h * kernel_w > 0 {
            let last = (channels - 1) * self.channel_stride
                + (kernel_h - 1) * self.row_stride
                + (kernel_w - 1) * self.col_stride;
            assert!(self.offsets.iter().all(|&offset| offset + last < self.x.len()));
            if self.step > 0 {
                assert!(self.offsets[0] + (pixels - 1) * self.step + last < self.x.len());
            }
        }
    }
}

/// A tile of `P` pixels and `N` registers.
///
/// # Safety
///
/// The CPU has the instruction set of `V`, and [`Tile::check`] has passed.
#[inline(always)]
pub(crate) unsafe fn tile<V: Vector, const P: usize, const N: usize, const STEP: usize>(
    tile: &mut Tile<'_, V::Elem>,
) {
    let [channels, kernel_h, kernel_w] = tile.taps;
    let mut offsets = [0; P];
    offsets.copy_from_slice(&tile.offsets[..P]);
    // SAFETY: every element read lies within `x`, `w` and `bias`, and every element written within
    // `y`, as `check` has shown: of `x` the largest index is that of the last tap of the pixel with
    // the largest offset, `w` and `bias` are read in steps of `N * LANES` once per tap, and of `y`
    // only `out_channels` rows of `P` elements are written. The caller guarantees the CPU.
    unsafe {
        // Each channel of the output is a line of the cache of its own, to be had before the sums
        // are done.
        for channel in 0..tile.out_channels {
            V::prefetch_to_write(tile.y.as_mut_ptr().wrapping_add(channel * tile.y_stride));
        }
        let mut totals = [[V::splat(V::Elem::default()); N]; P];
        for n in 0..N {
            let bias = V::load(tile.bias.as_ptr().add(n * V::LANES));
            for p in 0..P {
                totals[p][n] = bias;
            }
        }
        let block = (SUM / (kernel_h * kernel_w).max(1)).max(1);
        let mut w = tile.w.as_ptr();
        let mut channel = tile.x.as_ptr();
        let mut left = channels;
        while left > 0 {
            // Begun anew for each part: sums that live on from part to part are not kept in
            // registers by the compiler.
            let mut sums = [[V::splat(V::Elem::default()); N]; P];
            for _ in 0..left.min(block) {
                let mut row = channel;
                for _ in 0..kernel_h {
                    let mut x = row;
                    for _ in 0..kernel_w {
                        let mut weights = [V::splat(V::Elem::default()); N];
                        for n in 0..N {
                            weights[n] = V::load(w.add(n * V::LANES));
                        }
                        // The pixels of the next tile, which stand at a distance from channel to
                        // channel that no hardware foresees.
                        V::prefetch(x.wrapping_add(offsets[P - 1] + AHEAD));
                        for n in 0..N {
                            V::prefetch(w.wrapping_add((8 * N + n) * V::LANES));
                        }
                        for p in 0..P {
                            let at = if STEP > 0 { offsets[0] + p * STEP } else { offsets[p] };
                            let pixel = V::splat(*x.add(at));
                            for n in 0..N {
                                sums[p][n] = pixel.mul_add(weights[n], sums[p][n]);
                            }
                        }
                        w = w.add(N * V::LANES);
                        x = x.wrapping_add(tile.col_stride);
                    }
                    row = row.wrapping_add(tile.row_stride);
                }
                channel = channel.wrapping_add(tile.channel_stride);
            }
            for p in 0..P {
                for n in 0..N {
                    totals[p][n] = totals[p][n].add(sums[p][n]);
                }
            }
            left -= left.min(block);
        }
        if tile.relu {
            for p in 0..P {
                for n in 0..N {
                    totals[p][n] = totals[p][n].relu();
                }
            }
        }
        for n in 0..N {
            let first = n * V::LANES;
            let lanes = tile.out_channels.saturating_sub(first).min(V::LANES);
            let mut from = 0;
            while from < P {
                let to = (from + V::LANES).min(P);
                let mut rows = [V::splat(V::Elem::default()); MAX_PIXELS];
                for p in from..to {
                    rows[p - from] = totals[p][n];
                }
                let y = tile.y.as_mut_ptr().wrapping_add(first * tile.y_stride + from);
                if lanes > 0 {
                    V::store_transposed(&rows[..to - from], y, tile.y_stride, lanes);
                }
                from = to;
            }
        }
    }
}

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
                let mut rows = [V::splat(V::Elem::default()); 16];
                for (r, row) in rows.iter_mut().enumerate().take(V::LANES) {
                    if first + r < out_channels {
                        let p = pack.w.as_ptr().add((first + r) * row_stride + tap);
                        *row = if count == V::LANES { V::load(p) } else { V::load_first(p, count) };
                    }
                }
                let to = pack.packed.as_mut_ptr().add(tap * width + first);
                V::store_transposed(&rows[..V::LANES], to, width, count);
            }
        }
    }
}
