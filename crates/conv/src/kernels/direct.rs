//! Tiles of a direct convolution: some pixels of the output times some output channels.

use std::array::from_fn;

use super::vector::Vector;

/// Sums of more than about so many terms are added up in parts, each of whole channels: rounding
/// errors grow with the length of a sum.
pub(crate) const SUM: usize = 1024;

/// The most pixels that a tile of any instruction set has.
const MAX_PIXELS: usize = 28;

/// How far from the first pixel of a tile the input is asked for.
const PIXELS_AHEAD: usize = 32;

/// How many taps ahead weights are asked for.
const AHEAD: usize = 8;

/// What an area of the output is computed from.
///
/// Output channels stand in the lanes of `vectors` registers; the pixels are broadcast one by one
/// straight out of the rows of the input, so that a window and its dilation are only displacements.
pub(crate) struct Area<'a, T> {
    /// The input: the factor of channel `ic`, kernel row `kh` and kernel column `kw` for the pixel
    /// `(row, col)` stands at
    /// `ic * channel_stride + kh * kernel_row_stride + kernel_cols[kw] + row * row_stride + col`.
    pub(crate) x: &'a [T],
    pub(crate) channels: usize,
    pub(crate) channel_stride: usize,
    pub(crate) kernel_rows: usize,
    pub(crate) kernel_row_stride: usize,
    pub(crate) kernel_cols: &'a [usize],
    pub(crate) row_stride: usize,
    /// The weights, `(channels, kernel rows, kernel columns, vectors * LANES)`.
    pub(crate) w: &'a [T],
    /// What is added to each sum, `vectors * LANES` elements.
    pub(crate) bias: &'a [T],
    /// Registers of output channels, 1 or 2.
    pub(crate) vectors: usize,
    /// Pixels of the area.
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    /// The output: channel `oc`, pixel `(row, col)` goes to `oc * y_stride + row * y_pitch + col`.
    pub(crate) y: &'a mut [T],
    pub(crate) y_stride: usize,
    pub(crate) y_pitch: usize,
    /// How many output channels there are, at most `vectors * LANES`.
    pub(crate) out_channels: usize,
    /// Whether negative sums become 0.
    pub(crate) relu: bool,
    /// Whether the input has not yet been read for other output channels.
    pub(crate) fresh: bool,
}

impl<T> Area<'_, T> {
    /// Panics if it would reach beyond its slices: the proof that the kernels below stand on.
    pub(crate) fn check(&self, lanes: usize) {
        assert!((1..=2).contains(&self.vectors) && self.rows > 0 && self.cols > 0);
        let width = self.vectors * lanes;
        assert!((1..=width).contains(&self.out_channels));
        assert!(self.bias.len() >= width);
        let taps = self.channels * self.kernel_rows * self.kernel_cols.len();
        assert!(self.w.len() >= taps * width);
        let last = (self.rows - 1) * self.y_pitch + self.cols - 1;
        assert!((self.out_channels - 1) * self.y_stride + last < self.y.len());
        if taps > 0 {
            let col = self.kernel_cols.iter().max().expect("there are taps");
            let tap = (self.channels - 1) * self.channel_stride
                + (self.kernel_rows - 1) * self.kernel_row_stride
                + col;
            assert!(tap + (self.rows - 1) * self.row_stride + self.cols - 1 < self.x.len());
        }
    }
}

/// How many columns a tile may have.
pub(crate) struct Limits {
    /// If it has one row.
    pub(crate) cols: usize,
    /// If it has two, with one and two registers of output channels.
    pub(crate) by_2: [usize; 2],
    /// If it has four.
    pub(crate) by_4: [usize; 2],
}

/// Cuts an area into tiles, and calls `f` for each with its first row and column and how many it has.
// Not with a structure of them: it would go through memory, behind the stores of the tile before.
#[inline(always)]
pub(crate) fn for_each_tile<'a, T>(
    area: &mut Area<'a, T>,
    limits: &Limits,
    mut f: impl FnMut(&mut Area<'a, T>, usize, usize, usize, usize),
) {
    let parts = area.cols.div_ceil(limits.cols);
    // Of the widest tile.
    let cols = area.cols.div_ceil(parts);
    let fits = |limits: [usize; 2]| cols <= limits[area.vectors - 1];
    let most = if fits(limits.by_4) {
        4
    } else if fits(limits.by_2) {
        2
    } else {
        1
    };
    let mut row = 0;
    while row < area.rows {
        let mut rows = most;
        while rows > area.rows - row {
            rows /= 2;
        }
        for part in 0..parts {
            let col = part * area.cols / parts;
            let cols = (part + 1) * area.cols / parts - col;
            f(area, row, col, rows, cols);
        }
        row += rows;
    }
}

