//! Products of a kernel of one tap, with neighbouring pixels in the lanes: they are read in place and
//! written as they are, so that nothing is transposed.

use super::Kernels;
use super::direct::{Area, SUM};
use super::vector::Vector;

/// The most registers of pixels that are summed at a time.
const MAX_REGISTERS: usize = 3;

/// How many pieces ahead pixels are asked for that come from memory: the next one's would drive each other
/// out of the first-level cache.
const PIECES_AHEAD: usize = 2;

/// How many channels ahead pixels are asked for that other output channels have already read.
const CHANNELS_AHEAD: usize = 4;

impl<T> Kernels<T> {
    /// As [`direct`](Self::direct), for one row of whole registers of pixels under one tap.
    ///
    /// # Panics
    ///
    /// If it is another area, or reaches beyond its slices.
    pub(crate) fn pixels(&self, mut area: Area<'_, T>) {
        area.check_pixels(self.lanes, self.pixels_rows);
        // SAFETY: the area has been checked, and a table exists only for a CPU that can run it.
        unsafe { (self.pixels)(&mut area) }
    }

    /// Copies every second pixel of rows.
    ///
    /// # Panics
    ///
    /// If it reaches beyond its slices.
    pub(crate) fn pick(&self, mut args: Pick<'_, T>) {
        args.check(self.lanes);
        // SAFETY: the slices have been checked, and a table exists only for a CPU that can run it.
        unsafe { (self.pick)(&mut args) }
    }
}

impl<T> Area<'_, T> {
    /// Panics if it would reach beyond its slices, or if it is not one row of whole registers under one
    /// tap, which is not summed in parts.
    fn check_pixels(&self, lanes: usize, rows: usize) {
        self.check(lanes);
        assert!(self.kernel_rows == 1 && self.kernel_cols == [0] && self.channels <= SUM);
        assert!(self.rows == 1 && self.cols.is_multiple_of(lanes));
        assert!((self.vectors * lanes).is_multiple_of(rows));
    }
}

/// Computes an area, `R` output channels at a time.
///
/// Each output is the same sum in the same order as that of a tile of the direct convolution.
///
/// # Safety
///
/// The CPU has the instruction set of `V`, and [`Area::check_pixels`] has passed for `R` rows.
#[inline(always)]
pub(crate) unsafe fn pixels<V: Vector, const R: usize>(area: &mut Area<'_, V::Elem>) {
    let registers = area.cols / V::LANES;
    // As even as can be: a piece of one register waits for its own sums.
    let pieces = registers.div_ceil(MAX_REGISTERS);
    for first in (0..area.out_channels).step_by(R) {
        let mut at = 0;
        for piece in 0..pieces {
            let end = (piece + 1) * registers / pieces;
            // SAFETY: that of the caller; the registers are some of the area's, and there are `R` weights
            // from `first` on, because `R` divides their number.
            unsafe {
                match end - at {
                    1 => self::piece::<V, R, 1>(area, first, at * V::LANES),
                    2 => self::piece::<V, R, 2>(area, first, at * V::LANES),
                    _ => self::piece::<V, R, MAX_REGISTERS>(area, first, at * V::LANES),
                }
            }
            at = end;
        }
    }
}

/// `C` registers of pixels from `col` on, of `R` output channels from `first` on.
///
/// # Safety
///
/// As [`pixels`]; the area has so many pixels from `col` on, and weights of so many output channels.
#[inline(always)]
unsafe fn piece<V: Vector, const R: usize, const C: usize>(
    area: &mut Area<'_, V::Elem>,
    first: usize,
    col: usize,
) {
    const { assert!(R <= 8 && C <= MAX_REGISTERS) };
    let width = area.vectors * V::LANES;
    let channels = (area.out_channels - first).min(R);
    // SAFETY: the caller guarantees the CPU. A register is read of each channel of `x` for each of `C`,
    // within the columns of the area; `w` and `bias` are read from `first` on in steps of `width`, which
    // has `R` elements from there on; of `y`, the pixels of the area are written in rows that exist.
    unsafe {
        let y = area.y.as_mut_ptr().add(first * area.y_stride + col);
        for r in 0..channels {
            for c in 0..C {
                // In time for when the sums are done.
                V::prefetch_to_write(y.wrapping_add(r * area.y_stride + c * V::LANES));
            }
        }
        let ahead = if area.fresh && first == 0 {
            PIECES_AHEAD * MAX_REGISTERS * V::LANES
        } else {
            CHANNELS_AHEAD * area.channel_stride
        };
        let mut x = area.x.as_ptr().add(col);
        let mut w = area.w.as_ptr().add(first);
        let mut sums = [[V::splat(V::Elem::default()); C]; R];
        for _ in 0..area.channels {
            let mut pixels = [V::splat(V::Elem::default()); C];
            for c in 0..C {
                V::prefetch(x.wrapping_add(ahead + c * V::LANES));
                pixels[c] = V::load(x.add(c * V::LANES));
            }
            for r in 0..R {
                let weight = V::splat(*w.add(r));
                for c in 0..C {
                    sums[r][c] = weight.mul_add(pixels[c], sums[r][c]);
                }
            }
            x = x.wrapping_add(area.channel_stride);
            w = w.wrapping_add(width);
        }
        // As a macro, because the compiler would leave a loop rolled and the sums in memory.
        macro_rules! rows {
            ($($r:literal)*) => {$(
                if $r < R && $r < channels {
                    let y = y.add($r * area.y_stride);
                    let bias = V::splat(*area.bias.as_ptr().add(first + $r));
                    finish(sums[$r], y, bias, area.relu);
                }
            )*};
        }
        rows!(0 1 2 3 4 5 6 7);
    }
}

