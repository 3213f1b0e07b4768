//! Gradients behind a ReLU, and behind a ReLU and a pool.

use tensor4::Scalar;

use super::Kernels;
use super::vector::Vector;

impl<T> Kernels<T> {
    /// Takes the gradients by the outputs of a ReLU to those by its inputs; overwrites them.
    ///
    /// # Panics
    ///
    /// If it reaches beyond its slices; so does the one below.
    pub(crate) fn relu_grad(&self, mut args: ReluGrad<'_, T>) {
        args.check();
        // SAFETY: the slices have been checked, and a table exists only for a CPU that can run it.
        unsafe { (self.relu_grad)(&mut args) }
    }

    /// Takes the gradients by the outputs of a ReLU and a pool to those by its inputs; overwrites them.
    pub(crate) fn unpool(&self, mut args: Unpool<'_, T>) {
        args.check();
        // SAFETY: as above.
        unsafe { (self.unpool)(&mut args) }
    }
}

/// Gradients by the outputs of a ReLU.
pub(crate) struct ReluGrad<'a, T> {
    pub(crate) dy: &'a [T],
    /// What the ReLU has put out, as long as `dy`.
    pub(crate) y: &'a [T],
    /// Those by its inputs, as long as `dy`.
    pub(crate) to: &'a mut [T],
}

impl<T> ReluGrad<'_, T> {
    /// Panics if it would reach beyond its slices.
    pub(crate) fn check(&self) {
        assert!(self.y.len() == self.dy.len() && self.to.len() == self.dy.len());
    }
}

/// # Safety
///
/// The CPU has the instruction set of `V`, and [`ReluGrad::check`] has passed.
#[inline(always)]
pub(crate) unsafe fn relu_grad<V: Vector>(args: &mut ReluGrad<'_, V::Elem>) {
    let len = args.dy.len();
    let whole = len - len % V::LANES;
    // SAFETY: the caller guarantees the CPU; all three have `len` elements.
    unsafe {
        let (dy, y, to) = (args.dy.as_ptr(), args.y.as_ptr(), args.to.as_mut_ptr());
        for i in (0..whole).step_by(V::LANES) {
            V::load(dy.add(i)).where_active(V::load(y.add(i))).store(to.add(i));
        }
        let rest = len - whole;
        let y = V::load_first(y.add(whole), rest);
        V::load_first(dy.add(whole), rest).where_active(y).store_first(to.add(whole), rest);
    }
}

/// Gradients by the maxima of the squares of two by two pixels of some planes, one after the other.
pub(crate) struct Unpool<'a, T> {
    /// The gradients, rows of `out_w`, `out_h` of them of each plane.
    pub(crate) dy: &'a [T],
    /// The maxima of what a ReLU has put out, and which of its four pixels each is, row by row; as long
    /// as `dy`.
    pub(crate) y: &'a [T],
    pub(crate) argmax: &'a [u8],
    pub(crate) out_h: usize,
    pub(crate) out_w: usize,
    /// Those by the inputs of the ReLU: rows of `in_w`, `in_h` of them of each plane.
    pub(crate) to: &'a mut [T],
    pub(crate) in_h: usize,
    pub(crate) in_w: usize,
}

impl<T> Unpool<'_, T> {
    /// Panics if it would reach beyond its slices.
    pub(crate) fn check(&self) {
        assert!(self.out_h > 0 && self.out_w > 0);
        assert!(2 * self.out_h <= self.in_h && 2 * self.out_w <= self.in_w);
        let planes = self.to.len() / (self.in_h * self.in_w);
        assert!(planes * self.in_h * self.in_w == self.to.len());
        assert!(planes * self.out_h * self.out_w == self.dy.len());
        assert!(self.y.len() == self.dy.len() && self.argmax.len() == self.dy.len());
    }
}

/// # Safety
///
/// The CPU has the instruction set of `V`, and [`Unpool::check`] has passed.
#[inline(always)]
pub(crate) unsafe fn unpool<V: Vector>(args: &mut Unpool<'_, V::Elem>) {
    let (in_h, in_w, out_h, out_w) = (args.in_h, args.in_w, args.out_h, args.out_w);
    let len = args.to.len();
    for plane in 0..len / (in_h * in_w) {
        let to = &mut args.to[plane * in_h * in_w..][..in_h * in_w];
        to[2 * out_h * in_w..].fill(V::Elem::default());
        if in_w > 2 * out_w {
            for to in to.chunks_exact_mut(in_w) {
                to[2 * out_w..].fill(V::Elem::default());
            }
        }
        for row in 0..out_h {
            let (first, top) = ((plane * out_h + row) * out_w, (plane * in_h + 2 * row) * in_w);
            debug_assert!(first + out_w <= args.dy.len() && top + 2 * in_w <= len);
            let mut col = 0;
            while col < out_w {
                // The last register begins where it still has all its lanes, if the row fills one.
                let at = col.min(out_w.saturating_sub(V::LANES));
                col += V::LANES;
                // SAFETY: the caller guarantees the CPU. From `first + at` on there are at least `count`
                // elements of all that is read, and from `2 * at` on twice as many in both rows of `to`.
                unsafe {
                    let count = V::LANES.min(out_w - at);
                    let read = first + at;
                    let dy = V::load_first(args.dy.as_ptr().add(read), count);
                    let dy = dy.where_active(V::load_first(args.y.as_ptr().add(read), count));
                    let tags = V::load_bytes(args.argmax.as_ptr().add(read), count);
                    let place = |tag| dy.where_equal(tags, V::splat(V::Elem::from_usize(tag)));
                    for (half, to) in [top, top + in_w].map(|row| row + 2 * at).iter().enumerate() {
                        let pairs = [place(2 * half), place(2 * half + 1)];
                        // Lanes beyond the row are 0, and fall on what is 0 or written later.
                        let count = if to + 2 * V::LANES <= len { V::LANES } else { count };
                        store_pairs(pairs, args.to.as_mut_ptr().add(*to), count);
                    }
                }
            }
        }
    }
}

/// As `V::store_by_2`, of the first `count` lanes.
///
/// # Safety
///
/// The CPU has the instruction set of `V`, and `2 * count` elements can be written.
#[inline(always)]
unsafe fn store_pairs<V: Vector>(vectors: [V; 2], p: *mut V::Elem, count: usize) {
    // SAFETY: that of the caller; the array has room for two registers.
    unsafe {
        if count == V::LANES {
            return V::store_by_2(vectors, p);
        }
        let mut pairs = [V::Elem::default(); 32];
        V::store_by_2(vectors, pairs.as_mut_ptr());
        p.copy_from_nonoverlapping(pairs.as_ptr(), 2 * count);
    }
}
