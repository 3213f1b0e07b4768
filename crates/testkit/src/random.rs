//! Seeded random values in [-1, 1).

use tensor4::{Scalar, Shape4, Tensor4};

/// The shape `(n, c, h, w)`.
///
/// # Panics
///
/// If the product overflows.
#[must_use]
#[track_caller]
pub fn shape(n: usize, c: usize, h: usize, w: usize) -> Shape4 {
    Shape4::new(n, c, h, w).expect("the shape of a test is small")
}

/// A tensor of values drawn uniformly from [-1, 1). The `f32` tensor of a seed is the `f64` one,
/// rounded.
#[must_use]
pub fn tensor<T: Scalar>(shape: Shape4, seed: u64) -> Tensor4<T> {
    Tensor4::uniform(shape, -1.0, 1.0, seed)
}

/// `len` values drawn uniformly from [-1, 1).
#[must_use]
pub fn values<T: Scalar>(len: usize, seed: u64) -> Vec<T> {
    tensor(shape(1, 1, 1, len), seed).into_vec()
}
