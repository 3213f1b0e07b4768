//! The maximum of each square of two by two pixels.

use tensor4::Scalar;

use super::vector::Vector;

/// Some planes, and what they are pooled into.
pub(crate) struct Pool<'a, T> {
    /// Rows of `in_w` pixels, `2 * out_h` of them of each plane.
    pub(crate) x: &'a [T],
    /// Elements from one plane to the next.
    pub(crate) x_stride: usize,
    pub(crate) in_w: usize,
    pub(crate) planes: usize,
    pub(crate) out_h: usize,
    pub(crate) out_w: usize,
    /// The maxima, overwritten: rows of `out_w`, `out_h` of them of each plane.
    pub(crate) y: &'a mut [T],
    /// Which of its four pixels each maximum is, row by row; as long as `y`, or empty if that is not asked
    /// for.
    pub(crate) argmax: &'a mut [u8],
    /// Elements from one plane of both to the next.
    pub(crate) y_stride: usize,
}

impl<T> Pool<'_, T> {
    /// Panics if it would reach beyond its slices.
    pub(crate) fn check(&self) {
        assert!(self.planes > 0 && self.out_h > 0 && self.out_w > 0);
        assert!(2 * self.out_w <= self.in_w);
        let rows = (2 * self.out_h - 1) * self.in_w + 2 * self.out_w;
        assert!((self.planes - 1) * self.x_stride + rows <= self.x.len());
        let pixels = self.out_h * self.out_w;
        assert!((self.planes - 1) * self.y_stride + pixels <= self.y.len());
        assert!(self.argmax.is_empty() || self.argmax.len() == self.y.len());
    }
}

/// The greatest of each four, whose upper row is `[a, b]` with the even columns of `a` and `b` first,
/// and which it is, if `TAGS`.
///
/// # Safety
///
/// The CPU has the instruction set of `V`.
#[inline(always)]
pub(super) unsafe fn greatest<V: Vector, const TAGS: bool>(
    [a, b]: [V; 2],
    [c, d]: [V; 2],
) -> [V; 2] {
    // Within the rows first: of equal values in different columns the upper shall win, wherever it
    // stands in its row.
    // SAFETY: that of the caller.
    unsafe {
        let mut tags = [a, b, c, d];
        if TAGS {
            for i in 0..4 {
                tags[i] = V::splat(V::Elem::from_usize(i));
            }
        }
        let upper = V::first_max([a, tags[0]], [b, tags[1]]);
        let lower = V::first_max([c, tags[2]], [d, tags[3]]);
        V::first_max(upper, lower)
    }
}

/// # Safety
///
/// The CPU has the instruction set of `V`, [`Pool::check`] has passed, and `TAGS` says whether `argmax`
/// is asked for.
#[inline(always)]
pub(crate) unsafe fn pool<V: Vector, const TAGS: bool>(args: &mut Pool<'_, V::Elem>) {
    // SAFETY: the caller guarantees the CPU. Of each row of `x` the elements `2 * col..2 * (col + count)`
    // are read, of each row of `y` and `argmax` `col..col + count` are written, and `col + count <=
    // out_w`; the rows have been checked.
    unsafe {
        for plane in 0..args.planes {
            let x = args.x.as_ptr().add(plane * args.x_stride);
            for row in 0..args.out_h {
                let x = x.add(2 * row * args.in_w);
                let at = plane * args.y_stride + row * args.out_w;
                for register in 0..args.out_w.div_ceil(V::LANES) {
                    // The last register begins where it still has all its lanes, if the row fills one.
                    let col = (register * V::LANES).min(args.out_w.saturating_sub(V::LANES));
                    let count = V::LANES.min(args.out_w - col);
                    let (upper, lower) = (x.add(2 * col), x.add(2 * col + args.in_w));
                    let y = args.y.as_mut_ptr().add(at + col);
                    let argmax = args.argmax.as_mut_ptr().wrapping_add(at + col);
                    if count == V::LANES {
                        let max = greatest::<V, TAGS>(V::load_by_2(upper), V::load_by_2(lower));
                        max[0].store(y);
                        if TAGS {
                            max[1].store_bytes(argmax, V::LANES);
                        }
                        continue;
                    }
                    let (near, far) =
                        ((2 * count).min(V::LANES), (2 * count).saturating_sub(V::LANES));
                    let upper = V::load_first(upper, near)
                        .unzip(V::load_first(upper.wrapping_add(V::LANES), far));
                    let lower = V::load_first(lower, near)
                        .unzip(V::load_first(lower.wrapping_add(V::LANES), far));
                    let max = greatest::<V, TAGS>(upper, lower);
                    max[0].store_first(y, count);
                    if TAGS {
                        max[1].store_bytes(argmax, count);
                    }
                }
            }
        }
    }
}