/// The sums of a tile: `(2, SUM_ROWS, LANES)` elements, pixels in rows.
#[repr(align(64))]
pub(crate) struct Sums<T>([T; 2 * SUM_ROWS * 16]);

/// A transpose reads 16 rows from any pixel on that begins one: the last is the second half of
/// [`MAX_PIXELS`].
const SUM_ROWS: usize = 32;

impl<T: Copy + Default> Sums<T> {
    pub(crate) fn new() -> Self {
        Self([T::default(); 2 * SUM_ROWS * 16])
    }
}

/// Sums a tile of `R` rows of `P` pixels and `N` registers.
///
/// # Safety
///
/// The CPU has the instruction set of `V`, [`Area::check`] has passed, the tile lies within the area,
/// and `N`, `R` and `P` are its registers, rows and columns.
#[inline(always)]
pub(crate) unsafe fn tile<V: Vector, const N: usize, const R: usize, const P: usize>(
    area: &Area<'_, V::Elem>,
    first_row: usize,
    first_col: usize,
    sums: &mut Sums<V::Elem>,
) {
    const { assert!(R * P <= MAX_PIXELS && N <= 2 && V::LANES <= 16) };
    debug_assert!(N == area.vectors && first_row + R <= area.rows && first_col + P <= area.cols);
    let to = sums.0.as_mut_ptr();
    let taps = (area.kernel_rows * area.kernel_cols.len()).max(1);
    let part = (SUM / taps).max(1);
    // SAFETY: every element read lies within `x` and `w`, as `check` has shown: of `x` the largest
    // index is that of the last tap of the last pixel of the area, and `w` is read in steps of
    // `N * LANES` once per tap. `sums` has room for `N` times as many rows as a tile may have pixels.
    // The caller guarantees the CPU.
    unsafe {
        // Each channel of the output is a line of the cache of its own, to be had before the sums
        // are done.
        let y = area.y.as_ptr().wrapping_add(first_row * area.y_pitch + first_col).cast_mut();
        for channel in 0..area.out_channels {
            V::prefetch_to_write(y.wrapping_add(channel * area.y_stride));
        }
        let rows: [usize; R] = from_fn(|r| r * area.row_stride);
        let mut w = area.w.as_ptr();
        let mut channel = area.x.as_ptr().wrapping_add(first_row * area.row_stride + first_col);
        let mut left = area.channels;
        let slides = N == 1
            && R * P + area.kernel_cols.len() < V::REGISTERS
            && matches!(area.kernel_cols, [0, 1, 2] | [0, 1, 2, 3, 4]);
        loop {
            let mut sums = [[[V::splat(V::Elem::default()); N]; P]; R];
            for _ in 0..left.min(part) {
                let mut row = channel;
                for _ in 0..area.kernel_rows {
                    if slides {
                        match area.kernel_cols.len() {
                            3 => slide::<V, N, R, P, 3>(row, rows, w, &mut sums),
                            _ => slide::<V, N, R, P, 5>(row, rows, w, &mut sums),
                        }
                        w = w.add(area.kernel_cols.len() * V::LANES);
                        row = row.wrapping_add(area.kernel_row_stride);
                        continue;
                    }
                    for &col in area.kernel_cols {
                        let x = row.wrapping_add(col);
                        let weights: [V; N] = from_fn(|n| V::load(w.add(n * V::LANES)));
                        // The pixels of the next tiles, which stand at a distance from channel to
                        // channel that no hardware foresees.
                        V::prefetch(x.wrapping_add(PIXELS_AHEAD));
                        for n in 0..N {
                            V::prefetch(w.wrapping_add((AHEAD * N + n) * V::LANES));
                        }
                        for r in 0..R {
                            for p in 0..P {
                                let pixel = V::splat(*x.add(rows[r] + p));
                                for n in 0..N {
                                    sums[r][p][n] = pixel.mul_add(weights[n], sums[r][p][n]);
                                }
                            }
                        }
                        w = w.add(N * V::LANES);
                    }
                    row = row.wrapping_add(area.kernel_row_stride);
                }
                channel = channel.wrapping_add(area.channel_stride);
            }
            let first = left == area.channels;
            for r in 0..R {
                for p in 0..P {
                    for n in 0..N {
                        let to = to.add((n * SUM_ROWS + r * P + p) * V::LANES);
                        let sum = sums[r][p][n];
                        // What the parts before have come to.
                        let sum = if first { sum } else { V::load(to).add(sum) };
                        sum.store(to);
                    }
                }
            }
            left -= left.min(part);
            if left == 0 {
                break;
            }
        }
    }
}

