//! Copies of rows between borders of 0, their columns sorted by their place within a stride.

use super::super::vector::Vector;
use crate::ConvScalar;

/// Rows of one channel, and where they are copied to.
pub(crate) struct Rows<'a, T> {
    /// The image, `in_h` rows of `in_w`.
    pub(crate) x: &'a [T],
    pub(crate) in_h: usize,
    pub(crate) in_w: usize,
    /// The first row that is copied, counted from the first row of padding.
    pub(crate) first: usize,
    /// Rows of padding above, columns to the left; whatever lies outside of the image is 0.
    pub(crate) top: usize,
    pub(crate) left: usize,
    /// How many places a column may have within a stride.
    pub(crate) stride: usize,
    /// Columns of each place, a multiple of the elements of a register.
    pub(crate) phase: usize,
    /// The copies, overwritten, `(rows, stride, phase)`: column `place + stride * i` of the padded
    /// row is element `i` of its place.
    pub(crate) band: &'a mut [T],
}

impl<T> Rows<'_, T> {
    /// Panics if it would reach beyond its slices.
    pub(crate) fn check(&self, lanes: usize) {
        assert!(self.x.len() >= self.in_h * self.in_w);
        assert!(self.phase > 0 && self.phase.is_multiple_of(lanes) && self.stride > 0);
        assert!(self.band.len().is_multiple_of(self.stride * self.phase));
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
    for (i, band) in args.band.chunks_exact_mut(stride * phase).enumerate() {
        let row = (args.first + i).wrapping_sub(args.top);
        if row >= args.in_h {
            band.fill(V::Elem::default());
            continue;
        }
        let x = &args.x[row * in_w..][..in_w];
        if !matches!(stride, 1 | 2 | 4) {
            copy_by_element(x, left, stride, band);
            continue;
        }
        let (x, band) = (x.as_ptr(), band.as_mut_ptr());
        for at in (0..phase).step_by(V::LANES) {
            let col = (stride * at).wrapping_sub(left);
            let inside = col < in_w && col + stride * V::LANES <= in_w;
            // SAFETY: the caller guarantees the CPU. The band has `stride` times `phase` elements, of
            // which a register from `at` on is within one place; of the row, `stride` registers lie
            // inside where they are read as a whole.
            unsafe {
                let mut parts = [V::splat(V::Elem::default()); 4];
                for i in 0..stride {
                    let col = col.wrapping_add(i * V::LANES);
                    parts[i] = if inside { V::load(x.add(col)) } else { load_within(x, in_w, col) };
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
                for place in 0..stride {
                    parts[place].store(band.add(place * phase + at));
                }
            }
        }
    }
}

/// Copies a row with any stride.
fn copy_by_element<T: ConvScalar>(x: &[T], left: usize, stride: usize, band: &mut [T]) {
    let phase = band.len() / stride;
    for (place, band) in band.chunks_exact_mut(phase).enumerate() {
        for (i, to) in band.iter_mut().enumerate() {
            let col = (place + stride * i).wrapping_sub(left);
            *to = x.get(col).copied().unwrap_or(T::ZERO);
        }
    }
}

/// The elements of a row from `col` on, which may lie before the row, and 0 in the lanes whose
/// elements lie outside of it.
///
/// # Safety
///
/// The CPU has the instruction set of `V`, and there are `in_w` readable elements at `row`.
#[inline(always)]
unsafe fn load_within<V: Vector>(row: *const V::Elem, in_w: usize, col: usize) -> V {
    let (from, to) = lanes_within(V::LANES, in_w, col);
    // SAFETY: the caller guarantees the CPU and the row; those lanes are read that lie in it.
    unsafe { V::load_range(row.wrapping_add(col), from, to) }
}

/// Which lanes of a register lie within a row, lane 0 being element `col`, which may lie before it.
#[inline(always)]
pub(super) fn lanes_within(lanes: usize, in_w: usize, col: usize) -> (usize, usize) {
    let lanes = lanes as isize;
    let from = (col as isize).saturating_neg().clamp(0, lanes);
    let to = (in_w as isize).wrapping_sub(col as isize).clamp(from, lanes);
    (from as usize, to as usize)
}
