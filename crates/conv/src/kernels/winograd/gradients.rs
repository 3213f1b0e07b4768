//! The transforms of the gradient by the weights, with output channels in the lanes.
//!
//! The adjoint of the algorithm: what it sums over channels forward is summed over tiles here,
//!
//! ```text
//! dg = G^T [ sum over tiles of (B^T d B) * (A dY A^T) ] G
//! ```

use super::super::Kernels;
use super::super::vector::Vector;
use super::{Form, Points, Segment};

impl<T> Kernels<T> {
    /// Transforms gradients by outputs for Winograd's algorithm.
    ///
    /// # Panics
    ///
    /// If it reaches beyond its slices; so does the one below.
    pub(crate) fn winograd_output_grad(&self, mut args: OutputGrad<'_, T>) {
        args.check(self.lanes);
        // SAFETY: the slices have been checked, and a table exists only for a CPU that can run it.
        unsafe { (self.winograd[args.form.index()].output_grad)(&mut args) }
    }

    /// Transforms sums of Winograd's algorithm into gradients by the weights.
    pub(crate) fn winograd_filter_grad(&self, mut args: FilterGrad<'_, T>) {
        args.check(self.lanes);
        // SAFETY: as above.
        unsafe { (self.winograd[args.form.index()].filter_grad)(&mut args) }
    }
}

/// `A dY A^T` of some tiles of an image.
pub(crate) struct OutputGrad<'a, T> {
    pub(crate) form: Form,
    /// The gradients, `(rows, out_w, vectors * LANES)`, as [`Panel`](crate::kernels::Panel) leaves
    /// them. Those of other rows are 0.
    pub(crate) dy: &'a [T],
    pub(crate) first_row: usize,
    pub(crate) rows: usize,
    pub(crate) out_w: usize,
    /// Rows and columns from one pixel of a phase to the next.
    pub(crate) dilation: [usize; 2],
    /// The tiles; the first row of each lies in `dy` or behind it.
    pub(crate) segments: &'a [Segment],
    /// Registers of output channels.
    pub(crate) vectors: usize,
    /// Where the transforms go: point `p` of tile `t` to `p * point_stride + t * vectors * LANES`.
    pub(crate) to: &'a mut [T],
    pub(crate) point_stride: usize,
    /// The sums of all pixels, `vectors * LANES` elements, added to; empty where they are not asked
    /// for.
    pub(crate) sums: &'a mut [T],
}

impl<T> OutputGrad<'_, T> {
    /// Panics if it would reach beyond its slices.
    pub(crate) fn check(&self, lanes: usize) {
        let width = self.vectors * lanes;
        assert!(self.dy.len() >= self.rows * self.out_w * width);
        let row = |s: &Segment| s.phase[0] + self.dilation[0] * s.top;
        assert!(self.segments.iter().all(|s| row(s) >= self.first_row));
        let tiles: usize = self.segments.iter().map(|s| s.tiles).sum();
        assert!(self.to.len() >= (self.form.points() - 1) * self.point_stride + tiles * width);
        assert!(self.sums.is_empty() || self.sums.len() >= width);
    }
}

/// # Safety
///
/// The CPU has the instruction set of `V`, [`OutputGrad::check`] has passed, and `F` with tiles of
/// `OUT` pixels is `form`.
#[inline(always)]
pub(crate) unsafe fn output_grad<V: Vector, F: Points<IN>, const OUT: usize, const IN: usize>(
    args: &mut OutputGrad<'_, V::Elem>,
) {
    let width = args.vectors * V::LANES;
    let [down, along] = args.dilation;
    let mut to = args.to.as_mut_ptr();
    // SAFETY: the caller guarantees the CPU. Of `dy`, pixels are read whose row is below `rows` and
    // whose column is below `out_w`; of `to`, whose last tile has been checked, a register of each
    // tile and point is written.
    unsafe {
        for s in args.segments {
            let row = s.phase[0] + down * s.top - args.first_row;
            let height = args.rows.saturating_sub(row).div_ceil(down).min(OUT);
            for tile in 0..s.tiles {
                let col = s.phase[1] + along * (s.left + OUT * tile);
                let columns = args.out_w.saturating_sub(col).div_ceil(along).min(OUT);
                let strides = [down * args.out_w * width, along * width];
                let from = args.dy.as_ptr().wrapping_add((row * args.out_w + col) * width);
                for v in (0..width).step_by(V::LANES) {
                    let from = from.wrapping_add(v);
                    let sums = args.sums.get_mut(v..);
                    // All pixels of most tiles exist, which the compiler then knows.
                    let y = if height == OUT && columns == OUT {
                        pixels::<V, OUT>(from, strides, [OUT, OUT])
                    } else {
                        pixels::<V, OUT>(from, strides, [height, columns])
                    };
                    if let Some(sums) = sums.filter(|sums| !sums.is_empty()) {
                        let sums = sums.as_mut_ptr();
                        let total = y.iter().flatten().fold(V::load(sums), |sum, y| sum.add(*y));
                        total.store(sums);
                    }
                    spread::<V, F, OUT, IN>(y, to.wrapping_add(v), args.point_stride);
                }
                to = to.wrapping_add(width);
            }
        }
    }
}

