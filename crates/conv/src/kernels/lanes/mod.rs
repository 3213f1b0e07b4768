//! A convolution with the pixels of the output in the lanes: for short sums, whose transposition
//! would cost as much as they do, and for channels that stand alone.

use std::array::from_fn;
use std::ops::Range;

use super::vector::Vector;

mod plane;
mod plane_grad;
mod rows;

pub(crate) use plane::{MARGIN, Plane, plane};
pub(crate) use plane_grad::{PlaneWeights, plane_weights};
pub(crate) use rows::{Rows, copy};

/// The most registers of pixels that are summed at a time.
pub(crate) const MAX_COLS: usize = 4;

/// Where the factors of a sum stand, from the place of its pixel on.
pub(crate) struct Taps<'a> {
    places: &'a [usize],
    /// No place is further.
    furthest: usize,
}

impl<'a> Taps<'a> {
    pub(crate) fn new(places: &'a [usize]) -> Self {
        Self { places, furthest: places.iter().copied().max().unwrap_or(0) }
    }

    /// Some of them.
    pub(crate) fn part(&self, range: Range<usize>) -> Self {
        Self { places: &self.places[range], furthest: self.furthest }
    }
}

/// How pixels are put into registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fill {
    /// A row begins with a register.
    Rows,
    /// Registers reach over the ends of rows, as they may if a row fills one.
    RunOn,
    /// A row has one register, and those of neighbouring rows are summed together.
    Stacked,
}

/// [`Fill`] as the kernels are compiled for it.
pub(crate) const ROWS: u8 = Fill::Rows as u8;
pub(crate) const RUN_ON: u8 = Fill::RunOn as u8;
pub(crate) const STACKED: u8 = Fill::Stacked as u8;

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
    /// Sums that there are weights for: 1 or the number of the table.
    pub(crate) rows: usize,
    /// Sums that are written, at most `rows`.
    pub(crate) out_channels: usize,
    /// The output, overwritten: pixel `(row, col)` of channel `r` goes to
    /// `r * y_stride + row * out_w + col`.
    pub(crate) y: &'a mut [T],
    pub(crate) y_stride: usize,
    pub(crate) out_h: usize,
    pub(crate) out_w: usize,
    /// How registers are filled.
    pub(crate) fill: Fill,
    /// Whether negative sums become 0.
    pub(crate) relu: bool,
}

impl<T> Lanes<'_, T> {
    /// Panics if it would reach beyond its slices.
    pub(crate) fn check(&self, lanes: usize, rows: usize) {
        assert!(self.out_h > 0 && self.out_w > 0);
        match self.fill {
            Fill::Rows => {}
            Fill::RunOn => assert!(self.out_w >= lanes),
            Fill::Stacked => assert!(self.out_w <= lanes),
        }
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

    /// How the pixels are cut into pieces of at most `most` registers of so many lanes.
    pub(crate) fn cuts(&self, lanes: usize, most: usize) -> Cuts {
        let (lines, len) = match self.fill {
            Fill::Rows => (self.out_h, self.out_w),
            Fill::RunOn => (1, self.out_h * self.out_w),
            Fill::Stacked => (1, self.out_h * lanes),
        };
        let registers = len.div_ceil(lanes);
        let pieces = registers.div_ceil(most);
        let cols = registers.div_ceil(pieces);
        // As even as can be: a piece of one register waits for its own sums.
        let wide = registers - pieces * (cols - 1);
        Cuts { lines, len, cols, wide, narrow: pieces - wide }
    }
}

/// How an output is cut: each line, a row or all rows that run on into each other, into pieces of
/// `cols` registers and then such of one less.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cuts {
    lines: usize,
    /// Pixels of a line, or lanes where rows are stacked.
    len: usize,
    /// Registers of a wide piece.
    pub(crate) cols: usize,
    /// Wide pieces of a line.
    wide: usize,
    /// Narrow pieces of a line.
    narrow: usize,
}

/// Sums all pieces of an output: the wide ones have `C` registers, the narrow ones `D`.
///
/// # Safety
///
/// The CPU has the instruction set of `V`, [`Lanes::check`] has passed, `R` is from `out_channels` to
/// `rows`, `FILL` is `fill`, the cuts are those of the arguments, `C` is their `cols`, and `D` is one
/// less, or anything if there is one column.
#[inline(always)]
pub(crate) unsafe fn lines<
    V: Vector,
    const R: usize,
    const C: usize,
    const D: usize,
    const FILL: u8,
