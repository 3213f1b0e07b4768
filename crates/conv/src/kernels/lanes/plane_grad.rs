//! Gradients of the weights of channels that stand alone under a square window: both images are read
//! where they are.
//!
//! As the sums of such planes, and for the same reason; each register of the input is used for all
//! rows of the gradients that it meets.

use super::super::vector::Vector;
use super::plane::{AHEAD, AROUND, Columns, INSIDE, MASKED, PARTS, Plane, Sources, load};

/// Some rows of one channel of the gradients by the outputs, and what they have been computed from.
pub(crate) struct PlaneWeights<'a, T> {
    /// The image and the window: weights, bias and output are not read.
    pub(crate) plane: Plane<'a, T>,
    /// The gradients, `(out_h, out_w)`.
    pub(crate) dy: &'a [T],
    /// The rows of it that are summed over.
    pub(crate) first: usize,
    pub(crate) rows: usize,
    /// A sum for each weight, added to.
    pub(crate) sums: &'a mut [T],
    /// The sum of the gradients alone, added to.
    pub(crate) bias: &'a mut T,
}

impl<T> PlaneWeights<'_, T> {
    /// Panics if it would reach beyond its slices.
    pub(crate) fn check(&self, lanes: usize) {
        self.plane.check_input();
        assert!(self.plane.out_w >= lanes && self.first + self.rows <= self.plane.out_h);
        assert!(self.dy.len() >= self.plane.out_h * self.plane.out_w);
        assert!(self.sums.len() >= self.plane.kernel * self.plane.kernel);
    }
}

/// The sums of a plane.
struct Sums<V, const K: usize> {
    taps: [[V; K]; K],
    bias: V,
}

/// Sums a plane under a window of `K` by `K` with stride `S`, `R` rows of the gradients at a time.
///
/// # Safety
///
/// The CPU has the instruction set of `V`, [`PlaneWeights::check`] has passed, and `K` and `S` are
/// `kernel` and `stride`.
#[inline(always)]
pub(crate) unsafe fn plane_weights<V: Vector, const K: usize, const S: usize, const R: usize>(
    args: &mut PlaneWeights<'_, V::Elem>,
) {
    // SAFETY: the caller guarantees the CPU; the rows are those of the gradients, and there are `K * K`
    // sums.
    unsafe {
        let zero = V::splat(V::Elem::default());
        let mut sums = Sums { taps: [[zero; K]; K], bias: zero };
        let (mut row, end) = (args.first, args.first + args.rows);
        while row + R <= end {
            rows::<V, K, S, R>(args, &mut sums, row);
            row += R;
        }
        while row < end {
            rows::<V, K, S, 1>(args, &mut sums, row);
            row += 1;
        }
        for kh in 0..K {
            for kw in 0..K {
                *args.sums.get_unchecked_mut(kh * K + kw) += sums.taps[kh][kw].total();
            }
        }
        *args.bias += sums.bias.total();
    }
}

/// Adds the products of `R` rows.
///
/// # Safety
///
/// As [`plane_weights`]; the rows are those of the gradients.
#[inline(always)]
unsafe fn rows<V: Vector, const K: usize, const S: usize, const R: usize>(
    args: &PlaneWeights<'_, V::Elem>,
    sums: &mut Sums<V, K>,
    row: usize,
) {
    let plane = &args.plane;
    let registers = plane.out_w.div_ceil(V::LANES);
    let sources = Sources::new::<K, S, R>(plane, row);
    for register in 0..registers {
        // SAFETY: that of the caller; the columns are those of a register. All that is read around the
        // rows has been found within `x`. The last register begins where it still has all its lanes:
        // those that it shares with the one before are not summed again.
        unsafe {
            if 0 < register && register + 2 < registers {
                let columns = Columns { col: register * V::LANES, masks: [V::mask(0, 0); PARTS] };
                let all = V::mask(0, V::LANES);
                self::register::<V, K, S, R, INSIDE>(args, sums, row, &sources, &columns, all);
                continue;
            }
            let columns = Columns::<V>::new::<_, K, S>(plane, register);
            let kept = V::mask(register * V::LANES - columns.col, V::LANES);
            if sources.lie_around::<V, K, S>(plane, columns.col * S) {
                self::register::<V, K, S, R, AROUND>(args, sums, row, &sources, &columns, kept);
            } else {
                self::register::<V, K, S, R, MASKED>(args, sums, row, &sources, &columns, kept);
            }
        }
    }
}

/// Adds the products of a register of each of `R` rows.
///
/// # Safety
///
/// As [`rows`]; the sources are those of `row`, and the columns those of a register for which `READ` is
/// right.
#[inline(always)]
unsafe fn register<V: Vector, const K: usize, const S: usize, const R: usize, const READ: u8>(
    args: &PlaneWeights<'_, V::Elem>,
    sums: &mut Sums<V, K>,
    row: usize,
    sources: &Sources<V::Elem>,
    columns: &Columns<V>,
    kept: V::Mask,
) {
    // SAFETY: the caller guarantees the CPU. Of the gradients, `LANES` elements are read of each row from
    // `col` on, which lie within it, since a row has at least as many; of the sources, what the caller
    // has found readable.
    unsafe {
        let dy = args.dy.as_ptr().add(row * args.plane.out_w + columns.col);
        let mut gradients = [V::splat(V::Elem::default()); R];
        for r in 0..R {
            let dy = dy.add(r * args.plane.out_w);
            V::prefetch(dy.wrapping_add(AHEAD));
            let all = V::load(dy);
            gradients[r] = if READ == INSIDE { all } else { all.keep(kept) };
            sums.bias = sums.bias.add(gradients[r]);
        }
        for i in 0..(R - 1) * S + K {
            let x = sources.rows[i].wrapping_add(columns.col * S).wrapping_sub(args.plane.left);
            V::prefetch(x.wrapping_add(AHEAD));
            let pixels = load::<V, K, S, READ>(x, columns);
            for r in 0..R {
                if r * S <= i && i < r * S + K {
                    for kw in 0..K {
                        let sum = sums.taps[i - r * S][kw];
                        sums.taps[i - r * S][kw] = gradients[r].mul_add(pixels[kw], sum);
                    }
                }
            }
        }
    }
}