/// The pixels of a tile of which so many rows and columns exist; the others are 0.
///
/// # Safety
///
/// The CPU has the instruction set of `V`, and the pixels can be read.
#[inline(always)]
unsafe fn pixels<V: Vector, const OUT: usize>(
    from: *const V::Elem,
    strides: [usize; 2],
    [height, columns]: [usize; 2],
) -> [[V; OUT]; OUT] {
    // SAFETY: that of the caller.
    unsafe {
        let mut y = [[V::splat(V::Elem::default()); OUT]; OUT];
        for r in 0..OUT {
            for c in 0..OUT {
                if r < height && c < columns {
                    y[r][c] = V::load(from.wrapping_add(r * strides[0] + c * strides[1]));
                }
            }
        }
        y
    }
}

/// Writes the transform of a tile, points `stride` apart.
///
/// # Safety
///
/// The CPU has the instruction set of `V`, and a register of each point can be written.
#[inline(always)]
unsafe fn spread<V: Vector, F: Points<IN>, const OUT: usize, const IN: usize>(
    y: [[V; OUT]; OUT],
    to: *mut V::Elem,
    stride: usize,
) {
    // SAFETY: that of the caller.
    unsafe {
        let mut half = [[y[0][0]; OUT]; IN];
        for c in 0..OUT {
            let mut column = [y[0][0]; OUT];
            for r in 0..OUT {
                column[r] = y[r][c];
            }
            let t = F::output_grad(column);
            for r in 0..IN {
                half[r][c] = t[r];
            }
        }
        for r in 0..IN {
            let t = F::output_grad(half[r]);
            for c in 0..IN {
                t[c].store(to.wrapping_add((r * IN + c) * stride));
            }
        }
    }
}

/// `G^T u G` of some channels.
pub(crate) struct FilterGrad<'a, T> {
    pub(crate) form: Form,
    /// The sums of the points: those of point `p` and channel `c` start at
    /// `p * point_stride + c * vectors * LANES`.
    pub(crate) u: &'a [T],
    pub(crate) point_stride: usize,
    pub(crate) channels: usize,
    /// Registers of output channels.
    pub(crate) vectors: usize,
    /// The gradients: tap `t` of channel `c` starts at `(c * taps + t) * sums_stride`.
    pub(crate) sums: &'a mut [T],
    pub(crate) sums_stride: usize,
    /// Whether they are added to, not overwritten.
    pub(crate) accumulate: bool,
}

impl<T> FilterGrad<'_, T> {
    /// Panics if it would reach beyond its slices.
    pub(crate) fn check(&self, lanes: usize) {
        assert!(self.channels > 0);
        let width = self.vectors * lanes;
        let last = (self.form.points() - 1) * self.point_stride;
        assert!(last + self.channels * width <= self.u.len());
        let taps = self.channels * self.form.taps() * self.form.taps();
        assert!((taps - 1) * self.sums_stride + width <= self.sums.len());
    }
}

/// # Safety
///
/// The CPU has the instruction set of `V`, [`FilterGrad::check`] has passed, and `F` with `R` taps is
/// `form`.
#[inline(always)]
pub(crate) unsafe fn filter_grad<V: Vector, F: Points<IN>, const R: usize, const IN: usize>(
    args: &mut FilterGrad<'_, V::Elem>,
) {
    let width = args.vectors * V::LANES;
    // SAFETY: the caller guarantees the CPU; the last channel of both slices has been checked.
    unsafe {
        for channel in 0..args.channels {
            for v in (0..width).step_by(V::LANES) {
                let u = args.u.as_ptr().add(channel * width + v);
                let mut half = [[V::splat(V::Elem::default()); IN]; R];
                for c in 0..IN {
                    let mut column = [half[0][0]; IN];
                    for r in 0..IN {
                        column[r] = V::load(u.add((r * IN + c) * args.point_stride));
                    }
                    let t = F::filter_grad::<V, R>(column);
                    for r in 0..R {
                        half[r][c] = t[r];
                    }
                }
                let sums = args.sums.as_mut_ptr().add(channel * R * R * args.sums_stride + v);
                for r in 0..R {
                    let t = F::filter_grad::<V, R>(half[r]);
                    for c in 0..R {
                        let to = sums.add((r * R + c) * args.sums_stride);
                        // What the tiles before have come to.
                        let sum = if args.accumulate { V::load(to).add(t[c]) } else { t[c] };
                        sum.store(to);
                    }
                }
            }
        }
    }
}