/// Writes sums with the bias and what else is done to them.
///
/// # Safety
///
/// The CPU has the instruction set of `V`, and `C` registers can be written at `y`.
#[inline(always)]
unsafe fn finish<V: Vector, const C: usize>(
    mut sums: [V; C],
    y: *mut V::Elem,
    bias: V,
    relu: bool,
) {
    // SAFETY: that of the caller.
    unsafe {
        for c in 0..C {
            sums[c] = sums[c].add(bias);
        }
        if relu {
            for c in 0..C {
                sums[c] = sums[c].relu();
            }
        }
        for c in 0..C {
            sums[c].store(y.add(c * V::LANES));
        }
    }
}

/// Rows of some channels of which every second pixel is copied.
pub(crate) struct Pick<'a, T> {
    /// The channels, `channel_stride` apart.
    pub(crate) x: &'a [T],
    pub(crate) channels: usize,
    pub(crate) channel_stride: usize,
    /// Rows that are copied, and elements from one to the next.
    pub(crate) rows: usize,
    pub(crate) row_stride: usize,
    /// Pixels of a row that are copied.
    pub(crate) cols: usize,
    /// The copies, overwritten, rows one after the other; behind the last, so many elements as a register
    /// has may be overwritten too.
    pub(crate) to: &'a mut [T],
    pub(crate) to_stride: usize,
}

impl<T> Pick<'_, T> {
    /// Panics if it would reach beyond its slices.
    fn check(&self, lanes: usize) {
        assert!(self.channels > 0 && self.rows > 0 && self.cols > 0);
        let last = (self.channels - 1) * self.channel_stride + (self.rows - 1) * self.row_stride;
        assert!(last + 2 * (self.cols - 1) < self.x.len());
        let len = self.rows * self.cols;
        assert!(len <= self.to_stride);
        assert!((self.channels - 1) * self.to_stride + len + lanes <= self.to.len());
    }
}

/// Copies every second pixel.
///
/// # Safety
///
/// The CPU has the instruction set of `V`, and [`Pick::check`] has passed.
#[inline(always)]
pub(crate) unsafe fn pick<V: Vector>(args: &mut Pick<'_, V::Elem>) {
    // SAFETY: the caller guarantees the CPU. Two registers are read where they lie within `x`, else those
    // lanes that do; of the copies, a register is written from each pixel on that begins one, which
    // overwrites only what is written later, or what is behind the last.
    unsafe {
        for channel in 0..args.channels {
            let mut to = args.to.as_mut_ptr().add(channel * args.to_stride);
            for row in 0..args.rows {
                let first = channel * args.channel_stride + row * args.row_stride;
                for col in (0..args.cols).step_by(V::LANES) {
                    let at = first + 2 * col;
                    let x = args.x.as_ptr().add(at);
                    let left = args.x.len() - at;
                    // Hardware does not foresee the leap to a channel later on.
                    for i in 0..2 {
                        let ahead = 2 * args.channel_stride + i * V::LANES;
                        V::prefetch(x.wrapping_add(ahead));
                    }
                    let parts = if left >= 2 * V::LANES {
                        [V::load(x), V::load(x.add(V::LANES))]
                    } else {
                        let second = left.saturating_sub(V::LANES);
                        [
                            V::load_range(x, 0, left.min(V::LANES)),
                            V::load_range(x.wrapping_add(V::LANES), 0, second),
                        ]
                    };
                    let [even, _] = parts[0].unzip(parts[1]);
                    even.store(to.add(col));
                }
                to = to.add(args.cols);
            }
        }
    }
}
