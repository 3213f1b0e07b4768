//! Owned tensors.

use alloc::vec;
use alloc::vec::Vec;
use core::ops::{Index, IndexMut};

use crate::view::check_len;
use crate::{Scalar, Shape4, TensorError, View4, ViewMut4};

/// An owned, contiguous NCHW tensor.
///
/// Invariant: the buffer has exactly `shape.len()` elements.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor4<T = f32> {
    shape: Shape4,
    data: Vec<T>,
}

impl<T: Scalar> Tensor4<T> {
    /// A tensor of zeros.
    #[must_use]
    pub fn zeros(shape: Shape4) -> Self {
        Self::full(shape, T::ZERO)
    }

    /// A tensor whose every element is `value`.
    #[must_use]
    pub fn full(shape: Shape4, value: T) -> Self {
        Self { shape, data: vec![value; shape.len()] }
    }

    /// A tensor of the given elements in NCHW order.
    ///
    /// # Errors
    ///
    /// [`TensorError::Length`] if `data` does not have `shape.len()` elements.
    pub fn from_vec(shape: Shape4, data: Vec<T>) -> Result<Self, TensorError> {
        check_len("Tensor4::from_vec", shape, data.len())?;
        Ok(Self { shape, data })
    }

    /// The matrix of the given elements in row-major order, as a tensor `(rows, cols, 1, 1)`.
    ///
    /// # Errors
    ///
    /// [`TensorError`] if the sizes overflow or `data` does not have `rows * cols` elements.
    pub fn from_matrix(rows: usize, cols: usize, data: Vec<T>) -> Result<Self, TensorError> {
        Self::from_vec(Shape4::matrix(rows, cols)?, data)
    }

    /// The tensor whose element at `(n, c, h, w)` is `f(n, c, h, w)`; called in NCHW order.
    #[must_use]
    pub fn from_fn(shape: Shape4, mut f: impl FnMut(usize, usize, usize, usize) -> T) -> Self {
        let [n, c, h, w] = shape.dims();
        let mut data = Vec::with_capacity(shape.len());
        for n in 0..n {
            for c in 0..c {
                for h in 0..h {
                    for w in 0..w {
                        data.push(f(n, c, h, w));
                    }
                }
            }
        }
        Self { shape, data }
    }

    /// The caller guarantees that the length fits the shape.
    pub(crate) fn from_parts(shape: Shape4, data: Vec<T>) -> Self {
        debug_assert_eq!(shape.len(), data.len());
        Self { shape, data }
    }

    /// The shape.
    #[must_use]
    pub fn shape(&self) -> Shape4 {
        self.shape
    }

    /// The sizes, `[n, c, h, w]`, to be destructured.
    #[must_use]
    pub fn dims(&self) -> [usize; 4] {
        self.shape.dims()
    }

    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Whether there is no element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// All elements in NCHW order.
    #[must_use]
    pub fn data(&self) -> &[T] {
        &self.data
    }

    /// All elements in NCHW order.
    #[must_use]
    pub fn data_mut(&mut self) -> &mut [T] {
        &mut self.data
    }

    /// The buffer, in NCHW order.
    #[must_use]
    pub fn into_vec(self) -> Vec<T> {
        self.data
    }

