//! Copies of rows between borders of 0, their columns sorted by their place within a stride.

use super::super::vector::Vector;
use crate::ConvScalar;

/// How many channels before they are copied rows are asked for.
const CHANNELS_AHEAD: usize = 4;

/// Rows of one channel, and where they are copied to.
pub(crate) struct Rows<'a, T> {
    /// The channel, `in_h` rows of `in_w`, stands at `x[plane..]`; what stands around it may be read,
    /// and is not used.
    pub(crate) x: &'a [T],
    pub(crate) plane: usize,
    pub(crate) in_h: usize,
    pub(crate) in_w: usize,
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
    /// The copies, overwritten, `(rows, places, phase)`: column `place + stride * i` of the padded
    /// row is element `i` of its place.
    pub(crate) band: &'a mut [T],
}

impl<T> Rows<'_, T> {
    /// Panics if it would reach beyond its slices.
    pub(crate) fn check(&self, lanes: usize) {
        assert!(self.x.len() >= self.plane + self.in_h * self.in_w);
        assert!(self.phase > 0 && self.phase.is_multiple_of(lanes) && self.stride > 0);
        assert!(self.places == self.stride || self.places == 1);
        assert!(self.band.len().is_multiple_of(self.places * self.phase));
    }
}

/// Copies rows.
///
/// # Safety
///
/// The CPU has the instruction set of `V`, and [`Rows::check`] has passed.
#[inline(always)]
pub(crate) unsafe fn copy<V: Vector>(args: &mut Rows<'_, V::Elem>) {
    let (in_w, left, stride, phase) = (args.in_w, args.left, args.stride, args.phase);
    let (x, places) = (args.x, args.places);
    for (i, band) in args.band.chunks_exact_mut(places * phase).enumerate() {
        let row = (args.first + i * args.step).wrapping_sub(args.top);
        if row >= args.in_h {
            band.fill(V::Elem::default());
            continue;
        }
        let row = args.plane + row * in_w;
        if !matches!(stride, 1 | 2 | 4) {
            copy_by_element(&x[row..][..in_w], left, stride, phase, band);
            continue;
        }
        for at in (0..phase).step_by(V::LANES) {
            let col = (stride * at).wrapping_sub(left);
            let inside = col < in_w && col + stride * V::LANES <= in_w;
            for i in 0..stride {
                // What is copied some channels later: hardware does not foresee the leaps.
                let ahead = row + CHANNELS_AHEAD * args.in_h * in_w + stride * at + i * V::LANES;
                V::prefetch(x.as_ptr().wrapping_add(ahead));
            }
            // SAFETY: the caller guarantees the CPU. The band has `places` times `phase` elements, of
            // which a register from `at` on is within one place; of the row, `stride` registers lie
            // inside where they are read as a whole.
            unsafe {
                let mut parts = [V::splat(V::Elem::default()); 4];
                for i in 0..stride {
                    let col = col.wrapping_add(i * V::LANES);
                    parts[i] = if inside {
                        V::load(x.as_ptr().add(row + col))
                    } else {
                        load_within(x, row, in_w, col)
                    };
                }
                let [a, b, c, d] = parts;
                parts = match stride {
                    1 => parts,
                    2 => {
                        let [even, odd] = a.unzip(b);
                        [even, odd, c, d]
                    }
                    _ => {
                        let ([even, odd], [more_even, more_odd]) = (a.unzip(b), c.unzip(d));
                        let ([p0, p2], [p1, p3]) = (even.unzip(more_even), odd.unzip(more_odd));
                        [p0, p1, p2, p3]
                    }
                };
                for place in 0..places {
                    parts[place].store(band.as_mut_ptr().add(place * phase + at));
                }
            }
        }
    }
}

/// Copies a row with any stride.
fn copy_by_element<T: ConvScalar>(
    x: &[T],
    left: usize,
    stride: usize,
    phase: usize,
    band: &mut [T],
) {
    for (place, band) in band.chunks_exact_mut(phase).enumerate() {
        for (i, to) in band.iter_mut().enumerate() {
            let col = (place + stride * i).wrapping_sub(left);
            *to = x.get(col).copied().unwrap_or(T::ZERO);
        }
    }
}

/// The elements from column `col` on, which may lie before it, of the row at `x[row..]`, and 0 in the
/// lanes whose elements lie outside of it.
///
/// # Safety
///
/// The CPU has the instruction set of `V`, and there are `in_w` elements from `row` on.
#[inline(always)]
unsafe fn load_within<V: Vector>(x: &[V::Elem], row: usize, in_w: usize, col: usize) -> V {
    let (from, to) = lanes_within(V::LANES, in_w, col);
    let at = row.wrapping_add(col);
    // SAFETY: the caller guarantees the CPU and the row; either all lanes are read, which lie within
    // `x`, or those that lie in the row. The first is much faster where the line is not in the cache.
    unsafe {
        if at < x.len() && at + V::LANES <= x.len() {
            V::load(x.as_ptr().add(at)).keep(V::mask(from, to))
        } else {
            V::load_range(x.as_ptr().wrapping_add(at), from, to)
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
