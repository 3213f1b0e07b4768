//! A convolution with the pixels of the output in the lanes: for short sums, whose transposition
//! would cost as much as they do, and for channels that stand alone.

use std::array::from_fn;

use super::vector::Vector;

/// The most registers of pixels that are summed at a time.
pub(crate) const MAX_COLS: usize = 4;

/// Where the factors of a sum stand, from the place of its pixel on.
pub(crate) struct Taps<'a> {
    places: &'a [usize],
    furthest: usize,
}

impl<'a> Taps<'a> {
    pub(crate) fn new(places: &'a [usize]) -> Self {
        Self { places, furthest: places.iter().copied().max().unwrap_or(0) }
    }

    /// Whether they are those of a 3x3 window over rows that are `step` apart.
    fn is_3x3(&self, step: usize) -> bool {
        self.places.len() == 9
            && self.places.iter().enumerate().all(|(i, &place)| place == i / 3 * step + i % 3)
    }
}

/// Some rows of some output channels.
pub(crate) struct Lanes<'a, T> {
    /// The input: pixel `(row, col)` of the output has its place at `row * step + col`.
    pub(crate) x: &'a [T],
    pub(crate) step: usize,
    pub(crate) taps: &'a Taps<'a>,
    /// The weights, `(taps, rows)`.
    pub(crate) w: &'a [T],
    /// What each sum begins with, `rows` elements.
    pub(crate) bias: &'a [T],
    /// Sums that are computed: 1 or the number of the table.
    pub(crate) rows: usize,
    /// Sums that are written, at most `rows`.
    pub(crate) out_channels: usize,
    /// The output, overwritten: pixel `(row, col)` of channel `r` goes to
    /// `r * y_stride + row * out_w + col`.
    pub(crate) y: &'a mut [T],
    pub(crate) y_stride: usize,
    pub(crate) out_h: usize,
    pub(crate) out_w: usize,
    /// Whether registers reach over the ends of rows, as they may if a row fills one.
    pub(crate) run_on: bool,
    /// Whether negative sums become 0.
    pub(crate) relu: bool,
}

impl<T> Lanes<'_, T> {
    /// Panics if it would reach beyond its slices.
    pub(crate) fn check(&self, lanes: usize, rows: usize) {
        assert!(self.out_h > 0 && self.out_w > 0 && (self.out_w >= lanes || !self.run_on));
        assert!(self.rows == 1 || self.rows == rows);
        assert!((1..=self.rows).contains(&self.out_channels));
        assert!(self.bias.len() >= self.rows && self.w.len() >= self.taps.places.len() * self.rows);
        let pixels = self.out_h * self.out_w;
        assert!(self.y.len() >= (self.out_channels - 1) * self.y_stride + pixels);
        // A whole register is read from every pixel that one begins with, whatever of it is used;
        // the last one begins within the last row.
        let last = (self.out_h - 1) * self.step + self.out_w - 1;
        assert!(last + self.taps.furthest + MAX_COLS * lanes <= self.x.len());
    }

    /// Whether [`rows_3x3`] serves: one channel by itself under a 3x3 window of stride 1.
    pub(crate) fn is_3x3(&self) -> bool {
        self.rows == 1 && !self.run_on && self.taps.is_3x3(self.step)
    }

    /// The shape of the output, to be cut into pieces.
    pub(crate) fn shape(&self) -> Shape {
        Shape { out_h: self.out_h, out_w: self.out_w, run_on: self.run_on }
    }
}

/// The pixels of an output.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    out_h: usize,
    out_w: usize,
    run_on: bool,
}

impl Shape {
    /// Cuts the pixels into pieces of at most `most`, and calls `f` for each with the pixel that it
    /// begins with, row and column of that, and how many there are.
    pub(crate) fn for_each(&self, most: usize, mut f: impl FnMut([usize; 4])) {
        let Self { out_h, out_w, run_on } = *self;
        let (lines, len) = if run_on { (1, out_h * out_w) } else { (out_h, out_w) };
        for line in 0..lines {
            let (mut row, mut col) = (line, 0);
            for first in (0..len).step_by(most) {
                f([line * len + first, row, col, most.min(len - first)]);
                col += most;
                while run_on && col >= out_w {
                    (row, col) = (row + 1, col - out_w);
                }
            }
        }
    }
}

