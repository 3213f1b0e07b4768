//! Pools of 2x2 pixels, side by side: their sums, and what spreads a gradient over them.

use super::KernelSet;
use super::dense::table::HasDense;
use super::dispatch::fastest;
use super::vector::Vector;

/// Multiples of the sums of each 2x2 pixels.
#[derive(Debug)]
pub struct PairSums<'a, T> {
    /// The pixels, `(2 * rows, 2 * cols)`.
    pub x: &'a [T],
    /// Columns of the sums.
    pub cols: usize,
    /// What each sum is multiplied by.
    pub factor: T,
    /// The sums, `(rows, cols)`, overwritten.
    pub y: &'a mut [T],
}

/// The gradient of [`PairSums`]: each pixel is the same multiple of what stands for its 2x2 pixels.
#[derive(Debug)]
pub struct PairShares<'a, T> {
    /// The gradients by the sums, `(rows, cols)`.
    pub dy: &'a [T],
    /// Columns of the sums.
    pub cols: usize,
    /// What each gradient is multiplied by.
    pub factor: T,
    /// The gradients by the pixels, `(2 * rows, 2 * cols)`, overwritten.
    pub dx: &'a mut [T],
}

/// Panics unless these are the lengths of whole rows of sums and of their pixels.
fn check(large: usize, small: usize, cols: usize) {
    assert!(cols > 0 && small.is_multiple_of(cols), "whole rows");
    assert_eq!(large / 4, small, "2x2 pixels of each");
    assert!(large.is_multiple_of(4), "2x2 pixels of each");
}

impl<T: HasDense> PairSums<'_, T> {
    /// Computes the sums.
    ///
    /// # Panics
    ///
    /// If the lengths do not fit.
    pub fn run(self) {
        self.run_on(fastest());
    }

    fn run_on(mut self, set: KernelSet) {
        check(self.x.len(), self.y.len(), self.cols);
        let kernels = T::dense(set).expect("the set is one that the CPU has");
        // SAFETY: the slices have been checked, and a table exists only for a CPU that can run it.
        unsafe { (kernels.pair_sums)(&mut self) }
    }
}

impl<T: HasDense> PairShares<'_, T> {
    /// Computes the gradient.
    ///
    /// # Panics
    ///
    /// If the lengths do not fit.
    pub fn run(self) {
        self.run_on(fastest());
    }

    fn run_on(mut self, set: KernelSet) {
        check(self.dx.len(), self.dy.len(), self.cols);
        let kernels = T::dense(set).expect("the set is one that the CPU has");
        // SAFETY: the slices have been checked, and a table exists only for a CPU that can run it.
        unsafe { (kernels.pair_shares)(&mut self) }
    }
}

/// # Safety
///
/// The CPU has the instruction set of `V`, and the arguments have been checked.
#[inline(always)]
pub(super) unsafe fn pair_sums<V: Vector>(args: &mut PairSums<'_, V::Elem>) {
    let cols = args.cols;
    // SAFETY: the caller guarantees the CPU. Of a row of sums, `count` stand from `col` on; their
    // pixels are `2 * count` of two rows, and where more are read, they lie within `x` too.
    unsafe {
        let factor = V::splat(args.factor);
        for row in 0..args.y.len() / cols {
            for col in (0..cols).step_by(V::LANES) {
                let count = V::LANES.min(cols - col);
                let first = 4 * row * cols + 2 * col;
                debug_assert!(first + 2 * cols + 2 * count <= args.x.len());
                let x = args.x.as_ptr().add(first);
                let below = x.wrapping_add(2 * cols);
                let [near, far] = if first + 2 * cols + 2 * V::LANES <= args.x.len() {
                    let far = V::load(x.add(V::LANES)).add(V::load(below.add(V::LANES)));
                    [V::load(x).add(V::load(below)), far]
                } else {
                    let near = V::LANES.min(2 * count);
                    let rest = 2 * count - near;
                    let sum = |at: usize, count| {
                        let above = V::load_first(x.wrapping_add(at), count);
                        above.add(V::load_first(below.wrapping_add(at), count))
                    };
                    [sum(0, near), sum(near, rest)]
                };
                let [even, odd] = near.unzip(far);
                let y = args.y.as_mut_ptr().add(row * cols + col);
                even.add(odd).mul(factor).store_first(y, count);
            }
        }
    }
}

/// # Safety
///
/// As [`pair_sums`].
#[inline(always)]
pub(super) unsafe fn pair_shares<V: Vector>(args: &mut PairShares<'_, V::Elem>) {
    let cols = args.cols;
    let rows = args.dy.len() / cols;
    // SAFETY: the caller guarantees the CPU. Of a row of gradients, `count` stand from `col` on; their
    // pixels are `2 * count` of two rows. Where more are written, they lie within `dx`, behind those
    // pixels: they get their own values later.
    unsafe {
        let factor = V::splat(args.factor);
        for row in 0..2 * rows {
            for col in (0..cols).step_by(V::LANES) {
                let count = V::LANES.min(cols - col);
                let dy = args.dy.as_ptr().add(row / 2 * cols + col);
                let share = V::load_first(dy, count).mul(factor);
                let first = 2 * (row * cols + col);
                debug_assert!(first + 2 * count <= args.dx.len());
                let dx = args.dx.as_mut_ptr().add(first);
                if first + 2 * V::LANES <= args.dx.len() {
                    V::store_by_2([share, share], dx);
                    continue;
                }
                let mut last = [V::Elem::default(); 32];
                V::store_by_2([share, share], last.as_mut_ptr());
                dx.copy_from_nonoverlapping(last.as_ptr(), 2 * count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Small whole numbers: sums of them are exact in any order.
    fn numbers(len: usize) -> Vec<f32> {
        (0..len).map(|i| (i * 37 % 23) as f32 - 11.0).collect()
    }

    const SIZES: [(usize, usize); 8] =
        [(1, 1), (3, 1), (5, 5), (14, 14), (2, 16), (7, 17), (3, 40), (1, 100)];

    #[test]
    fn every_set_sums_each_four_pixels() {
        for set in KernelSet::available() {
            for (rows, cols) in SIZES {
                let x = numbers(4 * rows * cols);
                let mut y = vec![f32::NAN; rows * cols];
                PairSums { x: &x, cols, factor: 0.25, y: &mut y }.run_on(set);
                for (i, y) in y.iter().enumerate() {
                    let first = i / cols * 4 * cols + i % cols * 2;
                    let pixel = |row: usize, col: usize| x[first + row * 2 * cols + col];
                    let sum = pixel(0, 0) + pixel(0, 1) + pixel(1, 0) + pixel(1, 1);
                    assert_eq!(*y, 0.25 * sum, "{set}, {rows} x {cols}, {i}");
                }
            }
        }
    }

    #[test]
    fn every_set_spreads_each_gradient_over_four_pixels() {
        for set in KernelSet::available() {
            for (rows, cols) in SIZES {
                let dy = numbers(rows * cols);
                let mut dx = vec![f32::NAN; 4 * rows * cols];
                PairShares { dy: &dy, cols, factor: 0.5, dx: &mut dx }.run_on(set);
                for (i, dx) in dx.iter().enumerate() {
                    let of = i / (4 * cols) * cols + i % (2 * cols) / 2;
                    assert_eq!(*dx, 0.5 * dy[of], "{set}, {rows} x {cols}, {i}");
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "2x2 pixels of each")]
    fn pixels_that_are_not_there_are_not_read() {
        PairSums { x: &[0.0_f32; 4], cols: 1, factor: 1.0, y: &mut [0.0; 2] }.run();
    }
}