>(
    args: &mut Lanes<'_, V::Elem>,
    cuts: Cuts,
) {
    let Cuts { lines, len, wide, narrow, .. } = cuts;
    for line in 0..lines {
        let mut place = Place { row: line, col: 0, at: line * len, left: len };
        for _ in 0..wide {
            // SAFETY: the caller guarantees the CPU and the arguments; the place is that of a piece.
            unsafe { piece::<V, R, C, FILL>(args, place) };
            place.advance::<FILL>(C, V::LANES, args.out_w);
        }
        for _ in 0..narrow {
            // SAFETY: as above.
            unsafe { piece::<V, R, D, FILL>(args, place) };
            place.advance::<FILL>(D, V::LANES, args.out_w);
        }
    }
}

/// Where a piece begins.
#[derive(Clone, Copy)]
struct Place {
    row: usize,
    col: usize,
    /// The pixel, counted through all rows.
    at: usize,
    /// Pixels, or lanes, of the line from it on.
    left: usize,
}

impl Place {
    /// Goes on by so many registers.
    #[inline(always)]
    fn advance<const FILL: u8>(&mut self, registers: usize, lanes: usize, out_w: usize) {
        let pixels = registers * lanes;
        if FILL == STACKED {
            self.row += registers;
            self.at += registers * out_w;
            self.left -= pixels;
            return;
        }
        self.at += pixels;
        self.left = self.left.saturating_sub(pixels);
        self.col += pixels;
        while self.left > 0 && self.col >= out_w {
            (self.row, self.col) = (self.row + 1, self.col - out_w);
        }
    }
}

/// A piece: up to `C` registers of neighbouring pixels, or of rows, of `R` output channels.
///
/// # Safety
///
/// As [`lines`]; the piece has more than `C - 1` registers of pixels left in its line.
#[inline(always)]
unsafe fn piece<V: Vector, const R: usize, const C: usize, const FILL: u8>(
    args: &mut Lanes<'_, V::Elem>,
    place: Place,
) {
    // SAFETY: the caller guarantees the CPU. Each register begins with a pixel of the output, from
    // whose place and every tap a register lies within `x`, as the check has shown; where it
    // reaches over the end of a row, the lanes from `split` on are read as if the next row began
    // there, which is a row of the output, because the piece has pixels in it. Weights and bias are
    // read once for each tap and row, and only `out_channels` rows of `pixels` elements of `y` are
    // written.
    unsafe {
        let x = args.x.as_ptr();
        let pixels = place.left.min(C * V::LANES);
        let y = args.y.as_mut_ptr().add(place.at);
        let (y_stride, channels) = (args.y_stride, args.out_channels);
        // From one register to the next.
        let pitch = if FILL == STACKED { args.out_w } else { V::LANES };
        for r in 0..R.min(channels) {
            for c in 0..C {
                // In time for when the sums are done; it need not exist.
                V::prefetch_to_write(y.wrapping_add(r * y_stride + c * pitch));
            }
        }
        // Of each register: where its first pixel stands, how many lanes are of that row, and where
        // the next row would have its lane 0.
        let (mut row, mut col) = (place.row, place.col);
        let places: [(usize, usize, usize); C] = from_fn(|c| {
            if FILL == STACKED {
                return ((row + c) * args.step, 0, V::LANES);
            }
            let first = row * args.step + col;
            let left = pixels - c * V::LANES;
            let mut split = V::LANES;
            let mut second = first;
            if FILL == RUN_ON && args.out_w - col < V::LANES.min(left) {
                split = args.out_w - col;
                second = ((row + 1) * args.step).wrapping_sub(split);
            }
            col += V::LANES;
            if FILL == RUN_ON && col >= args.out_w {
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
                // The branch is the same for all taps, and cheaper than two loads where one will do.
                pixels[c] = if FILL == RUN_ON && split < V::LANES {
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
            w = w.add(args.rows);
        }
        if args.relu {
            for r in 0..R {
                for c in 0..C {
                    sums[r][c] = sums[r][c].relu();
                }
            }
        }
        let last = if FILL == STACKED { args.out_w } else { pixels - (C - 1) * V::LANES };
        for r in 0..R {
            if r >= channels {
                break;
            }
            let y = y.add(r * y_stride);
            for c in 0..C - 1 {
                let (sum, y) = (sums[r][c], y.add(c * pitch));
                if FILL == STACKED { sum.store_first(y, last) } else { sum.store(y) }
            }
            let (sum, y) = (sums[r][C - 1], y.add((C - 1) * pitch));
            if last == V::LANES { sum.store(y) } else { sum.store_first(y, last) }
        }
    }
}
