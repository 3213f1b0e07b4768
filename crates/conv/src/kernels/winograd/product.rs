//! The sums of products at one point.

use super::super::vector::Vector;

/// Registers of tiles of one product.
pub(crate) const COLS: usize = 3;

/// The sums of products at one point: `(rows, channels) x (channels, cols * LANES)`.
pub(crate) struct Product<'a, T> {
    /// The transformed input: row `c` starts at `c * v_stride`.
    pub(crate) v: &'a [T],
    pub(crate) v_stride: usize,
    pub(crate) channels: usize,
    /// The transformed weights: those of `LANES` output channels of channel `c` start at
    /// `c * LANES`, those of the next `LANES` output channels `u_stride` later.
    pub(crate) u: &'a [T],
    pub(crate) u_stride: usize,
    /// The result: row `r` starts at `r * m_stride`. It has room for rows up to the next multiple of
    /// `LANES`, of which some may be written.
    pub(crate) m: &'a mut [T],
    pub(crate) m_stride: usize,
    /// Whether the sums are added to what stands in `m`, instead of overwriting it.
    pub(crate) accumulate: bool,
    /// Registers of tiles, 1 to [`COLS`].
    pub(crate) cols: usize,
    /// Output channels.
    pub(crate) rows: usize,
    /// What will be read next as `v`, and how many elements beyond `u` what will be read next of
    /// each block of weights; asked for meanwhile.
    pub(crate) next_v: &'a [T],
    pub(crate) next_u: usize,
}

impl<T> Product<'_, T> {
    /// Panics if it would reach beyond its slices.
    pub(crate) fn check(&self, lanes: usize) {
        let width = self.cols * lanes;
        assert!((1..=COLS).contains(&self.cols) && width <= self.m_stride);
        assert!(self.channels > 0 && self.rows > 0);
        let blocks = self.rows.div_ceil(lanes);
        assert!((blocks * lanes - 1) * self.m_stride + width <= self.m.len());
        assert!((self.channels - 1) * self.v_stride + width <= self.v.len());
        assert!((blocks - 1) * self.u_stride + self.channels * lanes <= self.u.len());
    }
}

/// # Safety
///
/// The CPU has the instruction set of `V`, [`Product::check`] has passed, `R` divides `LANES`, and
/// `C` is `cols`.
#[inline(always)]
pub(crate) unsafe fn product<V: Vector, const R: usize, const C: usize>(
    args: &mut Product<'_, V::Elem>,
) {
    // SAFETY: the caller guarantees the CPU. The last rows of `v`, of each block of `u` and of `m`
    // have been checked, and the others stand before them: rows beyond `args.rows` are those of the
    // last block, since `R` divides `LANES`.
    unsafe {
        let mut next = args.next_v.as_ptr();
        for row in (0..args.rows).step_by(R) {
            let mut u = args.u.as_ptr().add(row / V::LANES * args.u_stride + row % V::LANES);
            let mut v = args.v.as_ptr();
            let m = args.m.as_mut_ptr().add(row * args.m_stride);
            debug_assert!((row + R - 1) * args.m_stride + C * V::LANES <= args.m.len());
            let mut sums = [[V::splat(V::Elem::default()); C]; R];
            for _ in 0..args.channels {
                V::prefetch(u.wrapping_add(args.next_u));
                let mut tiles = [V::splat(V::Elem::default()); C];
                for c in 0..C {
                    tiles[c] = V::load(v.add(c * V::LANES));
                }
                for r in 0..R {
                    let weight = V::splat(*u.add(r));
                    for c in 0..C {
                        sums[r][c] = weight.mul_add(tiles[c], sums[r][c]);
                    }
                }
                V::prefetch(next);
                next = next.wrapping_add(V::LANES);
                v = v.wrapping_add(args.v_stride);
                u = u.wrapping_add(V::LANES);
            }
            for r in 0..R {
                for c in 0..C {
                    let m = m.add(r * args.m_stride + c * V::LANES);
                    let old =
                        if args.accumulate { V::load(m) } else { V::splat(V::Elem::default()) };
                    old.add(sums[r][c]).store(m);
                }
            }
        }
    }
}