/// A piece: up to `C` registers of neighbouring pixels of `R` output channels, from pixel `at` in
/// `(row, col)` on.
///
/// # Safety
///
/// The CPU has the instruction set of `V`, [`Lanes::check`] has passed, `R` is `rows`, and the piece
/// is one of [`Shape::for_each`], of more than `C - 1` and at most `C` registers.
#[inline(always)]
pub(crate) unsafe fn piece<V: Vector, const R: usize, const C: usize, const SPLIT: bool>(
    args: &mut Lanes<'_, V::Elem>,
    [at, row, col, pixels]: [usize; 4],
) {
    // SAFETY: the caller guarantees the CPU. Each register begins with a pixel of the output, from
    // whose place and every tap a register lies within `x`, as the check has shown; where it
    // reaches over the end of a row, the lanes from `split` on are read as if the next row began
    // there, which is a row of the output, because the piece has pixels in it. Weights and bias are
    // read once for each tap and row, and only `out_channels` rows of `pixels` elements of `y` are
    // written.
    unsafe {
        let x = args.x.as_ptr();
        // Of each register: where its first pixel stands, how many lanes are of that row, and where
        // the next row would have its lane 0.
        let (mut row, mut col) = (row, col);
        let places: [(usize, usize, usize); C] = from_fn(|c| {
            let first = row * args.step + col;
            let left = pixels - c * V::LANES;
            let mut split = V::LANES;
            let mut second = first;
            if SPLIT && args.out_w - col < V::LANES.min(left) {
                split = args.out_w - col;
                second = ((row + 1) * args.step).wrapping_sub(split);
            }
            col += V::LANES;
            if SPLIT && col >= args.out_w {
                (row, col) = (row + 1, col - args.out_w);
            }
            (first, second, split)
        });
        let mut sums = [[V::splat(V::Elem::default()); C]; R];
        for r in 0..R {
            sums[r] = [V::splat(*args.bias.as_ptr().add(r)); C];
        }
        let mut w = args.w.as_ptr();
        for &tap in args.taps.places {
            let mut pixels = [V::splat(V::Elem::default()); C];
            for c in 0..C {
                let (first, second, split) = places[c];
                let first = x.add(first + tap);
                pixels[c] = if SPLIT {
                    V::load_split(first, x.wrapping_add(second).wrapping_add(tap), split)
                } else {
                    V::load(first)
                };
            }
            for r in 0..R {
                let weight = V::splat(*w.add(r));
                for c in 0..C {
                    sums[r][c] = weight.mul_add(pixels[c], sums[r][c]);
                }
            }
            w = w.add(R);
        }
        let last = pixels - (C - 1) * V::LANES;
        for r in 0..R {
            if r >= args.out_channels {
                break;
            }
            for c in 0..C {
                let sum = if args.relu { sums[r][c].relu() } else { sums[r][c] };
                let y = args.y.as_mut_ptr().add(r * args.y_stride + at + c * V::LANES);
                if c + 1 < C || last == V::LANES { sum.store(y) } else { sum.store_first(y, last) }
            }
        }
    }
}

/// The rows from `row` on, `R` of them, of one channel under a 3x3 window of stride 1: each row of the
/// input is read once for all rows of the output that it is part of.
///
/// # Safety
///
/// The CPU has the instruction set of `V`, [`Lanes::check`] has passed, [`Lanes::is_3x3`] holds, and
/// `row + R <= out_h`.
#[inline(always)]
pub(crate) unsafe fn rows_3x3<V: Vector, const R: usize>(
    args: &mut Lanes<'_, V::Elem>,
    row: usize,
) {
    // SAFETY: the caller guarantees the CPU. Registers begin with pixels of the output, from whose
    // places and taps a register lies within `x`, as the check has shown; there are nine weights;
    // and of each row of `y` only the columns that are left are written.
    unsafe {
        let weights: [V; 9] = from_fn(|tap| V::splat(*args.w.as_ptr().add(tap)));
        let bias = V::splat(*args.bias.as_ptr());
        for col in (0..args.out_w).step_by(V::LANES) {
            let x = args.x.as_ptr().add(row * args.step + col);
            let mut sums = [bias; R];
            for i in 0..R + 2 {
                for kw in 0..3 {
                    let pixels = V::load(x.add(i * args.step + kw));
                    for r in 0..R {
                        if (r..r + 3).contains(&i) {
                            sums[r] = weights[(i - r) * 3 + kw].mul_add(pixels, sums[r]);
                        }
                    }
                }
            }
            let count = V::LANES.min(args.out_w - col);
            for r in 0..R {
                let sum = if args.relu { sums[r].relu() } else { sums[r] };
                let y = args.y.as_mut_ptr().add((row + r) * args.out_w + col);
                if count == V::LANES { sum.store(y) } else { sum.store_first(y, count) }
            }
        }
    }
}
