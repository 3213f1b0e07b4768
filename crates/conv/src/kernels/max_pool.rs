//! A row of maxima under windows of any size.

use tensor4::Scalar;

use super::KernelSet;
use super::dense::table::HasDense;
use super::dispatch::fastest;
use super::vector::Vector;

/// A row of maxima under windows that have all their columns within a plane.
///
/// Of equal values the first wins, NaN wins over everything, and of several NaNs the first.
#[derive(Debug)]
pub struct MaxRow<'a, T> {
    /// The plane from the first pixel of the first window on.
    pub x: &'a [T],
    /// Elements from one row of a window to the next.
    pub row_stride: usize,
    /// Elements from one window to the next.
    pub stride: usize,
    /// Elements from one column of a window to the next.
    pub dilation: usize,
    /// Rows and columns of a window, at most [`MAX_TAPS`](Self::MAX_TAPS) pixels.
    pub kernel: [usize; 2],
    /// The maxima, overwritten.
    pub y: &'a mut [T],
    /// Which pixel of its window each is, counted row by row; overwritten.
    pub taps: &'a mut [u8],
}

impl<T> MaxRow<'_, T> {
    /// The most pixels of a window.
    pub const MAX_TAPS: usize = 128;
}

impl<T: HasDense> MaxRow<'_, T> {
    /// Computes the row.
    ///
    /// # Panics
    ///
    /// If windows are empty or too large, or reach beyond `x`; if `y` and `taps` differ in length.
    pub fn run(self) {
        self.run_on(fastest());
    }

    fn run_on(mut self, set: KernelSet) {
        if self.y.is_empty() {
            return;
        }
        let [rows, cols] = self.kernel;
        assert!(rows > 0 && cols > 0 && rows * cols <= Self::MAX_TAPS);
        assert_eq!(self.y.len(), self.taps.len());
        assert!(self.reach() + (self.y.len() - 1) * self.stride < self.x.len());
        let kernels = T::dense(set).expect("the set is one that the CPU has");
        // SAFETY: the slices have been checked, and a table exists only for a CPU that can run it.
        unsafe { (kernels.max_row)(&mut self) }
    }

    /// From the first pixel of a window to the last.
    fn reach(&self) -> usize {
        let [rows, cols] = self.kernel;
        (rows - 1) * self.row_stride + (cols - 1) * self.dilation
    }
}

/// # Safety
///
/// The CPU has the instruction set of `V`, and the arguments have been checked.
#[inline(always)]
pub(super) unsafe fn max_row<V: Vector>(args: &mut MaxRow<'_, V::Elem>) {
    // SAFETY: that of the caller.
    unsafe {
        match args.stride {
            1 => strips::<V, 1>(args),
            2 => strips::<V, 2>(args),
            _ => strips::<V, 0>(args),
        }
    }
}

/// # Safety
///
/// As [`max_row`]; `S` is the stride, or 0 for any.
#[inline(always)]
unsafe fn strips<V: Vector, const S: usize>(args: &mut MaxRow<'_, V::Elem>) {
    let [rows, cols] = args.kernel;
    let reach = (rows - 1) * args.row_stride + (cols - 1) * args.dilation;
    let mut start = 0;
    while start < args.y.len() {
        let count = V::LANES.min(args.y.len() - start);
        let first = start * args.stride;
        debug_assert!(first + reach + (count - 1) * args.stride < args.x.len());
        // Twice as many as lanes can be read of every tap, whatever the stride.
        let whole = first + reach + 2 * V::LANES <= args.x.len();
        let mut best = None;
        for row in 0..rows {
            for col in 0..cols {
                let at = first + row * args.row_stride + col * args.dilation;
                // SAFETY: the windows of `count` outputs from `start` on lie within `x`, and twice
                // the lanes if they are `whole`.
                unsafe {
                    let x = args.x.as_ptr().add(at);
                    let x = match S {
                        1 if whole => V::load(x),
                        1 => V::load_first(x, count),
                        2 if whole => V::load_by_2(x)[0],
                        2 => {
                            let len = 2 * count - 1;
                            let near = len.min(V::LANES);
                            let far = V::load_first(x.wrapping_add(near), len - near);
                            V::load_first(x, near).unzip(far)[0]
                        }
                        _ => {
                            let mut lanes = [V::Elem::default(); 16];
                            for i in 0..count {
                                lanes[i] = *x.add(i * args.stride);
                            }
                            V::load(lanes.as_ptr())
                        }
                    };
                    let x = [x, V::splat(V::Elem::from_usize(row * cols + col))];
                    best = Some(match best {
                        None => x,
                        Some(best) => V::first_max(best, x),
                    });
                }
            }
        }
        if let Some([max, tap]) = best {
            // SAFETY: there are `count` outputs from `start` on.
            unsafe {
                max.store_first(args.y.as_mut_ptr().add(start), count);
                tap.store_bytes(args.taps.as_mut_ptr().add(start), count);
            }
        }
        start += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_finds_the_first_maximum() {
        let mut x: Vec<f32> = (0..400).map(|i| ((i * 37) % 11) as f32).collect();
        (x[45], x[46], x[130], x[7]) = (f32::NAN, f32::NAN, f32::INFINITY, f32::NEG_INFINITY);
        for set in KernelSet::available() {
            for (stride, dilation, kernel, len) in [
                (1, 1, [3, 3], 18),
                (2, 1, [3, 3], 9),
                (2, 1, [2, 2], 10),
                (3, 1, [2, 3], 6),
                (2, 2, [1, 5], 6),
                (1, 1, [5, 1], 20),
                (2, 1, [3, 3], 1),
                (2, 1, [2, 2], 90),
            ] {
                let (mut y, mut taps) = (vec![0.0; len], vec![0; len]);
                let args = MaxRow {
                    x: &x,
                    row_stride: 20,
                    stride,
                    dilation,
                    kernel,
                    y: &mut y,
                    taps: &mut taps,
                };
                args.run_on(set);
                for (o, (&y, &tap)) in y.iter().zip(&taps).enumerate() {
                    let mut best = (f32::NEG_INFINITY, 0);
                    for t in 0..kernel[0] * kernel[1] {
                        let x = x[o * stride + t / kernel[1] * 20 + t % kernel[1] * dilation];
                        if x > best.0 || (x.is_nan() && !best.0.is_nan()) {
                            best = (x, t);
                        }
                    }
                    assert_eq!(
                        (y.to_bits(), usize::from(tap)),
                        (best.0.to_bits(), best.1),
                        "{set}"
                    );
                }
            }
        }
    }
}