    /// A view of the whole.
    #[must_use]
    pub fn view(&self) -> View4<'_, T> {
        View4::new(self.shape, &self.data).expect("a tensor's buffer fits its shape")
    }

    /// A mutable view of the whole.
    #[must_use]
    pub fn view_mut(&mut self) -> ViewMut4<'_, T> {
        ViewMut4::new(self.shape, &mut self.data).expect("a tensor's buffer fits its shape")
    }

    /// The elements of image `n`, `(C, H, W)`.
    ///
    /// # Panics
    ///
    /// If `n` is not within the batch.
    #[must_use]
    pub fn image(&self, n: usize) -> &[T] {
        self.view().image(n)
    }

    /// The elements of channel `c` of image `n`, `(H, W)`.
    ///
    /// # Panics
    ///
    /// If `n` or `c` is not within the shape.
    #[must_use]
    pub fn plane(&self, n: usize, c: usize) -> &[T] {
        self.view().plane(n, c)
    }

    /// The element at `(n, c, h, w)`, or `None` outside.
    #[must_use]
    pub fn get(&self, n: usize, c: usize, h: usize, w: usize) -> Option<T> {
        self.offset(n, c, h, w).map(|i| self.data[i])
    }

    /// The same elements under another shape of the same length; nothing is copied.
    ///
    /// # Errors
    ///
    /// [`TensorError::Length`] if the lengths differ.
    pub fn reshape(self, shape: Shape4) -> Result<Self, TensorError> {
        check_len("reshape", shape, self.data.len())?;
        Ok(Self { shape, data: self.data })
    }

    /// The tensor as a matrix with one row per image, `(n, c * h * w, 1, 1)`; nothing is copied.
    #[must_use]
    pub fn into_matrix(self) -> Self {
        let (rows, cols) = self.matrix_dims();
        let shape = Shape4::matrix(rows, cols).expect("a flattened shape has the same length");
        Self { shape, data: self.data }
    }

    /// The rows and columns of the matrix with one row per image, `(n, c * h * w)`.
    #[must_use]
    pub fn matrix_dims(&self) -> (usize, usize) {
        (self.shape.n(), self.shape.image_len())
    }

    /// The tensor of `f(x)` for each element `x`.
    #[must_use]
    pub fn map<U: Scalar>(&self, f: impl FnMut(T) -> U) -> Tensor4<U> {
        Tensor4 { shape: self.shape, data: self.data.iter().copied().map(f).collect() }
    }

    /// Replaces each element `x` by `f(x)`.
    pub fn map_inplace(&mut self, mut f: impl FnMut(T) -> T) {
        for x in &mut self.data {
            *x = f(*x);
        }
    }

    /// The tensor of `f(x, y)` for the elements `x` of this tensor and `y` of the other.
    ///
    /// # Errors
    ///
    /// [`TensorError::ShapeMismatch`] if the shapes differ.
    pub fn zip_map(&self, other: &Self, mut f: impl FnMut(T, T) -> T) -> Result<Self, TensorError> {
        if self.shape != other.shape {
            return Err(TensorError::ShapeMismatch {
                operation: "zip_map",
                left: self.shape,
                right: other.shape,
            });
        }
        let data = self.data.iter().zip(&other.data).map(|(&x, &y)| f(x, y)).collect();
        Ok(Self { shape: self.shape, data })
    }

    /// The tensor with each element converted, rounding to nearest.
    #[must_use]
    pub fn cast<U: Scalar>(&self) -> Tensor4<U> {
        self.map(|x| U::from_f64(x.to_f64()))
    }

    /// Sets every element to `value`.
    pub fn fill(&mut self, value: T) {
        self.data.fill(value);
    }

    fn offset(&self, n: usize, c: usize, h: usize, w: usize) -> Option<usize> {
        let [ns, cs, hs, ws] = self.dims();
        (n < ns && c < cs && h < hs && w < ws).then(|| ((n * cs + c) * hs + h) * ws + w)
    }

    #[track_caller]
    fn expect_offset(&self, (n, c, h, w): (usize, usize, usize, usize)) -> usize {
        match self.offset(n, c, h, w) {
            Some(i) => i,
            None => panic!("index ({n}, {c}, {h}, {w}) of a tensor of shape {}", self.shape),
        }
    }
}

impl<T: Scalar> Index<(usize, usize, usize, usize)> for Tensor4<T> {
    type Output = T;

    #[track_caller]
    fn index(&self, index: (usize, usize, usize, usize)) -> &T {
        &self.data[self.expect_offset(index)]
    }
}

impl<T: Scalar> IndexMut<(usize, usize, usize, usize)> for Tensor4<T> {
    #[track_caller]
    fn index_mut(&mut self, index: (usize, usize, usize, usize)) -> &mut T {
        let i = self.expect_offset(index);
        &mut self.data[i]
    }
}
