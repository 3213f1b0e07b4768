//! A convolution with the pixels of the output in the lanes: for short sums, whose transposition
//! would cost as much as they do, and for channels that stand alone.

use std::array::from_fn;

use super::vector::Vector;

/// The most registers of pixels of one call.
pub(crate) const MAX_COLS: usize = 4;

/// Up to `cols` registers of neighbouring pixels of some output channels.
pub(crate) struct Lanes<'a, T> {
    /// The input.
    pub(crate) x: &'a [T],
    /// Where each factor of the sums stands, from the place of its pixel on.
    pub(crate) taps: &'a [usize],
    /// Where the pixels of each register stand: lanes below `split` from `first` on, the others,
    /// which belong to the next row, as if lane 0 were at `second`.
    pub(crate) places: &'a [Place],
    /// The weights, `(taps, rows)`.
    pub(crate) w: &'a [T],
    /// What each sum begins with, `rows` elements.
    pub(crate) bias: &'a [T],
    /// Sums that are computed: 1 or the number of the table.
    pub(crate) rows: usize,
    /// Sums that are written, at most `rows`.
    pub(crate) out_channels: usize,
    /// The output, overwritten: pixel `p` of channel `r` goes to `r * y_stride + p`.
    pub(crate) y: &'a mut [T],
    pub(crate) y_stride: usize,
    /// How many pixels there are: the last register may not be full.
    pub(crate) pixels: usize,
    /// Whether negative sums become 0.
    pub(crate) relu: bool,
}

/// Where the pixels of a register stand. `second` is a difference that may be negative, in
/// wrapping arithmetic.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Place {
    pub(crate) first: usize,
    pub(crate) second: usize,
    pub(crate) split: usize,
}

impl<T> Lanes<'_, T> {
    /// Panics if it would reach beyond its slices.
    pub(crate) fn check(&self, lanes: usize, rows: usize) {
        let cols = self.places.len();
        assert!((1..=MAX_COLS).contains(&cols) && (self.rows == 1 || self.rows == rows));
        assert!((1..=self.rows).contains(&self.out_channels));
        assert!((cols - 1) * lanes < self.pixels && self.pixels <= cols * lanes);
        assert!(self.bias.len() >= self.rows && self.w.len() >= self.taps.len() * self.rows);
        assert!(self.y.len() >= (self.out_channels - 1) * self.y_stride + self.pixels);
        // Whole registers are read, whatever of them is used.
        let furthest = self.taps.iter().max().map_or(0, |tap| tap + lanes);
        for place in self.places {
            assert!(place.split <= lanes && place.first + furthest <= self.x.len());
            if place.split < lanes {
                let start = place.second.wrapping_add(place.split);
                assert!(start <= self.x.len() && start + furthest - place.split <= self.x.len());
            }
        }
    }
}

/// # Safety
///
/// The CPU has the instruction set of `V`, [`Lanes::check`] has passed, and `R` and `C` are `rows` and
/// the number of places; `SPLIT` is set unless every split is `LANES`.
#[inline(always)]
pub(crate) unsafe fn lanes<V: Vector, const R: usize, const C: usize, const SPLIT: bool>(
    args: &mut Lanes<'_, V::Elem>,
) {
    // SAFETY: the caller guarantees the CPU. The check has shown that a register from every place
    // and tap lies within `x`, of a second place the lanes from the split on; weights and bias are
    // read once for each tap and row; and only `out_channels` rows of `pixels` elements of `y`
    // are written.
    unsafe {
        let x = args.x.as_ptr();
        let mut sums = [[V::splat(V::Elem::default()); C]; R];
        for r in 0..R {
            sums[r] = [V::splat(*args.bias.as_ptr().add(r)); C];
        }
        let places: [Place; C] = from_fn(|c| args.places[c]);
        let mut w = args.w.as_ptr();
        for &tap in args.taps {
            let mut pixels = [V::splat(V::Elem::default()); C];
            for c in 0..C {
                let first = x.add(places[c].first + tap);
                pixels[c] = if SPLIT {
                    let second = x.wrapping_add(places[c].second).wrapping_add(tap);
                    V::load_split(first, second, places[c].split)
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
        let last = args.pixels - (C - 1) * V::LANES;
        for r in 0..R {
            if r >= args.out_channels {
                break;
            }
            for c in 0..C {
                let sum = if args.relu { sums[r][c].relu() } else { sums[r][c] };
                let y = args.y.as_mut_ptr().add(r * args.y_stride + c * V::LANES);
                if c + 1 < C || last == V::LANES { sum.store(y) } else { sum.store_first(y, last) }
            }
        }
    }
}
