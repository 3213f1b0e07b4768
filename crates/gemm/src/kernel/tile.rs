//! The micro-kernel: one tile of C, its sums in registers.

use super::vector::Vector;

/// A tile of C, and the panels of A and B whose product it is.
pub(crate) struct Tile<'a, T> {
    /// A panel of A: for each of the `k` terms, an element for each row of the tile.
    pub(crate) a: &'a [T],
    /// A panel of B: for each of the `k` terms, an element for each column of a whole tile.
    pub(crate) b: &'a [T],
    /// How many terms are summed.
    pub(crate) k: usize,
    /// From the first element of the tile on.
    pub(crate) c: &'a mut [T],
    /// From a row of C to the next; its columns are contiguous.
    pub(crate) row_stride: usize,
    /// How many registers of columns are summed.
    pub(crate) vectors: usize,
    /// What the sums are added to.
    pub(crate) onto: Onto<'a, T>,
}

/// What the sums of a product are added to.
#[derive(Debug)]
pub(crate) enum Onto<'a, T> {
    /// Nothing: they overwrite C.
    Nothing,
    /// One number for each row; C is overwritten.
    Rows(&'a [T]),
    /// What C holds.
    C,
}

// Not derived: a derive would ask for `T: Copy`.
impl<T> Clone for Onto<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Onto<'_, T> {}

impl<T> Tile<'_, T> {
    /// Asserts that a tile of so many `rows` and registers of so many `lanes`, at most `vectors`,
    /// lies within the slices.
    pub(crate) fn check(&self, rows: usize, lanes: usize, vectors: usize) {
        let holds = |len: usize, width: usize| self.k <= len / width;
        assert!(holds(self.a.len(), rows), "A: {} terms of {rows}, {}", self.k, self.a.len());
        let width = vectors * lanes;
        assert!(holds(self.b.len(), width), "B: {} terms of {width}, {}", self.k, self.b.len());
        assert!((1..=vectors).contains(&self.vectors), "{} of {vectors}", self.vectors);
        if let Onto::Rows(numbers) = self.onto {
            assert!(numbers.len() >= rows, "{} numbers for {rows} rows", numbers.len());
        }
        let (stride, len) = (self.row_stride, self.c.len());
        let end = (rows - 1).checked_mul(stride).and_then(|c| c.checked_add(self.vectors * lanes));
        assert!(end.is_some_and(|end| end <= len), "C: {rows} rows by {stride} in {len}");
    }
}

/// Computes a tile of `R` rows and `N` registers; a panel of B is `W` registers wide.
///
/// # Safety
///
/// The CPU has the instruction set of `V`, and `tile.check(R, V::LANES, W)` has passed, with
/// `N == tile.vectors`.
#[inline(always)]
pub(super) unsafe fn tile<V: Vector, const R: usize, const N: usize, const W: usize>(
    tile: &mut Tile<'_, V::Elem>,
) {
    let (k, stride) = (tile.k, tile.row_stride);
    let (mut a, mut b, c) = (tile.a.as_ptr(), tile.b.as_ptr(), tile.c.as_mut_ptr());
    // SAFETY: the caller guarantees the instruction set. By the check, `a` has `k * R` elements and
    // `b` has `k * W * LANES`, of which term `i` reads `R` from `i * R` and `N <= W` registers from
    // `i * W * LANES`; both pointers end at most one past their slices. Row `r` of C reads and writes
    // `N * LANES` elements from `r * stride`, the last row ends within `c`, which is borrowed
    // mutably, so that neither `a` nor `b` overlaps
    // it. Of numbers for rows there are at least `R`.
    unsafe {
        for r in 0..R {
            for n in 0..N {
                V::prefetch(c.add(r * stride + n * V::LANES));
            }
        }
        let mut sums = [[V::splat(V::Elem::default()); N]; R];
        for _ in 0..k {
            let mut columns = [V::splat(V::Elem::default()); N];
            for n in 0..N {
                columns[n] = V::load(b.add(n * V::LANES));
            }
            for r in 0..R {
                let factor = V::splat(*a.add(r));
                for n in 0..N {
                    sums[r][n] = factor.mul_add(columns[n], sums[r][n]);
                }
            }
            a = a.add(R);
            b = b.add(W * V::LANES);
        }
        for r in 0..R {
            for n in 0..N {
                let p = c.add(r * stride + n * V::LANES);
                match tile.onto {
                    Onto::Nothing => sums[r][n].store(p),
                    Onto::Rows(numbers) => {
                        sums[r][n].add(V::splat(*numbers.as_ptr().add(r))).store(p);
                    }
                    Onto::C => sums[r][n].add(V::load(p)).store(p),
                }
            }
        }
    }
}
