//! Borrowed tensors.

use core::ops::Range;

use crate::{Scalar, Shape4, Tensor4, TensorError};

/// A borrowed, contiguous NCHW tensor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct View4<'a, T> {
    shape: Shape4,
    data: &'a [T],
}

impl<'a, T: Scalar> View4<'a, T> {
    /// A view of `data` as a tensor of the given shape.
    ///
    /// # Errors
    ///
    /// [`TensorError::Length`] if `data` does not have `shape.len()` elements.
    pub fn new(shape: Shape4, data: &'a [T]) -> Result<Self, TensorError> {
        check_len("View4::new", shape, data.len())?;
        Ok(Self { shape, data })
    }

    /// The shape.
    #[must_use]
    pub fn shape(&self) -> Shape4 {
        self.shape
    }

    /// The sizes, `[n, c, h, w]`.
    #[must_use]
    pub fn dims(&self) -> [usize; 4] {
        self.shape.dims()
    }

    /// All elements in NCHW order.
    #[must_use]
    pub fn data(&self) -> &'a [T] {
        self.data
    }

    /// The elements of image `n`, `(C, H, W)`.
    ///
    /// # Panics
    ///
    /// If `n` is not within the batch.
    #[must_use]
    pub fn image(&self, n: usize) -> &'a [T] {
        let len = self.shape.image_len();
        assert!(n < self.shape.n(), "image {n} of a batch of {}", self.shape.n());
        &self.data[n * len..(n + 1) * len]
    }

    /// The elements of channel `c` of image `n`, `(H, W)`.
    ///
    /// # Panics
    ///
    /// If `n` or `c` is not within the shape.
    #[must_use]
    pub fn plane(&self, n: usize, c: usize) -> &'a [T] {
        let len = self.shape.plane_len();
        assert!(c < self.shape.c(), "channel {c} of {}", self.shape.c());
        &self.image(n)[c * len..(c + 1) * len]
    }

    /// The images of a range of the batch, in place.
    ///
    /// # Errors
    ///
    /// [`TensorError::BatchRange`] if the range reaches beyond the batch or runs backwards.
    pub fn batch(&self, range: Range<usize>) -> Result<Self, TensorError> {
        let (shape, range) = batch_range(self.shape, range)?;
        Ok(Self { shape, data: &self.data[range] })
    }

    /// The same elements under another shape of the same length.
    ///
    /// # Errors
    ///
    /// [`TensorError::Length`] if the lengths differ.
    pub fn reshape(&self, shape: Shape4) -> Result<Self, TensorError> {
        check_len("reshape", shape, self.data.len())?;
        Ok(Self { shape, data: self.data })
    }

    /// An owned copy.
    #[must_use]
    pub fn to_tensor(&self) -> Tensor4<T> {
        Tensor4::from_parts(self.shape, self.data.to_vec())
    }
}

/// A mutably borrowed, contiguous NCHW tensor.
#[derive(Debug, PartialEq)]
pub struct ViewMut4<'a, T> {
    shape: Shape4,
    data: &'a mut [T],
}

impl<'a, T: Scalar> ViewMut4<'a, T> {
    /// A view of `data` as a tensor of the given shape.
    ///
    /// # Errors
    ///
    /// [`TensorError::Length`] if `data` does not have `shape.len()` elements.
    pub fn new(shape: Shape4, data: &'a mut [T]) -> Result<Self, TensorError> {
        check_len("ViewMut4::new", shape, data.len())?;
        Ok(Self { shape, data })
    }

    /// The shape.
    #[must_use]
    pub fn shape(&self) -> Shape4 {
        self.shape
    }

    /// The sizes, `[n, c, h, w]`.
    #[must_use]
    pub fn dims(&self) -> [usize; 4] {
        self.shape.dims()
    }

    /// All elements in NCHW order.
    #[must_use]
    pub fn data(&self) -> &[T] {
        self.data
    }

    /// All elements in NCHW order.
    #[must_use]
    pub fn data_mut(&mut self) -> &mut [T] {
        self.data
    }

    /// All elements in NCHW order, for as long as the tensor is borrowed.
    #[must_use]
    pub fn into_data(self) -> &'a mut [T] {
        self.data
    }

    /// The elements of image `n`, `(C, H, W)`.
    ///
    /// # Panics
    ///
    /// If `n` is not within the batch.
    #[must_use]
    pub fn image_mut(&mut self, n: usize) -> &mut [T] {
        let len = self.shape.image_len();
        assert!(n < self.shape.n(), "image {n} of a batch of {}", self.shape.n());
        &mut self.data[n * len..(n + 1) * len]
    }

    /// A shorter borrow of the same tensor.
    #[must_use]
    pub fn reborrow(&mut self) -> ViewMut4<'_, T> {
        ViewMut4 { shape: self.shape, data: self.data }
    }

    /// The same tensor, no longer to be written.
    #[must_use]
    pub fn as_view(&self) -> View4<'_, T> {
        View4 { shape: self.shape, data: self.data }
    }

    /// The images of a range of the batch, in place.
    ///
    /// # Errors
    ///
    /// [`TensorError::BatchRange`] if the range reaches beyond the batch or runs backwards.
    pub fn batch_mut(&mut self, range: Range<usize>) -> Result<ViewMut4<'_, T>, TensorError> {
        let (shape, range) = batch_range(self.shape, range)?;
        Ok(ViewMut4 { shape, data: &mut self.data[range] })
    }

    /// Sets every element to `value`.
    pub fn fill(&mut self, value: T) {
        self.data.fill(value);
    }
}

impl<'a, T: Scalar> From<&'a Tensor4<T>> for View4<'a, T> {
    fn from(tensor: &'a Tensor4<T>) -> Self {
        tensor.view()
    }
}

impl<'a, T: Scalar> From<&'a mut Tensor4<T>> for ViewMut4<'a, T> {
    fn from(tensor: &'a mut Tensor4<T>) -> Self {
        tensor.view_mut()
    }
}

pub(crate) fn check_len(
    operation: &'static str,
    shape: Shape4,
    actual: usize,
) -> Result<(), TensorError> {
    let expected = shape.len();
    if actual == expected {
        Ok(())
    } else {
        Err(TensorError::Length { operation, shape, expected, actual })
    }
}

/// The shape of a range of the batch, and the range of its elements.
fn batch_range(shape: Shape4, range: Range<usize>) -> Result<(Shape4, Range<usize>), TensorError> {
    if range.start > range.end || range.end > shape.n() {
        return Err(TensorError::BatchRange { range, len: shape.n() });
    }
    let len = shape.image_len();
    Ok((shape.with_n(range.len())?, range.start * len..range.end * len))
}
