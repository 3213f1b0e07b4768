//! Strided matrices of small whole numbers, whose products are exact in `f32` in whatever order
//! they are summed: results can be compared without a tolerance.

#![allow(dead_code)] // Each test file uses a part.

use gemm::{GemmError, GemmScalar, MatMut, MatRef};
use proptest::prelude::*;

/// A float of either type.
pub(crate) trait Real: GemmScalar + From<f32> {
    /// The bits, to tell results apart that compare equal.
    fn bits(self) -> u64;
}

impl Real for f32 {
    fn bits(self) -> u64 {
        u64::from(self.to_bits())
    }
}

impl Real for f64 {
    fn bits(self) -> u64 {
        self.to_bits()
    }
}

/// How a matrix is laid out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order {
    /// Whether columns are contiguous, rather than rows.
    pub(crate) transposed: bool,
    /// The smaller stride.
    pub(crate) step: usize,
    /// Elements left out after each row (after each column, if transposed).
    pub(crate) padding: usize,
}

impl Order {
    pub(crate) const ROWS: Self = Self { transposed: false, step: 1, padding: 0 };
    pub(crate) const COLS: Self = Self { transposed: true, step: 1, padding: 0 };
    pub(crate) const PADDED: Self = Self { transposed: false, step: 1, padding: 5 };
    pub(crate) const STEPPED_ROWS: Self = Self { transposed: false, step: 2, padding: 3 };
    pub(crate) const STEPPED_COLS: Self = Self { transposed: true, step: 3, padding: 4 };
    pub(crate) const ALL: [Self; 5] =
        [Self::ROWS, Self::COLS, Self::PADDED, Self::STEPPED_ROWS, Self::STEPPED_COLS];

    pub(crate) fn any() -> impl Strategy<Value = Self> {
        (any::<bool>(), prop_oneof![3 => Just(1_usize), 1 => 2_usize..4], 0_usize..6)
            .prop_map(|(transposed, step, padding)| Self { transposed, step, padding })
    }

    pub(crate) fn strides(self, rows: usize, cols: usize) -> (usize, usize) {
        let inner = if self.transposed { rows } else { cols };
        let outer_stride = inner * self.step + self.padding;
        if self.transposed { (self.step, outer_stride) } else { (outer_stride, self.step) }
    }
}

/// A matrix and its slice.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Matrix<T> {
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) strides: (usize, usize),
    pub(crate) data: Vec<T>,
}

impl<T: Real> Matrix<T> {
    /// A matrix with the elements `f(0)`, `f(1)`, … row by row, and `padding` between them.
    pub(crate) fn new(
        rows: usize,
        cols: usize,
        order: Order,
        padding: f32,
        mut f: impl FnMut() -> f32,
    ) -> Self {
        let strides = order.strides(rows, cols);
        // A few elements more than are needed, to see that they are left alone as well.
        let len = rows * cols * order.step + order.padding * (rows + cols) + 3;
        let mut data = vec![T::from(padding); len];
        for i in 0..rows {
            for j in 0..cols {
                data[i * strides.0 + j * strides.1] = f().into();
            }
        }
        Self { rows, cols, strides, data }
    }

    /// Whole numbers from -4 to 4.
    pub(crate) fn whole(rows: usize, cols: usize, order: Order, padding: f32, seed: u64) -> Self {
        let mut random = random(seed);
        Self::new(rows, cols, order, padding, move || (random() % 9) as f32 - 4.0)
    }

    /// Numbers in [-1, 1), multiples of 2^-20.
    pub(crate) fn real(rows: usize, cols: usize, order: Order, padding: f32, seed: u64) -> Self {
        let mut random = random(seed);
        let scale = 1.0 / (1 << 20) as f32;
        Self::new(rows, cols, order, padding, move || (random() >> 43) as f32 * scale - 1.0)
    }

    pub(crate) fn view(&self) -> MatRef<'_, T> {
        let (row_stride, col_stride) = self.strides;
        MatRef::new(&self.data, self.rows, self.cols, row_stride, col_stride)
            .expect("the slice is long enough")
    }

    pub(crate) fn view_mut(&mut self) -> MatMut<'_, T> {
        let (row_stride, col_stride) = self.strides;
        MatMut::new(&mut self.data, self.rows, self.cols, row_stride, col_stride)
            .expect("the slice is long enough, the layout nested")
    }

    pub(crate) fn bits(&self) -> Vec<u64> {
        self.data.iter().map(|x| x.bits()).collect()
    }
}

/// The generator SplitMix64 (Steele, Lea and Flood, 2014).
pub(crate) fn random(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// A function with the signature of `gemm`.
pub(crate) type Gemm<T> =
    fn(T, MatRef<'_, T>, MatRef<'_, T>, T, MatMut<'_, T>) -> Result<(), GemmError>;

/// A product to be tried.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) size: [usize; 3],
    pub(crate) orders: [Order; 3],
    pub(crate) alpha: f32,
    pub(crate) beta: f32,
    pub(crate) seed: u64,
}

impl Case {
    pub(crate) fn any(size: impl Strategy<Value = [usize; 3]>) -> impl Strategy<Value = Self> {
        let alpha = prop_oneof![Just(0.0_f32), Just(1.0), Just(-0.5)];
        let beta = prop_oneof![Just(0.0_f32), Just(1.0), Just(0.5)];
        (size, [Order::any(), Order::any(), Order::any()], alpha, beta, any::<u64>())
            .prop_map(|(size, orders, alpha, beta, seed)| Self { size, orders, alpha, beta, seed })
    }

    /// C after the product of whole numbers by the given function. NaN stands between the elements
    /// of A and B, and 99 between those of C.
    pub(crate) fn run<T: Real>(&self, gemm: Gemm<T>) -> Matrix<T> {
        let ([m, k, n], seed) = (self.size, self.seed);
        let a = Matrix::<T>::whole(m, k, self.orders[0], f32::NAN, seed);
        let b = Matrix::<T>::whole(k, n, self.orders[1], f32::NAN, !seed);
        let mut c = Matrix::<T>::whole(m, n, self.orders[2], 99.0, seed ^ 0xff);
        gemm(self.alpha.into(), a.view(), b.view(), self.beta.into(), c.view_mut())
            .expect("the sizes fit together");
        c
    }
}
