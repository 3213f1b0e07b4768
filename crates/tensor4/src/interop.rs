//! Conversions from and to `ndarray::Array4`.

use alloc::vec::Vec;

use ndarray::Array4;

use crate::{Scalar, Shape4, Tensor4, TensorError};

impl<T: Scalar> TryFrom<Array4<T>> for Tensor4<T> {
    type Error = TensorError;

    /// Takes the buffer of an array in standard layout as it is; copies any other into NCHW order.
    fn try_from(array: Array4<T>) -> Result<Self, TensorError> {
        let (n, c, h, w) = array.dim();
        let shape = Shape4::new(n, c, h, w)?;
        let data: Vec<T> = if array.is_standard_layout() {
            match array.into_raw_vec_and_offset() {
                (data, None | Some(0)) if data.len() == shape.len() => data,
                // A slice of a larger buffer.
                (data, offset) => data[offset.unwrap_or(0)..][..shape.len()].to_vec(),
            }
        } else {
            array.iter().copied().collect()
        };
        Self::from_vec(shape, data)
    }
}

impl<T: Scalar> From<Tensor4<T>> for Array4<T> {
    fn from(tensor: Tensor4<T>) -> Self {
        let [n, c, h, w] = tensor.dims();
        Array4::from_shape_vec((n, c, h, w), tensor.into_vec())
            .expect("a tensor's buffer fits its shape")
    }
}
