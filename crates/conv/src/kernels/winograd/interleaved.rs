//! The transform of the sums of two phases whose columns alternate.

use super::super::vector::Vector;
use super::output::{Segment, columns};
use super::{Form, PITCH, Points, Register};
use crate::kernels::plane_rows::{PlaneLayout, PlaneRows};

/// The output of some tiles of some channels: every second row of it, to which two phases contribute
/// every second column each. A pixel of a tile is one of each phase.
pub(crate) struct OutputPairs<'a, 'y, T> {
    pub(crate) form: Form,
    /// The sums: register `i` of channel `c` and point `p` of the phase of the even columns stands at
    /// `p * point_stride + c * channel_stride + i * LANES`, that of the odd ones `pair` later.
    pub(crate) m: &'a [T],
    pub(crate) point_stride: usize,
    pub(crate) channel_stride: usize,
    pub(crate) pair: usize,
    /// Tiles by their rows and columns within a phase.
    pub(crate) segments: &'a [Segment],
    pub(crate) registers: &'a [Register],
    /// The planes of the channels, of each image; overwritten where the tiles lie.
    pub(crate) y: &'a mut [PlaneRows<'y, T>],
    /// Not to be pooled.
    pub(crate) planes: PlaneLayout,
    pub(crate) channels: usize,
    /// The first row, 0 or 1.
    pub(crate) row: usize,
}

impl<T> OutputPairs<'_, '_, T> {
    /// Panics if it would reach beyond its slices.
    pub(crate) fn check(&self, lanes: usize) {
        assert!(self.channels > 0 && !self.planes.pool);
        let end = self.channels * self.planes.plane_len();
        let last = (self.form.points() - 1) * self.point_stride
            + self.pair
            + (self.channels - 1) * self.channel_stride;
        assert!(last + self.registers.len() * lanes <= self.m.len());
        for register in self.registers {
            register.check(|i| self.segments[i].tiles, lanes);
            for s in &self.segments[register.first..register.last] {
                assert!(s.tiles > 0 && end <= self.y[s.image].len());
                self.y[s.image].check(0..self.planes.out_h, self.planes);
            }
        }
    }
}

/// # Safety
///
/// The CPU has the instruction set of `V`, [`OutputPairs::check`] has passed, and `F` with tiles of
/// `OUT` pixels is `form`.
#[inline(always)]
pub(crate) unsafe fn output_pairs<V: Vector, F: Points<IN>, const OUT: usize, const IN: usize>(
    args: &mut OutputPairs<'_, '_, V::Elem>,
) {
    const { assert!(OUT < PITCH) };
    let plane_len = args.planes.plane_len();
    // SAFETY: the caller guarantees the CPU. `OUT` registers of each side and twice as many of each line
    // are written, and at most those read, and the rest of a register. What is read of `m` has been checked,
    // and that the planes of `y` exist.
    unsafe {
        let zero = V::splat(V::Elem::default());
        let mut lines = [[zero; 2 * PITCH]; OUT];
        let lines = lines.as_mut_ptr().cast::<V::Elem>();
        let mut sides = [[zero; PITCH]; 2];
        let sides = sides.as_mut_ptr().cast::<V::Elem>();
        for channel in 0..args.channels {
            for (i, register) in args.registers.iter().enumerate() {
                let m = args.m.as_ptr().add(channel * args.channel_stride + i * V::LANES);
                let even = columns::<V, F, OUT, IN>(m, args.point_stride);
                let odd = columns::<V, F, OUT, IN>(m.add(args.pair), args.point_stride);
                for r in 0..OUT {
                    let line = lines.add(r * 2 * PITCH * V::LANES);
                    V::store_by(F::output::<V, OUT>(even[r]), sides);
                    V::store_by(F::output::<V, OUT>(odd[r]), sides.add(PITCH * V::LANES));
                    for c in 0..OUT {
                        let side = sides.add(c * V::LANES);
                        let pair = [V::load(side), V::load(side.add(PITCH * V::LANES))];
                        V::store_by_2(pair, line.add(2 * c * V::LANES));
                    }
                }
                let mut at = 0;
                for s in &args.segments[register.first..register.last] {
                    let y = args.y.get_unchecked_mut(s.image).as_mut_ptr();
                    rows::<V, OUT>(args, s, y.add(channel * plane_len), lines.add(at));
                    at += 2 * OUT * s.tiles;
                }
            }
        }
    }
}

/// Writes the lines of a segment to a plane.
///
/// # Safety
///
/// That of [`output_pairs`]; of each of `OUT` lines the pixels of the segment can be read, and
/// the rest of the register that they end in.
#[inline(always)]
unsafe fn rows<V: Vector, const OUT: usize>(
    args: &OutputPairs<'_, '_, V::Elem>,
    s: &Segment,
    y: *mut V::Elem,
    lines: *const V::Elem,
) {
    let PlaneLayout { out_h, out_w, .. } = args.planes;
    let height = out_h.saturating_sub(args.row).div_ceil(2).saturating_sub(s.top).min(OUT);
    let width = out_w.saturating_sub(2 * s.left).min(2 * OUT * s.tiles);
    // SAFETY: the caller guarantees the CPU and the lines. Of `y`, rows below `out_h` are written, and
    // of each at most the columns that are left; that the plane exists has been checked.
    unsafe {
        for r in 0..height {
            let row = args.row + 2 * (s.top + r);
            for c in (0..width).step_by(V::LANES) {
                let value = V::load(lines.add(r * 2 * PITCH * V::LANES + c));
                let count = V::LANES.min(width - c);
                let to = y.add(row * out_w + 2 * s.left + c);
                // The same pixels of the next channel will be written next.
                V::prefetch_to_write(to.wrapping_add(out_h * out_w));
                if count == V::LANES {
                    value.store(to);
                } else {
                    value.store_first(to, count);
                }
            }
        }
    }
}
