//! Copies of rows between borders of 0, their columns sorted by their place within a stride.

use super::super::vector::Vector;
use crate::ConvScalar;

/// How many channels before they are copied rows are asked for.
const CHANNELS_AHEAD: usize = 4;

/// Rows of some channels, and where they are copied to.
pub(crate) struct Rows<'a, T> {
    /// The image, `channels` of `in_h` rows of `in_w`.
    pub(crate) x: &'a [T],
    pub(crate) channels: usize,
    pub(crate) in_h: usize,
    pub(crate) in_w: usize,
    /// How many rows of each channel are copied.
    pub(crate) rows: usize,
    /// The first row that is copied, counted from the first row of padding.
    pub(crate) first: usize,
    /// Rows from one that is copied to the next.
    pub(crate) step: usize,
    /// Rows of padding above, columns to the left; whatever lies outside of the image is 0.
    pub(crate) top: usize,
    pub(crate) left: usize,
    /// How many places a column may have within a stride.
    pub(crate) stride: usize,
    /// How many of these places are copied: all, or the first.
    pub(crate) places: usize,
    /// Columns of each place, a multiple of the elements of a register.
    pub(crate) phase: usize,
    /// The copies, overwritten, `(rows, places, phase)` of each channel: column `place + stride * i` of
    /// the padded row is element `i` of its place.
    pub(crate) band: &'a mut [T],
    /// Elements from one channel to the next.
    pub(crate) band_stride: usize,
}

impl<T> Rows<'_, T> {
    /// Panics if it would reach beyond its slices.
    pub(crate) fn check(&self, lanes: usize) {
        assert!(self.channels > 0 && self.x.len() >= self.channels * self.in_h * self.in_w);
        assert!(self.phase > 0 && self.phase.is_multiple_of(lanes) && self.stride > 0);
        assert!(self.places == self.stride || self.places == 1);
        let len = self.rows * self.places * self.phase;
        assert!(len <= self.band_stride);
        assert!((self.channels - 1) * self.band_stride + len <= self.band.len());
    }
}

/// Copies rows.
///
/// # Safety
///
/// The CPU has the instruction set of `V`, and [`Rows::check`] has passed.
#[inline(always)]
pub(crate) unsafe fn copy<V: Vector>(args: &mut Rows<'_, V::Elem>) {
    if !matches!(args.stride, 1 | 2 | 4) {
        return copy_by_element(args);
    }
    for at in (0..args.phase).step_by(V::LANES) {
        // SAFETY: that of the caller; the register lies within a place.
        unsafe {
            match args.stride {
                1 => column::<V, 1>(args, at),
                2 => column::<V, 2>(args, at),
                _ => column::<V, 4>(args, at),
            }
        }
    }
}

/// Copies a register of each place from element `at` on, of all rows and channels.
///
/// # Safety
///
/// As [`copy`]; `S` is `stride`, and `at + LANES <= phase`.
#[inline(always)]
unsafe fn column<V: Vector, const S: usize>(args: &mut Rows<'_, V::Elem>, at: usize) {
    let (in_h, in_w) = (args.in_h, args.in_w);
    let col = (S * at).wrapping_sub(args.left);
    let inside = col < in_w && col + S * V::LANES <= in_w;
    let len = args.channels * in_h * in_w;
    // SAFETY: the caller guarantees the CPU. Of a row, `S` registers are read as a whole where they lie
    // within it, or at least within the image: then the lanes of other rows are put to 0. Else those
    // lanes are read that lie within the row. The band has room for `places` registers from `at` on in
    // each row of each channel, as the check has shown.
    unsafe {
        let zero = V::splat(V::Elem::default());
        let mut masks = [V::mask(0, 0); S];
        for i in 0..S {
            let (from, to) = lanes_within(V::LANES, in_w, col.wrapping_add(i * V::LANES));
            masks[i] = V::mask(from, to);
        }
        for channel in 0..args.channels {
            let mut band = args.band.as_mut_ptr().add(channel * args.band_stride + at);
            for i in 0..args.rows {
                let row = (args.first + i * args.step).wrapping_sub(args.top);
                let mut parts = [zero; S];
                if row < in_h {
                    let place = (channel * in_h + row) * in_w;
                    let x = args.x.as_ptr().wrapping_add(place).wrapping_add(col);
                    let first = place.wrapping_add(col);
                    let around = first < len && first + S * V::LANES <= len;
                    for i in 0..S {
                        let x = x.wrapping_add(i * V::LANES);
                        // What is copied some channels later: hardware does not foresee the leaps.
                        V::prefetch(x.wrapping_add(CHANNELS_AHEAD * in_h * in_w));
                        parts[i] = if inside {
                            V::load(x)
                        } else if around {
                            V::load(x).keep(masks[i])
                        } else {
                            V::load_masked(x, masks[i])
                        };
                    }
                    parts = sort(parts);
                }
                for place in 0..args.places {
                    parts[place].store(band.add(place * args.phase));
                }
                band = band.wrapping_add(args.places * args.phase);
            }
        }
    }
}

/// Sorts `S` registers of neighbouring elements by their place within a stride of `S`.
#[inline(always)]
unsafe fn sort<V: Vector, const S: usize>(parts: [V; S]) -> [V; S] {
    let mut sorted = parts;
    // SAFETY: the caller guarantees the CPU.
    unsafe {
        match S {
            2 => {
                let [even, odd] = parts[0].unzip(parts[1]);
                (sorted[0], sorted[1]) = (even, odd);
            }
            4 => {
                let ([even, odd], [more_even, more_odd]) =
                    (parts[0].unzip(parts[1]), parts[2].unzip(parts[3]));
                let ([p0, p2], [p1, p3]) = (even.unzip(more_even), odd.unzip(more_odd));
                (sorted[0], sorted[1], sorted[2], sorted[3]) = (p0, p1, p2, p3);
            }
            _ => {}
        }
    }
    sorted
}

/// Copies rows with any stride.
fn copy_by_element<T: ConvScalar>(args: &mut Rows<'_, T>) {
    let (in_h, in_w) = (args.in_h, args.in_w);
    for (channel, band) in args.band.chunks_mut(args.band_stride).take(args.channels).enumerate() {
        for (i, band) in band.chunks_exact_mut(args.places * args.phase).take(args.rows).enumerate()
        {
            let row = (args.first + i * args.step).wrapping_sub(args.top);
            if row >= in_h {
                band.fill(T::ZERO);
                continue;
            }
            let x = &args.x[(channel * in_h + row) * in_w..][..in_w];
            for (place, band) in band.chunks_exact_mut(args.phase).enumerate() {
                for (i, to) in band.iter_mut().enumerate() {
                    let col = (place + args.stride * i).wrapping_sub(args.left);
                    *to = x.get(col).copied().unwrap_or(T::ZERO);
                }
            }
        }
    }
}

/// Which lanes of a register lie within a row, lane 0 being element `col`, which may lie before it.
#[inline(always)]
pub(super) fn lanes_within(lanes: usize, in_w: usize, col: usize) -> (usize, usize) {
    let lanes = lanes as isize;
    let from = (col as isize).saturating_neg().clamp(0, lanes);
    let to = (in_w as isize).wrapping_sub(col as isize).clamp(from, lanes);
    (from as usize, to as usize)
}