/// Adds the products of one row of a kernel of `K` neighbouring columns.
///
/// Each pixel of the input is broadcast once for all columns that it stands under: by a single register
/// of output channels, tiles are else bound by their loads.
///
/// # Safety
///
/// The CPU has the instruction set of `V`; `x` can be read at `rows[r] + i` for `i` up to `P + K - 2`,
/// and `w` for `K` registers.
// As a macro, because the compiler would leave a loop rolled and the sums in memory.
#[inline(always)]
unsafe fn slide<V: Vector, const N: usize, const R: usize, const P: usize, const K: usize>(
    x: *const V::Elem,
    rows: [usize; R],
    w: *const V::Elem,
    sums: &mut [[[V; N]; P]; R],
) {
    // SAFETY: that of the caller.
    unsafe {
        let weights: [V; K] = from_fn(|k| V::load(w.add(k * V::LANES)));
        macro_rules! pixels {
            ($($i:literal)*) => {$(
                if $i < P + K - 1 {
                    for r in 0..R {
                        let pixel = V::splat(*x.add(rows[r] + $i));
                        for k in 0..K {
                            if $i >= k && $i - k < P {
                                sums[r][$i - k][0] = pixel.mul_add(weights[k], sums[r][$i - k][0]);
                            }
                        }
                    }
                }
            )*};
        }
        pixels!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17);
    }
}

/// Writes the sums of a tile to the output, with the bias and what else is done to them.
///
/// # Safety
///
/// The CPU has the instruction set of `V`, [`Area::check`] has passed, the tile lies within the area,
/// and it is one of those that [`tile`] is compiled for.
#[inline(always)]
pub(crate) unsafe fn finish<V: Vector>(
    area: &mut Area<'_, V::Elem>,
    first_row: usize,
    first_col: usize,
    (tile_rows, tile_cols): (usize, usize),
    sums: &Sums<V::Elem>,
) {
    debug_assert!(first_row + tile_rows <= area.rows && first_col + tile_cols <= area.cols);
    // Pixels that follow one another in the output: all, or those of a row.
    let (runs, run) = match area.y_pitch == tile_cols {
        true => (1, tile_rows * tile_cols),
        false => (tile_rows, tile_cols),
    };
    // SAFETY: the caller guarantees the CPU. `y` is written where the tile lies. Of `sums`, `LANES`
    // rows are read from the beginning of each `LANES` pixels of a run on: at most from pixel 16 of 28,
    // or from the last of two rows of 14.
    unsafe {
        for n in 0..area.vectors {
            let lanes = area.out_channels.saturating_sub(n * V::LANES).min(V::LANES);
            if lanes == 0 {
                break;
            }
            let bias = V::load(area.bias.as_ptr().add(n * V::LANES));
            let zero = V::splat(V::Elem::default());
            for r in 0..runs {
                for p in (0..run).step_by(V::LANES) {
                    debug_assert!(
                        (n * SUM_ROWS + r * run + p + V::LANES) * V::LANES <= sums.0.len()
                    );
                    let from = sums.0.as_ptr().add((n * SUM_ROWS + r * run + p) * V::LANES);
                    let mut rows = [zero; 16];
                    for i in 0..V::LANES {
                        rows[i] = V::load(from.add(i * V::LANES)).add(bias);
                    }
                    if area.relu {
                        for i in 0..V::LANES {
                            rows[i] = rows[i].relu();
                        }
                    }
                    let pixel = (first_row + r) * area.y_pitch + first_col + p;
                    let y = area.y.as_mut_ptr().add(n * V::LANES * area.y_stride + pixel);
                    let count = V::LANES.min(run - p);
                    debug_assert!(
                        (n * V::LANES + lanes - 1) * area.y_stride + pixel + count <= area.y.len()
                    );
                    V::store_transposed(&rows, count, y, area.y_stride, lanes);
                }
            }
        }
    }
}
