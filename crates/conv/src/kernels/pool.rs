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

impl<T> super::Kernels<T> {
    /// Takes the maximum of each square of two by two pixels; overwrites the output.
    ///
    /// # Panics
    ///
    /// If it reaches beyond its slices.
    pub(crate) fn pool(&self, mut args: Pool<'_, T>) {
        args.check();
        // SAFETY: the slices have been checked, and a table exists only for a CPU that can run it.
        unsafe { (self.pool)(&mut args) }
    }
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
    let (in_w, out_w, out_h) = (args.in_w, args.out_w, args.out_h);
    // Elements that the last register of a row reads and writes from the beginning of the row on.
    let beyond = out_w.max(V::LANES);
    for plane in 0..args.planes {
        let (x, y) = (plane * args.x_stride, plane * args.y_stride);
        for row in 0..out_h {
            let (x, y) = (x + 2 * row * in_w, y + row * out_w);
            // What a register has beyond its row falls on rows of the plane that are written later.
            let whole =
                row * out_w + beyond <= out_h * out_w && x + in_w + 2 * beyond <= args.x.len();
            // SAFETY: the caller guarantees the CPU. The rows have been checked, and so has what is
            // beyond them where registers are whole.
            unsafe {
                let x = args.x.as_ptr().add(x);
                let to = (args.y.as_mut_ptr().add(y), args.argmax.as_mut_ptr().wrapping_add(y));
                match whole {
                    true => pool_row::<V, TAGS, true>(x, in_w, to, out_w),
                    false => pool_row::<V, TAGS, false>(x, in_w, to, out_w),
                }
            }
        }
    }
}

/// Pools the row at `x` and that after `in_w` elements into the rows at `y` and `argmax`, of `out_w`.
///
/// # Safety
///
/// The CPU has the instruction set of `V`. `2 * out_w` elements of the rows can be read and `out_w`
/// written, or if `WHOLE` those of at least one register.
#[inline(always)]
unsafe fn pool_row<V: Vector, const TAGS: bool, const WHOLE: bool>(
    x: *const V::Elem,
    in_w: usize,
    (y, argmax): (*mut V::Elem, *mut u8),
    out_w: usize,
) {
    let mut col = 0;
    while col < out_w {
        // The last register begins where it still has all its lanes, if the row fills one.
        let at = col.min(out_w.saturating_sub(V::LANES));
        col += V::LANES;
        // SAFETY: the caller guarantees the CPU. From `at` on there are `count` elements of the output,
        // and twice as many of the input.
        unsafe {
            let upper = x.add(2 * at);
            if WHOLE {
                let max = V::greatest::<TAGS>(upper, upper.add(in_w));
                max[0].store(y.add(at));
                if TAGS {
                    max[1].store_bytes(argmax.add(at), V::LANES);
                }
            } else {
                let count = V::LANES.min(out_w - at);
                let lower = first_by_2::<V>(upper.add(in_w), 2 * count);
                let max = greatest::<V, TAGS>(first_by_2::<V>(upper, 2 * count), lower);
                max[0].store_first(y.add(at), count);
                if TAGS {
                    max[1].store_bytes(argmax.add(at), count);
                }
            }
        }
    }
}

/// As `V::load_by_2`, of which the first `count` elements are there.
///
/// # Safety
///
/// The CPU has the instruction set of `V`, and the elements can be read.
#[inline(always)]
unsafe fn first_by_2<V: Vector>(p: *const V::Elem, count: usize) -> [V; 2] {
    let near = count.min(V::LANES);
    // SAFETY: that of the caller.
    unsafe { V::load_first(p, near).unzip(V::load_first(p.wrapping_add(near), count - near)) }
}
